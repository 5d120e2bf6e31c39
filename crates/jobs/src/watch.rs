//! A run as it goes: steps told, time left estimated, previews made, requests to stop heard.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use imagegen::{Format, Model, Stage, StepRecord, Warning, Watcher, Work};
use imagegen_picture::{Metadata, encode};

use crate::shared::{Running, Shared};
use crate::{Error, Event, Progress, StepDone};

/// Previews may take one part in this many of the time.
const PREVIEW_SHARE: u32 = 10;

/// How far a job's work is, and how fast it goes. Work is network calls times pixels.
#[derive(Debug)]
pub(crate) struct Pace {
    pictures: usize,
    /// Seconds for each unit of work, as measured before.
    known: Option<f64>,
    /// Work of the whole job, and what of it was done before this picture or found done.
    whole: f64,
    passed: f64,
    /// Seconds and work of the pictures that were made here.
    seconds: f64,
    made: f64,
    /// The picture in the making: its number, its work, when it began, how much of it is done.
    picture: usize,
    work: f64,
    since: Instant,
    share: f64,
    previews: u64,
    /// When the last preview was made, and how long that took.
    preview: Option<(Instant, Duration)>,
}

impl Pace {
    pub(crate) fn new(whole: f64, pictures: usize, known: Option<f64>) -> Self {
        Self {
            pictures,
            known,
            whole,
            passed: 0.0,
            seconds: 0.0,
            made: 0.0,
            picture: 1,
            work: 0.0,
            since: Instant::now(),
            share: 0.0,
            previews: 0,
            preview: None,
        }
    }

    /// A picture begins, counted from 1.
    pub(crate) fn begin(&mut self, picture: usize, work: f64) {
        (self.picture, self.work) = (picture, work);
        (self.since, self.share) = (Instant::now(), 0.0);
    }

    /// The picture is made.
    pub(crate) fn end(&mut self) {
        self.seconds += self.since.elapsed().as_secs_f64();
        self.made += self.work;
        self.passed += self.work;
        (self.work, self.share) = (0.0, 0.0);
    }

    /// A picture of this much work is there already.
    pub(crate) fn pass(&mut self, work: f64) {
        self.passed += work;
    }

    /// Seconds for each unit of work, as measured here.
    pub(crate) fn measured(&self) -> Option<f64> {
        (self.made > 0.0).then(|| self.seconds / self.made)
    }

    /// Seconds until the job is done.
    fn left_s(&self) -> Option<f64> {
        let made = self.made + self.work * self.share;
        let speed = if made > 0.0 {
            let running = match self.work * self.share > 0.0 {
                true => self.since.elapsed().as_secs_f64(),
                false => 0.0,
            };
            Some((self.seconds + running) / made)
        } else {
            self.known
        };
        let left = self.whole - self.passed - self.work * self.share;
        // Variations that are drawn again are more work than was planned: what runs is always left.
        let left = left.max(self.work * (1.0 - self.share));
        speed.map(|speed| left * speed)
    }

    fn progress(&self, step: usize, steps: usize) -> Progress {
        Progress {
            picture: self.picture.min(self.pictures),
            pictures: self.pictures,
            step,
            steps,
        }
    }
}

/// Listens to one run.
pub(crate) struct Watch<'a> {
    shared: &'a Shared,
    model: &'a Model,
    running: &'a Arc<Running>,
    pace: &'a mut Pace,
    work: Work,
    /// The step that was told last, and of how many.
    told: [usize; 2],
    step_since: Instant,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        model: &'a Model,
        running: &'a Arc<Running>,
        (pace, work): (&'a mut Pace, Work),
    ) -> Self {
        running.stands(pace.progress(0, 0), pace.left_s());
        Self {
            shared,
            model,
            running,
            pace,
            told: [0, work.runs],
            work,
            step_since: Instant::now(),
        }
    }

    fn tell_step(&mut self, record: &StepRecord<'_>) {
        let seconds = self.step_since.elapsed();
        let tally = &self.shared.tally;
        tally.steps.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(seconds.as_micros()).unwrap_or(u64::MAX);
        tally.step_micros.fetch_add(micros, Ordering::Relaxed);
        self.pace.share = self.work.share(record.step);
        self.told = [record.step, record.steps];
        self.tell_progress(self.told, record.sigma);
    }

    /// Says that `step` of `steps` is done; `sigma` is the noise level it started from, 0 for a window of an enlarged source.
    fn tell_progress(&mut self, [step, steps]: [usize; 2], sigma: f64) {
        let seconds = self.step_since.elapsed();
        let progress = self.pace.progress(step, steps);
        let left_s = self.pace.left_s();
        self.running.stands(progress, left_s);
        self.shared.tell(Event::Step(StepDone {
            id: self.running.id,
            picture: progress.picture,
            pictures: progress.pictures,
            step,
            steps,
            sigma,
            seconds: seconds.as_secs_f64(),
            left_s: left_s.unwrap_or(0.0),
        }));
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.running.stopped() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// Makes a preview of the step unless that would take too much of the time.
    fn preview(&mut self, record: &StepRecord<'_>) {
        let due = |(last, took): (Instant, Duration)| last.elapsed() >= took * PREVIEW_SHARE;
        if !self.pace.preview.is_none_or(due) {
            return;
        }
        let since = Instant::now();
        match self.encoded(record) {
            Ok(bytes) => {
                let id = self.running.id;
                self.shared.live().preview = Some((id, bytes));
                self.pace.previews += 1;
                let number = self.pace.previews;
                self.shared.tell(Event::Preview { id, number });
            }
            // The run itself says what is wrong with its numbers.
            Err(error) => tracing::debug!(%error, "no preview of this step"),
        }
        self.pace.preview = Some((Instant::now(), since.elapsed()));
    }

    fn encoded(&self, record: &StepRecord<'_>) -> Result<Bytes, Error> {
        let picture = self.model.preview(record)?;
        let encoded = encode(&picture, Format::Png, &Metadata::default());
        Ok(encoded.map_err(imagegen::Error::from)?.bytes.into())
    }
}

impl Watcher for Watch<'_> {
    fn stage(&mut self, stage: Stage) {
        if matches!(stage, Stage::Denoise | Stage::Enlarge) {
            self.step_since = Instant::now();
        }
    }

    fn warning(&mut self, _: &Warning) {}

    fn window(&mut self, window: usize, windows: usize) -> ControlFlow<()> {
        // Where steps come before or after it, these alone are counted, so that what is done never grows less.
        let told = match self.work.runs {
            0 => [window, windows],
            _ => self.told,
        };
        self.tell_progress(told, 0.0);
        self.step_since = Instant::now();
        self.go_on()
    }

    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self.tell_step(record);
        self.preview(record);
        self.step_since = Instant::now();
        self.go_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_comes_from_what_was_done_here_and_else_from_before() {
        let mut pace = Pace::new(100.0, 2, None);
        pace.begin(1, 50.0);
        assert_eq!(pace.left_s(), None);
        pace.known = Some(2.0);
        assert_eq!(pace.left_s(), Some(200.0));
        pace.share = 0.5;
        pace.since -= Duration::from_secs(25);
        let left = pace.left_s().unwrap();
        assert!((left - 75.0).abs() < 1.0, "{left}"); // a second for each unit, 75 left
        pace.end();
        let left = pace.left_s().unwrap();
        assert!((left - 25.0).abs() < 1.0, "{left}"); // half a second for each, 50 left
        pace.pass(50.0);
        assert_eq!(pace.left_s(), Some(0.0));
    }
}
