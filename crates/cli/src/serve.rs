//! `imagegen serve`: the page and the service behind it.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{ModelChoice, ModelFolders};
use imagegen_server::{Config, JobLimits, Offer, Offered};
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::ServeArguments;
use crate::data;
use crate::report::{self, Usage, say};
use crate::session::cpu;
use crate::shown::shown;

/// `imagegen serve`.
pub(crate) fn run(arguments: &ServeArguments) -> Result<ExitCode> {
    log(arguments.quiet);
    let folder = data::folder(&arguments.data)?;
    data::make(&folder)?;
    let folders = ModelFolders::new(arguments.folders.all());
    let count = found(&folders);
    let models = Offered {
        named: models(arguments)?,
        folders: Some(folders),
    };
    let offer = Offer {
        models,
        shelves: arguments.shelves.open()?,
    };
    let mut config = Config::new(arguments.address, folder);
    config.hosts.clone_from(&arguments.hosts);
    config.origins.clone_from(&arguments.origins);
    config.limits.picture_bytes = arguments.picture_limit << 20;
    config.log_prompts = arguments.log_prompts;
    imagegen_server::check(&config)?;
    let jobs =
        imagegen_server::open_jobs(&config, limits(arguments), cpu(&arguments.compute), offer)?;
    let (open, names) = (arguments.open, arguments.models.join(", "));
    let folder = shown(&config.data.display().to_string());
    imagegen_server::serve(config, jobs, |address| {
        let page = format!("http://{address}/");
        let more = match count {
            0 => String::new(),
            count => format!(" and {count} found in folders"),
        };
        say!(
            "serving {page} (model {}{more}, data in {folder})",
            shown(&names)
        );
        if open && let Err(error) = open::that_detached(&page) {
            report::warning(None, format_args!("cannot open a browser: {error}"));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// How many models lie in folders. Those without an autoencoder would need one named.
fn found(folders: &ModelFolders) -> usize {
    let listing = folders.list();
    for broken in &listing.unusable {
        let (path, why) = (broken.path.display().to_string(), &broken.why);
        report::warning(Some(&path), format_args!("it is not offered: {why}"));
    }
    let models = listing.models.iter();
    models.filter(|found| found.has_autoencoder).count()
}

/// The models that were named.
///
/// Fails where there is none of a name, and where settings of one model would hold for several.
fn models(arguments: &ServeArguments) -> Result<Vec<ModelChoice>> {
    let over = &arguments.over;
    let count = arguments.models.len();
    if count > 1 && (over.vae().is_some() || over.prediction.is_some()) {
        let fault = format!("--vae and --prediction are for one --model, {count} are named");
        return Err(Usage(fault).into());
    }
    let choices = arguments
        .models
        .iter()
        .map(|name| Ok(over.on(name, &arguments.folders)?));
    choices.collect()
}

fn limits(arguments: &ServeArguments) -> JobLimits {
    let mebibytes = |count: u32| u64::from(count) << 20;
    let some = |count: u32| (count > 0).then_some(count);
    JobLimits {
        queued: arguments.queue as usize,
        per_owner: arguments.jobs_per_key as usize,
        keep_days: some(arguments.keep_days),
        keep_bytes: some(arguments.keep_size).map(mebibytes),
        memory: mebibytes(arguments.model_memory),
        room: arguments.compute.room(),
        ..JobLimits::default()
    }
}

/// Sends what the service says of itself to stderr.
fn log(quiet: bool) {
    let level = match quiet {
        true => LevelFilter::WARN,
        false => LevelFilter::INFO,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .init();
}
