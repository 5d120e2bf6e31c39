//! DPM-Solver++(2M), midpoint (Lu et al. 2022), in the space where noised = clean + sigma * noise.

use imagegen_engine::Tensor;

use super::step::Step;
use crate::Error;
use crate::elementwise::{toward, zip};

/// Goes towards a clean estimate extrapolated from this step's and the last one's. The first step and
/// one to sigma 0 have nothing to extrapolate over and take this step's estimate alone.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    let keep = step.to / step.from;
    match ahead(step)? {
        Some(ahead) => Ok(toward(&ahead, step.noised, keep)?),
        None => Ok(toward(step.denoised, step.noised, keep)?),
    }
}

/// The clean estimate extrapolated to the middle of this step; `None` where there is nothing to
/// extrapolate over.
pub(super) fn ahead(step: &Step<'_>) -> Result<Option<Tensor>, Error> {
    let Some(past) = step.history.first().filter(|_| step.to > 0.0) else {
        return Ok(None);
    };
    // Half the ratio of this step's length to the last one's, both in log sigma.
    let length = libm::log(step.from / step.to);
    let weight = (0.5 * length / libm::log(past.sigma / step.from)) as f32;
    Ok(Some(zip(
        "denoised latents",
        step.denoised,
        &past.denoised,
        |denoised, previous| denoised + weight * (denoised - previous),
    )?))
}
