//! DPM-Solver++ for the stochastic equation, singlestep, as in k-diffusion with r = 1/2. Each draw of
//! noise is independent of the others.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral, between};
use crate::Error;
use crate::elementwise::toward;

/// Goes half way in log sigma with its own fresh noise, asks again there, and goes the whole way from
/// the start towards that estimate, again with fresh noise. With r = 1/2 the first estimate has no
/// weight in the second half.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let middle = between(step.from, step.to);
    if middle == 0.0 {
        return step.toward_denoised(step.to);
    }
    let (up, down) = ancestral(step.from, middle, eta);
    let half_way = tools.add_noise(step.toward_denoised(down)?, up)?;
    let denoised = tools.denoise(&half_way, step.schedule.level_of(middle))?;
    let (up, down) = ancestral(step.from, step.to, eta);
    let moved = toward(&denoised, step.noised, down / step.from)?;
    tools.add_noise(moved, up)
}
