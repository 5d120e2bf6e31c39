//! `imagegen inpaint`: a part of a picture made anew, the rest kept bit for bit.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Edge, Format, Inpaint, Request, Settings, Source};

use crate::arguments::InpaintArguments;
use crate::mask;
use crate::output::{Amount, Output};
use crate::report::{self, Usage};
use crate::session::{Session, seeds};

pub(crate) fn run(arguments: &InpaintArguments) -> Result<ExitCode> {
    if arguments.model.refiner.is_some() {
        let words = "--refiner has no say in inpaint, where one model repaints a part";
        return Err(Usage(words.to_owned()).into());
    }
    let amount = Amount {
        sources: std::slice::from_ref(&arguments.source),
        results: usize::from(arguments.count),
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let (source, drawn) = mask::read(&arguments.source, &arguments.mask, &output)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    if matches!(output.format(), Format::Jpeg { .. }) {
        let words = "JPEG changes every pixel a little: outside the mask the result is the source's only \
                     before it is written";
        report::warning(Some(&source.name), words);
    }
    let seeds = seeds(&arguments.prompted, arguments.count)?;
    let rule = arguments.rule.strength_rule;
    for settings in session.settings(&arguments.prompted, rule, seeds)? {
        let request = request(arguments, (&source, drawn.as_ref()), settings);
        if let Err(error) = inpaint(&mut session, arguments, &source, request, &output)
            && let Err(stopped) = session.failed(&source.name, error)
        {
            return session.finish(Some(stopped));
        }
    }
    session.finish(None)
}

fn request<'a>(
    arguments: &InpaintArguments,
    (source, drawn): (&'a Source, Option<&'a Source>),
    settings: Settings,
) -> Request<'a> {
    let painting = &arguments.painting;
    Request::Inpaint(Inpaint {
        source,
        mask: arguments.mask.request(drawn),
        expand: painting.expand.unwrap_or_default(),
        intent: painting.intent,
        strength: painting.strength,
        content: painting.content,
        area: painting.area,
        edge: Edge::from(&arguments.edge),
        settings,
    })
}

fn inpaint(
    session: &mut Session<'_>,
    arguments: &InpaintArguments,
    source: &Source,
    request: Request<'_>,
    output: &Output,
) -> Result<()> {
    let made = session.make(&source.name, &request, output)?;
    let place = output.result(&made.outcome.facts.recipe, arguments.count > 1);
    session.keep(&source.name, &made, output, place)?;
    Ok(())
}
