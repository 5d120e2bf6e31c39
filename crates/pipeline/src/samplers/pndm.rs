//! PNDM (Liu et al. 2022) without its Runge-Kutta steps: pseudo linear multistep of order 4, also known
//! as PLMS.
//!
//! The first step is taken twice, by the mean of the slopes at both its ends, as in Heun's method.
//! diffusers writes that second call as a step of its own, at a timestep that stands twice in its list,
//! and counts calls rather than timesteps: entered in the middle of the list it takes the wrong step
//! over again and stays one level behind to the end. [`crate::Stepping::Diffusers`] does the same.

use imagegen_engine::Tensor;

use super::step::{Past, Step, Tools, relabelled, slope};
use crate::Error;
use crate::elementwise::{add_scaled, toward, weighted};
use crate::schedule::variance_of_noised;

/// Weights of older slopes after 1, 2, 3 and more steps; the newest has what is missing to 1.
const WEIGHTS: [&[f64]; 4] = [
    &[],
    &[-1.0 / 2.0],
    &[-16.0 / 12.0, 5.0 / 12.0],
    &[-59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

pub(super) fn step(step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    if step.index == 0 && !step.schedule.retakes() {
        return averaged(step, tools);
    }
    if step.index == 1 && step.schedule.retakes() {
        return taken_over(step);
    }
    // The call that took a step over again is none of the multistep method's.
    let skipped = step.schedule.retakes().then_some(1);
    let counted = |&(back, _): &(usize, &Past)| Some(step.index - 1 - back) != skipped;
    let past: Vec<&Past> = (step.history.iter().enumerate().filter(counted))
        .map(|(_, past)| past)
        .collect();
    let weights = WEIGHTS[past.len().min(3)];
    if step.schedule.mixes_velocity() {
        return by_velocity(step, step.noised, &past, weights);
    }
    let weighted =
        |(weight, past): (&f64, &&Past)| Ok((weight * (step.to - step.from), past.slope()?));
    let older: Vec<_> = (weights.iter().zip(&past).map(weighted)).collect::<Result<_, Error>>()?;
    step.multistep(&step.slope()?, &older)
}

/// The first step: Euler's, then again by the mean of its slope and the one where it led.
fn averaged(step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Tensor, Error> {
    let ahead = step.toward_denoised(step.to)?;
    let Some(&next) = step.schedule.levels().get(1) else {
        return Ok(ahead);
    };
    let denoised = tools.denoise(&ahead, next)?;
    let there = slope(&ahead, &denoised, next.sigma)?;
    step.multistep(&step.slope()?, &[(0.5 * (step.to - step.from), there)])
}

/// diffusers' second call: from where the first one started, by the mean of both slopes.
fn taken_over(step: &Step<'_>) -> Result<Tensor, Error> {
    let first = &step.history[0];
    let start = relabelled(first.noised.clone(), first.sigma, step.from);
    if step.schedule.mixes_velocity() {
        return by_velocity(step, &start, &[first], &[0.5]);
    }
    let mean = weighted(&[(0.5, step.slope()?), (0.5, first.slope()?)])?;
    Ok(add_scaled(&start, &mean, step.to - step.from)?)
}

/// diffusers mixes what the network says, which for models of velocity is not the slope: `noised` moved
/// from `from` to `to` by the mixed velocity.
fn by_velocity(
    step: &Step<'_>,
    noised: &Tensor,
    past: &[&Past],
    weights: &[f64],
) -> Result<Tensor, Error> {
    let newest = 1.0 - weights.iter().sum::<f64>();
    let mut terms = vec![(
        newest,
        velocity(step.noised, step.denoised, step.level.sigma)?,
    )];
    for (&weight, past) in weights.iter().zip(past) {
        terms.push((weight, velocity(&past.noised, &past.denoised, past.sigma)?));
    }
    // The clean estimate that the mixed velocity stands for.
    let variance = variance_of_noised(step.from);
    let mixed = weighted(&terms)?;
    let denoised = weighted(&[
        (1.0 / variance, noised.clone()),
        (-step.from / variance.sqrt(), mixed),
    ])?;
    Ok(toward(&denoised, noised, step.to / step.from)?)
}

/// What a model of velocity said when it gave this estimate.
fn velocity(noised: &Tensor, denoised: &Tensor, sigma: f64) -> Result<Tensor, Error> {
    let variance = variance_of_noised(sigma);
    Ok(weighted(&[
        (1.0 / (sigma * variance.sqrt()), noised.clone()),
        (-variance.sqrt() / sigma, denoised.clone()),
    ])?)
}
