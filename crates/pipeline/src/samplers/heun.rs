//! Heun's method (Karras et al. 2022, algorithm 2 without churn).

use imagegen_engine::Tensor;

use super::step::{Step, Tools, slope};
use crate::Error;
use crate::elementwise::{add_scaled, zip};

/// Takes Euler's step, asks again where it led, and goes by the mean of both slopes. The step to sigma
/// 0 is Euler's alone, since there is no slope at 0.
pub(super) fn step(step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let ahead = step.toward_denoised(step.to)?;
    let Some(&next) = step.schedule.levels().get(step.index + 1) else {
        return Ok(ahead);
    };
    let denoised = tools.denoise(&ahead, next)?;
    let there = slope(&ahead, &denoised, next.sigma)?;
    let turn = zip("slope", &there, &step.slope()?, |there, here| there - here)?;
    Ok(add_scaled(&ahead, &turn, 0.5 * (step.to - step.from))?)
}
