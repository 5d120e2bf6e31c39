//! `imagegen vary`: what several seeds make of one source, on one sheet, without near-duplicates.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Request, Sheet, Source, Transform, Variety};
use serde_json::{Map, Value, json};

use crate::arguments::VaryArguments;
use crate::output::{Amount, Output};
use crate::report;
use crate::session::{Session, read_source, seeds};
use crate::sheet;
use crate::transform::strength;

pub(crate) fn run(arguments: &VaryArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: std::slice::from_ref(&arguments.source),
        // The sheet is one more.
        results: usize::from(arguments.count) + 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let source = read_source(&arguments.source)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    let done = vary(&mut session, arguments, &source, &output);
    session.conclude(&source.name, done)
}

/// Makes all variations and the sheet. Gives what the JSON document says of them.
fn vary(
    session: &mut Session<'_>,
    arguments: &VaryArguments,
    source: &Source,
    output: &Output,
) -> Result<Map<String, Value>> {
    let mut variety = Variety::new(usize::from(arguments.count));
    let requests = requests(session, arguments, source)?;
    let mut sheet = Sheet::of(&session.model.framed_source(&requests[0])?);
    let first = session
        .model
        .plan(&Request::Transform(requests[0].clone()))?;
    for request in requests {
        let seed = request.settings.row_seed();
        let (number, count) = (variety.kept() + 1, arguments.count);
        let title = format!("{} {number} of {count}", source.name);
        let made = session.make(&title, &Request::Transform(request), output)?;
        let twin = variety.admit(seed, &made.outcome.picture);
        if let Some(twin) = twin {
            report::warning(Some(&source.name), twin);
            if !twin.kept {
                continue;
            }
        }
        let recipe = &made.outcome.facts.recipe;
        session.keep(&title, &made, output, output.result(recipe, true))?;
        sheet.add_variation(&made.outcome.picture, recipe);
        if variety.is_full() {
            break;
        }
    }
    let mut more = sheet::write(&sheet, session, &first, output)?;
    more.insert("near_duplicates".to_owned(), json!(variety.twins()));
    Ok(more)
}

/// A request for every seed that may be drawn: as many further ones as there are variations.
fn requests<'s>(
    session: &Session<'_>,
    arguments: &VaryArguments,
    source: &'s Source,
) -> Result<Vec<Transform<'s>>> {
    let strength = strength(session, &arguments.strength)?;
    let shaping = &arguments.shaping;
    let seeds = seeds(&arguments.prompted, 2 * arguments.count)?;
    let (prompted, rule) = (&arguments.prompted, shaping.rule.strength_rule);
    let settings = session.settings(prompted, rule, seeds)?;
    let request = |settings| shaping.transform(source, strength, settings);
    Ok(settings.into_iter().map(request).collect())
}
