//! Ancestral sampling with Euler steps, as in k-diffusion.

use imagegen_engine::Tensor;

use super::{Step, ancestral};
use crate::elementwise::{add_scaled, toward};
use crate::{Error, Noise};

/// Goes below the next sigma and comes back up to it with fresh noise; none is drawn where the next
/// sigma is 0.
pub(super) fn step(step: &Step<'_>, noise: &mut dyn Noise) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, 1.0);
    let moved = toward(step.denoised, step.noised, down / step.from)?;
    if up == 0.0 {
        return Ok(moved);
    }
    Ok(add_scaled(&moved, &noise.normal(step.shape()?), up)?)
}
