//! Progress for people: a bar on a terminal, plain lines otherwise; and the clock of every stage.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imagegen::{Stage, StepRecord, Warning, Watcher};
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{self, say};
use crate::shown::shown;

/// Seconds of each stage, in order.
pub(crate) type Times = Vec<(&'static str, f64)>;

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Nothing,
    Lines,
    Bar,
}

impl Show {
    /// What suits where stderr goes.
    pub(crate) fn fitting(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// Watches one run.
pub(crate) struct Watch {
    title: String,
    show: Show,
    stop: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    stage: Option<(Stage, Instant)>,
    times: Times,
}

impl Watch {
    pub(crate) fn new(title: String, show: Show, stop: Arc<AtomicBool>) -> Self {
        Self {
            title,
            show,
            stop,
            bar: None,
            stage: None,
            times: Vec::new(),
        }
    }

    /// Ends the last stage and gives the seconds of all.
    pub(crate) fn finish(mut self) -> Times {
        self.end_stage();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.times
    }

    fn end_stage(&mut self) {
        if let Some((stage, since)) = self.stage.take() {
            self.times
                .push((stage.name(), since.elapsed().as_secs_f64()));
        }
    }

    fn show_step(&mut self, record: &StepRecord<'_>) {
        match self.show {
            Show::Nothing => {}
            Show::Lines => {
                let left = self.left(record).as_secs_f64();
                let (step, steps) = (record.step, record.steps);
                let title = shown(&self.title);
                say!("{title}: step {step} of {steps}, {left:.1} s left");
            }
            Show::Bar => {
                let title = shown(&self.title);
                let bar = self
                    .bar
                    .get_or_insert_with(|| bar(title, record.steps as u64));
                bar.set_position(record.step as u64);
            }
        }
    }

    /// Time left, if the steps to come take as long as those done.
    fn left(&self, record: &StepRecord<'_>) -> Duration {
        let spent = self
            .stage
            .map_or(Duration::ZERO, |(_, since)| since.elapsed());
        spent.mul_f64((record.steps - record.step) as f64 / record.step as f64)
    }
}

fn bar(title: String, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} step {pos} of {len}, {eta} left");
    let bar = ProgressBar::new(steps).with_message(title);
    bar.set_style(style.expect("the template is well formed"));
    bar
}

impl Watcher for Watch {
    fn stage(&mut self, stage: Stage) {
        self.end_stage();
        self.stage = Some((stage, Instant::now()));
    }

    fn warning(&mut self, warning: &Warning) {
        let say = || report::warning(Some(&self.title), warning);
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self.show_step(record);
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
