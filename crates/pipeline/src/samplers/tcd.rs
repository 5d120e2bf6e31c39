//! Trajectory consistency sampling (Zheng et al. 2024), as in diffusers.

use imagegen_engine::Tensor;

use super::step::{Step, Tools};
use crate::Error;

/// Goes along the trajectory to the timestep `(1 - eta)` of the way down to the next one's, and comes
/// back up with fresh noise. The last step adds none.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let Some(next) = step.schedule.levels().get(step.index + 1) else {
        return step.toward_denoised(step.to);
    };
    // A whole timestep, and in f32, as diffusers computes it.
    let timestep = (((1.0 - eta) as f32) * next.timestep as f32).floor();
    let down = step.schedule.sigma_of(f64::from(timestep)).min(step.to);
    let down = if eta == 0.0 { step.to } else { down };
    let moved = step.toward_denoised(down)?;
    tools.add_noise(moved, (step.to * step.to - down * down).max(0.0).sqrt())
}
