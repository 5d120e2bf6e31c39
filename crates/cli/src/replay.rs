//! `imagegen replay` and `imagegen verify`: a picture again from what it says of its making.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use imagegen::{Agreement, Error, PROGRAM, Picture, Recipe, Source, SourceMark, files};
use imagegen_picture::{Limits, SourceFormat, decode};
use serde_json::{Map, json};

use crate::arguments::{ModelChoice, ReplayArguments, VerifyArguments};
use crate::output::{Amount, Output};
use crate::report::{self, Usage};
use crate::session::{Made, Session, is_cancelled, read_source};
use crate::shown::shown;

/// `imagegen replay`.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: std::slice::from_ref(&arguments.picture),
        results: 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    let told = Told::read(&arguments.picture)?;
    let files = told.files(arguments.sources.source_dir.as_deref())?;
    let mut session = Session::start(&arguments.machine, &told.model(&arguments.model)?)?;
    let made = match told.make(&mut session, &files, &output) {
        Err(error) if is_cancelled(&error) => return session.finish(Some(error)),
        made => made?,
    };
    let place = output.result(&made.outcome.facts.recipe, false);
    session.keep(&told.name, &made, &output, place)?;
    session.finish(None)
}

/// `imagegen verify`: exit code 0 where every pixel agrees, 1 where one does not.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<ExitCode> {
    let told = Told::read(&arguments.picture)?;
    let files = told.files(arguments.sources.source_dir.as_deref())?;
    let mut session = Session::start(&arguments.machine, &told.model(&arguments.model)?)?;
    let output = Output::Standard {
        format: told.format()?,
    };
    let made = match told.make(&mut session, &files, &output) {
        Err(error) if is_cancelled(&error) => return session.finish(Some(error)),
        made => made?,
    };
    // Written and read, so that what a lossy format changes is changed in both.
    let file = made.outcome.encode(output.format())?;
    let again = decode(&file.bytes, &Limits::default()).context("cannot read the repetition")?;
    let again = again.picture;
    let verdict = Agreement::of(&told.picture, &again);
    let agrees = verdict.is_some_and(Agreement::is_whole);
    let words = words(&told, &again, verdict);
    if arguments.machine.json {
        let mut more = Map::new();
        more.insert("picture".to_owned(), json!(told.name));
        more.insert("agrees".to_owned(), json!(agrees));
        let figures = verdict.map(|verdict| {
            json!({
                "pixels": verdict.pixels,
                "differing": verdict.differing,
                "largest": verdict.largest,
            })
        });
        more.insert("difference".to_owned(), json!(figures));
        session.finish_with(more, None)?;
    } else {
        report::print(&words)?;
    }
    Ok(if agrees {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn words(told: &Told, again: &Picture, verdict: Option<Agreement>) -> String {
    let name = shown(&told.name);
    match verdict {
        Some(verdict) if verdict.is_whole() => {
            format!("{name}: all {} pixels agree", verdict.pixels)
        }
        Some(verdict) => format!(
            "{name}: {} of {} pixels differ, by up to {} of 255",
            verdict.differing, verdict.pixels, verdict.largest
        ),
        None => format!(
            "{name}: it is {}, its recipe makes {}",
            told.picture.size(),
            again.size()
        ),
    }
}

/// What a picture was made from.
struct Files {
    source: Option<Source>,
    mask: Option<Source>,
}

/// A picture and what it says of its making.
struct Told<'a> {
    path: &'a Path,
    name: String,
    kind: SourceFormat,
    picture: Picture,
    recipe: Recipe,
}

impl<'a> Told<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        if path.as_os_str() == crate::output::STANDARD {
            let fault = "standard input (-) has no folder to look for a source in, expected a file";
            return Err(Usage(fault.to_owned()).into());
        }
        let limits = Limits::default();
        let bytes = files::read_limited(path, limits.bytes)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let recipe = Recipe::read(&name, &bytes)?;
        let decoded = decode(&bytes, &limits).with_context(|| format!("cannot read {name}"))?;
        if recipe.program != PROGRAM {
            let made = &recipe.program;
            report::warning(
                Some(&name),
                format_args!("made by {made}, this is {PROGRAM}; results may differ"),
            );
        }
        Ok(Self {
            path,
            name,
            kind: decoded.facts.format,
            picture: decoded.picture,
            recipe,
        })
    }

    /// The model with what was decided about it, where nothing else is asked for.
    fn model(&self, asked: &ModelChoice) -> Result<ModelChoice> {
        let mut model = asked.clone();
        if let (None, Some(kind)) = (model.named.over.prediction, &self.recipe.model.prediction) {
            let kind = kind.parse().map_err(Error::from)?;
            model.named.over.prediction = Some(kind);
        }
        Ok(model)
    }

    /// The files it was made from, found by their hashes in `folder`, or beside the picture.
    fn files(&self, folder: Option<&Path>) -> Result<Files> {
        let mask = self
            .recipe
            .inpaint
            .as_ref()
            .and_then(|mark| mark.mask.picture.as_ref());
        Ok(Files {
            source: self.find(self.recipe.source.as_ref(), folder)?,
            mask: self.find(mask, folder)?,
        })
    }

    fn find(&self, mark: Option<&SourceMark>, folder: Option<&Path>) -> Result<Option<Source>> {
        let Some(mark) = mark else {
            return Ok(None);
        };
        let beside = || {
            self.path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
        };
        let folder = folder.or_else(beside).unwrap_or(Path::new("."));
        let found = files::find_source(folder, mark, Limits::default().bytes)?;
        let path = found.ok_or_else(|| Error::NoSource {
            folder: folder.to_owned(),
            name: mark.name.clone(),
            sha256: mark.sha256.clone(),
        })?;
        let mut source = read_source(&path)?;
        // The recipe names the file as it was called then.
        source.name.clone_from(&mark.name);
        Ok(Some(source))
    }

    /// Carries the recipe out.
    ///
    /// Fails before the run where the model is another one or this program would do something else.
    fn make(&self, session: &mut Session<'_>, files: &Files, output: &Output) -> Result<Made> {
        let (source, mask) = (files.source.as_ref(), files.mask.as_ref());
        let mut request = self.recipe.request(source, mask)?;
        let given = session.loras.iter().map(|used| Arc::clone(&used.lora));
        let given: Vec<_> = given.collect();
        let settings = request.settings_mut();
        session.shelves.fill_again(settings, &self.recipe, &given)?;
        self.recipe
            .check_repetition(&session.model.plan(&request)?)?;
        session.make(&self.name, &request, output)
    }

    /// The format the picture is in, where it is one that results are written in.
    fn format(&self) -> Result<imagegen::Format> {
        use imagegen::Format;
        Ok(match self.kind {
            SourceFormat::Png => Format::Png,
            SourceFormat::Jpeg => Format::JPEG,
            SourceFormat::WebP => Format::WebP,
            other => anyhow::bail!("{} is {other}, expected PNG, JPEG or WebP", self.name),
        })
    }
}
