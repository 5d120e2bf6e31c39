//! An autoencoder that has files of its own and takes the place of a model's.

use std::path::Path;

use imagegen_model::single_file::{Part, read_autoencoder};
use imagegen_model::{AutoencoderConfig, UNetConfig};

use super::ModelSource;
use super::files::{ModelFiles, Unhashed};
use crate::{Error, files};

/// What diffusers calls the weights of an autoencoder.
const STEM: &str = "diffusion_pytorch_model";

/// The autoencoder's files.
pub(super) struct Vae {
    files: ModelFiles,
    /// The name people know it by.
    name: String,
}

impl Vae {
    /// Reads the autoencoder at `path`. Latents of the model it is for are scaled by `scaling_factor` where its own
    /// files do not say how.
    ///
    /// Fails with [`Error::Vae`] for what is no autoencoder, and with [`Error::Read`] where there is nothing.
    pub(super) fn read(path: &Path, scaling_factor: f64) -> Result<(Self, Part), Error> {
        files::full(path)?; // what is not there is no faulty autoencoder
        let name = files::base_name(path);
        let failed = |error| match error {
            Error::Model { cause, .. } => Error::Vae {
                name: name.clone(),
                cause,
            },
            Error::MissingFile { file, .. } => Error::setting(
                format!("autoencoder {name}"),
                format!("a folder without {file}"),
                format!("a safetensors file, or a folder with config.json and {STEM}.safetensors"),
            ),
            other => other,
        };
        let (files, part) = match path.is_dir() {
            true => read_folder(path),
            false => read_file(path, scaling_factor),
        }
        .map_err(failed)?;
        Ok((Self { files, name }, part))
    }

    /// Its name, and its files to be hashed.
    pub(super) fn unhashed(&self) -> Result<(String, Unhashed), Error> {
        Ok((self.name.clone(), self.files.unhashed()?))
    }

    /// Path and size in bytes of every file that was read.
    pub(super) fn sizes(&self) -> Vec<(String, u64)> {
        self.files.sizes()
    }
}

fn read_folder(path: &Path) -> Result<(ModelFiles, Part), Error> {
    // A whole model has it in a folder of its own.
    let inner = path.join("vae");
    let path = match !path.join("config.json").exists() && inner.is_dir() {
        true => &inner,
        false => path,
    };
    let path = files::full(path)?;
    let parent = path.parent().unwrap_or(&path);
    let files = ModelFiles::open(&ModelSource::Folder(parent.to_owned()))?;
    let part = Part {
        config: files.text(&format!("{}/config.json", files::base_name(&path)))?,
        weights: files.part_weights(&files::base_name(&path), STEM)?,
    };
    Ok((files, part))
}

fn read_file(path: &Path, scaling_factor: f64) -> Result<(ModelFiles, Part), Error> {
    let files = ModelFiles::open(&ModelSource::File(path.to_owned()))?;
    let name = files::base_name(path);
    let weights = files.weights(&name)?;
    // A file of the diffusers layout taken out of its folder by name has its configuration beside it.
    if name.starts_with(STEM)
        && let Some(config) = files.optional_text("config.json")?
    {
        return Ok((files, Part { config, weights }));
    }
    let part = read_autoencoder(&weights, scaling_factor);
    let part = part.map_err(|cause| files.fail(cause))?;
    Ok((files, part))
}

/// By what latents of a model are multiplied: `own` is the configuration of its own autoencoder.
pub(super) fn scaling_factor(unet: &UNetConfig, own: Option<&str>) -> f64 {
    let own = own.and_then(|config| AutoencoderConfig::parse("vae/config.json", config).ok());
    // That of a small one, whose latents are scaled already, says nothing about others.
    match own.filter(AutoencoderConfig::has_posterior) {
        Some(own) => own.scaling_factor,
        None => usual_scaling(unet),
    }
}

/// By what latents of models with such a network are multiplied: SDXL's, or Stable Diffusion's.
pub(super) fn usual_scaling(unet: &UNetConfig) -> f64 {
    match unet.added {
        Some(_) => 0.13025,
        None => 0.18215,
    }
}
