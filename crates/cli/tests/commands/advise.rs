//! `advise`, and the advice that other commands say on their way.

use serde_json::Value;

use crate::place::Place;
use crate::{run, succeed};

fn kinds(advice: &Value) -> Vec<&str> {
    let advice = advice.as_array().unwrap();
    advice
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn a_tiny_source_is_told_with_its_figures() {
    let place = Place::with_source();
    let done = succeed(&place, "advise a.png -s 0.3 --json");
    let json = done.json();
    let result = &json["results"][0];
    assert_eq!(
        (&result["source"], &result["strength"]),
        (&"a.png".into(), &0.3.into())
    );
    assert_eq!(result["steps_run"], 3);
    let source = place.open("a.png");
    assert_eq!(
        result["measures"]["size"],
        serde_json::json!([source.width(), source.height()])
    );
    assert!(result["faces"].is_array());
    let first = &result["advice"][0];
    assert_eq!(first["kind"], "source-tiny");
    assert_eq!(first["severity"], "warning");
    assert_eq!(first["unit"], "px");
    assert!(first["measured"].as_f64() < first["threshold"].as_f64());
    assert_eq!(first["suggestion"]["action"], "enlarge");
    let words = succeed(&place, "advise a.png -s 0.3").stdout;
    let line = format!("a.png: warning: {}\n", first["text"].as_str().unwrap());
    assert!(words.contains(&line), "{words}");
    assert_eq!(place.names(), ["a.png"], "nothing is made");
}

#[test]
fn transform_says_the_same_once_and_records_it_for_each_result() {
    let place = Place::with_source();
    let advised = succeed(&place, "advise a.png -s 0.3 --steps 4 --json").json();
    let line = "transform a.png -p winter -s 0.3 --steps 4 --count 2 -o out/";
    let done = succeed(&place, &format!("{line} --json"));
    let source = place.open("a.png");
    let size = format!(
        "advice: a.png: source is {}x{}",
        source.width(),
        source.height()
    );
    let said = done.lines(&size);
    assert_eq!(said.len(), 1, "{}", done.stderr);
    for result in done.json()["results"].as_array().unwrap() {
        let before = kinds(&advised["results"][0]["advice"]);
        assert!(kinds(&result["advice"]).starts_with(&before), "{result}");
    }
    let quiet = succeed(&place, &format!("{line} --quiet"));
    assert_eq!(quiet.lines("advice: ").len(), 0, "{}", quiet.stderr);
}

#[test]
fn a_bad_source_does_not_stop_the_others() {
    let place = Place::with_source();
    place.put("b.png", b"no picture");
    let done = run(&place, "advise b.png a.png --json");
    assert_eq!(done.code, 1);
    let json = done.json();
    assert_eq!(json["results"].as_array().unwrap().len(), 1);
    assert_eq!(json["failures"][0]["source"], "b.png");
}

#[test]
fn a_long_prompt_is_told_in_tokens() {
    let place = Place::with_source();
    let prompt = "winter,".repeat(40);
    let advise = |mode: &str| {
        let line = format!("advise a.png -p {prompt} --prompt-mode {mode} --json");
        succeed(&place, &line).json()
    };
    let json = advise("plain");
    let advice = json["results"][0]["advice"].as_array().unwrap();
    let long = advice
        .iter()
        .find(|one| one["kind"] == "prompt-long")
        .unwrap();
    assert_eq!(
        (&long["measured"], &long["threshold"]),
        (&80.0.into(), &75.0.into())
    );
    // In windows all of it is read.
    assert!(!advise("a1111").to_string().contains("prompt-long"));
    // Where the run warns of it, it is not said twice.
    let line = format!("transform a.png -p {prompt} --prompt-mode plain --steps 1 -o o.png");
    let done = succeed(&place, &line);
    assert_eq!(
        done.stderr.matches("too long").count(),
        1,
        "{}",
        done.stderr
    );
}
