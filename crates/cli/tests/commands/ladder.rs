//! `ladder`: one seed, several strengths, one sheet.

use std::process::Command;

use serde_json::Value;

use crate::place::{Done, Place};
use crate::{alone, run, succeed};

#[test]
fn a_ladder_is_a_sheet_and_its_rungs() {
    let place = Place::with_source();
    let line = "ladder a.png -p winter --strengths 0.2,0.6 --seed 5 --steps 4 -o l.png --json";
    let json = succeed(&place, line).json();
    assert_eq!(place.names(), ["a.png", "l-0.2.png", "l-0.6.png", "l.png"]);
    assert_eq!(json["sheet"], "l.png");
    let results = json["results"].as_array().unwrap();
    let figure = |index: usize, field: &str| results[index]["recipe"][field].clone();
    assert_eq!(
        (figure(0, "strength"), figure(1, "strength")),
        (0.2.into(), 0.6.into())
    );
    assert_eq!((figure(0, "seed"), figure(1, "seed")), (5.into(), 5.into()));
    let fidelity = |index: usize| results[index]["fidelity"]["overall"].as_f64().unwrap();
    assert!(fidelity(0) > fidelity(1), "{} {}", fidelity(0), fidelity(1));
    // Three pictures side by side, each in a cell at least wide enough for its caption.
    let sheet = place.open("l.png");
    assert!(sheet.width() >= 3 * 128 && sheet.height() > place.open("a.png").height() + 20);
    for (name, strength) in [("l-0.2.png", "0.2"), ("l-0.6.png", "0.6")] {
        let rung = place.bytes(name);
        succeed(
            &place,
            &format!("transform a.png -p winter -s {strength} --seed 5 --steps 4 -o t.png"),
        );
        assert!(place.bytes("t.png") == rung, "{name}");
    }
}

#[test]
fn its_commands_make_the_rungs_again() {
    let place = Place::with_source();
    let prompt = "it's \"winter\" in $HOME\n`now`";
    let arguments = [
        "ladder",
        "a.png",
        "-p",
        prompt,
        "--negative=-blurry",
        "--strengths",
        "0.3..0.5:2",
        "--steps",
        "3",
        "--guidance",
        "2",
        "--sampler",
        "euler_a",
        "--strength-rule",
        "exact",
        "--size",
        "48x48",
        "--fit",
        "crop",
        "-o",
        "my rungs.webp",
    ];
    let done = Done::of(&alone(&place, &arguments).output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let at = done.stderr.find("to make one of them again:").unwrap();
    let program = env!("CARGO_BIN_EXE_imagegen");
    let names = ["my rungs-0.3.webp", "my rungs-0.5.webp"];
    let rungs = names.map(|name| place.bytes(name));
    for name in names {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    // As a person would: copied into a shell, without the seed's being known.
    let script = done.stderr[at..].split_once('\n').unwrap().1;
    let script = script.replace("  imagegen transform", &format!("'{program}' transform"));
    let ran = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    for (name, rung) in names.iter().zip(&rungs) {
        assert!(place.bytes(name) == *rung, "{name}");
    }
}

#[test]
fn without_a_name_nothing_is_overwritten() {
    let place = Place::with_source();
    let line = "ladder a.png -p winter --strengths 0.2,0.4 --seed 5 --steps 2 --json";
    let first = succeed(&place, line).json();
    assert_eq!(first["sheet"], "a-winter-5-sheet.png");
    let second = succeed(&place, line).json();
    let files = |json: &Value| json["results"][1]["file"].as_str().unwrap().to_owned();
    assert_eq!(files(&first), "a-winter-5-0.4.png");
    assert_eq!(files(&second), "a-winter-5-0.4-2.png");
    assert_eq!(place.names().len(), 7);
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let place = Place::with_source();
    let long = "word".repeat(9000);
    for (line, code, words) in [
        (
            "ladder a.png -p x --strengths 0.5,1.5",
            2,
            &["--strengths", "expected 0 to 1"][..],
        ),
        ("ladder a.png -p x --strengths 0.5,0.5", 2, &["named twice"]),
        (
            "ladder a.png -p x --strengths 0.2..0.8",
            2,
            &["FIRST..LAST:COUNT"],
        ),
        ("ladder a.png -p x -o -", 2, &["-o - takes one picture"]),
        (
            "ladder a.png -p x -o l.gif",
            1,
            &["cannot write l.gif", "expected png, jpg"],
        ),
        (
            "ladder none.png -p x -o l.png",
            1,
            &["cannot read none.png"],
        ),
        // Two strengths of which one leaves no step: nothing of the other is made.
        (
            "ladder a.png -p x --strengths 0.9,0.1 --steps 3 --strength-rule diffusers -o l.png",
            1,
            &["strength 0.1"],
        ),
        (
            &format!("ladder a.png -p {long} -o l.jpg"),
            1,
            &["expected at most", "JPEG"],
        ),
    ] {
        let done = run(&place, line);
        done.assert_refused(code, words);
        assert!(!done.stderr.contains(": step 1"), "{}", done.stderr);
        assert_eq!(place.names(), ["a.png"], "{line}");
    }
}
