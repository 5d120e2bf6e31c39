//! Against diffusers and torch: `conformance/reference`, made by the scripts in `tools/reference`.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use common::reference::{
    Formula, Stored, Trail, json, number, numbers, sampler, slice, tensors, times, training,
};
use common::{Tolerance, close, layout};
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    BoxedError, Colours, Denoiser, Discrete, Error, Grade, Inpaint, LatentCodec, MaskedContent,
    Network, Networks, Noise, NoiseKind, NoiseLevel, PatchLatents, Plan, PlanRequest,
    PredictionType, Prompt, Sampler, Schedule, Settings, Silent, Spacing, Start, StepRecord,
    Stepping, Strength, StrengthRule, Strokes, Tensor, TrainingSchedule, Wash, WashRule, celled,
    inpaint, low_pass, pigmented, smoothed, unwoven,
};
use serde_json::Value;

/// diffusers multiplies 1000 betas in f32: its last sigmas are off by up to 1e-4 of themselves.
const SIGMA: Tolerance = Tolerance {
    atol: 1e-6,
    rtol: 2e-4,
};
/// The same product in float64 on both sides.
const ALPHA_F64: f64 = 1e-11;
/// Latents of size about 1 after up to 20 steps in f32: 2.7e-5 off at worst, and 4e-7 of themselves at
/// the highest sigmas.
const LATENTS: Tolerance = Tolerance {
    atol: 2e-4,
    rtol: 2e-4,
};
/// torch's f32 log, sine and cosine (AVX2) against ours in f64: 2.4e-7 off at worst.
const NOISE: Tolerance = Tolerance {
    atol: 1e-6,
    rtol: 1e-6,
};
/// Places between pixels in f32, along up to six steps, of noise whose neighbours lie up to 2 apart.
const STROKES: Tolerance = Tolerance {
    atol: 2e-5,
    rtol: 1e-5,
};
/// One f32 rounding.
const PIXELS: Tolerance = Tolerance {
    atol: 1e-7,
    rtol: 1e-7,
};

#[test]
fn cumulative_alphas_match_float64_and_diffusers() {
    let file = json("schedulers.json");
    for (name, want) in file["alphas_cumprod"].as_object().unwrap() {
        let training = training(&file["configs"][name], Sampler::Ddim { eta: 0.0 });
        let alphas = training.alphas_cumprod();
        for (i, index) in numbers(&want["index"]).into_iter().enumerate() {
            let got = alphas[index as usize];
            let (exact, held) = (number(&want["float64"][i]), number(&want["float32"][i]));
            assert!(
                (got / exact - 1.0).abs() < ALPHA_F64,
                "{name} {index}: {got}, {exact}"
            );
            assert!(
                (got / held - 1.0).abs() < SIGMA.rtol,
                "{name} {index}: {got}, {held}"
            );
        }
        let schedule = training
            .schedule(layout(Sampler::Ddim { eta: 0.0 }, 10, Stepping::Consistent))
            .unwrap();
        let last = 1.0 / (1.0 + schedule.final_sigma() * schedule.final_sigma());
        assert!(
            (last - number(&want["final_alpha_cumprod"])).abs() < 1e-7,
            "{name}: {last}"
        );
    }
}

/// Largest relative difference of sigmas, after checking timesteps, sigmas and start scale.
fn compare_schedule(
    want: &Value,
    schedule: &Schedule,
    training: &TrainingSchedule,
) -> Result<f64, String> {
    let timesteps: Vec<f32> = schedule
        .levels()
        .iter()
        .map(|l| l.timestep as f32)
        .collect();
    let stated: Vec<f32> = numbers(&want["timesteps"])
        .into_iter()
        .map(|t| t as f32)
        .collect();
    // Whole timesteps, and fractions rounded to f32 alike, but for the last bit.
    close(
        &timesteps,
        &stated,
        Tolerance {
            atol: 0.0,
            rtol: 1e-7,
        },
    )?;
    let scale = [schedule.pure_noise_scale() as f32];
    let mut sigmas: Vec<f32> = schedule.levels().iter().map(|l| l.sigma as f32).collect();
    if want["sigmas"].is_null() {
        let table: Vec<f32> = stated
            .iter()
            .map(|&t| training.sigmas()[t as usize] as f32)
            .collect();
        return close(
            &sigmas,
            &table,
            Tolerance {
                atol: 0.0,
                rtol: 1e-7,
            },
        );
    }
    // Latents of variance 1 inside diffusers: its scale is 1, ours sqrt(1 + sigma^2).
    let start = schedule.levels()[0].sigma;
    let init = match number(&want["init_noise_sigma"]) {
        1.0 => (1.0 + start * start).sqrt(),
        init => init,
    };
    close(&scale, &[init as f32], SIGMA)?;
    sigmas.push(schedule.final_sigma() as f32);
    let stated: Vec<f32> = numbers(&want["sigmas"])
        .into_iter()
        .map(|s| s as f32)
        .collect();
    close(&sigmas, &stated, SIGMA)?;
    let off = sigmas.iter().zip(&stated).filter(|(_, want)| **want > 0.0);
    Ok(off
        .map(|(got, want)| f64::from((got / want - 1.0).abs()))
        .fold(0.0, f64::max))
}

#[test]
fn schedules_match_diffusers() {
    let file = json("schedulers.json");
    let schedules = file["schedules"].as_array().unwrap();
    assert!(schedules.len() >= 200);
    let mut worst = 0.0f64;
    for want in schedules {
        let sampler = sampler(&want["scheduler"]);
        let training = training(&file["configs"][want["config"].as_str().unwrap()], sampler);
        let steps = number(&want["steps"]) as usize;
        let schedule = training
            .schedule(layout(sampler, steps, Stepping::Diffusers))
            .unwrap();
        match compare_schedule(want, &schedule, &training) {
            Ok(off) => worst = worst.max(off),
            Err(fault) => panic!(
                "{} {} {steps} steps: {fault}",
                want["scheduler"], want["config"]
            ),
        }
    }
    println!("largest relative difference of sigmas: {worst:.1e}");
}

#[test]
fn rule_diffusers_starts_where_diffusers_starts() {
    let file = json("schedulers.json");
    let training = training(&file["configs"]["B"], Sampler::Euler);
    for want in file["img2img_start"].as_array().unwrap() {
        let steps = number(&want["steps"]) as usize;
        let strength = Strength::new(number(&want["strength"])).unwrap();
        let first = number(&want["t_start"]) as usize;
        let request = PlanRequest {
            sampler: Sampler::Euler,
            spacing: Spacing::Model,
            steps,
            strength,
            rule: StrengthRule::Diffusers,
        };
        match Plan::img2img(&training, request) {
            Ok(plan) => {
                let full = training
                    .schedule(layout(Sampler::Euler, steps, Stepping::Diffusers))
                    .unwrap();
                assert_eq!(plan.schedule.levels(), &full.levels()[first..]);
            }
            Err(Error::NoSteps { .. }) => assert_eq!(first, steps),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Latents before each step and after the last, in diffusers' scale for the class.
fn our_run(run: &Value, configs: &Value, file: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let sampler = sampler(&run["scheduler"]);
    let training = training(&configs[run["config"].as_str().expect("a name")], sampler);
    let strength = Strength::new(number(&run["strength"])).expect("in range");
    let (steps, rule) = (number(&run["steps"]) as usize, StrengthRule::Diffusers);
    let request = PlanRequest {
        sampler,
        spacing: Spacing::Model,
        steps,
        strength,
        rule,
    };
    let plan = if strength.get() < 1.0 {
        Plan::img2img(&training, request)
    } else {
        Plan::text2img(&training, request)
    };
    let plan = plan.expect("diffusers ran it");
    let noise = file["noise"].nchw_to_nhwc().expect("four sizes");
    let noised = match plan.start {
        Start::PureNoise => times(&noise, plan.schedule.pure_noise_scale()),
        _ => {
            let clean = file["clean"].nchw_to_nhwc().expect("four sizes");
            let sigma = plan.start_sigma() as f32;
            let data = clean
                .data()
                .iter()
                .zip(noise.data())
                .map(|(c, n)| c + sigma * n)
                .collect();
            Tensor::new(clean.shape(), data).expect("the shape stays")
        }
    };
    let draws = &file["ancestral_noise"];
    let mut stored = Stored((0..draws.shape()[0]).map(|i| slice(draws, i)).collect());
    let mut network = Discrete::new(Formula, training.config().prediction_type);
    let mut trail = Trail {
        inner: &mut network,
        held: Vec::new(),
        levels: Vec::new(),
    };
    let end = sampler
        .run(&mut trail, noised, &plan.schedule, &mut stored, &mut Silent)
        .expect("the formula never fails");
    trail.held.push(end);
    // Euler's classes hold clean + sigma * noise as we do, the others latents of variance 1.
    let euler = matches!(sampler, Sampler::Euler | Sampler::EulerAncestral { .. });
    let sigmas = plan.schedule.levels().iter().map(|l| l.sigma);
    let sigmas = sigmas.chain([plan.schedule.final_sigma()]);
    let scale = |sigma: f64| {
        if euler {
            1.0
        } else {
            1.0 / (1.0 + sigma * sigma).sqrt()
        }
    };
    trail
        .held
        .iter()
        .zip(sigmas)
        .map(|(t, sigma)| times(t, scale(sigma)))
        .collect()
}

#[test]
fn samplers_match_diffusers_step_by_step() {
    let (index, file) = (json("samplers.json"), tensors("samplers.safetensors"));
    let runs = index["runs"].as_array().unwrap();
    assert!(runs.len() >= 150);
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    for run in runs {
        let ours = our_run(run, &index["configs"], &file);
        let want = &file[run["key"].as_str().unwrap()];
        assert_eq!(ours.len(), want.shape()[0], "{run}");
        for (i, ours) in ours.iter().enumerate() {
            match close(ours.data(), slice(want, i).data(), LATENTS) {
                Ok(off) => {
                    let worst = worst.entry(run["scheduler"].to_string()).or_default();
                    *worst = worst.max(off);
                }
                Err(fault) => panic!("after step {i} of {run}: {fault}"),
            }
        }
    }
    println!("largest differences: {worst:?}");
}

fn formula<'a>(_: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    Ok(Box::new(Formula))
}

#[test]
fn inpainting_matches_diffusers() {
    let (index, file) = (json("inpaint.json"), tensors("inpaint.safetensors"));
    let runs = index["runs"].as_array().unwrap();
    assert!(runs.len() >= 60);
    let nhwc = |name: &str| file[name].nchw_to_nhwc().unwrap();
    let (pixels, mask) = (nhwc("pixels"), nhwc("mask"));
    let mut worst = 0.0f64;
    for run in runs {
        let sampler = sampler(&run["scheduler"]);
        let training = training(&index["configs"][run["config"].as_str().unwrap()], sampler);
        let mut codec = PatchLatents::new(4, 1.0, 4).unwrap();
        let mut networks = Networks {
            codec: &mut codec,
            network: &formula,
            parts: &[1.0],
            training: &training,
            conditioning: None,
            refiner: None,
            wash: None,
            finish: None,
        };
        let request = Inpaint {
            source: &pixels,
            filled: &pixels,
            mask: &mask,
            content: MaskedContent::Original,
            strength: Strength::new(number(&run["strength"])).unwrap(),
            settings: Settings {
                sampler,
                spacing: Spacing::Model,
                steps: number(&run["steps"]) as usize,
                rule: StrengthRule::Diffusers,
                guidance_scale: 1.0,
                guidance_rescale: 0.0,
                guidance_until: 1.0,
                image_guidance: 1.0,
                colours: Colours::Decoded,
                windows: None,
                seed: 11,
                noise: NoiseKind::Cpu,
                variation: None,
            },
        };
        let made = inpaint(&request, &mut networks, &mut Silent).unwrap();
        let want = nhwc(run["key"].as_str().unwrap());
        let off = close(made.pixels.data(), want.data(), LATENTS);
        worst = worst.max(off.unwrap_or_else(|fault| panic!("{run}: {fault}")));
    }
    println!("largest difference: {worst:.1e}");
}

// diffusers 0.39 in f32: set_timesteps(4), the formula as network, from [0.3, -1.2, 2.0, 0.05] *
// init_noise_sigma; v_prediction, trailing, rescale_betas_zero_snr, scaled_linear 0.00085 to 0.012.
#[test]
fn zero_terminal_snr_matches_diffusers() {
    let ddim = Sampler::Ddim { eta: 0.0 };
    for (sampler, want) in [
        (
            ddim,
            [0.034_000_926, -0.274_650_2, 0.506_378_4, -0.013_006_583],
        ),
        (
            Sampler::Euler,
            [0.034_011_38, -0.274_713_93, 0.506_502_3, -0.013_007_294],
        ),
        (
            Sampler::DpmPP2M,
            [0.055_747_926, -0.301_648_26, 0.580_637_45, 0.001_069_847_5],
        ),
    ] {
        let training = common::zero_snr(sampler);
        let schedule = training
            .schedule(layout(sampler, 4, Stepping::Diffusers))
            .unwrap();
        let unit = Tensor::new([1, 1, 1, 4], vec![0.3, -1.2, 2.0, 0.05]).unwrap();
        let noised = times(&unit, schedule.pure_noise_scale());
        let mut network = Discrete::new(Formula, PredictionType::VPrediction);
        let mut noise = Stored(Vec::new());
        let end = sampler
            .run(&mut network, noised, &schedule, &mut noise, &mut Silent)
            .unwrap();
        close(end.data(), &want, LATENTS).unwrap_or_else(|e| panic!("{sampler:?}: {e}"));
    }
    let alphas = common::zero_snr(ddim).alphas_cumprod().to_vec();
    for (index, want) in [
        (0, 0.999_149_98),
        (500, 0.241_018_64),
        (900, 0.002_960_391_3),
    ] {
        assert!((alphas[index] / want - 1.0f64).abs() < SIGMA.rtol);
    }
    assert_eq!(alphas[999], 2f64.powi(-24));
}

#[test]
fn noise_matches_torch() {
    let file = tensors("torch_noise.safetensors");
    let mut worst = 0.0f64;
    let mut compared = 0;
    for (key, want) in &file {
        let parts: Vec<&str> = key.split('.').collect();
        let ["seed", seed, "count", count, end] = parts[..] else {
            continue;
        };
        let drawn = Generator::new(seed.parse().unwrap()).normal(count.parse().unwrap());
        let shown = want.data().len();
        let got = if end == "first" {
            &drawn[..shown]
        } else {
            &drawn[drawn.len() - shown..]
        };
        worst = worst.max(close(got, want.data(), NOISE).unwrap_or_else(|e| panic!("{key}: {e}")));
        compared += 1;
    }
    for seed in [1, 42] {
        let mut generator = Generator::new(seed);
        let keys = (0..).map(|i| format!("sequence.{seed}.{i}"));
        for want in keys.map_while(|key| file.get(&key)) {
            let got = generator.normal(want.data().len());
            worst = worst.max(close(&got, want.data(), NOISE).unwrap());
            compared += 1;
        }
    }
    assert_eq!(compared, file.len());
    println!("largest difference of noise: {worst:.1e}");
}

#[test]
fn low_pass_and_patches_match_torch() {
    let file = tensors("image_ops.safetensors");
    for (pixels, prefix) in [("pixels", ""), ("even", "even.")] {
        for factor in [2, 8] {
            let got = low_pass(&file[pixels].nchw_to_nhwc().unwrap(), factor).unwrap();
            let want = file[&format!("{prefix}low_pass.{factor}")]
                .nchw_to_nhwc()
                .unwrap();
            assert_eq!(got.shape(), want.shape());
            close(got.data(), want.data(), PIXELS)
                .unwrap_or_else(|e| panic!("{pixels} {factor}: {e}"));
        }
    }
    let mut codec = PatchLatents::new(4, 1.0, 4).unwrap();
    let got = codec
        .condition(&file["ramp"].nchw_to_nhwc().unwrap())
        .unwrap();
    assert_eq!(got, file["ramp.unshuffled"].nchw_to_nhwc().unwrap());
}

#[test]
fn strokes_and_cells_match_torch() {
    let file = tensors("image_ops.safetensors");
    let [lines, grain] = ["lines", "grain"].map(|name| file[name].nchw_to_nhwc().unwrap());
    for weight in [0.3, 1.0, 1.5] {
        for (name, guide) in [("strokes", Some(&lines)), ("own_strokes", None)] {
            let strokes = Strokes { reach: 4.0, weight };
            let got = strokes.drawn(grain.clone(), guide).unwrap();
            let want = file[&format!("{name}.{weight:?}")].nchw_to_nhwc().unwrap();
            close(got.data(), want.data(), STROKES)
                .unwrap_or_else(|e| panic!("{name} {weight}: {e}"));
        }
    }
    let got = smoothed(grain.clone(), Some(&lines), (0.5, 0.7)).unwrap();
    let want = file["smoothed.0.7"].nchw_to_nhwc().unwrap();
    close(got.data(), want.data(), STROKES).unwrap();
    let got = celled(grain.clone(), 8, 0.7).unwrap();
    let want = file["cells.0.7"].nchw_to_nhwc().unwrap();
    close(got.data(), want.data(), PIXELS).unwrap();
}

#[test]
fn weave_pigment_and_grades_match_torch() {
    let file = tensors("image_ops.safetensors");
    let nhwc = |name: &str| file[name].nchw_to_nhwc().unwrap();
    let agrees = |got: Tensor, name: &str, tolerance| {
        close(got.data(), nhwc(name).data(), tolerance).unwrap_or_else(|e| panic!("{name}: {e}"));
        let before = nhwc("woven");
        assert!(close(before.data(), nhwc(name).data(), tolerance).is_err());
    };
    let woven = nhwc("woven");
    agrees(unwoven(woven.clone(), 4).unwrap(), "unwoven", PIXELS);
    let guide = nhwc("guide");
    let pigmented = |guide| pigmented(woven.clone(), guide, 0.7).unwrap();
    agrees(pigmented(Some(&guide)), "pigmented", STROKES);
    agrees(pigmented(None), "own_pigmented", STROKES);
    let grade = Grade {
        matrix: [[0.5, 0.3, 0.0], [0.1, 1.2, 0.0], [0.0, -0.2, 0.8]],
        offset: [0.05, -0.1, 0.2],
        gamma: 1.5,
    };
    agrees(grade.graded(woven.clone(), 0.7).unwrap(), "graded", PIXELS);
}

#[test]
fn a_washed_drawing_matches_torch() {
    /// Gives the numbers that were drawn in torch.
    struct Drawn(Tensor);
    impl Noise for Drawn {
        fn normal(&mut self, shape: [usize; 4]) -> Tensor {
            Tensor::new(shape, self.0.data().to_vec()).unwrap()
        }
    }
    let file = tensors("image_ops.safetensors");
    let nhwc = |name: &str| file[name].nchw_to_nhwc().unwrap();
    let palette = file["drawing.palette"].data().chunks_exact(3);
    let rule = WashRule {
        palette: palette
            .map(|colour| [0, 1, 2].map(|part| f64::from(colour[part])))
            .collect(),
        temperature: 0.5,
        spread: 0.7,
        share_by_strength: vec![(0.4, 0.0), (0.9, 1.0)],
    };
    let network = |seen: &Tensor| {
        close(seen.data(), nhwc("drawing.input").data(), PIXELS)?;
        Ok(nhwc("drawing.logits"))
    };
    let wash = Wash {
        rule: &rule,
        network: &network,
    };
    let laid = |strength| {
        let mut noise = Drawn(file["drawing.preference"].clone());
        let strength = Strength::new(strength).unwrap();
        wash.laid(&nhwc("drawing"), strength, &mut noise)
    };
    let (got, want) = (laid(0.8).unwrap().unwrap(), nhwc("drawing.washed"));
    close(got.data(), want.data(), PIXELS).unwrap();
    // The drawing itself is no answer.
    assert!(close(nhwc("drawing").data(), want.data(), PIXELS).is_err());
    assert!(laid(0.4).unwrap().is_none());
}

#[test]
fn zeros_pass_no_tolerance() {
    let (runs, noise) = (
        tensors("samplers.safetensors"),
        tensors("torch_noise.safetensors"),
    );
    let pixels = tensors("image_ops.safetensors");
    for (want, tolerance) in [
        (&runs["run.0"], LATENTS),
        (&runs["clean"], SIGMA),
        (&noise["seed.1.count.100.first"], NOISE),
        (&pixels["low_pass.8"], PIXELS),
        (&pixels["strokes.1.0"], STROKES),
    ] {
        assert!(close(&vec![0.0; want.data().len()], want.data(), tolerance).is_err());
    }
}

/// Answers with the stored estimates of a run of the starter, as far as they are stored.
struct Answers<'a>(&'a BTreeMap<String, Tensor>);

impl Denoiser for Answers<'_> {
    fn denoise(&mut self, _: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let key = if level.timestep == 444.0 {
            "denoised.0"
        } else {
            "denoised.4"
        };
        Ok(self.0[key].nchw_to_nhwc()?)
    }
}

#[test]
fn the_starter_starts_and_steps_as_its_reference() {
    let file = tensors("starter_default.safetensors");
    let sampler = Sampler::Ddim { eta: 0.0 };
    let training = common::starter(sampler);
    let strength = Strength::new(0.5).unwrap();
    let request = PlanRequest {
        sampler,
        spacing: Spacing::Model,
        steps: 10,
        strength,
        rule: StrengthRule::Share,
    };
    let plan = Plan::img2img(&training, request).unwrap();
    let timesteps: Vec<f64> = plan.schedule.levels().iter().map(|l| l.timestep).collect();
    assert_eq!(timesteps, [444.0, 333.0, 222.0, 111.0, 0.0]);

    let source = file["source_latents"].nchw_to_nhwc().unwrap();
    let drawn = Generator::new(1).normal_nhwc(source.nhwc("source").unwrap());
    close(
        drawn.data(),
        file["noise"].nchw_to_nhwc().unwrap().data(),
        NOISE,
    )
    .unwrap();
    let sigma = plan.start_sigma();
    let data = source
        .data()
        .iter()
        .zip(drawn.data())
        .map(|(s, n)| s + sigma as f32 * n)
        .collect();
    let noised = Tensor::new(source.shape(), data).unwrap();
    let scale = |sigma: f64| 1.0 / (1.0 + sigma * sigma).sqrt();
    let start = times(&noised, scale(sigma));
    close(
        start.data(),
        file["start"].nchw_to_nhwc().unwrap().data(),
        LATENTS,
    )
    .unwrap();

    // One step, stopped where the next estimate would be needed.
    let mut answers = Answers(&file);
    let mut trail = Trail {
        inner: &mut answers,
        held: Vec::new(),
        levels: Vec::new(),
    };
    let mut stop = |record: &StepRecord<'_>| match record.step {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let mut noise = Generator::new(1);
    let stopped = sampler.run(&mut trail, noised, &plan.schedule, &mut noise, &mut stop);
    assert!(matches!(
        stopped,
        Err(Error::Cancelled { step: 2, steps: 5 })
    ));
    let after = times(&trail.held[1], scale(plan.schedule.levels()[1].sigma));
    close(
        after.data(),
        file["latents.0"].nchw_to_nhwc().unwrap().data(),
        LATENTS,
    )
    .unwrap();
}
