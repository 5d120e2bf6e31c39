//! What tells a model from others: found while its weights are got ready, since hashing takes as long.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::ModelChoice;
use super::files::{ModelFiles, Unhashed};
use super::parts::Parts;
use super::vae::Vae;
use crate::recipe::SourceMark;
use crate::{Error, ModelMark};

/// A mark but for the hashes. Files are hashed anew each time: nothing that a system says of a file (its size, times
/// or number) proves that it holds what it held.
pub(super) struct Unmarked {
    name: String,
    files: Unhashed,
    vae: Option<(String, Unhashed)>,
    prediction: Option<String>,
}

impl Unmarked {
    /// Of everything that was read, and what was decided over it.
    pub(super) fn of(
        parts: &Parts,
        files: &ModelFiles,
        choice: &ModelChoice,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: files.name().to_owned(),
            files: files.unhashed()?,
            vae: parts.vae.as_ref().map(Vae::unhashed).transpose()?,
            prediction: choice.prediction.map(|kind| kind.name().to_owned()),
        })
    }

    /// Hashes all files.
    pub(super) fn mark(&self) -> ModelMark {
        let vae = self.vae.as_ref().map(|(name, files)| SourceMark {
            name: name.clone(),
            sha256: files.hash(),
        });
        ModelMark {
            name: self.name.clone(),
            sha256: self.files.hash(),
            vae,
            prediction: self.prediction.clone(),
        }
    }

    /// Begins to hash on a thread of its own, where the system gives one.
    pub(super) fn begin(self) -> Marking {
        let what = Arc::new(self);
        let own = Arc::clone(&what);
        let thread = thread::Builder::new().name("hash".to_owned());
        Marking {
            what,
            thread: thread.spawn(move || own.mark()).ok(),
        }
    }
}

/// A mark that is being made. Who drops it leaves the thread to end by itself.
pub(super) struct Marking {
    what: Arc<Unmarked>,
    thread: Option<JoinHandle<ModelMark>>,
}

impl Marking {
    /// Waits for it.
    pub(super) fn finish(self) -> ModelMark {
        match self.thread {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => self.what.mark(),
        }
    }
}
