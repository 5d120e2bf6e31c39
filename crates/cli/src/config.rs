//! Defaults beneath the options: a TOML file and environment variables.
//!
//! What is typed wins over the environment, that over the file, that over the model's own default. A key
//! has the name of its option, and a value is what the option would take: both are checked here, with
//! file, line and key in the message, before anything is done.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::Command;
use clap::error::{ContextKind, ContextValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a value in the file must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

/// An option that may have a default in the file and the environment.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its long option, which is its key in the file.
    pub(crate) key: &'static str,
    kind: Kind,
}

impl Setting {
    /// The variable that holds its default.
    pub(crate) fn variable(&self) -> String {
        format!("IMAGEGEN_{}", self.key.replace('-', "_").to_uppercase())
    }

    /// Its name in the table of arguments.
    fn id(&self) -> String {
        self.key.replace('-', "_")
    }

    /// Checks `text` as if it had been typed. Fails with what is wrong about it.
    fn check(&self, table: &Command, text: &OsStr) -> Result<(), String> {
        let id = self.id();
        let mut commands = table.get_subcommands();
        let option =
            commands.find_map(|command| command.get_arguments().find(|arg| *arg.get_id() == *id));
        let option = option
            .expect("every setting is an option of some command")
            .clone();
        let alone = Command::new("setting")
            .no_binary_name(true)
            .arg(option.env(None::<&str>));
        let mut word = OsString::from(format!("--{}=", self.key));
        word.push(text);
        alone
            .try_get_matches_from([word])
            .map(drop)
            .map_err(|error| fault(&error))
    }
}

/// What a parser says about a value, without the option's name.
fn fault(error: &clap::Error) -> String {
    if let Some(cause) = std::error::Error::source(error) {
        return cause.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("expected {}", values.join(", ")),
        _ => "expected another value".to_owned(),
    }
}

/// Every setting, in the order that `imagegen config` shows.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "model",
        kind: Kind::Text,
    },
    Setting {
        key: "models-dir",
        kind: Kind::Text,
    },
    Setting {
        key: "vae",
        kind: Kind::Text,
    },
    Setting {
        key: "prediction",
        kind: Kind::Text,
    },
    Setting {
        key: "strength",
        kind: Kind::Number,
    },
    Setting {
        key: "strength-rule",
        kind: Kind::Text,
    },
    Setting {
        key: "steps",
        kind: Kind::Number,
    },
    Setting {
        key: "guidance",
        kind: Kind::Number,
    },
    Setting {
        key: "sampler",
        kind: Kind::Text,
    },
    Setting {
        key: "prompt-mode",
        kind: Kind::Text,
    },
    Setting {
        key: "schedule",
        kind: Kind::Text,
    },
    Setting {
        key: "eta",
        kind: Kind::Number,
    },
    Setting {
        key: "guidance-rescale",
        kind: Kind::Number,
    },
    Setting {
        key: "guidance-until",
        kind: Kind::Number,
    },
    Setting {
        key: "cache-interval",
        kind: Kind::Number,
    },
    Setting {
        key: "token-merging",
        kind: Kind::Number,
    },
    Setting {
        key: "image-guidance",
        kind: Kind::Number,
    },
    Setting {
        key: "colours",
        kind: Kind::Text,
    },
    Setting {
        key: "clip-skip",
        kind: Kind::Number,
    },
    Setting {
        key: "noise",
        kind: Kind::Text,
    },
    Setting {
        key: "precision",
        kind: Kind::Text,
    },
    Setting {
        key: "wash",
        kind: Kind::Text,
    },
    Setting {
        key: "tiles",
        kind: Kind::Text,
    },
    Setting {
        key: "vae-tiling",
        kind: Kind::Text,
    },
    Setting {
        key: "negative",
        kind: Kind::Text,
    },
    Setting {
        key: "fit",
        kind: Kind::Text,
    },
    Setting {
        key: "format",
        kind: Kind::Text,
    },
    Setting {
        key: "loras-dir",
        kind: Kind::Text,
    },
    Setting {
        key: "embeddings-dir",
        kind: Kind::Text,
    },
    Setting {
        key: "threads",
        kind: Kind::Number,
    },
    Setting {
        key: "cpu",
        kind: Kind::Text,
    },
    Setting {
        key: "memory",
        kind: Kind::Number,
    },
    Setting {
        key: "address",
        kind: Kind::Text,
    },
    Setting {
        key: "data",
        kind: Kind::Text,
    },
];

/// Fails unless every variable of ours holds what its option would take. One that is none of ours but is
/// named like it is warned about: it may be misspelt.
pub(crate) fn check_environment(table: &Command) -> Result<()> {
    for setting in SETTINGS {
        let name = setting.variable();
        if let Some(value) = std::env::var_os(&name) {
            let checked = setting.check(table, &value);
            checked.map_err(|fault| anyhow!("variable {name} is {value:?}: {fault}"))?;
        }
    }
    let known = |name: &str| {
        name == "IMAGEGEN_CONFIG" || SETTINGS.iter().any(|setting| setting.variable() == name)
    };
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("IMAGEGEN_") && !known(&name) {
            crate::report::warning(
                None,
                format_args!("variable {name} is not known and not used"),
            );
        }
    }
    Ok(())
}

/// One value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// The configuration file, checked.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// Where it is or would be; `None` where no place is known.
    pub(crate) path: Option<PathBuf>,
    /// Whether it is there.
    pub(crate) found: bool,
    pub(crate) entries: Vec<Entry>,
}

/// Why a file cannot be used, and where.
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.path.display(), self.line)
    }
}

impl ConfigFile {
    /// Reads the file that was `asked` for, or the user's own where there is one.
    ///
    /// Fails where the one asked for cannot be read and where it holds an unknown key or a value that the
    /// option of that name would not take.
    pub(crate) fn load(asked: Option<&OsString>, table: &Command) -> Result<Self> {
        if asked.is_some_and(|path| path.is_empty()) {
            return Ok(Self::default());
        }
        let Some(path) = asked.map(PathBuf::from).or_else(users_own) else {
            return Ok(Self::default());
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path: Some(path),
                    ..Self::default()
                });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let entries = entries(&path, &text, table)?;
        Ok(Self {
            path: Some(path),
            found: true,
            entries,
        })
    }

    /// The file's value of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// `table` with the file's values as defaults of its options.
    pub(crate) fn lay_under(&self, table: Command) -> Command {
        let entries = &self.entries;
        table.mut_subcommands(|mut command| {
            for entry in entries {
                let id = entry.key.replace('-', "_");
                if command
                    .get_arguments()
                    .any(|argument| *argument.get_id() == *id)
                {
                    let value = entry.value.clone();
                    command = command.mut_arg(id, |argument| argument.default_value(value));
                }
            }
            command
        })
    }
}

/// The user's configuration file, whether it is there or not.
fn users_own() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = if cfg!(windows) {
        folder("APPDATA")
    } else if cfg!(target_os = "macos") {
        let home = || Some(folder("HOME")?.join("Library/Application Support"));
        folder("XDG_CONFIG_HOME").or_else(home)
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
    };
    Some(base?.join("imagegen").join("config.toml"))
}

fn entries(path: &Path, text: &str, table: &Command) -> Result<Vec<Entry>> {
    let place = |at: usize| Place {
        path,
        line: text[..at.min(text.len())].matches('\n').count() + 1,
    };
    let parsed = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        anyhow!("{}: {}", place(at), error.message().replace('\n', ", "))
    })?;
    let mut entries = Vec::new();
    for (key, value) in parsed.get_ref() {
        let place = place(key.span().start);
        let key: &str = key.get_ref();
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
            bail!(
                "{place}: key \"{key}\" is not known, expected one of {}",
                known.join(", ")
            );
        };
        let value =
            scalar(setting, value).map_err(|fault| anyhow!("{place}: \"{key}\" {fault}"))?;
        let checked = setting.check(table, OsStr::new(&value));
        checked.map_err(|fault| anyhow!("{place}: \"{key}\" is {value}: {fault}"))?;
        entries.push(Entry {
            key: setting.key,
            value,
            line: place.line,
        });
    }
    Ok(entries)
}

/// A value as it would be typed.
fn scalar(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    match (value.get_ref(), setting.kind) {
        (DeValue::String(text), Kind::Text) => Ok(text.to_string()),
        (DeValue::Integer(number), Kind::Number) if number.radix() == 10 => Ok(number.to_string()),
        (DeValue::Float(number), Kind::Number) => Ok(number.to_string()),
        (other, Kind::Text) => Err(format!("is {}, expected text in quotes", named(other))),
        (other, Kind::Number) => Err(format!("is {}, expected a number", named(other))),
    }
}

/// A kind of value, in words.
fn named(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Cli;

    fn read(text: &str) -> Result<Vec<Entry>, String> {
        let read = entries(Path::new("c.toml"), text, &Cli::table());
        read.map_err(|error| crate::report::line(&error))
    }

    #[test]
    fn values_are_read_with_their_lines() {
        let text = "# mine\nstrength = 0.4\n\nsteps = 20\nnegative = \"blurry, \\\"x\\\"\"\n";
        let entries = read(text).unwrap();
        let entry = |key| entries.iter().find(|entry| entry.key == key).unwrap();
        assert_eq!(
            (entry("strength").value.as_str(), entry("strength").line),
            ("0.4", 2)
        );
        assert_eq!(
            (entry("steps").value.as_str(), entry("steps").line),
            ("20", 4)
        );
        assert_eq!(entry("negative").value, "blurry, \"x\"");
    }

    #[test]
    fn what_no_option_would_take_is_named_with_file_line_and_key() {
        for (text, said) in [
            (
                "\nstrenght = 0.4",
                "c.toml line 2: key \"strenght\" is not known, expected one of model",
            ),
            (
                "steps = 0",
                "c.toml line 1: \"steps\" is 0: 0 is not in 1..=1000",
            ),
            (
                "strength = 1.4",
                "\"strength\" is 1.4: strength is 1.4, expected 0 to 1",
            ),
            (
                "strength = \"0.4\"",
                "\"strength\" is text, expected a number",
            ),
            (
                "sampler = 3",
                "\"sampler\" is a number, expected text in quotes",
            ),
            (
                "fit = \"fill\"",
                "\"fit\" is fill: expected keep, crop, pad, stretch",
            ),
            (
                "[model]\nname = 1",
                "\"model\" is a table, expected text in quotes",
            ),
            ("a\nb", "c.toml line 1: "),
            ("steps = 1\nsteps = 2", "c.toml line 2: duplicate key"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn every_setting_is_an_option_with_its_variable() {
        let table = Cli::table();
        for setting in SETTINGS {
            let id = setting.id();
            let holders: Vec<_> = table
                .get_subcommands()
                .flat_map(|command| command.get_arguments())
                .filter(|argument| *argument.get_id() == *id)
                .collect();
            assert!(!holders.is_empty(), "{}", setting.key);
            for holder in holders {
                assert_eq!(holder.get_long(), Some(setting.key));
                let variable = holder
                    .get_env()
                    .map(|name| name.to_string_lossy().into_owned());
                assert_eq!(variable, Some(setting.variable()), "{}", setting.key);
            }
        }
    }
}
