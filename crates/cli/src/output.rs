//! Where results go: decided and checked before the first run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use imagegen::files::{self, Existing};
use imagegen::{Format, Outcome};
use imagegen_picture::EncodeWarning;

/// Where the results of one command go.
pub(crate) enum Output {
    /// Named after source, prompt and seed, overwriting nothing.
    Named { folder: PathBuf },
    /// The one file that was asked for, or several beside it with their seeds.
    File {
        path: PathBuf,
        format: Format,
        several: bool,
    },
}

impl Output {
    /// Decides where `count` results of each of `sources` go.
    ///
    /// Fails where one file is named for several sources, where its extension is none we write or
    /// where its folder does not exist.
    pub(crate) fn plan(asked: Option<&Path>, sources: usize, count: u16) -> Result<Self> {
        let Some(path) = asked else {
            return Ok(Self::Named {
                folder: PathBuf::new(),
            });
        };
        let as_folder = path
            .as_os_str()
            .to_string_lossy()
            .ends_with(std::path::MAIN_SEPARATOR);
        if path.is_dir() {
            return Ok(Self::Named {
                folder: path.to_owned(),
            });
        }
        if as_folder {
            std::fs::create_dir_all(path)
                .with_context(|| format!("cannot make the folder {}", path.display()))?;
            return Ok(Self::Named {
                folder: path.to_owned(),
            });
        }
        if sources > 1 {
            bail!(
                "-o names the file {}, expected a folder for the results of {sources} sources",
                path.display()
            );
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let format = Format::from_extension(&extension)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!(
                "cannot write {}: {} is no folder",
                path.display(),
                folder.display()
            );
        }
        Ok(Self::File {
            path: path.to_owned(),
            format,
            several: count > 1,
        })
    }

    /// The format results are written in.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Named { .. } => Format::Png,
            Self::File { format, .. } => *format,
        }
    }

    /// Writes a result. Gives its path and what was lost in writing.
    pub(crate) fn write(&self, outcome: &Outcome) -> Result<(PathBuf, Vec<EncodeWarning>)> {
        let encoded = outcome.encode(self.format())?;
        let recipe = &outcome.facts.recipe;
        let (path, existing) = match self {
            Self::Named { folder } => {
                let source = recipe.source.as_ref().map(|source| source.name.as_str());
                let extension = self.format().extension();
                let name = files::default_name(source, &recipe.prompt, recipe.seed, extension);
                (folder.join(name), Existing::Keep)
            }
            Self::File {
                path,
                several: false,
                ..
            } => (path.clone(), Existing::Replace),
            Self::File {
                path,
                several: true,
                ..
            } => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let extension = path.extension().unwrap_or_default().to_string_lossy();
                let name = format!("{stem}-{}.{extension}", recipe.seed);
                (path.with_file_name(name), Existing::Replace)
            }
        };
        Ok((
            files::write_whole(&path, &encoded.bytes, existing)?,
            encoded.warnings,
        ))
    }
}
