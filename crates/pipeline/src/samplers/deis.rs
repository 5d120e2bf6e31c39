//! DEIS (Zhang and Chen 2022) of second order with a polynomial in log sigma, as in diffusers.

use imagegen_engine::Tensor;

use super::step::Step;
use crate::Error;

/// Runs of fewer steps than this take their last step in first order, as diffusers does.
const FEW_STEPS: usize = 15;

/// Follows the line in log sigma through this slope and the last one.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    let steps = step.schedule.levels().len();
    let last_of_few = step.index + 1 == steps && steps < FEW_STEPS;
    let (slope, mut older) = (step.slope()?, Vec::new());
    if let Some(past) = step
        .history
        .first()
        .filter(|_| !last_of_few && step.to > 0.0)
    {
        let weight =
            integral(step.to, past.sigma, step.from) - integral(step.from, past.sigma, step.from);
        older.push((weight, past.slope()?));
    }
    step.multistep(&slope, &older)
}

/// The antiderivative at `sigma` of the line in log sigma that is 1 at `one` and 0 at `zero`.
fn integral(sigma: f64, one: f64, zero: f64) -> f64 {
    sigma * (libm::log(sigma / zero) - 1.0) / libm::log(one / zero)
}
