//! The starter end to end against its plain PyTorch reference, and the promises that hold for every
//! model. The references and the scripts that made them: `tools/reference/README.md`.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use imagegen::{
    Cpu, Fit, Format, Generate, Level, Model, ModelSource, Note, Outcome, Request, Settings,
    Source, Strength, StrengthRule, Transform, Unwatched, Wanted, Warning, Washing,
};
use imagegen_picture::{Limits, Metadata, Picture, Size, encode};
use safetensors::SafeTensors;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn reference(name: &str) -> Vec<u8> {
    let path = root().join("conformance/reference").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| load(Level::best(), 2))
}

fn load(level: Level, threads: usize) -> Model {
    Model::load(&ModelSource::Starter, Cpu { level, threads }).unwrap()
}

fn settings(prompt: &str, seed: u64) -> Settings {
    Settings {
        prompt: prompt.to_owned(),
        negative_prompt: String::new(),
        steps: None,
        guidance_scale: None,
        seed,
        sampler: None,
        sampling: imagegen::Sampling::default(),
        loras: Vec::new(),
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        prompt_mode: imagegen::PromptMode::default(),
        rule: StrengthRule::Share,
    }
}

fn source(bytes: &[u8]) -> Source {
    Source::decode("source.png", bytes, &Limits::default()).unwrap()
}

fn request(source: &Source, strength: f64, settings: Settings) -> Transform<'_> {
    Transform {
        enlarge: None,
        source,
        strength: Strength::new(strength).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        settings,
    }
}

fn transform(model: &Model, source: &Source, strength: f64, settings: Settings) -> Outcome {
    let request = request(source, strength, settings);
    model.transform(&request, &mut Unwatched).unwrap()
}

/// A small picture with a gradient that depends on `tint`.
fn painted(width: u32, height: u32, tint: u8) -> Picture {
    let pixels = (0..height).flat_map(|y| {
        (0..width).flat_map(move |x| {
            [
                (x * 2) as u8,
                (y * 3) as u8,
                tint.wrapping_add((x ^ y) as u8),
            ]
        })
    });
    Picture::new(Size::new(width, height), pixels.collect(), None).unwrap()
}

fn png(picture: &Picture) -> Vec<u8> {
    encode(picture, Format::Png, &Metadata::default())
        .unwrap()
        .bytes
}

/// Fails unless `got` is the reference's picture but for roundings.
///
/// The reference runs in float64. torch's own f32 run of it moves at most one byte of one picture by
/// one grey level, so ours may move a few: 0.1 % of the bytes, each by one.
fn assert_same_picture(name: &str, got: &Picture) {
    let file = reference(&format!("{name}.safetensors"));
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let want = tensors.tensor("picture").unwrap();
    let size = got.size();
    assert_eq!(want.shape(), [size.height as usize, size.width as usize, 3]);
    let off = |got: &[u8]| {
        let pairs = got.iter().zip(want.data());
        let off: Vec<_> = pairs
            .map(|(&a, &b)| a.abs_diff(b))
            .filter(|&off| off > 0)
            .collect();
        (off.len(), off.into_iter().max().unwrap_or(0))
    };
    let (count, most) = off(got.rgb());
    println!(
        "{name}: {count} of {} bytes differ, by {most} at most",
        got.rgb().len()
    );
    assert!(
        most <= 1 && count * 1000 <= got.rgb().len(),
        "{name}: {count} differ, by {most}"
    );
    let (black, _) = off(&vec![0; got.rgb().len()]);
    assert!(black * 1000 > got.rgb().len(), "a black picture would pass");
}

#[test]
fn default_settings_give_the_reference() {
    let source = source(&reference("starter_source.png"));
    let prompt = "oil painting, impressionist style, warm palette";
    let outcome = transform(model(), &source, 0.5, settings(prompt, 1));
    assert_eq!(
        (outcome.facts.runs, outcome.facts.start_timestep),
        (5, Some(444.0))
    );
    assert_eq!(outcome.warnings, []);
    assert_same_picture("starter_default", &outcome.picture);
}

#[test]
fn a_loose_run_with_a_low_passed_source_gives_the_reference() {
    let source = source(&reference("starter_source.png"));
    let settings = Settings {
        negative_prompt: "blurry, low contrast".to_owned(),
        guidance_scale: Some(1.5),
        ..settings("pencil sketch", 1)
    };
    let outcome = transform(model(), &source, 0.93, settings);
    assert_same_picture("starter_loose", &outcome.picture);
}

#[test]
fn every_finish_gives_the_reference() {
    let source = source(&reference("starter_source.png"));
    for (name, prompt, strength) in [
        ("starter_loose_strokes", "oil painting", 0.93),
        ("starter_cells", "pixel art", 0.5),
        ("starter_pigment", "watercolour, muted colours", 0.5),
        ("starter_grades", "photo, black and white, dark", 0.5),
        ("starter_smooth", "sharp, detailed photo", 0.4),
    ] {
        let outcome = transform(model(), &source, strength, settings(prompt, 1));
        assert_same_picture(name, &outcome.picture);
    }
}

#[test]
fn a_drawing_with_colours_under_its_lines_gives_the_reference() {
    let source = source(&reference("starter_drawing_source.png"));
    let prompt = "watercolour painting of a house by a lake";
    let outcome = transform(model(), &source, 0.7, settings(prompt, 1));
    assert_same_picture("starter_drawing", &outcome.picture);
    assert_eq!(outcome.notes, [Note::Washed]);
    assert_eq!(outcome.facts.recipe.wash, None);
    let mut dry = settings(prompt, 1);
    dry.sampling.wash = Some(Washing::Off);
    let dry = transform(model(), &source, 0.7, dry);
    assert_eq!(dry.facts.recipe.wash.as_deref(), Some("off"));
    assert!(dry.notes.is_empty());
    let colour = |picture: &Picture| {
        let pixels = picture.rgb().as_chunks::<3>().0;
        let spread = |[r, g, b]: &[u8; 3]| u32::from(*r.max(g).max(b) - *r.min(g).min(b));
        pixels.iter().map(spread).sum::<u32>() as f64 / pixels.len() as f64
    };
    assert!(colour(&dry.picture) < 0.7 * colour(&outcome.picture));
}

#[test]
fn text_alone_gives_the_reference() {
    let prompt = "oil painting, impressionist style, warm palette";
    let request = Generate {
        width: 96,
        height: 64,
        settings: settings(prompt, 1),
    };
    let outcome = model().generate(&request, &mut Unwatched).unwrap();
    assert_eq!(outcome.facts.runs, 10);
    assert_same_picture("starter_text_only", &outcome.picture);
}

#[test]
fn strength_0_returns_the_source_and_runs_nothing() {
    let picture = painted(67, 45, 9);
    let outcome = transform(model(), &source(&png(&picture)), 0.0, settings("winter", 1));
    assert_eq!(outcome.picture, picture);
    assert_eq!(
        (outcome.facts.runs, outcome.facts.start_timestep),
        (0, None)
    );
    assert!(outcome.warnings.contains(&Warning::NothingRun));
}

#[test]
fn what_a_model_holds_between_runs_is_told() {
    let model = load(Level::best(), 2);
    assert_eq!(model.held_bytes(), 0);
    let source = source(&png(&painted(64, 64, 3)));
    transform(&model, &source, 0.3, settings("winter", 1));
    // At the very least the pixels that it was shown.
    assert!(model.held_bytes() > 64 * 64 * 3 * 4);
}

#[test]
fn strength_1_does_not_read_the_source_and_equals_text_to_image() {
    let (one, two) = (painted(64, 80, 0), painted(64, 80, 200));
    let run = |picture| transform(model(), &source(&png(picture)), 1.0, settings("winter", 3));
    let (one, two) = (run(&one).picture, run(&two).picture);
    let request = Generate {
        width: 64,
        height: 80,
        settings: settings("winter", 3),
    };
    let text = model().generate(&request, &mut Unwatched).unwrap().picture;
    assert_eq!(one, two);
    assert_eq!(one, text);
}

#[test]
fn pixels_do_not_depend_on_threads_or_instruction_set() {
    let source = source(&png(&painted(64, 64, 50)));
    // Two steps: the portable level is a correctness path on x86 and slow there.
    let settings = Settings {
        steps: Some(4),
        ..settings("comic", 7)
    };
    let run = |model: &Model| transform(model, &source, 0.5, settings.clone()).picture;
    let want = run(model());
    let levels: Vec<_> = Level::available();
    println!("levels run: {levels:?}; not on this machine: {:?}", {
        let missing = Level::ALL
            .into_iter()
            .filter(|level| !levels.contains(level));
        missing.collect::<Vec<_>>()
    });
    for level in levels {
        for threads in [1, 3] {
            assert_eq!(
                run(&load(level, threads)),
                want,
                "{level}, {threads} threads"
            );
        }
    }
}

#[test]
fn change_grows_with_strength() {
    let picture = painted(96, 64, 120);
    let source = source(&png(&picture));
    let change = |strength| {
        let result = transform(model(), &source, strength, settings("pencil sketch", 5)).picture;
        let pairs = result.rgb().iter().zip(picture.rgb());
        pairs.map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / picture.rgb().len() as f64
    };
    let changes = [0.1, 0.5, 1.0].map(change);
    println!("mean change: {changes:?}");
    assert!(
        changes[0] > 0.0 && changes[0] < changes[1] && changes[1] < changes[2],
        "{changes:?}"
    );
}

#[test]
fn a_recorded_recipe_names_everything() {
    let outcome = transform(
        model(),
        &source(&png(&painted(64, 64, 1))),
        0.5,
        settings("oil", 4),
    );
    let file = outcome.encode(Format::Png).unwrap().bytes;
    let metadata = imagegen_picture::metadata::read(&file);
    let recipe: imagegen::Recipe = serde_json::from_str(&metadata.json.unwrap()).unwrap();
    assert_eq!(recipe, outcome.facts.recipe);
    assert_eq!(recipe.model.sha256, model().sha256());
    assert_eq!(recipe.source.unwrap().sha256.len(), 64);
    assert!(metadata.parameters.unwrap().contains("Seed: 4"));
    assert!(metadata.source.is_some());
}

#[test]
fn a_large_source_is_worked_on_small_and_comes_back_large() {
    let outcome = transform(
        model(),
        &source(&png(&painted(1200, 40, 1))),
        0.1,
        settings("oil", 4),
    );
    assert_eq!(outcome.picture.size(), Size::new(1200, 40));
    let [width, height] = outcome.facts.work;
    assert!(
        u64::from(width) * u64::from(height) <= 262_144,
        "{width}x{height}"
    );
}

#[test]
fn settings_out_of_range_are_refused_before_anything_runs() {
    let source = source(&png(&painted(64, 64, 1)));
    let refused = |settings: Settings| {
        let request = request(&source, 0.5, settings);
        model()
            .transform(&request, &mut Unwatched)
            .unwrap_err()
            .to_string()
    };
    let steps = Settings {
        steps: Some(0),
        ..settings("oil", 1)
    };
    assert_eq!(refused(steps), "steps is 0, expected 1 to 1000");
    let guidance = Settings {
        guidance_scale: Some(f64::NAN),
        ..settings("oil", 1)
    };
    assert_eq!(refused(guidance), "guidance is NaN, expected 0 to 100");
}

#[test]
fn a_folder_that_is_no_model_is_named() {
    let error = "no/such/model"
        .parse::<ModelSource>()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no/such/model") && error.contains("starter"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let source = ModelSource::Folder(folder.path().to_owned());
    let cpu = Cpu {
        level: Level::best(),
        threads: 1,
    };
    let error = Model::load(&source, cpu).unwrap_err().to_string();
    assert!(error.contains("lacks unet/config.json"), "{error}");
}

#[test]
fn a_copied_folder_is_the_same_model() {
    let folder = root().join("crates/starter/model");
    let cpu = Cpu {
        level: Level::best(),
        threads: 1,
    };
    let copy = Model::load(ModelSource::Folder(folder), cpu).unwrap();
    assert_eq!(copy.sha256(), model().sha256());
    let error = Model::load(ModelSource::Folder(damaged_copy().path().to_owned()), cpu);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("unet/diffusion_pytorch_model.safetensors"),
        "{error}"
    );
    assert!(error.contains("cut off"), "{error}");
}

#[test]
fn a_wash_that_does_not_fit_is_named() {
    let copy = damaged_copy();
    let unet = "unet/diffusion_pytorch_model.safetensors";
    let whole = imagegen_starter::FILES
        .iter()
        .find(|(file, _)| *file == unet);
    fs::write(copy.path().join(unet), whole.unwrap().1).unwrap();
    let cpu = Cpu {
        level: Level::best(),
        threads: 1,
    };
    let config = copy.path().join("wash/config.json");
    let sound = fs::read_to_string(&config).unwrap();
    for (from, to, want) in [
        (
            "\"in_channels\": 17",
            "\"in_channels\": 16",
            "\"in_channels\" is 16, expected 17",
        ),
        (
            "\"out_channels\": 96",
            "\"out_channels\": 95",
            "\"out_channels\" is 95, expected 96",
        ),
        (
            "\"time_cond_proj_dim\": null",
            "\"time_cond_proj_dim\": 8",
            "\"time_cond_proj_dim\" is set",
        ),
    ] {
        assert!(sound.contains(from), "{from}");
        fs::write(&config, sound.replacen(from, to, 1)).unwrap();
        let error = Model::load(ModelSource::Folder(copy.path().to_owned()), cpu);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("wash/config.json field {want}")),
            "{error}"
        );
    }
}

/// The starter's folder with its largest file cut short.
fn damaged_copy() -> tempfile::TempDir {
    let (from, to) = (
        root().join("crates/starter/model"),
        tempfile::tempdir().unwrap(),
    );
    for folder in ["scheduler", "text_encoder", "tokenizer", "unet", "wash"] {
        fs::create_dir(to.path().join(folder)).unwrap();
    }
    for (file, bytes) in imagegen_starter::FILES {
        let whole = if file.starts_with("unet/diff") {
            bytes.len() - 10
        } else {
            bytes.len()
        };
        fs::write(to.path().join(file), &bytes[..whole]).unwrap();
    }
    assert!(from.is_dir());
    to
}

#[test]
fn tokens_that_are_merged_change_a_little_and_are_told() {
    let source = source(&reference("starter_source.png"));
    let made = |share| {
        let mut settings = settings("oil painting", 5);
        settings.sampling.token_merging = share;
        let request = request(&source, 0.5, settings);
        model().transform(&request, &mut Unwatched)
    };
    let (plain, none, half) = (made(None), made(Some(0.0)), made(Some(0.5)));
    let [plain, none, half] = [plain, none, half].map(Result::unwrap);
    assert_eq!(none.picture, plain.picture);
    assert_eq!(none.facts.recipe, plain.facts.recipe);
    assert_eq!(half.facts.recipe.token_merging, Some(0.5));
    let pairs = plain.picture.rgb().iter().zip(half.picture.rgb());
    let squares = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let off = (squares.sum::<f64>() / plain.picture.rgb().len() as f64).sqrt();
    assert!(off > 0.1 && off < 16.0, "{off}");
    for share in [-0.1, 0.8, f64::NAN] {
        let error = made(Some(share)).unwrap_err().to_string();
        let want = format!("token merging is {share}, expected 0 to 0.75");
        assert_eq!(error, want);
    }
}

#[test]
fn deep_layers_that_are_kept_save_work_and_are_told() {
    let source = source(&reference("starter_source.png"));
    let cached = |interval, steps| {
        let mut settings = settings("oil painting", 5);
        settings.steps = Some(steps);
        settings.sampling.cache_interval = interval;
        request(&source, 0.5, settings)
    };
    let made = |interval, steps| {
        let request = cached(interval, steps);
        model().transform(&request, &mut Unwatched).unwrap()
    };
    let (plain, each, second) = (made(None, 8), made(Some(1), 8), made(Some(2), 8));
    assert_eq!(each.picture, plain.picture);
    assert_eq!(each.facts.recipe, plain.facts.recipe);
    assert_ne!(second.picture, plain.picture);
    assert_eq!(second.facts.recipe.cache_interval, Some(2));
    // One step runs, and that one is whole.
    assert_eq!(made(Some(100), 2).picture, made(None, 2).picture);

    let work = |interval| {
        let request = Request::Transform(cached(interval, 8));
        model().work(&request).unwrap()
    };
    let (plain, second) = (work(None), work(Some(2)));
    assert_eq!(second.calls, plain.calls);
    assert!(second.amount() < 0.75 * plain.amount());
    // Of four steps the first and the third are whole.
    assert!(second.share(1) > 0.3 && second.share(2) < 0.6);
    assert_eq!((second.share(0), second.share(4)), (0.0, 1.0));
    for wrong in [0, 101] {
        let request = cached(Some(wrong), 8);
        let error = model().transform(&request, &mut Unwatched).unwrap_err();
        let expected = format!("cache interval is {wrong}, expected 1 to 100");
        assert_eq!(error.to_string(), expected);
    }
}
