//! Lines for people on stderr and data on stdout: errors with their hint, warnings, what was done.

use std::fmt::{self, Display};
use std::io::Write;

use anyhow::{Context, Result};
use imagegen_server::ServeError;

use crate::shown::shown;

/// Writes a line to stderr. A closed or full stderr does not stop the work.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(crate) use say;

/// Arguments that contradict each other; ends with exit code 2, as wrong usage does.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Writes `text` and a line's end to stdout.
///
/// Fails where stdout is closed or full.
pub(crate) fn print(text: &str) -> Result<()> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// As [`print`], for what a person reads: a reader that has seen enough (`| head`) is no fault.
pub(crate) fn show(text: &str) -> Result<()> {
    show_bytes(format!("{text}\n").as_bytes())
}

/// As [`show`], without a line's end.
pub(crate) fn show_bytes(bytes: &[u8]) -> Result<()> {
    match print_bytes(bytes) {
        Err(error) if closed(&error) => Ok(()),
        done => done,
    }
}

fn closed(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes `bytes` to stdout.
///
/// Fails where stdout is closed or full.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// An error and its causes in one line, fit for a terminal. A cause that the line has said already is not
/// repeated.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    shown(&line)
}

/// `error: ...`, and a hint after an empty line where there is one.
pub(crate) fn error(error: &anyhow::Error) {
    say!("error: {}", line(error));
    let service = error.downcast_ref::<ServeError>().and_then(service_hint);
    let library = error.downcast_ref::<imagegen::Error>().and_then(hint);
    let hub = error.downcast_ref::<imagegen_hub::Error>();
    let hub = hub.and_then(imagegen_hub::Error::hint);
    let hint = library.or(service).map(str::to_owned).or(hub);
    if let Some(hint) = hint {
        say!("\nhint: {hint}");
    }
}

/// What may help where the service cannot run.
fn service_hint(error: &ServeError) -> Option<&'static str> {
    match error {
        ServeError::NoKey { .. } => Some("make a key with `imagegen keys add NAME`"),
        ServeError::AllRevoked { .. } => Some(
            "make a key with `imagegen keys add NAME`; or remove the file to serve this machine without keys",
        ),
        ServeError::Listen { .. } => Some("name another address with --address"),
        _ => None,
    }
}

/// What may help against an error, where something does.
fn hint(error: &imagegen::Error) -> Option<&'static str> {
    use imagegen::{Error as E, RunError, RunStage};

    match error {
        E::TooLong { .. } => Some("save the picture smaller, as JPEG for example"),
        E::Memory { fits: None, .. } => {
            Some("take a smaller model, or go on regardless with --memory 0")
        }
        E::Memory { .. } => Some("ask for a smaller size, or go on regardless with --memory 0"),
        E::UnknownModel { .. } => Some("leave --model out to use the model in this binary"),
        E::Mask(imagegen_picture::mask::MaskError::Size { .. }) => {
            Some("bring it to the source's size with --fit-mask")
        }
        E::NoSource { .. } => Some("name the folder that holds the source with --source-dir"),
        E::Run(RunError::NotFinite {
            stage: RunStage::Encode | RunStage::Decode,
        }) => Some(
            "the model's autoencoder overflows; take another one with --vae, such as the f32 file of the same \
             model, or for SDXL one that was mended for half precision",
        ),
        E::Setting { subject, .. } if subject.contains("model.vae.sha256") => {
            Some("name the autoencoder that made the picture with --vae")
        }
        E::Setting { subject, .. } if subject == "model sha256" => {
            Some("name the folder of the model that made the picture with --model")
        }
        _ => None,
    }
}

/// `warning: ...`, with the file it is about.
pub(crate) fn warning(subject: Option<&str>, text: impl Display) {
    let text = shown(&text.to_string());
    match subject.map(shown) {
        Some(subject) => say!("warning: {subject}: {text}"),
        None => say!("warning: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let cause = imagegen::Error::Read {
            path: "a.png".into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let error = Err::<(), _>(cause).context("first source").unwrap_err();
        assert_eq!(
            line(&error),
            "first source: cannot read a.png: entity not found"
        );
    }
}
