//! What results say of their making, read with other libraries than the ones that wrote it.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::webp::WebPDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::place::Place;

const FORMATS: [&str; 3] = ["o.png", "o.jpg", "o.webp"];

/// The texts of a result: AUTOMATIC1111's, our JSON, the XMP packet.
struct Texts {
    parameters: String,
    json: String,
    xmp: String,
}

fn texts(place: &Place, name: &str) -> Texts {
    let bytes = place.bytes(name);
    let file = Cursor::new(&bytes);
    match name.rsplit('.').next() {
        Some("png") => png_texts(&bytes),
        Some("jpg") => exif_texts(JpegDecoder::new(file).unwrap()),
        _ => exif_texts(WebPDecoder::new(file).unwrap()),
    }
}

fn png_texts(bytes: &[u8]) -> Texts {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let text = |keyword: &str| {
        let chunks = &reader.info().utf8_text;
        let chunk = chunks.iter().find(|chunk| chunk.keyword == keyword);
        chunk
            .unwrap_or_else(|| panic!("no {keyword}"))
            .get_text()
            .unwrap()
    };
    Texts {
        parameters: text("parameters"),
        json: text("imagegen"),
        xmp: text("XML:com.adobe.xmp"),
    }
}

fn exif_texts(mut decoder: impl ImageDecoder) -> Texts {
    const MARK: &[u8] = b"UNICODE\0";
    let exif = decoder.exif_metadata().unwrap().unwrap();
    let at = exif.windows(MARK.len()).position(|part| part == MARK);
    let units = exif[at.unwrap() + MARK.len()..].chunks_exact(2);
    let units: Vec<_> = units
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let xmp = String::from_utf8(decoder.xmp_metadata().unwrap().unwrap()).unwrap();
    let (_, json) = xmp.split_once("<imagegen:request>").unwrap();
    let (json, _) = json.split_once("</imagegen:request>").unwrap();
    let json = json
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Texts {
        parameters: String::from_utf16(&units).unwrap(),
        json,
        xmp,
    }
}

#[test]
fn every_format_carries_the_recipe() {
    let place = Place::with_source();
    let prompt = "\"oil\" painting,\r\n\tbold 🎨 <b>&amp;</b> C:\\x ]]>\nNegative prompt: no\nSteps: 99, Seed: 1";
    let negative = "'blurry', low contrast 🌫️";
    for name in FORMATS {
        let arguments = [
            "transform",
            "a.png",
            "-p",
            prompt,
            "-n",
            negative,
            "--seed",
            "77",
        ];
        let more = ["--steps", "4", "-s", "0.25", "-o", name, "--json"];
        let done = place.run_with(&[&arguments[..], &more].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        let Texts {
            parameters,
            json,
            xmp,
        } = texts(&place, name);
        let recipe: Value = serde_json::from_str(&json).unwrap();
        let printed = done.json();
        assert_eq!(recipe, printed["results"][0]["recipe"], "{name}");
        assert_eq!(recipe["prompt"], prompt, "{name}");
        assert_eq!(recipe["negative_prompt"], negative, "{name}");
        assert_eq!(recipe["seed"], 77);
        assert_eq!(recipe["steps"], 4);
        assert_eq!(recipe["strength"], 0.25);
        assert_eq!(recipe["model"], printed["model"]);
        assert_eq!(recipe["source"]["name"], "a.png");
        let hash: String = Sha256::digest(place.bytes("a.png"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(recipe["source"]["sha256"], hash);

        let lines: Vec<_> = parameters.lines().collect();
        assert_eq!(lines.len(), 3, "{parameters}");
        assert!(
            lines[0].starts_with("\"oil\" painting, bold 🎨 <b>&amp;</b> C:\\x"),
            "{parameters}"
        );
        assert_eq!(lines[1], format!("Negative prompt: {negative}"));
        let settings: Vec<_> = lines[2].split(", ").collect();
        let model = printed["model"]["sha256"].as_str().unwrap();
        let model = format!("Model hash: {}", &model[..10]);
        for setting in [
            "Steps: 4",
            "Sampler: DDIM",
            "CFG scale: 1",
            "Seed: 77",
            "Size: 80x64",
            "Denoising strength: 0.25",
            "Model: starter",
            &model,
        ] {
            assert!(
                settings.contains(&setting),
                "{name}: no {setting} in {}",
                lines[2]
            );
        }
        let mark = "digitalsourcetype/compositeWithTrainedAlgorithmicMedia<";
        assert!(xmp.contains(mark), "{name}: {xmp}");
    }
}

#[test]
fn text_to_image_is_marked_as_made_by_a_model_alone() {
    let place = Place::new();
    for name in FORMATS {
        place.succeed(&format!(
            "generate -p winter --size 80x64 --steps 1 --seed 5 -o {name}"
        ));
        let texts = texts(&place, name);
        let mark = "digitalsourcetype/trainedAlgorithmicMedia<";
        assert!(texts.xmp.contains(mark), "{name}: {}", texts.xmp);
        let recipe: Value = serde_json::from_str(&texts.json).unwrap();
        assert!(
            recipe["source"].is_null() && recipe["fit"].is_null(),
            "{name}"
        );
        assert_eq!(recipe["strength"], 1.0, "{name}");
        assert!(!texts.parameters.contains("Denoising strength"), "{name}");
    }
}

#[test]
fn a_recipe_makes_the_picture_again() {
    let place = Place::with_source();
    place.succeed(
        "transform a.png -p winter -n night -s 0.6 --strength-rule exact --steps 3 --guidance 2 \
         --sampler euler_a --seed 9007199254740993 -o first.png",
    );
    let recipe: Value = serde_json::from_str(&texts(&place, "first.png").json).unwrap();
    let text = |field: &str| match &recipe[field] {
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let fields = [
        ("-p", "prompt"),
        ("-n", "negative_prompt"),
        ("-s", "strength"),
        ("--strength-rule", "strength_rule"),
        ("--steps", "steps"),
        ("--guidance", "guidance_scale"),
        ("--sampler", "sampler"),
        ("--seed", "seed"),
        ("--fit", "fit"),
    ];
    let options = fields.map(|(option, field)| format!("{option} {}", text(field)));
    let line = format!("transform a.png {} -o again.png", options.join(" "));
    place.succeed(&line);
    assert!(
        place.bytes("again.png") == place.bytes("first.png"),
        "{line}"
    );
}

#[test]
fn no_path_is_recorded() {
    let place = Place::with_source();
    let folder = place.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    // The starter as a folder on this machine: a path where a name is expected.
    for (file, bytes) in imagegen_starter::FILES {
        let path = place.path("my-model").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let private = folder.strip_suffix("/work").unwrap();
    let wide: Vec<u8> = private.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for name in FORMATS {
        place.succeed(&format!(
            "transform {folder}/a.png -p winter --model {folder}/my-model --steps 2 -o {folder}/{name}"
        ));
        let recipe: Value = serde_json::from_str(&texts(&place, name).json).unwrap();
        assert_eq!(recipe["model"]["name"], "my-model");
        assert_eq!(recipe["source"]["name"], "a.png");
        let bytes = place.bytes(name);
        for needle in [private.as_bytes(), &wide] {
            let found = bytes.windows(needle.len()).any(|part| part == needle);
            assert!(!found, "{name} contains {private}");
        }
    }
}
