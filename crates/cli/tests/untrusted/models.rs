//! Model folders that are not what they should be.

use std::fs;
use std::path::Path;

use imagegen_conformance::weights::write_folder;
use serde_json::{Map, Value, json};

use crate::place::{Done, Place};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

fn starter(file: &str) -> &'static [u8] {
    let mut files = imagegen_starter::FILES.iter();
    files.find(|(name, _)| *name == file).unwrap().1
}

/// Puts the starter's files into the folder `name`, `file` with other `bytes`.
fn model_with(place: &Place, name: &str, file: &str, bytes: &[u8]) {
    for (path, whole) in imagegen_starter::FILES {
        let bytes = if *path == file { bytes } else { whole };
        let path = place.path(name).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Over a file of the last case, whose length may be the same.
        if fs::metadata(&path).is_ok_and(|facts| facts.len() == bytes.len() as u64)
            && fs::read(&path).is_ok_and(|there| there == bytes)
        {
            continue;
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Header and data of a safetensors file.
fn opened(file: &str) -> (Map<String, Value>, Vec<u8>) {
    let bytes = starter(file);
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    (header, bytes[8 + length..].to_vec())
}

fn closed(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A tensor's name and place of the starter's network.
fn some_tensor(header: &Map<String, Value>) -> (String, std::ops::Range<usize>) {
    let name = header
        .keys()
        .find(|name| name.ends_with("conv_in.weight"))
        .unwrap();
    let offsets = &header[name]["data_offsets"];
    let at = |index: usize| offsets[index].as_u64().unwrap() as usize;
    (name.clone(), at(0)..at(1))
}

fn described(place: &Place, model: &str) -> Done {
    place.run(&format!("info {model}"))
}

#[test]
fn tensors_that_lack_are_too_many_or_have_another_shape_are_named() {
    let place = Place::with_source();
    for file in [UNET, TEXT] {
        let (header, data) = opened(file);
        let weight = |name: &&String| name.ends_with(".weight");
        let name = header.keys().find(weight).unwrap().clone();
        let write = |header: Map<String, Value>| {
            let header = Value::Object(header).to_string();
            model_with(&place, "m", file, &closed(&header, &data));
        };

        let mut lacking = header.clone();
        lacking.remove(&name);
        write(lacking);
        described(&place, "m").assert_refused(
            1,
            &["cannot load model m", &format!("lacks tensor \"{name}\"")],
        );

        let mut spare = header.clone();
        let end = data.len();
        spare.insert(
            "extra.weight".to_owned(),
            json!({"dtype": "F32", "shape": [0], "data_offsets": [end, end]}),
        );
        write(spare);
        described(&place, "m").assert_refused(1, &["cannot load model m", "extra.weight"]);

        let mut wrong = header.clone();
        let shape = wrong[&name]["shape"].as_array().unwrap().clone();
        let mut turned = shape.clone();
        turned.insert(0, json!(1));
        wrong[&name]["shape"] = json!(turned);
        write(wrong);
        described(&place, "m").assert_refused(
            1,
            &["cannot load model m", &name, "has shape [1, ", "expected ["],
        );

        let mut integers = header.clone();
        let entry = &mut integers[&name];
        let half = if entry["dtype"] == "F32" {
            "I32"
        } else {
            "I16"
        };
        entry["dtype"] = json!(half);
        write(integers);
        described(&place, "m").assert_refused(1, &["cannot load model m", &name, "integers"]);
    }
    // What cannot be described cannot be run either.
    place
        .run("transform a.png -p winter --model m -o o.png")
        .assert_refused(1, &["cannot load model m"]);
    assert!(!place.path("o.png").exists());
}

#[test]
fn weights_that_are_no_numbers_make_no_picture() {
    let place = Place::with_source();
    for file in [UNET, TEXT] {
        let (header, mut data) = opened(file);
        let weights = header.iter().filter(|(name, _)| name.ends_with(".weight"));
        // In every matrix, so that some of them are used whatever the prompt.
        for (_, entry) in weights {
            let at = entry["data_offsets"][0].as_u64().unwrap() as usize;
            let nan: &[u8] = match entry["dtype"].as_str().unwrap() {
                "F32" => &[0, 0, 0xC0, 0x7F],
                "F16" => &[0, 0x7E],
                other => panic!("{other}"),
            };
            data[at..at + nan.len()].copy_from_slice(nan);
        }
        let header = Value::Object(header).to_string();
        model_with(&place, "m", file, &closed(&header, &data));
        for line in ["transform a.png -s 1", "generate --size 64x64"] {
            let made = place.run(&format!("{line} -p winter --steps 1 --model m -o o.png"));
            made.assert_refused(1, &["gave NaN or infinite numbers, expected finite ones"]);
            assert!(!place.path("o.png").exists(), "{file}: {line}");
        }
        // Nothing is asked of the network at strength 0.
        place.succeed("transform a.png -p winter -s 0 --model m -o p.png");
        assert_eq!(place.open("p.png"), place.open("a.png"));
        fs::remove_file(place.path("p.png")).unwrap();
    }
}

#[test]
fn odd_headers_are_read_or_named() {
    let place = Place::new();
    let (header, data) = opened(UNET);
    let (name, _) = some_tensor(&header);
    let text = Value::Object(header.clone()).to_string();
    let tail = text.strip_prefix('{').unwrap();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let entry = header[&name].to_string();
    // Metadata is not ours to judge, whatever is in it.
    for metadata in [
        &deep,
        "null",
        "7",
        "\"text\"",
        "[1, [2]]",
        r#"{"a": 1, "b": null, "c": {"d": []}}"#,
    ] {
        let odd = format!("{{\"__metadata__\": {metadata}, {tail}   ");
        model_with(&place, "m", UNET, &closed(&odd, &data));
        let made = described(&place, "m");
        let start: String = metadata.chars().take(9).collect();
        assert_eq!(made.code, 0, "{start}: {}", made.stderr);
    }
    let cases = [
        (format!("{{\"{name}\": {entry}, {tail}"), "listed twice"),
        (
            format!("{{\"{name}x\": {deep}, {tail}"),
            "its header is not valid",
        ),
        (
            format!("{{\"__metadata__\": [, {tail}"),
            "its header is not valid",
        ),
        (
            text.replacen("\"shape\"", "\"form\"", 1),
            "its header is not valid",
        ),
        (
            text.replacen("\"data_offsets\":[", "\"data_offsets\":[-", 1),
            "its header is not valid",
        ),
        (
            text.replacen("\"shape\":[", "\"shape\":[1e300,", 1),
            "its header is not valid",
        ),
        (
            text.replacen("\"shape\":[", "\"shape\":[18446744073709551615,2,", 1),
            "impossible shape",
        ),
        (format!("{text}{{"), "its header is not valid"),
        ("[]".to_owned(), "its header is not valid"),
        ("{}".to_owned(), "it holds no tensors"),
    ];
    for (header, words) in cases {
        model_with(&place, "m", UNET, &closed(&header, &data));
        described(&place, "m").assert_refused(1, &["cannot load model m", UNET, words]);
    }
    let mut length = closed(&text, &data);
    length[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    model_with(&place, "m", UNET, &length);
    described(&place, "m")
        .assert_refused(1, &[UNET, "claim a header of 18446744073709551615 bytes"]);
    model_with(&place, "m", UNET, &[0; 8]);
    described(&place, "m").assert_refused(1, &[UNET, "it holds no tensors"]);
}

#[test]
fn what_was_downloaded_in_a_models_place_is_named() {
    let place = Place::new();
    let pickle = [&10u64.to_le_bytes()[..], b"\x80\x02}q\0."].concat();
    let cases: [(&[u8], &[&str]); 7] = [
        (b"", &["empty (0 bytes)"]),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            &["Git LFS pointer"],
        ),
        (
            b"<!DOCTYPE html>\n<title>Sign in</title>",
            &["web page (HTML)"],
        ),
        (
            b"{\"error\": \"Repository not found\"}",
            &["JSON", "Repository not found"],
        ),
        (b"\x80\x02}q\0.", &["pickle"]),
        (&pickle, &["pickle"]),
        (b"PK\x03\x04pytorch", &["pickle"]),
    ];
    for (bytes, words) in cases {
        model_with(&place, "m", UNET, bytes);
        described(&place, "m").assert_refused(1, &[&["cannot load model m", UNET], words].concat());
    }
}

#[test]
fn every_file_of_a_model_is_missed_and_its_emptiness_is_named() {
    let place = Place::with_source();
    model_with(&place, "m", "", b"");
    let optional = |file: &str| {
        let optional = [
            "prompt_words.json",
            "finish.json",
            "wash/wash.json",
            "tokenizer/tokenizer_config.json",
        ];
        optional.contains(&file)
    };
    for (file, bytes) in imagegen_starter::FILES {
        let path = place.path("m").join(file);
        fs::remove_file(&path).unwrap();
        let made = described(&place, "m");
        if !optional(file) {
            made.assert_refused(1, &[&format!("model m lacks {file}")]);
        }
        for other in [&b""[..], b"\0", b"null", b"{\"a\": "] {
            fs::write(&path, other).unwrap();
            let made = place.run("transform a.png -p winter -s 0 --model m -o o.png");
            let name = Path::new(file).file_name().unwrap().to_str().unwrap();
            made.assert_refused(1, &[name]);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let made = place.run("transform a.png -p winter -s 0 --model m -o o.png");
        made.assert_refused(1, &["cannot read ", file, "directory"]);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(described(&place, "m").code, 0);
}

#[test]
fn latents_of_another_kind_are_refused() {
    let place = Place::with_source();
    model_with(&place, "m", "latents.json", br#"{"kind": "autoencoder"}"#);
    described(&place, "m").assert_refused(1, &["latents.json"]);
    fs::remove_file(place.path("m/latents.json")).unwrap();
    let made = place.run("transform a.png -p winter --model m -o o.png");
    made.assert_refused(
        1,
        &["model m lacks latents.json", "a model is a folder with"],
    );
}

#[test]
fn an_autoencoder_that_overflows_is_named_with_what_helps() {
    let place = Place::with_source();
    let name = "vae/diffusion_pytorch_model.safetensors";
    for (tensor, stage) in [
        ("encoder.conv_out.weight", "encoder"),
        ("decoder.conv_out.bias", "decoder"),
    ] {
        write_folder("sd_v", &place.path("m"));
        let mut bytes = fs::read(place.path("m").join(name)).unwrap();
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let entries: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let offset = entries[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[8 + header + offset..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        fs::write(place.path("m").join(name), bytes).unwrap();
        let made = place.run("transform a.png -p winter --steps 2 --model m -o o.png");
        made.assert_refused(
            1,
            &[&format!("the picture {stage} gave NaN or infinite numbers")],
        );
        assert_eq!(made.lines("hint: ").len(), 1, "{}", made.stderr);
        assert!(made.stderr.contains("autoencoder"), "{}", made.stderr);
        assert!(!place.path("o.png").exists());
    }
}
