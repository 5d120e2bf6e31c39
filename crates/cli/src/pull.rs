//! `imagegen pull`: a model from a Hugging Face hub into the user's own folder.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use imagegen::{Catalogue, ModelSource};
use imagegen_hub::{CURATED, ENDPOINT, Hub, Progress, Pull, Repository, curated};
use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::PullArguments;
use crate::report::say;
use crate::shown::shown;
use crate::{data, folders};

/// `imagegen pull`.
pub(crate) fn run(arguments: &PullArguments) -> Result<ExitCode> {
    let listed = curated(&arguments.what);
    let what = listed.map_or(arguments.what.as_str(), |listed| listed.repository);
    let repository: Repository = what.parse().with_context(|| {
        let names: Vec<_> = CURATED.iter().map(|listed| listed.name).collect();
        let names = names.join(", ");
        format!("model {:?} is not listed ({names})", arguments.what)
    })?;
    let own = match listed {
        Some(listed) => listed.name.to_owned(),
        None => match arguments
            .file
            .as_deref()
            .and_then(|file| Path::new(file).file_stem())
        {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => repository.own_name().to_owned(),
        },
    };
    let name = arguments.name.as_deref().unwrap_or(&own);
    let own_variant = listed.and_then(|listed| listed.variant);
    let variant = arguments.variant.as_deref().or(own_variant);
    let folder =
        folders::own().context("no data folder is known, expected one in XDG_DATA_HOME or HOME")?;
    data::make(&folder)?;
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let hub = Hub::new(&endpoint, set("HF_TOKEN"))?;
    if let Some(listed) = listed.filter(|_| !arguments.quiet) {
        say!(
            "{}: {}, {}",
            listed.repository,
            listed.licence,
            listed.terms.words()
        );
    }
    let pull = Pull {
        repository: &repository,
        variant,
        file: arguments.file.as_deref(),
        folder: &folder,
        name,
    };
    let mut shows = Shows::new(arguments.quiet);
    let done = pull.carry_out(&hub, &mut shows);
    shows.bar.finish_and_clear();
    let path = done?;
    if !arguments.quiet {
        let place = shown(&path.display().to_string());
        say!("pulled {} to {place}: {}", shown(name), kind(&path));
    }
    Ok(ExitCode::SUCCESS)
}

/// What it is that was pulled, and how it is named.
fn kind(path: &Path) -> String {
    let listing = Catalogue::of(&[path.parent().unwrap_or(path).to_owned()]).list();
    let is_it = |source: &ModelSource| match source {
        ModelSource::Folder(found) | ModelSource::File(found) => found == path,
        #[allow(
            unreachable_patterns,
            reason = "what is part of the program is not found in folders"
        )]
        _ => false,
    };
    if let Some(model) = listing.models.iter().find(|model| is_it(&model.source)) {
        return format!("{}; use it with --model {}", model.kind, shown(&model.name));
    }
    if let Some(vae) = listing.autoencoders.iter().find(|vae| vae.path == path) {
        return format!("an autoencoder; use it with --vae {}", shown(&vae.name));
    }
    let broken = listing.unusable.iter().find(|broken| broken.path == path);
    broken.map_or_else(
        || "it is no model that runs".to_owned(),
        |broken| format!("it does not run: {}", shown(&broken.why)),
    )
}

/// A bar where there is a terminal, else a line for each file.
struct Shows {
    bar: ProgressBar,
    quiet: bool,
}

impl Shows {
    fn new(quiet: bool) -> Self {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(0),
        };
        let style = ProgressStyle::with_template(
            "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }
}

impl Progress for Shows {
    fn begin(&mut self, bytes: u64, there: u64) {
        self.bar.set_length(bytes);
        self.bar.set_position(there);
    }

    fn file(&mut self, path: &str) {
        let path = shown(path);
        if self.bar.is_hidden() && !self.quiet {
            say!("pulling {path}");
        }
        self.bar.set_message(path);
    }

    fn came(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn lost(&mut self, bytes: u64) {
        self.bar.dec(bytes);
    }
}
