//! Folders of LoRAs and embeddings, whose files prompts and requests name without a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use imagegen_model::{Weights, lora};
use imagegen_prompt::{Role, parse};

use super::{map, read_embedding, read_lora};
use crate::embeddings::{self, Stretch, cut};
use crate::{Embedding, Error, Lora, LoraUse, PromptMode, Recipe, Settings, loras};

/// How deep folders in a shelf are looked into.
const DEPTH: usize = 8;
/// Names that an error lists.
const NEAR: usize = 5;

/// A folder of files of one kind, and of folders of them. Nothing outside it can be named.
#[derive(Debug)]
pub struct Shelf<T> {
    folder: PathBuf,
    /// What is known of files, as long as they are what they were.
    known: Mutex<BTreeMap<PathBuf, Known<T>>>,
}

/// A file on a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// What requests call it: the file's name without its ending, after the folders it is in where another has the same.
    pub name: String,
    /// The models it seems made for, where its sizes tell.
    pub family: Option<&'static str>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What is on shelves.
pub trait Shelvable: Sized {
    /// What one is called, in errors.
    const NOUN: &'static str;

    /// Reads a file.
    fn read(path: &Path) -> Result<Self, Error>;

    /// What a file's header says; `None` for a file of another kind.
    fn head(weights: &Weights) -> Option<Head>;
}

/// What a file's header says.
#[derive(Debug, Clone, Default)]
pub struct Head {
    family: Option<&'static str>,
    /// The name it was trained under.
    alias: Option<String>,
}

impl Shelvable for Lora {
    const NOUN: &'static str = "LoRA";

    fn read(path: &Path) -> Result<Self, Error> {
        read_lora(path)
    }

    fn head(weights: &Weights) -> Option<Head> {
        lora::is_lora(weights).then(|| Head {
            family: lora::family_of(weights),
            alias: weights.note(loras::TRAINED_AS),
        })
    }
}

impl Shelvable for Embedding {
    const NOUN: &'static str = "embedding";

    fn read(path: &Path) -> Result<Self, Error> {
        read_embedding(path, None)
    }

    fn head(weights: &Weights) -> Option<Head> {
        let family = match embeddings::widths(weights)?.as_slice() {
            [768] => Some("Stable Diffusion 1"),
            [1024] => Some("Stable Diffusion 2"),
            [768, 1280] => Some("SDXL"),
            _ => None,
        };
        Some(Head {
            family,
            alias: None,
        })
    }
}

#[derive(Debug)]
struct Known<T> {
    stamp: Stamp,
    /// `None` for a file of another kind.
    head: Option<Head>,
    /// The file, while somebody has it.
    read: Weak<T>,
}

/// A file at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    changed: Option<SystemTime>,
}

/// A file that was found.
#[derive(Debug, Clone)]
struct Found {
    path: PathBuf,
    /// Its folders and its name without ending, parted by `/`.
    whole: String,
    stamp: Stamp,
}

impl Found {
    fn stem(&self) -> &str {
        self.whole.rsplit('/').next().unwrap_or_default()
    }
}

impl<T: Shelvable> Shelf<T> {
    /// A folder as a shelf.
    ///
    /// Fails with [`Error::Read`] where it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let shelf = Self {
            folder: folder.to_owned(),
            known: Mutex::default(),
        };
        shelf.files()?;
        Ok(shelf)
    }

    /// All files of the kind, by name. Only headers are read, each once while its file stays as it is.
    ///
    /// Fails with [`Error::Read`] where the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Shelved>, Error> {
        let files = self.files()?;
        let mut listed = Vec::new();
        for (file, name) in files.iter().zip(names(&files)) {
            let Some(head) = self.head(file) else {
                continue;
            };
            listed.push(Shelved {
                name,
                family: head.family,
                bytes: file.stamp.bytes,
            });
        }
        listed.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(listed)
    }

    /// The file that is called `name`: the whole of it or without its folders, else whatever its capitals, else the one
    /// that was trained under it.
    ///
    /// Fails with [`Error::UnknownName`] for none or several, and as reading the file does.
    pub fn get(&self, name: &str) -> Result<Arc<T>, Error> {
        let files = self.files()?;
        let file = self.find(&files, name)?;
        let read = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = known.get(&file.path);
            known
                .filter(|known| known.stamp == file.stamp)
                .and_then(|known| known.read.upgrade())
        };
        if let Some(read) = read {
            return Ok(read);
        }
        self.head(file);
        let read = Arc::new(T::read(&file.path)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&file.path) {
            known.read = Arc::downgrade(&read);
        }
        Ok(read)
    }

    fn find<'f>(&self, files: &'f [Found], name: &str) -> Result<&'f Found, Error> {
        let name = name.replace('\\', "/");
        let name = name.strip_suffix(ENDING).unwrap_or(&name);
        let same = |own: &str| own == name;
        let alike = |own: &str| own.eq_ignore_ascii_case(name);
        let trained = |file: &Found| {
            let alias = self.head(file).and_then(|head| head.alias);
            alias.is_some_and(|alias| alike(&alias))
        };
        let ways: [&dyn Fn(&Found) -> bool; 4] = [
            &|file| same(&file.whole),
            &|file| same(file.stem()),
            &|file| alike(&file.whole) || alike(file.stem()),
            &trained,
        ];
        for way in ways {
            let found: Vec<&Found> = files.iter().filter(|file| way(file)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                several => {
                    let names = several.iter().map(|file| file.whole.as_str());
                    let names: Vec<_> = names.collect();
                    let expected = format!("one of {}", names.join(", "));
                    return Err(unknown::<T>("the name of several", name, expected));
                }
            }
        }
        Err(unknown::<T>("not known", name, near(&names(files), name)))
    }

    /// What a file's header says.
    fn head(&self, file: &Found) -> Option<Head> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&file.path)
            && known.stamp == file.stamp
        {
            return known.head.clone();
        }
        let bytes = map(&file.path).ok();
        let weights = bytes.and_then(|bytes| Weights::parse(&file.whole, bytes).ok());
        let head = weights.and_then(|weights| T::head(&weights));
        let new = Known {
            stamp: file.stamp,
            head: head.clone(),
            read: Weak::new(),
        };
        known.insert(file.path.clone(), new);
        head
    }

    /// Every safetensors file in the folder and in folders inside it.
    fn files(&self) -> Result<Vec<Found>, Error> {
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        walk(&self.folder, "", DEPTH, &mut seen, &mut files).map_err(|source| Error::Read {
            path: self.folder.clone(),
            source,
        })?;
        files.sort_by(|one, two| one.whole.cmp(&two.whole));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|path, _| files.iter().any(|file| file.path == *path));
        Ok(files)
    }
}

/// The ending of the files that are read.
const ENDING: &str = ".safetensors";

/// Adds the files of a folder. Folders inside it that cannot be read are passed over, and so are those that were
/// `seen`, by whatever links.
fn walk(
    folder: &Path,
    before: &str,
    depth: usize,
    seen: &mut BTreeSet<PathBuf>,
    files: &mut Vec<Found>,
) -> std::io::Result<()> {
    if !seen.insert(folder.canonicalize()?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Links are followed: collections are shared between programs.
        let Ok(facts) = fs::metadata(&path) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if facts.is_dir() && depth > 1 {
            let before = format!("{before}{name}/");
            walk(&path, &before, depth - 1, seen, files).unwrap_or_default();
        } else if facts.is_file()
            && let Some(stem) = name.strip_suffix(ENDING)
        {
            files.push(Found {
                whole: format!("{before}{stem}"),
                stamp: Stamp {
                    bytes: facts.len(),
                    changed: facts.modified().ok(),
                },
                path,
            });
        }
    }
    Ok(())
}

/// What requests call files: without folders where no other has the same name.
fn names(files: &[Found]) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for file in files {
        *counts.entry(file.stem()).or_insert(0) += 1;
    }
    let name = |file: &Found| match counts[file.stem()] {
        1 => file.stem().to_owned(),
        _ => file.whole.clone(),
    };
    files.iter().map(name).collect()
}

fn unknown<T: Shelvable>(fault: &'static str, name: &str, expected: String) -> Error {
    Error::UnknownName {
        what: T::NOUN,
        got: name.chars().take(64).collect(),
        fault,
        expected,
    }
}

/// The names that are nearest to one, in words.
fn near(names: &[String], name: &str) -> String {
    let lower = name.to_lowercase();
    let distance = |known: &String| {
        let likeness = strsim::jaro_winkler(&known.to_lowercase(), &lower);
        (likeness * -1e6) as i64
    };
    let mut nearest: Vec<&String> = names.iter().collect();
    nearest.sort_by_key(|known| (distance(known), *known));
    let shown: Vec<&str> = nearest.iter().take(NEAR).map(|n| n.as_str()).collect();
    match names.len() {
        0 => "none: there are none".to_owned(),
        count if count <= NEAR => format!("one of {}", shown.join(", ")),
        count => format!("one of {count} such as {}", shown.join(", ")),
    }
}

/// What requests may name.
#[derive(Debug, Default)]
pub struct Shelves {
    /// LoRAs.
    pub loras: Option<Shelf<Lora>>,
    /// Embeddings: textual inversions.
    pub embeddings: Option<Shelf<Embedding>>,
}

impl Shelves {
    /// Adds what the texts of `settings` name: LoRAs by their tags, behind those that are there, and embeddings by their
    /// words.
    ///
    /// Fails with [`Error::UnknownName`], with [`Error::Prompt`] for a prompt that cannot be read, and as reading the
    /// files does.
    pub fn fill(&self, settings: &mut Settings) -> Result<(), Error> {
        if settings.prompt_mode == PromptMode::A1111 {
            let which = "prompt";
            let prompt = parse(&settings.prompt, Role::Positive);
            let prompt = prompt.map_err(|cause| Error::Prompt { which, cause })?;
            let given = settings.loras.clone();
            for tag in prompt.loras.iter().filter(|tag| tag.weight != 0.0) {
                let known = given.iter().find(|used| used.lora.is_called(&tag.name));
                let lora = match (known, &self.loras) {
                    (Some(used), _) => Arc::clone(&used.lora),
                    (None, Some(shelf)) => shelf.get(&tag.name)?,
                    (None, None) => continue, // refused where texts are read
                };
                let weight = tag.weight;
                settings.loras.push(LoraUse { lora, weight });
            }
        }
        self.fill_embeddings(settings)
    }

    /// As [`Shelves::fill`], for a repetition: the LoRAs that `recipe` names, among those `given` or by its names for
    /// them.
    ///
    /// Fails with [`Error::NoLora`] for the first that is missing, and as reading the files does.
    pub fn fill_again(
        &self,
        settings: &mut Settings,
        recipe: &Recipe,
        given: &[Arc<Lora>],
    ) -> Result<(), Error> {
        let mut given = given.to_vec();
        if let Some(shelf) = &self.loras {
            for mark in &recipe.loras {
                let known = given.iter().any(|lora| lora.sha256 == mark.sha256);
                match shelf.get(&mark.name) {
                    Ok(lora) if !known => given.push(lora),
                    Ok(_) | Err(Error::UnknownName { .. }) => {}
                    Err(error) if !known => return Err(error),
                    Err(_) => {}
                }
            }
        }
        settings.loras = recipe.loras(&given)?;
        self.fill_embeddings(settings)
    }

    fn fill_embeddings(&self, settings: &mut Settings) -> Result<(), Error> {
        let Some(shelf) = &self.embeddings else {
            return Ok(());
        };
        let files = shelf.files()?;
        let names: Vec<&str> = files.iter().map(Found::stem).collect();
        let mut named = BTreeSet::new();
        for text in [&settings.prompt, &settings.negative_prompt] {
            let stretches = cut(text, &names).into_iter();
            named.extend(stretches.filter_map(|stretch| match stretch {
                Stretch::Name(index) => Some(names[index]),
                Stretch::Words(_) => None,
            }));
        }
        for name in named {
            // A file of another kind has a name like a word and is none.
            let found = files.iter().filter(|file| file.stem() == name);
            if found.clone().any(|file| shelf.head(file).is_some()) {
                settings.embeddings.push(shelf.get(name)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use imagegen_conformance::weights::reference;

    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf<Lora>) {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let kohya = reference("lora_sd_kohya.safetensors");
        put("fur.safetensors", &kohya);
        put("a/ink.safetensors", &kohya);
        put(
            "b/ink.safetensors",
            &reference("lora_sdxl_kohya.safetensors"),
        );
        put("b/c/Wool.safetensors", &kohya);
        put(".hidden/x.safetensors", &kohya);
        put("notes.txt", b"x");
        put("page.safetensors", b"<html>");
        put("word.safetensors", &reference("inversion_word.safetensors"));
        let shelf = Shelf::open(folder.path()).unwrap();
        (folder, shelf)
    }

    #[test]
    fn files_are_listed_by_names_that_are_theirs_alone() {
        let (folder, shelf) = shelf();
        let names = |shelf: &Shelf<Lora>| -> Vec<String> {
            let listed = shelf.list().unwrap();
            listed.into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names(&shelf), ["Wool", "a/ink", "b/ink", "fur"]);
        let listed = shelf.list().unwrap();
        let ink = listed.iter().find(|file| file.name == "b/ink").unwrap();
        assert_eq!(ink.family, Some("SDXL"));
        assert_eq!(
            ink.bytes,
            reference("lora_sdxl_kohya.safetensors").len() as u64
        );
        fs::remove_file(folder.path().join("a/ink.safetensors")).unwrap();
        assert_eq!(names(&shelf), ["Wool", "fur", "ink"]);
        let embeddings = Shelf::<Embedding>::open(folder.path()).unwrap();
        let words: Vec<_> = embeddings.list().unwrap();
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].name, "word");
    }

    #[test]
    fn files_are_found_by_name_and_by_nothing_else() {
        let (folder, shelf) = shelf();
        for (name, own) in [
            ("fur", "fur"),
            ("FUR", "fur"),
            ("fur.safetensors", "fur"),
            ("wool", "Wool"),
            ("b/c/wool", "Wool"),
            (r"b\ink", "ink"),
            ("a/ink", "ink"),
        ] {
            assert_eq!(shelf.get(name).unwrap().name, own, "{name}");
        }
        assert_ne!(
            shelf.get("a/ink").unwrap().sha256,
            shelf.get("b/ink").unwrap().sha256
        );
        let refused = |name: &str| shelf.get(name).unwrap_err().to_string();
        assert_eq!(
            refused("ink"),
            "LoRA \"ink\" is the name of several, expected one of a/ink, b/ink"
        );
        assert_eq!(
            refused("furr"),
            "LoRA \"furr\" is not known, expected one of 6 such as fur, word, Wool, a/ink, b/ink"
        );
        let outside = folder.path().join("fur.safetensors");
        for path in [
            "../fur",
            "./fur",
            "",
            ".hidden/x",
            outside.to_str().unwrap(),
        ] {
            assert!(refused(path).contains("is not known"), "{path}");
        }
        assert!(refused("page").contains("HTML"), "{}", refused("page"));
        assert!(Shelf::<Lora>::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another() {
        let (folder, shelf) = shelf();
        let first = shelf.get("fur").unwrap();
        assert!(Arc::ptr_eq(&first, &shelf.get("fur").unwrap()));
        let other = reference("lora_sdxl_kohya.safetensors");
        fs::write(folder.path().join("fur.safetensors"), other).unwrap();
        let second = shelf.get("fur").unwrap();
        assert_ne!(first.sha256, second.sha256);
        assert_eq!(second.family(), Some("SDXL"));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_are_followed_once() {
        let (folder, shelf) = shelf();
        let link = folder.path().join("b/again");
        std::os::unix::fs::symlink(folder.path(), link).unwrap();
        assert_eq!(shelf.list().unwrap().len(), 4);
    }
}
