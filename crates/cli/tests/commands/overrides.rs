//! `--vae` and `--prediction`: what holds in place of what a model's files say.

use std::fs;

use imagegen_conformance::weights::{SingleFile, pack, write_folder};
use safetensors::Dtype;
use serde_json::Value;

use crate::place::Place;
use crate::{run, succeed};

const RUN: &str = "transform a.png -p winter --steps 4 -s 0.6 --seed 1";
const INNER: &str = "first_stage_model.";

type Tensor = (String, Vec<usize>, Vec<f32>);

fn put(place: &Place, name: &str, tensors: impl IntoIterator<Item = Tensor>) {
    place.put(name, &pack(tensors, Dtype::F32));
}

/// The autoencoder of a single file, with `shift` added to the colours that it decodes.
fn autoencoder(model: &SingleFile, shift: f32) -> Vec<Tensor> {
    let own = model.tensors.iter().filter_map(|(name, shape, numbers)| {
        let name = name.strip_prefix(INNER)?;
        let mut numbers = numbers.clone();
        if name == "decoder.conv_out.bias" {
            numbers.iter_mut().for_each(|number| *number += shift);
        }
        Some((name.to_owned(), shape.clone(), numbers))
    });
    own.collect()
}

fn recipe(place: &Place, name: &str) -> Value {
    let done = succeed(place, &format!("{RUN} --model m.safetensors {name} --json"));
    done.json()["results"][0]["recipe"].clone()
}

#[test]
fn markers_in_a_file_decide_and_an_option_decides_above_them() {
    let place = Place::with_source();
    let model = SingleFile::read("sd1").tensors;
    put(&place, "plain.safetensors", model.clone());
    // Markers hold no numbers; one that nobody knows is no spare tensor.
    let marker = |name: &str| (name.to_owned(), vec![0], Vec::new());
    let marks = ["v_pred", "ztsnr", "made_by_nobody"].map(marker);
    put(&place, "marked.safetensors", model.into_iter().chain(marks));
    let kind = |line: &str| {
        let json = succeed(&place, &format!("info {line} --json")).json();
        let text = |field: &str| json[field].to_string();
        (
            text("prediction_type"),
            json["schedule"]["zero_terminal_snr"] == true,
        )
    };
    let told = |name: &str, zero| (format!("\"{name}\""), zero);
    assert_eq!(kind("plain.safetensors"), told("epsilon", false));
    assert_eq!(kind("marked.safetensors"), told("v_prediction", true));
    let forced = "marked.safetensors --prediction epsilon";
    assert_eq!(kind(forced), told("epsilon", false));
    let words = succeed(&place, &format!("info {forced}")).stdout;
    assert!(
        words.contains("prediction type  epsilon (decided by --prediction)"),
        "{words}"
    );
    let made = |name: &str, model: &str| {
        succeed(&place, &format!("{RUN} --model {model} -o {name}"));
        place.open(name)
    };
    let plain = made("plain.png", "plain.safetensors");
    let marked = made("marked.png", "marked.safetensors");
    assert!(marked != plain, "the markers changed nothing");
    assert!(made("forced.png", forced) == plain);
    let velocity = made("v.png", "plain.safetensors --prediction v_prediction");
    assert!(velocity != plain);

    // The picture says so, and is made again by what it says.
    succeed(
        &place,
        "replay forced.png --model marked.safetensors -o again.png",
    );
    assert!(place.bytes("again.png") == place.bytes("forced.png"));
    run(
        &place,
        "replay forced.png --model marked.safetensors --prediction sample -o no.png",
    )
    .assert_refused(1, &["\"model.prediction\" is sample, expected epsilon"]);
    run(
        &place,
        "replay marked.png --model marked.safetensors --prediction epsilon -o no.png",
    )
    .assert_refused(1, &["\"model.prediction\" is epsilon, expected none"]);
    run(&place, &format!("{RUN} --prediction velocity -o no.png")).assert_refused(
        2,
        &["prediction is velocity, expected epsilon, v_prediction or sample"],
    );
}

#[test]
fn an_autoencoder_that_is_named_goes_before_all_others() {
    let place = Place::with_source();
    let model = SingleFile::read("sd1");
    put(&place, "m.safetensors", model.tensors.clone());
    put(&place, "own.safetensors", autoencoder(&model, 0.0));
    put(&place, "bright.safetensors", autoencoder(&model, 0.3));
    let plain = recipe(&place, "-o plain.png");
    let own = recipe(&place, "--vae own.safetensors -o own.png");
    let bright = recipe(&place, "--vae bright.safetensors -o bright.png");
    assert_eq!(plain["model"]["vae"], Value::Null);
    assert_eq!(own["model"]["vae"]["name"], "own.safetensors");
    assert_eq!(own["model"]["sha256"], plain["model"]["sha256"]);
    assert!(place.open("own.png") == place.open("plain.png"));
    assert!(place.open("bright.png") != place.open("plain.png"));

    let info = succeed(&place, "info m.safetensors --vae bright.safetensors --json").json();
    assert_eq!(info["vae"], bright["model"]["vae"]);
    let files = info["files"].as_array().unwrap();
    assert_eq!(files[1]["path"], "bright.safetensors");

    // One beside the file goes after the one that is named.
    put(&place, "m.vae.safetensors", autoencoder(&model, -0.3));
    recipe(&place, "-o beside.png");
    assert!(place.open("beside.png") != place.open("plain.png"));
    recipe(&place, "--vae bright.safetensors -o again.png");
    assert!(place.open("again.png") == place.open("bright.png"));

    let replay = "replay bright.png --model m.safetensors";
    succeed(
        &place,
        &format!("{replay} --vae bright.safetensors -o again.png"),
    );
    assert!(place.bytes("again.png") == place.bytes("bright.png"));
    let refused = run(&place, &format!("{replay} -o no.png"));
    refused.assert_refused(1, &["\"model.vae.sha256\" is none, expected "]);
    assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("--vae"));
}

#[test]
fn an_autoencoder_in_a_folder_is_read_by_its_own_settings() {
    let place = Place::with_source();
    for name in ["m", "other"] {
        write_folder("sd", &place.path(name));
    }
    let config = place.path("other/vae/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let mut settings: Value = serde_json::from_str(&text).unwrap();
    settings["scaling_factor"] = 0.25.into();
    fs::write(&config, settings.to_string()).unwrap();
    let made = |name: &str, vae: &str| {
        succeed(&place, &format!("{RUN} --model m {vae} -o {name}"));
        place.open(name)
    };
    let plain = made("plain.png", "");
    assert!(made("own.png", "--vae m/vae") == plain);
    assert!(made("whole.png", "--vae m") == plain);
    assert!(
        made(
            "file.png",
            "--vae m/vae/diffusion_pytorch_model.fp16.safetensors"
        ) == plain
    );
    assert!(made("other.png", "--vae other/vae") != plain);
    // A model without weights of its own runs with those.
    fs::remove_file(place.path("m/vae/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    run(&place, "info m").assert_refused(1, &["model m lacks vae/"]);
    made("without.png", "--vae other/vae");
    assert!(place.open("without.png") == place.open("other.png"));
    // The settings beneath the options reach it too.
    let mut command = crate::alone(&place, &["info", "m", "--json"]);
    let done = crate::place::Done::of(&command.env("IMAGEGEN_VAE", "other/vae").output().unwrap());
    assert_eq!(done.json()["vae"]["name"], "vae");
}

#[test]
fn what_is_no_autoencoder_for_a_model_is_named() {
    let place = Place::with_source();
    let model = SingleFile::read("sd1");
    put(&place, "m.safetensors", model.tensors.clone());
    put(&place, "v.safetensors", autoencoder(&model, 0.0));
    put(
        &place,
        "lora.safetensors",
        [("lora_unet_x.lora_up.weight".to_owned(), vec![1], vec![0.0])],
    );
    place.put("v.ckpt", b"PK\x03\x04archive/data.pkl");
    fs::create_dir(place.path("empty")).unwrap();
    for (line, words) in [
        (
            "--vae v.safetensors",
            &["autoencoder for model starter", "patches of pixels"][..],
        ),
        (
            "--model m.safetensors --vae none.safetensors",
            &["autoencoder is \"none.safetensors\", which is not there"],
        ),
        (
            "--model m.safetensors --vae m.safetensors",
            &["cannot use the autoencoder m.safetensors"],
        ),
        (
            "--model m.safetensors --vae lora.safetensors",
            &["cannot use the autoencoder lora.safetensors"],
        ),
        (
            "--model m.safetensors --vae v.ckpt",
            &["cannot use the autoencoder v.ckpt", "pickle"],
        ),
        (
            "--model m.safetensors --vae empty",
            &["autoencoder empty is a folder without empty/config.json"],
        ),
    ] {
        run(&place, &format!("{RUN} {line} -o no.png")).assert_refused(1, words);
        assert!(!place.path("no.png").exists());
    }
    run(&place, "serve --address 127.0.0.1:0 --data d --model starter --model m.safetensors --vae v.safetensors")
        .assert_refused(2, &["--vae and --prediction are for one --model, 2 are named"]);
}

#[test]
fn an_overflow_of_the_encoder_is_mended_by_another_autoencoder() {
    let place = Place::with_source();
    write_folder("sd_v", &place.path("sound"));
    write_folder("sd_v", &place.path("m"));
    let weights = place.path("m/vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let entries: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let place_of = &entries["encoder.conv_out.weight"]["data_offsets"][0];
    let offset = place_of.as_u64().unwrap() as usize;
    bytes[8 + header + offset..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let line = "transform a.png -p winter --steps 2 --model m";
    let refused = run(&place, &format!("{line} -o o.png"));
    refused.assert_refused(1, &["the picture encoder gave NaN or infinite numbers"]);
    assert!(refused.stderr.contains("f32") && refused.stderr.contains("--vae"));
    assert!(!place.path("o.png").exists());
    // Nothing is encoded at strength 1, and another autoencoder is sound.
    succeed(&place, &format!("{line} -s 1 -o o.png"));
    succeed(&place, &format!("{line} --vae sound/vae -o o.png"));
}

#[test]
fn an_autoencoder_that_is_set_is_taken_back_for_one_run() {
    let place = Place::with_source();
    place.put("c.toml", b"vae = \"bright.safetensors\"\n");
    let line = "--config c.toml transform a.png -p winter --steps 1 -s 0.3 --seed 1";
    // The model of the program has patches of pixels, which no autoencoder goes with.
    put(
        &place,
        "bright.safetensors",
        autoencoder(&SingleFile::read("sd1"), 0.3),
    );
    run(&place, &format!("{line} -o no.png")).assert_refused(1, &["autoencoder"]);
    succeed(&place, &format!("{line} --vae own -o o.png"));
    succeed(
        &place,
        "--config c.toml replay o.png --vae own -o again.png",
    );
    assert!(place.open("o.png") == place.open("again.png"));
}
