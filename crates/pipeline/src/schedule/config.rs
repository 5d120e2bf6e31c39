//! Scheduler settings as a model's files state them, and each class's defaults for absent keys.

use std::str::FromStr;

use crate::{Error, Sampler};

/// How the betas run from `beta_start` to `beta_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BetaSchedule {
    /// Evenly.
    Linear,
    /// Evenly in their square roots, as latent diffusion models do.
    ScaledLinear,
    /// From a squared cosine of the cumulative alphas, each beta at most 0.999; start and end unused.
    SquaredcosCapV2,
}

/// What the network's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// The velocity: sqrt(abar) * noise - sqrt(1 - abar) * clean.
    VPrediction,
    /// The clean latents.
    Sample,
}

/// How steps are laid over the training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestepSpacing {
    /// Multiples of the whole-number ratio, from 0 up; the top of the training scale is not reached.
    Leading,
    /// Evenly from 0 to the last training timestep, both ends included.
    Linspace,
    /// Evenly down from the last training timestep.
    Trailing,
}

/// The diffusers scheduler classes whose files and defaults we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulerClass {
    /// `DDIMScheduler`.
    Ddim,
    /// `PNDMScheduler`; files name it, no sampler of ours runs it.
    Pndm,
    /// `EulerDiscreteScheduler`.
    EulerDiscrete,
    /// `EulerAncestralDiscreteScheduler`.
    EulerAncestralDiscrete,
    /// `DPMSolverMultistepScheduler`.
    DpmSolverMultistep,
}

impl SchedulerClass {
    /// Every class with its name in `_class_name`.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Ddim, "DDIMScheduler"),
        (Self::Pndm, "PNDMScheduler"),
        (Self::EulerDiscrete, "EulerDiscreteScheduler"),
        (
            Self::EulerAncestralDiscrete,
            "EulerAncestralDiscreteScheduler",
        ),
        (Self::DpmSolverMultistep, "DPMSolverMultistepScheduler"),
    ];

    /// The sampler of this class; none for PNDM.
    pub fn sampler(self) -> Option<Sampler> {
        match self {
            Self::Ddim => Some(Sampler::Ddim { eta: 0.0 }),
            Self::Pndm => None,
            Self::EulerDiscrete => Some(Sampler::Euler),
            Self::EulerAncestralDiscrete => Some(Sampler::EulerAncestral),
            Self::DpmSolverMultistep => Some(Sampler::DpmPP2M),
        }
    }
}

impl FromStr for SchedulerClass {
    type Err = Error;

    /// Reads a `_class_name`. Fails with [`Error::Value`] listing the known classes.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|&(class, _)| class).ok_or_else(|| {
            Error::value(
                "scheduler class",
                name,
                format!("one of {}", Self::ALL.map(|c| c.1).join(", ")),
            )
        })
    }
}

/// Every scheduler setting that the arithmetic depends on.
///
/// A key that a scheduler file leaves out takes the default of the class that is asked for, not of the
/// class the file names: start from [`ScheduleConfig::defaults`] and overwrite what the file states.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleConfig {
    /// Length of the training scale.
    pub num_train_timesteps: usize,
    /// First beta, in (0, 1).
    pub beta_start: f64,
    /// Last beta, in (0, 1).
    pub beta_end: f64,
    /// How betas run between the two.
    pub beta_schedule: BetaSchedule,
    /// Betas given one by one; they take the place of the three fields above.
    pub trained_betas: Option<Vec<f64>>,
    /// What the network's output means.
    pub prediction_type: PredictionType,
    /// How steps are laid over the training timesteps.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep of `Leading`.
    pub steps_offset: usize,
    /// DDIM alone: the last step goes to sigma 0 if true, else to the sigma of timestep 0.
    pub set_alpha_to_one: bool,
    /// DDIM alone: the clean estimate is clamped to plus or minus this range.
    pub clip_sample: Option<f64>,
    /// Rescale the betas so that the last timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl ScheduleConfig {
    /// The defaults of `class` in diffusers 0.39.
    pub fn defaults(class: SchedulerClass) -> Self {
        let spacing = match class {
            SchedulerClass::Ddim | SchedulerClass::Pndm => TimestepSpacing::Leading,
            SchedulerClass::EulerDiscrete
            | SchedulerClass::EulerAncestralDiscrete
            | SchedulerClass::DpmSolverMultistep => TimestepSpacing::Linspace,
        };
        Self {
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: spacing,
            steps_offset: 0,
            // Classes without the key end at sigma 0, which is what true means.
            set_alpha_to_one: class != SchedulerClass::Pndm,
            clip_sample: (class == SchedulerClass::Ddim).then_some(1.0),
            rescale_betas_zero_snr: false,
        }
    }
}
