//! Lays each sampler's steps over the training scale as diffusers, or k-diffusion, does.

use super::{
    BetaSchedule, NoiseLevel, PredictionType, Schedule, Spacing, Stepping, TimestepSpacing,
    TrainingSchedule,
};
use crate::samplers::Family;
use crate::{Error, Sampler};

/// Sigma that stands for "no signal at all" where a loop of variance 1 meets a zero terminal SNR:
/// diffusers works with a cumulative alpha of exactly 0 there. 1e8 drowns any f32 signal and still
/// leaves the noise itself exact.
const ZERO_SNR_SIGMA: f64 = 1e8;

/// What a schedule is laid out for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels are laid out.
    pub spacing: Spacing,
    /// Steps, at least 1.
    pub steps: usize,
    /// How closely to follow diffusers.
    pub stepping: Stepping,
}

impl TrainingSchedule {
    /// All levels of a run of `layout.steps` steps. PNDM under [`Stepping::Diffusers`] has one more.
    ///
    /// Fails with [`Error::Value`] if `steps` is 0 or so large that two levels coincide, and if the
    /// sampler's eta is outside 0 to 1.
    pub fn schedule(&self, layout: Layout) -> Result<Schedule, Error> {
        let mut schedule = self.schedule_from(layout, 1.0)?;
        if schedule.levels.len() != layout.steps {
            return Err(too_many(layout.steps, self));
        }
        if layout.stepping == Stepping::Diffusers {
            self.follow_diffusers(&mut schedule, layout);
        }
        Ok(schedule)
    }

    /// `layout.steps` steps from the level `share` of the way up the full schedule, in (0, 1]: each of
    /// its timesteps times `share`, or the same spacing below that level's sigma. Levels too close for
    /// f64 to tell apart are visited once.
    pub(crate) fn schedule_from(&self, layout: Layout, share: f64) -> Result<Schedule, Error> {
        layout.sampler.check()?;
        let count = self.config().num_train_timesteps;
        if layout.steps == 0 || layout.steps > count {
            return Err(too_many(layout.steps, self));
        }
        let mut levels = match layout.spacing {
            Spacing::Karras | Spacing::Exponential | Spacing::Polyexponential | Spacing::Beta => {
                self.levels_by_sigma(layout, share)?
            }
            _ => self.levels_by_timestep(layout, share)?,
        };
        levels.dedup_by(|next, last| next.sigma >= last.sigma);
        let mut schedule = Schedule::new(self, levels, 0.0)?;
        if let Some(last) = schedule.targets.last_mut() {
            *last = self.final_sigma(layout);
        }
        schedule.clip = self.config().clip_sample.filter(|_| layout.sampler.clips());
        schedule.as_diffusers = layout.stepping == Stepping::Diffusers;
        schedule.mixes_velocity = layout.stepping == Stepping::Diffusers
            && self.config().prediction_type == PredictionType::VPrediction;
        if layout.sampler.family() == Family::Euler
            && self.config().timestep_spacing != TimestepSpacing::Leading
        {
            schedule.pure_noise_scale = schedule.levels.first().map_or(0.0, |l| l.sigma);
        }
        Ok(schedule)
    }

    fn levels_by_timestep(&self, layout: Layout, share: f64) -> Result<Vec<NoiseLevel>, Error> {
        let timesteps = self.timesteps(layout)?;
        let level = |timestep: f64| {
            let timestep = share * timestep;
            NoiseLevel {
                sigma: self.sigma_for(layout, timestep),
                timestep,
            }
        };
        Ok(timesteps.into_iter().map(level).collect())
    }

    fn levels_by_sigma(&self, layout: Layout, share: f64) -> Result<Vec<NoiseLevel>, Error> {
        let [least, most] = self.range(layout)?;
        let top = self.sigma(share * self.timestep(most)).max(least);
        let sigmas = layout.spacing.sigmas(layout.steps, [least, top]);
        let sigmas = sigmas.expect("only spacings by sigma are laid out here");
        let level = |sigma| NoiseLevel {
            sigma,
            timestep: self.told(layout, self.timestep(sigma)),
        };
        Ok(sigmas.into_iter().map(level).collect())
    }

    /// Least and most sigma of a spacing by sigma: the training scale's ends. diffusers' schedulers of
    /// Euler's kind take those of the timesteps that they would have run.
    fn range(&self, layout: Layout) -> Result<[f64; 2], Error> {
        let ends = [self.sigmas()[0], self.sigmas()[self.last_timestep()]];
        if layout.stepping == Stepping::Consistent || layout.sampler.family() != Family::Euler {
            return Ok(ends);
        }
        let own = Layout {
            spacing: Spacing::Model,
            ..layout
        };
        let timesteps = self.timesteps(own)?;
        let sigma = |timestep: Option<&f64>| timestep.map(|&t| self.sigma_linear(t));
        let own = sigma(timesteps.last()).zip(sigma(timesteps.first()));
        Ok(own.map_or(ends, |(least, most)| [least, most]))
    }

    /// The timestep a network is told for a sigma's fractional one. diffusers rounds some.
    fn told(&self, layout: Layout, timestep: f64) -> f64 {
        let karras = layout.spacing == Spacing::Karras;
        let cosine = self.config().beta_schedule == BetaSchedule::SquaredcosCapV2;
        let solver = matches!(
            layout.sampler,
            Sampler::DpmPP2M | Sampler::DpmPP2MSde { .. }
        );
        match (layout.stepping, layout.sampler.family()) {
            (Stepping::Diffusers, Family::Solver) if karras && !(cosine && solver) => {
                timestep.round_ties_even()
            }
            (Stepping::Diffusers, Family::Solver) => timestep.floor(),
            (Stepping::Diffusers, Family::Euler)
                if karras
                    && matches!(
                        layout.sampler,
                        Sampler::Dpm2 | Sampler::Dpm2Ancestral { .. }
                    ) =>
            {
                timestep.round_ties_even()
            }
            _ => timestep,
        }
    }

    /// What diffusers does beside laying out levels.
    fn follow_diffusers(&self, schedule: &mut Schedule, layout: Layout) {
        let by_timestep = layout.spacing.sigmas(1, [1.0, 1.0]).is_none();
        if !by_timestep || !matches!(layout.sampler, Sampler::Ddim { .. } | Sampler::Pndm) {
            return;
        }
        let stride = (self.config().num_train_timesteps / layout.steps) as f64;
        let end = self.final_sigma(layout);
        for (target, level) in schedule.targets.iter_mut().zip(&schedule.levels) {
            let to = level.timestep - stride;
            *target = if to < 0.0 { end } else { self.sigma_linear(to) };
        }
        if layout.sampler == Sampler::Pndm {
            schedule.retaken = Some(stride);
            if layout.steps > 1 {
                schedule.levels.insert(1, schedule.levels[1]);
                schedule.targets.insert(1, schedule.targets[1]);
            }
        }
    }

    fn sigma_for(&self, layout: Layout, timestep: f64) -> f64 {
        let one_variance = matches!(layout.sampler.family(), Family::Whole | Family::Distilled)
            && layout.sampler != Sampler::Pndm;
        if self.config().rescale_betas_zero_snr
            && one_variance
            && timestep == self.last_timestep() as f64
        {
            ZERO_SNR_SIGMA
        } else if layout.spacing == Spacing::SgmUniform {
            self.sigma(timestep)
        } else {
            self.sigma_linear(timestep)
        }
    }

    fn final_sigma(&self, layout: Layout) -> f64 {
        let by_sigma = layout.spacing.sigmas(1, [1.0, 1.0]).is_some();
        let above_zero = match layout.sampler {
            Sampler::Ddim { .. } | Sampler::Pndm => !self.config().set_alpha_to_one && !by_sigma,
            Sampler::Deis | Sampler::Tcd { .. } => layout.stepping == Stepping::Diffusers,
            _ => false,
        };
        if above_zero { self.sigmas()[0] } else { 0.0 }
    }

    /// Timesteps of `steps` steps, descending, whole ones but for the samplers of Euler's kind with
    /// `Linspace` and for `SgmUniform`.
    fn timesteps(&self, layout: Layout) -> Result<Vec<f64>, Error> {
        let Layout { steps, sampler, .. } = layout;
        let (count, top) = (
            self.config().num_train_timesteps,
            self.last_timestep() as f64,
        );
        if steps == 1 && layout.stepping == Stepping::Consistent {
            return Ok(vec![top]);
        }
        let family = sampler.family();
        // The solvers lay out one step more than they take and leave the lowest away.
        let laid_out = steps + usize::from(family == Family::Solver);
        let spacing = match layout.spacing {
            Spacing::Timesteps(spacing) => spacing,
            _ => self.config().timestep_spacing,
        };
        let mut timesteps = match layout.spacing {
            Spacing::SgmUniform => even_down_from(top, steps + 1),
            Spacing::Simple => every_so_many(count, steps),
            Spacing::Model if family == Family::Distilled => self.distilled(steps),
            _ => match spacing {
                TimestepSpacing::Linspace if family == Family::Euler => {
                    even_down_from(top, laid_out)
                }
                TimestepSpacing::Linspace => even_down_from(top, laid_out)
                    .into_iter()
                    .map(f64::round_ties_even)
                    .collect(),
                TimestepSpacing::Leading => {
                    let (stride, offset) = (count / laid_out, self.config().steps_offset);
                    (0..laid_out)
                        .rev()
                        .map(|i| (i * stride + offset) as f64)
                        .collect()
                }
                TimestepSpacing::Trailing => trailing(count as f64, steps),
            },
        };
        timesteps.truncate(steps);
        if timesteps[0] > top {
            return Err(too_many(steps, self));
        }
        Ok(timesteps)
    }

    /// `steps` of the timesteps a model was distilled on, from the top. More steps than that are spread
    /// over as many timesteps.
    fn distilled(&self, steps: usize) -> Vec<f64> {
        let original = self.config().original_inference_steps.max(steps);
        let stride = self.config().num_train_timesteps / original;
        let share = original as f64 / steps as f64;
        (0..steps)
            .map(|i| (original - (i as f64 * share).floor() as usize) * stride - 1)
            .map(|timestep| timestep as f64)
            .collect()
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

/// Whole timesteps down from the top, each as far as whole numbers allow.
fn every_so_many(count: usize, steps: usize) -> Vec<f64> {
    let stride = count as f64 / steps as f64;
    (0..steps)
        .map(|i| (count - 1) as f64 - (i as f64 * stride).floor())
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

    fn layout(sampler: Sampler, steps: usize, stepping: Stepping) -> Layout {
        Layout {
            sampler,
            spacing: Spacing::Model,
            steps,
            stepping,
        }
    }

    fn timesteps(spacing: TimestepSpacing, sampler: Sampler, steps: usize) -> Vec<f64> {
        let schedule = training(spacing, 1)
            .schedule(layout(sampler, steps, Stepping::Diffusers))
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
        assert_eq!(
            timesteps(Leading, Sampler::Lcm, 4),
            [999.0, 759.0, 499.0, 259.0]
        );
        assert_eq!(
            timesteps(Leading, Sampler::Pndm, 4),
            [751.0, 501.0, 501.0, 251.0, 1.0]
        );
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
                    .schedule(layout(sampler, 1, Stepping::Consistent))
                    .unwrap();
                assert_eq!(schedule.levels()[0].timestep, 999.0);
            }
        }
        assert_eq!(timesteps(TimestepSpacing::Linspace, DDIM, 1), [0.0]);
    }

    #[test]
    fn steps_end_where_the_next_one_starts_unless_diffusers_says_otherwise() {
        let training = training(TimestepSpacing::Linspace, 0);
        let ours = training
            .schedule(layout(DDIM, 10, Stepping::Consistent))
            .unwrap();
        assert_eq!(ours.targets()[0], training.sigmas()[888]);
        let theirs = training
            .schedule(layout(DDIM, 10, Stepping::Diffusers))
            .unwrap();
        assert_eq!(theirs.targets()[0], training.sigmas()[899]);
        assert_eq!(theirs.final_sigma(), 0.0);
    }

    #[test]
    fn too_many_steps_are_refused() {
        let training = training(TimestepSpacing::Linspace, 0);
        for steps in [0, 1001, 100_000] {
            assert!(
                training
                    .schedule(layout(Sampler::Euler, steps, Stepping::Consistent))
                    .is_err()
            );
        }
        let error = training
            .schedule(layout(Sampler::DpmPP2M, 1000, Stepping::Consistent))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("steps is 1000, expected 1 to 999")
        );
        for sampler in Sampler::ALL {
            for spacing in Spacing::ALL {
                let layout = Layout {
                    spacing,
                    ..layout(sampler, 999, Stepping::Consistent)
                };
                let schedule = training.schedule(layout).unwrap();
                assert_eq!(schedule.levels().len(), 999);
            }
        }
    }

    #[test]
    fn eta_is_checked() {
        let training = training(TimestepSpacing::Linspace, 0);
        for eta in [f64::NAN, -0.1, 1.5] {
            let error = training
                .schedule(layout(Sampler::Ddim { eta }, 5, Stepping::Consistent))
                .unwrap_err();
            assert!(error.to_string().starts_with("eta is "));
        }
    }

    #[test]
    fn only_ddim_and_pndm_stop_above_zero_and_only_some_clip() {
        let mut config = training(TimestepSpacing::Leading, 0).config().clone();
        config.set_alpha_to_one = false;
        let training = TrainingSchedule::new(config).unwrap();
        for sampler in Sampler::ALL {
            let schedule = training
                .schedule(layout(sampler, 20, Stepping::Consistent))
                .unwrap();
            let stops = matches!(sampler, Sampler::Ddim { .. } | Sampler::Pndm);
            assert_eq!(
                schedule.final_sigma(),
                if stops { training.sigmas()[0] } else { 0.0 }
            );
            let clips = matches!(sampler, Sampler::Ddim { .. } | Sampler::Ddpm | Sampler::Lcm);
            assert_eq!(schedule.clip(), clips.then_some(1.0));
        }
    }

    #[test]
    fn karras_spans_the_training_scale_and_follows_the_own_steps_under_diffusers() {
        let training = training(TimestepSpacing::Leading, 1);
        let karras = |stepping| {
            let layout = Layout {
                spacing: Spacing::Karras,
                ..layout(Sampler::Euler, 10, stepping)
            };
            training.schedule(layout).unwrap().levels().to_vec()
        };
        let (ours, theirs) = (karras(Stepping::Consistent), karras(Stepping::Diffusers));
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
        assert!(close(ours[0].sigma, training.sigmas()[999]));
        assert!(close(ours[9].sigma, training.sigmas()[0]));
        assert!(close(theirs[0].sigma, training.sigmas()[901]));
        assert!(close(theirs[9].sigma, training.sigmas()[1]));
    }
}
