//! What an algorithm knows of one step, and what it may ask for.

use imagegen_engine::Tensor;

use crate::elementwise::{add_scaled, scaled, toward, weighted, zip};
use crate::schedule::variance_of_noised;
use crate::{Denoiser, Error, Noise, NoiseLevel, Schedule, Stage};

/// Steps that are remembered: PNDM reads four estimates and passes one over.
pub(super) const HISTORY: usize = 4;

/// All that an algorithm knows of one step.
pub(super) struct Step<'a> {
    /// Which step, counted from 0.
    pub index: usize,
    /// Latents at `level`, `[N, H, W, C]`.
    pub noised: &'a Tensor,
    /// The clean estimate of `noised`, not clipped.
    pub denoised: &'a Tensor,
    /// The level the estimate was made at.
    pub level: NoiseLevel,
    /// Sigma to move from, above 0: the level's, but where PNDM takes a step over again.
    pub from: f64,
    /// Sigma to reach, at least 0 and at most `from`.
    pub to: f64,
    /// The steps before, latest first.
    pub history: &'a [Past],
    /// The whole schedule.
    pub schedule: &'a Schedule,
}

/// A step that has been done.
pub(super) struct Past {
    /// What it started from.
    pub noised: Tensor,
    /// Its clean estimate.
    pub denoised: Tensor,
    /// Sigma of both.
    pub sigma: f64,
}

/// What a step arrives at.
pub(super) struct Moved {
    /// Latents at the sigma to reach.
    pub latents: Tensor,
    /// Better latents at the sigma it started from, where the algorithm found some.
    pub corrected: Option<Tensor>,
}

impl Moved {
    pub(super) fn to(latents: Tensor) -> Self {
        Self {
            latents,
            corrected: None,
        }
    }
}

/// What an algorithm may ask for during a step.
pub(super) struct Tools<'a> {
    pub denoiser: &'a mut dyn Denoiser,
    pub noise: &'a mut dyn Noise,
    pub stage: Stage,
}

impl Tools<'_> {
    /// The clean estimate of `noised` at `level`. Fails with [`Error::NotFinite`] naming the step.
    pub(super) fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let denoised = self.denoiser.denoise(noised, level)?;
        if denoised.is_finite() {
            Ok(denoised)
        } else {
            Err(Error::NotFinite { stage: self.stage })
        }
    }

    /// `base` with fresh noise of standard deviation `weight`; draws nothing at 0.
    pub(super) fn add_noise(&mut self, base: Tensor, weight: f64) -> Result<Tensor, Error> {
        if weight == 0.0 {
            return Ok(base);
        }
        let noise = self.noise.normal(base.nhwc("noised latents")?);
        Ok(add_scaled(&base, &noise, weight)?)
    }
}

impl Step<'_> {
    /// The clean estimate, clamped where the model's files say so.
    pub(super) fn clipped(&self) -> Tensor {
        let mut clipped = self.denoised.clone();
        if let Some(range) = self.schedule.clip() {
            let range = range as f32;
            let clamp = |value: &mut f32| *value = value.clamp(-range, range);
            clipped.data_mut().iter_mut().for_each(clamp);
        }
        clipped
    }

    /// Straight towards the clean estimate, until the noise has shrunk to `sigma`.
    pub(super) fn toward_denoised(&self, sigma: f64) -> Result<Tensor, Error> {
        Ok(toward(self.denoised, self.noised, sigma / self.from)?)
    }

    /// The slope `(noised - denoised) / sigma` of this step, which is the noise as the model sees it.
    pub(super) fn slope(&self) -> Result<Tensor, Error> {
        slope(self.noised, self.denoised, self.level.sigma)
    }

    /// Euler's step to `to`, plus a sum of the past slopes' differences to `slope`, weighted.
    ///
    /// Multistep methods say `sum of w_i * slope_i` with weights that add up to `to - from`; written
    /// like this, what the slopes have in common goes to sigma 0 without rounding.
    pub(super) fn multistep(
        &self,
        slope: &Tensor,
        past: &[(f64, Tensor)],
    ) -> Result<Tensor, Error> {
        let mut terms = vec![(1.0, self.toward_denoised(self.to)?)];
        for (weight, older) in past {
            let difference = zip("slope", older, slope, |older, slope| older - slope)?;
            terms.push((*weight, difference));
        }
        Ok(weighted(&terms)?)
    }
}

impl Past {
    /// The slope of the step; see [`Step::slope`].
    pub(super) fn slope(&self) -> Result<Tensor, Error> {
        slope(&self.noised, &self.denoised, self.sigma)
    }
}

/// `(noised - denoised) / sigma`.
pub(super) fn slope(noised: &Tensor, denoised: &Tensor, sigma: f64) -> Result<Tensor, Error> {
    let inverse = (1.0 / sigma) as f32;
    Ok(zip(
        "denoised latents",
        noised,
        denoised,
        |noised, denoised| inverse * (noised - denoised),
    )?)
}

/// Latents of noise level `from` taken for latents of `to`. Does nothing where a step ended at the
/// level the next one starts from; where diffusers jumps (see [`crate::Stepping::Diffusers`]), it keeps
/// the latents of variance 1 that its loop holds.
pub(crate) fn relabelled(noised: Tensor, from: f64, to: f64) -> Tensor {
    if from == to {
        return noised;
    }
    scaled(
        noised,
        (variance_of_noised(to) / variance_of_noised(from)).sqrt(),
    )
}

/// Standard deviation of fresh noise, and the sigma to step down to before it is added, so that both
/// together reach `to`. `eta` scales the fresh noise; 1 is as much as DDPM adds.
pub(super) fn ancestral(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = (eta * to * ((from * from - to * to) / (from * from)).max(0.0).sqrt()).min(to);
    // f64 and clamped: in f32 a big drop in sigma rounds the radicand below zero and all is NaN.
    (up, (to * to - up * up).max(0.0).sqrt())
}

/// The sigma half way between two, in log sigma; 0 if one of them is.
pub(super) fn between(from: f64, to: f64) -> f64 {
    (from * to).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestral_noise_stays_finite_and_adds_up_at_any_drop() {
        for from in [1e-3, 0.03, 1.0, 14.6, 277.0, 4096.0, 2e4, 1e8] {
            for share in [0.0, 1e-9, 1e-3, 0.3, 0.999, 1.0 - 1e-12, 1.0] {
                for eta in [0.0, 0.5, 1.0] {
                    let to = from * share;
                    let (up, down) = ancestral(from, to, eta);
                    assert!(up >= 0.0 && down >= 0.0 && up <= to);
                    assert!((up.hypot(down) - to).abs() <= 1e-12 * to);
                }
            }
        }
    }
}
