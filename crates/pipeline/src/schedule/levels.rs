//! The noise levels a run visits.

use std::sync::Arc;

use super::TrainingSchedule;
use super::training::{sigma_between, timestep_of};
use crate::Error;

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
    /// As diffusers: DDIM and PNDM step to `timestep - num_train_timesteps / steps` whatever the next
    /// timestep is, PNDM asks twice at its second timestep, DEIS and TCD stop above sigma 0, and a
    /// single step of `Linspace` or `Leading` starts at the bottom.
    Diffusers,
}

/// Descending noise levels, and where each step ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub(super) levels: Vec<NoiseLevel>,
    pub(super) targets: Vec<f64>,
    pub(super) clip: Option<f64>,
    pub(super) pure_noise_scale: f64,
    /// The timesteps between two steps, where the second step takes the first one over again.
    pub(super) retaken: Option<f64>,
    timestep_scaling: f64,
    /// Whether steps are followed as diffusers does, and the sigmas of those left away, latest first.
    pub(super) as_diffusers: bool,
    left_away: Vec<f64>,
    /// Whether the model predicts the velocity, which diffusers' PNDM mixes instead of the noise.
    pub(super) mixes_velocity: bool,
    /// The training scale, rising.
    sigmas: Arc<[f64]>,
}

impl Schedule {
    /// A schedule through `levels` that ends at `final_sigma`, each step ending where the next starts.
    ///
    /// Fails with [`Error::Value`] unless sigmas are finite, positive and strictly descending and
    /// `final_sigma` is at least 0 and at most the last one.
    pub fn new(
        training: &TrainingSchedule,
        levels: Vec<NoiseLevel>,
        final_sigma: f64,
    ) -> Result<Self, Error> {
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
            retaken: None,
            timestep_scaling: training.config().timestep_scaling,
            as_diffusers: false,
            left_away: Vec::new(),
            mixes_velocity: false,
            sigmas: training.shared_sigmas(),
        })
    }

    /// Where each step starts, sigmas descending, none twice but for PNDM under
    /// [`Stepping::Diffusers`].
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.levels
    }

    /// The sigma each step ends at: the next level's, but for DDIM and PNDM under
    /// [`Stepping::Diffusers`].
    pub fn targets(&self) -> &[f64] {
        &self.targets
    }

    /// The sigma after the last step: 0, or the sigma of timestep 0 for DDIM and PNDM without
    /// `set_alpha_to_one`, and for DEIS and TCD under [`Stepping::Diffusers`].
    pub fn final_sigma(&self) -> f64 {
        match self.levels.len() {
            0 => 0.0,
            steps => self.stretch(steps - 1).1,
        }
    }

    /// Range the clean estimate is clamped to by samplers that clip.
    pub fn clip(&self) -> Option<f64> {
        self.clip
    }

    /// What unit noise is multiplied by when the first step starts from noise alone: sigma for the
    /// samplers of Euler's kind with `Linspace` or `Trailing`, else sqrt(1 + sigma^2), as diffusers.
    pub fn pure_noise_scale(&self) -> f64 {
        self.pure_noise_scale
    }

    /// The level of a sigma on the training scale of this schedule.
    pub(crate) fn level_of(&self, sigma: f64) -> NoiseLevel {
        NoiseLevel {
            sigma,
            timestep: timestep_of(&self.sigmas, sigma),
        }
    }

    /// The sigma of a whole timestep of the training scale.
    pub(crate) fn sigma_of(&self, timestep: f64) -> f64 {
        sigma_between(&self.sigmas, timestep)
    }

    /// The sigmas between which step `index` moves: from its level to its target. Where the second step
    /// takes the first one over again, it moves to its own level from `retaken` timesteps above it.
    pub(crate) fn stretch(&self, index: usize) -> (f64, f64) {
        let level = self.levels[index];
        match self.retaken {
            Some(stride) if index == 1 => (self.sigma_of(level.timestep + stride), level.sigma),
            _ => (level.sigma, self.targets[index]),
        }
    }

    /// Whether the second step takes the first one over again.
    pub(crate) fn retakes(&self) -> bool {
        self.retaken.is_some()
    }

    /// See [`super::ScheduleConfig::timestep_scaling`].
    pub(crate) fn timestep_scaling(&self) -> f64 {
        self.timestep_scaling
    }

    /// Whether PNDM mixes velocities instead of noises.
    pub(crate) fn mixes_velocity(&self) -> bool {
        self.mixes_velocity
    }

    /// Sigmas of the steps that were left away, latest first, where diffusers would read them.
    pub(crate) fn left_away(&self) -> &[f64] {
        if self.as_diffusers {
            &self.left_away
        } else {
            &[]
        }
    }

    /// The schedule without its first `skipped` steps.
    pub(crate) fn without_first(mut self, skipped: usize) -> Self {
        let skipped = skipped.min(self.levels.len());
        let left_away = self.levels.drain(..skipped).rev();
        self.left_away = left_away.map(|level| level.sigma).collect();
        self.targets.drain(..skipped);
        if skipped > 0 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScheduleConfig, SchedulerClass};

    #[test]
    fn levels_must_fall() {
        let config = ScheduleConfig::defaults(SchedulerClass::Ddim);
        let training = TrainingSchedule::new(config).unwrap();
        let level = |sigma| NoiseLevel {
            sigma,
            timestep: 0.0,
        };
        let new = |levels, end| Schedule::new(&training, levels, end);
        assert!(new(vec![level(2.0), level(1.0)], 0.0).is_ok());
        assert!(new(vec![level(1.0), level(1.0)], 0.0).is_err());
        assert!(new(vec![level(f64::NAN)], 0.0).is_err());
        assert!(new(vec![level(1.0)], 1.5).is_err());
        assert!(new(vec![level(1.0)], f64::NAN).is_err());
    }
}
