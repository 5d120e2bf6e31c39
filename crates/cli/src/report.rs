//! Lines for stderr: errors with their hint, warnings, what was done.

use std::fmt::Display;

/// `error: ...`, and a hint after an empty line where there is one.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(hint) = error.downcast_ref::<imagegen::Error>().and_then(hint) {
        eprintln!("\nhint: {hint}");
    }
}

/// What may help against an error, where something does.
fn hint(error: &imagegen::Error) -> Option<&'static str> {
    match error {
        imagegen::Error::TooLong { .. } => Some("save the picture smaller, as JPEG for example"),
        imagegen::Error::UnknownModel { .. } => {
            Some("leave --model out to use the model in this binary")
        }
        imagegen::Error::Run(_) if error.is_cancelled() => None,
        _ => None,
    }
}

/// `warning: ...`, with the file it is about.
pub(crate) fn warning(subject: Option<&str>, text: impl Display) {
    match subject {
        Some(subject) => eprintln!("warning: {subject}: {text}"),
        None => eprintln!("warning: {text}"),
    }
}
