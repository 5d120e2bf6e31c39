//! What can be asked of the service as a whole: models, queue, history, counters.

use std::sync::Arc;

use imagegen::ModelInfo;

use crate::{Job, JobId, KindName, State};

/// A model that orders may name.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    /// What orders call it.
    pub name: String,
    /// Its facts. Of one that was found no hashes.
    pub info: Arc<ModelInfo>,
    /// Whether it is taken where an order names none.
    pub is_default: bool,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// What is looked for in the history. Everything that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Whose jobs.
    pub owner: Option<String>,
    /// Words that prompt, negative prompt and source's name together hold, in any case and order.
    pub text: Option<String>,
    /// Favourites only.
    pub favourites: bool,
    /// Jobs of this kind.
    pub kind: Option<KindName>,
    /// Jobs in this state.
    pub state: Option<State>,
    /// Jobs ordered before this one.
    pub before: Option<JobId>,
    /// Most jobs of the page, 1 to 100.
    pub limit: usize,
}

/// A page of the history, latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// For [`Search::before`] of the next page; `None` on the last.
    pub next: Option<JobId>,
}

/// The queue as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueState {
    /// Jobs that wait.
    pub queued: usize,
    /// The job that runs.
    pub running: Option<JobId>,
    /// Seconds of an average job of late; `None` before the first.
    pub job_s: Option<f64>,
    /// Seconds until all that is ordered is done, where enough was measured to tell.
    pub wait_s: Option<f64>,
    /// Whether the worker is there and the default model loaded.
    pub ready: bool,
}

/// Counts for metrics. Jobs as they are stored; the rest since the service was opened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counters {
    /// Stored jobs, by state in the order of [`State::ALL`].
    pub jobs: [u64; 5],
    /// Jobs that were ordered.
    pub submitted: u64,
    /// Jobs that came to an end, by how: done, failed, cancelled.
    pub finished: [u64; 3],
    /// Steps that were run.
    pub steps: u64,
    /// Seconds these steps took.
    pub step_seconds: f64,
    /// Pictures that were made.
    pub results: u64,
    /// Bytes of sources and results that are stored.
    pub stored_bytes: u64,
}
