//! Every row of the table in `docs/strength.md` is what the program does.

mod common;

use std::path::PathBuf;

use common::{layout, stable_diffusion, starter};
use imagegen_pipeline::{
    Error, Plan, PlanRequest, Sampler, Spacing, Start, Stepping, Strength, StrengthRule,
};

/// The rows of the table with this head, each as its cells.
fn rows(head: &str) -> Vec<Vec<String>> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/strength.md");
    let page = std::fs::read_to_string(page).expect("the page is part of the repository");
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2);
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

#[test]
fn the_page_tells_what_runs() {
    let rows = rows("| model | sampler |");
    assert!(rows.len() >= 60, "only {} rows were found", rows.len());
    for row in rows {
        let [
            model,
            sampler,
            rule,
            steps,
            strength,
            runs,
            start,
            timestep,
            sigma,
        ] = &row[..]
        else {
            panic!("a row of other than nine cells: {row:?}");
        };
        let sampler = Sampler::parse(sampler).unwrap();
        let training = match model.as_str() {
            "starter" => starter(sampler),
            "SD 1.5" => stable_diffusion(sampler),
            other => panic!("model {other}"),
        };
        let rule: StrengthRule = rule.parse().unwrap();
        let (steps, strength) = (steps.parse().unwrap(), strength.parse().unwrap());
        let strength = Strength::new(strength).unwrap();
        let plan = match Plan::img2img(
            &training,
            PlanRequest {
                sampler,
                spacing: Spacing::Model,
                steps,
                strength,
                rule,
            },
        ) {
            Err(Error::NoSteps { .. }) => {
                assert_eq!(runs, "refused", "{row:?}");
                continue;
            }
            plan => plan.unwrap(),
        };
        assert_eq!(plan.runs.to_string(), *runs, "{row:?}");
        let words = match plan.start {
            Start::Nothing => "the source",
            Start::PureNoise => "noise",
            Start::NoisedSource => "noised source",
        };
        assert_eq!(words, start, "{row:?}");
        let Some(level) = plan.start_level else {
            assert_eq!([timestep, sigma], ["–", "–"], "{row:?}");
            continue;
        };
        // The page rounds to four decimals.
        for (got, want) in [(level.timestep, timestep), (level.sigma, sigma)] {
            let want: f64 = want.parse().unwrap();
            assert!((got - want).abs() < 6e-5, "{row:?}: {got}");
        }
    }
}

/// Runs and start sigma as the page writes them.
fn cell(runs: usize, sigma: f64) -> String {
    format!("{runs} from {sigma:.4}")
}

#[test]
fn the_page_tells_what_other_programs_run() {
    let rows = rows("| steps | strength | share |");
    assert!(rows.len() >= 20, "only {} rows were found", rows.len());
    let training = stable_diffusion(Sampler::Euler);
    for row in rows {
        let (steps, strength): (usize, f64) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        for (rule, told) in StrengthRule::ALL.into_iter().zip(&row[2..6]) {
            let request = PlanRequest {
                sampler: Sampler::Euler,
                spacing: Spacing::Model,
                steps,
                strength: Strength::new(strength).unwrap(),
                rule,
            };
            let plan = Plan::img2img(&training, request).unwrap();
            assert_eq!(
                cell(plan.runs, plan.start_sigma()),
                *told,
                "{row:?} {rule:?}"
            );
        }
        // ComfyUI: the last `steps` of as many as strength says.
        let laid_out = (steps as f64 / strength) as usize;
        let full = layout(Sampler::Euler, laid_out, Stepping::Consistent);
        let full = training.schedule(full).unwrap();
        let start = full.levels()[laid_out - steps].sigma;
        assert_eq!(cell(steps, start), row[6], "{row:?}");
    }
}
