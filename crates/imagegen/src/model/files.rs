//! Where a model's files are: embedded or in a folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use imagegen_model::{Bytes, Tokenizer, Weights};
use sha2::{Digest, Sha256};

use crate::request::hex;
use crate::{Error, files};

/// Which model is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The starter in this binary.
    #[cfg(feature = "starter")]
    Starter,
    /// A folder in the diffusers layout.
    Folder(PathBuf),
}

impl ModelSource {
    /// Names that are not paths.
    pub const NAMES: &[&str] = &[
        #[cfg(feature = "starter")]
        imagegen_starter::NAME,
    ];
}

impl FromStr for ModelSource {
    type Err = Error;

    /// Reads a name of [`ModelSource::NAMES`] or the path of a folder.
    fn from_str(text: &str) -> Result<Self, Error> {
        #[cfg(feature = "starter")]
        if text == imagegen_starter::NAME {
            return Ok(Self::Starter);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let names = Self::NAMES.join(" or ");
        let expected = if path.is_file() {
            format!("{names} or a folder in the diffusers layout (this is a file)")
        } else {
            format!("{names} or the path of a folder in the diffusers layout")
        };
        Err(Error::UnknownModel {
            got: text.to_owned(),
            expected,
        })
    }
}

/// Files whose contents make a model what it is, in the order they are hashed.
const HASHED: &[&str] = &[
    "latents.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
];

/// Files that are read and hashed no further.
const UNHASHED: &[&str] = &["prompt_words.json", "tokenizer/tokenizer_config.json"];

/// A model's files by their path in its folder.
pub(super) struct ModelFiles {
    name: String,
    place: Place,
}

enum Place {
    #[cfg(feature = "starter")]
    Embedded(&'static [(&'static str, &'static [u8])]),
    Folder(PathBuf),
}

impl ModelFiles {
    pub(super) fn open(source: &ModelSource) -> Result<Self, Error> {
        Ok(match source {
            #[cfg(feature = "starter")]
            ModelSource::Starter => Self {
                name: imagegen_starter::NAME.to_owned(),
                place: Place::Embedded(imagegen_starter::FILES),
            },
            ModelSource::Folder(path) => {
                let full = path.canonicalize();
                let full = full.map_err(|source| Error::Read {
                    path: path.clone(),
                    source,
                })?;
                let name = full
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                Self {
                    name,
                    place: Place::Folder(full),
                }
            }
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The model's folder; `None` where it is embedded.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(_) => None,
            Place::Folder(folder) => Some(folder),
        }
    }

    /// Path and size in bytes of every file that is read.
    pub(super) fn sizes(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut sizes = Vec::new();
        let mut names: Vec<_> = HASHED.iter().chain(UNHASHED).collect();
        names.sort();
        for &name in names {
            if self.has(name) {
                sizes.push((name.to_owned(), (*self.bytes(name)?).as_ref().len() as u64));
            }
        }
        Ok(sizes)
    }

    fn has(&self, file: &str) -> bool {
        match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(files) => files.iter().any(|(name, _)| *name == file),
            Place::Folder(folder) => folder.join(file).exists(),
        }
    }

    /// A text file.
    pub(super) fn text(&self, file: &str) -> Result<String, Error> {
        self.optional_text(file)?.ok_or_else(|| self.missing(file))
    }

    /// A text file that may be absent.
    pub(super) fn optional_text(&self, file: &str) -> Result<Option<String>, Error> {
        match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(files) => {
                let found = files.iter().find(|(name, _)| *name == file);
                Ok(found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()))
            }
            Place::Folder(folder) => {
                let path = folder.join(file);
                path.exists().then(|| files::read_text(&path)).transpose()
            }
        }
    }

    /// The tokenizer.
    pub(super) fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let tokenizer = Tokenizer::parse(
            &self.text("tokenizer/vocab.json")?,
            &self.text("tokenizer/merges.txt")?,
            &self.text("tokenizer/tokenizer_config.json")?,
        );
        tokenizer.map_err(|cause| Error::Model {
            model: self.name.clone(),
            cause,
        })
    }

    /// A weight file, its header checked.
    pub(super) fn weights(&self, file: &str) -> Result<Weights, Error> {
        let weights = Weights::parse(file, self.bytes(file)?);
        weights.map_err(|cause| Error::Model {
            model: self.name.clone(),
            cause,
        })
    }

    /// SHA-256 over the SHA-256 of each file that makes the model what it is.
    pub(super) fn hash(&self) -> Result<String, Error> {
        let mut all = Sha256::new();
        for file in HASHED {
            all.update(Sha256::digest((*self.bytes(file)?).as_ref()));
        }
        Ok(hex(&all.finalize()))
    }

    fn bytes(&self, file: &str) -> Result<Bytes, Error> {
        match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(files) => {
                let found = files.iter().find(|(name, _)| *name == file);
                found
                    .map(|&(_, bytes)| Arc::new(bytes) as Bytes)
                    .ok_or_else(|| self.missing(file))
            }
            Place::Folder(folder) => {
                let path = folder.join(file);
                if path.exists() {
                    files::map(&path)
                } else {
                    Err(self.missing(file))
                }
            }
        }
    }

    fn missing(&self, file: &str) -> Error {
        let hint = if file == "latents.json" {
            "models with a learned autoencoder (a vae folder) are not run by this build"
        } else {
            "a model is a folder with unet, text_encoder, tokenizer, scheduler and latents.json"
        };
        Error::MissingFile {
            model: self.name.clone(),
            file: file.to_owned(),
            hint: hint.to_owned(),
        }
    }
}
