//! What commands that make pictures share: the loaded model, runs, what was done, the summary.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Error, Result};
use imagegen::files::{Existing, Shelves};
use imagegen::{
    Cpu, Embedding, EnlargeMark, Facts, Level, LoraUse, Model, Note, Outcome, PaintedRecord,
    PromptRecord, Request, Sampling, Settings, Source, StrengthRule, Variation,
};
use imagegen_picture::Limits;
use imagegen_picture::advice::Advice;
use serde_json::{Map, Value, json};

use crate::advise;
use crate::arguments::{Compute, Machine, ModelChoice, Prompted};
use crate::loras;
use crate::output::{Output, STANDARD};
use crate::profile::Profile;
use crate::report::{self, say};
use crate::shown::shown;
use crate::watch::{Show, Times, Watch};

/// How a line of advice begins.
const ADVICE: &str = "advice";

/// Whether Ctrl-C was pressed.
static PRESSED: AtomicBool = AtomicBool::new(false);
/// Whether standard input is being read, which nothing but its end ends.
static READING: AtomicBool = AtomicBool::new(false);

/// One command at work.
pub(crate) struct Session<'a> {
    machine: &'a Machine,
    pub(crate) model: Model,
    /// LoRAs that options name.
    pub(crate) loras: Vec<LoraUse>,
    pub(crate) shelves: Shelves,
    stop: Arc<AtomicBool>,
    /// Whether runs are timed operation by operation.
    pub(crate) profiles: bool,
    load_seconds: f64,
    results: Vec<Value>,
    failures: Vec<Value>,
    /// Advice that was said, by source and kind.
    advised: HashSet<(String, &'static str)>,
    /// Notes that were said, by source.
    noted: HashSet<(String, Note)>,
}

/// A picture that has been made and not yet been written.
pub(crate) struct Made {
    pub(crate) outcome: Outcome,
    times: Times,
    /// From before and after the run.
    advice: Vec<Advice>,
    profile: Option<Profile>,
}

impl<'a> Session<'a> {
    /// Listens for Ctrl-C and loads the model.
    pub(crate) fn start(machine: &'a Machine, choice: &ModelChoice) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            flag.store(true, Ordering::Relaxed);
            // The second Ctrl-C does not wait for the step to end, the first not for standard input.
            let second = PRESSED.swap(true, Ordering::SeqCst);
            if second || READING.load(Ordering::SeqCst) {
                imagegen::files::abandon_unfinished();
                say!("error: stopped at once");
                std::process::exit(130);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        let shelves = choice.shelves.open()?;
        let on_shelf = shelves.loras.as_ref();
        let loras = choice.lora.iter().map(|named| loras::read(named, on_shelf));
        let loras = loras.collect::<Result<_>>()?;
        let since = Instant::now();
        let room = machine.compute.room();
        let mut model = Model::load_in(choice.named.choice()?, cpu(&machine.compute), room)?;
        let embeddings = choice.embedding.iter().map(|named| read_embedding(named));
        model.learn(embeddings.collect::<Result<_>>()?)?;
        if let Some(refiner) = &choice.refiner {
            let refiner = Model::load_in(
                choice.named.folders.model(refiner)?,
                cpu(&machine.compute),
                room,
            )?;
            model.refine_with(Arc::new(refiner))?;
        }
        let load_seconds = since.elapsed().as_secs_f64();
        if !machine.quiet {
            let (mut name, cpu) = (shown(model.name()), model.cpu());
            if let Some((refiner, _)) = model.refiner() {
                name = format!("{name} and its refiner {}", shown(refiner));
            }
            let (level, threads) = (cpu.level, cpu.threads);
            say!("loaded {name} in {load_seconds:.2} s ({level}, {threads} threads)");
        }
        Ok(Self {
            machine,
            model,
            loras,
            shelves,
            stop,
            profiles: false,
            load_seconds,
            results: Vec::new(),
            failures: Vec::new(),
            advised: HashSet::new(),
            noted: HashSet::new(),
        })
    }

    /// The settings of `seeds`, one after the other, with what the prompts name of LoRAs and embeddings.
    ///
    /// Fails where they name what there is not.
    pub(crate) fn settings(
        &self,
        prompted: &Prompted,
        rule: StrengthRule,
        seeds: impl Iterator<Item = Seeds>,
    ) -> Result<Vec<Settings>> {
        let mut settings = Settings {
            prompt: prompted.prompt.clone(),
            negative_prompt: prompted.negative.clone(),
            prompt_mode: prompted.mode.prompt_mode,
            loras: self.loras.clone(),
            loras_settled: false,
            embeddings: Vec::new(),
            refiner: None,
            steps: prompted.steps.steps.map(usize::from),
            guidance_scale: prompted.guidance,
            seed: 0, // each has its own
            sampler: prompted.sampler.map(|named| named.sampler),
            sampling: prompted.sampling(),
            rule,
        };
        self.shelves.fill(&mut settings)?;
        let seeded = |seeds: Seeds| Settings {
            seed: seeds.seed,
            sampling: Sampling {
                variation: seeds.variation,
                ..settings.sampling
            },
            ..settings.clone()
        };
        Ok(seeds.map(seeded).collect())
    }

    /// Fails where Ctrl-C was pressed.
    pub(crate) fn go_on(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Stopped.into()),
            false => Ok(()),
        }
    }

    /// Says a line, unless only errors and warnings are wanted.
    pub(crate) fn tell(&self, words: std::fmt::Arguments<'_>) {
        if !self.machine.quiet {
            say!("{words}");
        }
    }

    /// Says advice, once for each subject.
    pub(crate) fn advise(&mut self, subject: &str, advice: &Advice) {
        if self.advised.insert((subject.to_owned(), advice.kind())) {
            let subject = shown(subject);
            self.tell(format_args!("{ADVICE}: {subject}: {advice}"));
        }
    }

    /// Says what is to be noted of the source of a result, once for each.
    fn note(&mut self, title: &str, outcome: &Outcome) {
        let source = outcome.facts.recipe.source.as_ref();
        let subject = source.map_or(title, |source| &source.name).to_owned();
        for note in &outcome.notes {
            if self.noted.insert((subject.clone(), *note)) {
                self.tell(format_args!("note: {}: {note}", shown(&subject)));
            }
        }
    }

    /// Adds an entry to the results of the JSON document.
    pub(crate) fn record(&mut self, entry: Value) {
        self.results.push(entry);
    }

    /// Runs a request whose result `output` is to take.
    ///
    /// Fails before the run where the request cannot be carried out or its result could not be written.
    pub(crate) fn make(
        &mut self,
        title: &str,
        request: &Request<'_>,
        output: &Output,
    ) -> Result<Made> {
        self.go_on()?; // runs without a step do not hear of Ctrl-C
        let recipe = self.model.plan(request)?;
        recipe.check(output.format())?;
        self.model
            .check_room(request, self.machine.compute.room())?;
        output.open()?;
        let mut advice = advise::before(self, request)?;
        let show = Show::fitting(self.machine.quiet);
        let mut watch = Watch::new(title.to_owned(), show, Arc::clone(&self.stop));
        let (done, profile) = match self.profiles {
            false => (self.model.run(request, &mut watch), None),
            true => {
                let since = Instant::now();
                let run = || self.model.run(request, &mut watch);
                let (done, operations) = self.model.profiled(run);
                let seconds = since.elapsed().as_secs_f64();
                (done, Some(Profile::new(seconds, operations)))
            }
        };
        let times = watch.finish();
        let outcome = done?;
        advice.extend(&outcome.advice);
        Ok(Made {
            outcome,
            times,
            advice,
            profile,
        })
    }

    /// Writes a picture, says so and remembers it. Gives its path.
    pub(crate) fn keep(
        &mut self,
        title: &str,
        made: &Made,
        output: &Output,
        place: Option<(PathBuf, Existing)>,
    ) -> Result<PathBuf> {
        let since = Instant::now();
        let (path, lost) = output.write(&made.outcome, place)?;
        let mut times = made.times.clone();
        times.push(("write", since.elapsed().as_secs_f64()));
        for warning in &lost {
            report::warning(Some(title), warning);
        }
        let mut warnings: Vec<String> = made
            .outcome
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        warnings.extend(lost.iter().map(ToString::to_string));
        for advice in &made.outcome.advice {
            self.advise(title, advice);
        }
        self.note(title, &made.outcome);
        let facts = &made.outcome.facts;
        let name = match path.as_os_str() == STANDARD {
            true => "standard output".to_owned(),
            false => shown(&path.display().to_string()),
        };
        self.tell(format_args!("wrote {name} {}", summary(facts, &times)));
        let mut result = result_json(&path.to_string_lossy(), facts, &times, &warnings)?;
        result["advice"] = advise::document(&made.advice);
        if let Some(profile) = &made.profile {
            self.tell(format_args!("{}", profile.table(facts.runs)));
            result["profile"] = profile.document(facts.runs);
        }
        let notes = made.outcome.notes.iter().map(ToString::to_string);
        result["notes"] = notes.collect();
        self.record(result);
        Ok(path)
    }

    /// Remembers a failure, so that other sources go on. Gives it back where the person stopped the
    /// run.
    pub(crate) fn failed(&mut self, subject: &str, error: Error) -> Result<()> {
        if is_cancelled(&error) {
            return Err(error);
        }
        report::error(&error);
        self.failures
            .push(json!({"source": subject, "error": report::line(&error)}));
        Ok(())
    }

    /// Ends a command that makes one thing of `subject`: with what it gave for the JSON document, or with
    /// what stopped it.
    pub(crate) fn conclude(
        mut self,
        subject: &str,
        done: Result<Map<String, Value>>,
    ) -> Result<ExitCode> {
        match done {
            Ok(more) => self.finish_with(more, None),
            Err(error) => {
                let stopped = self.failed(subject, error).err();
                self.finish(stopped)
            }
        }
    }

    /// Prints the summary and the JSON document.
    pub(crate) fn finish(self, stopped: Option<Error>) -> Result<ExitCode> {
        self.finish_with(Map::new(), stopped)
    }

    /// [`Self::finish`] with `more` in the document.
    pub(crate) fn finish_with(
        self,
        more: Map<String, Value>,
        stopped: Option<Error>,
    ) -> Result<ExitCode> {
        let (done, failed) = (self.results.len(), self.failures.len());
        if failed > 0 && done + failed > 1 {
            say!("{done} done, {failed} failed");
        }
        if self.machine.json {
            let mut document = self.document();
            document.extend(more);
            report::print(&format!("{:#}", Value::Object(document)))?;
        }
        Ok(match stopped {
            Some(error) => {
                report::error(&error);
                ExitCode::from(130)
            }
            None if failed > 0 => ExitCode::FAILURE,
            None => ExitCode::SUCCESS,
        })
    }

    fn document(&self) -> Map<String, Value> {
        let cpu = self.model.cpu();
        // One command computes all its results in one way.
        let arithmetic = self
            .results
            .first()
            .map(|result| &result["recipe"]["arithmetic"]);
        let arithmetic = arithmetic.and_then(Value::as_str).unwrap_or("f32");
        let document = json!({
            "program": imagegen::PROGRAM,
            "model": {"name": self.model.name(), "sha256": self.model.sha256()},
            "refiner": self.model.refiner().map(|(name, sha256)| json!({"name": name, "sha256": sha256})),
            "cpu": {"level": cpu.level.name(), "threads": cpu.threads, "arithmetic": arithmetic},
            "load_seconds": rounded(self.load_seconds),
            "results": self.results,
            "failures": self.failures,
        });
        match document {
            Value::Object(document) => document,
            _ => Map::new(),
        }
    }
}

/// The CPU that was asked for, or every core of this one.
pub(crate) fn cpu(compute: &Compute) -> Cpu {
    // A second thread on one core has no multiplier of its own.
    let cores = || {
        let granted = std::thread::available_parallelism().map_or(1, usize::from);
        num_cpus::get_physical().clamp(1, granted)
    };
    Cpu {
        level: compute.cpu.unwrap_or_else(Level::best),
        threads: compute.threads.map_or_else(cores, usize::from),
    }
}

/// Reads a textual inversion, named as `NAME=FILE` or by its file.
fn read_embedding(named: &str) -> Result<Embedding> {
    let (name, path) = match named.split_once('=') {
        // A file of such a name is one.
        Some((name, path)) if !Path::new(named).exists() => (Some(name), Path::new(path)),
        _ => (None, Path::new(named)),
    };
    Ok(imagegen::files::read_embedding(path, name)?)
}

/// Reads a source: a file, or standard input for `-`.
pub(crate) fn read_source(path: &Path) -> Result<Source> {
    let limits = Limits::default();
    if path.as_os_str() == STANDARD {
        let stdin = std::io::stdin().lock();
        READING.store(true, Ordering::SeqCst);
        if PRESSED.load(Ordering::SeqCst) {
            return Err(Stopped.into());
        }
        let source = imagegen::files::read_source_from(stdin, "stdin", &limits);
        READING.store(false, Ordering::SeqCst);
        return Ok(source?);
    }
    Ok(imagegen::files::read_source(path, &limits)?)
}

/// The seeds of one picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    seed: u64,
    variation: Option<Variation>,
}

/// The seeds of `count` pictures from the one asked for, or from a drawn one. They start again at 0 after the last. With a
/// variation its seed counts up instead.
pub(crate) fn seeds(
    prompted: &Prompted,
    count: u16,
) -> Result<impl Iterator<Item = Seeds> + Clone + use<>> {
    let seed = prompted.seed.unwrap_or_else(drawn_seed);
    let strength = prompted.variation_strength.filter(|&share| share > 0.0);
    let variation = strength.map(|strength| {
        let to = prompted.variation_seed.unwrap_or_else(drawn_seed);
        Variation::new(to, strength).map_err(imagegen::Error::from)
    });
    let variation = variation.transpose()?;
    let counted = move |index| match variation {
        None => Seeds {
            seed: seed.wrapping_add(index),
            variation: None,
        },
        Some(to) => Seeds {
            seed,
            variation: Some(to.towards(to.seed.wrapping_add(index))),
        },
    };
    Ok((0..u64::from(count)).map(counted))
}

/// A seed nobody chose. 32 bits, since torch's generator reads no more.
pub(crate) fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish() & u64::from(u32::MAX)
}

/// Ctrl-C was pressed between two runs.
#[derive(Debug)]
struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped before the next picture")
    }
}

impl std::error::Error for Stopped {}

/// Whether an error means that the person stopped the run.
pub(crate) fn is_cancelled(error: &Error) -> bool {
    let stopped_in_a_run = error
        .downcast_ref::<imagegen::Error>()
        .is_some_and(imagegen::Error::is_cancelled);
    stopped_in_a_run || error.is::<Stopped>()
}

/// Size, time and what was run, for people.
fn summary(facts: &Facts, times: &Times) -> String {
    let recipe = &facts.recipe;
    let seconds: f64 = times.iter().map(|(_, seconds)| seconds).sum();
    let [width, height] = recipe.size;
    let enlarged = recipe.enlarge.as_ref();
    let enlarged =
        enlarged.map(|EnlargeMark { by, with }| format!("enlarged {by} times by {with}"));
    if let Some(enlarged) = enlarged.as_ref().filter(|_| recipe.strength == 0.0) {
        return format!("{width}x{height} in {seconds:.2} s ({enlarged})");
    }
    let enlarged = enlarged.map_or_else(String::new, |enlarged| enlarged + ", ");
    let fidelity = recipe.fidelity.map_or_else(String::new, |fidelity| {
        format!(", fidelity {:.2}", fidelity.overall)
    });
    let painted = facts.inpaint.map_or_else(String::new, |painted| {
        let seam = painted
            .seam
            .map_or_else(String::new, |seam| format!(", seam {:.1}", seam.figure));
        let (share, kept) = (painted.share * 100.0, painted.kept);
        format!(", mask {share:.1} %, {kept} pixels outside it checked and unchanged{seam}")
    });
    let second = recipe.hires.as_ref().map_or(0, |second| second.steps);
    let steps = recipe.steps + second;
    let varied = recipe.variation.map_or_else(String::new, |to| {
        format!(", variation seed {} at {}", to.seed, to.strength)
    });
    format!(
        "{width}x{height} in {seconds:.2} s ({enlarged}strength {}{fidelity}, ran {} of {} steps from sigma \
         {:.3}, seed {}{varied}{painted})",
        recipe.strength, facts.runs, steps, facts.start_sigma, recipe.seed
    )
}

fn result_json(file: &str, facts: &Facts, times: &Times, warnings: &[String]) -> Result<Value> {
    let recipe: Value = serde_json::from_str(&facts.recipe.json())?;
    let seconds: Map<String, Value> = times
        .iter()
        .map(|(stage, seconds)| ((*stage).to_owned(), rounded(*seconds)))
        .collect();
    let fidelity = facts.fidelity.map(|fidelity| {
        json!({
            "overall": fidelity.overall,
            "structure": fidelity.structure,
            "colour": fidelity.colour,
            "ms_ssim": fidelity.ms_ssim,
            "edges": fidelity.edges,
            "colour_shift": fidelity.colour_shift,
        })
    });
    Ok(json!({
        "file": file,
        "recipe": recipe,
        "steps_run": facts.runs,
        "start_sigma": facts.start_sigma,
        "start_timestep": facts.start_timestep,
        "fidelity": fidelity,
        "prompts": facts.prompts.iter().map(PromptRecord::from).collect::<Vec<_>>(),
        "inpaint": facts.inpaint.map(PaintedRecord::from),
        "seconds": seconds,
        "warnings": warnings,
    }))
}

/// Milliseconds are precise enough for a clock.
fn rounded(seconds: f64) -> Value {
    json!((seconds * 1000.0).round() / 1000.0)
}
