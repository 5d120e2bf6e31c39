//! Whole runs with a small network that is a formula.

mod common;

use std::cell::{Cell, RefCell};

use common::{stable_diffusion, starter, unfinished};
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    BoxedError, Colours, Conditioning, ConditioningRule, Error, Finish, Img2Img, LatentCodec,
    Network, Networks, Noise, NoiseKind, PatchLatents, Prompt, Relation, Sampler, Settings, Silent,
    Spacing, Stage, Start, Strength, StrengthRule, Strokes, Tensor, Text2Img, TrainingSchedule,
    Wash, WashRule, img2img, text2img,
};

/// Pulls towards a colour of its own; sees the source channels if there are any.
struct Formula {
    bias: f32,
    channels: usize,
}

impl Network for Formula {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let [n, h, w, channels] = input.nhwc("input")?;
        let pull = (self.bias + 0.1 * (timestep / 100.0).sin() as f32).tanh();
        let place = |pixel: &[f32]| -> Vec<f32> {
            let seen: f32 = pixel[self.channels..].iter().sum::<f32>() / 48.0;
            pixel[..self.channels]
                .iter()
                .map(|v| (0.3 * v + pull - 0.5 * seen).tanh())
                .collect()
        };
        let data = input
            .data()
            .chunks_exact(channels)
            .flat_map(place)
            .collect();
        Ok(Tensor::new([n, h, w, self.channels], data)?)
    }
}

fn formula<'a>(prompt: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    let bias = if prompt == Prompt::Positive(0) {
        0.6
    } else {
        -0.4
    };
    Ok(Box::new(Formula { bias, channels: 48 }))
}

fn rule() -> Conditioning {
    faded(Relation::Added)
}

fn faded(relation: Relation) -> Conditioning {
    Conditioning::Faded(ConditioningRule {
        low_pass_by_strength: vec![(0.85, 1), (0.95, 2), (0.99, 8)],
        above: 0,
        relation,
        change_by_strength: Vec::new(),
    })
}

fn picture(seed: u64) -> Tensor {
    let mut pixels = Generator::new(seed).normal_nhwc([1, 32, 48, 3]);
    pixels
        .data_mut()
        .iter_mut()
        .for_each(|v| *v = (0.5 * *v).clamp(-1.0, 1.0));
    pixels
}

fn settings(sampler: Sampler, rule: StrengthRule) -> Settings {
    Settings {
        sampler,
        spacing: Spacing::Model,
        steps: 10,
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

fn run(source: &Tensor, strength: f64, settings: Settings) -> imagegen_pipeline::Outcome {
    run_finished(source, strength, settings, None)
}

fn run_finished(
    source: &Tensor,
    strength: f64,
    settings: Settings,
    finish: Option<Finish>,
) -> imagegen_pipeline::Outcome {
    let strength = Strength::new(strength).expect("the test's strengths are in range");
    let (training, conditioning) = (starter(settings.sampler), rule());
    let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
    let mut networks = Networks {
        codec: &mut codec,
        network: &formula,
        parts: &[1.0],
        training: &training,
        conditioning: Some(&conditioning),
        refiner: None,
        wash: None,
        finish,
    };
    img2img(
        &Img2Img {
            source,
            strength,
            settings,
        },
        &mut networks,
        &mut Silent,
    )
    .expect("a sound request")
}

#[test]
fn strokes_follow_the_source_where_the_network_sees_it_sharply_and_else_the_result() {
    let (source, settings) = (
        picture(5),
        settings(Sampler::Ddim { eta: 0.0 }, StrengthRule::Share),
    );
    let strokes = |weight| Finish {
        strokes: weight,
        ..unfinished()
    };
    let by_hand = Strokes {
        reach: 4.0,
        weight: 1.0,
    };
    for (strength, guide) in [(0.5, Some(&source)), (0.93, None), (1.0, None)] {
        let plain = run(&source, strength, settings);
        let finished = run_finished(&source, strength, settings, Some(strokes(1.0)));
        let want = by_hand.drawn(plain.pixels.clone(), guide).unwrap();
        assert_eq!(finished.pixels, want, "strength {strength}");
        assert_ne!(finished.pixels, plain.pixels, "strength {strength}");
        assert_eq!(finished.latents, plain.latents, "strength {strength}");
        let unasked = run_finished(&source, strength, settings, Some(strokes(0.0)));
        assert_eq!(unasked.pixels, plain.pixels, "strength {strength}");
    }
    let untouched = run_finished(&source, 0.0, settings, Some(strokes(1.0)));
    assert_eq!(untouched.pixels, source);
}

#[test]
fn drawings_are_washed_before_they_are_read_and_noise_stays_the_same() {
    // A line across white paper.
    let lines = (0..32 * 48).flat_map(|place| [if place / 48 == 9 { -0.9 } else { 0.95 }; 3]);
    let drawing = Tensor::new([1, 32, 48, 3], lines.collect()).unwrap();
    let wash_rule = WashRule {
        palette: vec![[0.8, 0.3, 0.1], [0.1, 0.5, 0.7]],
        temperature: 0.5,
        spread: 1.0,
        share_by_strength: Vec::new(),
    };
    let network = |seen: &Tensor| -> Result<Tensor, BoxedError> {
        let [_, h, w, _] = seen.nhwc("lines")?;
        Ok(Tensor::zeros([1, h, w, 2]))
    };
    let wash = Wash {
        rule: &wash_rule,
        network: &network,
    };
    let settings = settings(Sampler::Ddim { eta: 0.0 }, StrengthRule::Share);
    let washed_run = |source: &Tensor, strength| {
        let (training, conditioning) = (starter(settings.sampler), rule());
        let mut networks = Networks {
            codec: &mut PatchLatents::new(4, 1.7, 16).unwrap(),
            network: &formula,
            parts: &[1.0],
            training: &training,
            conditioning: Some(&conditioning),
            refiner: None,
            wash: Some(wash),
            finish: None,
        };
        let strength = Strength::new(strength).unwrap();
        let request = Img2Img {
            source,
            strength,
            settings,
        };
        img2img(&request, &mut networks, &mut Silent).unwrap()
    };
    let strength = Strength::new(0.5).unwrap();
    let by_hand = wash.laid(&drawing, strength, &mut settings.run_noise());
    let by_hand = by_hand.unwrap().expect("it is a drawing");
    let outcome = washed_run(&drawing, 0.5);
    let want = run(&by_hand, 0.5, settings);
    assert_eq!(
        (&outcome.pixels, &outcome.latents),
        (&want.pixels, &want.latents)
    );
    assert!(outcome.facts.washed && !want.facts.washed);
    assert_ne!(outcome.pixels, run(&drawing, 0.5, settings).pixels);
    // Where the source is not read there is nothing to wash, and other pictures are left alone.
    assert_eq!(washed_run(&drawing, 1.0), run(&drawing, 1.0, settings));
    assert_eq!(
        washed_run(&picture(5), 0.5),
        run(&picture(5), 0.5, settings)
    );
}

#[test]
fn strength_0_returns_the_source_and_runs_nothing() {
    struct Untouchable;
    impl LatentCodec for Untouchable {
        fn encode(&mut self, _: &Tensor, _: &mut dyn Noise) -> Result<Tensor, BoxedError> {
            panic!("encoded");
        }
        fn condition(&mut self, _: &Tensor) -> Result<Tensor, BoxedError> {
            panic!("conditioned");
        }
        fn decode(&mut self, _: &Tensor) -> Result<Tensor, BoxedError> {
            panic!("decoded");
        }
        fn grid(&self) -> usize {
            16
        }
        fn channels(&self) -> usize {
            48
        }
        fn downscale(&self) -> usize {
            4
        }
    }
    // A size off the grid and colours out of range: untouched all the same.
    let source = Tensor::new(
        [1, 1, 3, 3],
        vec![-0.0, 0.123, 9.0, 1.0, -1.0, 0.5, 0.1, 0.2, 0.3],
    )
    .unwrap();
    for rule in StrengthRule::ALL {
        for sampler in Sampler::ALL {
            let training = starter(sampler);
            let mut networks = Networks {
                codec: &mut Untouchable,
                network: &|_| panic!("a network was made"),
                parts: &[1.0],
                training: &training,
                conditioning: None,
                refiner: None,
                wash: None,
                finish: None,
            };
            let strength = Strength::new(0.0).unwrap();
            let request = Img2Img {
                source: &source,
                strength,
                settings: settings(sampler, rule),
            };
            let outcome = img2img(&request, &mut networks, &mut Silent).unwrap();
            assert_eq!(outcome.pixels, source);
            assert_eq!(
                (outcome.facts.runs, outcome.facts.start),
                (0, Start::Nothing)
            );
        }
    }
}

#[test]
fn at_strength_1_sources_leave_no_trace_and_the_result_is_text_to_image() {
    for rule in [StrengthRule::Share, StrengthRule::Exact] {
        for sampler in Sampler::ALL {
            let settings = settings(sampler, rule);
            let one = run(&picture(1), 1.0, settings);
            let other = run(&picture(2), 1.0, settings);
            assert_eq!(one, other);
            let training = starter(sampler);
            let mut networks = Networks {
                codec: &mut PatchLatents::new(4, 1.7, 16).unwrap(),
                network: &formula,
                parts: &[1.0],
                training: &training,
                conditioning: Some(&crate::rule()),
                refiner: None,
                wash: None,
                finish: None,
            };
            let request = Text2Img {
                height: 32,
                width: 48,
                settings,
            };
            let text = text2img(&request, &mut networks, &mut Silent).unwrap();
            assert_eq!(text.pixels, one.pixels);
            assert_eq!(text.facts.source_low_pass, Some(0));
        }
    }
}

#[test]
fn rule_diffusers_lets_the_source_through_at_strength_1() {
    let settings = settings(Sampler::Euler, StrengthRule::Diffusers);
    let one = run(&picture(1), 1.0, settings);
    let other = run(&picture(2), 1.0, settings);
    assert_eq!(one.facts.start, Start::NoisedSource);
    assert_ne!(one.pixels, other.pixels);
}

#[test]
fn change_grows_with_strength_and_pixels_stay_in_range() {
    let source = picture(1);
    for sampler in Sampler::ALL {
        let mut last = 0.0;
        for strength in [0.0, 0.1, 0.3, 0.5, 0.8, 1.0] {
            let outcome = run(&source, strength, settings(sampler, StrengthRule::Share));
            assert!(
                outcome
                    .pixels
                    .data()
                    .iter()
                    .all(|v| (-1.0..=1.0).contains(v))
            );
            let pairs = outcome.pixels.data().iter().zip(source.data());
            let change = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
            assert!(
                change >= 0.95 * last,
                "{sampler:?} {strength}: {change} after {last}"
            );
            last = change;
        }
    }
}

#[test]
fn several_sources_never_mix() {
    let settings = settings(Sampler::EulerAncestral { eta: 1.0 }, StrengthRule::Share);
    let alone = run(&picture(2), 0.5, settings);
    run(&picture(1), 0.5, settings);
    assert_eq!(run(&picture(2), 0.5, settings), alone);
    let two = Tensor::zeros([2, 32, 48, 3]);
    let training = starter(settings.sampler);
    let mut networks = Networks {
        codec: &mut PatchLatents::new(4, 1.7, 16).unwrap(),
        network: &formula,
        parts: &[1.0],
        training: &training,
        conditioning: None,
        refiner: None,
        wash: None,
        finish: None,
    };
    let request = Img2Img {
        source: &two,
        strength: Strength::new(0.5).unwrap(),
        settings,
    };
    let error = img2img(&request, &mut networks, &mut Silent)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "source has shape [2, 32, 48, 3], expected [1, H, W, 3]"
    );
}

#[test]
fn facts_tell_what_ran() {
    let sampler = Sampler::Ddim { eta: 0.0 };
    let facts = run(&picture(1), 0.93, settings(sampler, StrengthRule::Share)).facts;
    assert_eq!(
        (facts.steps_asked, facts.runs, facts.source_low_pass),
        (10, 9, Some(2))
    );
    assert_eq!(facts.start_timestep, Some(888.0));
    assert_eq!(facts.start_sigma, starter(sampler).sigmas()[888]);
    assert_eq!(facts.start, Start::NoisedSource);
}

/// A codec that draws a posterior sample and can be told to fail.
struct Sampling {
    bad: Option<Stage>,
}

impl Sampling {
    fn spoil(&self, stage: Stage, shape: [usize; 4]) -> Tensor {
        let fill = if self.bad == Some(stage) {
            f32::NAN
        } else {
            0.25
        };
        Tensor::new(shape, vec![fill; shape.iter().product()]).expect("as many as the shape has")
    }
}

impl LatentCodec for Sampling {
    fn encode(&mut self, _: &Tensor, noise: &mut dyn Noise) -> Result<Tensor, BoxedError> {
        noise.normal([1, 4, 6, 4]);
        Ok(self.spoil(Stage::Encode, [1, 4, 6, 4]))
    }
    fn condition(&mut self, _: &Tensor) -> Result<Tensor, BoxedError> {
        Ok(self.spoil(Stage::Condition, [1, 4, 6, 4]))
    }
    fn decode(&mut self, latents: &Tensor) -> Result<Tensor, BoxedError> {
        let mut pixels = self.spoil(Stage::Decode, [1, 32, 48, 3]);
        pixels.data_mut()[0] += 0.01 * latents.data()[0];
        Ok(pixels)
    }
    fn grid(&self) -> usize {
        8
    }
    fn channels(&self) -> usize {
        4
    }
    fn downscale(&self) -> usize {
        8
    }
}

fn run_sampling(
    bad: Option<Stage>,
    network: &imagegen_pipeline::NetworkFactory<'_>,
    strength: f64,
    training: &TrainingSchedule,
    settings: Settings,
) -> Result<imagegen_pipeline::Outcome, Error> {
    let conditioning = faded(Relation::Apart);
    let mut networks = Networks {
        codec: &mut Sampling { bad },
        network,
        parts: &[1.0],
        training,
        conditioning: (bad == Some(Stage::Condition)).then_some(&conditioning),
        refiner: None,
        wash: None,
        finish: None,
    };
    let strength = Strength::new(strength).expect("the test's strengths are in range");
    let source = Tensor::zeros([1, 32, 48, 3]);
    img2img(
        &Img2Img {
            source: &source,
            strength,
            settings,
        },
        &mut networks,
        &mut Silent,
    )
}

/// Keeps the first input it sees.
struct Recorder<'a>(&'a Cell<Option<Vec<f32>>>);

impl Network for Recorder<'_> {
    fn predict(&mut self, input: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
        let first = self.0.take().unwrap_or_else(|| input.data().to_vec());
        self.0.set(Some(first));
        Ok(Tensor::zeros(input.shape()))
    }
}

#[test]
fn the_posterior_sample_is_drawn_before_the_noise_of_the_start() {
    let training = stable_diffusion(Sampler::Euler);
    // Rule a1111 takes the posterior's mean and draws nothing for it.
    for (rule, strength, skip, base) in [
        (StrengthRule::Share, 0.5, 1, 0.25),
        (StrengthRule::Share, 1.0, 0, 0.0),
        (StrengthRule::A1111, 0.5, 0, 0.25),
    ] {
        let settings = Settings {
            guidance_scale: 1.0,
            ..settings(Sampler::Euler, rule)
        };
        let seen = Cell::new(None);
        let network =
            |_| -> Result<Box<dyn Network + '_>, BoxedError> { Ok(Box::new(Recorder(&seen))) };
        let outcome = run_sampling(None, &network, strength, &training, settings).unwrap();
        let mut noise = Generator::new(7);
        (0..skip).for_each(|_| drop(noise.normal_nhwc([1, 4, 6, 4])));
        let drawn = noise.normal_nhwc([1, 4, 6, 4]);
        let sigma = outcome.facts.start_sigma as f32;
        for (got, drawn) in seen.take().unwrap().iter().zip(drawn.data()) {
            let want = (base + sigma * drawn) / (1.0 + sigma * sigma).sqrt();
            assert!(
                (got - want).abs() < 1e-6,
                "{rule:?}: {got}, expected {want}"
            );
        }
    }
}

#[test]
fn nan_names_the_stage_and_strength_1_needs_no_encoder() {
    let training = stable_diffusion(Sampler::Euler);
    let settings = settings(Sampler::Euler, StrengthRule::Share);
    let network = |_| -> Result<Box<dyn Network>, BoxedError> {
        Ok(Box::new(Formula {
            bias: 0.0,
            channels: 4,
        }))
    };
    for stage in [Stage::Encode, Stage::Condition, Stage::Decode] {
        let error = run_sampling(Some(stage), &network, 0.5, &training, settings).unwrap_err();
        assert!(
            matches!(error, Error::NotFinite { stage: got } if got == stage),
            "{error}"
        );
    }
    run_sampling(Some(Stage::Encode), &network, 1.0, &training, settings).unwrap();
}

#[test]
fn only_the_networks_that_guidance_needs_are_made() {
    let training = stable_diffusion(Sampler::Euler);
    for (guidance_scale, want) in [(0.0, (0, 1)), (1.0, (1, 0)), (7.5, (1, 1))] {
        let made = Cell::new((0, 0));
        let network = |prompt| -> Result<Box<dyn Network>, BoxedError> {
            let (positive, negative) = made.get();
            made.set(match prompt {
                Prompt::Positive(_) => (positive + 1, negative),
                Prompt::Negative => (positive, negative + 1),
            });
            Ok(Box::new(Formula {
                bias: 0.0,
                channels: 4,
            }))
        };
        let settings = Settings {
            guidance_scale,
            ..settings(Sampler::Euler, StrengthRule::Share)
        };
        run_sampling(None, &network, 0.5, &training, settings).unwrap();
        assert_eq!(made.get(), want);
    }
}

#[test]
fn failures_keep_their_cause_and_bad_requests_are_named() {
    let training = stable_diffusion(Sampler::Euler);
    let plain = settings(Sampler::Euler, StrengthRule::Share);
    let broken = |_| -> Result<Box<dyn Network>, BoxedError> { Err("no such token".into()) };
    let error = run_sampling(None, &broken, 0.5, &training, plain).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the prompt encoder failed: no such token"
    );
    assert!(std::error::Error::source(&error).is_some());
    let network = |_| -> Result<Box<dyn Network>, BoxedError> {
        Ok(Box::new(Formula {
            bias: 0.0,
            channels: 4,
        }))
    };
    let nan = Settings {
        guidance_scale: f64::NAN,
        ..plain
    };
    let error = run_sampling(None, &network, 0.5, &training, nan).unwrap_err();
    assert_eq!(
        error.to_string(),
        "guidance_scale is NaN, expected a finite number"
    );
    let mut networks = Networks {
        codec: &mut PatchLatents::new(4, 1.7, 16).unwrap(),
        network: &formula,
        parts: &[1.0],
        training: &training,
        conditioning: None,
        refiner: None,
        wash: None,
        finish: None,
    };
    let request = Text2Img {
        height: 40,
        width: 48,
        settings: plain,
    };
    let error = text2img(&request, &mut networks, &mut Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "height is 40, expected a multiple of 16, at least 16"
    );
    let relative = rule();
    networks.conditioning = Some(&relative);
    let request = Text2Img {
        height: 48,
        width: 48,
        settings: plain,
    };
    let error = text2img(&request, &mut networks, &mut Silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("prediction_type is Epsilon, expected Sample"),
        "{error}"
    );
}

/// Writes down which step each call belongs to, for every prompt.
struct Stepped<'a> {
    prompt: Prompt,
    step: usize,
    heard: &'a RefCell<Vec<(Prompt, usize)>>,
}

impl Network for Stepped<'_> {
    fn predict(&mut self, input: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
        self.heard.borrow_mut().push((self.prompt, self.step));
        // Four noised channels, behind them the source's where there are some.
        let [n, h, w, channels] = input.nhwc("input")?;
        let numbers = input.data().chunks_exact(channels);
        let own = numbers.flat_map(|place| place[..4].iter().map(|v| 0.1 * v));
        Ok(Tensor::new([n, h, w, 4], own.collect())?)
    }

    fn begin_step(&mut self, step: usize) {
        self.step = step;
    }
}

/// Steps that run at strength 1, and those of every prompt's calls, in order.
fn steps_heard(
    (settings, parts): (Settings, &[f64]),
    conditioned: bool,
) -> (usize, Vec<(Prompt, usize)>) {
    let heard = RefCell::new(Vec::new());
    let network = |prompt| -> Result<Box<dyn Network + '_>, BoxedError> {
        let heard = &heard;
        Ok(Box::new(Stepped {
            prompt,
            step: usize::MAX,
            heard,
        }))
    };
    let training = stable_diffusion(settings.sampler);
    let mut networks = Networks {
        codec: &mut Sampling { bad: None },
        network: &network,
        parts,
        training: &training,
        conditioning: conditioned.then_some(&Conditioning::Instructed),
        refiner: None,
        wash: None,
        finish: None,
    };
    let request = Img2Img {
        source: &Tensor::zeros([1, 32, 48, 3]),
        strength: Strength::FULL,
        settings,
    };
    let made = img2img(&request, &mut networks, &mut Silent).expect("a sound request");
    (made.facts.runs, heard.into_inner())
}

/// The steps of a prompt's calls, each once.
fn steps_of(heard: &[(Prompt, usize)], prompt: Prompt) -> Vec<usize> {
    let steps = heard.iter().filter(|h| h.0 == prompt).map(|h| h.1);
    let mut steps: Vec<usize> = steps.collect();
    assert!(steps.is_sorted(), "{prompt:?} {steps:?}");
    steps.dedup();
    steps
}

#[test]
fn every_call_of_a_step_hears_its_number_through_every_wrapper() {
    for sampler in Sampler::ALL {
        for conditioned in [false, true] {
            let settings = Settings {
                steps: 4,
                guidance_scale: 3.0,
                image_guidance: 1.5,
                ..settings(sampler, StrengthRule::Share)
            };
            let (runs, heard) = steps_heard((settings, &[1.0, 0.5]), conditioned);
            let all: Vec<usize> = (0..runs).collect();
            for prompt in [Prompt::Positive(0), Prompt::Positive(1), Prompt::Negative] {
                assert_eq!(steps_of(&heard, prompt), all, "{sampler:?} {prompt:?}");
            }
        }
    }
}

#[test]
fn late_steps_leave_guidance_out() {
    for sampler in Sampler::ALL {
        for conditioned in [false, true] {
            // A step that is begun is guided; 0.28 of 25 is 7, whatever the product's last bit says.
            for (steps, share, guided) in [(4, 0.5, 2), (5, 0.5, 3), (25, 0.28, 7), (5, 1.0, 5)] {
                let settings = Settings {
                    steps,
                    guidance_scale: 3.0,
                    guidance_until: share,
                    image_guidance: 1.5,
                    ..settings(sampler, StrengthRule::Share)
                };
                let (runs, heard) = steps_heard((settings, &[1.0]), conditioned);
                let subject = format!("{sampler:?}, {share} of {steps} steps, {conditioned}");
                assert_eq!(runs, steps, "{subject}");
                let all: Vec<usize> = (0..runs).collect();
                assert_eq!(steps_of(&heard, Prompt::Positive(0)), all, "{subject}");
                let negative = steps_of(&heard, Prompt::Negative);
                assert_eq!(negative, all[..guided], "{subject}");
            }
        }
    }
    // A part that does not weigh 1 is always weighed against the negative prompt.
    let weighed = Settings {
        steps: 4,
        guidance_scale: 2.0,
        guidance_until: 0.5,
        ..settings(Sampler::Euler, StrengthRule::Share)
    };
    let (_, heard) = steps_heard((weighed, &[0.5]), false);
    assert_eq!(steps_of(&heard, Prompt::Negative), [2, 3]);
}

#[test]
fn a_guided_share_outside_its_range_is_refused() {
    for share in [f64::NAN, -0.1, 0.0, 1.1] {
        let settings = Settings {
            guidance_until: share,
            ..settings(Sampler::Euler, StrengthRule::Share)
        };
        let error = settings.guided_steps(5).unwrap_err().to_string();
        let expected = format!("guidance_until is {share}, expected above 0, up to 1");
        assert_eq!(error, expected);
    }
}
