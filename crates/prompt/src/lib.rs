//! The language of prompts, as AUTOMATIC1111 made it known: weights `(a:1.2)`, edits `[a:b:0.5]`, alternation
//! `[a|b]`, parts joined by `AND`, windows ended by `BREAK`, names of LoRA files in `<...>`.
//!
//! [`parse`] reads a text once, in time that grows with its length whatever its brackets. A [`Part`] then says
//! what it is at each step of a run ([`Part::schedule`]): a row of weighted [`Piece`]s. [`chunks()`] cuts their
//! tokens into the lengths a text encoder takes. Knows no vocabulary, no networks, no steps but their number.

mod brackets;
mod chunks;
mod edits;
mod marks;
mod prompt;
mod tags;
mod warning;
mod weights;

pub use chunks::{COMMA_REACH, Chunk, Chunks, Unit, chunks};
pub use edits::{MOST_READINGS, Schedule};
pub use prompt::{MOST_PARTS, Part, Prompt, Role, parse};
pub use tags::Lora;
pub use warning::Warning;
pub use weights::{MOST_WEIGHT, Piece};

/// A text that cannot be meant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Each part runs the network once a step.
    #[error("it has {got} parts joined by AND, expected at most {MOST_PARTS}")]
    TooManyParts {
        /// How many there are.
        got: usize,
    },
    /// Each is encoded before the run, and kept through it.
    #[error(
        "its edits and alternations say more than {MOST_READINGS} different things in the course of the run, \
         expected at most {MOST_READINGS}"
    )]
    TooManyReadings,
    /// A tag in angle brackets that names a LoRA file and says something else too.
    #[error("{tag} is no LoRA file, expected <lora:NAME> or <lora:NAME:WEIGHT>")]
    Lora {
        /// The tag.
        tag: String,
    },
    /// A tag that names a kind of network that is not run.
    #[error("{tag} names a hypernetwork, expected none: they are not run")]
    Hypernetwork {
        /// The tag.
        tag: String,
    },
}
