//! `imagegen generate`: a picture from text alone.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Generate, Hires, Request, Settings, Strength, StrengthRule};

use crate::arguments::{GenerateArguments, HiresChoice};
use crate::output::{Amount, Output};
use crate::session::{Session, seeds};

pub(crate) fn run(arguments: &GenerateArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: &[],
        results: usize::from(arguments.count),
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    let seeds = seeds(&arguments.prompted, arguments.count)?;
    for settings in session.settings(&arguments.prompted, StrengthRule::Share, seeds)? {
        if let Err(error) = generate(&mut session, arguments, settings, &output)
            && let Err(stopped) = session.failed("generate", error)
        {
            return session.finish(Some(stopped));
        }
    }
    session.finish(None)
}

fn generate(
    session: &mut Session<'_>,
    arguments: &GenerateArguments,
    mut settings: Settings,
    output: &Output,
) -> Result<()> {
    settings.sampling.hires = hires(&arguments.hires)?;
    let (width, height) = arguments.size;
    let request = Request::Generate(Generate {
        width,
        height,
        settings,
    });
    let made = session.make("generate", &request, output)?;
    let place = output.result(&made.outcome.facts.recipe, arguments.count > 1);
    session.keep("generate", &made, output, place)?;
    Ok(())
}

/// The second pass that is asked for.
fn hires(choice: &HiresChoice) -> Result<Option<Hires>> {
    let Some(by) = choice.by else {
        return Ok(None);
    };
    let strength = match choice.hires_strength {
        Some(strength) => strength,
        None => Strength::new(Hires::STRENGTH).map_err(imagegen::Error::from)?,
    };
    Ok(Some(Hires {
        by,
        strength,
        steps: choice.hires_steps.map(usize::from),
        with: choice.hires_with.unwrap_or_default(),
    }))
}
