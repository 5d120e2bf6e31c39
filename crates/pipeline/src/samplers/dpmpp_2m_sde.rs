//! DPM-Solver++(2M) for the stochastic equation, midpoint, as in k-diffusion and diffusers. Each draw of
//! noise is independent of the others.

use imagegen_engine::Tensor;

use super::dpmpp_2m::ahead;
use super::step::{Step, Tools};
use crate::Error;
use crate::elementwise::toward;

/// As DPM-Solver++(2M), but with more of the old noise taken away and fresh noise in its place.
pub(super) fn step(step: &Step<'_>, eta: f64, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    if step.to == 0.0 {
        return step.toward_denoised(0.0);
    }
    let length = libm::log(step.from / step.to);
    let keep = libm::exp(-(1.0 + eta) * length);
    let moved = match ahead(step)? {
        Some(ahead) => toward(&ahead, step.noised, keep)?,
        None => toward(step.denoised, step.noised, keep)?,
    };
    let up = step.to * (-libm::expm1(-2.0 * eta * length)).max(0.0).sqrt();
    tools.add_noise(moved, up)
}
