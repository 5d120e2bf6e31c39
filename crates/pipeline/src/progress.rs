//! One record per step, and the listener's say in whether to go on.

use std::ops::ControlFlow;

use imagegen_engine::Tensor;

/// A step that has just been done. There is no clock here: listeners time it themselves.
#[derive(Debug, Clone, Copy)]
pub struct StepRecord<'a> {
    /// Which step, counted from 1.
    pub step: usize,
    /// How many steps run in all.
    pub steps: usize,
    /// The noise level the step started from.
    pub sigma: f64,
    /// The clean estimate of this step, `[N, H, W, C]`, for previews.
    pub denoised: &'a Tensor,
}

/// Hears of every step. `Break` stops the run with [`Error::Cancelled`](crate::Error::Cancelled).
pub trait Progress {
    /// Called after each step.
    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(&StepRecord<'_>) -> ControlFlow<()>> Progress for F {
    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self(record)
    }
}

/// Listens to nothing and never cancels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _: &StepRecord<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
