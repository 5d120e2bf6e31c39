//! What holds where a request says nothing, and the size a model works at.

use imagegen_model::{AutoencoderConfig, UNetConfig};
use imagegen_pipeline::Conditioning;
use serde::Deserialize;

use super::networks::seen;

/// Steps of models that name none.
const STEPS: usize = 30;
/// Guidance of models that name none; that of diffusers' pipelines.
const GUIDANCE: f64 = 7.5;
/// Guidance of those that also hear a pooled text.
const POOLED_GUIDANCE: f64 = 5.0;
/// Strength of models that name none.
const STRENGTH: f64 = 0.5;
/// Side of the latents of models that name none, as UNet files had it first.
const LATENTS: usize = 64;

/// A model's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Native {
    pub(super) steps: usize,
    pub(super) guidance_scale: f64,
    pub(super) strength: f64,
    /// Most pixels the model works at.
    #[serde(default = "megapixel")]
    pub(super) pixels: u64,
}

/// Beyond it the models this program runs gain nothing.
fn megapixel() -> u64 {
    1 << 20
}

impl Native {
    /// Those of a network whose files name none: its training size, and what suits how it sees the source.
    pub(super) fn of(unet: &UNetConfig, codec: &AutoencoderConfig) -> Self {
        let side = unet.sample_size.unwrap_or(LATENTS).clamp(1, 1024) * codec.downscale();
        let instructed = seen(unet, codec.latent_channels) == Some(Conditioning::Instructed);
        Self {
            steps: STEPS,
            guidance_scale: match unet.added {
                Some(_) => POOLED_GUIDANCE,
                None => GUIDANCE,
            },
            // What it keeps it sees, and needs nothing of it to start from.
            strength: if instructed { 1.0 } else { STRENGTH },
            pixels: (side * side) as u64,
        }
    }
}
