//! `imagegen transform`: new pictures from source pictures. One bad source does not stop the others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Request, Strength};

use crate::arguments::{OneStrength, TransformArguments};
use crate::output::{Amount, Output, STANDARD};
use crate::report::Usage;
use crate::session::{Seeds, Session, read_source, seeds};

pub(crate) fn run(arguments: &TransformArguments) -> Result<ExitCode> {
    let sources = &arguments.sources;
    if sources
        .iter()
        .filter(|path| path.as_os_str() == STANDARD)
        .count()
        > 1
    {
        return Err(Usage("standard input (-) is named as a source twice".to_owned()).into());
    }
    let amount = Amount {
        sources,
        results: usize::from(arguments.count),
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    session.profiles = arguments.profile;
    let strength = strength(&session, &arguments.strength)?;
    // All sources have the same seeds, so that their results can be compared.
    let seeds: Vec<Seeds> = seeds(&arguments.prompted, arguments.count)?.collect();
    for path in sources {
        if let Err(error) = transform(&mut session, arguments, path, strength, &seeds, &output)
            && let Err(stopped) = session.failed(&path.to_string_lossy(), error)
        {
            return session.finish(Some(stopped));
        }
    }
    session.finish(None)
}

/// The strength asked for, or the model's own.
pub(crate) fn strength(session: &Session<'_>, asked: &OneStrength) -> Result<Strength> {
    match asked.strength {
        Some(strength) => Ok(strength),
        None => {
            Ok(Strength::new(session.model.defaults().strength).map_err(imagegen::Error::from)?)
        }
    }
}

/// All results of one source.
fn transform(
    session: &mut Session<'_>,
    arguments: &TransformArguments,
    path: &Path,
    strength: Strength,
    seeds: &[Seeds],
    output: &Output,
) -> Result<()> {
    let source = read_source(path)?;
    let rule = arguments.shaping.rule.strength_rule;
    let seeds_of = seeds.iter().copied();
    for settings in session.settings(&arguments.prompted, rule, seeds_of)? {
        let request = arguments.shaping.transform(&source, strength, settings);
        let request = Request::Transform(request);
        let made = session.make(&source.name, &request, output)?;
        let place = output.result(&made.outcome.facts.recipe, seeds.len() > 1);
        session.keep(&source.name, &made, output, place)?;
    }
    Ok(())
}
