//! `imagegen ladder`: what several strengths make of one source with one seed, on one sheet.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Recipe, Request, Sheet, Source, Transform};
use serde_json::{Map, Value, json};

use crate::arguments::LadderArguments;
use crate::command;
use crate::output::{Amount, Output};
use crate::session::{Session, read_source, seeds};
use crate::sheet;

pub(crate) fn run(arguments: &LadderArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: std::slice::from_ref(&arguments.source),
        // The sheet is one more.
        results: arguments.strengths.0.len() + 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let source = read_source(&arguments.source)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    let done = climb(&mut session, arguments, &source, &output);
    session.conclude(&source.name, done)
}

/// Makes all rungs and the sheet. Gives what the JSON document says of them.
fn climb(
    session: &mut Session<'_>,
    arguments: &LadderArguments,
    source: &Source,
    output: &Output,
) -> Result<Map<String, Value>> {
    let rungs = rungs(session, arguments, source)?;
    let mut sheet = Sheet::of(&session.model.framed_source(&rungs[0])?);
    let requests: Vec<_> = rungs.into_iter().map(Request::Transform).collect();
    // Every rung is checked before the first one runs.
    let plans = requests.iter().map(|request| session.model.plan(request));
    let plans: Vec<Recipe> = plans.collect::<Result<_, _>>()?;
    plans
        .iter()
        .try_for_each(|plan| plan.check(output.format()))?;
    let mut commands = Vec::new();
    for (request, plan) in requests.iter().zip(&plans) {
        let title = format!("{} at {}", source.name, plan.strength);
        let made = session.make(&title, request, output)?;
        let place = output.member(plan, &format!("-{}", plan.strength));
        let path = session.keep(&title, &made, output, place)?;
        let asked = (&arguments.prompted, &arguments.shaping, &arguments.model);
        commands.push(command::transform(&arguments.source, plan, asked, &path));
        sheet.add_rung(&made.outcome.picture, &made.outcome.facts.recipe);
    }
    let mut more = sheet::write(&sheet, session, &plans[0], output)?;
    session.tell(format_args!(
        "\nto make one of them again:\n  {}",
        commands.join("\n  ")
    ));
    more.insert("commands".to_owned(), json!(commands));
    Ok(more)
}

/// The requests, one for each strength, with one seed; the parser gives at least one.
fn rungs<'a>(
    session: &Session<'_>,
    arguments: &LadderArguments,
    source: &'a Source,
) -> Result<Vec<Transform<'a>>> {
    let shaping = &arguments.shaping;
    let seed = seeds(&arguments.prompted, 1)?;
    let (prompted, rule) = (&arguments.prompted, shaping.rule.strength_rule);
    let settings = session.settings(prompted, rule, seed)?;
    let rungs = settings.into_iter().flat_map(|settings| {
        let strengths = arguments.strengths.0.iter();
        strengths.map(move |&strength| shaping.transform(source, strength, settings.clone()))
    });
    Ok(rungs.collect())
}
