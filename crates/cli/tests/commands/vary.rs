//! `vary`: several seeds on one sheet, near-duplicates told.

use crate::place::Place;
use crate::{run, succeed};

#[test]
fn variations_have_seeds_of_their_own_and_a_sheet() {
    let place = Place::with_source();
    let json = succeed(
        &place,
        "vary a.png -p winter --count 3 -s 1 --steps 2 --seed 40 -o v.png --json",
    )
    .json();
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    let mut names = vec!["a.png".to_owned(), "v.png".to_owned()];
    for result in results {
        let seed = result["recipe"]["seed"].as_u64().unwrap();
        names.push(format!("v-{seed}.png"));
        let single = format!("transform a.png -p winter -s 1 --steps 2 --seed {seed} -o t.png");
        succeed(&place, &single);
        assert!(
            place.bytes("t.png") == place.bytes(result["file"].as_str().unwrap()),
            "{seed}"
        );
    }
    std::fs::remove_file(place.path("t.png")).unwrap();
    names.sort();
    assert_eq!(place.names(), names);
    assert_eq!(json["sheet"], "v.png");
}

#[test]
fn near_duplicates_are_drawn_again_a_bounded_number_of_times_and_said() {
    let place = Place::with_source();
    // At strength 0 every seed gives the source.
    let done = succeed(
        &place,
        "vary a.png -p winter --count 2 -s 0 --seed 1 -o v.png --json",
    );
    let json = done.json();
    let twins = json["near_duplicates"].as_array().unwrap();
    let seeds: Vec<_> = twins
        .iter()
        .map(|twin| twin["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds, [2, 3, 4]);
    assert!(
        twins
            .iter()
            .all(|twin| twin["like"] == 1 && twin["likeness"].as_f64() > Some(0.99))
    );
    assert_eq!(place.names(), ["a.png", "v-1.png", "v-4.png", "v.png"]);
    let said = done.lines("warning: a.png: seed ");
    assert_eq!(said.len(), 3, "{}", done.stderr);
    assert!(said[0].ends_with("another seed is drawn"), "{}", said[0]);
    assert!(
        said[2].ends_with("it is kept; a higher strength gives more variety"),
        "{}",
        said[2]
    );
}

#[test]
fn seeds_of_near_duplicates_are_not_rounded() {
    let place = Place::with_source();
    let line = "vary a.png -p x --count 2 -s 0 --seed 18446744073709551614 -o v.png --json";
    let json = succeed(&place, line).json();
    let twin = &json["near_duplicates"][0];
    assert_eq!(twin["seed"], "18446744073709551615");
    assert_eq!(twin["like"], "18446744073709551614");
    assert_eq!(json["near_duplicates"][1]["seed"], 0);
}

#[test]
fn one_is_no_variety() {
    let place = Place::with_source();
    run(&place, "vary a.png -p x --count 1").assert_refused(2, &["--count", "2..=64"]);
    run(&place, "vary a.png -p x -o -").assert_refused(2, &["-o - takes one picture"]);
}
