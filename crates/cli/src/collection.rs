//! `imagegen models add` and `remove`: the user's own models.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use imagegen::{ModelInfo, ModelSource};

use crate::report::{Usage, say};
use crate::shown::shown;
use crate::{data, folders};

/// Folder of what has been begun, which nobody takes for a model.
const UNFINISHED: &str = ".unfinished";

/// `imagegen models add`: checks that the model runs, then links it, or copies what is read of it.
pub(crate) fn add(path: &Path, name: Option<&str>, copy: bool) -> Result<ExitCode> {
    let source = match path.is_dir() {
        true => ModelSource::Folder(path.to_owned()),
        false => ModelSource::File(path.to_owned()),
    };
    if !path.exists() {
        bail!("cannot read {}: there is nothing", path.display());
    }
    let info = ModelInfo::read(&source)?;
    let name = name.unwrap_or(&info.name);
    if let Err(fault) = crate::arguments::model_name(name) {
        return Err(Usage(format!("{fault}; name it with --name")).into());
    }
    let own = own_folder()?;
    data::make(&own)?;
    if let Some(taken) = places(&own, name)
        .into_iter()
        .find(|place| place.symlink_metadata().is_ok())
    {
        bail!(
            "{} is there already, expected a name that is free (--name) or that it is removed first",
            taken.display()
        );
    }
    let from =
        std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
    let put: fn(&Path, &Path) -> Result<()> = match copy {
        true => copied,
        false => linked,
    };
    match &source {
        ModelSource::Folder(_) if copy => copied_folder(&from, &info, &own, name)?,
        ModelSource::Folder(_) => put(&from, &own.join(name))?,
        _ => {
            // The autoencoder first: the model appears when all of it is there.
            let beside = from.with_extension("vae.safetensors");
            if info.files.iter().any(|(file, _)| {
                Path::new(file) == Path::new(beside.file_name().unwrap_or_default())
            }) {
                put(&beside, &own.join(format!("{name}.vae.safetensors")))?;
            }
            put(&from, &own.join(format!("{name}.safetensors")))?;
        }
    }
    let how = if copy { "copied" } else { "linked" };
    say!(
        "{how} {} as {}: {}",
        shown(&from.display().to_string()),
        shown(name),
        info.kind
    );
    Ok(ExitCode::SUCCESS)
}

/// `imagegen models remove`: a model in the user's own folder, with the autoencoder beside it; of a link the link alone.
///
/// Fails where no model there has this name, whatever else does, and where the model lies in a folder that is linked.
pub(crate) fn remove(name: &str) -> Result<ExitCode> {
    let own = own_folder()?;
    let model = match dangling(&own, name) {
        Some(link) => link,
        None => model_of_own(&own, name)?,
    };
    let failed = || format!("cannot remove {}", model.display());
    if model.symlink_metadata().with_context(failed)?.is_dir() {
        // Its name goes at once, its files when there is time.
        let aside = unfinished(&own)?;
        fs::rename(&model, aside.path().join("gone")).with_context(failed)?;
    } else {
        let ending = model
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
        let is_file = ending && !model.is_dir();
        unlink(&model).with_context(failed)?;
        let beside = model.with_extension("vae.safetensors");
        if is_file && beside.symlink_metadata().is_ok() {
            unlink(&beside).with_context(|| format!("cannot remove {}", beside.display()))?;
        }
    }
    say!("removed {}", shown(name));
    Ok(ExitCode::SUCCESS)
}

/// The link that `add` made for a model which is gone since; nobody finds a model in it.
fn dangling(own: &Path, name: &str) -> Option<PathBuf> {
    crate::arguments::model_name(name).ok()?;
    let [folder, file, _] = places(own, name);
    let is_dangling = |place: &PathBuf| place.is_symlink() && !place.exists();
    [folder, file].into_iter().find(is_dangling)
}

/// Where the user's own model of this name is.
fn model_of_own(own: &Path, name: &str) -> Result<PathBuf> {
    let catalogue = imagegen::Catalogue::of(&[own.to_owned()]);
    // As words: what helps where a model is to run does not help here.
    let place = catalogue
        .place(name)
        .map_err(|error| anyhow!("cannot remove a model from {}: {error}", own.display()))?
        .to_owned();
    // What is inside a linked folder is somebody else's.
    let linked = place
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != own)
        .find(|folder| folder.is_symlink());
    if let Some(folder) = linked {
        bail!(
            "model {name:?} is in {}, which is a link, expected a model in {} itself",
            folder.display(),
            own.display()
        );
    }
    Ok(place)
}

fn own_folder() -> Result<PathBuf> {
    folders::own().context("no data folder is known, expected one in XDG_DATA_HOME or HOME")
}

/// Where a model of this name may be, what it is read by first.
fn places(own: &Path, name: &str) -> [PathBuf; 3] {
    [
        own.join(name),
        own.join(format!("{name}.safetensors")),
        own.join(format!("{name}.vae.safetensors")),
    ]
}

/// A folder for what is not whole, gone when it is dropped.
fn unfinished(own: &Path) -> Result<tempfile::TempDir> {
    let folder = own.join(UNFINISHED);
    let made = fs::create_dir_all(&folder).and_then(|()| tempfile::tempdir_in(&folder));
    made.with_context(|| format!("cannot write {}", folder.display()))
}

/// Copies a file, which has its name when it is whole.
fn copied(from: &Path, to: &Path) -> Result<()> {
    let stage = unfinished(to.parent().unwrap_or(to))?;
    let copy = stage.path().join("copy");
    let done = fs::copy(from, &copy).and_then(|_| fs::rename(&copy, to));
    done.with_context(|| format!("cannot write {}", to.display()))
}

/// Copies what is read of a folder.
fn copied_folder(from: &Path, info: &ModelInfo, own: &Path, name: &str) -> Result<()> {
    let stage = unfinished(own)?;
    let inner = stage.path().join("copy");
    for (file, _) in &info.files {
        let to = inner.join(file);
        let made = fs::create_dir_all(to.parent().unwrap_or(&inner));
        let done = made.and_then(|()| fs::copy(from.join(file), &to));
        done.with_context(|| format!("cannot write {}", to.display()))?;
    }
    let to = own.join(name);
    fs::rename(&inner, &to).with_context(|| format!("cannot write {}", to.display()))
}

fn linked(from: &Path, to: &Path) -> Result<()> {
    link(from, to)
        .with_context(|| format!("cannot link {} (--copy copies it instead)", to.display()))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match from.is_dir() {
        true => std::os::windows::fs::symlink_dir(from, to),
        false => std::os::windows::fs::symlink_file(from, to),
    }
}

/// Removes a file, or a link to a file or folder.
fn unlink(path: &Path) -> io::Result<()> {
    let first = fs::remove_file(path);
    // Windows tells links to folders apart.
    if first.is_err() && cfg!(windows) {
        return fs::remove_dir(path);
    }
    first
}
