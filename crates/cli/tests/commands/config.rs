//! The configuration file and the environment beneath the options.

use std::process::Command;

use imagegen_conformance::weights::{SingleFile, pack};
use safetensors::Dtype;
use serde_json::Value;

use crate::alone;
use crate::place::{Done, Place};

/// What names of an autoencoder's tensors begin with inside a model.
const INNER: &str = "first_stage_model.";

fn with(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command: Command = alone(place, arguments);
    command.env_remove("IMAGEGEN_CONFIG");
    command.env("XDG_CONFIG_HOME", place.path("settings"));
    command.env("APPDATA", place.path("settings"));
    for (name, value) in variables {
        command.env(name, value);
    }
    Done::of(&command.output().unwrap())
}

fn place_with(text: &str) -> Place {
    let place = Place::with_source();
    std::fs::create_dir_all(place.path("settings/imagegen")).unwrap();
    place.put("settings/imagegen/config.toml", text.as_bytes());
    place
}

/// Value and origin of a setting.
fn setting(json: &Value, key: &str) -> (String, String) {
    let text = |field: &str| json["settings"][key][field].as_str().unwrap().to_owned();
    (text("value"), text("from"))
}

#[test]
fn typed_wins_over_environment_over_file_over_model() {
    let place = place_with("# mine\nsteps = 3\nstrength = 0.25\nguidance = 2.5\n");
    let variables = [("IMAGEGEN_STEPS", "4"), ("IMAGEGEN_STRENGTH", "0.5")];
    let arguments = [
        "transform",
        "a.png",
        "-p",
        "winter",
        "-s",
        "0.75",
        "--json",
        "-o",
        "o.png",
    ];
    let done = with(&place, &arguments, &variables);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let recipe = done.json()["results"][0]["recipe"].clone();
    assert_eq!(recipe["strength"], 0.75, "typed");
    assert_eq!(recipe["steps"], 4, "environment");
    assert_eq!(recipe["guidance_scale"], 2.5, "file");
    assert_eq!(recipe["sampler"], "ddim", "model");

    let json = with(&place, &["config", "--json"], &variables).json();
    assert_eq!(
        setting(&json, "steps"),
        ("4".into(), "variable IMAGEGEN_STEPS".into())
    );
    let (value, from) = setting(&json, "guidance");
    assert_eq!(value, "2.5");
    assert!(from.ends_with("config.toml line 4"), "{from}");
    assert_eq!(
        setting(&json, "sampler"),
        ("ddim".into(), "model starter".into())
    );
    assert_eq!(setting(&json, "fit"), ("keep".into(), "built in".into()));
    let words = with(&place, &["config"], &variables).stdout;
    let steps = words.lines().find(|line| line.starts_with("steps "));
    let value = steps.and_then(|line| line.split_whitespace().nth(1));
    assert_eq!(value, Some("4"), "{words}");
}

#[test]
fn a_model_is_read_with_what_holds_in_place_of_its_files() {
    let place = place_with("model = \"bare.safetensors\"\nvae = \"x.safetensors\"\n");
    let (vae, bare): (Vec<_>, Vec<_>) = SingleFile::read("sd1")
        .tensors
        .into_iter()
        .partition(|(name, ..)| name.starts_with(INNER));
    let vae = vae
        .into_iter()
        .map(|(name, shape, numbers)| (name[INNER.len()..].to_owned(), shape, numbers));
    place.put("bare.safetensors", &pack(bare, Dtype::F16));
    place.put("x.safetensors", &pack(vae, Dtype::F16));
    let done = with(
        &place,
        &["config", "--json"],
        &[("IMAGEGEN_PREDICTION", "sample")],
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    let json = done.json();
    assert_eq!(setting(&json, "vae").0, "x.safetensors");
    assert_eq!(
        setting(&json, "steps"),
        ("30".into(), "model bare.safetensors".into())
    );
}

#[test]
fn every_setting_says_what_holds_and_stands_in_the_docs() {
    let json = with(&place_with(""), &["config", "--json"], &[]).json();
    let docs = include_str!("../../../../docs/command-line.md");
    for key in json["settings"].as_object().unwrap().keys() {
        let (value, from) = setting(&json, key);
        assert!(docs.contains(&format!("`{key}`")), "{key}");
        assert!(!from.is_empty(), "{key}");
        // Of this one nothing is what holds.
        assert_eq!(value.is_empty(), key == "negative", "{key} is {value:?}");
    }
}

#[test]
fn another_file_can_be_named_or_none() {
    let place = place_with("steps = 3\n");
    place.put("other.toml", b"steps = 7\n");
    let steps = |arguments: &[&str], variables: &[(&str, &str)]| {
        setting(&with(&place, arguments, variables).json(), "steps").0
    };
    assert_eq!(steps(&["config", "--json"], &[]), "3");
    assert_eq!(
        steps(&["config", "--json", "--config", "other.toml"], &[]),
        "7"
    );
    assert_eq!(
        steps(&["--config", "other.toml", "config", "--json"], &[]),
        "7"
    );
    assert_eq!(
        steps(&["config", "--json"], &[("IMAGEGEN_CONFIG", "other.toml")]),
        "7"
    );
    assert_eq!(
        steps(&["config", "--json"], &[("IMAGEGEN_CONFIG", "")]),
        "10"
    );
    let done = with(&place, &["config", "--config", "none.toml"], &[]);
    done.assert_refused(1, &["cannot read none.toml"]);
}

#[test]
fn bad_values_are_refused_by_every_command_and_named() {
    for (text, words) in [
        (
            "\n\nstrenght = 0.5\n",
            &["config.toml line 3", "\"strenght\"", "expected one of"][..],
        ),
        (
            "strength = 1.5\n",
            &[
                "config.toml line 1",
                "\"strength\" is 1.5",
                "expected 0 to 1",
            ],
        ),
        (
            "sampler = \"restart\"\n",
            &["line 1", "\"sampler\" is restart", "expected one of"],
        ),
        (
            "steps = \"ten\"\n",
            &["\"steps\" is text, expected a number"],
        ),
        ("cpu = \"sse\"\n", &["\"cpu\" is sse"]),
        ("steps = \n", &["config.toml line 1"]),
    ] {
        let place = place_with(text);
        for arguments in [
            &["config"][..],
            &["transform", "a.png", "-p", "x", "-o", "o.png"],
        ] {
            with(&place, arguments, &[]).assert_refused(1, words);
        }
        assert!(!place.path("o.png").exists());
    }
    let place = place_with("");
    let variables = [("IMAGEGEN_STEPS", "0")];
    let done = with(&place, &["config"], &variables);
    done.assert_refused(1, &["IMAGEGEN_STEPS", "\"0\"", "1..=1000"]);
    let done = with(&place, &["config"], &[("IMAGEGEN_STPES", "5")]);
    assert_eq!(done.code, 0);
    assert_eq!(
        done.lines("warning: variable IMAGEGEN_STPES is not known")
            .len(),
        1
    );
}

#[test]
fn a_default_format_gives_way_to_an_extension_and_a_typed_one_does_not() {
    let place = place_with("format = \"webp\"\nsteps = 1\n");
    let transform = |more: &[&str]| {
        let arguments = ["transform", "a.png", "-p", "winter", "--seed", "1"];
        with(&place, &[&arguments[..], more].concat(), &[])
    };
    assert_eq!(transform(&[]).code, 0);
    assert_eq!(&place.bytes("a-winter-1.webp")[8..12], b"WEBP");
    assert_eq!(transform(&["-o", "o.png"]).code, 0);
    assert_eq!(&place.bytes("o.png")[1..4], b"PNG");
    let done = transform(&["-o", "o.jpg", "--format", "png"]);
    done.assert_refused(2, &["--format asks for png", "o.jpg"]);
}
