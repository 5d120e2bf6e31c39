//! Advice: silence on good photographs, a line for each way of being bad, every threshold from both sides.

use imagegen_picture::advice::{
    Advice, FacesFound, Measures, RequestFacts, Severity, Suggestion, Text, Tokens, limits,
    measure, of_request, of_result, of_source,
};
use imagegen_picture::fidelity::{Fidelity, compare};
use imagegen_picture::{Orientation, Picture, Rect, Size};

use crate::make::painted;
use crate::photographs::*;

fn said(picture: &Picture) -> Vec<Advice> {
    of_source(&measure(picture, 512), Orientation::Upright)
}

fn kinds(advice: &[Advice]) -> Vec<&'static str> {
    advice.iter().map(Advice::kind).collect()
}

/// What is said about `picture` besides its size.
fn quality(picture: &Picture) -> Vec<&'static str> {
    let sizes = ["source-small", "source-tiny", "source-large"];
    let mut kinds = kinds(&said(picture));
    kinds.retain(|kind| !sizes.contains(kind));
    kinds
}

/// Measures that nothing is said about.
fn good() -> Measures {
    let measures = measure(&example("landscape.jpg"), 512);
    assert_eq!(of_source(&measures, Orientation::Upright), []);
    measures
}

/// A request that nothing is said about.
fn fine() -> RequestFacts {
    let facts = RequestFacts {
        strength: 0.5,
        steps: 30,
        runs: 15,
        faces: FacesFound::default(),
        prompt: Some(Tokens {
            count: 75,
            limit: 75,
        }),
        negative_prompt: None,
    };
    assert_eq!(of_request(&facts), []);
    facts
}

fn fidelity(overall: f64, structure: f64, colour_shift: f64) -> Fidelity {
    Fidelity {
        overall,
        structure,
        colour: 0.9,
        ms_ssim: structure,
        edges: structure,
        colour_shift,
    }
}

#[test]
fn good_photographs_get_true_lines_about_size_only() {
    for (name, want) in [
        ("cat.jpg", vec!["source-small"]),
        ("landscape.jpg", vec![]),
        ("portrait.jpg", vec![]),
        ("product.jpg", vec!["source-small"]),
        ("sketch.png", vec![]),
    ] {
        assert_eq!(kinds(&said(&example(name))), want, "{name}");
    }
}

#[test]
fn good_photographs_stay_good_at_the_qualities_people_save() {
    for (name, photograph) in photographs() {
        for saved in [75, 90].map(|quality| compressed(&photograph, quality)) {
            assert_eq!(quality(&saved), Vec::<&str>::new(), "{name}");
        }
    }
}

#[test]
fn blurred_photographs_are_told() {
    for (name, photograph) in photographs() {
        for sigma in [2.0, 3.0, 5.0] {
            let kinds = quality(&blurred(&sized(&photograph, 512), sigma));
            assert_eq!(kinds, ["source-blurred"], "{name} {sigma}");
        }
    }
}

#[test]
fn blur_is_that_of_what_the_model_sees() {
    // Two pixels of blur are none when four pixels become one.
    let blurred = blurred(&sized(&example("portrait.jpg"), 1024), 2.0);
    let small = measure(&blurred, 256).blur.unwrap();
    let large = measure(&blurred, 1024).blur.unwrap();
    assert!(
        small < limits::BLURRED && large > limits::BLURRED,
        "{small} {large}"
    );
}

#[test]
fn blur_is_measured_in_pixels() {
    let disc = painted(256, 256, |x, y| {
        let (x, y) = (f64::from(x) - 127.5, f64::from(y) - 127.5);
        if (x * x + y * y).sqrt() < 80.0 {
            [200; 3]
        } else {
            [40; 3]
        }
    });
    for sigma in [1.5, 2.0, 3.0] {
        let got = measure(&blurred(&disc, sigma), 512).blur.unwrap();
        assert!((got / sigma - 1.0).abs() < 0.12, "{got} for {sigma}");
    }
}

#[test]
fn noisy_photographs_are_told() {
    for (name, photograph) in photographs() {
        for sigma in [12.0, 20.0] {
            let kinds = quality(&noisy(&sized(&photograph, 512), sigma));
            assert_eq!(kinds, ["source-noisy"], "{name} {sigma}");
        }
    }
}

#[test]
fn noise_is_measured_in_levels() {
    let ramp = painted(256, 256, |x, y| [(60 + x / 4 + y / 4) as u8; 3]);
    for sigma in [2.0, 5.0, 10.0, 20.0] {
        let got = measure(&noisy(&ramp, sigma), 512).noise.unwrap();
        assert!((0.8..1.05).contains(&(got / sigma)), "{got} for {sigma}");
    }
}

#[test]
fn compressed_photographs_are_told() {
    for (name, photograph) in photographs() {
        for level in [8, 12] {
            // Strong compression may take more than one thing away.
            let kinds = quality(&compressed(&photograph, level));
            assert!(kinds.contains(&"source-blocky"), "{name} {level} {kinds:?}");
        }
    }
}

#[test]
fn blocks_are_found_where_the_grid_was_cut() {
    let saved = compressed(&example("portrait.jpg"), 8);
    let cut = painted(500, 490, |x, y| saved.pixel(x + 3, y + 5));
    let blocking = measure(&cut, 512).blocking.unwrap();
    assert!(blocking >= limits::BLOCKY, "{blocking}");
}

#[test]
fn blocks_that_the_model_cannot_see_are_not_told() {
    let saved = compressed(&sized(&example("portrait.jpg"), 1100), 8);
    assert!(measure(&saved, 512).blocking.unwrap() >= limits::BLOCKY);
    assert_eq!(quality(&saved), Vec::<&str>::new());
}

#[test]
fn flat_photographs_are_told_with_their_tones() {
    for (name, photograph) in photographs() {
        let advice = said(&flattened(&sized(&photograph, 512), 0.2));
        let flat = advice.iter().find(|advice| advice.kind() == "source-flat");
        let Some(Suggestion::Stretch { black, white }) = flat.map(Advice::suggestion) else {
            panic!("{name}: {advice:?}");
        };
        assert!(
            (102..128).contains(&black) && (128..154).contains(&white),
            "{name}"
        );
    }
}

#[test]
fn one_colour_is_flat_and_cannot_be_stretched() {
    let grey = Picture::filled(Size::new(600, 600), [128; 3]).unwrap();
    let advice = said(&grey);
    assert_eq!(kinds(&advice), ["source-flat"]);
    assert_eq!(advice[0].suggestion(), Suggestion::BetterSource);
}

#[test]
fn bars_are_told_to_the_pixel() {
    let photograph = example("landscape.jpg");
    for (border, colour) in [
        ([0, 90], [0; 3]),
        ([30, 0], [255; 3]),
        ([30, 40], [10, 20, 90]),
    ] {
        let advice = said(&framed(&photograph, border, colour));
        let [Advice::SourceBars { bars, inside, .. }] = advice[..] else {
            panic!("{border:?}: {advice:?}");
        };
        let want = Rect {
            x: border[0],
            y: border[1],
            size: photograph.size(),
        };
        assert_eq!(inside, want);
        assert_eq!([bars.left, bars.top], border);
        assert_eq!([bars.right, bars.bottom], border);
    }
}

#[test]
fn bars_are_found_in_a_jpeg() {
    for (name, photograph) in photographs() {
        let boxed = compressed(&framed(&photograph, [0, 90], [0; 3]), 80);
        let bars = measure(&boxed, 512).bars;
        assert!((82..=90).contains(&bars.top), "{name} {bars:?}");
        assert!((82..=90).contains(&bars.bottom), "{name} {bars:?}");
        assert_eq!(bars.left, 0, "{name}");
    }
}

#[test]
fn plain_grounds_and_night_skies_are_no_bars() {
    let on_white = painted(600, 600, |x, y| {
        let (x, y) = (f64::from(x) - 300.0, f64::from(y) - 300.0);
        if (x * x + y * y).sqrt() < 220.0 {
            [150, 60, 60]
        } else {
            [255; 3]
        }
    });
    assert_eq!(measure(&on_white, 512).bars.share(Size::new(600, 600)), 0.0);
    let night = painted(600, 600, |_, y| {
        [(y.min(599 - y).saturating_sub(60) / 2) as u8; 3]
    });
    assert_eq!(measure(&night, 512).bars.share(Size::new(600, 600)), 0.0);
}

#[test]
fn a_bar_at_one_border_is_a_part_of_the_picture() {
    let photograph = example("landscape.jpg");
    let below = painted(960, 740, |x, y| match y < 640 {
        true => photograph.pixel(x, y),
        false => [0; 3],
    });
    assert_eq!(said(&below), []);
}

#[test]
fn sizes_are_told_by_the_models_side() {
    for (side, native, want) in [
        (255, 512, "source-tiny"),
        (256, 512, "source-small"),
        (511, 512, "source-small"),
        (512, 512, ""),
        (1024, 512, ""),
        (1025, 512, "source-large"),
        (512, 1024, "source-small"),
        (511, 1024, "source-tiny"),
        (2049, 1024, "source-large"),
        (300, 256, ""),
        (127, 256, "source-tiny"),
    ] {
        let size = Size::new(side, side);
        let measures = Measures {
            size,
            native_side: native,
            ..good()
        };
        let advice = of_source(&measures, Orientation::Upright);
        let want: Vec<&str> = [want].into_iter().filter(|kind| !kind.is_empty()).collect();
        assert_eq!(kinds(&advice), want, "{side} for {native}");
    }
}

#[test]
fn tiny_and_huge_photographs_are_told_with_a_size() {
    let photograph = example("landscape.jpg");
    let tiny = said(&sized(&photograph, 180));
    assert_eq!(kinds(&tiny), ["source-tiny"]);
    assert_eq!(
        tiny[0].suggestion(),
        Suggestion::Enlarge(Size::new(768, 512))
    );
    let huge = said(&sized(&photograph, 2400));
    assert_eq!(kinds(&huge), ["source-large"]);
    assert_eq!(
        huge[0].suggestion(),
        Suggestion::Reduce(Size::new(1024, 683))
    );
    assert_eq!(huge[0].severity(), Severity::Note);
}

#[test]
fn long_pictures_are_told_with_a_crop() {
    let photograph = sized(&example("landscape.jpg"), 1536);
    let strip = painted(1536, 520, |x, y| photograph.pixel(x, y + 200));
    let advice = said(&strip);
    assert_eq!(kinds(&advice), ["source-long", "source-large"]);
    let part = Rect {
        x: 144,
        y: 0,
        size: Size::new(1248, 520),
    };
    assert_eq!(advice[0].suggestion(), Suggestion::Crop(part));
    let upright = painted(520, 1536, |x, y| strip.pixel(y, x));
    assert!(kinds(&said(&upright)).contains(&"source-long"));
    // Cinema's 2.39 to 1 is fine.
    let cinema = painted(1536, 643, |x, y| photograph.pixel(x, y + 200));
    assert_eq!(kinds(&said(&cinema)), ["source-large"]);
}

#[test]
fn transparency_and_turning_are_noted() {
    let photograph = example("portrait.jpg");
    let mut alpha = vec![255; 512 * 512];
    alpha[..512 * 128].fill(0);
    let clear = photograph.with_alpha(Some(alpha)).unwrap();
    let advice = of_source(&measure(&clear, 512), Orientation::TurnRight);
    assert_eq!(kinds(&advice), ["source-clear", "source-turned"]);
    assert_eq!(advice[0].measured(), 0.25);
    assert!(
        advice
            .iter()
            .all(|advice| advice.severity() == Severity::Note)
    );
    assert!(advice[1].to_string().contains("anticlockwise"));
}

#[test]
fn pictures_of_any_shape_can_be_measured() {
    for (width, height) in [(1, 1), (1, 4000), (8000, 16), (2, 2), (31, 33), (5, 700)] {
        let picture = crate::make::busy(width, height);
        for advice in said(&picture) {
            assert!(advice.measured().is_finite(), "{advice:?}");
            let words = advice.to_string();
            assert!(!words.contains("NaN") && !words.contains("inf"), "{words}");
        }
    }
}

#[test]
fn faces_are_at_risk_from_the_limit_on() {
    let faces = FacesFound {
        count: 2,
        largest: 0.12,
    };
    let at = |strength| {
        let facts = RequestFacts {
            strength,
            faces,
            ..fine()
        };
        of_request(&facts)
    };
    assert_eq!(at(0.59), []);
    assert_eq!(at(1.0), []);
    let advice = at(0.6);
    assert_eq!(kinds(&advice), ["faces-at-risk"]);
    assert_eq!(advice[0].suggestion(), Suggestion::Strength(0.5));
    let words = advice[0].to_string();
    assert!(
        words.contains("2 faces") && words.contains("12.0 %"),
        "{words}"
    );
}

#[test]
fn few_steps_are_told_with_enough() {
    for (strength, steps, runs, want) in [
        (0.1, 10, 1, 30),
        (0.2, 10, 2, 15),
        (0.07, 20, 1, 43),
        (0.5, 2, 2, 3),
        (0.001, 1000, 1, 1000),
    ] {
        let facts = RequestFacts {
            strength,
            steps,
            runs,
            ..fine()
        };
        let advice = of_request(&facts);
        assert_eq!(kinds(&advice), ["few-steps"]);
        assert_eq!(advice[0].suggestion(), Suggestion::Steps(want));
    }
    let three = RequestFacts { runs: 3, ..fine() };
    assert_eq!(of_request(&three), []);
    let nothing = RequestFacts {
        strength: 0.0,
        runs: 0,
        ..fine()
    };
    assert_eq!(of_request(&nothing), []);
}

#[test]
fn long_texts_are_told_by_name() {
    let long = Some(Tokens {
        count: 90,
        limit: 75,
    });
    let facts = RequestFacts {
        prompt: long,
        negative_prompt: long,
        ..fine()
    };
    let advice = of_request(&facts);
    assert_eq!(kinds(&advice), ["prompt-long", "negative-prompt-long"]);
    assert_eq!(advice[0].suggestion(), Suggestion::Shorten(15));
    assert!(advice[1].to_string().starts_with("negative prompt has 90"));
}

#[test]
fn a_result_that_is_the_source_is_told() {
    let source = sized(&example("cat.jpg"), 256);
    let same = compare(&source, &compressed(&source, 90)).unwrap();
    let advice = of_result(&same, 0.5);
    assert_eq!(kinds(&advice), ["nothing-changed"]);
    assert_eq!(advice[0].suggestion(), Suggestion::Strength(0.55));
    // Texture alone is what a low strength promises.
    assert_eq!(of_result(&same, 0.2), []);
    let untouched = compare(&source, &source).unwrap();
    assert_eq!(kinds(&of_result(&untouched, 0.2)), ["nothing-changed"]);
    assert_eq!(of_result(&untouched, 0.0), []);
}

#[test]
fn a_result_without_its_source_is_told() {
    let size = Size::new(384, 256);
    let filter = imagegen_picture::Filter::Lanczos3;
    let [source, result] = ["cat.jpg", "landscape.jpg"]
        .map(|name| imagegen_picture::resize(&example(name), size, filter));
    let lost = compare(&source, &result).unwrap();
    let advice = of_result(&lost, 0.7);
    assert!(kinds(&advice).contains(&"nothing-left"), "{lost:?}");
    assert_eq!(advice[0].suggestion(), Suggestion::Strength(0.5));
    // Where the source need not be seen, only its colours are spoken of.
    assert!(!kinds(&of_result(&lost, 0.8)).contains(&"nothing-left"));
    assert_eq!(of_result(&lost, 1.0), []);
}

#[test]
fn a_result_in_other_colours_is_told() {
    let source = example("cat.jpg");
    // Red and blue change places: an orange cat turns blue.
    let size = source.size();
    let blue = painted(size.width, size.height, |x, y| {
        let [red, green, blue] = source.pixel(x, y);
        [blue, green, red]
    });
    let shifted = compare(&source, &blue).unwrap();
    let advice = of_result(&shifted, 0.5);
    assert_eq!(kinds(&advice), ["colour-shift"], "{shifted:?}");
    assert_eq!(advice[0].measured(), shifted.colour_shift);
}

#[test]
fn result_thresholds_hold_from_both_sides() {
    for (overall, structure, shift, strength, want) in [
        (0.949, 0.9, 0.0, 0.3, vec![]),
        (0.95, 0.9, 0.0, 0.3, vec!["nothing-changed"]),
        (0.95, 0.9, 0.0, 0.29, vec![]),
        (0.5, 0.301, 0.0, 0.79, vec![]),
        (0.5, 0.3, 0.0, 0.79, vec!["nothing-left"]),
        (0.5, 0.5, 11.99, 0.5, vec![]),
        (0.5, 0.5, 12.0, 0.5, vec!["colour-shift"]),
    ] {
        let advice = of_result(&fidelity(overall, structure, shift), strength);
        assert_eq!(kinds(&advice), want, "{overall} {structure} {shift}");
    }
}

#[test]
fn suggested_strengths_lead_the_right_way() {
    for hundredth in 1..100 {
        let strength = f64::from(hundredth) / 100.0;
        for advice in of_result(&fidelity(1.0, 0.0, 50.0), strength) {
            let Suggestion::Strength(suggested) = advice.suggestion() else {
                panic!("{advice:?}");
            };
            assert!((0.0..=1.0).contains(&suggested), "{advice:?} {suggested}");
            match advice.kind() {
                "nothing-changed" if strength < 0.95 => assert!(suggested > strength),
                "nothing-changed" => {}
                _ => assert!(suggested <= strength, "{advice:?} {suggested}"),
            }
        }
    }
}

/// One of each kind.
fn all() -> Vec<Advice> {
    let size = Size::new(1600, 200);
    let inside = measure(&framed(&example("landscape.jpg"), [0, 90], [0; 3]), 512).bars;
    let part = Rect {
        x: 10,
        y: 0,
        size: Size::new(480, 200),
    };
    vec![
        Advice::SourceSmall { size, native: 512 },
        Advice::SourceTiny { size, native: 512 },
        Advice::SourceLarge { size, native: 512 },
        Advice::SourceBlurred { spread: 2.34 },
        Advice::SourceNoisy { sigma: 9.1 },
        Advice::SourceBlocky { blocking: 0.31 },
        Advice::SourceFlat {
            range: 31.0,
            tones: [100.0, 131.0],
        },
        Advice::SourceLong { aspect: 8.0, part },
        Advice::SourceBars {
            bars: inside,
            share: 0.22,
            inside: part,
        },
        Advice::SourceClear { share: 0.25 },
        Advice::SourceTurned {
            orientation: Orientation::HalfTurn,
        },
        Advice::FacesAtRisk {
            count: 1,
            largest: 0.07,
            strength: 0.7,
        },
        Advice::FewSteps {
            runs: 1,
            steps: 10,
            strength: 0.1,
        },
        Advice::TextLong {
            text: Text::Prompt,
            tokens: 80,
            limit: 75,
        },
        Advice::TextLong {
            text: Text::NegativePrompt,
            tokens: 80,
            limit: 75,
        },
        Advice::NothingChanged {
            fidelity: 0.97,
            strength: 0.4,
        },
        Advice::NothingLeft {
            structure: 0.2,
            strength: 0.7,
        },
        Advice::ColourShift {
            shift: 17.3,
            strength: 0.6,
        },
    ]
}

#[test]
fn every_kind_says_its_figure_and_has_a_name_of_its_own() {
    let figures = [
        "1600x200",
        "1600x200",
        "1600 px",
        "2.3 px",
        "9.1 levels",
        "31 %",
        "31 of 255",
        "8.0 times",
        "22 %",
        "25.0 %",
        "upside down",
        "7.0 %",
        "1 of 10",
        "80 tokens",
        "80 tokens",
        "0.970",
        "0.20",
        "17.3",
    ];
    let all = all();
    assert_eq!(all.len(), figures.len());
    for (advice, figure) in all.iter().zip(figures) {
        let words = advice.to_string();
        assert!(words.contains(figure), "{words}");
        assert!(!words.contains("  ") && !words.ends_with('.'), "{words}");
    }
    let mut names = kinds(&all);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), figures.len());
}

#[test]
fn the_document_has_every_kind_with_its_threshold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/advice.md");
    let document = std::fs::read_to_string(path).expect("docs/advice.md");
    for advice in all() {
        let start = format!("| `{}` |", advice.kind());
        let row = document.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("no row for {}", advice.kind()));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let threshold = format!("{} {}", advice.threshold(), advice.unit());
        assert_eq!(cells[3], threshold, "{}", advice.kind());
        assert_eq!(cells[4], advice.severity().name(), "{}", advice.kind());
    }
}
