//! UniPC (Zhao et al. 2023) of second order, predicting the clean latents, with B(h) = e^h - 1, as in
//! diffusers.

use imagegen_engine::Tensor;

use super::step::{Moved, Past, Step};
use crate::Error;
use crate::elementwise::{toward, weighted, zip};

/// Corrects the latents it starts from with the estimate made there, then predicts the next ones.
pub(super) fn step(step: &Step<'_>) -> Result<Moved, Error> {
    let corrected = match step.history {
        [] => None,
        [last, older @ ..] => Some(corrected(step, last, older.first())?),
    };
    let start = corrected.as_ref().unwrap_or(step.noised);
    Ok(Moved {
        latents: predicted(step, start)?,
        corrected,
    })
}

/// The latents at `step.from` again, from where the last step started, with the slope of the clean
/// estimate over that step, and over the one before it where there is one.
fn corrected(step: &Step<'_>, last: &Past, older: Option<&Past>) -> Result<Tensor, Error> {
    let keep = step.from / last.sigma;
    let length = libm::log(last.sigma / step.from);
    let moved = toward(&last.denoised, &last.noised, keep)?;
    let change = |estimate: &Tensor| {
        zip(
            "denoised latents",
            estimate,
            &last.denoised,
            |estimate, last| estimate - last,
        )
    };
    // B(h), which is negative.
    let whole = keep - 1.0;
    let Some(older) = older else {
        return Ok(weighted(&[
            (1.0, moved),
            (-0.5 * whole, change(step.denoised)?),
        ])?);
    };
    // Where the older estimate lies, in lengths of the last step; then the two weights that make the
    // method exact for estimates that are lines and parabolas in log sigma.
    let place = -libm::log(older.sigma / last.sigma) / length;
    let first = (whole / -length - 1.0) / whole;
    let second = 2.0 * ((whole / -length - 1.0) / -length - 0.5) / whole;
    let weight_older = (second - first) / (place - 1.0);
    let weight_new = first - weight_older;
    Ok(weighted(&[
        (1.0, moved),
        (-whole * weight_older / place, change(&older.denoised)?),
        (-whole * weight_new, change(step.denoised)?),
    ])?)
}

/// The next latents from `start`, with the slope of the clean estimate over the last step. The first
/// step has none, and the last one is taken in first order.
fn predicted(step: &Step<'_>, start: &Tensor) -> Result<Tensor, Error> {
    let keep = step.to / step.from;
    let moved = toward(step.denoised, start, keep)?;
    let is_last = step.index + 1 == step.schedule.levels().len();
    let Some(past) = step.history.first().filter(|_| !is_last) else {
        return Ok(moved);
    };
    let place = -libm::log(past.sigma / step.from) / libm::log(step.from / step.to);
    let change = zip(
        "denoised latents",
        &past.denoised,
        step.denoised,
        |past, now| past - now,
    )?;
    Ok(weighted(&[
        (1.0, moved),
        (-0.5 * (keep - 1.0) / place, change),
    ])?)
}
