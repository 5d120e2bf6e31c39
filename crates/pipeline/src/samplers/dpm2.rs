//! DPM-Solver-2 in the space of sigma, as in k-diffusion, with or without fresh noise.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral, between, slope};
use crate::Error;
use crate::elementwise::add_scaled;

/// Goes half way in log sigma, asks again there, and takes the whole step by that slope. A step to
/// sigma 0 is Euler's.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, eta);
    let middle = between(step.from, down);
    if middle == 0.0 {
        return tools.add_noise(step.toward_denoised(down)?, up);
    }
    let half_way = step.toward_denoised(middle)?;
    let denoised = tools.denoise(&half_way, step.schedule.level_of(middle))?;
    let slope = slope(&half_way, &denoised, middle)?;
    let moved = add_scaled(step.noised, &slope, down - step.from)?;
    tools.add_noise(moved, up)
}
