//! Folders of models that are looked into whenever somebody asks, as far as they have changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::walk::Place;
use super::{Catalogue, Listing};

/// How deep a model's own folder is looked into for what has changed: `unet/config.json` is at 2.
const DEPTH: usize = 2;

/// Models in folders, looked for anew whenever they are asked for.
#[derive(Debug)]
pub struct ModelFolders {
    folders: Vec<PathBuf>,
    last: Mutex<Option<Look>>,
}

/// What was seen at a time.
#[derive(Debug)]
struct Look {
    places: Vec<(Place, Stamp)>,
    listing: Arc<Listing>,
}

/// A file or a folder at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    bytes: u64,
    /// When what is in it was last changed.
    pub(super) changed: Option<SystemTime>,
}

impl ModelFolders {
    /// Those under `folders`, as in [`Catalogue::of`]. Looks at nothing yet.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            last: Mutex::default(),
        }
    }

    /// What lies there now. Where names, sizes and times are those of the last look, no file is looked into and the listing is
    /// the same one.
    pub fn list(&self) -> Arc<Listing> {
        let catalogue = Catalogue::of(&self.folders);
        let stamped = |place: &Place| (place.clone(), Stamp::of(&place.path));
        let places: Vec<_> = catalogue.places.iter().map(stamped).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = &*last
            && look.places == places
            && !faults_changed(&look.listing, &catalogue)
        {
            return Arc::clone(&look.listing);
        }
        let listing = Arc::new(catalogue.list());
        *last = Some(Look {
            places,
            listing: Arc::clone(&listing),
        });
        listing
    }
}

/// Whether other folders cannot be read than before.
fn faults_changed(before: &Listing, now: &Catalogue) -> bool {
    let known = |fault| before.unusable.contains(fault);
    !now.faults.iter().all(known)
}

impl Stamp {
    /// What lies at `path`; nothing where it cannot be read.
    pub(super) fn of(path: &Path) -> Self {
        Self::within(path, DEPTH)
    }

    fn within(path: &Path, depth: usize) -> Self {
        let Ok(facts) = fs::metadata(path) else {
            return Self::default();
        };
        let own = Self {
            bytes: facts.len(),
            changed: facts.modified().ok(),
        };
        if !facts.is_dir() || depth == 0 {
            return own;
        }
        let inside = fs::read_dir(path).into_iter().flatten().flatten();
        let inside = inside.map(|entry| Self::within(&entry.path(), depth - 1));
        inside.fold(own, |all, one| Self {
            bytes: all.bytes.wrapping_add(one.bytes),
            changed: all.changed.max(one.changed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_into_again_only_where_something_changed() {
        let root = tempfile::tempdir().unwrap();
        let folders = ModelFolders::new(vec![root.path().to_owned()]);
        let empty = folders.list();
        assert_eq!(*empty, Listing::default());
        let file = root.path().join("a.safetensors");
        fs::write(&file, "<html>").unwrap();
        let broken = folders.list();
        assert_eq!(broken.unusable.len(), 1, "{broken:?}");
        assert!(Arc::ptr_eq(&broken, &folders.list()));
        // Another size, then a folder that is filled bit by bit.
        fs::write(&file, "<html> ").unwrap();
        let again = folders.list();
        assert!(!Arc::ptr_eq(&broken, &again));
        let model = root.path().join("b");
        fs::create_dir_all(model.join("unet")).unwrap();
        fs::write(model.join("model_index.json"), "{}").unwrap();
        let begun = folders.list();
        assert_eq!(begun.unusable.len(), 2, "{begun:?}");
        fs::write(model.join("unet/config.json"), "{}").unwrap();
        assert!(!Arc::ptr_eq(&begun, &folders.list()));
        fs::remove_dir_all(&model).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(*folders.list(), Listing::default());
    }
}
