//! `imagegen models` and `imagegen info`: which models there are, and what one is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use imagegen::{FoundAutoencoder, FoundModel, Listing, ModelInfo, ModelSource, Unusable};
use imagegen_hub::CURATED;
use serde_json::{Value, json};

use crate::arguments::{InfoArguments, ModelName, ModelsArguments, ModelsCommand};
use crate::collection;
use crate::report;
use crate::shown::shown;

/// What runs, for people who look for a model.
const KINDS: &str = "Also run: Stable Diffusion 1 and 2, SDXL and its refiner, turbo and latent consistency models \
                     of\nthese, networks for inpainting and InstructPix2Pix, as a folder in the diffusers layout \
                     or as one\n.safetensors file, and folders whose latents are patches of pixels \
                     (latents.json). Name one\nwith --model.";

/// `imagegen models`.
pub(crate) fn run(arguments: &ModelsArguments) -> Result<ExitCode> {
    match &arguments.command {
        Some(ModelsCommand::Add { path, name, copy }) => {
            collection::add(path, name.as_deref(), *copy)
        }
        Some(ModelsCommand::Remove { name }) => collection::remove(name),
        None if arguments.available => available(arguments.json),
        None => list(arguments),
    }
}

/// Models that can be pulled by name.
fn available(json: bool) -> Result<ExitCode> {
    let text = match json {
        true => {
            let models = CURATED.iter().map(|model| {
                json!({
                    "name": model.name,
                    "repository": model.repository,
                    "variant": model.variant,
                    "family": model.family,
                    "licence": model.licence,
                    "terms": model.terms.words(),
                    "megabytes": model.megabytes,
                    "note": model.note,
                })
            });
            format!("{:#}", json!({"models": models.collect::<Vec<_>>()}))
        }
        false => {
            let lines = CURATED.iter().map(|model| {
                format!(
                    "{:20} {}, {} MB, {} ({}), {}\n{:20} {}",
                    model.name,
                    model.family,
                    model.megabytes,
                    model.licence,
                    model.terms.words(),
                    model.repository,
                    "",
                    model.note,
                )
            });
            let lines: Vec<_> = lines.collect();
            format!(
                "{}\n\nGet one with imagegen pull NAME. Licences are the authors' own: read them where the model is.",
                lines.join("\n")
            )
        }
    };
    report::show(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Models that are there.
fn list(arguments: &ModelsArguments) -> Result<ExitCode> {
    let infos = ModelSource::NAMES
        .iter()
        .map(|name| ModelInfo::read(name.parse::<ModelSource>()?));
    let infos: Vec<ModelInfo> = infos.collect::<Result<_, imagegen::Error>>()?;
    let listing = arguments.folders.catalogue().list();
    let folders = arguments.folders.all();
    let text = match arguments.json {
        true => {
            let models = infos.iter().map(document);
            let found = listing.models.iter().map(found_document);
            format!(
                "{:#}",
                json!({
                    "models": models.chain(found).collect::<Vec<_>>(),
                    "autoencoders": listing.autoencoders.iter().map(autoencoder_document).collect::<Vec<_>>(),
                    "unusable": listing.unusable.iter().map(unusable_document).collect::<Vec<_>>(),
                    "folders": folders.iter().map(|folder| folder.to_string_lossy()).collect::<Vec<_>>(),
                })
            )
        }
        false => words(&infos, &listing, &folders),
    };
    report::show(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What there is, for people.
fn words(infos: &[ModelInfo], listing: &Listing, folders: &[PathBuf]) -> String {
    let mut lines: Vec<_> = infos.iter().map(line).collect();
    lines.extend(listing.models.iter().map(found_line));
    if !listing.autoencoders.is_empty() {
        lines.push("\nAutoencoders, for --vae:".to_owned());
        lines.extend(listing.autoencoders.iter().map(|found| {
            let place = found.path.display().to_string();
            format!(
                "{}  {}, {}",
                shown(&found.name),
                size(found.bytes),
                shown(&place)
            )
        }));
    }
    if !listing.unusable.is_empty() {
        lines.push("\nNot usable:".to_owned());
        lines.extend(listing.unusable.iter().map(|found| {
            let place = found.path.display().to_string();
            format!("{}: {}", shown(&place), shown(&found.why))
        }));
    }
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| shown(&folder.display().to_string()))
        .collect();
    lines.push(format!("\nLooked into {}.", folders.join(", ")));
    format!("{}\n\n{KINDS}", lines.join("\n"))
}

fn found_line(found: &FoundModel) -> String {
    let bare = match found.has_autoencoder {
        true => "",
        false => " without autoencoder (name one with --vae)",
    };
    format!(
        "{}  {}{bare}, {}, {}",
        shown(&found.name),
        found.kind,
        size(found.bytes),
        shown(&found_place(found).display().to_string()),
    )
}

fn found_place(found: &FoundModel) -> &Path {
    match &found.source {
        ModelSource::Folder(path) | ModelSource::File(path) => path,
        #[allow(
            unreachable_patterns,
            reason = "what is part of the program is not found in folders"
        )]
        _ => Path::new(""),
    }
}

fn found_document(found: &FoundModel) -> Value {
    json!({
        "name": found.name,
        "kind": found.kind.to_string(),
        "bytes": found.bytes,
        "path": found_place(found).to_string_lossy(),
        "has_autoencoder": found.has_autoencoder,
    })
}

fn autoencoder_document(found: &FoundAutoencoder) -> Value {
    json!({"name": found.name, "bytes": found.bytes, "path": found.path.to_string_lossy()})
}

fn unusable_document(found: &Unusable) -> Value {
    json!({"path": found.path.to_string_lossy(), "why": found.why})
}

/// `imagegen info`.
pub(crate) fn info(arguments: &InfoArguments) -> Result<ExitCode> {
    let name = arguments.named.as_ref().unwrap_or(&arguments.model.model);
    let ModelName { over, folders, .. } = &arguments.model;
    let info = ModelInfo::read(over.on(name, folders)?)?;
    let text = match arguments.json {
        true => format!("{:#}", document(&info)),
        false => table(&info),
    };
    report::show(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn place(info: &ModelInfo) -> String {
    match &info.folder {
        Some(folder) => shown(&folder.display().to_string()),
        None => "in this program".to_owned(),
    }
}

fn parameters(info: &ModelInfo) -> u64 {
    info.networks.iter().map(|network| network.parameters).sum()
}

fn bytes(info: &ModelInfo) -> u64 {
    info.files.iter().map(|(_, bytes)| bytes).sum()
}

fn line(info: &ModelInfo) -> String {
    format!(
        "{}  {}, {} parameters, {}, up to {side}x{side}, {}",
        shown(&info.name),
        info.kind,
        scaled(parameters(info), 1000, ["", " k", " M", " G"]),
        size(bytes(info)),
        place(info),
        side = info.native_side,
    )
}

/// Every fact on a line of its own.
fn table(info: &ModelInfo) -> String {
    let (schedule, defaults, memory) = (&info.schedule, &info.defaults, info.memory);
    let mut rows = vec![
        ("name", shown(&info.name)),
        ("kind", info.kind.to_string()),
        ("place", place(info)),
        ("sha256", info.sha256.clone().unwrap_or_default()),
    ];
    if let Some(vae) = &info.vae {
        let (name, hash) = (shown(&vae.name), &vae.sha256);
        rows.push(("autoencoder", format!("{name}, sha256 {hash}")));
    }
    for network in &info.networks {
        rows.push((
            network.name,
            format!("{} parameters", grouped(network.parameters)),
        ));
    }
    let mut betas = format!("{} betas", schedule.beta_schedule);
    if schedule.beta_schedule != "trained" {
        betas += &format!(" {} to {}", schedule.beta_start, schedule.beta_end);
    }
    let zero = if schedule.zero_terminal_snr {
        ", zero terminal signal"
    } else {
        ""
    };
    rows.extend([
        (
            "prediction type",
            match info.prediction {
                None => schedule.prediction_type.to_owned(),
                Some(forced) => format!("{} (decided by --prediction)", forced.name()),
            },
        ),
        (
            "schedule",
            format!(
                "{betas}, {} training timesteps, {} spacing{zero}",
                schedule.train_timesteps, schedule.timestep_spacing
            ),
        ),
        (
            "defaults",
            format!(
                "{} steps, guidance {}, strength {}, sampler {}",
                defaults.steps,
                defaults.guidance_scale,
                defaults.strength,
                defaults.sampler.name()
            ),
        ),
        (
            "native size",
            format!(
                "up to {} pixels ({side}x{side}), sides on a grid of {}",
                grouped(info.native_pixels),
                info.grid,
                side = info.native_side,
            ),
        ),
        ("prompt", format!("{} tokens", info.prompt_tokens)),
        (
            "memory",
            format!(
                "about {} at the native size ({} of weights, {} made of them, {} of files, {} for the \
                 run)",
                size(memory.total()),
                size(memory.weights),
                size(memory.transformed),
                size(memory.files),
                size(memory.run)
            ),
        ),
        ("files", size(bytes(info))),
    ]);
    if !info.styles.is_empty() {
        rows.push(("styles", info.styles.join(", ")));
    }
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(key, value)| format!("{key:16} {value}"))
        .collect();
    lines.extend(
        info.files
            .iter()
            .map(|(file, bytes)| format!("  {:>9}  {file}", size(*bytes))),
    );
    lines.join("\n")
}

fn document(info: &ModelInfo) -> Value {
    let (schedule, defaults, memory) = (&info.schedule, &info.defaults, info.memory);
    let networks: Vec<_> = info
        .networks
        .iter()
        .map(|network| json!({"name": network.name, "parameters": network.parameters}))
        .collect();
    let files: Vec<_> = info
        .files
        .iter()
        .map(|(file, bytes)| json!({"path": file, "bytes": bytes}))
        .collect();
    json!({
        "name": info.name,
        "kind": info.kind.to_string(),
        "bytes": bytes(info),
        "folder": info.folder.as_ref().map(|folder| folder.to_string_lossy()),
        "sha256": info.sha256,
        "files": files,
        "networks": networks,
        "vae": info.vae.as_ref().map(|vae| json!({"name": vae.name, "sha256": vae.sha256})),
        "prediction_type": schedule.prediction_type,
        "prediction_is_forced": info.prediction.is_some(),
        "schedule": {
            "beta_schedule": schedule.beta_schedule,
            "beta_start": schedule.beta_start,
            "beta_end": schedule.beta_end,
            "train_timesteps": schedule.train_timesteps,
            "timestep_spacing": schedule.timestep_spacing,
            "zero_terminal_snr": schedule.zero_terminal_snr,
        },
        "defaults": {
            "steps": defaults.steps,
            "guidance_scale": defaults.guidance_scale,
            "strength": defaults.strength,
            "sampler": defaults.sampler.name(),
        },
        "native_size": {
            "pixels": info.native_pixels,
            "side": info.native_side,
            "grid": info.grid,
        },
        "prompt_tokens": info.prompt_tokens,
        "styles": info.styles,
        "memory_bytes": {
            "weights": memory.weights,
            "transformed": memory.transformed,
            "files": memory.files,
            "run": memory.run,
            "total": memory.total(),
        },
    })
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A size in the unit that suits it.
fn size(bytes: u64) -> String {
    scaled(bytes, 1024, [" B", " KiB", " MiB", " GiB"])
}

fn scaled(number: u64, base: u64, units: [&str; 4]) -> String {
    let mut value = number as f64;
    let mut unit = 0;
    while value >= base as f64 && unit + 1 < units.len() {
        value /= base as f64;
        unit += 1;
    }
    let digits = if unit > 0 && value < 100.0 { 1 } else { 0 };
    format!("{value:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(262_144), "262 144");
        assert_eq!(grouped(1_000_000), "1 000 000");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(300 << 20), "300 MiB");
        assert_eq!(size(5000 << 30), "5000 GiB");
    }
}
