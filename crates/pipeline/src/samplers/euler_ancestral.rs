//! Ancestral sampling with Euler steps, as in k-diffusion.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral};
use crate::Error;

/// Goes below the next sigma and comes back up to it with fresh noise; none is drawn where the next
/// sigma is 0.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, eta);
    let moved = step.toward_denoised(down)?;
    tools.add_noise(moved, up)
}
