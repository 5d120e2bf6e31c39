//! Every row of the table in `docs/strength.md` is what the program does.

mod common;

use std::path::PathBuf;

use common::{stable_diffusion, starter};
use imagegen_pipeline::{Error, Plan, PlanRequest, Sampler, Start, Strength, StrengthRule};

/// The table's rows, each as its cells.
fn rows() -> Vec<Vec<String>> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/strength.md");
    let page = std::fs::read_to_string(page).expect("the page is part of the repository");
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("| model | sampler |"))
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
    let rows = rows();
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
