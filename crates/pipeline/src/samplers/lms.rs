//! Linear multistep (Adams-Bashforth) in sigma, of order 4, as in k-diffusion.

use imagegen_engine::Tensor;

use super::step::Step;
use crate::Error;

/// Slopes that a step reads, its own included.
const ORDER: usize = 4;

/// Follows the polynomial through the last slopes.
///
/// Entered in the middle of its list, diffusers counts the steps that were left away as well: it weighs
/// as if there were slopes, and takes them for 0. [`crate::Stepping::Diffusers`] does the same.
pub(super) fn step(step: &Step<'_>) -> Result<Tensor, Error> {
    let past = &step.history[..step.history.len().min(ORDER - 1)];
    let mut sigmas = vec![step.from];
    sigmas.extend(past.iter().map(|past| past.sigma));
    sigmas.extend(step.schedule.left_away());
    sigmas.truncate(ORDER);
    let slope = step.slope()?;
    let mut older = Vec::new();
    for chosen in 1..sigmas.len() {
        let there = match past.get(chosen - 1) {
            Some(past) => past.slope()?,
            None => Tensor::zeros(slope.shape()),
        };
        older.push((weight(&sigmas, chosen, step.to), there));
    }
    step.multistep(&slope, &older)
}

/// The integral from `sigmas[0]` to `to` of the polynomial that is 1 at `sigmas[chosen]` and 0 at the
/// other sigmas. Gauss' rule of two points is exact up to the third power, which is as high as it gets.
fn weight(sigmas: &[f64], chosen: usize, to: f64) -> f64 {
    let basis = |at: f64| -> f64 {
        let others = sigmas.iter().enumerate().filter(|&(i, _)| i != chosen);
        others
            .map(|(_, sigma)| (at - sigma) / (sigmas[chosen] - sigma))
            .product()
    };
    let (middle, half) = ((sigmas[0] + to) / 2.0, (to - sigmas[0]) / 2.0);
    let reach = half / 3f64.sqrt();
    half * (basis(middle - reach) + basis(middle + reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_steps_have_the_weights_of_adams_and_bashforth() {
        let sigmas = [1.0, 2.0, 3.0, 4.0];
        let want = [-55.0 / 24.0, 59.0 / 24.0, -37.0 / 24.0, 9.0 / 24.0];
        for (chosen, want) in want.into_iter().enumerate() {
            assert!((weight(&sigmas, chosen, 0.0) - want).abs() < 1e-14);
        }
    }
}
