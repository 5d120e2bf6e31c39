//! What the service's callers and its worker share: storage, models, events, and what is only in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use imagegen::Source;
use imagegen::files::Shelves;
use tokio::sync::broadcast;

use crate::lock::FolderLock;
use crate::models::Models;
use crate::pictures::{self, Pictures};
use crate::store::{Database, JobRow, Waiting};
use crate::{Error, Event, Job, JobId, Limits, Progress, State};

/// Events that a listener may be behind before it loses some.
const BACKLOG: usize = 1024;
/// Most pixels of the decoded sources that are kept.
const DECODED_PIXELS: u64 = 64_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) database: Database,
    pub(crate) pictures: Pictures,
    pub(crate) models: Models,
    /// LoRAs and embeddings that orders may name.
    pub(crate) shelves: Shelves,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) tally: Tally,
    /// Held while a source is put or dropped, so that its row and its file come and go together.
    pub(crate) sources: Mutex<()>,
    live: Mutex<Live>,
    /// Something was ordered, or the service closes.
    pub(crate) wake: Condvar,
    decoded: Mutex<VecDeque<Arc<Source>>>,
    /// Runs before each picture, to make one fail.
    #[cfg(test)]
    pub(crate) trap: Mutex<Option<fn(&crate::Order)>>,
    _lock: FolderLock,
}

/// What is only in memory.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) running: Option<Arc<Running>>,
    /// The latest preview of the running job.
    pub(crate) preview: Option<(JobId, Bytes)>,
    /// Seconds of each model for each network call and pixel.
    pub(crate) speeds: HashMap<String, f64>,
    /// Something was ordered since the worker looked.
    pub(crate) ordered: bool,
    pub(crate) closing: bool,
    pub(crate) ready: bool,
    /// The worker has ended.
    pub(crate) ended: bool,
}

/// The job that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: JobId,
    stop: AtomicU8,
    standing: Mutex<(Option<Progress>, Option<Left>)>,
}

/// Seconds that were left at a time.
#[derive(Debug, Clone, Copy)]
struct Left {
    seconds: f64,
    at: Instant,
}

/// Why a running job is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for it.
    Cancel,
    /// The service closes; the job goes back into the queue.
    Close,
}

impl Running {
    pub(crate) fn new(id: JobId) -> Self {
        Self {
            id,
            stop: AtomicU8::new(0),
            standing: Mutex::default(),
        }
    }

    /// Asks to stop. Who cancels has the last word.
    pub(crate) fn stop(&self, stop: Stop) {
        match stop {
            Stop::Cancel => self.stop.store(2, Ordering::SeqCst),
            Stop::Close => {
                // A cancelled job stays cancelled.
                let _ = self
                    .stop
                    .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
    }

    /// Whether it is to stop, and why.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Stop::Close),
            _ => Some(Stop::Cancel),
        }
    }

    /// Notes how far it is and how many seconds are left.
    pub(crate) fn stands(&self, progress: Progress, left_s: Option<f64>) {
        let left = left_s.map(|seconds| Left {
            seconds,
            at: Instant::now(),
        });
        *locked(&self.standing) = (Some(progress), left);
    }

    fn progress(&self) -> Option<Progress> {
        locked(&self.standing).0
    }

    /// Seconds left now.
    pub(crate) fn left_s(&self) -> Option<f64> {
        let left = locked(&self.standing).1?;
        Some((left.seconds - left.at.elapsed().as_secs_f64()).max(0.0))
    }
}

/// Counts since the service was opened.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) submitted: AtomicU64,
    /// Done, failed, cancelled.
    pub(crate) finished: [AtomicU64; 3],
    pub(crate) steps: AtomicU64,
    pub(crate) step_micros: AtomicU64,
    pub(crate) results: AtomicU64,
}

impl Tally {
    pub(crate) fn finish(&self, state: State) {
        let index = match state {
            State::Done => 0,
            State::Failed => 1,
            State::Cancelled => 2,
            State::Queued | State::Running => return,
        };
        self.finished[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// What a lock guards, also after a panic elsewhere: every change behind our locks is whole at any time.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        lock: FolderLock,
        database: Database,
        pictures: Pictures,
        (models, shelves): (Models, Shelves),
    ) -> Result<Self, Error> {
        let live = Live {
            speeds: database.speeds()?.into_iter().collect(),
            ..Live::default()
        };
        Ok(Self {
            limits,
            database,
            pictures,
            models,
            shelves,
            events: broadcast::Sender::new(BACKLOG),
            tally: Tally::default(),
            sources: Mutex::new(()),
            live: Mutex::new(live),
            wake: Condvar::new(),
            decoded: Mutex::default(),
            #[cfg(test)]
            trap: Mutex::default(),
            _lock: lock,
        })
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        locked(&self.live)
    }

    /// The running job, if it is the one of this name.
    pub(crate) fn running(&self, id: &JobId) -> Option<Arc<Running>> {
        let running = self.live().running.clone();
        running.filter(|running| running.id == *id)
    }

    /// Says that something happened; nobody needs to listen.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Says how a job stands now.
    pub(crate) fn tell_job(&self, id: &JobId) -> Result<(), Error> {
        if let Some(job) = self.job(id)? {
            self.tell(Event::Changed(Arc::new(job)));
        }
        Ok(())
    }

    /// Says the new places of everything that waits.
    pub(crate) fn tell_queue(&self) -> Result<(), Error> {
        let waiting = self.database.waiting()?;
        for one in &waiting {
            if let Some(row) = self.database.job(&one.id)? {
                let job = self.joined(row, &waiting)?;
                self.tell(Event::Changed(Arc::new(job)));
            }
        }
        Ok(())
    }

    /// A job as it stands.
    pub(crate) fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let Some(row) = self.database.job(id)? else {
            return Ok(None);
        };
        let waiting = match row.state {
            State::Queued => self.database.waiting()?,
            _ => Vec::new(),
        };
        self.joined(row, &waiting).map(Some)
    }

    /// Joins a job's row with its results and with what is only in memory.
    pub(crate) fn joined(&self, row: JobRow, waiting: &[Waiting]) -> Result<Job, Error> {
        let results = self.database.results(row.seq)?;
        let running = (row.state == State::Running)
            .then(|| self.running(&row.id))
            .flatten();
        let place = waiting.iter().position(|one| one.id == row.id);
        let estimate_s = match (&running, place) {
            (Some(running), _) => running.left_s(),
            (None, Some(place)) => self.wait_s(&waiting[..=place]),
            (None, None) => None,
        };
        Ok(Job {
            id: row.id,
            owner: row.owner,
            state: row.state,
            order: row.order,
            source_name: row.source_name,
            created_ms: row.created_ms,
            started_ms: row.started_ms,
            finished_ms: row.finished_ms,
            position: place.and_then(|place| u32::try_from(place).ok()),
            estimate_s,
            progress: running.and_then(|running| running.progress()),
            results,
            sheet: row.sheet,
            warnings: row.warnings,
            failure: row.failure,
            favourite: row.favourite,
            attempts: row.attempts,
        })
    }

    /// Seconds until the running job and all of `waiting` are done; `None` where a model's speed is not
    /// known.
    pub(crate) fn wait_s(&self, waiting: &[Waiting]) -> Option<f64> {
        let live = self.live();
        let running = match &live.running {
            Some(running) => running.left_s()?,
            None => 0.0,
        };
        let seconds = |one: &Waiting| Some(one.work * live.speeds.get(&one.model)?);
        let waits: Option<f64> = waiting.iter().map(seconds).sum();
        Some(running + waits?)
    }

    /// A stored source, decoded.
    ///
    /// Fails with [`Error::UnknownSource`] or [`Error::SourceDamaged`].
    pub(crate) fn decoded(&self, sha256: &str) -> Result<Arc<Source>, Error> {
        let unknown = || Error::UnknownSource {
            sha256: sha256.chars().take(64).collect(),
        };
        if !is_hash(sha256) {
            return Err(unknown());
        }
        let kept = locked(&self.decoded)
            .iter()
            .find(|source| source.sha256 == sha256)
            .cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let entry = self.database.source(sha256)?.ok_or_else(unknown)?;
        let damaged = || Error::SourceDamaged {
            sha256: sha256.to_owned(),
        };
        let bytes = self.pictures.get(&pictures::source(sha256))?;
        // It was decoded within its limits when it was put; if it is still the same file, it fits.
        let unlimited = imagegen_picture::Limits {
            bytes: u64::MAX,
            pixels: u64::MAX,
            memory: u64::MAX,
        };
        let bytes = bytes
            .filter(|bytes| hash(bytes) == sha256)
            .ok_or_else(damaged)?;
        let source = Arc::new(Source::decode(entry.name, &bytes, &unlimited)?);
        self.keep_decoded(Arc::clone(&source));
        Ok(source)
    }

    /// Keeps a decoded source at hand, in place of those that were kept for longest.
    pub(crate) fn keep_decoded(&self, source: Arc<Source>) {
        let mut decoded = locked(&self.decoded);
        decoded.retain(|kept| kept.sha256 != source.sha256);
        decoded.push_front(source);
        let pixels = |kept: &Arc<Source>| kept.picture().size().pixels();
        while decoded.len() > 1 && decoded.iter().map(pixels).sum::<u64>() > DECODED_PIXELS {
            decoded.pop_back();
        }
    }

    /// Forgets a decoded source.
    pub(crate) fn forget_decoded(&self, sha256: &str) {
        locked(&self.decoded).retain(|kept| kept.sha256 != sha256);
    }

    /// Whether the service closes.
    pub(crate) fn is_closing(&self) -> bool {
        self.live().closing
    }
}

/// Whether a text is a SHA-256 as we write it.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}
