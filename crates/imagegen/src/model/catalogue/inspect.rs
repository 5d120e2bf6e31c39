//! What a file or folder is, by its header: the names and shapes of its tensors, and configurations.

use imagegen_model::single_file::{SingleFile, read_autoencoder};
use imagegen_model::{UNetConfig, Weights};

use super::{Form, Place, Shelf};
use crate::Error;
use crate::files::base_name;
use crate::model::ModelKind;
use crate::model::files::ModelFiles;
use crate::model::latents::LatentsFile;
use crate::model::networks::seen;
use crate::model::parts::{Index, part};

/// What was found at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    Model {
        kind: ModelKind,
        bytes: u64,
        has_autoencoder: bool,
    },
    Autoencoder {
        bytes: u64,
    },
    /// Something of use that is neither: a LoRA, an embedding, a part of a model.
    Other,
    /// What is wrong.
    Unusable(String),
}

/// Parts of names of tensors in what changes or guides models and is none.
const OTHERS: &[&str] = &[
    "lora_",
    ".lora",
    "lora.",
    "hada_",
    "lokr_",
    "oft_",
    "base_model.model.",
    "control_model.",
    "controlnet_cond_embedding",
    "input_hint_block",
    "emb_params",
    "text_model.",
    "vision_model.",
];
/// What single files of models begin names with.
const NETWORK: &str = "model.diffusion_model.";

/// Looks into a place.
pub(super) fn inspect(place: &Place) -> Finding {
    let found = match (place.form, place.shelf) {
        (Form::Folder, Shelf::Models) => folder(place),
        (Form::Folder, Shelf::Autoencoders) => autoencoder_folder(place),
        (Form::File, _) => file(place),
    };
    match (found, place.shelf) {
        (Ok(found), _) => found,
        // What is broken on a shelf of autoencoders is no broken model.
        (Err(_), Shelf::Autoencoders) => Finding::Other,
        (Err(error), Shelf::Models) => Finding::Unusable(error.to_string()),
    }
}

fn file(place: &Place) -> Result<Finding, Error> {
    let files = ModelFiles::open(&place.source())?;
    let weights = files.weights(&base_name(&place.path))?;
    let bytes = || files.sizes().iter().map(|(_, bytes)| bytes).sum();
    let has = |part: &dyn Fn(&str) -> bool| weights.names().any(part);
    if has(&|name| name.starts_with(NETWORK)) {
        let model = SingleFile::read(&weights, None).map_err(|cause| files.fail(cause))?;
        let texts: Vec<_> = model
            .texts
            .iter()
            .map(|text| text.part.config.as_str())
            .collect();
        let unet = UNetConfig::parse("unet/config.json", &model.unet.config);
        let unet = unet.map_err(|cause| files.fail(cause))?;
        let conditioning = seen(&unet, unet.out_channels);
        let beside = format!("{}.vae.safetensors", files.name());
        return Ok(Finding::Model {
            kind: ModelKind::of(&unet, conditioning.as_ref(), &texts, false),
            bytes: bytes(),
            has_autoencoder: model.autoencoder.is_some() || files.has(&beside),
        });
    }
    if is_other(&weights) {
        return Ok(Finding::Other);
    }
    if has(&|name| name.starts_with("encoder.down")) {
        // The scale of latents is the model's and does not matter here.
        read_autoencoder(&weights, 1.0).map_err(|cause| files.fail(cause))?;
        return Ok(Finding::Autoencoder { bytes: bytes() });
    }
    match SingleFile::read(&weights, None) {
        Ok(_) => Ok(Finding::Other),
        Err(cause) => Err(files.fail(cause)),
    }
}

/// Whether a file's tensors are those of something that changes or guides models, or of a text encoder alone.
fn is_other(weights: &Weights) -> bool {
    let names = || weights.names();
    let marked = |name: &str| OTHERS.iter().any(|other| name.contains(other));
    // Embeddings have one tensor for each text encoder.
    names().count() <= 2 || names().any(marked)
}

fn folder(place: &Place) -> Result<Finding, Error> {
    let files = ModelFiles::open(&place.source())?;
    let index = Index::read(&files)?;
    let has = |component: &str| match &index {
        Some(index) => index.has(component),
        None => files.has(&format!("{component}/config.json")),
    };
    let fail = |cause| files.fail(cause);
    let unet = part(&files, "unet", "diffusion_pytorch_model")?;
    let unet = UNetConfig::parse("unet/config.json", &unet.config).map_err(fail)?;
    let mut texts = Vec::new();
    for name in ["text_encoder", "text_encoder_2"] {
        if has(name) {
            texts.push(part(&files, name, "model")?.config);
        }
    }
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let (conditioning, patches) = match has("vae") {
        true => {
            part(&files, "vae", "diffusion_pytorch_model")?;
            (seen(&unet, unet.out_channels), false)
        }
        false => {
            let latents = LatentsFile::parse(&files.text("latents.json")?)?;
            (latents.conditioning, true)
        }
    };
    Ok(Finding::Model {
        kind: ModelKind::of(&unet, conditioning.as_ref(), &texts, patches),
        bytes: weight_bytes(&files),
        has_autoencoder: true,
    })
}

fn autoencoder_folder(place: &Place) -> Result<Finding, Error> {
    let files = ModelFiles::open(&place.source())?;
    files.part_weights(".", "diffusion_pytorch_model")?;
    Ok(Finding::Autoencoder {
        bytes: weight_bytes(&files),
    })
}

fn weight_bytes(files: &ModelFiles) -> u64 {
    let sizes = files.sizes();
    let weights = sizes
        .iter()
        .filter(|(file, _)| file.ends_with(".safetensors"));
    weights.map(|(_, bytes)| bytes).sum()
}
