//! Euler's method (Karras et al. 2022, algorithm 2 without churn).

use imagegen_engine::Tensor;

use super::Step;
use crate::Error;
use crate::elementwise::toward;

/// Goes straight towards the clean estimate until the noise has shrunk to the next sigma.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    Ok(toward(step.denoised, step.noised, step.to / step.from)?)
}
