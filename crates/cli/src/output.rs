//! Where results go: decided and checked before the first run.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use imagegen::files::{self, Existing, NAME_BYTES};
use imagegen::{Format, Outcome, Recipe};
use imagegen_picture::EncodeWarning;

use crate::arguments::Target;
use crate::report::{self, Usage};

/// What is typed for standard input and standard output.
pub(crate) const STANDARD: &str = "-";

/// Where the results of one command go.
pub(crate) enum Output {
    /// Named after source, prompt and seed, overwriting nothing.
    Named { folder: PathBuf, format: Format },
    /// The one file that was asked for, or several beside it.
    File { path: PathBuf, format: Format },
    /// Standard output, for one result.
    Standard { format: Format },
}

/// What a command makes its results of, how many, and what else it prints.
#[derive(Clone, Copy)]
pub(crate) struct Amount<'a> {
    /// Files that are read; none for text-to-image.
    pub(crate) sources: &'a [PathBuf],
    pub(crate) results: usize,
    /// Whether stdout is taken by a JSON document.
    pub(crate) json: bool,
}

impl Output {
    /// Decides where results go.
    ///
    /// Fails where one file is named for several sources, where it is itself a source, where its extension is
    /// none we write or another format than the one typed, where its folder does not exist or no file can be
    /// made in it, and where standard output would get more than one picture. A folder that is still to be
    /// made is made by [`Self::open`].
    pub(crate) fn plan(target: &Target, amount: Amount<'_>) -> Result<Self> {
        let format = target.format.map(Format::from);
        let named = |folder: &Path| {
            let format = format.unwrap_or_default();
            files::check_folder(folder)?;
            Ok(Self::Named {
                folder: folder.to_owned(),
                format,
            })
        };
        let Some(path) = &target.output else {
            return named(Path::new(""));
        };
        if path.as_os_str() == STANDARD {
            return standard(format.unwrap_or_default(), amount);
        }
        if path.is_dir() {
            return named(path);
        }
        let as_folder = path
            .as_os_str()
            .to_string_lossy()
            .ends_with(std::path::MAIN_SEPARATOR);
        if as_folder {
            return Ok(Self::Named {
                folder: new_folder(path)?,
                format: format.unwrap_or_default(),
            });
        }
        if amount.sources.len() > 1 {
            bail!(
                "-o names the file {}, expected a folder for the results of {} sources",
                path.display(),
                amount.sources.len()
            );
        }
        let taken = |source: &PathBuf| takes_the_place(path, source);
        if amount.sources.iter().any(taken) {
            bail!(
                "-o names the source {}, expected another name: the source is never replaced",
                path.display()
            );
        }
        file(path, target)
    }

    /// Makes the folder that results go to where it does not exist yet. Called when it is known that there
    /// is work to do.
    pub(crate) fn open(&self) -> Result<()> {
        match self {
            Self::Named { folder, .. } if !folder.as_os_str().is_empty() => {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make the folder {}", folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// The format results are written in.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Named { format, .. } | Self::File { format, .. } | Self::Standard { format } => {
                *format
            }
        }
    }

    /// Path of one of several results that belong together: the asked for file's, or the one named after
    /// the recipe, with `tail` behind its stem. `None` for standard output.
    pub(crate) fn member(&self, recipe: &Recipe, tail: &str) -> Option<(PathBuf, Existing)> {
        match self {
            Self::Named { folder, format } => {
                let source = recipe.source.as_ref().map(|source| source.name.as_str());
                let extension = format.extension();
                let name =
                    files::default_name(source, &recipe.prompt, recipe.row_seed(), extension);
                Some((
                    files::beside(&folder.join(name), tail, None),
                    Existing::Keep,
                ))
            }
            Self::File { path, .. } => Some((files::beside(path, tail, None), Existing::Replace)),
            Self::Standard { .. } => None,
        }
    }

    /// Fails where the result would take the place of a file that is read, named as `what`.
    pub(crate) fn spare(&self, path: &Path, what: &str) -> Result<()> {
        match self {
            Self::File { path: result, .. } if takes_the_place(result, path) => bail!(
                "-o names the {what} {}, expected another name: it is never replaced",
                result.display()
            ),
            _ => Ok(()),
        }
    }

    /// Path of a result that has no recipe: the asked for file's, or `stem` in the folder.
    pub(crate) fn named(&self, stem: &str) -> Option<(PathBuf, Existing)> {
        match self {
            Self::Named { folder, format } => {
                let name = files::cut_name(stem, &format!(".{}", format.extension()));
                Some((folder.join(name), Existing::Keep))
            }
            Self::File { path, .. } => Some((path.clone(), Existing::Replace)),
            Self::Standard { .. } => None,
        }
    }

    /// Path of one of `several` results: with its seed where names could not be told apart otherwise.
    pub(crate) fn result(&self, recipe: &Recipe, several: bool) -> Option<(PathBuf, Existing)> {
        let numbered = several && matches!(self, Self::File { .. });
        let tail = if numbered {
            format!("-{}", recipe.row_seed())
        } else {
            String::new()
        };
        self.member(recipe, &tail)
    }

    /// Writes a result to `place`, or to standard output where there is none. Gives what was written, by
    /// its path, and what was lost in writing.
    pub(crate) fn write(
        &self,
        outcome: &Outcome,
        place: Option<(PathBuf, Existing)>,
    ) -> Result<(PathBuf, Vec<EncodeWarning>)> {
        let encoded = outcome.encode(self.format())?;
        let path = self.write_bytes(&encoded.bytes, place)?;
        Ok((path, encoded.warnings))
    }

    /// Writes a file to `place`, or to standard output where there is none. Gives its path.
    pub(crate) fn write_bytes(
        &self,
        bytes: &[u8],
        place: Option<(PathBuf, Existing)>,
    ) -> Result<PathBuf> {
        match place {
            Some((path, existing)) => Ok(files::write_whole(&path, bytes, existing)?),
            None => {
                report::print_bytes(bytes)?;
                Ok(PathBuf::from(STANDARD))
            }
        }
    }
}

/// `path`, once it is known that the folder can be made.
fn new_folder(path: &Path) -> Result<PathBuf> {
    let named: PathBuf = path.components().collect(); // no separator behind the name of a file
    let standing = named
        .ancestors()
        .filter(|above| !above.as_os_str().is_empty())
        .find(|above| above.exists());
    let standing = standing.unwrap_or(Path::new(""));
    if !standing.as_os_str().is_empty() && !standing.is_dir() {
        bail!(
            "cannot make the folder {}: {} is a file",
            path.display(),
            standing.display()
        );
    }
    files::check_folder(standing)
        .with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(path.to_owned())
}

/// Whether a result named `result` would take the place of `source`, or of the link that leads to it. A
/// link elsewhere is replaced itself, and the file it leads to stays.
fn takes_the_place(result: &Path, source: &Path) -> bool {
    let place = |path: &Path| {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    let result = place(result);
    result.is_some() && (result == place(source) || result == source.canonicalize().ok())
}

fn standard(format: Format, amount: Amount<'_>) -> Result<Output> {
    let fault = if amount.json {
        "-o - and --json both write to standard output"
    } else if amount.sources.len() > 1 || amount.results > 1 {
        "-o - takes one picture, expected a folder or file for several"
    } else if std::io::stdout().is_terminal() {
        "-o - would write a picture to the terminal, expected a pipe or a file"
    } else {
        return Ok(Output::Standard { format });
    };
    Err(Usage(fault.to_owned()).into())
}

fn file(path: &Path, target: &Target) -> Result<Output> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let format = Format::from_extension(&extension)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let typed = target
        .format
        .filter(|_| target.format_typed)
        .map(Format::from);
    if let Some(typed) = typed.filter(|typed| *typed != format) {
        let (typed, path) = (typed.extension(), path.display());
        let fault = format!("--format asks for {typed}, the name {path} for {extension}");
        return Err(Usage(fault).into());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        bail!(
            "cannot write {}: {} is no folder",
            path.display(),
            folder.display()
        );
    }
    files::check_folder(folder).map_err(|error| match error {
        imagegen::Error::Write { source, .. } => imagegen::Error::Write {
            path: path.to_owned(),
            source,
        },
        other => other,
    })?;
    Ok(Output::File {
        path: fitted(path),
        format,
    })
}

/// The path with a name that file systems take; a cut is said.
fn fitted(path: &Path) -> PathBuf {
    let length = path
        .file_name()
        .map_or(0, |name| name.as_encoded_bytes().len());
    if length <= NAME_BYTES {
        return path.to_owned();
    }
    let fault = format!("the file name has {length} bytes and is cut to {NAME_BYTES}");
    report::warning(None, fault);
    files::beside(path, "", None)
}
