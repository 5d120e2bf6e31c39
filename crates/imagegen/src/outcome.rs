//! What came of a request.

use std::ops::ControlFlow;

use imagegen_picture::advice::Advice;
use imagegen_picture::fidelity::Fidelity;
use imagegen_picture::{Carried, Encoded, Format, Metadata, Picture, encode};
use imagegen_pipeline::StepRecord;

use crate::{Error, Note, Painted, PromptFacts, Recipe, Warning};

/// A part of a request's work, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The source is brought to the model's size.
    Prepare,
    /// The source is enlarged.
    Enlarge,
    /// LoRAs change the networks.
    Adapt,
    /// The prompts are encoded.
    Text,
    /// The network runs.
    Denoise,
    /// The result is brought to its size.
    Finish,
}

impl Stage {
    /// Its name in records of time.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Enlarge => "enlarge",
            Self::Adapt => "adapt",
            Self::Text => "text",
            Self::Denoise => "denoise",
            Self::Finish => "finish",
        }
    }
}

/// Hears of every stage and step.
pub trait Watcher {
    /// A stage begins.
    fn stage(&mut self, stage: Stage);
    /// Something a person should know, as soon as it is known; the outcome has it too.
    fn warning(&mut self, warning: &Warning);
    /// A window of a source that is being enlarged is done: which, counted from 1, and of how many. `Break` stops the run as it does
    /// after a step.
    fn window(&mut self, _window: usize, _windows: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// A step is done. `Break` stops the run with an error for which
    /// [`Error::is_cancelled`] is true.
    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()>;
}

/// Watches nothing and never stops a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn stage(&mut self, _: Stage) {}
    fn warning(&mut self, _: &Warning) {}
    fn step(&mut self, _: &StepRecord<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Everything that is needed to make the picture again.
    pub recipe: Recipe,
    /// Steps that ran.
    pub runs: usize,
    /// Sigma of the first step; 0 if none ran.
    pub start_sigma: f64,
    /// Timestep of the first step; `None` if none ran.
    pub start_timestep: Option<f64>,
    /// Width and height the model worked at.
    pub work: [u32; 2],
    /// How alike source and result are; `None` for text-to-image and expanded pictures.
    pub fidelity: Option<Fidelity>,
    /// How the texts were read that had a say; none where nothing was to be run.
    pub prompts: Vec<PromptFacts>,
    /// What was painted and what kept; `None` where the whole picture was made.
    pub inpaint: Option<Painted>,
}

/// A picture, how it came about, and what a person should know.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The result, with the source's alpha where it had one.
    pub picture: Picture,
    /// What was done.
    pub facts: Facts,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// What is worth a line and is no fault.
    pub notes: Vec<Note>,
    /// What the source says of itself that the result says too.
    pub carried: Carried,
    /// What the result gives reason to say; [`Model::forecast`](crate::Model::forecast) has what can be
    /// said before the run.
    pub advice: Vec<Advice>,
}

impl Outcome {
    /// The picture as a file that carries its making, and what its source carried.
    ///
    /// Fails with [`Error::Encode`].
    pub fn encode(&self, format: Format) -> Result<Encoded, Error> {
        let metadata = Metadata {
            carried: self.carried.clone(),
            ..self.facts.recipe.metadata()
        };
        Ok(encode(&self.picture, format, &metadata)?)
    }
}
