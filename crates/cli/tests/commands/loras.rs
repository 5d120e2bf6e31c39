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

#[test]
fn tags_in_prompts_name_files_of_a_folder_and_give_the_same_pixels() {
    let place = place();
    fs::create_dir_all(place.path("shelf/styles")).unwrap();
    fs::rename(
        place.path("fur.safetensors"),
        place.path("shelf/styles/fur.safetensors"),
    )
    .unwrap();
    place.put(
        "shelf/ink.safetensors",
        &reference("lora_sd_peft.safetensors"),
    );
    place.put("shelf/broken.safetensors", b"<html>");
    let line =
        |prompt: &str, more: &str| LINE.replace("painting", prompt) + " --loras-dir shelf " + more;
    let by_option = "--lora fur:0.8 --lora shelf/ink.safetensors:-0.5 -o option.png";
    succeed(&place, &line("painting", by_option));
    let by_tag = "painting<lora:fur:0.8><lora:ink:-0.5>";
    let made = succeed(&place, &line(by_tag, "-o tag.png --json"));
    assert!(place.open("tag.png") == place.open("option.png"));
    assert_eq!(made.lines("warning: "), Vec::<&str>::new());
    assert_eq!(recipe(&made)["loras"].as_array().unwrap().len(), 2);
    assert_eq!(recipe(&made)["prompt"], by_tag);
    // Half by each way.
    let both = "painting<lora:FUR:0.4><lora:ink:-0.5>";
    succeed(&place, &line(both, "--lora fur:0.4 -o both.png"));
    assert!(place.open("both.png") == place.open("option.png"));
    // A file that is given by an option alone, for the tag to weigh.
    let own = LINE.replace("painting", "painting<lora:fur:0.8><lora:ink:-0.5>");
    let files = "--lora shelf/styles/fur.safetensors:0 --lora shelf/ink.safetensors:0";
    succeed(&place, &format!("{own} {files} -o own.png"));
    assert!(place.open("own.png") == place.open("option.png"));
    for again in ["replay tag.png -o again.png", "verify tag.png"] {
        succeed(&place, &format!("{again} --model m --loras-dir shelf"));
    }
    assert!(place.bytes("again.png") == place.bytes("tag.png"));
    let replay = "replay tag.png -o no.png --model m";
    run(&place, replay).assert_refused(1, &["the LoRA fur", "is missing"]);
    place.put(
        "shelf/ink.safetensors",
        &reference("lora_sd_mid.safetensors"),
    );
    run(&place, &format!("{replay} --loras-dir shelf"))
        .assert_refused(1, &["the LoRA ink", "is missing"]);
    for (prompt, words) in [
        (
            "a<lora:furr:1>",
            ["LoRA \"furr\" is not known", "such as fur"],
        ),
        ("a<lora:../fur:1>", ["LoRA \"../fur\" is not known", "ink"]),
        ("a<lora:broken:1>", ["broken", "HTML"]),
    ] {
        let words = words.map(|word| word.replace("such as fur", "fur"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(&place, &line(prompt, "-o no.png")).assert_refused(1, &words);
    }
    run(&place, &line("a", "--lora furr -o no.png")).assert_refused(1, &["\"furr\" is not known"]);
    let nowhere = LINE.to_owned() + " --loras-dir nowhere -o no.png";
    run(&place, &nowhere).assert_refused(1, &["cannot read nowhere"]);
    assert!(!place.path("no.png").exists());
}

#[test]
fn embeddings_of_a_folder_are_read_where_prompts_name_them() {
    let place = place();
    fs::create_dir_all(place.path("words/more")).unwrap();
    let word = reference("inversion_word.safetensors");
    place.put("words/more/lake-toy.safetensors", &word);
    place.put(
        "words/big-fur.safetensors",
        &reference("inversion_towers.safetensors"),
    );
    place.put("words/painting.safetensors", b"no embedding");
    place.put("lake-toy.safetensors", &word);
    let line = LINE.replace("painting", "painting,lake-toy");
    succeed(&place, &format!("{line} -o plain.png"));
    succeed(
        &place,
        &format!("{line} --embedding lake-toy.safetensors -o option.png"),
    );
    let made = succeed(
        &place,
        &format!("{line} --embeddings-dir words -o o.png --json"),
    );
    assert!(place.bytes("o.png") == place.bytes("option.png"));
    assert!(place.open("o.png") != place.open("plain.png"));
    assert_eq!(recipe(&made)["embeddings"][0]["name"], "lake-toy");
    assert_eq!(made.lines("warning: "), Vec::<&str>::new());
    succeed(
        &place,
        "replay o.png --model m --embeddings-dir words -o again.png",
    );
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    // One for other text encoders is a word like others.
    let other = LINE.replace("painting", "big-fur");
    succeed(&place, &format!("{other} -o word.png"));
    let made = succeed(
        &place,
        &format!("{other} --embeddings-dir words -o unfit.png"),
    );
    assert!(place.bytes("word.png") == place.bytes("unfit.png"));
    let warnings = made.lines("warning: ");
    assert!(
        warnings.len() == 1
            && warnings[0].contains("embedding \"big-fur\" is for other text encoders"),
        "{}",
        made.stderr
    );
}

#[test]
fn folders_may_be_named_in_the_environment() {
    let place = place();
    fs::create_dir(place.path("shelf")).unwrap();
    fs::rename(
        place.path("fur.safetensors"),
        place.path("shelf/fur.safetensors"),
    )
    .unwrap();
    let line = LINE.replace("painting", "a<lora:fur>") + " -o o.png";
    let words: Vec<_> = line.split_whitespace().collect();
    let mut command = crate::alone(&place, &words);
    command.env("IMAGEGEN_LORAS_DIR", "shelf");
    assert_eq!(Done::of(&command.output().unwrap()).code, 0);
    run(&place, &line).assert_refused(1, &["the LoRA \"fur\""]);
}
