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

    /// Says that `done` of `all` parts of the stage are done; `part` is what they are called.
    fn show_progress(&mut self, part: &'static str, done: usize, all: usize) {
        let title = shown(&self.title);
        match self.show {
            Show::Nothing => {}
            Show::Lines => {
                let left = self.left(done, all).as_secs_f64();
                say!("{title}: {part} {done} of {all}, {left:.1} s left");
            }
            Show::Bar => {
                let bar = self.bar.get_or_insert_with(|| bar(title, part, all as u64));
                bar.set_position(done as u64);
            }
        }
    }

    /// Time left, if the parts to come take as long as those done.
    fn left(&self, done: usize, all: usize) -> Duration {
        let spent = self
            .stage
            .map_or(Duration::ZERO, |(_, since)| since.elapsed());
        spent.mul_f64((all - done) as f64 / done as f64)
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

fn bar(title: String, part: &'static str, parts: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {prefix} {pos} of {len}, {eta} left");
    let bar = ProgressBar::new(parts)
        .with_message(title)
        .with_prefix(part);
    bar.set_style(style.expect("the template is well formed"));
    bar
}

impl Watcher for Watch {
    fn stage(&mut self, stage: Stage) {
        self.end_stage();
        self.stage = Some((stage, Instant::now()));
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear(); // another stage has parts of its own
        }
    }

    fn warning(&mut self, warning: &Warning) {
        let say = || report::warning(Some(&self.title), warning);
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn window(&mut self, window: usize, windows: usize) -> ControlFlow<()> {
        self.show_progress("window", window, windows);
        self.go_on()
    }

    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self.show_progress("step", record.step, record.steps);
        self.go_on()
    }
}
