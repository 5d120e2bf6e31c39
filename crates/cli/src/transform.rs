//! `imagegen transform`: new pictures from source pictures. One bad source does not stop the others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use imagegen::files::read_source;
use imagegen::{Strength, Transform};
use imagegen_picture::Limits;

use crate::arguments::TransformArguments;
use crate::session::Session;

pub(crate) fn run(arguments: &TransformArguments) -> Result<ExitCode> {
    let mut session = Session::start(&arguments.common, arguments.sources.len())?;
    let strength = match arguments.strength {
        Some(strength) => strength,
        None => Strength::new(session.model.defaults().strength).map_err(imagegen::Error::from)?,
    };
    for path in &arguments.sources {
        if let Err(error) = transform(&mut session, arguments, path, strength) {
            let subject = path.to_string_lossy().into_owned();
            if let Err(stopped) = session.failed(&subject, error) {
                return Ok(session.finish(Some(stopped)));
            }
        }
    }
    Ok(session.finish(None))
}

/// All results of one source.
fn transform(
    session: &mut Session<'_>,
    arguments: &TransformArguments,
    path: &Path,
    strength: Strength,
) -> Result<()> {
    let source = read_source(path, &Limits::default())?;
    for settings in session.settings(arguments.strength_rule) {
        let request = Transform {
            source: &source,
            strength,
            size: arguments.size.unwrap_or_default(),
            fit: arguments.fit.into(),
            settings,
        };
        session.run(&source.name, |model, watcher| {
            model.transform(&request, watcher)
        })?;
    }
    Ok(())
}
