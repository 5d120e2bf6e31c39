//! `imagegen upscale`: source pictures, larger. One bad source does not stop the others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Enlarge, Fit, Request, Settings, Strength, StrengthRule, Transform, Wanted};

use crate::arguments::UpscaleArguments;
use crate::output::{Amount, Output, STANDARD};
use crate::report::Usage;
use crate::session::{Session, read_source, seeds};

pub(crate) fn run(arguments: &UpscaleArguments) -> Result<ExitCode> {
    let sources = &arguments.sources;
    let standard = sources.iter().filter(|path| path.as_os_str() == STANDARD);
    if standard.count() > 1 {
        return Err(Usage("standard input (-) is named as a source twice".to_owned()).into());
    }
    let strength = strength(arguments)?;
    let amount = Amount {
        sources,
        results: 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let enlarge = Enlarge::new(arguments.by, arguments.with)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    let seeds = seeds(&arguments.prompted, 1)?;
    let all = session.settings(&arguments.prompted, StrengthRule::Share, seeds)?;
    for (path, settings) in sources.iter().zip(all.iter().cycle()) {
        let asked = (enlarge, strength, settings);
        if let Err(error) = upscale(&mut session, path, asked, &output)
            && let Err(stopped) = session.failed(&path.to_string_lossy(), error)
        {
            return session.finish(Some(stopped));
        }
    }
    session.finish(None)
}

/// How far the pass with a prompt moves; 0 where there is no prompt and so no pass.
fn strength(arguments: &UpscaleArguments) -> Result<Strength> {
    let prompt = arguments.prompted.prompt.trim();
    match arguments.pass {
        Some(pass) if prompt.is_empty() && pass.get() > 0.0 => {
            let fault = format!(
                "--strength {} needs a --prompt: what to draw in detail",
                pass.get()
            );
            Err(Usage(fault).into())
        }
        Some(pass) => Ok(pass),
        None => Ok(Strength::new(Enlarge::strength(prompt)).map_err(imagegen::Error::from)?),
    }
}

fn upscale(
    session: &mut Session<'_>,
    path: &Path,
    (enlarge, strength, settings): (Enlarge, Strength, &Settings),
    output: &Output,
) -> Result<()> {
    let source = read_source(path)?;
    let request = Request::Transform(Transform {
        source: &source,
        enlarge: Some(enlarge),
        strength,
        size: Wanted::Source,
        fit: Fit::Keep,
        settings: settings.clone(),
    });
    let made = session.make(&source.name, &request, output)?;
    let place = output.result(&made.outcome.facts.recipe, false);
    session.keep(&source.name, &made, output, place)?;
    Ok(())
}
