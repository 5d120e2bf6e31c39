//! Inpainting with a small network that is a formula: what is kept, what grows, what must not matter.

mod common;

use common::{starter, unfinished};
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    BoxedError, Colours, Conditioning, ConditioningRule, Error, Finish, Img2Img, Inpaint,
    MaskedContent, Network, Networks, NoiseKind, Outcome, PatchLatents, Prompt, Relation, Sampler,
    Settings, Silent, Spacing, Strength, StrengthRule, Tensor, Text2Img, celled, img2img, inpaint,
    text2img,
};

/// Sides of the test's pictures, in pixels; cells of latents have 4.
const SIDES: [usize; 2] = [32, 48];
/// Scaling to latents and back in f32.
const ROUNDING: f32 = 1e-6;

/// Pulls towards a colour of its own; sees the source channels if there are any.
struct Formula(f32);

impl Network for Formula {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let [n, h, w, channels] = input.nhwc("input")?;
        let pull = (self.0 + 0.1 * (timestep / 100.0).sin() as f32).tanh();
        let place = |pixel: &[f32]| -> Vec<f32> {
            let seen: f32 = pixel[48..].iter().sum::<f32>() / 48.0;
            let noised = pixel[..48].iter();
            noised
                .map(|v| (0.3 * v + pull - 0.5 * seen).tanh())
                .collect()
        };
        let data = input.data().chunks_exact(channels).flat_map(place);
        Ok(Tensor::new([n, h, w, 48], data.collect())?)
    }
}

/// As a model of pictures around one colour: nearly that colour where all is noise, nearly what it is shown
/// where there is little of it.
struct Drift;

impl Network for Drift {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let share = (timestep / 1000.0) as f32;
        let data = input.data().iter();
        let data = data.map(|v| (1.0 - share) * v + share);
        Ok(Tensor::new(input.shape(), data.collect())?)
    }
}

fn drift<'a>(_: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    Ok(Box::new(Drift))
}

fn formula<'a>(prompt: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    Ok(Box::new(Formula(if prompt == Prompt::Positive(0) {
        0.6
    } else {
        -0.4
    })))
}

fn picture(seed: u64) -> Tensor {
    let [h, w] = SIDES;
    let mut pixels = Generator::new(seed).normal_nhwc([1, h, w, 3]);
    let soft = |v: &mut f32| *v = (0.4 * *v).clamp(-1.0, 1.0);
    pixels.data_mut().iter_mut().for_each(soft);
    pixels
}

/// A mask by a function of column and row.
fn mask(coverage: impl Fn(usize, usize) -> f32) -> Tensor {
    let [h, w] = SIDES;
    let places = (0..h).flat_map(|y| (0..w).map(move |x| (x, y)));
    let data = places.map(|(x, y)| coverage(x, y)).collect();
    Tensor::new([1, h, w, 1], data).expect("a mask of that size")
}

fn boxed(x: usize, y: usize) -> f32 {
    f32::from((12..30).contains(&x) && (9..20).contains(&y))
}

fn settings(sampler: Sampler, rule: StrengthRule) -> Settings {
    Settings {
        sampler,
        spacing: Spacing::Model,
        steps: 8,
        rule,
        guidance_scale: 1.5,
        guidance_rescale: 0.0,
        guidance_until: 1.0,
        image_guidance: 1.0,
        colours: Colours::Decoded,
        windows: None,
        seed: 7,
        noise: NoiseKind::Cpu,
        variation: None,
    }
}

/// Runs `work` with networks that see their source, or do not.
fn with_networks<T>(
    sampler: Sampler,
    sees_source: bool,
    work: impl FnOnce(&mut Networks<'_, '_>) -> T,
) -> T {
    let training = starter(sampler);
    let conditioning = Conditioning::Faded(ConditioningRule {
        low_pass_by_strength: vec![(0.85, 1), (0.95, 2), (0.99, 8)],
        above: 0,
        relation: Relation::Added,
        change_by_strength: Vec::new(),
    });
    let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
    work(&mut Networks {
        codec: &mut codec,
        network: &formula,
        parts: &[1.0],
        training: &training,
        conditioning: sees_source.then_some(&conditioning),
        refiner: None,
        wash: None,
        finish: None,
    })
}

fn try_run(request: &Inpaint<'_>, sees_source: bool) -> Result<Outcome, Error> {
    with_networks(request.settings.sampler, sees_source, |networks| {
        inpaint(request, networks, &mut Silent)
    })
}

fn run(request: &Inpaint<'_>, sees_source: bool) -> Outcome {
    try_run(request, sees_source).expect("a sound request")
}

fn request<'a>(source: &'a Tensor, filled: &'a Tensor, mask: &'a Tensor) -> Inpaint<'a> {
    Inpaint {
        source,
        filled,
        mask,
        content: MaskedContent::Original,
        strength: Strength::new(0.75).expect("in range"),
        settings: settings(Sampler::Euler, StrengthRule::Share),
    }
}

fn strength(value: f64) -> Strength {
    Strength::new(value).expect("in range")
}

/// Mean change of the pixels for which `of` holds.
fn change(one: &Tensor, two: &Tensor, of: impl Fn(usize, usize) -> bool) -> f64 {
    let width = SIDES[1];
    let (mut sum, mut count) = (0.0, 0.0);
    for (index, (a, b)) in one.data().iter().zip(two.data()).enumerate() {
        let pixel = index / 3;
        if of(pixel % width, pixel / width) {
            sum += f64::from((a - b).abs());
            count += 1.0;
        }
    }
    sum / count
}

/// Whether a pixel lies in a cell of which the box covers something.
fn in_cells(x: usize, y: usize) -> bool {
    (12..32).contains(&x) && (8..20).contains(&y)
}

#[test]
fn a_finish_goes_as_far_as_the_mask_covers() {
    let source = picture(3);
    let mask = mask(|x, y| match (boxed(x, y) > 0.0, x < 20) {
        (false, _) => 0.0,
        (true, true) => 1.0,
        (true, false) => 0.5,
    });
    let request = request(&source, &source, &mask);
    let painted = |finish: Option<Finish>| {
        with_networks(request.settings.sampler, true, |networks| {
            networks.finish = finish;
            inpaint(&request, networks, &mut Silent).unwrap().pixels
        })
    };
    let finish = Finish {
        cells: 1.0,
        ..unfinished()
    };
    let (plain, finished) = (painted(None), painted(Some(finish)));
    let whole = celled(plain.clone(), 8, 1.0).unwrap();
    let pixels = plain.data().iter().zip(whole.data()).zip(finished.data());
    for (index, ((plain, whole), got)) in pixels.enumerate() {
        let want = plain + mask.data()[index / 3] * (whole - plain);
        assert_eq!(*got, want, "number {index}");
    }
    assert_ne!(plain, finished);
}

#[test]
fn what_is_kept_is_the_sources_with_every_sampler_rule_and_content() {
    let (source, filled, mask) = (picture(1), picture(2), mask(boxed));
    for sampler in Sampler::ALL {
        for rule in StrengthRule::ALL {
            for content in MaskedContent::ALL {
                for share in [0.3, 0.75, 1.0] {
                    let mut filled = filled.clone();
                    for (index, value) in filled.data_mut().iter_mut().enumerate() {
                        if boxed(index / 3 % SIDES[1], index / 3 / SIDES[1]) == 0.0 {
                            *value = source.data()[index];
                        }
                    }
                    let request = Inpaint {
                        content,
                        strength: strength(share),
                        settings: settings(sampler, rule),
                        ..request(&source, &filled, &mask)
                    };
                    for sees_source in [true, false] {
                        let made = run(&request, sees_source).pixels;
                        let inside = change(&made, &source, in_cells);
                        let subject = format!("{} {rule:?} {content:?} {share}", sampler.name());
                        assert!(inside > 0.02, "{subject}: changed by {inside}");
                        let width = SIDES[1];
                        for (index, (a, b)) in made.data().iter().zip(source.data()).enumerate() {
                            let kept = !in_cells(index / 3 % width, index / 3 / width);
                            assert!(!kept || (a - b).abs() <= ROUNDING, "{subject}: {a} for {b}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn at_strength_1_what_was_under_the_mask_does_not_matter() {
    let (one, mask) = (picture(1), mask(boxed));
    let mut two = one.clone();
    let mut filled = one.clone();
    for index in 0..one.data().len() {
        if boxed(index / 3 % SIDES[1], index / 3 / SIDES[1]) > 0.0 {
            two.data_mut()[index] = -one.data()[index];
            filled.data_mut()[index] = 0.1;
        }
    }
    for sampler in Sampler::ALL {
        for content in MaskedContent::ALL {
            let made = |source: &Tensor, share: f64, content| {
                let request = Inpaint {
                    content,
                    strength: strength(share),
                    settings: settings(sampler, StrengthRule::Share),
                    ..request(source, &filled, &mask)
                };
                run(&request, true).pixels
            };
            assert_eq!(
                made(&one, 1.0, content),
                made(&two, 1.0, content),
                "{}",
                sampler.name()
            );
            // Below it, the original matters and other content does not read it.
            let same = made(&one, 0.75, content) == made(&two, 0.75, content);
            assert_eq!(same, content != MaskedContent::Original, "{content:?}");
        }
    }
}

#[test]
fn late_steps_of_a_repaint_leave_guidance_out() {
    let (source, filled, mask) = (picture(1), picture(2), mask(boxed));
    let made = |guidance_scale, guidance_until| {
        let settings = Settings {
            guidance_scale,
            guidance_until,
            ..settings(Sampler::Euler, StrengthRule::Share)
        };
        let request = Inpaint {
            settings,
            ..request(&source, &filled, &mask)
        };
        run(&request, true).pixels
    };
    let [all, half, none] = [made(3.0, 1.0), made(3.0, 0.5), made(1.0, 1.0)];
    assert!(half != all && half != none);
    assert!(change(&half, &none, in_cells) > 0.0);
}

#[test]
fn change_grows_with_coverage() {
    let [h, w] = SIDES;
    let source = Tensor::zeros([1, h, w, 3]);
    // Six stripes of two cells each, from kept to repainted.
    let mask = mask(|x, _| (x / 8) as f32 / 5.0);
    let mut faults = Vec::new();
    for sampler in Sampler::ALL {
        for share in [0.5, 0.75, 1.0] {
            let request = Inpaint {
                strength: strength(share),
                settings: Settings {
                    guidance_scale: 1.0,
                    steps: 20,
                    ..settings(sampler, StrengthRule::Share)
                },
                ..request(&source, &source, &mask)
            };
            let training = starter(sampler);
            let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
            let mut networks = Networks {
                codec: &mut codec,
                network: &drift,
                parts: &[1.0],
                training: &training,
                conditioning: None,
                refiner: None,
                wash: None,
                finish: None,
            };
            let made = inpaint(&request, &mut networks, &mut Silent).expect("a sound request");
            let changes: Vec<f64> = (0..6)
                .map(|stripe| change(&made.pixels, &source, |x, _| x / 8 == stripe))
                .collect();
            let subject = format!("{} {share}: {changes:?}", sampler.name());
            assert!(changes[0] < 1e-6 && changes[5] > 0.1, "{subject}");
            // Noise differs from stripe to stripe, most where a sampler adds some in each step. LMS reckons with four
            // steps back, also where a stripe was still held then, and overshoots.
            let slack = if sampler == Sampler::Lms { 0.1 } else { 0.05 };
            let grows = changes.windows(2).all(|pair| pair[0] <= pair[1] + slack);
            if !grows || changes[1] + 0.05 >= changes[5] {
                faults.push(subject);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_full_mask_is_a_whole_picture() {
    let (source, all) = (picture(1), mask(|_, _| 1.0));
    for sampler in Sampler::ALL {
        for sees_source in [true, false] {
            let settings = settings(sampler, StrengthRule::Share);
            let painted = |share: f64| {
                let request = Inpaint {
                    strength: strength(share),
                    settings,
                    ..request(&source, &source, &all)
                };
                run(&request, sees_source)
            };
            let (transformed, generated) = with_networks(sampler, sees_source, |networks| {
                let request = Img2Img {
                    source: &source,
                    strength: strength(0.6),
                    settings,
                };
                let transformed = img2img(&request, networks, &mut Silent);
                let request = Text2Img {
                    height: SIDES[0],
                    width: SIDES[1],
                    settings,
                };
                let generated = text2img(&request, networks, &mut Silent);
                (transformed.expect("sound"), generated.expect("sound"))
            });
            assert_eq!(painted(0.6), transformed, "{}", sampler.name());
            assert_eq!(painted(1.0).pixels, generated.pixels, "{}", sampler.name());
        }
    }
}

#[test]
fn strength_0_and_bad_masks() {
    let (source, good) = (picture(1), mask(boxed));
    let still = Inpaint {
        strength: strength(0.0),
        ..request(&source, &source, &good)
    };
    assert_eq!(run(&still, true).pixels, source);
    for bad in [1.5, -0.1, f32::NAN] {
        let bad = mask(|x, y| if (x, y) == (40, 30) { bad } else { 0.0 });
        let error = try_run(&request(&source, &source, &bad), true).unwrap_err();
        let words = error.to_string();
        assert!(
            words.starts_with("mask coverage is ") && words.ends_with("0 to 1"),
            "{words}"
        );
    }
    let small = Tensor::zeros([1, 16, 16, 1]);
    let error = try_run(&request(&source, &source, &small), true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mask has shape [1, 16, 16, 1], expected [1, 32, 48, 1]"
    );
    let other = Tensor::zeros([1, 16, 16, 3]);
    let error = try_run(&request(&source, &other, &good), true).unwrap_err();
    assert!(
        error.to_string().starts_with("filled source has shape"),
        "{error}"
    );
}
