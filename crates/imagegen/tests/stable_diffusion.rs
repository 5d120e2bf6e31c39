//! Folders of Stable Diffusion models, tiny and random, against diffusers' pipelines: clean estimates of
//! every step, and pictures. `tools/reference/pipelines.py` made the references.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use imagegen::{
    Area, CodecKind, Cpu, Defaults, Edge, Embedding, Expand, Fit, Generate, Inpaint, Intent, Level,
    MaskRequest, Model, ModelInfo, ModelSource, Outcome, Picture, PromptMode, Rect, Request,
    Sampling, Sees, Settings, Source, Stage, StepRecord, Strength, StrengthRule, Transform,
    Unwatched, Wanted, Warning, Watcher,
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
        sampling: Sampling {
            image_guidance: run["image_guidance"].as_f64(),
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
fn inpainting_with_networks_made_for_it_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_masked");
}

#[test]
fn inpainting_with_ordinary_networks_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_held");
}

#[test]
fn editing_as_told_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_edit");
}

#[test]
fn repainting_a_part_of_the_picture_gives_what_diffusers_gives() {
    for kind in ["sd_masked", "sd_held"] {
        let (folder, source, facts) = folder_of(kind);
        // A model of so few pixels that the part is worked on at its own size.
        edit(&folder.path().join("unet/config.json"), |config| {
            config["sample_size"] = 18.into();
        });
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let crops: Vec<_> = runs.filter(|run| !run["crop"].is_null()).collect();
        assert_eq!(crops.len(), 1);
        runs_agree(kind, &model, &format!("pipeline_{kind}"), crops.into_iter());
    }
}

#[test]
fn networks_made_for_inpainting_ask_for_a_mask() {
    let (_folder, source, facts) = folder_of("sd_masked");
    let model = Model::load(&source, cpu()).unwrap();
    assert_eq!(ModelInfo::read(&source).unwrap().sees, Sees::Mask);
    let settings = settings(&facts["runs"][0]);
    let picture = self::source();
    let transform = Request::Transform(Transform {
        source: &picture,
        strength: Strength::new(0.5).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings: settings.clone(),
    });
    let generate = Request::Generate(Generate {
        width: 64,
        height: 64,
        settings,
    });
    for request in [transform, generate] {
        let error = model.run(&request, &mut Unwatched).unwrap_err().to_string();
        assert!(
            error.contains("is made for inpainting, got a request without a mask"),
            "{error}"
        );
    }
}

#[test]
fn guidance_by_the_source_is_for_networks_that_are_instructed() {
    let (_folder, source, facts) = folder_of("sd_edit");
    assert_eq!(
        ModelInfo::read(&source).unwrap().sees,
        Sees::InstructedSource
    );
    assert_eq!(Defaults::read(&source).unwrap().strength, 1.0);
    let model = Model::load(&source, cpu()).unwrap();
    let run = &facts["runs"][0];
    let made = carry_out(&model, run, &mut Unwatched);
    assert_eq!(made.facts.recipe.image_guidance, Some(1.5));
    let mut bad = settings(run);
    bad.sampling.image_guidance = Some(101.0);
    let refused = |model: &Model, settings: Settings| {
        let request = Generate {
            width: 64,
            height: 64,
            settings,
        };
        let error = model.generate(&request, &mut Unwatched).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused(&model, bad),
        "image guidance is 101, expected 0 to 100"
    );
    let (_folder, source, _) = folder_of("sd_v");
    let plain = Model::load(&source, cpu()).unwrap();
    assert_eq!(
        refused(&plain, settings(run)),
        "image guidance is 1.5, expected none with this model, which is not instructed (InstructPix2Pix)"
    );
}

/// `tools/reference/prompt_grammar.py` made the references.
#[test]
fn prompts_with_grammar_give_what_its_rule_gives_in_diffusers() {
    let facts: Value = serde_json::from_slice(&reference("prompt_grammar.json")).unwrap();
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "prompt_grammar", runs);
    }
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

fn picture_of(model: &Model, prompt: &str, sampler: &str) -> Picture {
    let outcome = said(model, |settings| {
        settings.prompt = prompt.to_owned();
        settings.sampler = Some(sampler.parse().unwrap());
    });
    outcome.picture
}

#[test]
fn edits_switch_by_steps_whatever_a_sampler_calls() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    for sampler in [
        "euler",
        "heun",
        "dpm2",
        "dpmpp_2s_a",
        "dpmpp_sde",
        "pndm",
        "unipc",
    ] {
        let of = |prompt| picture_of(&model, prompt, sampler);
        let (dog, cat) = (of("a lake"), of("winter"));
        assert!(dog != cat, "{sampler}");
        assert!(of("[a lake:winter:99]") == dog, "{sampler}");
        assert!(of("[a lake:winter:0]") == cat, "{sampler}");
        let half = of("[a lake:winter:4]");
        assert!(half != dog && half != cat, "{sampler}");
        if sampler != "pndm" {
            // Its list of levels has one more.
            assert!(of("[a lake:winter:8]") == dog, "{sampler}");
            assert!(of("[a lake:winter:0.5]") == half, "{sampler}");
            assert!(of("[a lake : winter : 0.5 ]") == half, "{sampler}");
        }
    }
}

#[test]
fn shares_count_the_steps_that_run() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let picture = self::source();
    let of = |prompt: &str| {
        let mut request = Transform {
            source: &picture,
            strength: Strength::new(0.5).unwrap(),
            size: Wanted::Source,
            fit: Fit::Keep,
            enlarge: None,
            settings: said(&model, |_| ())
                .facts
                .recipe
                .request(None, None)
                .map(|request| match request {
                    imagegen::Request::Generate(generate) => generate.settings,
                    _ => panic!("a picture of text alone"),
                })
                .unwrap(),
        };
        request.settings.prompt = prompt.to_owned();
        model.transform(&request, &mut Unwatched).unwrap()
    };
    // Of 8 steps 4 run: half of them are 2.
    let half = of("[a lake:winter:0.5]");
    assert_eq!(half.facts.runs, 4);
    assert!(half.picture == of("[a lake:winter:2]").picture);
    assert!(half.picture != of("[a lake:winter:1]").picture);
    let never = of("[a lake:winter:4]");
    assert!(never.picture == of("a lake").picture);
    let said: Vec<_> = never.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["the prompt has 1 edit whose second side never comes in the 4 steps that run"]
    );
}

#[test]
fn a_prompt_without_grammar_is_the_same_in_both_modes() {
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let of = |prompt: &str, mode| {
            said(&model, |settings| {
                settings.prompt = prompt.to_owned();
                settings.negative_prompt = "blurry, low contrast".to_owned();
                settings.prompt_mode = mode;
                settings.steps = Some(2);
            })
        };
        let words = "oil painting of a lake, warm palette";
        assert!(of(words, PromptMode::A1111).picture == of(words, PromptMode::Plain).picture);
        let brackets = "(oil painting:1.5) [lake]";
        let plain = of(brackets, PromptMode::Plain);
        assert!(plain.picture != of(brackets, PromptMode::A1111).picture);
        assert_eq!(plain.warnings, []);
        assert_eq!(plain.facts.recipe.prompt_mode, None);
        // What plain mode cuts, the grammar reads.
        let long = "winter ".repeat(100);
        let cut = of(&long, PromptMode::Plain);
        let limit = 75;
        let which = "prompt";
        assert_eq!(
            cut.warnings,
            [Warning::PromptCut {
                which,
                dropped: 25,
                limit
            }]
        );
        let read = of(&long, PromptMode::A1111);
        assert_eq!(read.warnings, []);
        assert!(read.picture != cut.picture);
    }
}

#[test]
fn how_a_prompt_was_read_is_recorded() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let outcome = said(&model, |settings| {
        settings.prompt = "a [lake|river] :0.5 AND (winter:1.5) BREAK night".to_owned();
    });
    let [prompt, negative] = outcome.facts.prompts.as_slice() else {
        panic!("{:?}", outcome.facts.prompts);
    };
    assert_eq!(
        (prompt.which, negative.which),
        ("prompt", "negative prompt")
    );
    let weights: Vec<_> = prompt.parts.iter().map(|part| part.weight).collect();
    assert_eq!(weights, [0.5, 1.0]);
    let [lake, river] = prompt.parts[0].readings.as_slice() else {
        panic!("{:?}", prompt.parts[0]);
    };
    assert_eq!(
        [lake.first_step, lake.steps, lake.windows, lake.tokens],
        [1, 4, 1, 2]
    );
    assert_eq!([river.first_step, river.steps], [2, 4]);
    let winter = &prompt.parts[1].readings[0];
    assert_eq!(
        [
            winter.first_step,
            winter.steps,
            winter.windows,
            winter.tokens
        ],
        [1, 8, 2, 2]
    );
    assert!(winter.pieces.contains(&imagegen::Piece::Break));
    let work = |prompt: &str| {
        let mut settings = outcome.facts.recipe.clone();
        settings.prompt = prompt.to_owned();
        model
            .work(&settings.request(None, None).unwrap())
            .unwrap()
            .calls
    };
    assert_eq!((work("a lake"), work("a AND b AND c")), (8 * 2, 8 * 4));
}

#[test]
fn prompts_that_cannot_be_read_are_refused_before_the_run() {
    let (_folder, source, _) = folder_of("sd_quick");
    let model = Model::load(&source, cpu()).unwrap();
    let mut recipe = said(&model, |_| ()).facts.recipe;
    for (prompt, error) in [
        (
            "a <lora:fur:0.5>",
            "prompt is naming the LoRA file \"fur\", expected none",
        ),
        (
            "<hypernet:x>",
            "the prompt cannot be read: <hypernet:x> names a hypernetwork",
        ),
        (
            "a AND b",
            "expected one part of weight 1: this model hears the guidance scale",
        ),
    ] {
        recipe.prompt = prompt.to_owned();
        let request = recipe.request(None, None).unwrap();
        let refused = model.plan(&request).unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
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
    assert_eq!(info.memory.weights, 4 * numbers);
    // Two pictures of 192x192 in f32 alone.
    assert!(info.memory.run > 2 * 192 * 192 * 3 * 4, "{:?}", info.memory);
    assert_eq!(info.sha256, Model::load(&source, cpu()).unwrap().sha256());
    let read: Vec<_> = info.files.iter().map(|(file, _)| file.as_str()).collect();
    for file in [
        "model_index.json",
        "vae/config.json",
        "tokenizer_2/special_tokens_map.json",
    ] {
        assert!(read.contains(&file), "{file} is not among {read:?}");
    }
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

/// A textual inversion of the references.
fn inversion(word: &str, layout: &str) -> Embedding {
    let file = format!("inversion_{layout}.safetensors");
    Embedding::read(word, &file, reference(&file)).unwrap()
}

/// `tools/reference/textual_inversion.py` made the references.
#[test]
fn textual_inversions_of_every_layout_give_what_diffusers_gives() {
    let facts: Value = serde_json::from_slice(&reference("textual_inversion.json")).unwrap();
    for (kind, words) in [
        ("sd", vec![("lake-toy", "word"), ("<night-style>", "rows")]),
        ("sdxl", vec![("big-fur", "towers")]),
    ] {
        let (_folder, source, _) = folder_of(kind);
        let mut model = Model::load(&source, cpu()).unwrap();
        let words = words.iter().map(|(word, layout)| inversion(word, layout));
        model.learn(words.collect()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "textual_inversion", runs);
    }
}

#[test]
fn a_learned_word_is_itself_in_any_capitals_and_is_recorded() {
    let (_folder, source, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let of = |model: &Model, prompt: &str, negative: &str| {
        said(model, |settings| {
            settings.prompt = prompt.to_owned();
            settings.negative_prompt = negative.to_owned();
            settings.steps = Some(1);
        })
    };
    let before = of(&model, "a lake-toy", "");
    model
        .learn(vec![
            inversion("lake-toy", "word"),
            inversion("rows", "rows"),
        ])
        .unwrap();
    let after = of(&model, "a lake-toy", "");
    assert!(after.picture != before.picture);
    assert!(of(&model, "a <Lake-Toy>", "").picture == after.picture);
    assert!(of(&model, "a lake-toys", "").picture != after.picture);
    assert!(of(&model, "a (lake-toy:1.5)", "").picture != after.picture);
    let marks: Vec<_> = after
        .facts
        .recipe
        .embeddings
        .iter()
        .map(|mark| mark.name.as_str())
        .collect();
    assert_eq!(marks, ["lake-toy"]);
    assert_eq!(before.facts.recipe.embeddings, []);
    // Several vectors take several tokens, in negative prompts too.
    let both = of(&model, "lake-toy", "a rows");
    assert_eq!(both.facts.recipe.embeddings.len(), 2);
    assert_eq!(both.facts.prompts[1].parts[0].readings[0].tokens, 1 + 3);
    // Without the file the picture is not made again.
    let plain = Model::load(&source, cpu()).unwrap();
    let again = plain
        .plan(&both.facts.recipe.request(None, None).unwrap())
        .unwrap();
    let error = both
        .facts
        .recipe
        .check_repetition(&again)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("embeddings: lake-toy sha256") && error.contains("is none"),
        "{error}"
    );
}

#[test]
fn embeddings_that_cannot_be_are_named() {
    let (_folder, source, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let mut refused = |embedding| model.learn(vec![embedding]).unwrap_err().to_string();
    assert_eq!(
        refused(inversion("fur", "towers")),
        "cannot use the embedding: inversion_towers.safetensors is a textual inversion of width 16 and 24, expected \
         24, which this model's text encoders have"
    );
    model.learn(vec![inversion("fur", "word")]).unwrap();
    let error = model
        .learn(vec![inversion("Fur", "rows")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected a name for each"), "{error}");
    let read = |name: &str, bytes: Vec<u8>| {
        let read = Embedding::read(name, "x.safetensors", bytes);
        read.unwrap_err().to_string()
    };
    let word = || reference("inversion_word.safetensors");
    assert!(read("a:b", word()).contains("expected a word without brackets"));
    assert!(read(" ", word()).contains("expected a word without brackets"));
    let unet = reference("clip_text_quick_gelu.safetensors");
    assert!(read("x", unet).contains("expected one of a textual inversion"));
    assert!(read("x", b"<html>".to_vec()).contains("x.safetensors"));
    let mut cut = word();
    cut.truncate(cut.len() - 1);
    assert!(read("x", cut).contains("cut off"));
}
