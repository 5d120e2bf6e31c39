//! DDPM (Ho, Jain, Abbeel 2020) with the smaller of its two variances, over any list of timesteps.

use imagegen_engine::Tensor;

use super::step::{Step, Tools, ancestral};
use crate::Error;
use crate::elementwise::toward;

/// Goes to the mean of the posterior of the clipped estimate and adds noise of its variance.
pub(super) fn step(step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let (up, down) = ancestral(step.from, step.to, 1.0);
    let moved = toward(&step.clipped(), step.noised, down / step.from)?;
    tools.add_noise(moved, up)
}
