//! Whose noise seeds stand for, and pictures between two seeds.

use crate::place::Place;
use crate::{alone, run, succeed};

const PLAIN: &str = "transform a.png -p winter -s 0.7 --steps 3 --seed 4";

#[test]
fn noise_and_variations_have_their_say_and_are_replayed() {
    let place = Place::with_source();
    let all = "--noise nv --variation-seed 18446744073709551615 --variation-strength 0.3 --sampler euler_a";
    let done = succeed(&place, &format!("{PLAIN} {all} -o o.png"));
    let said = "seed 4, variation seed 18446744073709551615 at 0.3)";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    succeed(&place, "replay o.png -o again.png");
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    for (less, instead) in [
        ("--noise nv", ""),
        ("--variation-strength 0.3", "--variation-strength 0.4"),
        (
            "--variation-seed 18446744073709551615",
            "--variation-seed 5",
        ),
    ] {
        let options = all.replace(less, instead);
        succeed(&place, &format!("{PLAIN} {options} -o less.png"));
        assert!(place.open("less.png") != place.open("o.png"), "{options}");
    }
    succeed(&place, &format!("{PLAIN} -o plain.png"));
    succeed(
        &place,
        &format!("{PLAIN} --noise cpu --variation-seed 9 --variation-strength 0 -o same.png"),
    );
    assert!(place.bytes("same.png") == place.bytes("plain.png"));
}

#[test]
fn of_several_results_the_variation_seed_counts_up() {
    let place = Place::with_source();
    let several = "--count 3 --variation-seed 18446744073709551615 --variation-strength 0.5";
    let json = succeed(&place, &format!("{PLAIN} {several} -o r.png --json")).json();
    let recipes: Vec<_> = json["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let recipe = &result["recipe"];
            (recipe["seed"].clone(), recipe["variation"]["seed"].clone())
        })
        .collect();
    let seeds = [
        serde_json::json!("18446744073709551615"),
        serde_json::json!(0),
        serde_json::json!(1),
    ];
    assert_eq!(recipes, seeds.map(|seed| (serde_json::json!(4), seed)));
    let names = ["r-0.png", "r-1.png", "r-18446744073709551615.png"];
    assert_eq!(place.names()[1..], names.map(str::to_owned));
    assert!(place.open("r-0.png") != place.open("r-1.png"));
    // Without a seed for it one is drawn.
    let drawn = format!("{PLAIN} --variation-strength 0.5 -o d.png --json");
    let json = succeed(&place, &drawn).json();
    let seed = &json["results"][0]["recipe"]["variation"]["seed"];
    assert!(seed.as_u64().is_some(), "{seed}");
}

#[test]
fn ladders_and_variations_keep_to_them() {
    let place = Place::with_source();
    let options = "--noise nv --variation-seed 9 --variation-strength 0.4";
    let ladder =
        format!("ladder a.png -p winter -s 0.5,0.8 --steps 2 --seed 4 {options} -o l.png --json");
    let json = succeed(&place, &ladder).json();
    let command = json["commands"][1].as_str().unwrap();
    let words: Vec<_> = command.split(' ').skip(1).collect();
    let words = words.iter().map(|word| match *word {
        "l-0.8.png" => "again.png",
        other => other,
    });
    let words: Vec<_> = words.collect();
    assert!(alone(&place, &words).output().unwrap().status.success());
    assert!(place.bytes("again.png") == place.bytes("l-0.8.png"));
    let vary =
        format!("vary a.png -p winter -s 1 --steps 2 --count 2 --seed 4 {options} -o v.png --json");
    let json = succeed(&place, &vary).json();
    for result in json["results"].as_array().unwrap() {
        let recipe = &result["recipe"];
        assert_eq!(recipe["seed"], 4);
        let file = format!("v-{}.png", recipe["variation"]["seed"]);
        assert_eq!(result["file"], file);
    }
}

#[test]
fn layers_of_the_text_encoder_are_left_out_and_replayed() {
    let place = Place::with_source();
    succeed(&place, &format!("{PLAIN} -o plain.png"));
    succeed(&place, &format!("{PLAIN} --clip-skip 1 -o one.png"));
    assert!(place.bytes("one.png") == place.bytes("plain.png"));
    succeed(&place, &format!("{PLAIN} --clip-skip 2 -o two.png"));
    assert!(place.open("two.png") != place.open("plain.png"));
    succeed(&place, "replay two.png -o again.png");
    assert!(place.bytes("again.png") == place.bytes("two.png"));
    let many = run(&place, &format!("{PLAIN} --clip-skip 99 -o no.png"));
    many.assert_refused(1, &["clip skip is 99, expected 1 to "]);
    let none = run(&place, &format!("{PLAIN} --clip-skip 0 -o no.png"));
    none.assert_refused(2, &["--clip-skip"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::with_source();
    for (options, said) in [
        ("--noise gpu", "noise is \"gpu\", expected cpu or nv"),
        ("--variation-seed 5", "required arguments were not provided"),
        ("--variation-strength 1.5", "it is 1.5, expected 0 to 1"),
        ("--variation-strength nan", "expected 0 to 1"),
        ("--variation-strength 0.5 --variation-seed -1", "-1"),
    ] {
        let refused = run(&place, &format!("{PLAIN} {options} -o no.png"));
        refused.assert_refused(2, &[said]);
    }
}
