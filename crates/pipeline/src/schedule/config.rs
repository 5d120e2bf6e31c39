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

impl PredictionType {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Epsilon, Self::VPrediction, Self::Sample];

    /// Its name, as diffusers' files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::VPrediction => "v_prediction",
            Self::Sample => "sample",
        }
    }
}

impl FromStr for PredictionType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::value("prediction", name, "epsilon, v_prediction or sample"))
    }
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
    /// `PNDMScheduler`.
    Pndm,
    /// `EulerDiscreteScheduler`.
    EulerDiscrete,
    /// `EulerAncestralDiscreteScheduler`.
    EulerAncestralDiscrete,
    /// `HeunDiscreteScheduler`.
    HeunDiscrete,
    /// `LMSDiscreteScheduler`.
    LmsDiscrete,
    /// `KDPM2DiscreteScheduler`.
    Kdpm2Discrete,
    /// `KDPM2AncestralDiscreteScheduler`.
    Kdpm2AncestralDiscrete,
    /// `DPMSolverMultistepScheduler`.
    DpmSolverMultistep,
    /// `DPMSolverSDEScheduler`.
    DpmSolverSde,
    /// `UniPCMultistepScheduler`.
    UniPcMultistep,
    /// `DEISMultistepScheduler`.
    DeisMultistep,
    /// `LCMScheduler`.
    Lcm,
    /// `TCDScheduler`.
    Tcd,
    /// `DDPMScheduler`.
    Ddpm,
}

impl SchedulerClass {
    /// Every class with its name in `_class_name`.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Ddim, "DDIMScheduler"),
        (Self::Pndm, "PNDMScheduler"),
        (Self::EulerDiscrete, "EulerDiscreteScheduler"),
        (
            Self::EulerAncestralDiscrete,
            "EulerAncestralDiscreteScheduler",
        ),
        (Self::HeunDiscrete, "HeunDiscreteScheduler"),
        (Self::LmsDiscrete, "LMSDiscreteScheduler"),
        (Self::Kdpm2Discrete, "KDPM2DiscreteScheduler"),
        (
            Self::Kdpm2AncestralDiscrete,
            "KDPM2AncestralDiscreteScheduler",
        ),
        (Self::DpmSolverMultistep, "DPMSolverMultistepScheduler"),
        (Self::DpmSolverSde, "DPMSolverSDEScheduler"),
        (Self::UniPcMultistep, "UniPCMultistepScheduler"),
        (Self::DeisMultistep, "DEISMultistepScheduler"),
        (Self::Lcm, "LCMScheduler"),
        (Self::Tcd, "TCDScheduler"),
        (Self::Ddpm, "DDPMScheduler"),
    ];

    /// The sampler of this class, with its default share of fresh noise.
    pub fn sampler(self) -> Sampler {
        let of_class = |sampler: &Sampler| sampler.scheduler_class() == self;
        let found = Sampler::ALL.into_iter().find(of_class);
        found.expect("every class is some sampler's")
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
    /// DDIM and PNDM alone: the last step goes to sigma 0 if true, else to the sigma of timestep 0.
    pub set_alpha_to_one: bool,
    /// DDIM, DDPM and LCM alone: the clean estimate is clamped to plus or minus this range.
    pub clip_sample: Option<f64>,
    /// LCM and TCD alone: steps of the schedule the model was distilled on, of which a run takes some.
    pub original_inference_steps: usize,
    /// LCM alone: how fast the latents' own share in the estimate falls with the timestep.
    pub timestep_scaling: f64,
    /// Rescale the betas so that the last timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl ScheduleConfig {
    /// The defaults of `class` in diffusers 0.39.
    pub fn defaults(class: SchedulerClass) -> Self {
        use SchedulerClass as Class;
        let spacing = match class {
            Class::Ddim | Class::Pndm | Class::Ddpm | Class::Lcm | Class::Tcd => {
                TimestepSpacing::Leading
            }
            _ => TimestepSpacing::Linspace,
        };
        let latent = matches!(
            class,
            Class::HeunDiscrete
                | Class::Kdpm2Discrete
                | Class::Kdpm2AncestralDiscrete
                | Class::DpmSolverSde
                | Class::Lcm
                | Class::Tcd
        );
        let (beta_start, beta_end) = if latent {
            (0.00085, 0.012)
        } else {
            (1e-4, 0.02)
        };
        Self {
            num_train_timesteps: 1000,
            beta_start,
            beta_end,
            beta_schedule: match class {
                Class::Lcm | Class::Tcd => BetaSchedule::ScaledLinear,
                _ => BetaSchedule::Linear,
            },
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: spacing,
            steps_offset: 0,
            // Classes without the key end at sigma 0, which is what true means.
            set_alpha_to_one: class != Class::Pndm,
            clip_sample: matches!(class, Class::Ddim | Class::Ddpm).then_some(1.0),
            original_inference_steps: 50,
            timestep_scaling: 10.0,
            rescale_betas_zero_snr: false,
        }
    }
}
