//! The starter model's files, embedded: a small image-to-image model, so that a fresh binary works
//! from any folder with nothing beside it.
//!
//! Bytes only. The layout is that of a diffusers folder plus `latents.json`,
//! `finish.json`, `wash` and `prompt_words.json`; `MODEL_CARD.md` says what the model does well and badly, `LICENSE` under
//! which terms its weights may be passed on (CC BY-SA 4.0, apart from the code's licence).

/// The name the model goes by.
pub const NAME: &str = "starter";

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        /// Path in the model's folder and contents of every file.
        pub const FILES: &[(&str, &[u8])] =
            &[$(($path, include_bytes!(concat!("../model/", $path)))),+];
    };
}

files![
    "finish.json",
    "latents.json",
    "prompt_words.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "wash/config.json",
    "wash/diffusion_pytorch_model.safetensors",
    "wash/wash.json",
];
