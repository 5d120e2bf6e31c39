//! How the texts of a request are read: with the grammar of prompts or without.

use std::sync::Arc;

use imagegen_pipeline::{StrengthRule, needs_uncond};
use imagegen_prompt::{MOST_READINGS, Piece, Role, Schedule, parse};

use crate::{Embedding, Error, LoraUse, Settings, Warning, loras};

/// What brackets and keywords in a text mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PromptMode {
    /// The grammar of AUTOMATIC1111's prompts; a long text is read in windows.
    #[default]
    A1111,
    /// Nothing: the text is read as it stands, in one window, as diffusers does.
    Plain,
}

impl PromptMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::A1111, Self::Plain];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::A1111 => "a1111",
            Self::Plain => "plain",
        }
    }
}

impl std::str::FromStr for PromptMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| Error::setting("prompt mode", format!("{name:?}"), "a1111 or plain"))
    }
}

/// How a text was read, for the record.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptFacts {
    /// `prompt` or `negative prompt`.
    pub which: &'static str,
    /// The mode.
    pub mode: PromptMode,
    /// The texts that `AND` joins, one where there is none.
    pub parts: Vec<PartFacts>,
}

/// How a part of a prompt was read.
#[derive(Debug, Clone, PartialEq)]
pub struct PartFacts {
    /// How much of it there is in the sum of all parts.
    pub weight: f64,
    /// What it says in the course of the run, each thing once, in the order of first use.
    pub readings: Vec<ReadingFacts>,
}

/// What a part says at some of the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingFacts {
    /// The first step it is said at, counted from 1.
    pub first_step: usize,
    /// How many steps it is said at.
    pub steps: usize,
    /// Windows it is read in.
    pub windows: usize,
    /// Tokens that are read, ends and padding not counted.
    pub tokens: usize,
    /// Its weighted words.
    pub pieces: Vec<Piece>,
}

/// A text that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadPrompt {
    pub(crate) which: &'static str,
    pub(crate) mode: PromptMode,
    /// Last layers of the text encoders that are left out for it, besides those that the model leaves out.
    pub(crate) left_out: usize,
    pub(crate) parts: Vec<ReadPart>,
    /// Whether there was no text at all, not even a blank.
    pub(crate) is_none: bool,
    warnings: Vec<imagegen_prompt::Warning>,
    /// Embeddings that its words may stand for.
    pub(crate) embeddings: Embeddings,
}

/// Embeddings that words of texts may stand for.
pub(crate) type Embeddings = Arc<[Arc<Embedding>]>;

/// A part of a prompt in the course of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadPart {
    pub(crate) weight: f64,
    pub(crate) schedule: Schedule,
}

/// The texts of a request that its guidance does not leave out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadTexts {
    pub(crate) prompt: Option<ReadPrompt>,
    pub(crate) negative: Option<ReadPrompt>,
    /// The LoRAs of the run, each once.
    pub(crate) loras: Vec<LoraUse>,
    /// Embeddings that words of both may stand for.
    pub(crate) embeddings: Embeddings,
}

/// What a model, or two one after the other, make of guidance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hearing {
    /// Whether a network hears the guidance scale itself, and so one text that weighs 1.
    pub(crate) scale: bool,
    /// When a negative prompt has a say.
    pub(crate) negative: NegativeSay,
}

/// When a negative prompt has a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NegativeSay {
    /// Never: no network weighs anything.
    Never,
    /// Where the prompt is weighed against it.
    WhereWeighed,
    /// Always: the source guides too.
    Always,
}

impl ReadTexts {
    /// Reads the texts for a run of `runs` steps.
    ///
    /// Fails where a text cannot be meant; see [`imagegen_prompt::parse`].
    pub(crate) fn of(
        settings: &Settings,
        embeddings: Embeddings,
        (resolved, hearing): (&imagegen_pipeline::Settings, Hearing),
        runs: usize,
    ) -> Result<Self, Error> {
        loras::bounded(&settings.loras)?;
        let mode = settings.prompt_mode;
        let read = |role, text| {
            let given = (!settings.loras_settled).then_some(settings.loras.as_slice());
            let read = ReadPrompt::of((role, text), mode, runs, given);
            read.map(|read| ReadPrompt {
                embeddings: Arc::clone(&embeddings),
                ..read
            })
        };
        // A network that hears the scale hears the prompt with it, at 0 too.
        let prompt = (resolved.guidance_scale != 0.0 || hearing.scale)
            .then(|| read(Role::Positive, &settings.prompt))
            .transpose()?;
        let weights = prompt.as_ref().map(ReadPrompt::weights).unwrap_or_default();
        if hearing.scale && !matches!(weights.as_slice(), [] | [1.0]) {
            let got = format!("of {} parts joined by AND", weights.len());
            let expected =
                "one part of weight 1: this model hears the guidance scale and weighs nothing";
            return Err(Error::setting("prompt", got, expected));
        }
        let heard = match hearing.negative {
            NegativeSay::Never => false,
            NegativeSay::WhereWeighed => resolved.needs_uncond(&weights, runs)?,
            NegativeSay::Always => true,
        };
        let negative = heard
            .then(|| read(Role::Negative, &settings.negative_prompt))
            .transpose()?;
        let mut texts = Self {
            prompt,
            negative,
            loras: loras::settled(&settings.loras),
            embeddings,
        };
        let left_out = settings
            .sampling
            .clip_skip
            .map_or(0, |skip| skip.saturating_sub(1));
        for text in texts.prompt.iter_mut().chain(&mut texts.negative) {
            // diffusers reads negative prompts as ever.
            let whole = text.which != "prompt" && settings.rule == StrengthRule::Diffusers;
            text.left_out = if whole { 0 } else { left_out };
        }
        Ok(texts)
    }

    /// Both texts, the prompt first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ReadPrompt> {
        self.prompt.iter().chain(&self.negative)
    }

    /// Weights of the prompt's parts.
    pub(crate) fn weights(&self) -> Vec<f64> {
        self.prompt
            .as_ref()
            .map(ReadPrompt::weights)
            .unwrap_or_default()
    }

    /// Calls of the network in a guided step, where a sampler asks once.
    pub(crate) fn calls(&self) -> usize {
        self.iter().map(|text| text.parts.len()).sum()
    }

    /// Calls of the network in a step that is not guided any more.
    pub(crate) fn free_calls(&self) -> usize {
        match needs_uncond(&self.weights(), 1.0) {
            true => self.calls(),
            false => 1,
        }
    }
}

/// Fails unless every LoRA that a text names is among those `given`.
fn check_tags(role: Role, tags: &[imagegen_prompt::Lora], given: &[LoraUse]) -> Result<(), Error> {
    let refused = |which, tag: &imagegen_prompt::Lora, expected: String| {
        let got = format!("naming the LoRA {:?}", tag.name);
        Err(Error::setting(which, got, expected))
    };
    for tag in tags {
        if role == Role::Negative {
            let expected = "it in the prompt: a LoRA changes the networks, for both texts";
            return refused("negative prompt", tag, expected.to_owned());
        }
        let mut known = given.iter().map(|used| &used.lora);
        if tag.weight != 0.0 && !known.any(|lora| lora.is_called(&tag.name)) {
            let names = given.iter().map(|used| used.lora.name.as_str());
            let names: Vec<_> = names.collect();
            let expected = match names.as_slice() {
                [] => "none: no LoRAs are given".to_owned(),
                names => format!("one of those given: {}", names.join(", ")),
            };
            return refused("prompt", tag, expected);
        }
    }
    Ok(())
}

impl ReadPrompt {
    /// Reads a text for a run of `runs` steps. Where there is a list of `loras`, tags name some of it.
    fn of(
        (role, text): (Role, &str),
        mode: PromptMode,
        runs: usize,
        loras: Option<&[LoraUse]>,
    ) -> Result<Self, Error> {
        let which = match role {
            Role::Positive => "prompt",
            Role::Negative => "negative prompt",
        };
        let mut read = Self {
            which,
            mode,
            left_out: 0,
            parts: Vec::new(),
            is_none: text.is_empty(),
            warnings: Vec::new(),
            embeddings: Embeddings::default(),
        };
        if mode == PromptMode::Plain {
            read.parts.push(ReadPart {
                weight: 1.0,
                schedule: Schedule::plain(text, runs),
            });
            return Ok(read);
        }
        let prompt = parse(text, role).map_err(|cause| Error::Prompt { which, cause })?;
        if let Some(loras) = loras {
            check_tags(role, &prompt.loras, loras)?;
        }
        read.warnings = prompt.warnings;
        for part in &prompt.parts {
            let schedule = part.schedule(runs);
            read.parts.push(ReadPart {
                weight: part.weight,
                schedule: schedule.map_err(|cause| Error::Prompt { which, cause })?,
            });
            if read.readings().count() > MOST_READINGS {
                let cause = imagegen_prompt::Error::TooManyReadings;
                return Err(Error::Prompt { which, cause });
            }
        }
        Ok(read)
    }

    fn weights(&self) -> Vec<f64> {
        self.parts.iter().map(|part| part.weight).collect()
    }

    /// All that its parts say, at whatever step.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &Vec<Piece>> {
        self.parts.iter().flat_map(|part| &part.schedule.readings)
    }

    /// Its words at all steps, without grammar, piece by piece.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = &str> {
        let pieces = self.readings().flatten();
        pieces.filter_map(|piece| match piece {
            Piece::Text { text, .. } => Some(text.as_str()),
            Piece::Break => None,
        })
    }

    /// Its words at all steps, without grammar.
    pub(crate) fn words(&self) -> String {
        self.stretches().collect::<Vec<_>>().join(" ")
    }

    /// What is to be said of how it was read.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = Warning> {
        let of_parts = self.parts.iter().flat_map(|part| &part.schedule.warnings);
        self.warnings
            .iter()
            .chain(of_parts)
            .map(|warning| Warning::Prompt {
                which: self.which,
                warning: warning.clone(),
            })
    }

    /// The record of it; `measure` gives windows and tokens of what is said.
    pub(crate) fn facts(
        &self,
        measure: impl Fn(&[Piece]) -> Result<(usize, usize), Error>,
    ) -> Result<PromptFacts, Error> {
        let part = |part: &ReadPart| {
            let steps = &part.schedule.steps;
            let reading = |(index, pieces): (usize, &Vec<Piece>)| {
                let (windows, tokens) = measure(pieces)?;
                Ok(ReadingFacts {
                    first_step: steps
                        .iter()
                        .position(|said| *said == index)
                        .map_or(0, |step| step + 1),
                    steps: steps.iter().filter(|said| **said == index).count(),
                    windows,
                    tokens,
                    pieces: pieces.clone(),
                })
            };
            let readings = part.schedule.readings.iter().enumerate().map(reading);
            Ok(PartFacts {
                weight: part.weight,
                readings: readings.collect::<Result<_, Error>>()?,
            })
        };
        Ok(PromptFacts {
            which: self.which,
            mode: self.mode,
            parts: self.parts.iter().map(part).collect::<Result<_, Error>>()?,
        })
    }
}
