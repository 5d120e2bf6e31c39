//! The noise levels a run visits: each sampler's steps laid over the training scale as diffusers does.

use super::{TimestepSpacing, TrainingSchedule};
use crate::{Error, Sampler};

/// Sigma that stands for "no signal at all" where DDIM meets a zero terminal SNR: diffusers' DDIM
/// works with a cumulative alpha of exactly 0 there. 1e8 drowns any f32 signal and still leaves the
/// noise itself exact.
const DDIM_ZERO_SNR_SIGMA: f64 = 1e8;

/// A place on the way from noise to picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseLevel {
    /// Noise per unit of clean signal, above 0.
    pub sigma: f64,
    /// Place on the training scale that the network is told; may be fractional.
    pub timestep: f64,
}

/// How closely a schedule follows diffusers where diffusers contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepping {
    /// Every step ends at the level the next one starts from, and a single step starts at the top of
    /// the training scale.
    Consistent,
    /// As diffusers: DDIM steps to `timestep - num_train_timesteps / steps` whatever the next timestep
    /// is, and a single step of `Linspace` or `Leading` starts at the bottom.
    Diffusers,
}

/// Descending noise levels, and where each step ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    levels: Vec<NoiseLevel>,
    targets: Vec<f64>,
    clip: Option<f64>,
    pure_noise_scale: f64,
}

impl Schedule {
    /// A schedule through `levels` that ends at `final_sigma`, each step ending where the next starts.
    ///
    /// Fails with [`Error::Value`] unless sigmas are finite, positive and strictly descending and
    /// `final_sigma` is at least 0 and at most the last one.
    pub fn new(levels: Vec<NoiseLevel>, final_sigma: f64) -> Result<Self, Error> {
        let descends = levels.windows(2).all(|pair| pair[0].sigma > pair[1].sigma);
        let positive = levels.iter().all(|l| l.sigma > 0.0 && l.sigma.is_finite());
        if !descends || !positive || levels.iter().any(|l| !l.timestep.is_finite()) {
            return Err(Error::value(
                "noise levels",
                format!("{levels:?}"),
                "falling sigmas above 0",
            ));
        }
        let most = levels.last().map_or(f64::MAX, |last| last.sigma);
        if !(0.0..=most).contains(&final_sigma) {
            return Err(Error::value(
                "final sigma",
                final_sigma,
                "0 to the last level's sigma",
            ));
        }
        let mut targets: Vec<f64> = levels.iter().skip(1).map(|level| level.sigma).collect();
        targets.extend(levels.first().map(|_| final_sigma));
        let pure_noise_scale = levels
            .first()
            .map_or(0.0, |l| variance_of_noised(l.sigma).sqrt());
        Ok(Self {
            levels,
            targets,
            clip: None,
            pure_noise_scale,
        })
    }

    /// A schedule of no steps.
    pub fn empty() -> Self {
        Self {
            levels: Vec::new(),
            targets: Vec::new(),
            clip: None,
            pure_noise_scale: 0.0,
        }
    }

    /// Where each step starts, sigmas strictly descending.
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.levels
    }

    /// The sigma each step ends at: the next level's, but for DDIM under [`Stepping::Diffusers`].
    pub fn targets(&self) -> &[f64] {
        &self.targets
    }

    /// The sigma after the last step: 0, or the sigma of timestep 0 for DDIM without `set_alpha_to_one`.
    pub fn final_sigma(&self) -> f64 {
        self.targets.last().copied().unwrap_or(0.0)
    }

    /// Range the clean estimate is clamped to by samplers that clip.
    pub fn clip(&self) -> Option<f64> {
        self.clip
    }

    /// What unit noise is multiplied by when the first step starts from noise alone: sigma for Euler
    /// with `Linspace` or `Trailing`, else sqrt(1 + sigma^2), as diffusers.
    pub fn pure_noise_scale(&self) -> f64 {
        self.pure_noise_scale
    }

    /// The last `runs` steps alone.
    pub(crate) fn tail(mut self, runs: usize) -> Self {
        let first = self.levels.len().saturating_sub(runs);
        self.levels.drain(..first);
        self.targets.drain(..first);
        if first > 0 {
            let scale = |level: &NoiseLevel| variance_of_noised(level.sigma).sqrt();
            self.pure_noise_scale = self.levels.first().map_or(0.0, scale);
        }
        self
    }
}

/// Variance of clean + sigma * noise for clean signals of variance 1.
pub(crate) fn variance_of_noised(sigma: f64) -> f64 {
    1.0 + sigma * sigma
}

impl TrainingSchedule {
    /// All levels of `steps` steps of `sampler`.
    ///
    /// Fails with [`Error::Value`] if `steps` is 0 or so large that two levels coincide, and if DDIM's
    /// eta is outside 0 to 1.
    pub fn schedule(
        &self,
        sampler: Sampler,
        steps: usize,
        stepping: Stepping,
    ) -> Result<Schedule, Error> {
        let timesteps = self.timesteps(sampler, steps, stepping)?;
        let mut schedule = self.schedule_of(sampler, &timesteps)?;
        if schedule.levels.len() != steps {
            return Err(too_many(steps, self));
        }
        if stepping == Stepping::Diffusers && matches!(sampler, Sampler::Ddim { .. }) {
            let stride = (self.config().num_train_timesteps / steps) as f64;
            for (target, timestep) in schedule.targets.iter_mut().zip(&timesteps) {
                let to = timestep - stride;
                *target = if to < 0.0 {
                    self.final_sigma(sampler)
                } else {
                    self.sigma_linear(to)
                };
            }
        }
        Ok(schedule)
    }

    /// `steps` steps from the level `share` of the way up the full schedule: each of its timesteps
    /// times `share`, in (0, 1]. Levels too close for f64 to tell apart are visited once.
    pub(crate) fn schedule_from(
        &self,
        sampler: Sampler,
        steps: usize,
        share: f64,
    ) -> Result<Schedule, Error> {
        let timesteps = self.timesteps(sampler, steps, Stepping::Consistent)?;
        let timesteps: Vec<f64> = timesteps.into_iter().map(|t| share * t).collect();
        self.schedule_of(sampler, &timesteps)
    }

    fn schedule_of(&self, sampler: Sampler, timesteps: &[f64]) -> Result<Schedule, Error> {
        let level = |&timestep: &f64| NoiseLevel {
            sigma: self.sigma_for(sampler, timestep),
            timestep,
        };
        let mut levels: Vec<NoiseLevel> = timesteps.iter().map(level).collect();
        levels.dedup_by(|next, last| next.sigma >= last.sigma);
        let final_sigma = self.final_sigma(sampler);
        let mut schedule = Schedule::new(levels, final_sigma)?;
        match sampler {
            Sampler::Ddim { .. } => schedule.clip = self.config().clip_sample,
            Sampler::Euler | Sampler::EulerAncestral
                if self.config().timestep_spacing != TimestepSpacing::Leading =>
            {
                schedule.pure_noise_scale = schedule.levels.first().map_or(0.0, |l| l.sigma);
            }
            Sampler::Euler | Sampler::EulerAncestral | Sampler::DpmPP2M => {}
        }
        Ok(schedule)
    }

    fn sigma_for(&self, sampler: Sampler, timestep: f64) -> f64 {
        let drowned = self.config().rescale_betas_zero_snr
            && matches!(sampler, Sampler::Ddim { .. })
            && timestep == self.last_timestep() as f64;
        if drowned {
            DDIM_ZERO_SNR_SIGMA
        } else {
            self.sigma_linear(timestep)
        }
    }

    fn final_sigma(&self, sampler: Sampler) -> f64 {
        let above_zero = matches!(sampler, Sampler::Ddim { .. }) && !self.config().set_alpha_to_one;
        if above_zero { self.sigmas()[0] } else { 0.0 }
    }

    /// Timesteps of `steps` steps, descending, whole ones but for Euler with `Linspace`.
    fn timesteps(
        &self,
        sampler: Sampler,
        steps: usize,
        stepping: Stepping,
    ) -> Result<Vec<f64>, Error> {
        if let Sampler::Ddim { eta } = sampler
            && !(0.0..=1.0).contains(&eta)
        {
            return Err(Error::value("eta", eta, "0 to 1"));
        }
        let count = self.config().num_train_timesteps;
        if steps == 0 || steps > count {
            return Err(too_many(steps, self));
        }
        if steps == 1 && stepping == Stepping::Consistent {
            return Ok(vec![self.last_timestep() as f64]);
        }
        // DPM++ lays out one step more than it takes and leaves the lowest away.
        let laid_out = if sampler == Sampler::DpmPP2M {
            steps + 1
        } else {
            steps
        };
        let mut timesteps = match self.config().timestep_spacing {
            TimestepSpacing::Linspace => {
                let even = even_down_from(self.last_timestep() as f64, laid_out);
                match sampler {
                    Sampler::Euler | Sampler::EulerAncestral => even,
                    Sampler::Ddim { .. } | Sampler::DpmPP2M => {
                        even.into_iter().map(f64::round_ties_even).collect()
                    }
                }
            }
            TimestepSpacing::Leading => {
                let (stride, offset) = (count / laid_out, self.config().steps_offset);
                (0..laid_out)
                    .rev()
                    .map(|i| (i * stride + offset) as f64)
                    .collect()
            }
            TimestepSpacing::Trailing => trailing(count as f64, steps),
        };
        timesteps.truncate(steps);
        if timesteps[0] > self.last_timestep() as f64 {
            return Err(too_many(steps, self));
        }
        Ok(timesteps)
    }
}

/// `count` numbers evenly from `last` down to 0; a single one is 0, as in numpy.
fn even_down_from(last: f64, count: usize) -> Vec<f64> {
    let stride = last / (count - 1).max(1) as f64;
    let at = |i| {
        if i > 0 && i + 1 == count {
            last
        } else {
            i as f64 * stride
        }
    };
    (0..count).rev().map(at).collect()
}

/// Whole timesteps evenly down from the top, the top included.
fn trailing(count: f64, steps: usize) -> Vec<f64> {
    // The stride as numpy's arange arrives at it: halves must round to the same side.
    let stride = (count - count / steps as f64) - count;
    (0..steps)
        .map(|i| (count + i as f64 * stride).round_ties_even() - 1.0)
        .collect()
}

fn too_many(steps: usize, training: &TrainingSchedule) -> Error {
    let last = training.last_timestep();
    Error::value(
        "steps",
        steps,
        format!("1 to {last}, so that every step has its own noise level"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScheduleConfig, SchedulerClass};

    fn training(spacing: TimestepSpacing, steps_offset: usize) -> TrainingSchedule {
        let defaults = ScheduleConfig::defaults(SchedulerClass::Ddim);
        let config = ScheduleConfig {
            timestep_spacing: spacing,
            steps_offset,
            ..defaults
        };
        TrainingSchedule::new(config).unwrap()
    }

    fn timesteps(spacing: TimestepSpacing, sampler: Sampler, steps: usize) -> Vec<f64> {
        let schedule = training(spacing, 1)
            .schedule(sampler, steps, Stepping::Diffusers)
            .unwrap();
        schedule
            .levels()
            .iter()
            .map(|level| level.timestep)
            .collect()
    }

    const DDIM: Sampler = Sampler::Ddim { eta: 0.0 };

    #[test]
    fn each_spacing_lays_its_own_timesteps() {
        use TimestepSpacing::{Leading, Linspace, Trailing};
        assert_eq!(timesteps(Linspace, DDIM, 4), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(timesteps(Linspace, Sampler::Euler, 3), [999.0, 499.5, 0.0]);
        assert_eq!(timesteps(Linspace, DDIM, 3), [999.0, 500.0, 0.0]); // 499.5 goes to the even one
        assert_eq!(
            timesteps(Linspace, Sampler::DpmPP2M, 3),
            [999.0, 666.0, 333.0]
        );
        assert_eq!(timesteps(Leading, DDIM, 4), [751.0, 501.0, 251.0, 1.0]);
        assert_eq!(
            timesteps(Leading, Sampler::DpmPP2M, 4),
            [801.0, 601.0, 401.0, 201.0]
        );
        assert_eq!(timesteps(Trailing, DDIM, 4), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(timesteps(Trailing, DDIM, 3), [999.0, 666.0, 332.0]);
    }

    #[test]
    fn one_step_starts_at_the_top_unless_diffusers_says_otherwise() {
        for spacing in [
            TimestepSpacing::Leading,
            TimestepSpacing::Linspace,
            TimestepSpacing::Trailing,
        ] {
            for sampler in Sampler::ALL {
                let schedule = training(spacing, 0)
                    .schedule(sampler, 1, Stepping::Consistent)
                    .unwrap();
                assert_eq!(schedule.levels()[0].timestep, 999.0);
            }
        }
        assert_eq!(timesteps(TimestepSpacing::Linspace, DDIM, 1), [0.0]);
    }

    #[test]
    fn steps_end_where_the_next_one_starts_unless_diffusers_says_otherwise() {
        let training = training(TimestepSpacing::Linspace, 0);
        let ours = training.schedule(DDIM, 10, Stepping::Consistent).unwrap();
        assert_eq!(ours.targets()[0], training.sigmas()[888]);
        let theirs = training.schedule(DDIM, 10, Stepping::Diffusers).unwrap();
        assert_eq!(theirs.targets()[0], training.sigmas()[899]);
        assert_eq!(theirs.final_sigma(), 0.0);
    }

    #[test]
    fn too_many_steps_are_refused() {
        let training = training(TimestepSpacing::Linspace, 0);
        for steps in [0, 1001, 100_000] {
            assert!(
                training
                    .schedule(Sampler::Euler, steps, Stepping::Consistent)
                    .is_err()
            );
        }
        let error = training
            .schedule(Sampler::DpmPP2M, 1000, Stepping::Consistent)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("steps is 1000, expected 1 to 999")
        );
        for sampler in Sampler::ALL {
            training
                .schedule(sampler, 999, Stepping::Consistent)
                .unwrap();
        }
    }

    #[test]
    fn eta_is_checked() {
        let training = training(TimestepSpacing::Linspace, 0);
        for eta in [f64::NAN, -0.1, 1.5] {
            let error = training
                .schedule(Sampler::Ddim { eta }, 5, Stepping::Consistent)
                .unwrap_err();
            assert!(error.to_string().starts_with("eta is "));
        }
    }

    #[test]
    fn only_ddim_stops_above_zero_and_clips() {
        let mut config = training(TimestepSpacing::Leading, 0).config().clone();
        config.set_alpha_to_one = false;
        let training = TrainingSchedule::new(config).unwrap();
        for sampler in Sampler::ALL {
            let schedule = training
                .schedule(sampler, 20, Stepping::Consistent)
                .unwrap();
            let ddim = matches!(sampler, Sampler::Ddim { .. });
            assert_eq!(
                schedule.final_sigma(),
                if ddim { training.sigmas()[0] } else { 0.0 }
            );
            assert_eq!(schedule.clip(), ddim.then_some(1.0));
        }
    }

    #[test]
    fn levels_must_fall() {
        let level = |sigma| NoiseLevel {
            sigma,
            timestep: 0.0,
        };
        assert!(Schedule::new(vec![level(2.0), level(1.0)], 0.0).is_ok());
        assert!(Schedule::new(vec![level(1.0), level(1.0)], 0.0).is_err());
        assert!(Schedule::new(vec![level(f64::NAN)], 0.0).is_err());
        assert!(Schedule::new(vec![level(1.0)], 1.5).is_err());
        assert!(Schedule::new(vec![level(1.0)], f64::NAN).is_err());
    }
}
