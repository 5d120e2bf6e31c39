//! Every sampler and spacing against diffusers and k-diffusion, call by call.

mod common;

use std::collections::BTreeMap;

use common::reference::{
    Formula, Stored, Trail, json, number, numbers, slice, tensors, times, training,
};
use common::{Tolerance, close};
use imagegen_pipeline::{
    BoxedError, Discrete, Layout, Network, Plan, PlanRequest, Sampler, Schedule, Silent, Spacing,
    Start, Stepping, Strength, StrengthRule, Tensor,
};
use serde_json::Value;

/// Latents of size about 1 after up to 31 calls in f32 on both sides. DEIS subtracts integrals that
/// are nearly the same, and diffusers does so in f32: 1.2e-4 off at worst; 3.4e-5 for the others.
const DIFFUSERS: Tolerance = Tolerance {
    atol: 2e-4,
    rtol: 2e-4,
};
/// Ours in f32 against k-diffusion in f64. Latents are as large as the first sigma, up to 14.6 times
/// the noise, and two steps to sigma 0.03 leave little of that: DPM2 a is 2.2e-4 off at worst.
const K_DIFFUSION: Tolerance = Tolerance {
    atol: 4e-4,
    rtol: 2e-6,
};
/// Levels in f64 on both sides; scipy's quantiles and ours agree to 1e-11.
const LEVELS: f64 = 1e-9;

fn sampler_of(run: &Value) -> Sampler {
    let name = run["sampler"].as_str().expect("a name");
    let sampler = Sampler::parse(name).expect("a sampler of ours");
    match run["eta"].as_f64() {
        Some(eta) => sampler.with_eta(eta).expect("in range"),
        None => sampler,
    }
}

fn spacing_of(run: &Value) -> Spacing {
    Spacing::parse(run["spacing"].as_str().expect("a name")).expect("a spacing of ours")
}

fn draws(file: &BTreeMap<String, Tensor>) -> Stored {
    let draws = &file["draws"];
    Stored((0..draws.shape()[0]).map(|i| slice(draws, i)).collect())
}

/// The formula, told the timesteps of the reference: where diffusers rounds a fraction that lies at a
/// half, or cuts one off just below a whole number, its f32 table decides.
struct Told<'a>(std::slice::Iter<'a, f64>);

impl Network for Told<'_> {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let told = *self.0.next().ok_or("one call too many")?;
        if (told - timestep).abs() > 1.0 {
            return Err(format!("timestep {timestep}, expected {told}").into());
        }
        Formula.predict(input, told)
    }
}

/// What each call was fed, and the result, in the scale of the reference.
struct Ours {
    held: Vec<Tensor>,
    timesteps: Vec<f64>,
}

fn plan_of(run: &Value, config: &Value) -> Plan {
    let sampler = sampler_of(run);
    let request = PlanRequest {
        sampler,
        spacing: spacing_of(run),
        steps: number(&run["steps"]) as usize,
        strength: Strength::new(number(&run["strength"])).expect("in range"),
        rule: StrengthRule::Diffusers,
    };
    let training = training(config, sampler);
    let plan = if request.strength.get() < 1.0 {
        Plan::img2img(&training, request)
    } else {
        Plan::text2img(&training, request)
    };
    plan.expect("diffusers ran it")
}

fn our_run(run: &Value, config: &Value, file: &BTreeMap<String, Tensor>) -> Ours {
    let plan = plan_of(run, config);
    let noise = file["noise"].nchw_to_nhwc().expect("four sizes");
    let noised = match plan.start {
        Start::PureNoise => times(&noise, plan.schedule.pure_noise_scale()),
        _ => {
            let clean = file["clean"].nchw_to_nhwc().expect("four sizes");
            let noise = times(&noise, plan.start_sigma());
            let sum = clean.data().iter().zip(noise.data()).map(|(c, n)| c + n);
            Tensor::new(clean.shape(), sum.collect()).expect("the shape stays")
        }
    };
    let told = numbers(&run["timesteps"]);
    let prediction = training(config, plan.sampler).config().prediction_type;
    let mut network = Discrete::new(Told(told.iter()), prediction);
    let mut trail = Trail {
        inner: &mut network,
        held: Vec::new(),
        levels: Vec::new(),
    };
    let mut noise = draws(file);
    let end = plan
        .sampler
        .run(&mut trail, noised, &plan.schedule, &mut noise, &mut Silent)
        .unwrap_or_else(|error| panic!("{run}: {error}"));
    // diffusers' classes of Euler's kind hold clean + sigma * noise as we do, the others latents of
    // variance 1.
    let plain = ["euler", "heun", "lms", "dpm2", "dpm2_a"].contains(&plan.sampler.name());
    let scale = |sigma: f64| {
        if plain {
            1.0
        } else {
            1.0 / (1.0 + sigma * sigma).sqrt()
        }
    };
    let timesteps = trail.levels.iter().map(|level| level.timestep).collect();
    let sigmas = trail.levels.iter().map(|level| level.sigma);
    let sigmas = sigmas.chain([plan.schedule.final_sigma()]);
    trail.held.push(end);
    let held = trail.held.iter().zip(sigmas);
    Ours {
        held: held
            .map(|(held, sigma)| times(held, scale(sigma)))
            .collect(),
        timesteps,
    }
}

/// How far apart two sides are: the largest difference, and what the root of the mean square needs.
#[derive(Default)]
struct Off {
    largest: f64,
    squares: f64,
    count: usize,
}

impl Off {
    fn take_in(&mut self, other: &Self) {
        self.largest = self.largest.max(other.largest);
        self.squares += other.squares;
        self.count += other.count;
    }

    fn rms(&self) -> f64 {
        (self.squares / self.count as f64).sqrt()
    }
}

/// Differences by the name of a sampler, and by that of a spacing.
#[derive(Default)]
struct Differences {
    samplers: BTreeMap<String, Off>,
    spacings: BTreeMap<String, Off>,
}

impl Differences {
    fn take_in(&mut self, run: &Value, off: &Off) {
        let sampler = sampler_of(run).name().to_owned();
        self.samplers.entry(sampler).or_default().take_in(off);
        let spacing = spacing_of(run).name().to_owned();
        self.spacings.entry(spacing).or_default().take_in(off);
    }

    /// Prints the rows of the table in `docs/samplers.md`.
    fn print(&self, reference: &str) {
        for (kind, all) in [("sampler", &self.samplers), ("schedule", &self.spacings)] {
            for (name, off) in all {
                let (largest, rms) = (off.largest, off.rms());
                println!("| {kind} {name} | {reference} | {largest:.1e} | {rms:.1e} |");
            }
        }
    }
}

/// The differences of a run, or where one is too large.
fn compare(held: &[Tensor], want: &Tensor, tolerance: Tolerance) -> Result<Off, String> {
    if held.len() != want.shape()[0] {
        return Err(format!(
            "{} states, expected {}",
            held.len(),
            want.shape()[0]
        ));
    }
    let mut all = Off::default();
    for (i, held) in held.iter().enumerate() {
        let want = slice(want, i);
        let largest = close(held.data(), want.data(), tolerance)
            .map_err(|fault| format!("state {i}: {fault}"))?;
        let pairs = held.data().iter().zip(want.data());
        let squares = pairs.map(|(got, want)| f64::from(got - want).powi(2)).sum();
        let count = want.data().len();
        all.take_in(&Off {
            largest,
            squares,
            count,
        });
    }
    Ok(all)
}

/// Differences from diffusers' runs.
fn against_diffusers() -> Differences {
    let (index, file) = (
        json("all_samplers.json"),
        tensors("all_samplers.safetensors"),
    );
    let runs = index["runs"].as_array().expect("a list");
    assert!(runs.len() >= 400, "only {} runs", runs.len());
    let mut differences = Differences::default();
    let mut faults = Vec::new();
    for run in runs {
        let config = &index["configs"][run["config"].as_str().expect("a name")];
        let ours = our_run(run, config, &file);
        let rounds = spacing_of(run) != Spacing::Model;
        for (got, want) in ours.timesteps.iter().zip(numbers(&run["timesteps"])) {
            // A spacing by sigma reads diffusers' table of f32 sigmas backwards.
            let slack = if rounds { 1.0 } else { 1e-2 };
            if (got - want).abs() > slack {
                faults.push(format!("timestep {got}, expected {want}: {run}"));
            }
        }
        let want = &file[run["key"].as_str().expect("a name")];
        match compare(&ours.held, want, DIFFUSERS) {
            Ok(off) => differences.take_in(run, &off),
            Err(fault) => faults.push(format!("{fault}: {run}")),
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    differences
}

/// Differences from k-diffusion's runs.
fn against_k_diffusion() -> Differences {
    let (index, file) = (json("k_samplers.json"), tensors("k_samplers.safetensors"));
    let runs = index["runs"].as_array().expect("a list");
    assert!(runs.len() >= 400, "only {} runs", runs.len());
    let mut differences = Differences::default();
    let mut faults = Vec::new();
    for run in runs {
        let (sampler, steps) = (sampler_of(run), number(&run["steps"]) as usize);
        let training = training(
            &index["configs"][run["config"].as_str().expect("a name")],
            sampler,
        );
        let first = number(&run["first"]) as usize;
        let schedule = tail(&training, sampler, spacing_of(run), [steps, first]);
        let want = &file[run["key"].as_str().expect("a name")];
        let mut network = Discrete::new(Formula, training.config().prediction_type);
        let mut trail = Trail {
            inner: &mut network,
            held: Vec::new(),
            levels: Vec::new(),
        };
        let (start, mut noise) = (slice(want, 0), draws(&file));
        let end = sampler.run(&mut trail, start, &schedule, &mut noise, &mut Silent);
        trail.held.push(end.expect("the formula never fails"));
        match compare(&trail.held, want, K_DIFFUSION) {
            Ok(off) => differences.take_in(run, &off),
            Err(fault) => faults.push(format!("{fault}: {run}")),
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    differences
}

/// `steps` steps of a spacing without the first ones.
fn tail(
    training: &imagegen_pipeline::TrainingSchedule,
    sampler: Sampler,
    spacing: Spacing,
    [steps, first]: [usize; 2],
) -> Schedule {
    let layout = Layout {
        sampler,
        spacing,
        steps,
        stepping: Stepping::Consistent,
    };
    let full = training.schedule(layout).expect("few enough steps");
    let levels = full.levels()[first..].to_vec();
    Schedule::new(training, levels, full.final_sigma()).expect("the tail of a schedule is one")
}

#[test]
fn every_sampler_matches_diffusers_call_by_call() {
    against_diffusers().print("diffusers");
}

#[test]
fn samplers_match_k_diffusion_call_by_call() {
    against_k_diffusion().print("k-diffusion");
}

#[test]
fn spacings_match_their_definitions() {
    let index = json("k_samplers.json");
    let all = index["levels"].as_array().expect("a list");
    assert!(all.len() >= 80);
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    for want in all {
        let sampler = Sampler::Euler;
        let training = training(
            &index["configs"][want["config"].as_str().expect("a name")],
            sampler,
        );
        let steps = number(&want["steps"]) as usize;
        let schedule = tail(&training, sampler, spacing_of(want), [steps, 0]);
        let sigmas = numbers(&want["sigmas"]);
        assert_eq!(schedule.levels().len(), sigmas.len());
        for (level, sigma) in schedule.levels().iter().zip(sigmas) {
            let off = (level.sigma / sigma - 1.0).abs();
            assert!(off < LEVELS, "{want}: {} is off by {off:e}", level.sigma);
            let worst = worst.entry(spacing_of(want).name()).or_default();
            *worst = worst.max(off);
        }
    }
    for (name, off) in worst {
        println!("| levels of {name} | its definition in float64 | {off:.1e} |");
    }
}

#[test]
fn the_page_names_every_sampler() {
    let page = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/samplers.md");
    let page = std::fs::read_to_string(page).expect("the page is part of the repository");
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| name |"))
        .skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let told = rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let mut names = vec![cells[0]];
        names.extend(cells[1].split(", "));
        names
    });
    let told: Vec<_> = told.collect();
    let known: Vec<_> = Sampler::ALL.iter().map(|s| s.names().to_vec()).collect();
    assert_eq!(told, known);
}

#[test]
fn zeros_pass_no_tolerance() {
    let runs = tensors("all_samplers.safetensors");
    let exact = tensors("k_samplers.safetensors");
    for (want, tolerance) in [(&runs["run.0"], DIFFUSERS), (&exact["run.0"], K_DIFFUSION)] {
        let zeros = Tensor::zeros(slice(want, 0).shape());
        let zeros = vec![zeros; want.shape()[0]];
        assert!(compare(&zeros, want, tolerance).is_err());
    }
}
