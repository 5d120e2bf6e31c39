//! What kind of model one is, told by how its networks are wired.

use std::fmt;

use imagegen_model::UNetConfig;
use imagegen_pipeline::Conditioning;
use serde_json::Value;

/// What kind of model one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelKind {
    /// What it descends from.
    pub family: Family,
    /// What its network sees beside the noised latents.
    pub sees: Sees,
    /// Whether its network hears the guidance scale, as latent consistency models do.
    pub hears_guidance: bool,
}

/// Models that are wired alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Latents are patches of pixels, as in the starter.
    Patches,
    /// One text encoder, CLIP's.
    StableDiffusion1,
    /// One text encoder, OpenCLIP's.
    StableDiffusion2,
    /// Two text encoders, and numbers about the picture.
    Sdxl,
    /// SDXL's second one, and a score.
    SdxlRefiner,
}

/// What a network sees beside the noised latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Nothing.
    Nothing,
    /// The source, less of it the greater the strength.
    Source,
    /// A mask and what it leaves of the source: made for inpainting, and for that alone.
    Mask,
    /// The source at every strength, which the prompt says how to edit.
    InstructedSource,
}

impl ModelKind {
    /// The kind of a model with this network, these configurations of text encoders, and latents that are
    /// `patches` of pixels or not.
    pub(super) fn of(
        unet: &UNetConfig,
        conditioning: Option<&Conditioning>,
        texts: &[&str],
        patches: bool,
    ) -> Self {
        let activation = |config: &&str| {
            let config: Value = serde_json::from_str(config).unwrap_or_default();
            config["hidden_act"].as_str().map(str::to_owned)
        };
        let family = match (patches, unet.added) {
            (true, _) => Family::Patches,
            (false, Some(_)) if texts.len() > 1 => Family::Sdxl,
            (false, Some(_)) => Family::SdxlRefiner,
            (false, None) => match texts.first().and_then(activation).as_deref() {
                Some("gelu") => Family::StableDiffusion2,
                _ => Family::StableDiffusion1,
            },
        };
        Self {
            family,
            sees: Sees::of(conditioning),
            hears_guidance: unet.guidance_channels.is_some(),
        }
    }
}

impl Sees {
    pub(super) fn of(conditioning: Option<&Conditioning>) -> Self {
        match conditioning {
            None => Self::Nothing,
            Some(Conditioning::Faded(_)) => Self::Source,
            Some(Conditioning::Masked) => Self::Mask,
            Some(Conditioning::Instructed) => Self::InstructedSource,
        }
    }
}

impl Family {
    /// Its name, as people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patches => "pixel patches",
            Self::StableDiffusion1 => "Stable Diffusion 1",
            Self::StableDiffusion2 => "Stable Diffusion 2",
            Self::Sdxl => "SDXL",
            Self::SdxlRefiner => "SDXL refiner",
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name())?;
        f.write_str(match self.sees {
            Sees::Nothing => "",
            Sees::Source => ", sees its source",
            Sees::Mask => ", for inpainting",
            Sees::InstructedSource => ", edits its source as told",
        })?;
        f.write_str(match self.hears_guidance {
            true => ", hears the guidance scale",
            false => "",
        })
    }
}
