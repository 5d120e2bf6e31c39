//! A job: an order, where it stands, and what came of it.

use std::fmt;
use std::str::FromStr;

use imagegen::{FidelityMark, PaintedRecord, PromptRecord, Recipe};
use imagegen_picture::advice::{Advice, Suggestion};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Order;

/// Names a job; later jobs have higher names (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

impl JobId {
    pub(crate) fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A text is no job's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job is \"{got}\", expected a UUID")]
pub struct NoJobId {
    /// What came.
    pub got: String,
}

impl FromStr for JobId {
    type Err = NoJobId;

    fn from_str(text: &str) -> Result<Self, NoJobId> {
        // Only the form that is printed, since it becomes the name of a folder.
        let id = Uuid::parse_str(text).ok().map(Self);
        id.filter(|id| id.to_string() == text)
            .ok_or_else(|| NoJobId {
                got: text.chars().take(64).collect(),
            })
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// The worker has it.
    Running,
    /// Every picture is there.
    Done,
    /// It could not be carried out; pictures made before that are kept.
    Failed,
    /// It was stopped on request; pictures made before that are kept.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How far a running job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The picture in the making, counted from 1.
    pub picture: usize,
    /// Pictures in all. Variations that come out nearly alike are drawn again and not counted.
    pub pictures: usize,
    /// Steps of this picture that are done.
    pub step: usize,
    /// Steps of this picture in all; 0 before the first is done.
    pub steps: usize,
}

/// A piece of advice about a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdviceMark {
    /// Its stable name.
    pub kind: String,
    /// `note` or `warning`.
    pub severity: String,
    /// The sentence.
    pub text: String,
    /// The figure that was measured.
    pub figure: f64,
    /// The figure's unit; empty for none.
    pub unit: String,
    /// The strength to take instead, 0 to 1, where another one would help.
    pub suggested: Option<f64>,
}

impl From<&Advice> for AdviceMark {
    fn from(advice: &Advice) -> Self {
        Self {
            kind: advice.kind().to_owned(),
            severity: advice.severity().name().to_owned(),
            text: advice.to_string(),
            figure: advice.measured(),
            unit: advice.unit().to_owned(),
            suggested: match advice.suggestion() {
                Suggestion::Strength(strength) => Some(strength),
                _ => None,
            },
        }
    }
}

/// One picture of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobResult {
    /// Which one, counted from 0.
    pub index: usize,
    /// Its seed.
    pub seed: u64,
    /// Its strength; 1 for pictures from text alone.
    pub strength: f64,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How alike it and the source are; `None` for pictures from text alone.
    pub fidelity: Option<FidelityMark>,
    /// What a person should know about it.
    pub warnings: Vec<String>,
    /// What it gives reason to say.
    pub advice: Vec<AdviceMark>,
    /// How the texts were read that had a say; empty for results of versions that kept it not.
    pub prompts: Vec<PromptRecord>,
    /// What an inpainting painted, and how it was checked.
    pub painted: Option<PaintedRecord>,
    /// Everything that is needed to make it again.
    pub recipe: Recipe,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable name: `crashed`, `panicked`, `source_lost`, or that of an [`Error::code`](crate::Error::code)
    /// such as `storage`, `unknown_model`, `run`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Who ordered it.
    pub owner: String,
    /// Where it stands.
    pub state: State,
    /// What was ordered, with model, seed and strength filled in.
    pub order: Order,
    /// Name of the source's file as its owner gave it; `None` for pictures from text alone.
    pub source_name: Option<String>,
    /// When it was ordered, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last begun.
    pub started_ms: Option<i64>,
    /// When it was over.
    pub finished_ms: Option<i64>,
    /// Jobs before it in the queue, 0 for the next; `None` unless it is queued.
    pub position: Option<u32>,
    /// Seconds until it is done, where enough was measured to tell.
    pub estimate_s: Option<f64>,
    /// How far it is; `None` unless it runs.
    pub progress: Option<Progress>,
    /// Its pictures so far, in order.
    pub results: Vec<JobResult>,
    /// Whether its sheet is there.
    pub sheet: bool,
    /// What a person should know about the job as a whole.
    pub warnings: Vec<String>,
    /// Why it failed; `None` unless it did.
    pub failure: Option<Failure>,
    /// Whether it is kept whatever its age.
    pub favourite: bool,
    /// How often it was begun. A job whose process ended under it is begun once more.
    pub attempts: u32,
}

/// Names a picture of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// The result of this index.
    Result(usize),
    /// All results side by side.
    Sheet,
    /// The latest preview of a running job.
    Preview,
}
