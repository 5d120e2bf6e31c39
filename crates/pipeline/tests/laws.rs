//! What every sampler obeys, whatever the numbers.

mod common;

use common::{Tolerance, assert_close, close, layout, stable_diffusion, starter, zero_snr};
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    Denoiser, Error, Layout, Noise, NoiseLevel, Plan, PlanRequest, Sampler, Silent, Spacing, Stage,
    Start, StepRecord, Stepping, Strength, StrengthRule, Tensor, TrainingSchedule,
};
use std::ops::ControlFlow;

const SHAPE: [usize; 4] = [1, 8, 8, 4];
const STEPS: [usize; 9] = [1, 2, 3, 5, 11, 14, 30, 31, 100];
const STRENGTHS: [f64; 4] = [0.1, 0.2, 0.5, 1.0];

/// The samplers offered, and DDIM with fresh noise.
fn samplers() -> Vec<Sampler> {
    let mut all = Sampler::ALL.to_vec();
    all.extend([Sampler::Ddim { eta: 0.5 }, Sampler::Ddim { eta: 1.0 }]);
    all
}

/// Always answers the same.
struct Always(Tensor);

impl Denoiser for Always {
    fn denoise(&mut self, _: &Tensor, _: NoiseLevel) -> Result<Tensor, Error> {
        Ok(self.0.clone())
    }
}

/// The ideal denoiser of pictures whose numbers are normal around a mean with variance 0.25.
struct Ideal {
    mean: f32,
}

impl Denoiser for Ideal {
    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let trust = (0.25 / (0.25 + level.sigma * level.sigma)) as f32;
        let data = noised
            .data()
            .iter()
            .map(|v| self.mean + trust * (v - self.mean))
            .collect();
        Ok(Tensor::new(noised.shape(), data)?)
    }
}

/// Fails the test if noise is drawn.
struct NoNoise;

impl Noise for NoNoise {
    fn normal(&mut self, _: [usize; 4]) -> Tensor {
        panic!("noise was drawn");
    }
}

fn source() -> Tensor {
    let mut source = Generator::new(11).normal_nhwc(SHAPE);
    source
        .data_mut()
        .iter_mut()
        .for_each(|v| *v = (0.3 * *v - 0.5).clamp(-1.0, 1.0));
    source
}

fn plan(
    training: &TrainingSchedule,
    request: (Sampler, usize, f64, StrengthRule),
) -> Result<Plan, Error> {
    let (sampler, steps, strength, rule) = request;
    let strength = Strength::new(strength).expect("the test's strengths are in range");
    Plan::img2img(
        training,
        PlanRequest {
            sampler,
            spacing: Spacing::Model,
            steps,
            strength,
            rule,
        },
    )
}

/// Starts as `img2img` does and runs to the end.
fn run(plan: &Plan, source: &Tensor, denoiser: &mut dyn Denoiser, seed: u64) -> Tensor {
    let mut noise = Generator::new(seed);
    let drawn = noise.normal_nhwc(SHAPE);
    let (base, scale) = match plan.start {
        Start::Nothing => return source.clone(),
        Start::PureNoise => (Tensor::zeros(SHAPE), plan.schedule.pure_noise_scale()),
        Start::NoisedSource => (source.clone(), plan.start_sigma()),
    };
    let numbers = base
        .data()
        .iter()
        .zip(drawn.data())
        .map(|(b, n)| b + scale as f32 * n)
        .collect();
    let noised = Tensor::new(SHAPE, numbers).expect("as many numbers as the source");
    plan.sampler
        .run(denoiser, noised, &plan.schedule, &mut noise, &mut Silent)
        .expect("a sound denoiser never fails")
}

fn mean_change(a: &Tensor, b: &Tensor) -> f64 {
    let sum: f64 = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(a, b)| f64::from((a - b).abs()))
        .sum();
    sum / a.data().len() as f64
}

#[test]
fn a_denoiser_that_always_answers_c_ends_at_c() {
    let c = source();
    for sampler in samplers() {
        for training in [starter(sampler), zero_snr(sampler)] {
            for steps in STEPS {
                for stepping in [Stepping::Consistent, Stepping::Diffusers] {
                    let schedule = training.schedule(layout(sampler, steps, stepping)).unwrap();
                    if schedule.final_sigma() > 0.0 {
                        // diffusers' DDIM can fall one timestep short of the end, PNDM always does,
                        // and DEIS and TCD stop there.
                        assert!(stepping == Stepping::Diffusers || sampler == Sampler::Pndm);
                        assert_eq!(schedule.final_sigma(), training.sigmas()[0]);
                        continue;
                    }
                    let mut noise = Generator::new(5);
                    let mut noised = noise.normal_nhwc(SHAPE);
                    let scale = schedule.pure_noise_scale() as f32;
                    noised.data_mut().iter_mut().for_each(|v| *v *= scale);
                    let end = sampler
                        .run(
                            &mut Always(c.clone()),
                            noised,
                            &schedule,
                            &mut noise,
                            &mut Silent,
                        )
                        .unwrap();
                    assert_close(&end, &c, end_of(sampler), (sampler, steps, stepping));
                }
            }
        }
    }
}

/// How close to c a sampler ends, for sound reasons.
fn end_of(sampler: Sampler) -> Tolerance {
    match sampler {
        // Consistency models leave the latents a share of 0.25 / (10 t)^2, which is 3e-5 at timestep 9.
        Sampler::Lcm => Tolerance {
            atol: 2e-4,
            rtol: 1e-6,
        },
        // Slopes of all steps have their say in the last one; each is rounded by itself.
        Sampler::Lms | Sampler::Pndm => Tolerance {
            atol: 5e-5,
            rtol: 1e-6,
        },
        _ => Tolerance::ROUNDING_F32,
    }
}

#[test]
fn every_spacing_ends_clean_with_every_sampler() {
    let c = source();
    for sampler in samplers() {
        let training = stable_diffusion(sampler);
        for spacing in Spacing::ALL {
            for steps in [1, 2, 3, 4, 20] {
                let schedule = training
                    .schedule(Layout {
                        spacing,
                        ..layout(sampler, steps, Stepping::Consistent)
                    })
                    .unwrap();
                let mut noise = Generator::new(5);
                let mut noised = noise.normal_nhwc(SHAPE);
                let scale = schedule.pure_noise_scale() as f32;
                noised.data_mut().iter_mut().for_each(|v| *v *= scale);
                let mut always = Always(c.clone());
                let end = sampler
                    .run(&mut always, noised, &schedule, &mut noise, &mut Silent)
                    .unwrap();
                assert!(end.is_finite(), "{sampler:?} {spacing:?} {steps}");
                // LCM's share of the latents is large at the low timesteps of spacings by sigma.
                if schedule.final_sigma() == 0.0 && sampler != Sampler::Lcm {
                    assert_close(&end, &c, end_of(sampler), (sampler, spacing, steps));
                }
            }
        }
    }
}

#[test]
fn zeros_do_not_pass_for_a_result() {
    let c = source();
    assert!(
        close(
            &vec![0.0; c.data().len()],
            c.data(),
            Tolerance::ROUNDING_F32
        )
        .is_err()
    );
}

/// Where diffusers, entered in the middle of its list, reckons with steps that were never made.
fn misfires(sampler: Sampler, rule: StrengthRule) -> bool {
    rule == StrengthRule::Diffusers && matches!(sampler, Sampler::Pndm | Sampler::Lms)
}

#[test]
fn every_pair_of_steps_and_strength_is_finite_and_change_grows_with_strength() {
    let source = source();
    let mut faults = Vec::new();
    for sampler in samplers() {
        for training in [
            starter(sampler),
            stable_diffusion(sampler),
            zero_snr(sampler),
        ] {
            for rule in StrengthRule::ALL {
                for steps in STEPS {
                    let mut last = 0.0;
                    for strength in STRENGTHS {
                        let plan = match plan(&training, (sampler, steps, strength, rule)) {
                            Err(Error::NoSteps { .. }) => {
                                assert_eq!(rule, StrengthRule::Diffusers);
                                assert!((steps as f64 * strength) < 1.0);
                                continue;
                            }
                            plan => plan.unwrap(),
                        };
                        let end = run(&plan, &source, &mut Ideal { mean: 0.5 }, 3);
                        assert!(end.is_finite(), "{plan:?}");
                        let change = mean_change(&end, &source);
                        // Few steps may pick the same level for two strengths; fresh noise adds a little.
                        // PNDM weighs slopes as if steps were even, which so few are not.
                        let uneven = sampler == Sampler::Pndm && steps <= 3;
                        if change < 0.93 * last && !uneven && !misfires(sampler, rule) {
                            let at = (sampler, rule, steps, strength);
                            faults.push(format!("{at:?}: {change} after {last}"));
                        }
                        last = change;
                    }
                    assert!(
                        last > 0.1 || steps == 1,
                        "{sampler:?} {rule:?} {steps}: {last}"
                    );
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_small_strength_keeps_the_source_and_a_large_one_does_not() {
    let source = source();
    let mut faults = Vec::new();
    for sampler in samplers() {
        // LCM and TCD draw noise anew in each step, so that many of them forget any source; they are made for few.
        let forgets = matches!(sampler, Sampler::Lcm | Sampler::Tcd { .. });
        let steps = if forgets { 10 } else { 30 };
        for training in [starter(sampler), stable_diffusion(sampler)] {
            for rule in StrengthRule::ALL {
                if forgets && rule == StrengthRule::Exact {
                    continue; // all steps run there, whatever the strength
                }
                let change = |strength| {
                    let plan = plan(&training, (sampler, steps, strength, rule)).unwrap();
                    mean_change(&run(&plan, &source, &mut Ideal { mean: 0.5 }, 3), &source)
                };
                let (little, much) = (change(0.1), change(0.9));
                let loose = forgets || misfires(sampler, rule);
                let most = if loose { 0.95 } else { 0.75 };
                if little >= most * much {
                    faults.push(format!("{sampler:?} {rule:?}: {little}, {much}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn steps_run_at_a_fifth_are_below_half_of_the_steps() {
    for sampler in Sampler::ALL {
        for steps in STEPS.into_iter().filter(|&steps| steps > 2) {
            let plan = plan(
                &starter(sampler),
                (sampler, steps, 0.2, StrengthRule::Share),
            )
            .unwrap();
            assert!(2 * plan.runs < steps, "{plan:?}");
        }
    }
}

#[test]
fn same_seed_same_bytes_and_other_seed_other_bytes() {
    for sampler in samplers() {
        let training = stable_diffusion(sampler);
        let plan = plan(&training, (sampler, 11, 0.5, StrengthRule::Share)).unwrap();
        let go = |seed| run(&plan, &source(), &mut Ideal { mean: 0.5 }, seed);
        assert_eq!(go(4), go(4));
        assert_ne!(go(4), go(5));
    }
}

#[test]
fn noise_is_drawn_only_where_it_is_used() {
    let run_without_noise = |sampler: Sampler, steps| {
        let schedule = starter(sampler)
            .schedule(layout(sampler, steps, Stepping::Consistent))
            .unwrap();
        sampler
            .run(
                &mut Ideal { mean: 0.0 },
                source(),
                &schedule,
                &mut NoNoise,
                &mut Silent,
            )
            .unwrap();
    };
    for sampler in Sampler::ALL {
        match sampler.eta() {
            Some(_) => run_without_noise(sampler.with_eta(0.0).unwrap(), 5),
            None if matches!(sampler, Sampler::Ddpm | Sampler::Lcm) => {}
            None => run_without_noise(sampler, 5),
        }
    }
    // A single step to sigma 0 uses none either.
    for sampler in samplers() {
        run_without_noise(sampler, 1);
    }
}

#[test]
fn progress_hears_of_every_step_and_can_cancel() {
    for sampler in samplers() {
        let schedule = starter(sampler)
            .schedule(layout(sampler, 5, Stepping::Consistent))
            .unwrap();
        let mut heard = Vec::new();
        let mut listener = |record: &StepRecord<'_>| {
            assert_eq!(record.denoised.shape(), SHAPE);
            heard.push((record.step, record.steps, record.sigma));
            if record.step == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let error = sampler
            .run(
                &mut Ideal { mean: 0.0 },
                source(),
                &schedule,
                &mut Generator::new(0),
                &mut listener,
            )
            .unwrap_err();
        assert!(matches!(error, Error::Cancelled { step: 3, steps: 5 }));
        let want: Vec<_> = (0..3)
            .map(|i| (i + 1, 5, schedule.levels()[i].sigma))
            .collect();
        assert_eq!(heard, want);
    }
}

#[test]
fn nan_is_an_error_that_names_the_step() {
    struct NanAt(usize);
    impl Denoiser for NanAt {
        fn denoise(&mut self, noised: &Tensor, _: NoiseLevel) -> Result<Tensor, Error> {
            self.0 -= 1;
            let fill = if self.0 == 0 { f32::NAN } else { 0.0 };
            Ok(Tensor::new(
                noised.shape(),
                vec![fill; noised.data().len()],
            )?)
        }
    }
    for sampler in samplers() {
        let schedule = starter(sampler)
            .schedule(layout(sampler, 4, Stepping::Consistent))
            .unwrap();
        let error = sampler
            .run(
                &mut NanAt(2),
                source(),
                &schedule,
                &mut Generator::new(0),
                &mut Silent,
            )
            .unwrap_err();
        // The second call is the first step's where a step asks twice.
        let asks_twice = matches!(
            sampler,
            Sampler::Pndm
                | Sampler::Heun
                | Sampler::Dpm2
                | Sampler::Dpm2Ancestral { .. }
                | Sampler::DpmPP2SAncestral { .. }
                | Sampler::DpmPPSde { .. }
        );
        let step = if asks_twice { 1 } else { 2 };
        let stage = Stage::Denoise { step, steps: 4 };
        assert!(
            matches!(error, Error::NotFinite { stage: got } if got == stage),
            "{error}"
        );
        let said = format!("the denoiser at step {step} of 4 gave NaN or infinite numbers");
        assert_eq!(error.to_string(), said + ", expected finite ones");
    }
}

#[test]
fn ddim_clips_the_estimate_but_not_the_direction() {
    let schedule = starter(Sampler::Ddim { eta: 0.0 })
        .schedule(layout(Sampler::Ddim { eta: 0.0 }, 2, Stepping::Consistent))
        .unwrap();
    let [first, last] = [0, 1].map(|i| schedule.levels()[i].sigma);
    let noised = Tensor::new([1, 1, 1, 1], vec![5.0]).unwrap();
    let mut seen = Vec::new();
    struct Spy<'a>(&'a mut Vec<f32>);
    impl Denoiser for Spy<'_> {
        fn denoise(&mut self, noised: &Tensor, _: NoiseLevel) -> Result<Tensor, Error> {
            self.0.push(noised.data()[0]);
            Ok(Tensor::new([1, 1, 1, 1], vec![3.0])?)
        }
    }
    let sampler = Sampler::Ddim { eta: 0.0 };
    let end = sampler
        .run(
            &mut Spy(&mut seen),
            noised,
            &schedule,
            &mut NoNoise,
            &mut Silent,
        )
        .unwrap();
    assert_eq!(seen[1], 1.7 + (last / first) as f32 * (5.0 - 3.0));
    assert_eq!(end.data(), [1.7]);
}
