//! `imagegen advise`, and the advice that other commands say on their way.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Fit, Forecast, LookForFaces, Request, Sampling, Settings, Transform, Wanted};
use imagegen_picture::Size;
use imagegen_picture::advice::{Advice, Measures, Suggestion};
use serde_json::{Map, Value, json};

use crate::arguments::AdviseArguments;
use crate::report;
use crate::session::{Session, read_source};
use crate::shown::shown;
use crate::transform::strength;

/// `imagegen advise`.
pub(crate) fn run(arguments: &AdviseArguments) -> Result<ExitCode> {
    let mut session = Session::start(&arguments.machine, &arguments.model)?;
    for path in &arguments.sources {
        if let Err(error) = advise(&mut session, arguments, path)
            && let Err(stopped) = session.failed(&path.to_string_lossy(), error)
        {
            return session.finish(Some(stopped));
        }
    }
    session.finish(None)
}

/// Says what is to be said about one source.
fn advise(session: &mut Session<'_>, arguments: &AdviseArguments, path: &Path) -> Result<()> {
    session.go_on()?;
    let source = read_source(path)?;
    let mut request = Transform {
        source: &source,
        enlarge: None,
        strength: strength(session, &arguments.strength)?,
        size: Wanted::Source,
        fit: Fit::Keep,
        settings: Settings {
            prompt: arguments.prompt.clone(),
            negative_prompt: String::new(),
            prompt_mode: arguments.mode.prompt_mode,
            steps: arguments.steps.steps.map(usize::from),
            guidance_scale: None,
            seed: 0,
            sampler: None,
            sampling: Sampling::default(),
            loras: session.loras.clone(),
            loras_settled: false,
            embeddings: Vec::new(),
            refiner: None,
            rule: arguments.rule.strength_rule,
        },
    };
    session.shelves.fill(&mut request.settings)?;
    let forecast = session.model.forecast(&request, LookForFaces::Always)?;
    if !arguments.machine.json {
        report::show(&lines(&source.name, source.picture().size(), &forecast))?;
    }
    let mut entry = Map::new();
    entry.insert("source".to_owned(), json!(source.name));
    entry.insert("strength".to_owned(), json!(request.strength.get()));
    entry.insert("steps_run".to_owned(), json!(forecast.runs));
    entry.insert("faces".to_owned(), faces(&forecast));
    entry.insert("measures".to_owned(), measures(&forecast.measures));
    entry.insert("advice".to_owned(), document(&forecast.advice));
    session.record(Value::Object(entry));
    Ok(())
}

fn lines(name: &str, size: Size, forecast: &Forecast) -> String {
    let name = shown(name);
    if forecast.advice.is_empty() {
        return format!("{name}: {size}, nothing to say");
    }
    let line = |advice: &Advice| format!("{name}: {}: {advice}", advice.severity().name());
    let lines: Vec<_> = forecast.advice.iter().map(line).collect();
    lines.join("\n")
}

/// Says what can be said before a run, once for each source. Gives all of it.
pub(crate) fn before(session: &mut Session<'_>, request: &Request<'_>) -> Result<Vec<Advice>> {
    let request = match request {
        Request::Transform(request) if !request.only_enlarges() => request,
        _ => return Ok(Vec::new()),
    };
    let forecast = session
        .model
        .forecast(request, LookForFaces::WhereTheyMatter)?;
    for advice in &forecast.advice {
        // A text that is too long is a warning of the run.
        if matches!(advice, Advice::TextLong { .. }) {
            continue;
        }
        session.advise(&request.source.name, advice);
    }
    Ok(forecast.advice)
}

/// Advice for programs.
pub(crate) fn document(advice: &[Advice]) -> Value {
    let entry = |advice: &Advice| {
        json!({
            "kind": advice.kind(),
            "severity": advice.severity().name(),
            "measured": advice.measured(),
            "threshold": advice.threshold(),
            "unit": advice.unit(),
            "suggestion": suggestion(&advice.suggestion()),
            "text": advice.to_string(),
        })
    };
    advice.iter().map(entry).collect()
}

fn suggestion(suggestion: &Suggestion) -> Value {
    let size = |size: &Size| json!([size.width, size.height]);
    let value = match suggestion {
        Suggestion::Strength(strength) => json!(strength),
        Suggestion::Steps(steps) => json!(steps),
        Suggestion::Shorten(tokens) => json!(tokens),
        Suggestion::Enlarge(to) | Suggestion::Reduce(to) => size(to),
        Suggestion::Crop(part) => json!([part.x, part.y, part.size.width, part.size.height]),
        Suggestion::Denoise(sigma) => json!(sigma),
        Suggestion::Stretch { black, white } => json!([black, white]),
        _ => Value::Null,
    };
    json!({"action": suggestion.name(), "value": value})
}

fn faces(forecast: &Forecast) -> Value {
    let face = |face: &imagegen::Face| {
        json!({
            "x": face.x, "y": face.y, "width": face.width, "height": face.height,
            "share": face.share, "score": face.score,
        })
    };
    let faces = forecast.faces.as_ref();
    faces.map_or(Value::Null, |faces| faces.iter().map(face).collect())
}

fn measures(measures: &Measures) -> Value {
    json!({
        "size": [measures.size.width, measures.size.height],
        "native_side": measures.native_side,
        "reduction": measures.reduction,
        "blur": measures.blur,
        "noise": measures.noise,
        "blocking": measures.blocking,
        "contrast": measures.contrast,
        "tones": measures.tones,
        "aspect": measures.aspect,
        "clear": measures.clear,
    })
}
