//! `imagegen ladder`: what several strengths make of one source with one seed, on one sheet.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Recipe, Request, Settings, Source, Transform};
use serde_json::{Map, Value, json};

use crate::arguments::LadderArguments;
use crate::command;
use crate::output::{Amount, Output};
use crate::session::{Session, is_cancelled, read_source, seeds, settings};
use crate::sheet::{Sheet, told_apart};
use crate::shown::shown;

pub(crate) fn run(arguments: &LadderArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: 1,
        // The sheet is one more.
        results: arguments.strengths.0.len() + 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let source = read_source(&arguments.source)?;
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    match climb(&mut session, arguments, &source, &output) {
        Ok(more) => session.finish_with(more, None),
        Err(error) if is_cancelled(&error) => session.finish(Some(error)),
        Err(error) => {
            session.failed(&source.name, error)?;
            session.finish(None)
        }
    }
}

/// Makes all rungs and the sheet. Gives what the JSON document says of them.
fn climb(
    session: &mut Session<'_>,
    arguments: &LadderArguments,
    source: &Source,
    output: &Output,
) -> Result<Map<String, Value>> {
    let rule = arguments.shaping.strength_rule;
    let settings: Vec<Settings> =
        settings(&arguments.prompted, rule, seeds(&arguments.prompted, 1)).collect();
    let rungs: Vec<Transform<'_>> = rungs(arguments, source, &settings).collect();
    let Some(lowest) = rungs.first() else {
        return Ok(Map::new());
    };
    let mut sheet = Sheet::of(session.model.framed_source(lowest)?);
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
        let caption = format!("strength {}", plan.strength);
        sheet.add(made.outcome.picture, caption, &made.outcome.facts);
    }
    let Some(first) = plans.first() else {
        return Ok(Map::new());
    };
    let path = sheet.write(first, output, told_apart(output))?;
    let name = shown(&path.display().to_string());
    session.tell(format_args!("wrote {name}, the sheet"));
    session.tell(format_args!(
        "\nto make one of them again:\n  {}",
        commands.join("\n  ")
    ));
    let mut more = Map::new();
    more.insert("sheet".to_owned(), json!(path.to_string_lossy()));
    more.insert("commands".to_owned(), json!(commands));
    Ok(more)
}

fn rungs<'a>(
    arguments: &LadderArguments,
    source: &'a Source,
    settings: &[Settings],
) -> impl Iterator<Item = Transform<'a>> {
    let (size, fit) = (
        arguments.shaping.size.unwrap_or_default(),
        arguments.shaping.fit.into(),
    );
    let settings = settings.to_vec();
    let strengths = arguments.strengths.0.clone();
    settings.into_iter().flat_map(move |settings| {
        let strengths = strengths.clone();
        strengths.into_iter().map(move |strength| Transform {
            source,
            strength,
            size,
            fit,
            settings: settings.clone(),
        })
    })
}
