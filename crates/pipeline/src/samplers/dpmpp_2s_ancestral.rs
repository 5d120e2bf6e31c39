//! DPM-Solver++(2S) (Lu et al. 2022) with ancestral noise, as in k-diffusion.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral, between};
use crate::Error;
use crate::elementwise::toward;

/// Goes half way in log sigma, asks again there, and goes the whole way towards that estimate.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, eta);
    let middle = between(step.from, down);
    if middle == 0.0 {
        return tools.add_noise(step.toward_denoised(down)?, up);
    }
    let half_way = step.toward_denoised(middle)?;
    let denoised = tools.denoise(&half_way, step.schedule.level_of(middle))?;
    let moved = toward(&denoised, step.noised, down / step.from)?;
    tools.add_noise(moved, up)
}
