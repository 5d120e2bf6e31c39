//! Euler's method (Karras et al. 2022, algorithm 2 without churn).

use imagegen_engine::Tensor;

use super::step::Step;
use crate::Error;

/// Goes straight towards the clean estimate until the noise has shrunk to the next sigma.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    step.toward_denoised(step.to)
}
