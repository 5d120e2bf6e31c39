//! Training schedules of models in the field, and comparison with named tolerances.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "shared by several test crates")]

pub mod reference;

use std::fmt::Debug;

use imagegen_pipeline::{
    BetaSchedule, Finish, FinishRule, Layout, PredictionType, Reach, Sampler, ScheduleConfig,
    Spacing, Stepping, Tensor, TimestepSpacing, TrainingSchedule,
};

/// How far two values may be apart: |got - want| <= atol + rtol * |want|.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub atol: f64,
    pub rtol: f64,
}

impl Tolerance {
    /// Rounding of a handful of f32 operations on numbers up to 10.
    pub const ROUNDING_F32: Self = Self {
        atol: 5e-6,
        rtol: 1e-6,
    };

    /// Shares of windows sum up to 1 to within rounding, at each of a few steps, on numbers up to 10.
    pub const WINDOWS_F32: Self = Self {
        atol: 1e-5,
        rtol: 0.0,
    };
}

/// The largest excess over the tolerance, or the first fault, in words.
pub fn close(got: &[f32], want: &[f32], tolerance: Tolerance) -> Result<f64, String> {
    if got.len() != want.len() {
        return Err(format!("{} numbers, expected {}", got.len(), want.len()));
    }
    let mut worst = 0.0f64;
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (f64::from(got), f64::from(want));
        let off = (got - want).abs();
        if off.is_nan() || off > tolerance.atol + tolerance.rtol * want.abs() {
            return Err(format!(
                "number {i} is {got}, expected {want}, off by {off:e}"
            ));
        }
        worst = worst.max(off);
    }
    Ok(worst)
}

pub fn assert_close(got: &Tensor, want: &Tensor, tolerance: Tolerance, subject: impl Debug) {
    assert_eq!(got.shape(), want.shape(), "{subject:?}");
    if let Err(fault) = close(got.data(), want.data(), tolerance) {
        panic!("{subject:?}: {fault}");
    }
}

/// Steps in the model's own spacing.
pub fn layout(sampler: Sampler, steps: usize, stepping: Stepping) -> Layout {
    Layout {
        sampler,
        spacing: Spacing::Model,
        steps,
        stepping,
    }
}

/// The starter's scheduler file, read for `sampler`.
pub fn starter(sampler: Sampler) -> TrainingSchedule {
    trained(ScheduleConfig {
        beta_start: 0.0025,
        beta_end: 0.02,
        prediction_type: PredictionType::Sample,
        timestep_spacing: TimestepSpacing::Linspace,
        clip_sample: Some(1.7),
        ..ScheduleConfig::defaults(sampler.scheduler_class())
    })
}

/// Stable Diffusion 1.5's scheduler file, which names no spacing, read for `sampler`.
pub fn stable_diffusion(sampler: Sampler) -> TrainingSchedule {
    trained(ScheduleConfig {
        beta_start: 0.00085,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        steps_offset: 1,
        set_alpha_to_one: false,
        clip_sample: None,
        ..ScheduleConfig::defaults(sampler.scheduler_class())
    })
}

/// Velocity, zero terminal SNR and trailing timesteps together.
pub fn zero_snr(sampler: Sampler) -> TrainingSchedule {
    trained(ScheduleConfig {
        beta_start: 0.00085,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        prediction_type: PredictionType::VPrediction,
        timestep_spacing: TimestepSpacing::Trailing,
        rescale_betas_zero_snr: true,
        clip_sample: None,
        ..ScheduleConfig::defaults(sampler.scheduler_class())
    })
}

fn trained(config: ScheduleConfig) -> TrainingSchedule {
    TrainingSchedule::new(config).expect("these settings are sound")
}

/// A finish that nothing is asked of.
pub fn unfinished() -> Finish {
    let reach = |pixels| Reach {
        pixels,
        factors: Vec::new(),
    };
    let rule = FinishRule {
        patch: None,
        strokes: reach(4.0),
        smoothing: reach(0.5),
        cell: 8,
        cells: Vec::new(),
        pigment: Vec::new(),
        grades: Vec::new(),
        grading: Vec::new(),
    };
    Finish {
        rule,
        strokes: 0.0,
        cells: 0.0,
        smoothing: 0.0,
        pigment: 0.0,
        grades: Vec::new(),
    }
}
