//! DPM-Solver++(2M), midpoint (Lu et al. 2022), in the space where noised = clean + sigma * noise.

use imagegen_engine::Tensor;

use super::Step;
use crate::Error;
use crate::elementwise::{toward, zip};

/// Goes towards a clean estimate extrapolated from this step's and the last one's. The first step and
/// one to sigma 0 have nothing to extrapolate over and take this step's estimate alone.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    let keep = step.to / step.from;
    let (previous, previous_sigma) = match step.previous {
        Some(previous) if step.to > 0.0 => previous,
        _ => return Ok(toward(step.denoised, step.noised, keep)?),
    };
    // Half the ratio of this step's length to the last one's, both in log sigma.
    let length = libm::log(step.from / step.to);
    let weight = (0.5 * length / libm::log(previous_sigma / step.from)) as f32;
    let ahead = zip(
        "denoised latents",
        step.denoised,
        previous,
        |denoised, previous| denoised + weight * (denoised - previous),
    )?;
    Ok(toward(&ahead, step.noised, keep)?)
}
