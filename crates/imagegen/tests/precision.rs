//! How far pictures at other precisions are from those at f32.
#![cfg(feature = "starter")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use imagegen::{
    Cpu, Fit, Generate, Level, Model, ModelSource, Picture, Precision, PromptMode, Sampling,
    Settings, Source, Strength, StrengthRule, Transform, Unwatched, Wanted,
};
use imagegen_conformance::weights::write_folder;
use imagegen_picture::Limits;

fn cpu() -> Cpu {
    Cpu {
        level: Level::best(),
        threads: 2,
    }
}

fn settings(prompt: &str, precision: Precision) -> Settings {
    Settings {
        prompt: prompt.to_owned(),
        negative_prompt: String::new(),
        steps: Some(10),
        guidance_scale: None,
        seed: 5,
        sampler: None,
        sampling: Sampling {
            precision,
            ..Sampling::default()
        },
        prompt_mode: PromptMode::default(),
        loras: Vec::new(),
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        rule: StrengthRule::Share,
    }
}

/// Peak signal to noise ratio, in dB.
fn psnr(one: &Picture, other: &Picture) -> f64 {
    let pairs = one.rgb().iter().zip(other.rgb());
    let squares: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * one.rgb().len() as f64 / squares).log10()
}

/// What the starter's pictures keep to, in dB; `None` for the same picture.
fn least(precision: Precision) -> Option<f64> {
    match precision {
        Precision::F32 => None,
        // 59 dB were measured.
        Precision::Bf16 => Some(50.0),
        Precision::Int8 => Some(38.0),
    }
}

#[test]
fn pictures_of_the_starter_stay_near_those_of_f32() {
    let model = Model::load(&ModelSource::Starter, cpu()).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/portrait.jpg");
    let bytes = std::fs::read(file).unwrap();
    let source = Source::decode("portrait.jpg", &bytes, &Limits::default()).unwrap();
    for (prompt, strength) in [
        ("oil painting, impressionist style", 0.5),
        ("watercolour painting", 0.8),
    ] {
        let make = |precision| {
            let request = Transform {
                source: &source,
                strength: Strength::new(strength).unwrap(),
                size: Wanted::Longest(256),
                fit: Fit::Keep,
                enlarge: None,
                settings: settings(prompt, precision),
            };
            model.transform(&request, &mut Unwatched).unwrap()
        };
        let exact = make(Precision::F32);
        for precision in Precision::ALL {
            let made = make(precision);
            assert_eq!(made.facts.recipe.arithmetic, precision.name());
            let ratio = psnr(&made.picture, &exact.picture);
            println!("{prompt} at {strength}, {precision}: {ratio:.1} dB");
            match least(precision) {
                None => assert!(ratio.is_infinite(), "nothing is left behind: {ratio} dB"),
                Some(least) => assert!(ratio > least && ratio < 90.0, "{precision}: {ratio} dB"),
            }
        }
        let again = make(Precision::F32);
        assert!(again.picture == exact.picture, "nothing is left behind");
    }
}

#[test]
fn an_autoencoder_and_a_large_network_stay_near_too() {
    let folder = tempfile::tempdir().unwrap();
    write_folder("sd", folder.path());
    let source = ModelSource::Folder(folder.path().to_owned());
    let model = Model::load(&source, cpu()).unwrap();
    let make = |precision| {
        let request = Generate {
            width: 128,
            height: 128,
            settings: settings("a red house", precision),
        };
        model.generate(&request, &mut Unwatched).unwrap().picture
    };
    let exact = make(Precision::F32);
    for precision in Precision::ALL {
        let ratio = psnr(&make(precision), &exact);
        println!("sd at {precision}: {ratio:.1} dB");
        assert!(ratio > 30.0, "{precision}: {ratio} dB");
        assert_eq!(ratio.is_infinite(), precision == Precision::F32);
    }
}
