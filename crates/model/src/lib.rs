//! From bytes to networks: safetensors files, configurations, tokenizer, text encoders, UNets,
//! autoencoders, LoRAs, a face detector and an upscaler.
//!
//! Knows no paths, schedules or samplers. Networks are written once over
//! [`imagegen_engine::Backend`] and driven by the model's own configuration; a field this build
//! does not run is an error with its name, never passed over. Consumed by `imagegen`, which finds
//! the files, and by `pipeline`'s tests.

mod autoencoder;
mod clip;
mod config;
mod error;
pub mod faces;
mod loader;
pub mod lora;
mod resnet;
pub mod single_file;
pub mod spans;
mod textual_inversion;
mod tokenizer;
pub mod unet;
pub mod upscaler;
mod weights;

pub use autoencoder::{Autoencoder, AutoencoderConfig, Posterior};
pub use clip::{ClipText, ClipTextConfig, TextEncoding, TextStates, TextToken};
pub use error::Error;
pub use loader::LayerShapes;
pub use textual_inversion::TextualInversion;
pub use tokenizer::{Tokenizer, Tokens};
pub use unet::{AddedInput, AddedSizes, Deep, UNet, UNetConfig, UNetInput};
pub use weights::{Bytes, FileBytes, Weights};
