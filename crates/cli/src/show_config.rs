//! `imagegen config`: the defaults that hold, and where each comes from.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use imagegen::Defaults;
use serde_json::{Value, json};

use crate::arguments::{ADDRESS, ConfigArguments, LIST, ModelFolders, Overrides, default_model};
use crate::config::{ConfigFile, SETTINGS, Setting};
use crate::report;
use crate::{data, folders};

/// A default and its origin.
struct Row {
    key: &'static str,
    value: String,
    from: String,
}

pub(crate) fn run(arguments: &ConfigArguments, file: &ConfigFile) -> Result<ExitCode> {
    let mut rows: Vec<Row> = SETTINGS
        .iter()
        .map(|setting| stated(setting, file))
        .collect();
    let value = |key| {
        let row = rows
            .iter()
            .find(|row| row.key == key && !row.from.is_empty());
        row.map(|row| row.value.clone())
    };
    let model = value("model").expect("the model is a setting");
    let folders = ModelFolders {
        models_dir: value("models-dir")
            .unwrap_or_default()
            .split(LIST)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .collect(),
    };
    let over = Overrides {
        vae: value("vae").map(PathBuf::from),
        prediction: value("prediction").map(|kind| kind.parse()).transpose()?,
    };
    let defaults = Defaults::read(over.on(&model, &folders)?)?;
    for row in rows.iter_mut().filter(|row| row.from.is_empty()) {
        (row.value, row.from) = fallback(row.key, &defaults, &model);
    }
    let text = match arguments.json {
        true => format!("{:#}", document(&rows, file)),
        false => table(&rows, file),
    };
    report::show(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What environment or file say; no origin where neither says anything.
fn stated(setting: &Setting, file: &ConfigFile) -> Row {
    let variable = setting.variable();
    let entry = file.entry(setting.key);
    let (value, from) = match (std::env::var(&variable), entry) {
        (Ok(value), _) => (value, format!("variable {variable}")),
        (Err(_), Some(entry)) => {
            let path = file.path.as_deref().unwrap_or("".as_ref());
            (
                entry.value.clone(),
                format!("{} line {}", path.display(), entry.line),
            )
        }
        (Err(_), None) if setting.key == "model" => {
            (default_model().to_owned(), "built in".to_owned())
        }
        (Err(_), None) => (String::new(), String::new()),
    };
    Row {
        key: setting.key,
        value,
        from,
    }
}

/// What holds where nobody says anything.
fn fallback(key: &str, defaults: &Defaults, model: &str) -> (String, String) {
    let own = match key {
        "strength" => Some(defaults.strength.to_string()),
        "steps" => Some(defaults.steps.to_string()),
        "guidance" => Some(defaults.guidance_scale.to_string()),
        "sampler" => Some(defaults.sampler.name().to_owned()),
        "schedule" => Some(defaults.schedule.name().to_owned()),
        _ => None,
    };
    if let Some(value) = own {
        return (value, format!("model {model}"));
    }
    let value = match key {
        "address" => ADDRESS,
        "data" => return (in_words(data::users_own()), "built in".to_owned()),
        "models-dir" => return (in_words(folders::own()), "built in".to_owned()),
        "strength-rule" => "share",
        "prompt-mode" => "a1111",
        "clip-skip" => "1",
        "noise" => "cpu",
        "precision" => "f32",
        "vae" => "the model's own",
        "prediction" => "as the model's files say",
        "eta" => "the sampler's own",
        "guidance-rescale" => "0",
        "guidance-until" => "1",
        "cache-interval" => "1",
        "token-merging" => "0",
        "image-guidance" => "the model's own",
        "colours" => "kept, or as the strength rule has it",
        "loras-dir" | "embeddings-dir" => "none",
        "wash" => "on",
        "tiles" => "off",
        "vae-tiling" => "auto",
        "fit" => "keep",
        "format" => "png",
        "threads" => "all cores",
        "memory" => "what is free",
        "cpu" => "the best this CPU has",
        _ => "",
    };
    (value.to_owned(), "built in".to_owned())
}

/// A folder, where one is known.
fn in_words(folder: Option<PathBuf>) -> String {
    folder.map_or_else(String::new, |path| path.display().to_string())
}

fn table(rows: &[Row], file: &ConfigFile) -> String {
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (key, value) = (
        width(|row| row.key.len()),
        width(|row| row.value.chars().count()),
    );
    let mut text = match (&file.path, file.found) {
        (Some(path), true) => format!("file {}\n\n", path.display()),
        (Some(path), false) => format!("file {} (not there)\n\n", path.display()),
        (None, _) => "no file\n\n".to_owned(),
    };
    for row in rows {
        text += &format!("{:key$}  {:value$}  {}\n", row.key, row.value, row.from);
    }
    text.trim_end().to_owned()
}

fn document(rows: &[Row], file: &ConfigFile) -> Value {
    let settings: serde_json::Map<String, Value> = rows
        .iter()
        .map(|row| {
            (
                row.key.to_owned(),
                json!({"value": row.value, "from": row.from}),
            )
        })
        .collect();
    json!({
        "file": file.path.as_ref().map(|path| path.to_string_lossy()),
        "found": file.found,
        "settings": settings,
    })
}
