//! Folders of Stable Diffusion models, tiny and random, against diffusers' pipelines: clean estimates of
//! every step, and pictures. `tools/reference/pipelines.py` made the references.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod clip_skip;
mod conditioned;
mod embeddings;
mod loras;
mod noise;
mod prompts;
mod refined;
mod samplers;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use imagegen::{
    Area, CodecKind, Cpu, Defaults, Edge, Embedding, Expand, Fit, Generate, Inpaint, Intent, Level,
    MaskRequest, Model, ModelInfo, ModelSource, Outcome, Picture, PromptMode, Rect, RefinerUse,
    Request, Sampling, Sees, Settings, Source, Stage, StepRecord, Strength, StrengthRule,
    Transform, Unwatched, Wanted, Warning, Watcher,
};
use imagegen_conformance::weights::{reference, write_folder};
use imagegen_picture::Limits;
use safetensors::SafeTensors;
use serde_json::Value;

/// How far a clean estimate may be off, over the largest number of the reference: twice the worst that was
/// measured. diffusers itself runs in f32 here; guidance multiplies what the two networks differ
/// by, 2e-6 of their output, by up to 7.5.
const ESTIMATE_F32: f32 = 5e-5;

/// Root of the mean square, in grey levels, that a picture may be off by.
const PICTURE: f64 = 1.0;

fn cpu() -> Cpu {
    Cpu {
        level: Level::best(),
        threads: 2,
    }
}

fn source() -> Source {
    let bytes = reference("starter_source.png");
    Source::decode("source.png", &bytes, &Limits::default()).unwrap()
}

/// Keeps the clean estimates, in torch's order.
#[derive(Default)]
struct Estimates(Vec<Vec<f32>>);

impl Watcher for Estimates {
    fn stage(&mut self, _: Stage) {}
    fn warning(&mut self, _: &Warning) {}
    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        let estimate = record.denoised.nhwc_to_nchw().unwrap();
        self.0.push(estimate.into_data());
        ControlFlow::Continue(())
    }
}

fn settings(run: &Value) -> Settings {
    Settings {
        prompt: run["prompt"].as_str().unwrap().to_owned(),
        negative_prompt: match run["negative"].as_str() {
            None => String::new(),
            // Blanks are no tokens: the empty text, and not none.
            Some("") => " ".to_owned(),
            Some(text) => text.to_owned(),
        },
        steps: run["steps"].as_u64().map(|steps| steps as usize),
        guidance_scale: run["guidance"].as_f64(),
        seed: run["seed"].as_u64().unwrap(),
        sampler: Some(run["sampler"].as_str().unwrap().parse().unwrap()),
        loras: run["loras"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| loras::used(pair[0].as_str().unwrap(), pair[1].as_f64().unwrap()))
            .collect(),
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        sampling: Sampling {
            schedule: run["schedule"].as_str().map(|name| name.parse().unwrap()),
            eta: run["eta"].as_f64(),
            image_guidance: run["image_guidance"].as_f64(),
            refiner_at: run["at"].as_f64(),
            clip_skip: run["clip_skip"].as_u64().map(|skip| skip as usize),
            ..Sampling::default()
        },
        rule: match run["image_guidance"].is_null() {
            true => StrengthRule::Diffusers,
            // That pipeline knows no strength and starts from noise.
            false => StrengthRule::Share,
        },
        prompt_mode: imagegen::PromptMode::default(),
    }
}

/// The box that a run repaints.
fn painted(run: &Value) -> Option<Rect> {
    let numbers: Vec<u32> = serde_json::from_value(run["box"].clone()).ok()?;
    let &[x, y, width, height] = numbers.as_slice() else {
        panic!("{run} has another box")
    };
    let size = imagegen::Size::new(width, height);
    Some(Rect { x, y, size })
}

fn carry_out(model: &Model, run: &Value, watcher: &mut dyn Watcher) -> Outcome {
    let settings = settings(run);
    let Some(strength) = run["strength"].as_f64() else {
        let request = Generate {
            width: 96,
            height: 64,
            settings,
        };
        return model.generate(&request, watcher).unwrap();
    };
    let source = &source();
    let strength = Strength::new(strength).unwrap();
    if let Some(rect) = painted(run) {
        let crop = run["crop"].as_u64().map(|pixels| pixels as u32);
        let request = Inpaint {
            source,
            mask: MaskRequest {
                boxes: vec![rect],
                ..MaskRequest::default()
            },
            expand: Expand::default(),
            intent: Intent::Change,
            strength: Some(strength),
            content: None,
            area: Some(if crop.is_some() {
                Area::Masked
            } else {
                Area::Whole
            }),
            edge: Edge {
                padding: crop.or(Some(0)),
                wide: Some(0),
                band: Some(0),
                ring: Some(0),
            },
            settings,
        };
        return model.inpaint(&request, watcher).unwrap();
    }
    let request = Transform {
        source,
        strength,
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings,
    };
    model.transform(&request, watcher).unwrap()
}

fn f32s(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = tensors.tensor(name).unwrap();
    let (chunks, _) = tensor.data().as_chunks();
    chunks
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk))
        .collect()
}

/// Every run of a kind, from a folder of its own.
fn agrees_with_diffusers(kind: &str) {
    let (_folder, source, facts) = folder_of(kind);
    let model = Model::load(&source, cpu()).unwrap();
    let runs = facts["runs"].as_array().unwrap().iter();
    let runs = runs.filter(|run| run["crop"].is_null());
    runs_agree(kind, &model, &format!("pipeline_{kind}"), runs);
}

/// Runs against their references, which `file` holds by the runs' names.
fn runs_agree<'a>(kind: &str, model: &Model, file: &str, runs: impl Iterator<Item = &'a Value>) {
    let bytes = reference(&format!("{file}.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for run in runs {
        let name = run["name"].as_str().unwrap();
        let mut estimates = Estimates::default();
        let outcome = carry_out(model, run, &mut estimates);
        for (index, got) in estimates.0.iter().enumerate() {
            let want = f32s(&tensors, &format!("{name}.denoised.{index}"));
            assert_eq!(got.len(), want.len(), "{kind} {name}");
            let size = want.iter().fold(0f32, |size, v| size.max(v.abs()));
            let counts = estimate_counts(kind, run, outcome.facts.work);
            let pairs = got.iter().zip(&want).zip(counts.iter().cycle());
            let pairs = pairs.filter(|(_, counts)| **counts);
            let off = pairs.fold(0f32, |off, ((a, b), _)| off.max((a - b).abs())) / size;
            println!("{kind} {name} estimate {index}: {off:e}");
            assert!(off < ESTIMATE_F32, "{kind} {name} {index} is {off:e} off");
        }
        let next = format!("{name}.denoised.{}", estimates.0.len());
        assert!(
            tensors.tensor(&next).is_err(),
            "{kind} {name} ran too few steps"
        );
        let want = tensors.tensor(&format!("{name}.picture")).unwrap();
        let rms = match painted(run) {
            // Elsewhere ours is the source, which diffusers only comes near to.
            Some(rect) => rms(&cut(outcome.picture.rgb(), rect), &cut(want.data(), rect)),
            None => rms(outcome.picture.rgb(), want.data()),
        };
        println!("{kind} {name} picture: {rms:.4} grey levels rms");
        assert!(rms < PICTURE, "{kind} {name} is {rms} grey levels off");
    }
}

/// Whether each cell of an estimate is compared: an ordinary network is shown the source where a run repaints
/// nothing, and what it makes of it there is thrown away.
fn estimate_counts(kind: &str, run: &Value, [width, height]: [u32; 2]) -> Vec<bool> {
    let rect = painted(run).filter(|_| kind == "sd_held");
    let from = run["crop"].as_u64().unwrap_or(0) as u32;
    let cells = (0..height / 4).flat_map(|y| (0..width / 4).map(move |x| (4 * x, 4 * y)));
    let counts = |(x, y)| match rect {
        None => true,
        Some(Rect {
            x: left,
            y: top,
            size,
        }) => {
            let (left, top) = if from > 0 { (from, from) } else { (left, top) };
            (left..left + size.width).contains(&x) && (top..top + size.height).contains(&y)
        }
    };
    cells.map(counts).collect()
}

/// The rectangle of an RGB picture as wide as the source.
fn cut(rgb: &[u8], rect: Rect) -> Vec<u8> {
    let width = 3 * source().picture().size().width as usize;
    let (from, length) = (3 * rect.x as usize, 3 * rect.size.width as usize);
    let rows = rgb.chunks_exact(width).skip(rect.y as usize);
    let rows = rows.take(rect.size.height as usize);
    rows.flat_map(|row| &row[from..from + length])
        .copied()
        .collect()
}

fn rms(got: &[u8], want: &[u8]) -> f64 {
    assert_eq!(got.len(), want.len());
    let squares = got
        .iter()
        .zip(want)
        .map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2));
    (squares.sum::<f64>() / got.len() as f64).sqrt()
}

/// A picture of text alone by the tiny model, and all that is said of it.
fn said(model: &Model, change: impl FnOnce(&mut Settings)) -> Outcome {
    let run = serde_json::json!({
        "prompt": "oil painting", "negative": null, "steps": 8, "guidance": 3.0, "seed": 3, "sampler": "euler",
        "image_guidance": null,
    });
    let mut settings = settings(&run);
    settings.rule = StrengthRule::Share;
    change(&mut settings);
    let request = Generate {
        width: 64,
        height: 64,
        settings,
    };
    model.generate(&request, &mut Unwatched).unwrap()
}

#[test]
fn stable_diffusion_folders_give_what_diffusers_gives() {
    agrees_with_diffusers("sd");
}

#[test]
fn folders_that_predict_velocity_give_what_diffusers_gives() {
    agrees_with_diffusers("sd_v");
}

#[test]
fn folders_that_hear_the_guidance_and_small_autoencoders_give_what_diffusers_gives() {
    agrees_with_diffusers("sd_quick");
}

#[test]
fn a_negative_prompt_that_is_not_heard_is_said() {
    let (_folder, source, facts) = folder_of("sd_quick");
    let model = Model::load(&source, cpu()).unwrap();
    let run = &facts["runs"][1];
    let plain = carry_out(&model, run, &mut Unwatched);
    assert_eq!(plain.warnings, []);
    let mut run = run.clone();
    run["negative"] = "blurry".into();
    let told = carry_out(&model, &run, &mut Unwatched);
    assert_eq!(told.warnings, [Warning::NegativeUnheard]);
    assert!(told.picture == plain.picture);
    // At 0, too, the network hears its prompt together with the scale.
    run["guidance"] = 0.0.into();
    let none = carry_out(&model, &run, &mut Unwatched);
    assert_eq!(none.warnings, [Warning::NegativeUnheard]);
    assert!(none.picture != plain.picture);
}

#[test]
fn pictures_that_an_older_version_made_in_another_way_are_not_made_anew_in_silence() {
    let (_folder, source_of, facts) = folder_of("sd");
    let model = Model::load(&source_of, cpu()).unwrap();
    let source = source();
    let mut settings = settings(&facts["runs"][1]);
    settings.rule = StrengthRule::A1111;
    let request = Request::Transform(Transform {
        source: &source,
        enlarge: None,
        strength: Strength::new(0.5).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        settings,
    });
    let mut recipe = model.plan(&request).unwrap();
    assert_eq!(recipe.encoded.as_deref(), Some("mean"));
    let again = model.plan(&recipe.request(Some(&source), None).unwrap());
    recipe.check_repetition(again.as_ref().unwrap()).unwrap();
    recipe.encoded = None;
    let error = recipe.check_repetition(&again.unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "recipe field \"encoded\" is mean, expected drawn: an older version drew latents under this rule of strength, \
         which this one does not"
    );
}

#[test]
fn sdxl_folders_give_what_diffusers_gives() {
    agrees_with_diffusers("sdxl");
}

#[test]
fn refiner_folders_give_what_diffusers_gives() {
    agrees_with_diffusers("refiner");
}

fn folder_of(kind: &str) -> (tempfile::TempDir, ModelSource, Value) {
    let folder = tempfile::tempdir().unwrap();
    let facts = write_folder(kind, folder.path());
    let source = ModelSource::Folder(folder.path().to_owned());
    (folder, source, facts)
}

#[test]
fn a_folder_is_described_by_its_files() {
    let (_folder, source, _) = folder_of("sdxl");
    let info = ModelInfo::read(&source).unwrap();
    assert_eq!(info.codec, CodecKind::Autoencoder);
    let names: Vec<_> = info.networks.iter().map(|network| network.name).collect();
    assert_eq!(names, ["unet", "text_encoder", "text_encoder_2", "vae"]);
    assert_eq!((info.native_side, info.grid), (192, 4));
    assert_eq!(info.defaults, Defaults::read(&source).unwrap());
    assert_eq!(info.defaults.guidance_scale, 5.0);
    let numbers: u64 = info.networks.iter().map(|network| network.parameters).sum();
    // Half precision in the file, but for tables, biases and norms.
    assert!((2 * numbers..4 * numbers).contains(&info.memory.weights));
    // Two pictures of 192x192 in f32 alone.
    assert!(info.memory.run > 2 * 192 * 192 * 3 * 4, "{:?}", info.memory);
    let model = Model::load(&source, cpu()).unwrap();
    assert_eq!(info.sha256.as_deref(), Some(model.sha256()));
    // Without its weights it is the same, but for what these say.
    let mut outline = ModelInfo::outline(&source).unwrap();
    assert_eq!(outline.sha256, None);
    assert!(outline.memory.weights <= info.memory.weights);
    outline.sha256.clone_from(&info.sha256);
    outline.memory.weights = info.memory.weights;
    assert_eq!(outline, info);
    let read: Vec<_> = info.files.iter().map(|(file, _)| file.as_str()).collect();
    for file in [
        "model_index.json",
        "vae/config.json",
        "tokenizer_2/special_tokens_map.json",
    ] {
        assert!(read.contains(&file), "{file} is not among {read:?}");
    }
}

#[test]
fn a_tokenizer_without_a_length_of_its_own_reads_as_much_as_others() {
    let (folder, source, facts) = folder_of("sd");
    let run = &facts["runs"][2];
    let picture = |source: &ModelSource| {
        let model = Model::load(source, cpu()).unwrap();
        carry_out(&model, run, &mut Unwatched).picture
    };
    let plain = picture(&source);
    edit(
        &folder.path().join("tokenizer/tokenizer_config.json"),
        |config| {
            // As transformers saves it where nothing is known.
            config["model_max_length"] = 1e30.into();
        },
    );
    assert!(picture(&source) == plain);
}

/// Cuts the UNet's weights into two files and an index, as large models have them.
fn shard(folder: &Path) {
    let path = folder.join("unet/diffusion_pytorch_model.fp16.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for part in 0..2 {
        let name = format!(
            "diffusion_pytorch_model.fp16-0000{}-of-00002.safetensors",
            part + 1
        );
        let views: Vec<_> = tensors
            .tensors()
            .into_iter()
            .skip(part)
            .step_by(2)
            .collect();
        for (tensor, _) in &views {
            map.insert(tensor.clone(), name.clone().into());
        }
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(folder.join("unet").join(name), bytes).unwrap();
    }
    fs::remove_file(path).unwrap();
    write_index(folder, &map);
}

fn write_index(folder: &Path, map: &serde_json::Map<String, Value>) {
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": map});
    let path = folder.join("unet/diffusion_pytorch_model.safetensors.index.fp16.json");
    fs::write(path, index.to_string()).unwrap();
}

#[test]
fn weights_in_several_files_are_joined() {
    let (folder, source, facts) = folder_of("sd");
    let run = &facts["runs"][0];
    let whole = Model::load(&source, cpu()).unwrap();
    let want = carry_out(&whole, run, &mut Unwatched).picture;
    shard(folder.path());
    let joined = Model::load(&source, cpu()).unwrap();
    assert_eq!(carry_out(&joined, run, &mut Unwatched).picture, want);
    assert_ne!(
        joined.sha256(),
        whole.sha256(),
        "other files make another hash"
    );
}

#[test]
fn an_index_that_cannot_be_is_named() {
    let (folder, source, _) = folder_of("sd");
    shard(folder.path());
    let refused = |file: &str| {
        let mut map = serde_json::Map::new();
        map.insert("conv_in.weight".to_owned(), file.into());
        write_index(folder.path(), &map);
        Model::load(&source, cpu()).unwrap_err().to_string()
    };
    for outside in [
        "../vae/diffusion_pytorch_model.fp16.safetensors",
        "/etc/passwd",
        "..",
    ] {
        let error = refused(outside);
        assert!(
            error.contains("expected the name of a file beside it"),
            "{error}"
        );
    }
    let error = refused("none.safetensors");
    assert!(error.contains("lacks unet/none.safetensors"), "{error}");
    let error = refused("diffusion_pytorch_model.fp16-00001-of-00002.safetensors");
    assert!(error.contains("lacks"), "{error}");
}

/// What loading the folder says after `change`.
fn refused(kind: &str, change: impl FnOnce(&Path)) -> String {
    let (folder, source, _) = folder_of(kind);
    change(folder.path());
    Model::load(&source, cpu()).unwrap_err().to_string()
}

/// Rewrites a JSON file.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn components_that_are_not_run_are_named() {
    let error = refused("sd", |folder| {
        edit(&folder.join("model_index.json"), |index| {
            index["image_encoder"] = serde_json::json!(["transformers", "CLIPVisionModel"]);
        });
    });
    assert!(
        error.starts_with(
            "model_index.json field \"image_encoder\" is a component (CLIPVisionModel)"
        ),
        "{error}"
    );
}

#[test]
fn pickles_in_place_of_weights_are_named_with_the_way_out() {
    let error = refused("sd_v", |folder| {
        fs::remove_file(folder.join("vae/diffusion_pytorch_model.safetensors")).unwrap();
        fs::write(folder.join("vae/diffusion_pytorch_model.bin"), b"PK").unwrap();
    });
    assert!(
        error.contains("lacks vae/diffusion_pytorch_model.safetensors")
            && error.contains("vae/diffusion_pytorch_model.bin is a Python pickle")
            && error.contains("never opened"),
        "{error}"
    );
}

#[test]
fn networks_of_another_kind_are_named() {
    let error = refused("sd_v", |folder| {
        edit(&folder.join("unet/config.json"), |config| {
            config["in_channels"] = 5.into();
        });
    });
    assert!(
        error.starts_with("unet/config.json field \"in_channels\" is 5, expected 4, 8 or 9"),
        "{error}"
    );
    // A text encoder of another family.
    let error = refused("sd_v", |folder| {
        edit(&folder.join("unet/config.json"), |config| {
            config["cross_attention_dim"] = 768.into()
        });
    });
    assert!(
        error.contains("\"cross_attention_dim\" is 768, expected 24"),
        "{error}"
    );
    let error = refused("sdxl", |folder| {
        edit(&folder.join("unet/config.json"), |config| {
            config["projection_class_embeddings_input_dim"] = 61.into();
        });
    });
    assert!(
        error.contains("is 61, expected 52 or 60 for this text encoder"),
        "{error}"
    );
}

#[test]
fn an_autoencoder_that_overflows_is_named_by_its_stage() {
    let (folder, source, facts) = folder_of("sd_v");
    let path = folder
        .path()
        .join("vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let names: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offset = names["encoder.conv_out.weight"]["data_offsets"][0]
        .as_u64()
        .unwrap();
    let at = 8 + header + offset as usize;
    bytes[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let model = Model::load(&source, cpu()).unwrap();
    let picture = self::source();
    let request = Transform {
        source: &picture,
        strength: Strength::new(0.6).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings: settings(&facts["runs"][0]),
    };
    let error = model
        .transform(&request, &mut Unwatched)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the picture encoder gave NaN or infinite numbers, expected finite ones"
    );
    // Nothing is encoded for text to image.
    let settings = settings(&facts["runs"][0]);
    let request = Generate {
        width: 64,
        height: 64,
        settings,
    };
    model.generate(&request, &mut Unwatched).unwrap();
}

#[test]
fn previews_are_small_and_cost_little() {
    struct Previews<'a>(&'a Model, Vec<imagegen::Size>);
    impl Watcher for Previews<'_> {
        fn stage(&mut self, _: Stage) {}
        fn warning(&mut self, _: &Warning) {}
        fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
            self.1.push(self.0.preview(record).unwrap().size());
            ControlFlow::Continue(())
        }
    }
    let (_folder, source, facts) = folder_of("sd_v");
    let model = Model::load(&source, cpu()).unwrap();
    let request = Generate {
        width: 384,
        height: 192,
        settings: settings(&facts["runs"][0]),
    };
    let mut previews = Previews(&model, Vec::new());
    model.generate(&request, &mut previews).unwrap();
    assert_eq!(previews.1.len(), 5);
    assert_eq!(previews.1[0], imagegen::Size::new(128, 64));
}
