//! Where a model's files are: embedded, in a folder or one file; and which of them were read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use imagegen_model::{Bytes, FileBytes, Tokenizer, Weights};
use serde_json::Value;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::files::full;
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
    /// A safetensors file that holds all networks of a model.
    File(PathBuf),
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

    /// Reads a name of [`ModelSource::NAMES`] or the path of a folder or file.
    fn from_str(text: &str) -> Result<Self, Error> {
        #[cfg(feature = "starter")]
        if text == imagegen_starter::NAME {
            return Ok(Self::Starter);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        let names = Self::NAMES.join(" or ");
        Err(Error::UnknownModel {
            got: text.to_owned(),
            expected: format!(
                "{names} or the path of a folder in the diffusers layout or of a safetensors file"
            ),
        })
    }
}

/// A file at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: String,
    size: u64,
    /// When it was written last, where the system knows.
    changed: Option<SystemTime>,
}

/// Ends of the names of files that are read and do not make a model what it is.
const UNHASHED: &[&str] = &[
    "prompt_words.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
];

/// Most bytes of a text file of a model.
const TEXT_BYTES: u64 = 64 << 20;

/// A model's files by their path in its folder.
pub(super) struct ModelFiles {
    name: String,
    place: Place,
    /// What was read: path and size.
    read: RefCell<BTreeMap<String, u64>>,
    /// Files that are mapped, while anyone reads them.
    maps: RefCell<BTreeMap<String, Weak<Mapped>>>,
}

/// What [`Bytes`] points to.
type Mapped = dyn FileBytes;

/// Files whose hash is not known yet.
pub(super) struct Unhashed(Vec<Bytes>);

impl Unhashed {
    /// SHA-256 over the SHA-256 of each file, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        let hashes = self.0.iter().map(|bytes| hash(&**bytes));
        // One file's hash is its own, which other programs show too.
        match hashes.collect::<Vec<_>>().as_slice() {
            [one] => hex(one),
            many => {
                let mut all = Sha256::new();
                many.iter().for_each(|hash| all.update(hash));
                hex(&all.finalize())
            }
        }
    }
}

/// SHA-256 of a file, of which little is in memory at a time.
fn hash(file: &dyn FileBytes) -> Output<Sha256> {
    const AT_A_TIME: usize = 8 << 20;
    let mut hash = Sha256::new();
    for (index, bytes) in file.as_ref().chunks(AT_A_TIME).enumerate() {
        hash.update(bytes);
        let start = index * AT_A_TIME;
        file.passed(start..start + bytes.len());
    }
    hash.finalize()
}

enum Place {
    #[cfg(feature = "starter")]
    Embedded(&'static [(&'static str, &'static [u8])]),
    Folder(PathBuf),
}

impl ModelFiles {
    pub(super) fn open(source: &ModelSource) -> Result<Self, Error> {
        let (path, name) = match source {
            #[cfg(feature = "starter")]
            ModelSource::Starter => {
                return Ok(Self {
                    name: imagegen_starter::NAME.to_owned(),
                    place: Place::Embedded(imagegen_starter::FILES),
                    read: RefCell::default(),
                    maps: RefCell::default(),
                });
            }
            ModelSource::Folder(path) => (full(path)?, None),
            ModelSource::File(path) => {
                // Its own name, not that of what it links to: downloads are kept as links.
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let folder = match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    _ => Path::new("."),
                };
                (full(folder)?, Some(name.into_owned()))
            }
        };
        let own = || {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        Ok(Self {
            name: name.unwrap_or_else(own),
            place: Place::Folder(path),
            read: RefCell::default(),
            maps: RefCell::default(),
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

    /// Path and size in bytes of every file that was read, by path.
    pub(super) fn sizes(&self) -> Vec<(String, u64)> {
        let read = self.read.borrow();
        read.iter()
            .map(|(name, size)| (name.clone(), *size))
            .collect()
    }

    /// Every file that was read as it is now, by path.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let changed = |file: &str| {
            let path = self.folder()?.join(file);
            path.metadata().ok()?.modified().ok()
        };
        let sizes = self.sizes().into_iter();
        let stamp = |(file, size): (String, u64)| Stamp {
            changed: changed(&file),
            file,
            size,
        };
        sizes.map(stamp).collect()
    }

    pub(super) fn has(&self, file: &str) -> bool {
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
        let text = match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(files) => {
                let found = files.iter().find(|(name, _)| *name == file);
                found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            }
            Place::Folder(folder) => {
                let path = folder.join(file);
                path.exists()
                    .then(|| files::read_text(&path, TEXT_BYTES))
                    .transpose()?
            }
        };
        if let Some(text) = &text {
            self.note(file, text.len());
        }
        Ok(text)
    }

    /// The tokenizer in the folder `part`.
    pub(super) fn tokenizer(&self, part: &str) -> Result<Tokenizer, Error> {
        let special = self.optional_text(&format!("{part}/special_tokens_map.json"))?;
        let tokenizer = Tokenizer::parse(
            &self.text(&format!("{part}/vocab.json"))?,
            &self.text(&format!("{part}/merges.txt"))?,
            &self.text(&format!("{part}/tokenizer_config.json"))?,
            special.as_deref(),
        );
        tokenizer.map_err(|cause| self.fail(cause))
    }

    /// A weight file, its header checked.
    pub(super) fn weights(&self, file: &str) -> Result<Weights, Error> {
        Weights::parse(file, self.bytes(file)?).map_err(|cause| self.fail(cause))
    }

    /// The weights in the folder `part`, whose files start with `stem`: one file, or the parts that an
    /// index lists; f32 before half precision where there are both.
    pub(super) fn part_weights(&self, part: &str, stem: &str) -> Result<Weights, Error> {
        let plain = format!("{part}/{stem}.safetensors");
        let half = format!("{part}/{stem}.fp16.safetensors");
        let indices = [
            format!("{plain}.index.json"),
            format!("{part}/{stem}.safetensors.index.fp16.json"),
            format!("{half}.index.json"),
        ];
        let order = [&plain, &indices[0], &half, &indices[1], &indices[2]];
        match order.into_iter().find(|file| self.has(file)) {
            Some(file) if indices.contains(file) => self.indexed_weights(part, file),
            Some(file) => self.weights(file),
            None => Err(self.missing_weights(part, stem, &plain)),
        }
    }

    /// The weights that an index lists.
    fn indexed_weights(&self, part: &str, index: &str) -> Result<Weights, Error> {
        let wrong = |got: &dyn ToString, expected: &str| {
            Error::setting(
                format!("{index} field \"weight_map\""),
                got.to_string(),
                expected,
            )
        };
        let parsed: Value = serde_json::from_str(&self.text(index)?)
            .map_err(|error| Error::setting(index, error, "a JSON object"))?;
        let map = parsed.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| wrong(&"absent", "file names by tensor"))?;
        let mut shards = BTreeMap::new();
        for (tensor, file) in map {
            // A name alone: an index may not reach out of its folder.
            let file = file.as_str().filter(|file| {
                Path::new(file)
                    .file_name()
                    .is_some_and(|name| name == *file)
            });
            let file = file.ok_or_else(|| wrong(&map[tensor], "the name of a file beside it"))?;
            shards.entry(file).or_insert_with(Vec::new).push(tensor);
        }
        let mut parts = Vec::new();
        for (file, tensors) in shards {
            let weights = self.weights(&format!("{part}/{file}"))?;
            if let Some(lacking) = tensors
                .iter()
                .find(|tensor| weights.shape(tensor).is_none())
            {
                let tensor = (*lacking).clone();
                return Err(self.fail(imagegen_model::Error::Missing {
                    file: weights.file().to_owned(),
                    count: 1,
                    tensor,
                }));
            }
            parts.push(weights);
        }
        Weights::join(index, parts).map_err(|cause| self.fail(cause))
    }

    /// Every file that was read and makes the model what it is, to be hashed by any thread.
    pub(super) fn unhashed(&self) -> Result<Unhashed, Error> {
        let sizes = self.sizes().into_iter();
        let hashed = sizes.filter(|(file, _)| !UNHASHED.iter().any(|end| file.ends_with(end)));
        let bytes = hashed.map(|(file, _)| self.bytes(&file));
        Ok(Unhashed(bytes.collect::<Result<_, _>>()?))
    }

    fn bytes(&self, file: &str) -> Result<Bytes, Error> {
        let bytes = match &self.place {
            #[cfg(feature = "starter")]
            Place::Embedded(files) => {
                let found = files.iter().find(|(name, _)| *name == file);
                found
                    .map(|&(_, bytes)| Arc::new(bytes) as Bytes)
                    .ok_or_else(|| self.missing(file))?
            }
            Place::Folder(folder) => {
                let path = folder.join(file);
                if !path.exists() {
                    return Err(self.missing(file));
                }
                // Who hashes reads the pages that who packs reads.
                let mut maps = self.maps.borrow_mut();
                match maps.get(file).and_then(Weak::upgrade) {
                    Some(mapped) => mapped,
                    None => {
                        let mapped = files::map(&path)?;
                        maps.insert(file.to_owned(), Arc::downgrade(&mapped));
                        mapped
                    }
                }
            }
        };
        self.note(file, (*bytes).as_ref().len());
        Ok(bytes)
    }

    fn note(&self, file: &str, size: usize) {
        self.read.borrow_mut().insert(file.to_owned(), size as u64);
    }

    pub(super) fn fail(&self, cause: imagegen_model::Error) -> Error {
        Error::Model {
            model: self.name.clone(),
            cause,
        }
    }

    fn missing(&self, file: &str) -> Error {
        let hint = "a model is a folder with unet, text_encoder, tokenizer, scheduler and vae (or \
                    latents.json), or a safetensors file";
        Error::MissingFile {
            model: self.name.clone(),
            file: file.to_owned(),
            hint: hint.to_owned(),
        }
    }

    /// As [`ModelFiles::missing`]; says so where the weights are there as a pickle.
    fn missing_weights(&self, part: &str, stem: &str, plain: &str) -> Error {
        let pickles =
            ["bin", "fp16.bin", "bin.index.json"].map(|end| format!("{part}/{stem}.{end}"));
        let stem = stem.replace("model", "pytorch_model");
        let older = format!("{part}/{stem}.bin");
        match pickles.iter().chain([&older]).find(|file| self.has(file)) {
            None => self.missing(plain),
            Some(pickle) => Error::MissingFile {
                model: self.name.clone(),
                file: plain.to_owned(),
                hint: format!(
                    "{pickle} is a Python pickle, which can run code and is never opened; take the \
                     model's safetensors files, or convert it with safetensors' own converter"
                ),
            },
        }
    }
}
