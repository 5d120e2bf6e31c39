//! Models that lie in folders, found by name. What else lies there (LoRAs, autoencoders, embeddings) is told apart,
//! by folders' names and by tensors' names: of weights no more than headers is read.

mod folders;
mod inspect;
mod walk;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{ModelKind, ModelSource};
use crate::Error;
pub use folders::ModelFolders;
use folders::Stamp;
use inspect::Finding;
use walk::{Form, Place, Shelf};

/// Most names that an error lists.
const NAMES: usize = 6;
/// Names that are at least so much alike (Jaro and Winkler's measure) are taken for misspelt ones.
const NEAR: f64 = 0.8;

/// What lies under some folders. Making it looks at names alone.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    places: Vec<Place>,
    faults: Vec<Unusable>,
}

/// What a catalogue holds, once its files were looked into.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Models, by name.
    pub models: Vec<FoundModel>,
    /// Autoencoders that lie by themselves, by name.
    pub autoencoders: Vec<FoundAutoencoder>,
    /// What seems to be a model and cannot be used, and folders that cannot be read.
    pub unusable: Vec<Unusable>,
}

/// A model that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundModel {
    /// Its name without the ending; with folders before it where others have the same.
    pub name: String,
    /// What it is.
    pub kind: ModelKind,
    /// Bytes of its weights.
    pub bytes: u64,
    /// When its files were last changed, where the system tells.
    pub changed: Option<SystemTime>,
    /// Whether it comes with an autoencoder. One without needs one from elsewhere.
    pub has_autoencoder: bool,
    /// Where it is.
    pub source: ModelSource,
}

/// An autoencoder that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAutoencoder {
    /// Its name without the ending; with folders before it where others have the same.
    pub name: String,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// What cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Catalogue {
    /// What lies under `folders` and the folders inside them. Those that are not there are empty; what cannot be
    /// read is listed as unusable.
    pub fn of(folders: &[PathBuf]) -> Self {
        let (places, faults) = walk::all(folders);
        Self { places, faults }
    }

    /// Looks into every file, as far as its header.
    pub fn list(&self) -> Listing {
        let mut listing = Listing {
            unusable: self.faults.clone(),
            ..Listing::default()
        };
        for place in &self.places {
            let name = place.name.clone();
            match inspect::inspect(place) {
                Finding::Model {
                    kind,
                    bytes,
                    has_autoencoder,
                } => listing.models.push(FoundModel {
                    name,
                    kind,
                    bytes,
                    changed: Stamp::of(&place.path).changed,
                    has_autoencoder,
                    source: place.source(),
                }),
                Finding::Autoencoder { bytes } => listing.autoencoders.push(FoundAutoencoder {
                    name,
                    bytes,
                    path: place.path.clone(),
                }),
                Finding::Other => {}
                Finding::Unusable(why) => listing.unusable.push(Unusable {
                    path: place.path.clone(),
                    why,
                }),
            }
        }
        listing.models.sort_by(|a, b| a.name.cmp(&b.name));
        listing.autoencoders.sort_by(|a, b| a.name.cmp(&b.name));
        listing.unusable.sort_by(|a, b| a.path.cmp(&b.path));
        listing
    }

    /// The model that `text` means: a name of [`ModelSource::NAMES`], the path of a folder or file, or the name of a
    /// model here, with or without its ending and folders.
    ///
    /// Fails with [`Error::UnknownModel`], which lists near names, and with [`Error::AmbiguousModel`] where several
    /// are meant.
    pub fn model(&self, text: &str) -> Result<ModelSource, Error> {
        let direct = text.parse::<ModelSource>();
        if direct.is_ok() && is_path(text) || ModelSource::NAMES.contains(&text) {
            return direct;
        }
        let mut meant = self.meant(Shelf::Models, text);
        if meant.len() > 1 {
            // Something of the same name that is no model is not meant.
            meant.retain(|place| !matches!(inspect::inspect(place), Finding::Other));
        }
        match (direct, meant.as_slice()) {
            (Ok(direct), []) => Ok(direct),
            (Ok(direct), [place]) if place.is_at(Path::new(text)) => Ok(direct),
            (Err(_), [place]) => Ok(place.source()),
            (Err(Error::UnknownModel { got, expected }), []) => {
                let near = self.near(Shelf::Models, text);
                let expected = match near.is_empty() {
                    true => expected,
                    false => format!("{}, {expected}", near.join(", ")),
                };
                Err(Error::UnknownModel { got, expected })
            }
            (Err(other), []) => Err(other),
            (direct, several) => {
                let mut names: Vec<_> = several.iter().map(|place| place.name.clone()).collect();
                if direct.is_ok() {
                    names.push(Path::new(".").join(text).display().to_string());
                }
                Err(ambiguous(text, names))
            }
        }
    }

    /// Where the model of a name here is, with or without its ending and folders; one that cannot be used too. Capitals
    /// count, and paths mean nothing.
    ///
    /// Fails as [`Catalogue::model`].
    pub fn place(&self, name: &str) -> Result<&Path, Error> {
        let mut meant = self.exactly(Shelf::Models, name);
        meant.retain(|place| !matches!(inspect::inspect(place), Finding::Other));
        match meant.as_slice() {
            [place] => Ok(&place.path),
            [] => Err(Error::UnknownModel {
                got: name.to_owned(),
                expected: match self.near(Shelf::Models, name) {
                    near if near.is_empty() => "a model, of which there is none".to_owned(),
                    near => near.join(" or "),
                },
            }),
            several => {
                let names = several.iter().map(|place| place.name.clone()).collect();
                Err(ambiguous(name, names))
            }
        }
    }

    /// The autoencoder that `text` means: the path of a folder or file, or the name of one here.
    ///
    /// Fails as [`Catalogue::model`].
    pub fn autoencoder(&self, text: &Path) -> Result<PathBuf, Error> {
        if text.exists() {
            return Ok(text.to_owned());
        }
        let name = text.to_string_lossy();
        match self.meant(Shelf::Autoencoders, &name).as_slice() {
            [place] => Ok(place.path.clone()),
            // Whoever opens it says what the system says.
            [] if is_path(&name) => Ok(text.to_owned()),
            [] => {
                let mut expected = self.near(Shelf::Autoencoders, &name);
                expected.push("the path of a folder or of a safetensors file".to_owned());
                Err(Error::setting(
                    "autoencoder",
                    format!("\"{name}\", which is not there"),
                    expected.join(" or "),
                ))
            }
            several => {
                let names = several.iter().map(|place| place.name.clone()).collect();
                Err(ambiguous(&name, names))
            }
        }
    }

    /// The places that a name means: as it is written, or else whatever its capitals.
    fn meant(&self, shelf: Shelf, text: &str) -> Vec<&Place> {
        let exact = self.exactly(shelf, text);
        if !exact.is_empty() {
            return exact;
        }
        let lower = text.to_lowercase();
        let on = self.places.iter().filter(|place| place.shelf == shelf);
        on.filter(|place| place.lowered().answers(&lower)).collect()
    }

    /// The places that a name means as it is written. The one that is listed under it comes before those that it would
    /// be short for.
    fn exactly(&self, shelf: Shelf, text: &str) -> Vec<&Place> {
        let on = || self.places.iter().filter(move |place| place.shelf == shelf);
        let named: Vec<_> = on().filter(|place| place.name == text).collect();
        match named.is_empty() {
            true => on().filter(|place| place.answers(text)).collect(),
            false => named,
        }
    }

    /// Names that are like `text`, or a few where none is.
    fn near(&self, shelf: Shelf, text: &str) -> Vec<String> {
        let on = self.places.iter().filter(|place| place.shelf == shelf);
        let lower = text.to_lowercase();
        let mut names: Vec<_> = on
            .map(|place| {
                let stem = place.stem.to_lowercase();
                let part = stem.contains(&lower) || lower.contains(&stem);
                let like = strsim::jaro_winkler(&stem, &lower);
                (if part { 1.0 } else { like }, &place.name)
            })
            .collect();
        names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        if names.first().is_some_and(|(like, _)| *like >= NEAR) {
            names.retain(|(like, _)| *like >= NEAR);
        }
        let names = names.into_iter().take(NAMES);
        names.map(|(_, name)| name.clone()).collect()
    }
}

/// Whether a text can only be a path.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    path.is_absolute() || text.starts_with('.') || text.ends_with(std::path::is_separator)
}

fn ambiguous(text: &str, names: Vec<String>) -> Error {
    Error::AmbiguousModel {
        got: text.to_owned(),
        names: names.join(" or "),
    }
}
