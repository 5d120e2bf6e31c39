//! Files that are being written and have no name of their own yet. All are known, so that a program that
//! has to end at once leaves none behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::files::Existing;

/// The files of this program.
pub(crate) static UNFINISHED: Unfinished = Unfinished::new();

/// Files without a name.
pub(crate) struct Unfinished(Mutex<Known>);

struct Known {
    paths: BTreeSet<PathBuf>,
    /// No file is begun and none gets its name any more.
    abandoned: bool,
}

/// One file without a name. Removed when dropped.
pub(crate) struct Begun<'a> {
    all: &'a Unfinished,
    path: PathBuf,
    /// `None` once it has its name.
    file: Option<NamedTempFile>,
}

impl Unfinished {
    const fn new() -> Self {
        Self(Mutex::new(Known {
            paths: BTreeSet::new(),
            abandoned: false,
        }))
    }

    /// The known files, held: none is begun, named or removed meanwhile. Fails once they are abandoned.
    fn hold(&self) -> io::Result<MutexGuard<'_, Known>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.abandoned {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(known),
        }
    }

    /// Begins a file in `folder`.
    pub(crate) fn begin(&self, folder: &Path) -> io::Result<Begun<'_>> {
        let mut known = self.hold()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".imagegen-");
        #[cfg(unix)]
        builder.permissions(readable());
        let file = builder.tempfile_in(folder)?;
        let path = file.path().to_owned();
        known.paths.insert(path.clone());
        Ok(Begun {
            all: self,
            path,
            file: Some(file),
        })
    }

    /// Removes all files; none can be begun or named after that.
    pub(crate) fn abandon(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.abandoned = true;
        for path in std::mem::take(&mut known.paths) {
            let _ = fs::remove_file(path); // the program ends; nobody is left to be told
        }
    }
}

impl Begun<'_> {
    /// Writes all of `bytes`, down to the disk.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(bytes)?;
        file.as_file().sync_all()
    }

    /// Gives the file its name. Fails with [`io::ErrorKind::AlreadyExists`] where the name is taken and
    /// `existing` is to be kept; another name can be tried then.
    pub(crate) fn name(&mut self, path: &Path, existing: Existing) -> io::Result<()> {
        let _known = self.all.hold()?;
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let named = match existing {
            Existing::Replace => file.persist(path),
            Existing::Keep => file.persist_noclobber(path),
        };
        named.map(drop).map_err(|error| {
            self.file = Some(error.file);
            error.error
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Ok(mut known) = self.all.hold() {
            known.paths.remove(&self.path);
        }
    }
}

/// For everyone, as far as the user's mask allows; temporary files are private otherwise.
#[cfg(unix)]
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn an_abandoned_file_is_removed_and_never_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let all = Unfinished::new();
        let mut done = all.begin(folder).unwrap();
        done.name(&folder.join("done"), Existing::Keep).unwrap();
        let mut begun = all.begin(folder).unwrap();
        begun.write(b"half").unwrap();
        assert_eq!(count(folder), 2);
        all.abandon();
        assert_eq!(count(folder), 1, "what has its name stays");
        for existing in [Existing::Replace, Existing::Keep] {
            let error = begun.name(&folder.join("late"), existing).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        }
        assert!(all.begin(folder).is_err());
        drop(begun);
        assert_eq!(count(folder), 1);
    }

    #[test]
    fn a_dropped_file_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let all = Unfinished::new();
        drop(all.begin(folder.path()).unwrap());
        assert_eq!(count(folder.path()), 0);
        assert!(all.hold().unwrap().paths.is_empty());
    }
}
