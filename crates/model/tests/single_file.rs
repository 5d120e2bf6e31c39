//! Models in one file: the same networks as those of a folder, to the bit, and what is refused.
//! `tools/reference/single_file.py` made the references and checked them with diffusers' converters.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use imagegen_conformance::weights::{self, Listed, pack};
use imagegen_model::single_file::{Part, SingleFile, read_autoencoder};
use imagegen_model::{AutoencoderConfig, ClipTextConfig, UNetConfig, Weights};
use safetensors::Dtype;
use serde_json::Value;

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn weights_of(name: &str, tensors: Tensors) -> Weights {
    Weights::parse(name, Arc::new(pack(tensors, Dtype::F32))).unwrap()
}

fn read(tensors: Tensors) -> Result<SingleFile, String> {
    let file = weights_of("model.safetensors", tensors);
    SingleFile::read(&file, None).map_err(|error| error.to_string())
}

/// Fails unless `got` has the tensors of `want`, to the bit.
fn assert_same(part: &str, got: &Part, want: &Listed) {
    let names: Vec<_> = got
        .weights
        .names()
        .filter(|name| !name.ends_with("position_ids"))
        .collect();
    let mut wanted: Vec<_> = want
        .tensors
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "{part}");
    for tensor in &want.tensors {
        let got = got.weights.tensor(&tensor.name).unwrap();
        assert_eq!(got.shape(), tensor.shape, "{part} {}", tensor.name);
        assert!(
            got.data() == tensor.numbers(),
            "{part} {} differs",
            tensor.name
        );
    }
}

fn scheduler(file: &SingleFile) -> Value {
    serde_json::from_str(&file.scheduler).unwrap()
}

/// The file of a kind holds the parts of its folder, whose configurations follow from its shapes.
fn same_as_the_folder(kind: &str) -> SingleFile {
    let model = weights::SingleFile::read(kind);
    let file = read(model.tensors).unwrap();
    let parts = &model.parts;
    assert_same("unet", &file.unet, &parts["unet"]);
    let unet = |config: &str| UNetConfig::parse("config.json", config).unwrap();
    assert_eq!(
        unet(&file.unet.config),
        unet(&parts["unet"].config),
        "{kind}"
    );
    let vae = |config: &str| AutoencoderConfig::parse("config.json", config).unwrap();
    let autoencoder = file.autoencoder.as_ref().unwrap();
    assert_same("vae", autoencoder, &parts["vae"]);
    assert_eq!(
        vae(&autoencoder.config),
        vae(&parts["vae"].config),
        "{kind}"
    );
    let texts: BTreeMap<_, _> = parts
        .iter()
        .filter(|(name, _)| name.starts_with("text"))
        .collect();
    assert_eq!(file.texts.len(), texts.len());
    let text = |config: &str| ClipTextConfig::parse("config.json", config).unwrap();
    for (got, (name, want)) in file.texts.iter().zip(texts) {
        assert_same(name, &got.part, want);
        assert_eq!(text(&got.part.config), text(&want.config), "{kind} {name}");
    }
    file
}

#[test]
fn a_file_of_the_first_kind_is_its_folder() {
    let file = same_as_the_folder("sd1");
    assert_eq!(file.texts[0].pad, "<|endoftext|>");
    assert_eq!(scheduler(&file)["prediction_type"], "epsilon");
}

#[test]
fn a_file_of_the_second_kind_is_its_folder() {
    let file = same_as_the_folder("sd2");
    assert_eq!(file.texts[0].pad, "!");
    // By the spread of one bias, 0.2 here.
    assert_eq!(scheduler(&file)["prediction_type"], "v_prediction");
    let mut model = weights::SingleFile::read("sd2").tensors;
    let bias = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.norm1.bias";
    let bias = model.iter_mut().find(|(name, ..)| name == bias).unwrap();
    bias.2.iter_mut().for_each(|number| *number *= 0.1);
    assert_eq!(
        scheduler(&read(model).unwrap())["prediction_type"],
        "epsilon"
    );
}

#[test]
fn files_of_sdxl_and_its_refiner_are_their_folders() {
    let file = same_as_the_folder("sdxl");
    assert_eq!(
        [file.texts[0].pad, file.texts[1].pad],
        ["<|endoftext|>", "!"]
    );
    assert_eq!(scheduler(&file)["_class_name"], "EulerDiscreteScheduler");
    let file = same_as_the_folder("refiner");
    assert_eq!((file.texts.len(), file.scaling_factor), (1, 0.13025));
}

#[test]
fn markers_in_a_file_decide_what_its_network_predicts() {
    let mut model = weights::SingleFile::read("sd1").tensors;
    for marker in ["v_pred", "ztsnr", "some_other_marker"] {
        model.push((marker.to_owned(), vec![0], vec![]));
    }
    let file = read(model).unwrap();
    assert_eq!(scheduler(&file)["prediction_type"], "v_prediction");
    assert_eq!(scheduler(&file)["rescale_betas_zero_snr"], true);
}

#[test]
fn an_autoencoder_may_be_absent_or_have_a_file_of_its_own() {
    let model = weights::SingleFile::read("sd1");
    let inner = "first_stage_model.";
    let (vae, rest): (Tensors, Tensors) = model
        .tensors
        .into_iter()
        .partition(|(name, ..)| name.starts_with(inner));
    assert!(read(rest).unwrap().autoencoder.is_none());
    let want = &model.parts["vae"];
    let own = vae.iter().map(|(name, shape, numbers)| {
        (
            name[inner.len()..].to_owned(),
            shape.clone(),
            numbers.clone(),
        )
    });
    let mut own: Tensors = own.collect();
    own.push(("loss.logvar".to_owned(), vec![1], vec![0.0]));
    let diffusers = want.tensors.iter();
    let diffusers = diffusers.map(|one| (one.name.clone(), one.shape.clone(), one.numbers()));
    for file in [own, diffusers.collect()] {
        let part = read_autoencoder(&weights_of("a.vae.safetensors", file), 0.18215).unwrap();
        assert_same("vae", &part, want);
        let config = |config: &str| AutoencoderConfig::parse("config.json", config).unwrap();
        assert_eq!(config(&part.config), config(&want.config));
    }
    let other = vec![("lora_unet_x.weight".to_owned(), vec![1], vec![0.0])];
    let error = read_autoencoder(&weights_of("a.vae.safetensors", other), 0.18215).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.vae.safetensors is a file of 1 tensors such as \"lora_unet_x.weight\", expected the tensors of an \
         autoencoder"
    );
}

#[test]
fn text_towers_may_leave_the_first_part_of_their_names_out() {
    let model = weights::SingleFile::read("sd1");
    let bare = model.tensors.into_iter().map(|(name, shape, numbers)| {
        (
            name.replace("transformer.text_model.", "transformer."),
            shape,
            numbers,
        )
    });
    let file = read(bare.collect()).unwrap();
    assert_same(
        "text_encoder",
        &file.texts[0].part,
        &model.parts["text_encoder"],
    );
}

#[test]
fn tensors_that_belong_to_nothing_are_named() {
    let mut model = weights::SingleFile::read("sd1").tensors;
    model.push((
        "model.diffusion_model.extra.weight".to_owned(),
        vec![2],
        vec![0.0; 2],
    ));
    assert_eq!(
        read(model).unwrap_err(),
        "model.safetensors has 1 tensors this network does not use, the first is \
         \"model.diffusion_model.extra.weight\""
    );
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    for (name, said) in [
        ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet"),
        (
            "model.diffusion_model.joint_blocks.0.x.weight",
            "Stable Diffusion 3",
        ),
        ("double_blocks.0.img_attn.qkv.weight", "Flux"),
        (
            "encoder.down.0.block.0.conv1.weight",
            "an autoencoder by itself",
        ),
        (
            "down_blocks.0.resnets.0.conv1.weight",
            "a denoising network by itself",
        ),
        ("words", "a file of 1 tensors such as \"words\""),
    ] {
        let error = read(vec![(name.to_owned(), vec![1], vec![0.0])]).unwrap_err();
        assert!(
            error.starts_with(&format!("model.safetensors is {said}"))
                && error.contains("expected a model with UNet and text encoder"),
            "{error}"
        );
    }
}

#[test]
fn a_file_without_a_network_it_needs_is_named() {
    let model = weights::SingleFile::read("sd1").tensors;
    let kept = |lacking: &str| -> Tensors {
        model
            .iter()
            .filter(|(name, ..)| !name.starts_with(lacking))
            .cloned()
            .collect()
    };
    let error = read(kept("cond_stage_model.")).unwrap_err();
    assert!(
        error.contains("expected a model with UNet and text encoder"),
        "{error}"
    );
    // A first tensor of each part, from which sizes are told.
    for name in [
        "model.diffusion_model.input_blocks.0.0.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "first_stage_model.decoder.conv_in.weight",
    ] {
        let error = read(kept(name)).unwrap_err();
        assert!(error.contains("lacks tensor"), "{name}: {error}");
    }
}
