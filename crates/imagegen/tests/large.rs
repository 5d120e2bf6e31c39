//! Pictures larger than their model works at.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::OnceLock;

use imagegen::{
    Cpu, Enlarge, Enlarger, Fit, Generate, Level, Model, ModelSource, Outcome, PromptMode, Request,
    Sampling, Settings, Source, Strength, StrengthRule, Tiles, Transform, Unwatched, Wanted,
};
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
    let repeated = model.run(&request, &mut Unwatched).unwrap();
    assert!(repeated.picture == made.picture);
}

/// The figure of the edge between the left `x` columns and the rest.
fn edge_at(picture: &Picture, x: u32) -> f64 {
    let size = Size::new(x, picture.size().height);
    let mask = Mask::full(size).placed(picture.size(), [0, 0], 0);
    seam(picture, &mask).unwrap().figure
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
        for x in [128, 512] {
            let figure = edge_at(&large.picture, x);
            println!("strength {strength}: edge at {x} {figure:.2}");
            assert!(figure < 1.5, "strength {strength}: a seam at {x}, {figure}");
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
}
