//! Why something could not be done: subject, got, expected. Callers match on the kind.

use std::path::PathBuf;

/// A request, a file or a model was refused, or a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is longer than is read.
    #[error("cannot read {path}: it is {size} bytes long, expected at most {limit}")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A source's bytes are no usable picture.
    #[error("cannot use {name} as a source: {cause}")]
    Source {
        /// The file, by its base name.
        name: String,
        /// Why.
        cause: imagegen_picture::DecodeError,
    },
    /// A picture does not say how it was made.
    #[error("{name} does not say how it was made, expected a picture made by imagegen")]
    NoRecipe {
        /// The file, by its base name.
        name: String,
    },
    /// No file of a folder is the source a picture was made from.
    #[error("no file in {folder} is the source {name} (sha256 {sha256})")]
    NoSource {
        /// Where it was looked for.
        folder: PathBuf,
        /// The name it had.
        name: String,
        /// What it holds.
        sha256: String,
    },
    /// No model has this name and no folder this path.
    #[error("model \"{got}\" is not known, expected {expected}")]
    UnknownModel {
        /// What was asked for.
        got: String,
        /// What there is.
        expected: String,
    },
    /// Several models have this name.
    #[error("model \"{got}\" is ambiguous, expected one of {names}")]
    AmbiguousModel {
        /// What was asked for.
        got: String,
        /// What tells them apart.
        names: String,
    },
    /// A model's folder lacks a file.
    #[error("model {model} lacks {file}: {hint}")]
    MissingFile {
        /// Which model.
        model: String,
        /// Path in its folder.
        file: String,
        /// What that means.
        hint: String,
    },
    /// A model's own settings contradict each other or this build.
    #[error("{subject} is {got}, expected {expected}")]
    Setting {
        /// Model file and field, or the request's field.
        subject: String,
        /// What it says.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// A model repaints under masks alone.
    #[error(
        "model {model} is made for inpainting, got a request without a mask: repaint a part with it, or take \
         another model"
    )]
    NeedsMask {
        /// Which model.
        model: String,
    },
    /// A text says what cannot be meant.
    #[error("the {which} cannot be read: {cause}")]
    Prompt {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// Why.
        cause: imagegen_prompt::Error,
    },
    /// A file is no textual inversion, or none for this model.
    #[error("cannot use the embedding: {cause}")]
    Embedding {
        /// Why.
        cause: imagegen_model::Error,
    },
    /// A file is no LoRA, or none for this model.
    #[error("cannot use the LoRA: {cause}")]
    Lora {
        /// Why.
        cause: imagegen_model::Error,
    },
    /// Nothing that requests may name has this name, or several have.
    #[error("{what} {got:?} is {fault}, expected {expected}")]
    UnknownName {
        /// What was named: `LoRA` or `embedding`.
        what: &'static str,
        /// The name.
        got: String,
        /// What is wrong with it.
        fault: &'static str,
        /// The names there are, or the nearest.
        expected: String,
    },
    /// A LoRA that a picture was made with is not among those given.
    #[error("the LoRA {name} (sha256 {sha256}) is missing, expected its file")]
    NoLora {
        /// The name it had.
        name: String,
        /// What its file holds.
        sha256: String,
    },
    /// A model's files could not be turned into networks.
    #[error("cannot load model {model}: {cause}")]
    Model {
        /// Which model.
        model: String,
        /// Why.
        cause: imagegen_model::Error,
    },
    /// A file or folder is no autoencoder, or none that runs.
    #[error("cannot use the autoencoder {name}: {cause}")]
    Vae {
        /// The file or folder, by its base name.
        name: String,
        /// Why.
        cause: imagegen_model::Error,
    },
    /// A model or a run surely takes more memory than there is.
    #[error(
        "{what} takes about {}, expected at most {}, the memory there is{}",
        mebibytes(*need), mebibytes(*left), fitting(*fits)
    )]
    Memory {
        /// What was asked for.
        what: String,
        /// Bytes that it takes.
        need: u64,
        /// Bytes that are left for it.
        left: u64,
        /// The largest size that fits, if the size is at fault and one does.
        fits: Option<[u32; 2]>,
    },
    /// The engine could not be started.
    #[error(transparent)]
    Engine(#[from] imagegen_engine::Error),
    /// The sizes asked for cannot be had.
    #[error(transparent)]
    Fit(#[from] imagegen_picture::FitError),
    /// A mask cannot be had from what was given.
    #[error(transparent)]
    Mask(#[from] imagegen_picture::mask::MaskError),
    /// A result departs from its source where nothing may change: a fault of this program.
    #[error(
        "{differing} of {checked} pixels outside the mask are not the source's, expected none; nothing was \
         written"
    )]
    Changed {
        /// Pixels that differ.
        differing: u64,
        /// Pixels outside the mask.
        checked: u64,
    },
    /// A run was refused, failed or was cancelled.
    #[error(transparent)]
    Run(#[from] imagegen_pipeline::Error),
    /// A result held numbers that are no colours.
    #[error("the result is not a picture: {0}")]
    Result(#[from] imagegen_picture::NotANumber),
    /// A picture could not be encoded.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] imagegen_picture::EncodeError),
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn fitting(size: Option<[u32; 2]>) -> String {
    size.map_or_else(String::new, |[width, height]| {
        format!("; {width}x{height} fits")
    })
}

impl Error {
    /// An [`Error::Setting`] from parts.
    pub(crate) fn setting(
        subject: impl Into<String>,
        got: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting {
            subject: subject.into(),
            got: got.to_string(),
            expected: expected.into(),
        }
    }

    /// Whether the run was stopped on request.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Run(imagegen_pipeline::Error::Cancelled { .. }))
    }
}
