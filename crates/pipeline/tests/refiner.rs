//! Runs that a second network ends.

mod common;

use std::cell::RefCell;

use common::starter;
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    BoxedError, Colours, Img2Img, Network, Networks, NoiseKind, Outcome, PatchLatents, Plan,
    Prompt, Refiner, Sampler, Settings, Silent, Spacing, Strength, StrengthRule, Tensor, img2img,
};

/// Pulls towards a colour, and remembers the timesteps and steps it was asked for.
struct Formula<'a> {
    bias: f32,
    asked: &'a Asked,
    step: usize,
}

impl Network for Formula<'_> {
    fn begin_step(&mut self, step: usize) {
        self.step = step;
    }

    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        self.asked.borrow_mut().push((self.step, timestep));
        let numbers = input.data().iter();
        let numbers = numbers.map(|v| (0.3 * v + self.bias).tanh()).collect();
        Ok(Tensor::new(input.shape(), numbers)?)
    }
}

/// Steps and timesteps, in order.
type Calls = Vec<(usize, f64)>;
type Asked = RefCell<Calls>;

/// A run that a second network of another `bias` ends, from `at`; what each was asked for.
fn run(sampler: Sampler, strength: f64, bias: f32, at: Option<f64>) -> (Outcome, Calls, Calls) {
    let training = starter(sampler);
    let (first, second) = (Asked::default(), Asked::default());
    let network = |_: Prompt| -> Result<Box<dyn Network>, BoxedError> {
        Ok(Box::new(Formula {
            bias: 0.6,
            asked: &first,
            step: 99,
        }))
    };
    let refiner = |_: Prompt| -> Result<Box<dyn Network>, BoxedError> {
        Ok(Box::new(Formula {
            bias,
            asked: &second,
            step: 99,
        }))
    };
    let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
    let mut networks = Networks {
        codec: &mut codec,
        network: &network,
        parts: &[1.0],
        training: &training,
        conditioning: None,
        wash: None,
        finish: None,
        refiner: at.map(|at| Refiner {
            network: &refiner,
            parts: &[1.0],
            training: &training,
            conditioning: None,
            guidance_scale: 1.0,
            at,
        }),
    };
    let source = Generator::new(3).normal_nhwc([1, 32, 48, 3]);
    let request = Img2Img {
        source: &source,
        strength: Strength::new(strength).expect("in range"),
        settings: Settings {
            sampler,
            spacing: Spacing::Model,
            steps: 10,
            rule: StrengthRule::Share,
            guidance_scale: 1.0,
            guidance_rescale: 0.0,
            guidance_until: 1.0,
            image_guidance: 1.0,
            colours: Colours::Decoded,
            noise: NoiseKind::Cpu,
            windows: None,
            seed: 7,
            variation: None,
        },
    };
    let made = img2img(&request, &mut networks, &mut Silent).expect("a sound request");
    (made, first.into_inner(), second.into_inner())
}

/// Samplers whose steps know nothing of the steps before.
const ONE_STEP: [Sampler; 8] = [
    Sampler::Ddim { eta: 0.0 },
    Sampler::Euler,
    Sampler::EulerAncestral { eta: 1.0 },
    Sampler::Heun,
    Sampler::Dpm2,
    Sampler::DpmPP2SAncestral { eta: 1.0 },
    Sampler::DpmPPSde { eta: 1.0 },
    Sampler::Ddpm,
];

#[test]
fn a_model_refined_by_itself_makes_its_own_picture() {
    for sampler in ONE_STEP {
        for strength in [0.3, 0.8, 1.0] {
            let (alone, ..) = run(sampler, strength, 0.6, None);
            for at in [0.05, 0.5, 0.8, 0.95] {
                let (both, ..) = run(sampler, strength, 0.6, Some(at));
                assert_eq!(both, alone, "{sampler:?} {strength} {at}");
            }
        }
    }
}

#[test]
fn each_step_is_made_once_by_the_model_whose_noise_level_it_is() {
    for sampler in Sampler::ALL {
        for at in [0.2, 0.5, 0.8] {
            let (made, first, second) = run(sampler, 1.0, -0.6, Some(at));
            let cut = 1000.0 - at * 1000.0;
            let mut steps: Vec<usize> = first.iter().map(|(step, _)| *step).collect();
            let last = *steps.last().expect("the first model runs");
            let second_from = second.first().expect("the second model runs").0;
            assert_eq!(second_from, last + 1, "{sampler:?} {at}");
            steps.extend(second.iter().map(|(step, _)| *step));
            steps.dedup();
            assert_eq!(steps, (0..10).collect::<Vec<_>>(), "{sampler:?} {at}");
            assert_eq!(made.facts.runs, 10);
            // The first call of a step is at its level; others may lie below.
            let opens = |asked: &[(usize, f64)], step: usize| {
                let call = asked.iter().find(|(of, _)| *of == step);
                call.map(|(_, timestep)| *timestep)
            };
            for step in 0..10 {
                if let Some(timestep) = opens(&first, step) {
                    assert!(timestep >= cut, "{sampler:?} {at} step {step}: {timestep}");
                }
                if let Some(timestep) = opens(&second, step) {
                    assert!(timestep < cut, "{sampler:?} {at} step {step}: {timestep}");
                }
            }
            let (alone, ..) = run(sampler, 1.0, -0.6, None);
            assert_ne!(alone.pixels, made.pixels, "{sampler:?} {at}");
        }
    }
}

#[test]
fn low_strengths_may_be_the_refiners_alone() {
    let (made, first, second) = run(Sampler::Euler, 0.1, -0.6, Some(0.5));
    assert!(first.is_empty());
    assert_eq!((second.len(), made.facts.runs), (1, 1));
}

#[test]
fn plans_are_cut_inside_the_scale_alone() {
    let training = starter(Sampler::Euler);
    let request = imagegen_pipeline::PlanRequest {
        sampler: Sampler::Euler,
        spacing: Spacing::Model,
        steps: 10,
        strength: Strength::FULL,
        rule: StrengthRule::Share,
    };
    let plan = Plan::text2img(&training, request).expect("a sound request");
    for at in [0.0, 1.0, f64::NAN, -1.0] {
        let error = plan
            .hand_over(&training, at)
            .expect_err("out of range")
            .to_string();
        assert!(error.ends_with("expected above 0 and below 1"), "{error}");
    }
}
