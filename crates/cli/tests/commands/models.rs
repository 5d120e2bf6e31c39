//! `models` and `info`.

use std::fs;

use crate::place::Place;
use crate::{run, succeed};

#[test]
fn the_starter_is_listed_and_described() {
    let place = Place::new();
    let listed = succeed(&place, "models");
    assert!(listed.stdout.starts_with("starter  "), "{}", listed.stdout);
    let json = succeed(&place, "info --json").json();
    assert_eq!(json, succeed(&place, "info starter --json").json());
    assert_eq!(succeed(&place, "models --json").json()["models"][0], json);
    let parameters = |index: usize| json["networks"][index]["parameters"].as_u64().unwrap();
    let memory = &json["memory_bytes"];
    let bytes = |part: &str| memory[part].as_u64().unwrap();
    // Kept as the file has them, at 16 bits, but for tables, biases and norms.
    let all = parameters(0) + parameters(1);
    assert!((2 * all..3 * all).contains(&bytes("weights")), "{memory}");
    assert_eq!(
        bytes("total"),
        bytes("weights") + bytes("transformed") + bytes("files") + bytes("run")
    );
    assert!(bytes("transformed") > 10 << 20, "{memory}");
    // The figures are the files' own.
    let scheduler: &[u8] = starter("scheduler/scheduler_config.json");
    let scheduler: serde_json::Value = serde_json::from_slice(scheduler).unwrap();
    assert_eq!(json["prediction_type"], scheduler["prediction_type"]);
    assert_eq!(json["schedule"]["beta_end"], scheduler["beta_end"]);
    let words = succeed(&place, "info").stdout;
    for word in [
        "prediction type  sample",
        "10 steps",
        "512x512",
        "memory",
        "unet/config.json",
    ] {
        assert!(words.contains(word), "no {word} in {words}");
    }
}

fn starter(file: &str) -> &'static [u8] {
    let found = imagegen_starter::FILES
        .iter()
        .find(|(name, _)| *name == file);
    found.unwrap().1
}

#[test]
fn a_folder_is_described_by_its_files() {
    let place = Place::new();
    for (file, bytes) in imagegen_starter::FILES {
        let path = place.path("my model").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let describe = || {
        let arguments = ["info", "my model", "--json"];
        crate::place::Done::of(&crate::alone(&place, &arguments).output().unwrap())
    };
    let json = describe().json();
    let embedded = succeed(&place, "info --json").json();
    assert_eq!(json["name"], "my model");
    for field in [
        "sha256",
        "files",
        "networks",
        "memory_bytes",
        "defaults",
        "native_size",
    ] {
        assert_eq!(json[field], embedded[field], "{field}");
    }
    let text = String::from_utf8_lossy(starter("latents.json")).replace("262144", "65536");
    fs::write(place.path("my model/latents.json"), text).unwrap();
    let smaller = describe().json();
    assert_eq!(smaller["native_size"]["side"], 256);
    assert_ne!(smaller["sha256"], json["sha256"]);
    // At any size idle buffers may take 32 MiB, and each thread needs 32 tiles of the largest convolution, an eighth more
    // with what buffers may be too large: 36 numbers of 192 inputs, 208 apart, and of 96 outputs.
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let constant = (32 << 20) + threads * (36 * 32 * (208 + 96) * 4) * 9 / 8;
    let run = |json: &serde_json::Value| json["memory_bytes"]["run"].as_u64().unwrap() - constant;
    let quarter = run(&json) / 4;
    assert!(
        run(&smaller).abs_diff(quarter) < quarter / 4,
        "{} {quarter}",
        run(&smaller)
    );
    fs::remove_file(place.path("my model/unet/config.json")).unwrap();
    describe().assert_refused(1, &["lacks unet/config.json"]);
}

#[test]
fn unknown_models_are_refused() {
    let place = Place::new();
    run(&place, "info nothing").assert_refused(1, &["\"nothing\"", "expected starter or"]);
}
