//! imagegen, the library: turns a request into an outcome.
//!
//! [`Model::load`] finds and loads a model (the embedded starter or a folder), [`Model::transform`],
//! [`Model::generate`] and [`Model::inpaint`] carry out requests on it. An [`Outcome`] is a picture, what was done, what
//! a person should know, and the metadata that lets anyone make the picture again. [`files`] is the
//! one module that knows paths; the rest works on values.

mod advise;
mod embeddings;
mod enlarge;
mod error;
mod faces;
pub mod files;
mod hires;
mod inpaint;
mod loras;
mod machine;
mod masks;
mod model;
mod outcome;
mod preview;
mod prompts;
mod recipe;
mod record;
mod refiner;
mod replay;
mod request;
mod run;
mod sheet;
mod shrink;
mod tiles;
mod unfinished;
mod variety;
mod warning;
mod washing;
mod work;

pub use advise::{Forecast, LookForFaces};
pub use embeddings::{Embedding, EmbeddingMark};
pub use enlarge::{Enlarge, Enlarger};
pub use error::Error;
pub use faces::{Face, faces};
pub use hires::{Between, Hires, HiresMark};
pub use imagegen_engine::cpu::{Level, Precision};
pub use imagegen_engine::profile::Operation;
pub use imagegen_picture::{Fit, Format, Picture, Rect, Size, Wanted};
pub use imagegen_pipeline::{
    Colours, Error as RunError, MaskedContent, NoiseKind, PredictionType, Sampler, Spacing,
    Stage as RunStage, StepRecord, Strength, StrengthRule, Variation,
};
pub use imagegen_prompt::Piece;
pub use inpaint::{Area, Edge, Expand, Inpaint, InpaintMark, Intent, MaskMark, Painted};
pub use loras::{Lora, LoraMark, LoraUse};
pub use machine::Room;
pub use masks::{MadeMask, MaskRequest, OtherSize, Region};
pub use model::{
    Catalogue, CodecKind, Cpu, Defaults, Family, FoundAutoencoder, FoundModel, LatentsInfo,
    Listing, Memory, Model, ModelChoice, ModelFolders, ModelInfo, ModelKind, ModelSource,
    NetworkInfo, ScheduleInfo, Sees, Unusable, VaeTiling,
};
pub use outcome::{Facts, Outcome, Stage, Unwatched, Watcher};
pub use prompts::{PartFacts, PromptFacts, PromptMode, ReadingFacts};
pub use recipe::{
    EnlargeMark, FidelityMark, ModelMark, Recipe, RefinerMark, SourceMark, VariationMark,
};
pub use record::{PaintedRecord, PartRecord, PieceRecord, PromptRecord, ReadingRecord, SeamRecord};
pub use refiner::RefinerUse;
pub use replay::{Agreement, parse_fit, parse_wanted};
pub use request::{
    Generate, MOST_INTERVAL, MOST_MERGED, Request, Sampling, Settings, Source, Transform,
};
pub use sheet::{Cell, Sheet, contact_sheet};
pub use tiles::Tiles;
pub use variety::{Twin, Variety, View};
pub use warning::{Note, Warning};
pub use washing::Washing;
pub use work::Work;

/// Name and version of this program, as written into pictures.
pub const PROGRAM: &str = concat!("imagegen ", env!("CARGO_PKG_VERSION"));
