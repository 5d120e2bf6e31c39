//! Strength and guidance, as `docs/strength.md` and the help describe them.

use std::fs;
use std::path::Path;

use crate::place::{Place, distance, painted, painted_with_alpha};

#[test]
fn strength_0_returns_the_pixels_and_runs_nothing() {
    let place = Place::new();
    // Colours below alpha 0 are pixels too.
    place.save("a.png", &painted_with_alpha(97, 71).into());
    let done = place.succeed("transform a.png -p winter -s 0 -o o.png --json");
    assert_eq!(place.open("o.png"), place.open("a.png"));
    assert_eq!(done.json()["results"][0]["steps_run"], 0);
    let warnings = done.lines("warning: a.png: strength 0 returns the source");
    assert_eq!(warnings.len(), 1, "{}", done.stderr);
}

#[test]
fn strength_1_is_text_to_image_whatever_the_source_shows() {
    let place = Place::new();
    for (width, height) in [(80, 64), (97, 71)] {
        place.save("a.png", &painted(width, height, 0).into());
        place.save("b.png", &painted(width, height, 200).into());
        for rule in ["share", "exact"] {
            place.succeed(&format!(
                "transform a.png b.png -p winter -s 1 --strength-rule {rule} --steps 2 --seed 3 -o {rule}/"
            ));
            let one = place.open(&format!("{rule}/a-winter-3.png"));
            assert_eq!(one, place.open(&format!("{rule}/b-winter-3.png")), "{rule}");
            place.succeed(&format!(
                "generate -p winter --size {width}x{height} --steps 2 --seed 3 -o text.png"
            ));
            assert_eq!(one, place.open("text.png"), "{rule} {width}x{height}");
            fs::remove_dir_all(place.path(rule)).unwrap();
        }
    }
    // A run that does read the source tells the two apart.
    place.succeed("transform a.png b.png -p winter -s 0.9 --steps 2 --seed 3 -o other/");
    let (one, two) = ("other/a-winter-3.png", "other/b-winter-3.png");
    assert_ne!(place.open(one), place.open(two));
}

#[test]
fn change_grows_with_strength() {
    let place = Place::with_source();
    let changes = [0.1, 0.5, 1.0].map(|strength| {
        place.succeed(&format!(
            "transform a.png -p sketch -s {strength} --seed 5 -o o.png"
        ));
        distance(&place.open("o.png"), &place.open("a.png")).1
    });
    let [low, middle, high] = changes;
    assert!(0.0 < low && low < middle && middle < high, "{changes:?}");
}

#[test]
fn a_generated_picture_can_be_transformed() {
    let place = Place::new();
    place.succeed("generate -p winter --size 70x50 --steps 2 --seed 1 -o start.png");
    place.succeed("transform start.png -p comic --steps 2 --seed 1 -o end.png");
    let (start, end) = (place.open("start.png"), place.open("end.png"));
    assert_eq!((start.width(), start.height()), (70, 50));
    assert!(distance(&start, &end).1 > 0.0);
}

/// Rule, steps, strength, steps that run (`None`: refused), timestep and sigma of the first (`None`:
/// nothing runs), from the starter's rows of the table in `docs/strength.md`.
type Row = (String, u32, f64, Option<u64>, Option<(f64, f64)>);

fn documented_rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/strength.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| starter |"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let start = cells[8].parse().ok().zip(cells[9].parse().ok());
        (
            cells[3].to_owned(),
            cells[4].parse().unwrap(),
            cells[5].parse().unwrap(),
            cells[6].parse().ok(),
            start,
        )
    })
    .collect()
}

#[test]
fn rules_run_the_documented_steps() {
    let place = Place::with_source();
    // The quick rows; all of them are checked where the plan is made.
    let rows = documented_rows().into_iter();
    let rows: Vec<_> = rows.filter(|row| row.1 < 10 || row.2 <= 0.25).collect();
    assert_eq!(rows.len(), 16, "the table has changed: {rows:?}");
    for (rule, steps, strength, runs, start) in rows {
        let done = place.run(&format!(
            "transform a.png -p winter --strength-rule {rule} --steps {steps} -s {strength} \
             -o o.png --json"
        ));
        let json = done.json();
        let Some(runs) = runs else {
            assert_eq!(done.code, 1);
            let error = json["failures"][0]["error"].as_str().unwrap();
            assert!(error.contains("0 steps under rule diffusers"), "{error}");
            continue;
        };
        let result = &json["results"][0];
        let case = format!("{rule} {steps} {strength}: {result}");
        assert_eq!(result["steps_run"], runs, "{case}");
        assert_eq!(result["recipe"]["strength_rule"], rule, "{case}");
        let (timestep, sigma) = (&result["start_timestep"], &result["start_sigma"]);
        match start {
            None => assert!(timestep.is_null() && sigma == 0.0, "{case}"),
            Some((t, s)) => {
                assert!((timestep.as_f64().unwrap() - t).abs() < 1e-4, "{case}");
                assert!((sigma.as_f64().unwrap() - s).abs() < 1e-4, "{case}");
            }
        }
    }
}

#[test]
fn guidance_0_leaves_the_prompt_out_and_1_the_negative_prompt() {
    let place = Place::with_source();
    let run = |texts: &str, guidance: &str| {
        let done = place.succeed(&format!(
            "transform a.png {texts} --guidance {guidance} --steps 4 --seed 2 -o o.png"
        ));
        (place.open("o.png"), done)
    };
    let (winter, done) = run("-p winter -n sketch", "0");
    let said = |start| done.lines(start).len();
    assert_eq!(
        said("warning: a.png: the prompt is not used at guidance 0"),
        1
    );
    assert_eq!(winter, run("-p comic -n sketch", "0").0);
    assert_ne!(winter, run("-p winter -n night", "0").0);

    let (winter, done) = run("-p winter -n sketch", "1");
    let said = |start| done.lines(start).len();
    let start = "warning: a.png: the negative prompt is not used at guidance 1";
    assert_eq!(said(start), 1, "{}", done.stderr);
    assert_eq!(winter, run("-p winter -n night", "1").0);
    assert_ne!(winter, run("-p sketch", "1").0);
    assert_ne!(winter, run("-p winter -n sketch", "3").0);
}
