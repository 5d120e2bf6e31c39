//! Where the service keeps jobs, pictures and keys.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arguments::DataFolder;

/// The folder that was asked for, or the user's own.
///
/// Fails where none was and none is known.
pub(crate) fn folder(asked: &DataFolder) -> Result<PathBuf> {
    let found = asked.data.clone().or_else(users_own);
    found.context("no data folder is known, expected one with --data")
}

/// The user's own folder, whether it is there or not.
pub(crate) fn users_own() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        let home = || Some(folder("HOME")?.join("Library/Application Support"));
        folder("XDG_DATA_HOME").or_else(home)
    } else {
        folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))
    };
    Some(base?.join("imagegen"))
}

/// Makes the folder, for this user's eyes alone where the system knows such folders.
///
/// Fails as the system does.
pub(crate) fn make(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    let made = builder.create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}
