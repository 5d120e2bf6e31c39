//! A folder of its own for every test, a service in it, small sources, and orders.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use imagegen::{Cpu, Format, Level, ModelSource, Picture, Size};
use imagegen_jobs::{Error, Event, Job, JobId, Jobs, Kind, Limits, Order, SourceEntry, State};
use imagegen_picture::{Metadata, encode};
use pollster::block_on;
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Longest that anything here may take; a test that waits as long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The owner of most jobs.
pub(crate) const ANNA: &str = "anna";

pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn open(&self) -> Jobs {
        self.open_with(Limits::default())
    }

    pub(crate) fn open_with(&self, limits: Limits) -> Jobs {
        open(&self.data(), limits).unwrap()
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data().join("jobs.sqlite")).unwrap()
    }
}

pub(crate) fn cpu() -> Cpu {
    Cpu {
        level: Level::best(),
        threads: 2,
    }
}

pub(crate) fn open(folder: &Path, limits: Limits) -> Result<Jobs, Error> {
    Jobs::open(folder, limits, cpu(), vec![ModelSource::Starter.into()])
}

/// A small picture that depends on `tint`, as a PNG file.
pub(crate) fn png(width: u32, height: u32, tint: u8) -> Bytes {
    let pixels = (0..height).flat_map(|y| {
        (0..width).flat_map(move |x| {
            [
                (x * 2) as u8,
                (y * 3) as u8,
                tint.wrapping_add((x ^ y) as u8),
            ]
        })
    });
    let picture = Picture::new(Size::new(width, height), pixels.collect(), None).unwrap();
    let encoded = encode(&picture, Format::Png, &Metadata::default()).unwrap();
    encoded.bytes.into()
}

/// Puts a source of 64x64 pixels.
pub(crate) fn source(jobs: &Jobs, tint: u8) -> SourceEntry {
    let limits = imagegen_picture::Limits::default();
    let name = format!("{tint}.png");
    block_on(jobs.put_source(ANNA, &name, png(64, 64, tint), &limits)).unwrap()
}

pub(crate) fn order(prompt: &str, steps: usize, kind: Kind) -> Order {
    Order {
        model: None,
        prompt: prompt.to_owned(),
        negative_prompt: String::new(),
        prompt_mode: None,
        loras: Vec::new(),
        steps: Some(steps),
        guidance_scale: None,
        seed: Some(7),
        sampler: None,
        sampling: imagegen_jobs::Sampling::default(),
        strength_rule: None,
        kind,
    }
}

pub(crate) fn transform(source: &SourceEntry, count: u8) -> Kind {
    Kind::Transform {
        source: source.sha256.clone(),
        strength: Some(1.0),
        size: None,
        fit: None,
        count,
    }
}

/// A job that takes long enough for a test to do something meanwhile, and not for ever.
pub(crate) fn long(jobs: &Jobs) -> Job {
    let order = order("long", 1000, transform(&source(jobs, 1), 4));
    jobs.submit(ANNA, order, None).unwrap().job
}

/// A job of eight pictures, the first of which is soon there.
pub(crate) fn many(jobs: &Jobs) -> Job {
    let order = order("many", 20, transform(&source(jobs, 1), 8));
    jobs.submit(ANNA, order, None).unwrap().job
}

/// A job of one picture and one step.
pub(crate) fn short(jobs: &Jobs, prompt: &str) -> Job {
    let order = order(prompt, 1, transform(&source(jobs, 1), 1));
    jobs.submit(ANNA, order, None).unwrap().job
}

pub(crate) fn job(jobs: &Jobs, id: &JobId) -> Job {
    jobs.job(id).unwrap().unwrap()
}

/// Waits until a job is over.
pub(crate) fn over(jobs: &Jobs, id: &JobId) -> Job {
    until(|| Some(job(jobs, id)).filter(|job| job.state.is_over()))
}

/// Waits until a job runs and has done a step.
pub(crate) fn begun(jobs: &Jobs, id: &JobId) -> Job {
    until(|| {
        let job = job(jobs, id);
        assert!(!job.state.is_over(), "{job:?}");
        Some(job).filter(|job| job.progress.is_some_and(|progress| progress.step > 0))
    })
}

/// Waits until `find` finds something.
#[track_caller]
pub(crate) fn until<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "waited for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The pixels of a job's picture.
pub(crate) fn pixels(jobs: &Jobs, id: &JobId, which: imagegen_jobs::PictureKind) -> Picture {
    let bytes = block_on(jobs.picture(id, which)).unwrap().unwrap();
    let limits = imagegen_picture::Limits::default();
    imagegen_picture::decode(&bytes, &limits).unwrap().picture
}

/// Everything that was said so far, or until a job was over.
pub(crate) fn said(events: &mut Receiver<Event>, last: &JobId) -> Vec<Event> {
    let mut said = Vec::new();
    loop {
        match block_on(events.recv()) {
            Ok(event) => {
                let end =
                    matches!(&event, Event::Changed(job) if job.id == *last && job.state.is_over());
                said.push(event);
                if end {
                    return said;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("the service ended: {said:?}"),
        }
    }
}

/// What is said already.
pub(crate) fn heard(events: &mut Receiver<Event>) -> Vec<Event> {
    let mut heard = Vec::new();
    loop {
        match events.try_recv() {
            Ok(event) => heard.push(event),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return heard,
        }
    }
}

/// Names of all files in the folder of pictures, in order.
pub(crate) fn files(place: &Place) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).unwrap();
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    let root = place.data().join("pictures");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

/// The states of jobs, in the order they are given.
pub(crate) fn states(jobs: &Jobs, of: &[&Job]) -> Vec<State> {
    of.iter().map(|one| job(jobs, &one.id).state).collect()
}
