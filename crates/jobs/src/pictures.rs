//! Where pictures lie: sources by their hash, results by job and index. A name holds a whole picture or
//! none. Knows nothing of jobs' states; the database says which pictures there should be.

use std::path::Path;
use std::{fs, io};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt};
use pollster::block_on;

use crate::{Error, JobId};

const SOURCES: &str = "sources";
const RESULTS: &str = "results";

/// The store of pictures. Its calls block.
#[derive(Debug)]
pub(crate) struct Pictures {
    store: LocalFileSystem,
}

/// Name of a source.
pub(crate) fn source(sha256: &str) -> Name {
    Name::from_iter([SOURCES, sha256])
}

/// Name of a result.
pub(crate) fn result(id: &JobId, index: usize) -> Name {
    Name::from_iter([RESULTS, &id.to_string(), &format!("{index}.png")])
}

/// Name of a sheet.
pub(crate) fn sheet(id: &JobId) -> Name {
    Name::from_iter([RESULTS, &id.to_string(), "sheet.png"])
}

fn failed(verb: &'static str, what: impl ToString) -> impl FnOnce(object_store::Error) -> Error {
    let what = what.to_string();
    move |source| Error::Store { verb, what, source }
}

impl Pictures {
    /// Opens the store in `folder`, which is made where it is not there, and removes what an ended process
    /// left half written.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Folder {
            folder: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        remove_unfinished(folder, 2).map_err(unusable)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(failed("open", folder.display()))?
            .with_automatic_cleanup(true)
            .with_fsync(true);
        Ok(Self { store })
    }

    pub(crate) fn put(&self, name: &Name, bytes: Bytes) -> Result<(), Error> {
        let put = block_on(self.store.put(name, bytes.into()));
        put.map(drop).map_err(failed("store", name))
    }

    pub(crate) fn get(&self, name: &Name) -> Result<Option<Bytes>, Error> {
        let read = block_on(async { self.store.get(name).await?.bytes().await });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", name)(error)),
        }
    }

    /// Removes a picture; none is fine.
    pub(crate) fn remove(&self, name: &Name) -> Result<(), Error> {
        match block_on(self.store.delete(name)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", name)(error)),
        }
    }

    /// Removes all pictures of a job.
    pub(crate) fn remove_job(&self, id: &JobId) -> Result<(), Error> {
        self.remove_job_named(&id.to_string())
    }

    /// Removes all pictures of the job of this name.
    pub(crate) fn remove_job_named(&self, id: &str) -> Result<(), Error> {
        let folder = Name::from_iter([RESULTS, id]);
        let listed = block_on(self.store.list_with_delimiter(Some(&folder)));
        for object in listed.map_err(failed("list", &folder))?.objects {
            self.remove(&object.location)?;
        }
        Ok(())
    }

    /// Hashes of all sources that are there.
    pub(crate) fn sources(&self) -> Result<Vec<String>, Error> {
        let folder = Name::from(SOURCES);
        let listed = block_on(self.store.list_with_delimiter(Some(&folder)));
        let objects = listed.map_err(failed("list", &folder))?.objects;
        let named = objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(named.map(str::to_owned).collect())
    }

    /// Names of all jobs of which there are pictures.
    pub(crate) fn jobs(&self) -> Result<Vec<String>, Error> {
        let folder = Name::from(RESULTS);
        let listed = block_on(self.store.list_with_delimiter(Some(&folder)));
        let folders = listed.map_err(failed("list", &folder))?.common_prefixes;
        let named = folders.iter().filter_map(Name::filename);
        Ok(named.map(str::to_owned).collect())
    }
}

/// Removes files that the store had begun and not named yet; their names end in `#` and a number.
fn remove_unfinished(folder: &Path, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                remove_unfinished(&entry.path(), depth - 1)?;
            }
        } else if entry.file_name().to_string_lossy().contains('#') {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Pictures::open(folder.path()).unwrap();
        let id = JobId::new();
        let (one, sheet) = (result(&id, 0), sheet(&id));
        assert_eq!(pictures.get(&one).unwrap(), None);
        for name in [&one, &sheet, &source("ab")] {
            pictures.put(name, Bytes::from_static(b"1")).unwrap();
        }
        pictures.put(&one, Bytes::from_static(b"2")).unwrap();
        assert_eq!(pictures.get(&one).unwrap().unwrap(), "2");
        assert_eq!(pictures.sources().unwrap(), ["ab"]);
        assert_eq!(pictures.jobs().unwrap(), [id.to_string()]);
        pictures.remove_job(&id).unwrap();
        pictures.remove(&one).unwrap();
        assert_eq!(pictures.get(&sheet).unwrap(), None);
        assert!(pictures.jobs().unwrap().is_empty());
    }

    #[test]
    fn what_was_half_written_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results/a");
        fs::create_dir_all(&results).unwrap();
        for name in ["0.png", "0.png#1", "sheet.png#12"] {
            fs::write(results.join(name), b"x").unwrap();
        }
        Pictures::open(folder.path()).unwrap();
        let left: Vec<_> = fs::read_dir(&results).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(results.join("0.png").exists());
    }
}
