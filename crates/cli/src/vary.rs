//! `imagegen vary`: what several seeds make of one source, on one sheet, without near-duplicates.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Request, Source, Transform, View};
use serde_json::{Map, Value, json};

use crate::arguments::VaryArguments;
use crate::output::{Amount, Output};
use crate::report;
use crate::session::{Session, read_source, seeds, settings};
use crate::sheet::Sheet;
use crate::transform::strength;

/// Likeness, 0 to 1, from which two variations count as one. On photographs the starter's variations are
/// 0.86 to 0.91 alike at strength 0.4 and more, where one sees that the brush went elsewhere, and 0.92 to
/// 0.94 at 0.2, where one has to look for it.
const NEAR_DUPLICATE: f64 = 0.93;

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

/// A variation that is kept.
struct Kept {
    seed: u64,
    view: View,
}

/// A variation that came out nearly like another.
struct Twin {
    seed: u64,
    like: u64,
    likeness: f64,
}

/// Variations so far.
struct Collection {
    count: usize,
    kept: Vec<Kept>,
    twins: Vec<Twin>,
    sheet: Sheet,
}

/// Makes all variations and the sheet. Gives what the JSON document says of them.
fn vary(
    session: &mut Session<'_>,
    arguments: &VaryArguments,
    source: &Source,
    output: &Output,
) -> Result<Map<String, Value>> {
    let requests = requests(session, arguments, source)?;
    let count = usize::from(arguments.count);
    let mut variations = Collection {
        count,
        kept: Vec::new(),
        twins: Vec::new(),
        sheet: Sheet::of(session.model.framed_source(&requests[0])?),
    };
    let first = session
        .model
        .plan(&Request::Transform(requests[0].clone()))?;
    for request in requests {
        let seed = request.settings.seed;
        let title = format!("{} {} of {count}", source.name, variations.kept.len() + 1);
        let made = session.make(&title, &Request::Transform(request), output)?;
        let view = View::of(&made.outcome.picture);
        if !variations.admits(&source.name, seed, &view) {
            continue;
        }
        let place = output.result(&made.outcome.facts.recipe, true);
        session.keep(&title, &made, output, place)?;
        let facts = &made.outcome.facts;
        variations
            .sheet
            .add(made.outcome.picture, format!("seed {seed}"), facts);
        variations.kept.push(Kept { seed, view });
        if variations.kept.len() == count {
            break;
        }
    }
    let mut more = variations.sheet.write(session, &first, output)?;
    let twins: Value = variations.twins.iter().map(Twin::json).collect();
    more.insert("near_duplicates".to_owned(), twins);
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
    let seeds = seeds(&arguments.prompted, 2 * arguments.count);
    let settings = settings(&arguments.prompted, shaping.rule.strength_rule, seeds);
    let request = |settings| shaping.transform(source, strength, settings);
    Ok(settings.map(request).collect())
}

impl Collection {
    /// Whether a variation is to be kept: if it is like no other, or no further seed is left. A twin is
    /// said and remembered.
    fn admits(&mut self, source: &str, seed: u64, view: &View) -> bool {
        let Some(twin) = twin(&self.kept, seed, view) else {
            return true;
        };
        let spent = self.twins.len() >= self.count;
        report::warning(Some(source), twin.words(!spent));
        self.twins.push(twin);
        spent
    }
}

/// The kept variation that a new one is nearly the same as, if any.
fn twin(kept: &[Kept], seed: u64, view: &View) -> Option<Twin> {
    let likenesses = kept.iter().map(|one| (one.seed, one.view.likeness(view)));
    let (like, likeness) = likenesses.max_by(|one, two| one.1.total_cmp(&two.1))?;
    (likeness >= NEAR_DUPLICATE).then_some(Twin {
        seed,
        like,
        likeness,
    })
}

impl Twin {
    fn words(&self, again: bool) -> String {
        let Self {
            seed,
            like,
            likeness,
        } = self;
        let fate = match again {
            true => "another seed is drawn",
            false => "it is kept; a higher strength gives more variety",
        };
        format!("seed {seed} came out nearly like seed {like} (likeness {likeness:.2}), {fate}")
    }

    fn json(&self) -> Value {
        json!({"seed": self.seed, "like": self.like, "likeness": self.likeness})
    }
}
