//! A fuzzer on stable Rust: mutates seed files, throws them at a target and keeps those that make it say
//! something new. The same seed gives the same files.
//!
//! `cargo run -- [TARGET...]`; `FUZZ_FILES` files for each target or, where that is not set, `FUZZ_SECONDS`
//! (20) of them; `FUZZ_SEED` (1). A panic, a wrong answer, more than [`SLOW`] for one file or a crash leaves
//! the file in `target/fuzz`.

mod mutate;
mod random;
mod seeds;
mod targets;

use std::collections::HashSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use random::Random;
use targets::Target;

/// Longest time that one file may take. The limits of the targets keep honest files far below it.
const SLOW: Duration = Duration::from_secs(5);
/// Most files that are kept for further mutation.
const KEPT: usize = 2000;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let unknown = named.iter().find(|name| Target::named(name).is_none());
    if let Some(name) = unknown {
        let known: Vec<_> = Target::ALL.iter().map(|target| target.name).collect();
        eprintln!(
            "error: target {name:?} is not known, expected {}",
            known.join(", ")
        );
        return ExitCode::from(2);
    }
    let (Some(enough), Some(seed)) = (Enough::said(), number("FUZZ_SEED", 1)) else {
        return ExitCode::from(2);
    };
    let chosen =
        |target: &&Target| named.is_empty() || named.iter().any(|name| name == target.name);
    for target in Target::ALL.iter().filter(chosen) {
        if let Err(fault) = fuzz(target, &enough, seed) {
            eprintln!("error: {}: {fault}", target.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// When a target has seen enough.
enum Enough {
    /// Whatever the machine makes of it.
    Time(Duration),
    /// The same on every machine.
    Files(u64),
}

impl Enough {
    /// What the variables say; `None`, said, where one is no number.
    fn said() -> Option<Self> {
        match std::env::var_os("FUZZ_FILES") {
            Some(_) => Some(Self::Files(number("FUZZ_FILES", 0)?)),
            None => Some(Self::Time(Duration::from_secs(number("FUZZ_SECONDS", 20)?))),
        }
    }

    fn is_reached(&self, files: u64, since: Instant) -> bool {
        match self {
            Self::Time(time) => since.elapsed() >= *time,
            Self::Files(most) => files >= *most,
        }
    }
}

/// A variable's number, or `default`; `None`, said, where it is none.
fn number(name: &str, default: u64) -> Option<u64> {
    let Ok(text) = std::env::var(name) else {
        return Some(default);
    };
    let number = text.parse().ok();
    if number.is_none() {
        eprintln!("error: variable {name} is {text:?}, expected a whole number");
    }
    number
}

fn fuzz(target: &Target, enough: &Enough, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut files = seeds::of(target.name)?;
    let mut answers = HashSet::new();
    // Where it is left if the program ends with the target.
    let current = place(target.name, "current")?;
    for file in files.clone() {
        answers.insert(shape(&tried(target, &file, &current)?));
    }
    let (begun, seeds) = (Instant::now(), files.len());
    let mut runs = 0u64;
    while !enough.is_reached(runs, begun) {
        let file = mutate::mutated(&files, &mut random);
        let answer = shape(&tried(target, &file, &current)?);
        runs += 1;
        if answers.insert(answer) && files.len() < KEPT {
            files.push(file);
        }
    }
    let _ = std::fs::remove_file(&current);
    println!(
        "{}: {runs} files in {:.0} s, {} answers, {} files kept beside {seeds} seeds",
        target.name,
        begun.elapsed().as_secs_f64(),
        answers.len(),
        files.len() - seeds
    );
    Ok(())
}

/// The target's answer to `file`. Fails where it panics, takes too long or answers wrongly; the file is
/// kept then.
fn tried(target: &Target, file: &[u8], current: &Path) -> Result<String, String> {
    std::fs::write(current, file).map_err(|error| format!("{}: {error}", current.display()))?;
    let since = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(file)));
    let took = since.elapsed();
    let fault = match answer {
        Ok(Ok(answer)) if took <= SLOW => return Ok(answer),
        Ok(Ok(_)) => format!("took {took:.1?}, expected at most {SLOW:?}"),
        Ok(Err(wrong)) => wrong,
        Err(_) => "panicked".to_owned(),
    };
    let kept = place(target.name, "failed")?;
    let wrote = std::fs::File::create(&kept).and_then(|mut kept| kept.write_all(file));
    wrote.map_err(|error| format!("{}: {error}", kept.display()))?;
    Err(format!("{fault}; the file is {}", kept.display()))
}

fn place(target: &str, kind: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    let made = std::fs::create_dir_all(&folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join(format!("{target}-{kind}")))
}

/// An answer without its numbers, which would make every file new.
fn shape(answer: &str) -> String {
    let mut shape = String::new();
    for c in answer.chars().take(200) {
        match c.is_ascii_digit() {
            true if shape.ends_with('0') => {}
            true => shape.push('0'),
            false => shape.push(c),
        }
    }
    shape
}
