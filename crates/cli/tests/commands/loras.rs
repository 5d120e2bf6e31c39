//! LoRAs on the command line.

use std::fs;

use imagegen_conformance::weights::{reference, write_folder};
use serde_json::{Map, Value, json};

use crate::place::{Done, Place};
use crate::{run, succeed};

const LINE: &str = "generate -p painting --size 64x64 --steps 2 --guidance 1 --seed 7 --model m";

/// A place with a tiny Stable Diffusion model and a LoRA for it.
fn place() -> Place {
    let place = Place::new();
    write_folder("sd", &place.path("m"));
    place.put("fur.safetensors", &reference("lora_sd_kohya.safetensors"));
    place
}

/// A safetensors file's header and numbers.
fn parted(bytes: &[u8]) -> (Map<String, Value>, &[u8]) {
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    (header, &bytes[8 + length..])
}

fn joined(header: &Map<String, Value>, numbers: &[u8]) -> Vec<u8> {
    let header = serde_json::to_string(header).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), numbers].concat()
}

/// Adds two modules that no model has, six tensors in all.
fn with_unknown(header: &mut Map<String, Value>, numbers: &mut Vec<u8>) {
    for module in ["a", "b"] {
        for (end, shape, count) in [
            ("lora_down.weight", json!([1, 2]), 2),
            ("lora_up.weight", json!([2, 1]), 2),
            ("alpha", json!([]), 1),
        ] {
            let begin = numbers.len();
            numbers.extend(vec![0; 4 * count]);
            let place =
                json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, numbers.len()]});
            header.insert(format!("lora_unet_odd_blocks_{module}.{end}"), place);
        }
    }
}

fn recipe(done: &Done) -> Value {
    done.json()["results"][0]["recipe"].clone()
}

#[test]
fn loras_change_pictures_are_recorded_and_replayed() {
    let place = place();
    place.put("peft.safetensors", &reference("lora_sd_peft.safetensors"));
    succeed(&place, &format!("{LINE} -o plain.png"));
    let made = succeed(
        &place,
        &format!("{LINE} --lora fur.safetensors:0.8 --lora peft.safetensors:-0.5 -o o.png --json"),
    );
    assert!(place.open("o.png") != place.open("plain.png"));
    let loras = recipe(&made)["loras"].clone();
    assert_eq!(
        (&loras[0]["name"], &loras[0]["weight"]),
        (&json!("fur"), &json!(0.8))
    );
    assert_eq!(
        (&loras[1]["name"], &loras[1]["weight"]),
        (&json!("peft"), &json!(-0.5))
    );
    assert!(made.json()["results"][0]["seconds"]["adapt"].is_number());
    let files = "--lora peft.safetensors --lora fur.safetensors";
    succeed(
        &place,
        &format!("replay o.png --model m {files} -o again.png"),
    );
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    succeed(&place, &format!("verify o.png --model m {files}"));
    let sha256 = loras[1]["sha256"].as_str().unwrap();
    run(
        &place,
        "replay o.png --model m --lora fur.safetensors -o no.png",
    )
    .assert_refused(1, &["LoRA peft", sha256, "is missing"]);
    // Nothing of it is nothing.
    succeed(
        &place,
        &format!("{LINE} --lora fur.safetensors:0 -o zero.png"),
    );
    assert!(place.bytes("zero.png") == place.bytes("plain.png"));
    // One after the other in one run, and two seeds with one set.
    fs::create_dir(place.path("out")).unwrap();
    let two = "--lora fur.safetensors:0.3 --lora fur.safetensors:0.5 --count 2 -o out --json";
    let two = succeed(&place, &format!("{LINE} {two}")).json();
    for result in two["results"].as_array().unwrap() {
        assert_eq!(result["recipe"]["loras"][0]["weight"], 0.8);
        let file = result["file"].as_str().unwrap();
        succeed(
            &place,
            &format!("verify {file} --model m --lora fur.safetensors"),
        );
    }
}

#[test]
fn a_lora_that_is_used_in_part_is_warned_about_and_one_that_is_not_refused() {
    let place = place();
    let bytes = place.bytes("fur.safetensors");
    let (mut header, numbers) = parted(&bytes);
    let mut numbers = numbers.to_vec();
    with_unknown(&mut header, &mut numbers);
    place.put("six.safetensors", &joined(&header, &numbers));
    let (mut header, mut numbers) = (Map::new(), Vec::new());
    with_unknown(&mut header, &mut numbers);
    place.put("only.safetensors", &joined(&header, &numbers));
    succeed(&place, &format!("{LINE} --lora fur.safetensors -o o.png"));
    let made = succeed(&place, &format!("{LINE} --lora six.safetensors -o six.png"));
    assert!(place.open("six.png") == place.open("o.png"));
    let warnings = made.lines("warning: ");
    assert_eq!(warnings.len(), 1, "{}", made.stderr);
    for word in [
        "6 tensors are not used",
        "\"six\"",
        "lora_unet_odd_blocks_a",
    ] {
        assert!(warnings[0].contains(word), "no {word} in {}", warnings[0]);
    }
    run(&place, &format!("{LINE} --lora only.safetensors -o no.png"))
        .assert_refused(1, &["only.safetensors", "lora_unet_odd_blocks_a"]);
    place.put("xl.safetensors", &reference("lora_sdxl_kohya.safetensors"));
    run(&place, &format!("{LINE} --lora xl.safetensors -o no.png"))
        .assert_refused(1, &["xl.safetensors", "does not fit", "SDXL"]);
    assert!(!place.path("no.png").exists());
}

#[test]
fn files_that_are_no_loras_and_weights_that_are_none_are_refused() {
    let place = place();
    place.put("fur.pt", b"PK");
    place.put("page.safetensors", b"<!DOCTYPE html><html>");
    place.put(
        "inversion.safetensors",
        &reference("inversion_word.safetensors"),
    );
    for (named, words) in [
        ("none.safetensors", ["cannot read", "none.safetensors"]),
        ("fur.pt", ["pickle", ".safetensors"]),
        ("page.safetensors", ["page.safetensors", "HTML"]),
        ("inversion.safetensors", ["inversion.safetensors", "LoRA"]),
        (
            "fur.safetensors:nan",
            ["weight of LoRA \"fur\" is NaN", "-10 to 10"],
        ),
        (
            "fur.safetensors:much",
            ["cannot read", "fur.safetensors:much"],
        ),
    ] {
        run(&place, &format!("{LINE} --lora {named} -o no.png")).assert_refused(1, &words);
    }
    let made = succeed(
        &place,
        &format!("{LINE} --lora fur.safetensors:40 -o o.png"),
    );
    assert!(
        made.lines("warning: ")[0].contains("bounded to 10"),
        "{}",
        made.stderr
    );
}
