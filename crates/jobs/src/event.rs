//! What happens to jobs, for whoever listens.

use std::sync::Arc;

use crate::{Job, JobId};

/// Something happened. Listeners that are too slow lose the oldest events; the job itself always tells
/// where it stands.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job's state, place in the queue or mark changed. Sent with state `cancelled` for an unfinished
    /// job that is removed.
    Changed(Arc<Job>),
    /// A step of a running job is done.
    Step(StepDone),
    /// A running job has a new preview.
    Preview {
        /// The job.
        id: JobId,
        /// Counted from 1 in each run of a job.
        number: u64,
    },
    /// A running job has a new result.
    Result {
        /// The job.
        id: JobId,
        /// The result's index.
        index: usize,
    },
    /// The service ends.
    Shutdown,
}

/// A step of a running job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDone {
    /// The job.
    pub id: JobId,
    /// The picture in the making, counted from 1.
    pub picture: usize,
    /// Pictures in all.
    pub pictures: usize,
    /// Steps of this picture that are done, over both passes where there are two. Where a source is only enlarged, windows count
    /// as steps; where steps come before or after them, windows leave the count as it is.
    pub step: usize,
    /// Steps of this picture.
    pub steps: usize,
    /// The noise level the step started from; 0 for a window.
    pub sigma: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Seconds until the job is done.
    pub left_s: f64,
}

impl Event {
    /// The job it is about.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Changed(job) => Some(job.id),
            Self::Step(step) => Some(step.id),
            Self::Preview { id, .. } | Self::Result { id, .. } => Some(*id),
            Self::Shutdown => None,
        }
    }
}
