//! Consistency sampling of latent consistency models (Luo et al. 2023), as in diffusers.

use imagegen_engine::Tensor;

use super::step::{Step, Tools};
use crate::Error;
use crate::elementwise::weighted;
use crate::schedule::variance_of_noised;

/// Standard deviation of the data in the boundary condition of consistency models.
const DATA: f64 = 0.5;

/// Takes the clean estimate, with the little share of the latents themselves that consistency models
/// are trained with, and puts fresh noise of the next sigma on it.
pub(super) fn step(step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let time = step.level.timestep * step.schedule.timestep_scaling();
    let total = time * time + DATA * DATA;
    let of_variance_1 = 1.0 / variance_of_noised(step.level.sigma).sqrt();
    let clean = weighted(&[
        (time / total.sqrt(), step.clipped()),
        (DATA * DATA / total * of_variance_1, step.noised.clone()),
    ])?;
    tools.add_noise(clean, step.to)
}
