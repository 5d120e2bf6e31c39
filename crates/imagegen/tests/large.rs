//! Pictures larger than their model works at: windows, tiles of the autoencoder, second passes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::ControlFlow;
use std::sync::OnceLock;

use imagegen::{
    Between, Cpu, Enlarge, Enlarger, Fit, Generate, Hires, Level, Model, ModelSource, Outcome,
    PromptMode, Recipe, Request, Sampling, Settings, Source, Stage, StepRecord, Strength,
    StrengthRule, Tiles, Transform, Unwatched, VaeTiling, Wanted, Warning, Watcher,
};
use imagegen_conformance::weights::write_folder;
use imagegen_picture::mask::Mask;
use imagegen_picture::{Format, Limits, Metadata, Picture, Size, encode, seam};

fn cpu() -> Cpu {
    Cpu {
        level: Level::best(),
        threads: 2,
    }
}

fn starter() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(&ModelSource::Starter, cpu()).unwrap())
}

fn settings(sampling: Sampling) -> Settings {
    Settings {
        prompt: "oil painting, impressionist style".to_owned(),
        negative_prompt: String::new(),
        steps: Some(3),
        guidance_scale: None,
        seed: 5,
        sampler: None,
        sampling,
        prompt_mode: PromptMode::default(),
        loras: Vec::new(),
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        rule: StrengthRule::Share,
    }
}

fn tiled(tiles: Tiles) -> Sampling {
    Sampling {
        tiles: Some(tiles),
        ..Sampling::default()
    }
}

fn smooth(width: u32, height: u32) -> Source {
    let colour = |x: u32, y: u32| {
        let (x, y) = (f64::from(x) / 90.0, f64::from(y) / 70.0);
        let wave = |phase: f64| (127.0 + 60.0 * (x + phase).sin() + 50.0 * (y - phase).cos()) as u8;
        [wave(0.0), wave(1.0), wave(2.0)]
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y)));
    let picture = Picture::new(Size::new(width, height), pixels.collect(), None).unwrap();
    let file = encode(&picture, Format::Png, &Metadata::default()).unwrap();
    Source::decode("smooth.png", &file.bytes, &Limits::default()).unwrap()
}

fn transform<'a>(source: &'a Source, strength: f64, sampling: Sampling) -> Transform<'a> {
    Transform {
        source,
        strength: Strength::new(strength).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings: settings(sampling),
    }
}

/// Makes a picture again from its recipe and checks that it comes out the same.
fn again(model: &Model, made: &Outcome, source: Option<&Source>) {
    let recipe = serde_json::from_str(&made.facts.recipe.json()).unwrap();
    let mut kept = made.facts.recipe.clone();
    assert_eq!(kept, recipe);
    kept.fidelity = None;
    let request = kept.request(source, None).unwrap();
    let plan = model.plan(&request).unwrap();
    kept.check_repetition(&plan).unwrap();
    assert_eq!(plan.hires, kept.hires);
    let repeated = model.run(&request, &mut Unwatched).unwrap();
    assert!(repeated.picture == made.picture);
}

/// The figure of the edge between the left `x` columns and the rest.
fn edge_at(picture: &Picture, x: u32) -> f64 {
    let size = Size::new(x, picture.size().height);
    let mask = Mask::full(size).placed(picture.size(), [0, 0], 0);
    seam(picture, &mask).unwrap().figure
}

/// Fails unless the end of a window at `x` shows no more than the usual places. All lie between patches of the starter,
/// which step a little anyway.
#[track_caller]
fn assert_no_seam(picture: &Picture, x: u32, usual: &[u32]) {
    let figures = usual.iter().map(|&x| edge_at(picture, x));
    let usual = figures.sum::<f64>() / usual.len() as f64;
    let figure = edge_at(picture, x);
    println!("edge at {x} {figure:.2}, usual {usual:.2}");
    let most = 1.15 * usual.max(1.0);
    assert!(figure < most, "a seam at {x}, {figure}, usual {usual}");
}

#[test]
fn windows_let_a_source_be_worked_on_at_its_own_size_without_a_seam() {
    let (model, source) = (starter(), smooth(640, 448));
    for strength in [0.4, 1.0] {
        let small = transform(&source, strength, tiled(Tiles::Off));
        let plain = transform(&source, strength, Sampling::default());
        let small = model.transform(&small, &mut Unwatched).unwrap();
        let plain = model.transform(&plain, &mut Unwatched).unwrap();
        assert!(small.picture == plain.picture, "off is the default");
        assert_eq!(small.facts.recipe.tiles, None);
        let [width, height] = small.facts.work;
        assert!(width * height <= 512 * 512);

        let request = transform(&source, strength, tiled(Tiles::On));
        let large = model.transform(&request, &mut Unwatched).unwrap();
        assert_eq!(large.facts.work, [640, 448]);
        assert_eq!(large.facts.recipe.tiles, Some(512));
        again(model, &large, Some(&source));
        // Two windows of 512 columns, which begin at 0 and 128.
        let usual = [192, 256, 320, 384, 448];
        for x in [128, 512] {
            assert_no_seam(&large.picture, x, &usual);
        }
        let work = model.work(&Request::Transform(request)).unwrap();
        assert_eq!(work.pixels, 2 * 512 * 448);
    }
}

#[test]
fn windows_have_no_say_where_the_model_works_at_the_size_anyway() {
    let (model, source) = (starter(), smooth(96, 64));
    let make = |tiles| {
        let request = transform(&source, 0.5, tiled(tiles));
        model.transform(&request, &mut Unwatched).unwrap()
    };
    let (off, on) = (make(Tiles::Off), make(Tiles::On));
    assert!(off.picture == on.picture);
    assert_eq!(on.facts.recipe.tiles, None);
    let generate = |tiles| {
        let request = Generate {
            width: 64,
            height: 64,
            settings: settings(tiled(tiles)),
        };
        model.generate(&request, &mut Unwatched).unwrap().picture
    };
    assert!(generate(Tiles::Off) == generate(Tiles::On));
}

#[test]
fn an_enlarged_source_is_drawn_in_windows() {
    let (model, source) = (starter(), smooth(320, 224));
    let request = Transform {
        enlarge: Some(Enlarge::new(2, Enlarger::Lanczos).unwrap()),
        ..transform(&source, 0.4, Sampling::default())
    };
    let made = model.transform(&request, &mut Unwatched).unwrap();
    assert_eq!(made.facts.recipe.tiles, Some(512));
    assert_eq!(made.picture.size(), Size::new(640, 448));
    assert!(edge_at(&made.picture, 512) < 1.5);
    again(model, &made, Some(&source));
    // Versions before windows were averaged at every step recorded none.
    let older = Recipe {
        tiles: None,
        ..made.facts.recipe.clone()
    };
    let plan = model.plan(&older.request(Some(&source), None).unwrap());
    let error = older.check_repetition(&plan.unwrap()).unwrap_err();
    let words = "\"tiles\" is 512, expected none, as where it was made: an older version ran it window by window";
    assert!(error.to_string().contains(words), "{error}");
}

/// Keeps which step of how many.
#[derive(Default)]
struct Steps(Vec<(usize, usize)>);

impl Watcher for Steps {
    fn stage(&mut self, _: Stage) {}
    fn warning(&mut self, _: &Warning) {}
    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self.0.push((record.step, record.steps));
        ControlFlow::Continue(())
    }
}

fn hires(by: f64, with: Between) -> Hires {
    Hires {
        by,
        strength: Strength::new(0.5).unwrap(),
        steps: Some(4),
        with,
    }
}

fn generate(hires: Option<Hires>) -> Generate {
    Generate {
        width: 96,
        height: 64,
        settings: settings(Sampling {
            hires,
            ..Sampling::default()
        }),
    }
}

#[test]
fn a_second_pass_makes_the_same_picture_larger_and_is_replayed() {
    let model = starter();
    let first = model.generate(&generate(None), &mut Unwatched).unwrap();
    let mut made = Vec::new();
    for with in Between::ALL {
        let mut steps = Steps::default();
        let request = generate(Some(hires(1.5, with)));
        let outcome = model.generate(&request, &mut steps).unwrap();
        assert_eq!(steps.0, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)], "{with}");
        assert_eq!(outcome.picture.size(), Size::new(144, 96));
        let recipe = &outcome.facts.recipe;
        assert_eq!((recipe.size, recipe.steps), ([144, 96], 3));
        let mark = recipe.hires.clone().unwrap();
        assert_eq!(
            (mark.size, mark.steps, &*mark.with),
            ([96, 64], 4, with.name())
        );
        assert_eq!(outcome.facts.runs, 5);
        again(model, &outcome, None);
        let work = model.work(&Request::Generate(request)).unwrap();
        assert_eq!(work.runs, 5);
        assert!(work.pixels > 96 * 64 && work.pixels < 144 * 96);
        // Three steps, and two of the second pass with 2.25 times the pixels each.
        let shares = (0..=5).map(|step| work.share(step)).collect::<Vec<_>>();
        for (share, part) in shares.iter().zip([0.0, 1.0, 2.0, 3.0, 5.25, 7.5]) {
            assert!((share - part / 7.5).abs() < 1e-4, "{shares:?}");
        }
        // The composition is that of the first pass.
        let enlarged = imagegen_picture::resize(
            &first.picture,
            Size::new(144, 96),
            imagegen_picture::Filter::Lanczos3,
        );
        let like = imagegen_picture::fidelity::compare(&enlarged, &outcome.picture).unwrap();
        println!("{with}: {:.3} like the first pass", like.overall);
        assert!(like.overall > 0.5, "{with}: {like:?}");
        assert!(outcome.picture != enlarged);
        made.push(outcome.picture);
    }
    assert!(made[0] != made[1] && made[0] != made[2] && made[1] != made[2]);
}

#[test]
fn a_second_pass_beyond_the_model_is_made_in_windows() {
    let request = Generate {
        width: 384,
        height: 256,
        settings: settings(Sampling {
            hires: Some(Hires {
                strength: Strength::new(0.3).unwrap(),
                ..hires(2.0, Between::default())
            }),
            ..Sampling::default()
        }),
    };
    let made = starter().generate(&request, &mut Unwatched).unwrap();
    let recipe = &made.facts.recipe;
    assert_eq!(recipe.tiles, None, "the first pass is whole");
    assert_eq!(recipe.hires.as_ref().unwrap().tiles, Some(512));
    assert_no_seam(&made.picture, 512, &[480, 496, 528, 544]);
    again(starter(), &made, None);
}

#[test]
fn second_passes_that_cannot_be_are_named() {
    let model = starter();
    let refused = |hires: Hires| {
        let request = Request::Generate(generate(Some(hires)));
        model.plan(&request).unwrap_err().to_string()
    };
    for by in [1.0, 4.5, f64::NAN, -2.0] {
        let error = refused(hires(by, Between::default()));
        assert!(error.ends_with("expected above 1, up to 4"), "{error}");
    }
    let none = Hires {
        strength: Strength::new(0.0).unwrap(),
        ..hires(2.0, Between::default())
    };
    assert!(refused(none).ends_with("expected above 0, up to 1"));
    let steps = Hires {
        steps: Some(0),
        ..hires(2.0, Between::default())
    };
    assert_eq!(
        refused(steps),
        "steps of the second pass is 0, expected 1 to 1000"
    );
    let source = smooth(96, 64);
    let sampling = Sampling {
        hires: Some(hires(2.0, Between::default())),
        ..Sampling::default()
    };
    let request = Request::Transform(transform(&source, 0.5, sampling));
    let error = model.plan(&request).unwrap_err().to_string();
    assert!(
        error.contains("expected none where there is a source"),
        "{error}"
    );
}

#[test]
fn an_autoencoder_in_tiles_is_said_and_comes_near_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_folder("sd", folder.path());
    let source = ModelSource::Folder(folder.path().to_owned());
    let model = Model::load(&source, cpu()).unwrap();
    let make = |tiling| {
        let sampling = Sampling {
            vae_tiling: tiling,
            ..Sampling::default()
        };
        let request = Generate {
            width: 288,
            height: 160,
            settings: settings(sampling),
        };
        model.generate(&request, &mut Unwatched).unwrap()
    };
    let (auto, off, on) = (
        make(None),
        make(Some(VaeTiling::Off)),
        make(Some(VaeTiling::On)),
    );
    assert!(auto.picture == off.picture, "so small a picture is whole");
    assert_eq!(auto.facts.recipe.vae_tiles, None);
    assert_eq!(on.facts.recipe.vae_tiles, Some(256));
    assert!(on.picture != off.picture);
    let pairs = on.picture.rgb().iter().zip(off.picture.rgb());
    let squares = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let rms = (squares.sum::<f64>() / on.picture.rgb().len() as f64).sqrt();
    println!("in tiles {rms:.3} grey levels rms from the whole");
    assert!(rms < 8.0, "{rms}");
    again(&model, &on, None);
    again(&model, &off, None);
}
