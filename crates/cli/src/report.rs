//! Lines for stderr: errors with their hint, warnings, what was done.

use std::fmt::Display;

/// An error and its causes in one line. A cause that the line has said already is not repeated.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// `error: ...`, and a hint after an empty line where there is one.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {}", line(error));
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

#[cfg(test)]
mod tests {
    use anyhow::Context;

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
