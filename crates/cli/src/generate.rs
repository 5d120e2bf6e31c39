//! `imagegen generate`: a picture from text alone.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Generate, Request, Settings, StrengthRule};

use crate::arguments::GenerateArguments;
use crate::output::{Amount, Output};
use crate::session::{Session, seeds, settings};

pub(crate) fn run(arguments: &GenerateArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: &[],
        results: usize::from(arguments.count),
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    let seeds = seeds(&arguments.prompted, arguments.count)?;
    let (prompted, loras) = (&arguments.prompted, session.loras.clone());
    for settings in settings(prompted, &loras, StrengthRule::Share, seeds) {
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
    settings: Settings,
    output: &Output,
) -> Result<()> {
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
