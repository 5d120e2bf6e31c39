//! DDIM (Song, Meng, Ermon 2020), in the space where noised = clean + sigma * noise.

use imagegen_engine::Tensor;

use super::{Step, ancestral};
use crate::elementwise::{add_scaled, zip};
use crate::{Error, Noise};

/// Keeps the direction of the noise, shrinks it to the next sigma and puts it on the clipped estimate.
/// The direction comes from the estimate before clipping, for every prediction type, as in diffusers.
pub(super) fn step(step: &Step<'_>, eta: f64, noise: &mut dyn Noise) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, eta);
    let keep = (down / step.from) as f32;
    let range = step.clip.map_or(f32::INFINITY, |range| range as f32);
    let moved = zip(
        "denoised latents",
        step.noised,
        step.denoised,
        |noised, denoised| denoised.clamp(-range, range) + keep * (noised - denoised),
    )?;
    if up == 0.0 {
        return Ok(moved);
    }
    Ok(add_scaled(&moved, &noise.normal(step.shape()?), up)?)
}
