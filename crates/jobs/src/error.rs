//! Why something was refused or failed: subject, got, expected. Callers match on the kind.

use std::path::PathBuf;

/// A folder, an order or a picture was refused, or storage failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the folder.
    #[error("folder {folder} is in use by another process{}, expected one at a time", by(.process))]
    InUse {
        /// Which folder.
        folder: PathBuf,
        /// The other process, where it left its number.
        process: Option<u32>,
    },
    /// The folder cannot be used.
    #[error("cannot use folder {folder}: {source}")]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database was written by a later version of this program.
    #[error(
        "{path} has version {got}, expected at most {known}: it was written by a later program"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The latest this program knows.
        known: i64,
    },
    /// The database failed.
    #[error("the database of jobs failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The database holds something this program does not write.
    #[error("the database of jobs is damaged: {subject} is {got}")]
    Damaged {
        /// Which field.
        subject: &'static str,
        /// What it holds.
        got: String,
    },
    /// A picture could not be stored or read.
    #[error("cannot {verb} {what}: {source}")]
    Store {
        /// `open`, `store`, `read`, `remove` or `list`.
        verb: &'static str,
        /// Which picture.
        what: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// No model has this name.
    #[error("model \"{got}\" is not known, expected {known}")]
    UnknownModel {
        /// What was asked for.
        got: String,
        /// The names there are.
        known: String,
    },
    /// Two models have one name.
    #[error("two models are named \"{name}\", expected a name for each")]
    SameName {
        /// The name.
        name: String,
    },
    /// No model was given.
    #[error("there is no model, expected at least one")]
    NoModel,
    /// No source has this hash.
    #[error("source \"{sha256}\" is not known, expected one that was put before")]
    UnknownSource {
        /// The hash that came.
        sha256: String,
    },
    /// A stored source is not what it was.
    #[error("source {sha256} is damaged on disk, put it again")]
    SourceDamaged {
        /// Its hash.
        sha256: String,
    },
    /// A value of an order is out of its range.
    #[error("{field} is {got}, expected {expected}")]
    Value {
        /// The order's field.
        field: &'static str,
        /// What came.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// A LoRA that an order names cannot be had.
    #[error(transparent)]
    Lora(imagegen::Error),
    /// The library refuses the request, the model or the source.
    #[error(transparent)]
    Library(#[from] imagegen::Error),
    /// The queue is full.
    #[error("{limit} jobs wait already, expected less: try again in {retry_s} s")]
    QueueFull {
        /// Most jobs that may wait.
        limit: usize,
        /// Seconds after which there may be room.
        retry_s: u64,
    },
    /// One owner has too many unfinished jobs.
    #[error("{limit} of your jobs are unfinished already, expected less: try again in {retry_s} s")]
    TooMany {
        /// Most unfinished jobs of an owner.
        limit: usize,
        /// Seconds after which there may be room.
        retry_s: u64,
    },
    /// An idempotency key stands for another order.
    #[error("idempotency key \"{key}\" was used for another order, expected a new key")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The service is shutting down.
    #[error("the service is shutting down, no order is taken")]
    ShutDown,
}

fn by(process: &Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" ({process})"))
}

impl Error {
    pub(crate) fn value(
        field: &'static str,
        got: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value {
            field,
            got: got.to_string(),
            expected: expected.into(),
        }
    }

    /// A stable name of its kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } | Self::Folder { .. } | Self::Newer { .. } => "folder",
            Self::Database(_) | Self::Damaged { .. } | Self::Store { .. } => "storage",
            Self::UnknownModel { .. } => "unknown_model",
            Self::SameName { .. } | Self::NoModel => "model",
            Self::UnknownSource { .. } => "unknown_source",
            Self::SourceDamaged { .. } => "source_lost",
            Self::Value { .. } => "invalid_value",
            Self::Lora(error) | Self::Library(error) => library_code(error),
            Self::QueueFull { .. } => "queue_full",
            Self::TooMany { .. } => "too_many_jobs",
            Self::KeyReused { .. } => "key_reused",
            Self::ShutDown => "shutting_down",
        }
    }

    /// Seconds after which to try again, where that may help.
    pub fn retry_s(&self) -> Option<u64> {
        match self {
            Self::QueueFull { retry_s, .. } | Self::TooMany { retry_s, .. } => Some(*retry_s),
            _ => None,
        }
    }
}

fn library_code(error: &imagegen::Error) -> &'static str {
    match error {
        imagegen::Error::Source { .. } => "unusable_source",
        imagegen::Error::UnknownName { what: "LoRA", .. } => "unknown_lora",
        imagegen::Error::UnknownName { .. } => "unknown_embedding",
        imagegen::Error::Setting { .. }
        | imagegen::Error::Fit(_)
        | imagegen::Error::Mask(_)
        | imagegen::Error::Prompt { .. }
        | imagegen::Error::Lora { .. }
        | imagegen::Error::Embedding { .. }
        | imagegen::Error::NeedsMask { .. } => "invalid_value",
        imagegen::Error::Run(imagegen::RunError::Value { .. })
        | imagegen::Error::Run(imagegen::RunError::UnknownSampler { .. })
        | imagegen::Error::Run(imagegen::RunError::NoSteps { .. }) => "invalid_value",
        imagegen::Error::MissingFile { .. }
        | imagegen::Error::Model { .. }
        | imagegen::Error::Vae { .. } => "model",
        imagegen::Error::Memory { .. } => "memory",
        _ => "run",
    }
}
