//! Jobs: the queue, its history, the worker that carries them out, and where their pictures lie.
//!
//! [`Jobs::open`] takes a folder: `jobs.sqlite` there is the truth about jobs, `pictures/` holds sources
//! and results. One thread carries jobs out, one after the other; a panic or a crash costs the job it hits
//! and nothing else. Knows nothing of HTTP; who an owner is, is its caller's business.

mod clock;
mod error;
mod event;
mod hires;
mod inpainting;
mod job;
mod limits;
mod lock;
mod models;
mod named;
mod offer;
mod order;
mod pictures;
mod plan;
mod retention;
mod sampling;
mod service;
mod shared;
mod source;
mod state;
mod store;
mod watch;
mod worker;

pub use error::Error;
pub use event::{Event, StepDone};
pub use hires::Hires;
pub use inpainting::Inpainting;
pub use job::{AdviceMark, Failure, Job, JobId, JobResult, NoJobId, PictureKind, Progress, State};
pub use limits::Limits;
pub use models::Offered;
pub use offer::Offer;
pub use order::{Kind, KindName, Order, OrderedLora};
pub use sampling::Sampling;
pub use service::{Jobs, Submitted};
pub use source::SourceEntry;
pub use state::{Counters, ModelEntry, Page, QueueState, Search};
