//! The one thread that carries jobs out, one after the other. Whatever happens to a job, the thread goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use imagegen::{
    Format, Model, PaintedRecord, Picture, PromptRecord, Recipe, Request, Sheet, Source, Variety,
};
use imagegen_picture::{Limits as PictureLimits, decode};

use crate::clock::now_ms;
use crate::retention;
use crate::shared::{Running, Shared, Stop};
use crate::store::{Claimed, Finish, JobRow, ResultRow};
use crate::watch::{Pace, Watch};
use crate::{AdviceMark, Error, Event, Failure, JobId, JobResult, Kind, State, pictures, plan};

/// How often it looks for what is too old, with nothing else to do.
const REST: Duration = Duration::from_secs(3600);
/// How long it waits before it tries again what storage refused.
const PAUSE: Duration = Duration::from_secs(1);
/// Part of a model's measured speed that a new measurement makes up.
const FRESH: f64 = 0.5;

/// How the work on a job ended.
#[derive(Debug)]
enum End {
    Done,
    Stopped(Stop),
    /// Somebody removed it.
    Gone,
    Failed(Failure),
}

/// Carries out jobs until the service closes.
pub(crate) fn run(shared: &Shared) {
    let _ending = Ending(shared);
    if let Err(error) = shared.models.get(None) {
        tracing::error!(%error, "cannot load the default model");
    } else {
        shared.live().ready = true;
    }
    while let Some(claimed) = next(shared) {
        let running = Arc::new(Running::new(claimed.id));
        {
            // From here on a request to stop finds the job; one from before is in its row.
            let mut live = shared.live();
            live.running = Some(Arc::clone(&running));
            if live.closing {
                running.stop(Stop::Close);
            }
        }
        let since = Instant::now();
        let end = guarded(shared, &claimed, &running);
        let seconds = since.elapsed().as_secs_f64();
        conclude(shared, &claimed, &end);
        {
            let mut live = shared.live();
            live.running = None;
            live.preview = None;
        }
        tracing::info!(job = %claimed.id, ?end, seconds, "a job ended");
        report(shared, &claimed.id);
        retention::apply(shared, now_ms());
    }
}

/// Says that the worker has ended, however it does.
struct Ending<'s>(&'s Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut live = self.0.live();
        (live.ready, live.ended) = (false, true);
        drop(live);
        self.0.wake.notify_all();
    }
}

/// Waits for the next job; `None` when the service closes.
fn next(shared: &Shared) -> Option<Claimed> {
    loop {
        if shared.is_closing() {
            return None;
        }
        match shared.database.claim(now_ms()) {
            Ok(Some(claimed)) => {
                tracing::info!(job = %claimed.id, model = claimed.model, "a job begins");
                return Some(claimed);
            }
            Ok(None) => {
                let mut live = shared.live();
                // What was ordered between the look and the wait has woken nobody.
                if live.closing || std::mem::take(&mut live.ordered) {
                    continue;
                }
                let waited = shared.wake.wait_timeout(live, REST);
                if waited.is_ok_and(|(_, waited)| waited.timed_out()) {
                    retention::apply(shared, now_ms());
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot take a job from the queue");
                pause(shared);
            }
        }
    }
}

/// Waits a moment, less where the service closes.
fn pause(shared: &Shared) {
    let live = shared.live();
    if !live.closing {
        drop(shared.wake.wait_timeout(live, PAUSE));
    }
}

/// Says how a job and the queue behind it stand.
fn report(shared: &Shared, id: &JobId) {
    let told = shared.tell_job(id).and_then(|()| shared.tell_queue());
    if let Err(error) = told {
        tracing::error!(%error, "cannot say how jobs stand");
    }
}

/// Carries a job out; a panic ends it and nothing else.
fn guarded(shared: &Shared, claimed: &Claimed, running: &Arc<Running>) -> End {
    report(shared, &claimed.id);
    let work = AssertUnwindSafe(|| match Work::begin(shared, claimed, running)? {
        Some(work) => work.carry_out(),
        None => Ok(End::Gone),
    });
    match catch_unwind(work) {
        Ok(Ok(end)) => end,
        Ok(Err(error)) => match running.stopped() {
            Some(stop) if is_cancelled(&error) => End::Stopped(stop),
            _ => End::Failed(failure(&error)),
        },
        Err(panic) => {
            // Whatever it left half changed goes with the model.
            shared.models.forget(&claimed.model);
            if let Ok(Some(row)) = shared.database.job(&claimed.id)
                && let Some(refiner) = &row.order.sampling.refiner
            {
                shared.models.forget(refiner);
            }
            let message = format!("the program made a mistake: {}", words(&*panic));
            tracing::error!(job = %claimed.id, message, "a job panicked");
            let code = "panicked".to_owned();
            End::Failed(Failure { code, message })
        }
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error, Error::Library(error) if error.is_cancelled())
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it does not say which".to_owned())
}

fn failure(error: &Error) -> Failure {
    let code = match error {
        Error::UnknownSource { .. } => "source_lost",
        other => other.code(),
    };
    Failure {
        code: code.to_owned(),
        message: error.to_string(),
    }
}

/// Writes down how a job ended, however long storage refuses.
fn conclude(shared: &Shared, claimed: &Claimed, end: &End) {
    let finish = |state, failure| {
        let finish = Finish {
            state,
            failure,
            now_ms: now_ms(),
        };
        shared
            .database
            .finish(claimed.seq, &finish)
            .map(|there| (there, state))
    };
    loop {
        let written = match end {
            End::Done => finish(State::Done, None),
            End::Failed(failure) => finish(State::Failed, Some(failure)),
            End::Stopped(Stop::Cancel) => finish(State::Cancelled, None),
            End::Stopped(Stop::Close) => {
                let back = shared.database.put_back(claimed.seq);
                back.map(|there| (there, State::Queued))
            }
            End::Gone => Ok((false, State::Cancelled)),
        };
        match written {
            Ok((true, state)) => return shared.tally.finish(state),
            Ok((false, _)) => {
                // Removed while it ran: what it stored since then goes too.
                if let Err(error) = shared.pictures.remove_job(&claimed.id) {
                    tracing::warn!(%error, "cannot remove the pictures of a removed job");
                }
                return;
            }
            Err(error) if shared.is_closing() => {
                return tracing::error!(%error, job = %claimed.id, "cannot write down how a job ended");
            }
            Err(error) => {
                tracing::error!(%error, job = %claimed.id, "cannot write down how a job ended");
                pause(shared);
            }
        }
    }
}

/// A job at work.
struct Work<'s> {
    shared: &'s Shared,
    running: &'s Arc<Running>,
    row: JobRow,
    /// What the model is called here.
    name: String,
    model: Arc<Model>,
    source: Option<Arc<Source>>,
    mask: Option<Arc<Source>>,
    /// The model that runs the last steps.
    refiner: Option<Arc<Model>>,
    /// Results of an earlier attempt and of this one.
    results: Vec<JobResult>,
    pace: Pace,
}

impl<'s> Work<'s> {
    /// Gets a job's model and source. `None` where the job is gone.
    fn begin(
        shared: &'s Shared,
        claimed: &Claimed,
        running: &'s Arc<Running>,
    ) -> Result<Option<Self>, Error> {
        let Some(row) = shared.database.job(&claimed.id)? else {
            return Ok(None);
        };
        if row.stopped {
            running.stop(Stop::Cancel);
        }
        let model = shared.models.get(Some(&claimed.model))?;
        let refiner = shared.models.refiner(&row.order, &claimed.model)?;
        let source = row.order.kind.source();
        let source = source.map(|sha256| shared.decoded(sha256)).transpose()?;
        let mask = row.order.kind.mask();
        let mask = mask.map(|sha256| shared.decoded(sha256)).transpose()?;
        let speed = shared.live().speeds.get(&claimed.model).copied();
        Ok(Some(Self {
            shared,
            running,
            results: shared.database.results(claimed.seq)?,
            pace: Pace::new(claimed.work, row.order.kind.pictures(), speed),
            row,
            name: claimed.model.clone(),
            model,
            source,
            mask,
            refiner,
        }))
    }

    fn carry_out(mut self) -> Result<End, Error> {
        let (source, mask) = (self.source.clone(), self.mask.clone());
        let refiner = self.refiner.clone();
        let beside = (&self.shared.shelves, refiner.as_ref());
        let requests = plan::requests(&self.row.order, source.as_deref(), mask.as_deref(), beside)?;
        let sheet = match requests.first() {
            Some(Request::Transform(first)) if self.row.order.kind.has_sheet() => {
                Some(Sheet::of(&self.model.framed_source(first)?))
            }
            _ => None,
        };
        let end = match self.row.order.kind {
            Kind::Vary { count, .. } => self.vary(&requests, usize::from(count), sheet)?,
            _ => self.make_all(&requests, sheet)?,
        };
        // What enlarging and another model take is no work of the model's.
        if !matches!(self.row.order.kind, Kind::Upscale { .. }) && self.refiner.is_none() {
            self.learn();
        }
        Ok(end)
    }

    /// Makes a picture for every request, and a sheet of them where there is to be one.
    fn make_all(
        &mut self,
        requests: &[Request<'_>],
        mut sheet: Option<Sheet>,
    ) -> Result<End, Error> {
        for (index, request) in requests.iter().enumerate() {
            if let Some(end) = self.ended() {
                return Ok(end);
            }
            let known = self.results.iter().any(|result| result.index == index);
            if known && sheet.is_none() {
                self.pace.pass(self.model.work(request)?.amount());
                continue;
            }
            let Some(made) = self.make(request, index)? else {
                return Ok(End::Gone);
            };
            if let Some(sheet) = &mut sheet {
                sheet.add_rung(&made.picture, &made.recipe);
            }
        }
        self.finish_sheet(sheet)
    }

    /// Makes variations that are not nearly alike, and a sheet of them.
    fn vary(
        &mut self,
        requests: &[Request<'_>],
        count: usize,
        mut sheet: Option<Sheet>,
    ) -> Result<End, Error> {
        let mut variety = Variety::new(count);
        for request in requests {
            if let Some(end) = self.ended() {
                return Ok(end);
            }
            let made = self.look(request, variety.kept())?;
            let seed = made.recipe.row_seed();
            let twin = variety.admit(seed, &made.picture).cloned();
            if let Some(twin) = &twin {
                let said = variety.twins().iter().map(ToString::to_string);
                let said: Vec<_> = said.collect();
                self.shared.database.set_warnings(self.row.seq, &said)?;
                if !twin.kept {
                    continue;
                }
            }
            let made = match self.keep(made, variety.kept() - 1)? {
                Some(made) => made,
                None => return Ok(End::Gone),
            };
            if let Some(sheet) = &mut sheet {
                sheet.add_variation(&made.picture, &made.recipe);
            }
            if variety.is_full() {
                break;
            }
        }
        self.finish_sheet(sheet)
    }

    /// How the job has ended, if it is to stop or is gone.
    fn ended(&self) -> Option<End> {
        self.running.stopped().map(End::Stopped)
    }

    /// Makes a picture and keeps it, or finds it where an earlier attempt made it. `None` where the job is
    /// gone.
    fn make(&mut self, request: &Request<'_>, index: usize) -> Result<Option<Made>, Error> {
        let made = self.look(request, index)?;
        self.keep(made, index)
    }

    /// Makes a picture, or finds it where an earlier attempt made it.
    fn look(&mut self, request: &Request<'_>, index: usize) -> Result<Made, Error> {
        let work = self.model.work(request)?;
        let plan = self.model.plan(request)?;
        let known = self.results.iter().find(|result| {
            result.recipe.row_seed() == plan.row_seed() && result.strength == plan.strength
        });
        if let Some(known) = known {
            let name = pictures::result(&self.row.id, known.index);
            if let Some(picture) = self.recalled(&name)? {
                let recipe = known.recipe.clone();
                self.pace.pass(work.amount());
                return Ok(Made {
                    picture,
                    recipe,
                    fresh: None,
                });
            }
        }
        self.model.check_room(request, self.shared.limits.room)?;
        self.run(request, index, work)
    }

    /// The pixels of a picture that was stored.
    fn recalled(&self, name: &object_store::path::Path) -> Result<Option<Picture>, Error> {
        let Some(bytes) = self.shared.pictures.get(name)? else {
            return Ok(None);
        };
        // A file of our own; one that was damaged is made anew.
        let unlimited = PictureLimits {
            bytes: u64::MAX,
            pixels: self.shared.limits.result_pixels,
            memory: u64::MAX,
        };
        Ok(decode(&bytes, &unlimited).ok().map(|found| found.picture))
    }

    fn run(
        &mut self,
        request: &Request<'_>,
        index: usize,
        work: imagegen::Work,
    ) -> Result<Made, Error> {
        #[cfg(test)]
        if let Some(trap) = *crate::shared::locked(&self.shared.trap) {
            trap(&self.row.order);
        }
        self.pace.begin(index + 1, work.amount());
        let aim = (&mut self.pace, work);
        let mut watch = Watch::new(self.shared, &self.model, self.running, aim);
        let mut outcome = self.model.run(request, &mut watch)?;
        self.pace.end();
        // Two owners may call one source by different names.
        if let Some(source) = &mut outcome.facts.recipe.source {
            source.name = self.row.source_name.clone().unwrap_or_default();
        }
        let encoded = outcome.encode(Format::Png)?;
        let mut warnings: Vec<_> = outcome.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(outcome.notes.iter().map(ToString::to_string));
        let row = ResultRow {
            recipe: outcome.facts.recipe.clone(),
            warnings,
            advice: outcome.advice.iter().map(AdviceMark::from).collect(),
            prompts: outcome
                .facts
                .prompts
                .iter()
                .map(PromptRecord::from)
                .collect(),
            painted: outcome.facts.inpaint.map(PaintedRecord::from),
        };
        Ok(Made {
            picture: outcome.picture,
            recipe: outcome.facts.recipe,
            fresh: Some((row, Bytes::from(encoded.bytes))),
        })
    }

    /// Stores a new picture as the result of this index. `None` where the job is gone.
    fn keep(&mut self, mut made: Made, index: usize) -> Result<Option<Made>, Error> {
        let Some((row, bytes)) = made.fresh.take() else {
            return Ok(Some(made));
        };
        let (seq, length) = (self.row.seq, bytes.len());
        // The file first: a row always has its file.
        let name = pictures::result(&self.row.id, index);
        self.shared.pictures.put(&name, bytes)?;
        if !self.shared.database.add_result(seq, index, &row, length)? {
            return Ok(None);
        }
        self.shared
            .tally
            .results
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = self.row.id;
        self.shared.tell(Event::Result { id, index });
        Ok(Some(made))
    }

    fn finish_sheet(&self, sheet: Option<Sheet>) -> Result<End, Error> {
        let Some(sheet) = sheet else {
            return Ok(End::Done);
        };
        let bytes = Bytes::from(sheet.encode(Format::Png)?.bytes);
        let length = bytes.len();
        self.shared
            .pictures
            .put(&pictures::sheet(&self.row.id), bytes)?;
        match self.shared.database.add_sheet(self.row.seq, length)? {
            true => Ok(End::Done),
            false => Ok(End::Gone),
        }
    }

    /// Remembers how fast the model was.
    fn learn(&self) {
        let Some(measured) = self.pace.measured() else {
            return;
        };
        let name = self.name.clone();
        let speed = {
            let mut live = self.shared.live();
            let known = live.speeds.get(&name).copied().unwrap_or(measured);
            let speed = known + FRESH * (measured - known);
            live.speeds.insert(name.clone(), speed);
            speed
        };
        if let Err(error) = self.shared.database.set_speed(&name, speed) {
            tracing::warn!(%error, "cannot write down a model's speed");
        }
    }
}

/// A picture of a job.
struct Made {
    picture: Picture,
    recipe: Recipe,
    /// What is to be stored of a new one.
    fresh: Option<(ResultRow, Bytes)>,
}
