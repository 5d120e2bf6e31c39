//! Models in one file: the same pictures as from a folder with the same weights, to the byte.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use imagegen::{
    Cpu, Fit, Level, Model, ModelInfo, ModelSource, Picture, Settings, Source, Strength,
    StrengthRule, Transform, Unwatched, Wanted,
};
use imagegen_conformance::weights::{SingleFile, pack, reference};
use imagegen_picture::Limits;
use safetensors::Dtype;
use serde_json::{Value, json};

fn load(source: &ModelSource) -> Result<Model, String> {
    let cpu = Cpu {
        level: Level::best(),
        threads: 2,
    };
    Model::load(source, cpu).map_err(|error| error.to_string())
}

fn picture(model: &Model) -> Picture {
    let bytes = reference("starter_source.png");
    let source = Source::decode("source.png", &bytes, &Limits::default()).unwrap();
    let request = Transform {
        source: &source,
        strength: Strength::new(0.5).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings: Settings {
            prompt: "oil painting of a lake".to_owned(),
            negative_prompt: String::new(),
            steps: Some(4),
            guidance_scale: Some(3.0),
            seed: 5,
            sampler: None,
            sampling: imagegen::Sampling::default(),
            loras: Vec::new(),
            loras_settled: false,
            embeddings: Vec::new(),
            refiner: None,
            prompt_mode: imagegen::PromptMode::default(),
            rule: StrengthRule::Share,
        },
    };
    model.transform(&request, &mut Unwatched).unwrap().picture
}

fn file(path: &Path, model: &SingleFile, keep: impl Fn(&str) -> bool, dtype: Dtype) -> ModelSource {
    let tensors = model
        .tensors
        .iter()
        .filter(|(name, ..)| keep(name))
        .cloned();
    fs::write(path, pack(tensors, dtype)).unwrap();
    path.to_str().unwrap().parse().unwrap()
}

/// `vocab.json` of CLIP: bytes, bytes at a word's end, merges, begin and end.
fn vocabulary(merges: &str) -> String {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let (own, others): (Vec<u32>, Vec<u32>) = (0..256).partition(printable);
    let codes = own.into_iter().chain((256..).take(others.len()));
    let letters: Vec<String> = codes
        .map(|code| char::from_u32(code).unwrap().to_string())
        .collect();
    let mut words = letters.clone();
    words.extend(letters.iter().map(|letter| format!("{letter}</w>")));
    words.extend(merges.lines().skip(1).map(|line| line.replace(' ', "")));
    words.extend(["<|startoftext|>", "<|endoftext|>"].map(str::to_owned));
    let ids: BTreeMap<_, _> = words.into_iter().zip(0..).collect();
    json!(ids).to_string()
}

/// The folder with the weights of `model`.
fn folder(path: &Path, model: &SingleFile, scheduler: &Value, dtype: Dtype) -> ModelSource {
    let write = |name: &str, bytes: &[u8]| {
        let path = path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(
        "scheduler/scheduler_config.json",
        scheduler.to_string().as_bytes(),
    );
    let merges = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/clip/merges.txt");
    let merges = fs::read_to_string(merges).unwrap();
    for (name, part) in &model.parts {
        write(&format!("{name}/config.json"), part.config.as_bytes());
        let stem = match name.strip_prefix("text_encoder") {
            None => "diffusion_pytorch_model",
            Some(which) => {
                let pad = if which.is_empty() {
                    "<|endoftext|>"
                } else {
                    "!"
                };
                let config = json!({"pad_token": pad, "model_max_length": 77}).to_string();
                write(&format!("tokenizer{which}/merges.txt"), merges.as_bytes());
                write(
                    &format!("tokenizer{which}/vocab.json"),
                    vocabulary(&merges).as_bytes(),
                );
                write(
                    &format!("tokenizer{which}/tokenizer_config.json"),
                    config.as_bytes(),
                );
                "model"
            }
        };
        write(
            &format!("{name}/{stem}.safetensors"),
            &part.safetensors(dtype),
        );
    }
    path.to_str().unwrap().parse().unwrap()
}

/// The scheduler file that goes with a family of single files.
fn schedule(class: &str) -> Value {
    json!({
        "_class_name": class,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "clip_sample": false,
        "set_alpha_to_one": false,
    })
}

fn same_picture(kind: &str, class: &str, dtype: Dtype) {
    let place = tempfile::tempdir().unwrap();
    let model = SingleFile::read(kind);
    let file = file(&place.path().join("m.safetensors"), &model, |_| true, dtype);
    let folder = folder(&place.path().join("m"), &model, &schedule(class), dtype);
    let (file, folder) = (load(&file).unwrap(), load(&folder).unwrap());
    assert_eq!(file.name(), "m");
    assert_eq!(file.defaults(), folder.defaults());
    assert_eq!(file.native_side(), folder.native_side());
    assert!(
        picture(&file) == picture(&folder),
        "{kind}: pictures differ"
    );
}

#[test]
fn a_file_makes_the_picture_of_its_folder() {
    same_picture("sd1", "DDIMScheduler", Dtype::F16);
}

#[test]
fn a_file_of_sdxl_makes_the_picture_of_its_folder() {
    same_picture("sdxl", "EulerDiscreteScheduler", Dtype::F32);
}

#[test]
fn an_autoencoder_beside_the_file_is_the_models() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m.safetensors");
    let model = SingleFile::read("sd1");
    let want = picture(&load(&file(&path, &model, |_| true, Dtype::F32)).unwrap());
    let inner = "first_stage_model.";
    let bare = file(&path, &model, |name| !name.starts_with(inner), Dtype::F32);
    let error = load(&bare).unwrap_err();
    assert_eq!(
        error,
        "model m lacks m.vae.safetensors: the model has no autoencoder in it, so one has to stand beside it or be named"
    );
    let own = model.tensors.iter().filter_map(|(name, shape, numbers)| {
        let name = name.strip_prefix(inner)?;
        Some((name.to_owned(), shape.clone(), numbers.clone()))
    });
    fs::write(
        place.path().join("m.vae.safetensors"),
        pack(own, Dtype::F32),
    )
    .unwrap();
    let info = ModelInfo::read(&bare).unwrap();
    let files: Vec<_> = info.files.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["m.safetensors", "m.vae.safetensors"]);
    assert!(picture(&load(&bare).unwrap()) == want);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_is_a_model_of_its_own_name() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("0123abcd");
    file(&path, &SingleFile::read("sd2"), |_| true, Dtype::F16);
    let link = place.path().join("mine.safetensors");
    std::os::unix::fs::symlink("0123abcd", &link).unwrap();
    let info = ModelInfo::read(ModelSource::File(link)).unwrap();
    assert_eq!(info.name, "mine");
    assert_eq!(info.files.len(), 1);
    assert_eq!(info.files[0].0, "mine.safetensors");
}

#[test]
fn a_files_hash_is_its_own() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m.safetensors");
    let source = file(&path, &SingleFile::read("sd2"), |_| true, Dtype::F16);
    let info = ModelInfo::read(&source).unwrap();
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(fs::read(&path).unwrap());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(info.sha256, Some(hash));
    assert_eq!(
        (info.schedule.prediction_type, info.native_side),
        ("v_prediction", 192)
    );
}

#[test]
fn a_file_that_changed_is_never_taken_for_what_it_was() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m.safetensors");
    let source = file(&path, &SingleFile::read("sd2"), |_| true, Dtype::F16);
    let before = load(&source).unwrap().sha256().to_owned();
    assert_eq!(
        ModelInfo::read(&source).unwrap().sha256,
        Some(before.clone())
    );
    // Another number in the last tensor, in the same file, of the same size and time.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
    let after = load(&source).unwrap().sha256().to_owned();
    assert_ne!(before, after);
    assert_eq!(ModelInfo::read(&source).unwrap().sha256, Some(after));
}

#[test]
fn a_pickle_is_never_opened_and_the_way_out_is_said() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m.ckpt");
    for bytes in [&b"PK\x03\x04archive/data.pkl"[..], b"\x80\x02}q\x00X"] {
        fs::write(&path, bytes).unwrap();
        let error = load(&path.to_str().unwrap().parse().unwrap()).unwrap_err();
        assert!(
            error.starts_with("cannot load model m: m.ckpt is a Python pickle")
                && error.contains("never opened; convert it"),
            "{error}"
        );
    }
}
