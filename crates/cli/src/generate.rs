//! `imagegen generate`: a picture from text alone.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Generate, StrengthRule};

use crate::arguments::GenerateArguments;
use crate::session::{Session, is_cancelled};

pub(crate) fn run(arguments: &GenerateArguments) -> Result<ExitCode> {
    let mut session = Session::start(&arguments.common, 1)?;
    let (width, height) = arguments.size;
    for settings in session.settings(StrengthRule::Share) {
        let request = Generate {
            width,
            height,
            settings,
        };
        match session.run("generate", |model, watcher| {
            model.generate(&request, watcher)
        }) {
            Ok(()) => {}
            Err(error) if is_cancelled(&error) => return Ok(session.finish(Some(error))),
            Err(error) => session.failed("generate", error)?,
        }
    }
    Ok(session.finish(None))
}
