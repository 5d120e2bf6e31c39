//! The noise levels a network was trained on: betas, cumulative alphas, and sigma of a timestep.

use std::sync::Arc;

use super::{BetaSchedule, ScheduleConfig};
use crate::Error;

/// Largest beta of the squared cosine schedule.
const MAX_COSINE_BETA: f64 = 0.999;

/// Last cumulative alpha under zero terminal SNR (2^-24, sigma 4096): keeps the first sigma finite,
/// with diffusers' value. Schedules that come closer to 0 on their own take half of the alpha before,
/// where diffusers lets the last one rise again.
const ZERO_SNR_ALPHA: f64 = 1.0 / 16_777_216.0;

/// The training schedule of one model, computed once from its [`ScheduleConfig`], all in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSchedule {
    config: ScheduleConfig,
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
    sigmas: Arc<[f64]>,
}

impl TrainingSchedule {
    /// Computes the tables.
    ///
    /// Fails with [`Error::Value`] if there are fewer than two timesteps, a beta lies outside (0, 1)
    /// or a clip range or LCM's timestep scaling is not positive, or LCM's steps are not within the
    /// training scale.
    pub fn new(config: ScheduleConfig) -> Result<Self, Error> {
        let betas = betas(&config)?;
        if betas.len() < 2 {
            return Err(Error::value(
                "num_train_timesteps",
                betas.len(),
                "at least 2",
            ));
        }
        if let Some(beta) = betas.iter().find(|b| !(**b > 0.0 && **b < 1.0)) {
            return Err(Error::value(
                "beta",
                beta,
                "a number between 0 and 1, both excluded",
            ));
        }
        if let Some(range) = config.clip_sample.filter(|r| !(*r > 0.0 && r.is_finite())) {
            return Err(Error::value(
                "clip_sample_range",
                range,
                "a positive number",
            ));
        }
        let original = config.original_inference_steps;
        if !(1..=betas.len()).contains(&original) {
            return Err(Error::value(
                "original_inference_steps",
                original,
                format!("1 to {}", betas.len()),
            ));
        }
        let scaling = config.timestep_scaling;
        if !(scaling > 0.0 && scaling.is_finite()) {
            return Err(Error::value(
                "timestep_scaling",
                scaling,
                "a positive number",
            ));
        }
        let mut alphas_cumprod = cumulative_alphas(&betas);
        let mut betas = betas;
        if config.rescale_betas_zero_snr {
            alphas_cumprod = zero_terminal_snr(&alphas_cumprod);
            betas = betas_of(&alphas_cumprod);
        }
        let sigmas: Arc<[f64]> = alphas_cumprod
            .iter()
            .map(|a| ((1.0 - a) / a).sqrt())
            .collect();
        if sigmas.windows(2).any(|pair| pair[0] >= pair[1]) || !sigmas.iter().all(|s| s.is_finite())
        {
            return Err(Error::value(
                "betas",
                "too small or too large",
                "sigmas that rise",
            ));
        }
        Ok(Self {
            config,
            betas,
            alphas_cumprod,
            sigmas,
        })
    }

    /// The settings the tables were computed from.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// Variance added at each training timestep, in (0, 1).
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// Share of the clean signal's variance left at each training timestep; falls strictly.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// Noise per unit of clean signal at each training timestep: sqrt((1 - abar) / abar); rises.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// The last training timestep, 999 of 1000.
    pub fn last_timestep(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// Sigma of a timestep that may be fractional, interpolated in log sigma.
    /// Clamped to the training scale at both ends.
    pub fn sigma(&self, timestep: f64) -> f64 {
        let (below, share) = self.place(timestep);
        if share == 0.0 {
            return self.sigmas[below];
        }
        let (low, high) = (
            libm::log(self.sigmas[below]),
            libm::log(self.sigmas[below + 1]),
        );
        libm::exp(low + share * (high - low))
    }

    /// The (fractional) timestep of a sigma, interpolated in log sigma: the inverse of
    /// [`TrainingSchedule::sigma`]. Clamped to the training scale at both ends.
    pub fn timestep(&self, sigma: f64) -> f64 {
        timestep_of(&self.sigmas, sigma)
    }

    /// The sigmas of all training timesteps, to be kept by the schedules made from them.
    pub(super) fn shared_sigmas(&self) -> Arc<[f64]> {
        Arc::clone(&self.sigmas)
    }

    /// Sigma of a timestep, interpolated in sigma itself, as diffusers' schedulers lay out their steps.
    /// Equal to [`TrainingSchedule::sigma`] at whole timesteps.
    pub(super) fn sigma_linear(&self, timestep: f64) -> f64 {
        sigma_between(&self.sigmas, timestep)
    }

    /// The training timestep at or below, and the way to the next one as a share in [0, 1).
    fn place(&self, timestep: f64) -> (usize, f64) {
        place(&self.sigmas, timestep)
    }
}

/// The timestep of `sigma` among the rising `sigmas` of a training scale, interpolated in log sigma and
/// clamped at both ends.
pub(super) fn timestep_of(sigmas: &[f64], sigma: f64) -> f64 {
    let above = sigmas.partition_point(|&s| s <= sigma);
    if above == 0 {
        return 0.0;
    }
    if above == sigmas.len() {
        return (sigmas.len() - 1) as f64;
    }
    let (low, high) = (libm::log(sigmas[above - 1]), libm::log(sigmas[above]));
    (above - 1) as f64 + (libm::log(sigma) - low) / (high - low)
}

/// The sigma at `timestep` among the `sigmas` of a training scale, interpolated in sigma and clamped at
/// both ends.
pub(super) fn sigma_between(sigmas: &[f64], timestep: f64) -> f64 {
    let (below, share) = place(sigmas, timestep);
    if share == 0.0 {
        return sigmas[below];
    }
    sigmas[below] + share * (sigmas[below + 1] - sigmas[below])
}

fn place(sigmas: &[f64], timestep: f64) -> (usize, f64) {
    let timestep = timestep.clamp(0.0, (sigmas.len() - 1) as f64);
    (timestep.floor() as usize, timestep - timestep.floor())
}

fn betas(config: &ScheduleConfig) -> Result<Vec<f64>, Error> {
    if let Some(trained) = &config.trained_betas {
        if trained.len() != config.num_train_timesteps {
            let expected = format!(
                "{} numbers, one a training timestep",
                config.num_train_timesteps
            );
            return Err(Error::value(
                "trained_betas",
                format!("{} numbers", trained.len()),
                expected,
            ));
        }
        return Ok(trained.clone());
    }
    let count = config.num_train_timesteps;
    Ok(match config.beta_schedule {
        BetaSchedule::Linear => evenly(config.beta_start, config.beta_end, count),
        BetaSchedule::ScaledLinear => {
            let roots = evenly(config.beta_start.sqrt(), config.beta_end.sqrt(), count);
            roots.into_iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredcosCapV2 => (0..count)
            .map(|i| {
                let (from, to) = (i as f64 / count as f64, (i + 1) as f64 / count as f64);
                (1.0 - cosine_alpha(to) / cosine_alpha(from)).min(MAX_COSINE_BETA)
            })
            .collect(),
    })
}

/// `count` numbers from `first` to `last`, both included.
fn evenly(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last - first) / count.saturating_sub(1).max(1) as f64;
    (0..count)
        .map(|i| {
            if i + 1 == count {
                last
            } else {
                first + i as f64 * step
            }
        })
        .collect()
}

/// Cumulative alpha of the squared cosine schedule at `time` in 0..1.
fn cosine_alpha(time: f64) -> f64 {
    let root = libm::cos((time + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2);
    root * root
}

fn cumulative_alphas(betas: &[f64]) -> Vec<f64> {
    let product = |product: &mut f64, beta: &f64| {
        *product *= 1.0 - beta;
        Some(*product)
    };
    betas.iter().scan(1.0, product).collect()
}

/// Shifts and stretches sqrt(abar) so that the first stays and the last is 0, then lifts that 0 to
/// [`ZERO_SNR_ALPHA`].
fn zero_terminal_snr(alphas_cumprod: &[f64]) -> Vec<f64> {
    let end = alphas_cumprod.len() - 1;
    let (first, last) = (alphas_cumprod[0].sqrt(), alphas_cumprod[end].sqrt());
    let stretch = first / (first - last);
    let rescale = |alpha: &f64| {
        let root = (alpha.sqrt() - last) * stretch;
        root * root
    };
    let mut rescaled: Vec<f64> = alphas_cumprod.iter().map(rescale).collect();
    rescaled[end] = ZERO_SNR_ALPHA.min(0.5 * rescaled[end - 1]);
    rescaled
}

fn betas_of(alphas_cumprod: &[f64]) -> Vec<f64> {
    let mut last = 1.0;
    let mut beta = |&alpha: &f64| 1.0 - alpha / std::mem::replace(&mut last, alpha);
    alphas_cumprod.iter().map(&mut beta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchedulerClass;

    fn every_schedule() -> Vec<TrainingSchedule> {
        let mut all = Vec::new();
        for beta_schedule in [
            BetaSchedule::Linear,
            BetaSchedule::ScaledLinear,
            BetaSchedule::SquaredcosCapV2,
        ] {
            for rescale_betas_zero_snr in [false, true] {
                for (beta_start, beta_end) in [(1e-4, 0.02), (0.00085, 0.012), (0.0025, 0.02)] {
                    let defaults = ScheduleConfig::defaults(SchedulerClass::Ddim);
                    let config = ScheduleConfig {
                        beta_start,
                        beta_end,
                        beta_schedule,
                        rescale_betas_zero_snr,
                        ..defaults
                    };
                    all.push(TrainingSchedule::new(config).unwrap());
                }
            }
        }
        all
    }

    #[test]
    fn betas_lie_between_0_and_1_and_alphas_fall() {
        for schedule in every_schedule() {
            assert_eq!(schedule.betas().len(), 1000);
            assert!(schedule.betas().iter().all(|b| *b > 0.0 && *b < 1.0));
            assert!(
                schedule
                    .alphas_cumprod()
                    .windows(2)
                    .all(|pair| pair[0] > pair[1])
            );
        }
    }

    #[test]
    fn sigma_and_timestep_are_inverse() {
        for schedule in every_schedule() {
            for timestep in [0.0, 0.25, 1.0, 123.4, 500.0, 998.5, 999.0] {
                let back = schedule.timestep(schedule.sigma(timestep));
                assert!(
                    (back - timestep).abs() < 1e-6,
                    "{timestep} came back as {back}"
                );
            }
            assert_eq!(schedule.timestep(0.0), 0.0);
            assert_eq!(schedule.timestep(1e9), 999.0);
        }
    }

    // Python floats: betas = linspace(0.00085**.5, 0.012**.5, 1000)**2; ((1-cumprod)/cumprod)**.5.
    #[test]
    fn stable_diffusion_spans_its_known_sigmas() {
        let config = ScheduleConfig {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            ..ScheduleConfig::defaults(SchedulerClass::EulerDiscrete)
        };
        let schedule = TrainingSchedule::new(config).unwrap();
        assert!((schedule.sigmas()[0] - 0.029_167_15).abs() < 1e-8);
        assert!((schedule.sigmas()[999] - 14.614_64).abs() < 1e-5);
    }

    #[test]
    fn zero_snr_keeps_the_first_alpha_and_ends_at_sigma_4096() {
        let plain = ScheduleConfig {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            ..ScheduleConfig::defaults(SchedulerClass::Ddim)
        };
        let rescaled = ScheduleConfig {
            rescale_betas_zero_snr: true,
            ..plain.clone()
        };
        let plain = TrainingSchedule::new(plain).unwrap();
        let rescaled = TrainingSchedule::new(rescaled).unwrap();
        assert!((plain.alphas_cumprod()[0] - rescaled.alphas_cumprod()[0]).abs() < 1e-12);
        assert!((rescaled.sigmas()[999] - 4096.0).abs() < 1e-3);
    }

    #[test]
    fn bad_settings_are_refused_by_name() {
        let defaults = ScheduleConfig::defaults(SchedulerClass::Ddim);
        let fails = |config: ScheduleConfig| TrainingSchedule::new(config).unwrap_err().to_string();
        let beta_end = ScheduleConfig {
            beta_end: 1.5,
            ..defaults.clone()
        };
        assert!(fails(beta_end).starts_with("beta is 1.0"));
        let nan = ScheduleConfig {
            beta_start: f64::NAN,
            ..defaults.clone()
        };
        assert!(fails(nan).starts_with("beta is NaN"));
        let short = ScheduleConfig {
            num_train_timesteps: 1,
            ..defaults.clone()
        };
        assert_eq!(
            fails(short),
            "num_train_timesteps is 1, expected at least 2"
        );
        let trained = ScheduleConfig {
            trained_betas: Some(vec![0.1; 3]),
            ..defaults.clone()
        };
        assert!(fails(trained).contains("3 numbers"));
        let clip = ScheduleConfig {
            clip_sample: Some(0.0),
            ..defaults
        };
        assert_eq!(
            fails(clip),
            "clip_sample_range is 0, expected a positive number"
        );
    }
}
