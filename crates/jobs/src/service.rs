//! The service as its callers see it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use imagegen::files::{Shelf, Shelved};
use imagegen::{Cpu, Model, Source};
use tokio::sync::broadcast;

use crate::clock::now_ms;
use crate::lock::FolderLock;
use crate::models::Models;
use crate::pictures::{self, Pictures};
use crate::shared::{Shared, Stop, hash, locked};
use crate::store::{Database, NewJob, Taken};
use crate::{
    Counters, Error, Event, Job, JobId, Limits, ModelEntry, Offer, Order, Page, PictureKind,
    QueueState, Search, SourceEntry, plan, retention, source, worker,
};

/// Longest idempotency key, in bytes.
const KEY_BYTES: usize = 200;
/// Seconds after which to try again, where nothing better is known.
const RETRY_S: f64 = 10.0;
/// Longest time, in seconds, after which to try again.
const RETRY_MOST_S: f64 = 600.0;

/// The service: queue, history and worker. Clones share it; with the last one it closes, as
/// [`Jobs::shutdown`] does, and waits for the step that runs.
#[derive(Debug, Clone)]
pub struct Jobs(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// An order that was taken.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// Whether it was there already, under the same idempotency key.
    pub again: bool,
}

impl Jobs {
    /// Opens a folder, which is made where it is not there, and starts the worker.
    ///
    /// The first model of `offer` is the default one. Jobs that were running when the process ended are queued
    /// again, those that this happened to twice fail. Fails with [`Error::InUse`], [`Error::Folder`],
    /// [`Error::Newer`], or as a model's files do.
    pub fn open(
        folder: &Path,
        limits: Limits,
        cpu: Cpu,
        offer: impl Into<Offer>,
    ) -> Result<Self, Error> {
        let Offer { models, shelves } = offer.into();
        let models = Models::new(models, cpu, limits.memory, limits.room)?;
        let lock = FolderLock::take(folder)?;
        let database = Database::open(&folder.join("jobs.sqlite"))?;
        let pictures = Pictures::open(&folder.join("pictures"))?;
        let shared = Arc::new(Shared::new(
            limits,
            lock,
            database,
            pictures,
            (models, shelves),
        )?);
        shared.database.recover(now_ms())?;
        retention::sweep(&shared)?;
        retention::apply(&shared, now_ms());
        let working = Arc::clone(&shared);
        let worker = std::thread::Builder::new()
            .name("jobs".to_owned())
            .spawn(move || worker::run(&working))
            .map_err(|source| Error::Folder {
                folder: folder.to_owned(),
                source,
            })?;
        Ok(Self(Arc::new(Handle {
            shared,
            worker: Mutex::new(Some(worker)),
        })))
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Takes no more orders and stops the running job after its step; it goes back into the queue and
    /// keeps its results. Waits for that at most as long as `wait`.
    pub fn shutdown(&self, wait: Duration) {
        self.0.close(wait);
    }

    /// The models that orders may name, the default one first. Blocks while folders are looked into.
    pub fn models(&self) -> Vec<ModelEntry> {
        self.shared().models.list()
    }

    /// The model of this name, or the default one, as it is known before it is loaded.
    ///
    /// Fails with [`Error::UnknownModel`].
    pub fn known_model(&self, name: Option<&str>) -> Result<ModelEntry, Error> {
        self.shared().models.told(name)
    }

    /// LoRAs that orders may name; `None` where none are offered. Blocks while headers are read.
    ///
    /// Fails where their folder cannot be read.
    pub fn loras(&self) -> Result<Option<Vec<Shelved>>, Error> {
        let shelf = self.shared().shelves.loras.as_ref();
        Ok(shelf.map(Shelf::list).transpose()?)
    }

    /// Embeddings that texts of orders may name; `None` where none are offered. Blocks while headers are read.
    ///
    /// Fails where their folder cannot be read.
    pub fn embeddings(&self) -> Result<Option<Vec<Shelved>>, Error> {
        let shelf = self.shared().shelves.embeddings.as_ref();
        Ok(shelf.map(Shelf::list).transpose()?)
    }

    /// The model of this name, or the default one, loaded. Blocks while it loads.
    ///
    /// Fails with [`Error::UnknownModel`], which lists the known ones, or as loading does.
    pub fn model(&self, name: Option<&str>) -> Result<Arc<Model>, Error> {
        self.shared().models.get(name)
    }

    /// Stores a picture's bytes under their hash, once, after decoding them within `limits`.
    ///
    /// Fails with [`Error::Library`] where they are no usable picture, and with [`Error::Store`].
    pub async fn put_source(
        &self,
        owner: &str,
        name: &str,
        bytes: Bytes,
        limits: &imagegen_picture::Limits,
    ) -> Result<SourceEntry, Error> {
        let (owner, name, limits) = (owner.to_owned(), name.to_owned(), *limits);
        self.apart(move |shared| source::put(shared, &owner, &name, bytes, &limits))
            .await
    }

    /// A stored source, under the name it was first put with.
    pub async fn source(&self, sha256: &str) -> Result<Option<SourceEntry>, Error> {
        self.shared().database.source(sha256)
    }

    /// A stored source's bytes as they were put.
    pub async fn source_bytes(&self, sha256: &str) -> Result<Option<Bytes>, Error> {
        let sha256 = sha256.to_owned();
        self.apart(move |shared| source::bytes(shared, &sha256))
            .await
    }

    /// A stored source, decoded. The last few are kept at hand.
    ///
    /// Fails with [`Error::UnknownSource`] or [`Error::SourceDamaged`].
    pub async fn decoded(&self, sha256: &str) -> Result<Arc<Source>, Error> {
        let sha256 = sha256.to_owned();
        self.apart(move |shared| shared.decoded(&sha256)).await
    }

    /// Takes an order: checks all of it, fills it in and puts it at the end of the queue.
    ///
    /// The same `key` of the same owner gives the same job again while that is kept. Blocks while the
    /// model loads and the source is decoded. Fails with [`Error::Value`] or [`Error::Library`] for what
    /// cannot be carried out, with [`Error::UnknownModel`] or [`Error::UnknownSource`], with
    /// [`Error::QueueFull`] or [`Error::TooMany`], [`Error::KeyReused`] and [`Error::ShutDown`].
    pub fn submit(&self, owner: &str, order: Order, key: Option<&str>) -> Result<Submitted, Error> {
        let shared = self.shared();
        if shared.is_closing() {
            return Err(Error::ShutDown);
        }
        if let Some(key) = key
            && !(1..=KEY_BYTES).contains(&key.len())
        {
            let got = format!("{} bytes long", key.len());
            return Err(Error::value(
                "idempotency_key",
                got,
                format!("1 to {KEY_BYTES}"),
            ));
        }
        let asked = hash(serde_json::to_string(&order).unwrap_or_default().as_bytes());
        if let Some(key) = key
            && let Some((id, before)) = shared.database.keyed(owner, key)?
        {
            return self.again(&id, before == asked, key);
        }
        let name = shared.models.name(order.model.as_deref())?;
        let model = shared.models.get(Some(&name))?;
        let order = plan::filled_in(&order, (&name, &model), drawn_seed);
        let source = order.kind.source();
        let source = source.map(|sha256| shared.decoded(sha256)).transpose()?;
        let mask = order.kind.mask();
        let mask = mask.map(|sha256| shared.decoded(sha256)).transpose()?;
        let refiner = shared.models.refiner(&order, &name)?;
        let beside = (&shared.shelves, refiner.as_ref());
        let requests = plan::requests(&order, source.as_deref(), mask.as_deref(), beside)?;
        let work = plan::work(&model, &order, &requests, shared.limits.result_pixels)?;
        let new = NewJob {
            id: JobId::new(),
            owner,
            order: &order,
            model: &name,
            work,
            now_ms: now_ms(),
            key: key.map(|key| (key, asked.as_str())),
            limits: (shared.limits.queued, shared.limits.per_owner),
        };
        let retry_s = || self.retry_s();
        match shared.database.add(&new)? {
            Taken::New => self.added(new.id),
            Taken::Again(id) => self.again(&id, true, key.unwrap_or_default()),
            Taken::KeyReused => Err(Error::KeyReused {
                key: key.unwrap_or_default().to_owned(),
            }),
            Taken::QueueFull => Err(Error::QueueFull {
                limit: shared.limits.queued,
                retry_s: retry_s(),
            }),
            Taken::TooMany => Err(Error::TooMany {
                limit: shared.limits.per_owner,
                retry_s: retry_s(),
            }),
            Taken::NoSource => Err(Error::UnknownSource {
                sha256: order.kind.source().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// A job was added: wakes the worker and says so.
    fn added(&self, id: JobId) -> Result<Submitted, Error> {
        let shared = self.shared();
        shared.tally.submitted.fetch_add(1, Ordering::Relaxed);
        {
            let mut live = shared.live();
            live.ordered = true;
            shared.wake.notify_all();
        }
        let job = shared.job(&id)?.ok_or(Error::Damaged {
            subject: "jobs.id",
            got: "gone".to_owned(),
        })?;
        shared.tell(Event::Changed(Arc::new(job.clone())));
        Ok(Submitted { job, again: false })
    }

    /// The job that a key stands for.
    fn again(&self, id: &JobId, same: bool, key: &str) -> Result<Submitted, Error> {
        let reused = || Error::KeyReused {
            key: key.to_owned(),
        };
        if !same {
            return Err(reused());
        }
        let job = self.shared().job(id)?.ok_or_else(reused)?;
        Ok(Submitted { job, again: true })
    }

    /// Seconds after which there may be room in the queue.
    fn retry_s(&self) -> u64 {
        let shared = self.shared();
        let running = shared.live().running.clone();
        let left = running.and_then(|running| running.left_s());
        let seconds = left.or(shared.database.average_seconds().ok().flatten());
        seconds.unwrap_or(RETRY_S).ceil().clamp(1.0, RETRY_MOST_S) as u64
    }

    /// A job as it stands.
    pub fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        self.shared().job(id)
    }

    /// Stops a job: a queued one at once, a running one after its step. Results made so far stay. A job
    /// that is over stays as it is. `None` where there is none.
    pub fn cancel(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let shared = self.shared();
        if shared.database.cancel(id, now_ms())? {
            match shared.running(id) {
                Some(running) => running.stop(Stop::Cancel),
                None => self.cancelled(id)?,
            }
        }
        shared.job(id)
    }

    /// A queued job was cancelled: says so, and how the queue stands.
    fn cancelled(&self, id: &JobId) -> Result<(), Error> {
        let shared = self.shared();
        let Some(job) = shared.job(id)? else {
            return Ok(());
        };
        if job.state.is_over() {
            shared.tally.finish(job.state);
            shared.tell(Event::Changed(Arc::new(job)));
            shared.tell_queue()?;
        }
        Ok(())
    }

    /// Stops a job and drops it with its pictures, favourite or not. False where there is none.
    pub fn remove(&self, id: &JobId) -> Result<bool, Error> {
        let shared = self.shared();
        let Some(mut job) = shared.job(id)? else {
            return Ok(false);
        };
        let running = shared.running(id);
        if let Some(running) = &running {
            running.stop(Stop::Cancel);
        }
        if !shared.database.remove(id)? {
            return Ok(false);
        }
        shared.pictures.remove_job(id)?;
        if !job.state.is_over() {
            job.state = crate::State::Cancelled;
            (job.position, job.estimate_s, job.progress) = (None, None, None);
            shared.tell(Event::Changed(Arc::new(job)));
            shared.tell_queue()?;
        }
        Ok(true)
    }

    /// Marks a job as favourite, or not. `None` where there is none.
    pub fn set_favourite(&self, id: &JobId, favourite: bool) -> Result<Option<Job>, Error> {
        let shared = self.shared();
        if shared.database.set_favourite(id, favourite)? {
            shared.tell_job(id)?;
        }
        shared.job(id)
    }

    /// A page of the history, latest first.
    ///
    /// Fails with [`Error::Value`] where the limit is out of range.
    pub fn history(&self, search: &Search) -> Result<Page, Error> {
        if !(1..=100).contains(&search.limit) {
            return Err(Error::value("limit", search.limit, "1 to 100"));
        }
        let shared = self.shared();
        let (rows, more) = shared.database.history(search)?;
        let waiting = shared.database.waiting()?;
        let jobs = rows.into_iter().map(|row| shared.joined(row, &waiting));
        let jobs: Vec<Job> = jobs.collect::<Result<_, _>>()?;
        let next = jobs.last().filter(|_| more).map(|job| job.id);
        Ok(Page { jobs, next })
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared().events.subscribe()
    }

    /// A job's picture as PNG; `None` where there is none (yet).
    pub async fn picture(&self, id: &JobId, which: PictureKind) -> Result<Option<Bytes>, Error> {
        let id = *id;
        let name = match which {
            PictureKind::Preview => {
                let preview = self.shared().live().preview.clone();
                return Ok(preview.filter(|(of, _)| *of == id).map(|(_, bytes)| bytes));
            }
            PictureKind::Result(index) => pictures::result(&id, index),
            PictureKind::Sheet => pictures::sheet(&id),
        };
        self.apart(move |shared| match shared.database.job(&id)? {
            Some(_) => shared.pictures.get(&name),
            None => Ok(None),
        })
        .await
    }

    /// The queue as a whole.
    pub fn queue(&self) -> Result<QueueState, Error> {
        let shared = self.shared();
        let waiting = shared.database.waiting()?;
        let wait_s = shared.wait_s(&waiting);
        let job_s = shared.database.average_seconds()?;
        let live = shared.live();
        Ok(QueueState {
            queued: waiting.len(),
            running: live.running.as_ref().map(|running| running.id),
            job_s,
            wait_s,
            ready: live.ready && !live.closing,
        })
    }

    /// Counts for metrics.
    pub fn counters(&self) -> Result<Counters, Error> {
        let shared = self.shared();
        let tally = &shared.tally;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Counters {
            jobs: shared.database.counts()?,
            submitted: count(&tally.submitted),
            finished: tally.finished.each_ref().map(count),
            steps: count(&tally.steps),
            step_seconds: count(&tally.step_micros) as f64 / 1e6,
            results: count(&tally.results),
            stored_bytes: shared.database.stored_bytes()?,
        })
    }

    /// Does what blocks on a thread that may block.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.0.shared);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return work(&shared);
        };
        match runtime.spawn_blocking(move || work(&shared)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::ShutDown),
        }
    }

    /// Runs before each picture of a job from now on.
    #[cfg(test)]
    fn set_trap(&self, trap: fn(&Order)) {
        *locked(&self.shared().trap) = Some(trap);
    }
}

impl Handle {
    fn close(&self, wait: Duration) {
        let shared = &self.shared;
        let until = Instant::now() + wait;
        {
            let mut live = shared.live();
            if !live.closing {
                live.closing = true;
                shared.tell(Event::Shutdown);
            }
            if let Some(running) = &live.running {
                running.stop(Stop::Close);
            }
            shared.wake.notify_all();
            while !live.ended {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                let waited = shared.wake.wait_timeout(live, left);
                live = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
        }
        self.join();
    }

    fn join(&self) {
        if let Some(worker) = locked(&self.worker).take() {
            // A panic of the worker was logged where it happened; there is nobody to pass it on to.
            let _ = worker.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close(Duration::from_secs(60));
    }
}

/// A seed nobody chose. 32 bits, since torch's generator reads no more.
fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish() & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use imagegen::Level;

    use super::*;
    use crate::{Kind, State};

    fn open(folder: &Path) -> Jobs {
        let cpu = Cpu {
            level: Level::best(),
            threads: 2,
        };
        Jobs::open(
            folder,
            Limits::default(),
            cpu,
            vec![imagegen::ModelSource::Starter.into()],
        )
        .unwrap()
    }

    fn order(prompt: &str, count: u8) -> Order {
        Order {
            model: None,
            prompt: prompt.to_owned(),
            loras: Vec::new(),
            negative_prompt: String::new(),
            prompt_mode: None,
            steps: Some(1),
            guidance_scale: None,
            seed: Some(1),
            sampler: None,
            sampling: crate::Sampling::default(),
            strength_rule: None,
            kind: Kind::Generate {
                width: 64,
                height: 64,
                count,
            },
        }
    }

    /// Waits for the end of a job.
    fn over(jobs: &Jobs, id: &JobId) -> Job {
        loop {
            let job = jobs.job(id).unwrap().unwrap();
            if job.state.is_over() {
                return job;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_panic_fails_its_job_alone_and_the_model_is_loaded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = open(folder.path());
        let before = jobs.model(None).unwrap();
        jobs.set_trap(|order| assert!(order.prompt != "wrong", "a trap for {}", order.prompt));
        let submit = |prompt| jobs.submit("anna", order(prompt, 1), None).unwrap().job.id;
        let ids = ["right", "wrong", "right"].map(submit);
        let ended = ids.map(|id| over(&jobs, &id));
        let states = ended.each_ref().map(|job| job.state);
        assert_eq!(states, [State::Done, State::Failed, State::Done]);
        let failure = ended[1].failure.as_ref().unwrap();
        assert_eq!(failure.code, "panicked");
        assert!(
            failure.message.ends_with("a trap for wrong"),
            "{}",
            failure.message
        );
        assert!(!Arc::ptr_eq(&before, &jobs.model(None).unwrap()));
        assert!(jobs.queue().unwrap().ready);
        assert_eq!(jobs.counters().unwrap().finished, [2, 1, 0]);
    }

    #[test]
    fn a_panic_in_mid_job_leaves_the_results_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = open(folder.path());
        static PICTURES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        jobs.set_trap(|_| assert!(PICTURES.fetch_add(1, Ordering::SeqCst) != 1));
        let id = jobs.submit("anna", order("x", 3), None).unwrap().job.id;
        let failed = over(&jobs, &id);
        assert_eq!((failed.state, failed.results.len()), (State::Failed, 1));
        let which = PictureKind::Result(0);
        assert!(
            pollster::block_on(jobs.picture(&id, which))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn blocking_calls_do_not_block_a_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let job = jobs.submit("anna", order("x", 1), None).unwrap().job;
        over(&jobs, &job.id);
        let picture = runtime.block_on(jobs.picture(&job.id, PictureKind::Result(0)));
        assert!(picture.unwrap().is_some());
        // A call that blocks inside of a runtime works too, though nothing else does meanwhile.
        let again = runtime.block_on(async { jobs.submit("anna", order("y", 1), None) });
        assert_eq!(over(&jobs, &again.unwrap().job.id).state, State::Done);
    }
}
