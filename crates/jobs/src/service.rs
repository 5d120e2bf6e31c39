//! The service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use imagegen::{Cpu, Model, ModelSource, Source};
use tokio::sync::broadcast;

use crate::{
    Counters, Error, Event, Job, JobId, Limits, ModelEntry, Order, Page, PictureKind, QueueState,
    Search, SourceEntry,
};

/// The service: queue, history and worker. Clones share it.
#[derive(Debug, Clone)]
pub struct Jobs {}

/// An order that was taken.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// Whether it was there already, under the same idempotency key.
    pub again: bool,
}

#[allow(
    unused_variables,
    clippy::unimplemented,
    reason = "bodies follow in the next commit"
)]
impl Jobs {
    /// Opens a folder, which is made where it is not there, and starts the worker.
    ///
    /// The first of `models` is the default one. Jobs that were running when the process ended are queued
    /// again, those that this happened to twice fail. Fails with [`Error::InUse`], [`Error::Folder`],
    /// [`Error::Newer`], or as a model's files do.
    pub fn open(
        folder: &Path,
        limits: Limits,
        cpu: Cpu,
        models: Vec<ModelSource>,
    ) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Takes no more orders and stops the running job after its step; it goes back into the queue. Waits for
    /// that at most as long as `wait`.
    pub fn shutdown(&self, wait: Duration) {
        unimplemented!()
    }

    /// The models that orders may name, the default one first.
    pub fn models(&self) -> Vec<ModelEntry> {
        unimplemented!()
    }

    /// The model of this name, or the default one, loaded. Blocks while it loads.
    pub fn model(&self, name: Option<&str>) -> Result<Arc<Model>, Error> {
        unimplemented!()
    }

    /// Stores a picture's bytes under their hash, once. Decodes them within `limits` first.
    pub async fn put_source(
        &self,
        owner: &str,
        name: &str,
        bytes: Bytes,
        limits: &imagegen_picture::Limits,
    ) -> Result<SourceEntry, Error> {
        unimplemented!()
    }

    /// A stored source.
    pub async fn source(&self, sha256: &str) -> Result<Option<SourceEntry>, Error> {
        unimplemented!()
    }

    /// A stored source's bytes as they were put.
    pub async fn source_bytes(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        unimplemented!()
    }

    /// A stored source, decoded.
    pub async fn decoded(&self, sha256: &str) -> Result<Arc<Source>, Error> {
        unimplemented!()
    }

    /// Takes an order. Blocks while its model loads; call it where that does no harm.
    pub fn submit(&self, owner: &str, order: Order, key: Option<&str>) -> Result<Submitted, Error> {
        unimplemented!()
    }

    /// A job.
    pub fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        unimplemented!()
    }

    /// Stops a job: a queued one at once, a running one after its step. Results made so far stay.
    pub fn cancel(&self, id: &JobId) -> Result<Option<Job>, Error> {
        unimplemented!()
    }

    /// Stops a job and drops it with its pictures. False where there is none.
    pub fn remove(&self, id: &JobId) -> Result<bool, Error> {
        unimplemented!()
    }

    /// Marks a job as favourite, or not.
    pub fn set_favourite(&self, id: &JobId, favourite: bool) -> Result<Option<Job>, Error> {
        unimplemented!()
    }

    /// A page of the history.
    pub fn history(&self, search: &Search) -> Result<Page, Error> {
        unimplemented!()
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        unimplemented!()
    }

    /// A job's picture as PNG.
    pub async fn picture(&self, id: &JobId, which: PictureKind) -> Result<Option<Bytes>, Error> {
        unimplemented!()
    }

    /// The queue as a whole.
    pub fn queue(&self) -> Result<QueueState, Error> {
        unimplemented!()
    }

    /// Counts for metrics.
    pub fn counters(&self) -> Result<Counters, Error> {
        unimplemented!()
    }
}
