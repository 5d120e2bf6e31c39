//! Models found by name in folders: those of other programs, the user's own, and what lies around in them.

use std::fs;
use std::path::Path;

use imagegen_conformance::weights::{SingleFile, pack, reference, write_folder};
use safetensors::Dtype;
use serde_json::Value;

use crate::place::{Done, Place};
use crate::{alone, autoencoder, run, succeed};

const RUN: &str = "transform a.png -p winter --steps 1 -s 0.3 --seed 1";

fn put(place: &Place, name: &str, bytes: &[u8]) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A tiny model in one file.
fn model(kind: &str) -> Vec<u8> {
    pack(SingleFile::read(kind).tensors, Dtype::F16)
}

fn listed(place: &Place, folders: &str) -> Value {
    succeed(place, &format!("models --json {folders}")).json()
}

/// A field of every entry of a list but the models of this program.
fn all<'a>(json: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    let entries = json[list].as_array().unwrap().iter();
    let found = entries.filter(|entry| entry["name"] != "starter");
    found.map(|entry| entry[field].as_str().unwrap()).collect()
}

#[test]
fn models_are_found_in_the_folders_of_other_programs() {
    let place = Place::with_source();
    let (sd1, lora) = (model("sd1"), reference("lora_sd_kohya.safetensors"));
    let inversion = reference("inversion_word.safetensors");
    put(
        &place,
        "webui/models/Stable-diffusion/anime/real.safetensors",
        &sd1,
    );
    put(&place, "webui/models/Stable-diffusion/real.txt", b"notes");
    put(&place, "webui/models/Lora/style.safetensors", &lora);
    put(&place, "webui/models/VAE/soft.safetensors", &autoencoder());
    put(&place, "webui/embeddings/word.safetensors", &inversion);
    put(
        &place,
        "comfy/models/checkpoints/large.safetensors",
        &model("sdxl"),
    );
    put(&place, "comfy/models/loras/deep/other.safetensors", &lora);
    put(&place, "comfy/models/vae/hard.safetensors", &autoencoder());
    write_folder("sd_masked", &place.path("plain/some/painter"));
    // What lies around is told by what it holds.
    put(&place, "plain/style.safetensors", &lora);
    put(&place, "plain/word.safetensors", &inversion);
    put(&place, "plain/lone.safetensors", &autoencoder());
    put(
        &place,
        "../hidden/.unfinished/half.safetensors",
        &sd1[..100],
    );
    put(&place, "plain/readme.md", b"# Mine");

    let json = listed(
        &place,
        "--models-dir webui --models-dir comfy --models-dir plain --models-dir ../hidden",
    );
    assert_eq!(all(&json, "models", "name"), ["large", "painter", "real"]);
    assert_eq!(
        all(&json, "models", "kind"),
        [
            "SDXL",
            "Stable Diffusion 1, for inpainting",
            "Stable Diffusion 1"
        ]
    );
    assert_eq!(all(&json, "autoencoders", "name"), ["hard", "lone", "soft"]);
    assert_eq!(json["unusable"], Value::Array(Vec::new()));
    let real = &json["models"][3];
    assert_eq!(real["bytes"], sd1.len());
    assert!(real["path"].as_str().unwrap().ends_with("real.safetensors"));

    let words = succeed(&place, "models --models-dir webui").stdout;
    assert!(words.contains("real  Stable Diffusion 1, "), "{words}");
    assert!(words.contains("\nsoft  "), "{words}");

    let done = succeed(
        &place,
        &format!("{RUN} --models-dir webui --model real --vae soft --json -o o.png"),
    );
    let recipe = &done.json()["results"][0]["recipe"];
    assert_eq!(recipe["model"]["name"], "real");
    assert_eq!(recipe["model"]["vae"]["name"], "soft.safetensors");
    // Several folders in one value, as in PATH.
    let info = succeed(&place, "info painter --models-dir webui:plain --json");
    assert_eq!(info.json()["kind"], "Stable Diffusion 1, for inpainting");
}

#[test]
fn what_is_broken_is_listed_with_what_is_wrong_and_stops_nothing() {
    let place = Place::with_source();
    let sd1 = model("sd1");
    put(&place, "m/good.safetensors", &sd1);
    put(&place, "m/a_cut.safetensors", &sd1[..sd1.len() - 1]);
    put(&place, "m/b_empty.safetensors", b"");
    put(
        &place,
        "m/c_pointer.safetensors",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    );
    put(&place, "m/d_old.ckpt", b"PK\x03\x04archive/data.pkl");
    put(
        &place,
        "m/e_flux.safetensors",
        &pack(
            ["q", "k", "v"].map(|name| (format!("double_blocks.0.{name}"), vec![1], vec![0.0])),
            Dtype::F32,
        ),
    );
    write_folder("sd", &place.path("m/f_folder"));
    fs::remove_dir_all(place.path("m/f_folder/unet")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", place.path("m/g_link.safetensors")).unwrap();
    // A broken LoRA is no broken model.
    put(&place, "m/Lora/broken.safetensors", b"<!DOCTYPE html>");
    // A folder that leads back to itself ends.
    #[cfg(unix)]
    std::os::unix::fs::symlink(".", place.path("m/again")).unwrap();

    let json = listed(&place, "--models-dir m");
    assert_eq!(all(&json, "models", "name"), ["good"]);
    let mut want = vec![
        ("a_cut.safetensors", "the file is cut off"),
        ("b_empty.safetensors", "empty (0 bytes)"),
        ("c_pointer.safetensors", "Git LFS pointer"),
        ("d_old.ckpt", "never opened"),
        ("e_flux.safetensors", "Flux"),
        ("f_folder", "lacks unet/config.json"),
    ];
    if cfg!(unix) {
        want.push(("g_link.safetensors", "cannot be read"));
    }
    let (paths, whys) = (
        all(&json, "unusable", "path"),
        all(&json, "unusable", "why"),
    );
    assert_eq!(paths.len(), want.len(), "{paths:?}");
    for ((path, why), (name, words)) in paths.iter().zip(whys).zip(want) {
        assert!(Path::new(path).ends_with(name), "{path}");
        assert!(why.contains(words), "{path}: {why}");
    }
    succeed(
        &place,
        &format!("{RUN} --models-dir m --model good -o o.png"),
    );
    run(
        &place,
        &format!("{RUN} --models-dir m --model e_flux -o no.png"),
    )
    .assert_refused(1, &["Flux", "expected a model with UNet"]);
}

#[test]
fn a_name_means_one_model_or_is_refused_with_near_ones() {
    let place = Place::with_source();
    let sd1 = model("sd1");
    for name in [
        "m/one/Dream.safetensors",
        "m/two/Dream.safetensors",
        "m/lake.v2.safetensors",
    ] {
        put(&place, name, &sd1);
    }
    put(&place, "m/starter.safetensors", &sd1);
    let json = listed(&place, "--models-dir m");
    assert_eq!(
        all(&json, "models", "name"),
        ["lake.v2", "m/starter", "one/Dream", "two/Dream"]
    );
    let info = |name: &str| run(&place, &format!("info {name} --models-dir m --json"));
    let path = |name: &str| {
        let json = info(name).json();
        json["folder"].as_str().unwrap().to_owned()
    };
    for name in ["lake.v2", "LAKE.v2", "lake.v2.safetensors", "m/lake.v2"] {
        assert!(path(name).ends_with('m'), "{name}");
    }
    for name in ["one/Dream", "one/dream.safetensors", "m/one/Dream"] {
        assert!(path(name).ends_with("one"), "{name}");
    }
    info("dream").assert_refused(
        1,
        &["model \"dream\" is ambiguous, expected one of one/Dream or two/Dream"],
    );
    info("laek.v2").assert_refused(
        1,
        &["model \"laek.v2\" is not known, expected lake.v2, starter or"],
    );
    assert_eq!(info("starter").json()["folder"], Value::Null);

    // A LoRA of the same name is not meant.
    put(
        &place,
        "m/loose/lake.v2.safetensors",
        &reference("lora_sd_kohya.safetensors"),
    );
    assert!(path("lake.v2").ends_with('m'));
    // A path is one, unless a name means something else.
    assert!(path("m/two/Dream.safetensors").ends_with("two"));
    put(&place, "lake.v2", &sd1);
    info("lake.v2").assert_refused(1, &["ambiguous", "lake.v2 or ./lake.v2"]);
    assert!(path("./lake.v2").ends_with("work"));
}

#[test]
fn the_users_own_folder_is_always_looked_into() {
    let place = Place::with_source();
    let own = place.path("../home/.local/share/imagegen/models");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("mine.safetensors"), model("sd1")).unwrap();
    put(&place, "m/other.safetensors", &model("sd2"));
    let names = |done: Done| {
        let json = done.json();
        let names = all(&json, "models", "name").into_iter().map(str::to_owned);
        names.collect::<Vec<_>>()
    };
    let models = ["models", "--json"];
    assert_eq!(names(succeed(&place, "models --json")), ["mine"]);
    let mut command = alone(&place, &models);
    let command = command.env("IMAGEGEN_MODELS_DIR", "m");
    assert_eq!(
        names(Done::of(&command.output().unwrap())),
        ["mine", "other"]
    );
    place.put("c.toml", b"models-dir = \"m\"\nmodel = \"other\"\n");
    let done = succeed(&place, "models --json --config c.toml");
    assert_eq!(names(done), ["mine", "other"]);
    let config = succeed(&place, "config --json --config c.toml").json();
    assert_eq!(config["settings"]["models-dir"]["value"], "m");
    assert_eq!(config["settings"]["steps"]["value"], "30");
    let mut command = alone(&place, &models);
    let command = command.env("XDG_DATA_HOME", place.path("elsewhere"));
    assert!(names(Done::of(&command.output().unwrap())).is_empty());
}

#[test]
fn every_name_that_is_listed_can_be_used() {
    let place = Place::with_source();
    for folder in ["one/models", "two/models", "two/models/deep/models"] {
        put(&place, &format!("{folder}/x.safetensors"), &model("sd1"));
    }
    let folders = "--models-dir one/models --models-dir two/models";
    let json = listed(&place, folders);
    let names = all(&json, "models", "name");
    assert_eq!(names, ["deep/models/x", "models/x", "models/x#2"]);
    for (name, path) in names.iter().zip(all(&json, "models", "path")) {
        let info = succeed(&place, &format!("info {name} --json {folders}")).json();
        let folder = place.path(path).parent().unwrap().display().to_string();
        assert_eq!(info["folder"], folder, "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_listed() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let folder = place.path("").join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir_all(folder.join("vae")).unwrap();
    let put = |name: &[u8], bytes: &[u8]| fs::write(folder.join(OsStr::from_bytes(name)), bytes);
    put(b"painter.safetensors", &model("sd1")).unwrap();
    put(b"kaputt\xff.safetensors", b"nothing").unwrap();
    put(b"vae/soft.safetensors", &autoencoder()).unwrap();
    let mut command = alone(&place, &["models", "--json", "--models-dir"]);
    let done = Done::of(&command.arg(&folder).output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let json = done.json();
    for (list, name) in [
        ("models", "painter"),
        ("autoencoders", "soft"),
        ("unusable", "kaputt"),
    ] {
        let found = json[list].as_array().unwrap();
        let path = found.last().unwrap()["path"].as_str().unwrap();
        assert!(
            path.contains("caf\u{fffd}/") && path.contains(name),
            "{path}"
        );
    }
    let folders = json["folders"].as_array().unwrap();
    assert!(
        folders
            .last()
            .unwrap()
            .as_str()
            .unwrap()
            .ends_with("caf\u{fffd}")
    );
}
