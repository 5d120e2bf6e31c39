//! DDIM (Song, Meng, Ermon 2020), in the space where noised = clean + sigma * noise.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral};
use crate::Error;
use crate::elementwise::zip;

/// Keeps the direction of the noise, shrinks it to the next sigma and puts it on the clipped estimate.
/// The direction comes from the estimate before clipping, for every prediction type, as in diffusers.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, eta);
    let keep = (down / step.from) as f32;
    let range = step.schedule.clip().map_or(f32::INFINITY, |r| r as f32);
    let moved = zip(
        "denoised latents",
        step.noised,
        step.denoised,
        |noised, denoised| denoised.clamp(-range, range) + keep * (noised - denoised),
    )?;
    tools.add_noise(moved, up)
}
