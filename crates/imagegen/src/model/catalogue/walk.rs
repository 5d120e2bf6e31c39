//! Which files and folders may be models, by their names and those of the folders around them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Unusable;
use crate::ModelSource;
use crate::files::{base_name, read_text};

/// Deepest folder inside a folder of models that is looked into.
const DEPTH: usize = 8;
/// Most bytes of a configuration.
const CONFIG_BYTES: u64 = 1 << 20;

/// What a folder is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    Models,
    Autoencoders,
}

/// Folders of AUTOMATIC1111 and ComfyUI for what is no model, and of Python.
const ELSEWHERE: &[&str] = &[
    "animatediff_models",
    "blip",
    "clip",
    "clip_vision",
    "codeformer",
    "configs",
    "controlnet",
    "deepbooru",
    "diffusion_models",
    "embeddings",
    "esrgan",
    "gfpgan",
    "gligen",
    "hypernetworks",
    "ipadapter",
    "karlo",
    "ldsr",
    "loras",
    "lora",
    "locon",
    "lycoris",
    "model-patches",
    "photomaker",
    "realesrgan",
    "scunet",
    "style_models",
    "swinir",
    "t2i_adapter",
    "text_encoder",
    "text_encoders",
    "unet",
    "upscale_models",
    "custom_nodes",
    "extensions",
    "output",
    "outputs",
    "site-packages",
    "venv",
    "vae-approx",
    "vae_approx",
];
/// Folders for autoencoders.
const AUTOENCODERS: &[&str] = &["vae", "vaes"];

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    File,
    Folder,
}

/// A file or folder that may be a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) form: Form,
    pub(super) shelf: Shelf,
    /// Its own name without the ending.
    pub(super) stem: String,
    /// The folders it is in, from the one that was named on.
    trail: Vec<String>,
    /// Its stem, with as many folders before it as tell it from others.
    pub(super) name: String,
}

impl Place {
    pub(super) fn source(&self) -> ModelSource {
        match self.form {
            Form::File => ModelSource::File(self.path.clone()),
            Form::Folder => ModelSource::Folder(self.path.clone()),
        }
    }

    /// Whether a name means it: its own, its file's, or either with folders before it.
    pub(super) fn answers(&self, text: &str) -> bool {
        let text = text.replace('\\', "/");
        let mut folders: Vec<&str> = text.split('/').collect();
        let last = folders.pop().unwrap_or_default();
        let file = base_name(&self.path);
        let own = last == self.stem || last == file;
        let trail: Vec<&str> = self.trail.iter().map(String::as_str).collect();
        text == self.name || (own && trail.ends_with(&folders))
    }

    /// The same with small letters.
    pub(super) fn lowered(&self) -> Self {
        let lower = |text: &String| text.to_lowercase();
        Self {
            path: PathBuf::from(self.path.to_string_lossy().to_lowercase()),
            stem: lower(&self.stem),
            trail: self.trail.iter().map(lower).collect(),
            name: lower(&self.name),
            ..*self
        }
    }

    /// Whether it is what lies at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let (one, two) = (self.path.canonicalize(), path.canonicalize());
        matches!((one, two), (Ok(one), Ok(two)) if one == two)
    }
}

/// Every place under `folders`, and what cannot be read.
pub(super) fn all(folders: &[PathBuf]) -> (Vec<Place>, Vec<Unusable>) {
    let mut walk = Walk::default();
    for folder in folders {
        if folder.exists() {
            walk.folder(folder, &[], Shelf::Models);
        }
    }
    name_apart(&mut walk.places);
    (walk.places, walk.faults)
}

#[derive(Default)]
struct Walk {
    places: Vec<Place>,
    faults: Vec<Unusable>,
    /// Folders and files by their full paths: links may lead back, and folders be named twice.
    seen: BTreeSet<PathBuf>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, trail: &[String], shelf: Shelf) {
        if trail.len() > DEPTH || !self.is_new(folder) {
            return;
        }
        if is_model(folder) {
            return self.place(folder, Form::Folder, trail, Shelf::Models);
        }
        match class(folder).as_deref() {
            Some("AutoencoderKL" | "AutoencoderTiny") => {
                return self.place(folder, Form::Folder, trail, Shelf::Autoencoders);
            }
            Some(_) => return, // a part of a model
            None => {}
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fault(folder, error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut inner = trail.to_vec();
        inner.push(base_name(folder));
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let suspect = ["safetensors", "ckpt"].map(|end| has_ending(&path, end));
            // Of what a link leads to.
            match fs::metadata(&path) {
                Ok(facts) if facts.is_dir() => {
                    if let Some(shelf) = shelf_of(&name, shelf) {
                        self.folder(&path, &inner, shelf);
                    }
                }
                Ok(_) if suspect[0] || (suspect[1] && shelf == Shelf::Models) => {
                    self.file(&path, &inner, shelf);
                }
                Err(error) if suspect.contains(&true) => self.fault(&path, error),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Path, trail: &[String], shelf: Shelf) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        // One that stands beside its model belongs to it, or can be borrowed.
        let shelf = match stem.to_lowercase().ends_with(".vae") {
            true => Shelf::Autoencoders,
            false => shelf,
        };
        if self.is_new(path) {
            self.place(path, Form::File, trail, shelf);
        }
    }

    fn is_new(&mut self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|full| self.seen.insert(full))
    }

    fn place(&mut self, path: &Path, form: Form, trail: &[String], shelf: Shelf) {
        let stem = match form {
            Form::File => path.file_stem().map(OsStr::to_string_lossy),
            Form::Folder => None,
        };
        let stem = stem.map_or_else(|| folder_name(path), |stem| stem.into_owned());
        self.places.push(Place {
            path: path.to_owned(),
            form,
            shelf,
            name: stem.clone(),
            stem,
            trail: trail.to_vec(),
        });
    }

    fn fault(&mut self, path: &Path, error: std::io::Error) {
        self.faults.push(Unusable {
            path: path.to_owned(),
            why: format!("it cannot be read: {error}"),
        });
    }
}

/// What a folder is called; one in a cache of the Hugging Face hub by its repository.
fn folder_name(path: &Path) -> String {
    let own = || match path.canonicalize() {
        Ok(full) => base_name(&full),
        Err(_) => base_name(path),
    };
    let repository = path.parent().and_then(Path::parent).map(base_name);
    let repository = repository.filter(|name| name.starts_with("models--"));
    match repository
        .as_deref()
        .and_then(|name| name.rsplit("--").next())
    {
        Some(name) => name.to_owned(),
        None if path.file_name().is_some() => base_name(path),
        None => own(),
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// What a folder inside one is for; `None` for what is no model.
fn shelf_of(name: &OsStr, around: Shelf) -> Option<Shelf> {
    let name = name.to_string_lossy().to_lowercase();
    if ELSEWHERE.contains(&name.as_str()) {
        return None;
    }
    match AUTOENCODERS.contains(&name.as_str()) {
        true => Some(Shelf::Autoencoders),
        false => Some(around),
    }
}

/// Whether a folder is a model in the diffusers layout.
fn is_model(folder: &Path) -> bool {
    let has = |file: &str| folder.join(file).is_file();
    has("model_index.json")
        || (has("unet/config.json") && (has("latents.json") || has("vae/config.json")))
}

/// The class that a folder's configuration names, where it has one.
fn class(folder: &Path) -> Option<String> {
    let path = folder.join("config.json");
    let text = path
        .is_file()
        .then(|| read_text(&path, CONFIG_BYTES).ok())??;
    let config: Value = serde_json::from_str(&text).ok()?;
    let class = config
        .get("_class_name")
        .or_else(|| config.get("model_type"))?;
    Some(class.as_str()?.to_owned())
}

/// Puts folders before the names of places that others share, as many as it takes, and at last numbers.
fn name_apart(places: &mut [Place]) {
    let deepest = places.iter().map(|place| place.trail.len()).max();
    for folders in 1..=deepest.unwrap_or(0) {
        for index in twins(places) {
            let place = &mut places[index];
            let from = place.trail.len().saturating_sub(folders);
            let mut parts = place.trail[from..].to_vec();
            parts.push(place.stem.clone());
            place.name = parts.join("/");
        }
    }
    let mut counts = BTreeMap::new();
    for index in twins(places) {
        let place = &mut places[index];
        let count = counts
            .entry((place.shelf as u8, place.name.clone()))
            .or_insert(0);
        *count += 1;
        if *count > 1 {
            place.name = format!("{}#{count}", place.name);
        }
    }
}

/// Places whose names are not theirs alone.
fn twins(places: &[Place]) -> Vec<usize> {
    let mut by_name: BTreeMap<(u8, &str), Vec<usize>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        let key = (place.shelf as u8, place.name.as_str());
        by_name.entry(key).or_default().push(index);
    }
    let shared = by_name
        .into_iter()
        .filter(|((_, name), list)| list.len() > 1 || ModelSource::NAMES.contains(name));
    shared.flat_map(|(_, list)| list).collect()
}
