//! What `transform` and `generate` share: the loaded model, runs by seed, the summary.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Error, Result};
use imagegen::{Cpu, Level, Model, ModelSource, Outcome, Settings, StrengthRule, Watcher};
use serde_json::{Value, json};

use crate::arguments::Common;
use crate::output::Output;
use crate::report;
use crate::watch::{Show, Times, Watch};

/// One command at work.
pub(crate) struct Session<'a> {
    common: &'a Common,
    pub(crate) model: Model,
    output: Output,
    first_seed: u64,
    stop: Arc<AtomicBool>,
    load_seconds: f64,
    results: Vec<Value>,
    failures: Vec<Value>,
}

impl<'a> Session<'a> {
    /// Checks where results go, then loads the model.
    pub(crate) fn start(common: &'a Common, sources: usize) -> Result<Self> {
        let output = Output::plan(common.output.as_deref(), sources, common.count)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130); // the second Ctrl-C does not wait for the step to end
            }
        })
        .context("cannot listen for Ctrl-C")?;
        let since = Instant::now();
        let source: ModelSource = common.model.parse()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = Cpu {
            level: common.cpu.unwrap_or_else(Level::best),
            threads: common.threads.map_or_else(cores, usize::from),
        };
        let model = Model::load(&source, cpu)?;
        let load_seconds = since.elapsed().as_secs_f64();
        if !common.quiet {
            let (name, cpu) = (model.name(), model.cpu());
            let (level, threads) = (cpu.level, cpu.threads);
            eprintln!("loaded {name} in {load_seconds:.2} s (f32, {level}, {threads} threads)");
        }
        Ok(Self {
            common,
            model,
            output,
            first_seed: common.seed.unwrap_or_else(drawn_seed),
            stop,
            load_seconds,
            results: Vec::new(),
            failures: Vec::new(),
        })
    }

    /// The settings of every seed asked for. Seeds are counted up and start again at 0 after the
    /// last.
    pub(crate) fn settings(&self, rule: StrengthRule) -> Vec<Settings> {
        let seeds = (0..u64::from(self.common.count)).map(|k| self.first_seed.wrapping_add(k));
        seeds
            .map(|seed| Settings {
                prompt: self.common.prompt.clone(),
                negative_prompt: self.common.negative.clone(),
                steps: self.common.steps.map(usize::from),
                guidance_scale: self.common.guidance,
                seed,
                sampler: self.common.sampler,
                rule,
            })
            .collect()
    }

    /// Runs one request, writes its result and says so.
    pub(crate) fn run(
        &mut self,
        title: &str,
        request: impl FnOnce(&Model, &mut dyn Watcher) -> Result<Outcome, imagegen::Error>,
    ) -> Result<()> {
        let show = Show::fitting(self.common.quiet);
        let mut watch = Watch::new(title.to_owned(), show, Arc::clone(&self.stop));
        let done = request(&self.model, &mut watch);
        let mut times = watch.finish();
        let outcome = done?;
        let since = Instant::now();
        let (path, lost) = self.output.write(&outcome)?;
        times.push(("write", since.elapsed().as_secs_f64()));
        for warning in &lost {
            report::warning(Some(title), warning);
        }
        let mut warnings: Vec<String> = outcome.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(lost.iter().map(ToString::to_string));
        let facts = &outcome.facts;
        if !self.common.quiet {
            let recipe = &facts.recipe;
            let seconds: f64 = times.iter().map(|(_, seconds)| seconds).sum();
            eprintln!(
                "wrote {} {}x{} in {seconds:.2} s (strength {}, ran {} of {} steps from sigma \
                 {:.3}, seed {})",
                path.display(),
                recipe.size[0],
                recipe.size[1],
                recipe.strength,
                facts.runs,
                recipe.steps,
                facts.start_sigma,
                recipe.seed
            );
        }
        let path = path.to_string_lossy().into_owned();
        self.results
            .push(result_json(&path, facts, &times, &warnings)?);
        Ok(())
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

    /// Prints the summary and the JSON document.
    pub(crate) fn finish(self, stopped: Option<Error>) -> ExitCode {
        let (done, failed) = (self.results.len(), self.failures.len());
        if failed > 0 && done + failed > 1 {
            eprintln!("{done} done, {failed} failed");
        }
        if self.common.json {
            println!("{:#}", self.json());
        }
        match stopped {
            Some(error) => {
                report::error(&error);
                ExitCode::from(130)
            }
            None if failed > 0 => ExitCode::FAILURE,
            None => ExitCode::SUCCESS,
        }
    }

    fn json(&self) -> Value {
        let cpu = self.model.cpu();
        json!({
            "program": imagegen::PROGRAM,
            "model": {"name": self.model.name(), "sha256": self.model.sha256()},
            "cpu": {"level": cpu.level.name(), "threads": cpu.threads, "arithmetic": "f32"},
            "load_seconds": rounded(self.load_seconds),
            "results": self.results,
            "failures": self.failures,
        })
    }
}

/// Whether an error means that the person stopped the run.
pub(crate) fn is_cancelled(error: &Error) -> bool {
    error
        .downcast_ref::<imagegen::Error>()
        .is_some_and(imagegen::Error::is_cancelled)
}

fn result_json(
    file: &str,
    facts: &imagegen::Facts,
    times: &Times,
    warnings: &[String],
) -> Result<Value> {
    let recipe: Value = serde_json::from_str(&facts.recipe.json())?;
    let seconds: serde_json::Map<String, Value> = times
        .iter()
        .map(|(stage, seconds)| ((*stage).to_owned(), rounded(*seconds)))
        .collect();
    Ok(json!({
        "file": file,
        "recipe": recipe,
        "steps_run": facts.runs,
        "start_sigma": facts.start_sigma,
        "start_timestep": facts.start_timestep,
        "seconds": seconds,
        "warnings": warnings,
    }))
}

/// Milliseconds are precise enough for a clock.
fn rounded(seconds: f64) -> Value {
    json!((seconds * 1000.0).round() / 1000.0)
}

/// A seed nobody chose. 32 bits, since torch's generator reads no more.
fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish() & u64::from(u32::MAX)
}
