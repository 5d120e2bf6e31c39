//! Pictures that a network sees in windows.

mod common;

use std::cell::RefCell;

use common::{Tolerance, assert_close, starter};
use imagegen_engine::random::Generator;
use imagegen_pipeline::{
    BoxedError, Colours, Conditioning, ConditioningRule, Img2Img, Inpaint, MaskedContent, Network,
    Networks, NoiseKind, PatchLatents, Prompt, Relation, Sampler, Settings, Silent, Spacing,
    Strength, StrengthRule, Tensor, Text2Img, Windowed, Windows, img2img, inpaint, text2img,
};

const CHANNELS: usize = 48;

/// Answers each place from what stands there alone, source channels and mask included.
struct Pointwise(f32);

impl Network for Pointwise {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let [n, h, w, channels] = input.nhwc("input")?;
        let pull = self.0 + 0.1 * (timestep / 100.0).sin() as f32;
        let place = |place: &[f32]| -> Vec<f32> {
            let seen: f32 = place[CHANNELS..].iter().sum::<f32>() / 48.0;
            let own = place[..CHANNELS].iter();
            own.map(|v| (0.3 * v + pull - 0.5 * seen).tanh()).collect()
        };
        let data = input.data().chunks_exact(channels).flat_map(place);
        Ok(Tensor::new([n, h, w, CHANNELS], data.collect())?)
    }
}

/// Answers each place from all that it sees.
struct Nosy(Pointwise);

impl Network for Nosy {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let mean = input.data().iter().sum::<f32>() / input.data().len() as f32;
        self.0.0 += mean;
        let output = self.0.predict(input, timestep);
        self.0.0 -= mean;
        output
    }
}

fn pointwise<'a>(prompt: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    let bias = if prompt == Prompt::Negative {
        -0.4
    } else {
        0.6
    };
    Ok(Box::new(Pointwise(bias)))
}

fn nosy<'a>(prompt: Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> {
    let bias = if prompt == Prompt::Negative {
        -0.4
    } else {
        0.6
    };
    Ok(Box::new(Nosy(Pointwise(bias))))
}

fn noise(seed: u64, shape: [usize; 4]) -> Tensor {
    Generator::new(seed).normal_nhwc(shape)
}

/// 112 x 80 pixels, which are 28 x 20 latents.
fn picture() -> Tensor {
    let mut pixels = noise(3, [1, 80, 112, 3]);
    let clamp = |v: &mut f32| *v = (0.5 * *v).clamp(-1.0, 1.0);
    pixels.data_mut().iter_mut().for_each(clamp);
    pixels
}

/// What each kind of request makes, by a kind of network, of the same picture.
fn all(
    network: &imagegen_pipeline::NetworkFactory<'_>,
    sampler: Sampler,
    windows: Option<Windows>,
) -> Vec<Tensor> {
    let training = starter(sampler);
    let source = picture();
    let settings = Settings {
        sampler,
        spacing: Spacing::Model,
        steps: 6,
        rule: StrengthRule::Share,
        guidance_scale: 1.5,
        guidance_rescale: 0.0,
        guidance_until: 1.0,
        image_guidance: 1.5,
        colours: Colours::Decoded,
        windows,
        noise: NoiseKind::Cpu,
        seed: 7,
        variation: None,
    };
    let faded = Conditioning::Faded(ConditioningRule {
        low_pass_by_strength: vec![(0.85, 1)],
        above: 0,
        relation: Relation::Added,
        change_by_strength: Vec::new(),
    });
    let strength = Strength::new(0.7).expect("in range");
    let mut made = Vec::new();
    for conditioning in [None, Some(faded), Some(Conditioning::Instructed)] {
        let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
        let mut networks = Networks {
            codec: &mut codec,
            network,
            parts: &[1.0],
            training: &training,
            conditioning: conditioning.as_ref(),
            refiner: None,
            wash: None,
            finish: None,
        };
        let request = Img2Img {
            source: &source,
            strength,
            settings,
        };
        made.push(img2img(&request, &mut networks, &mut Silent).expect("a sound request"));
    }
    let mask: Vec<f32> = (0..80 * 112)
        .map(|at| f32::from(u8::from(at % 112 > 40)))
        .collect();
    let mask = Tensor::new([1, 80, 112, 1], mask).expect("as many numbers");
    for conditioning in [None, Some(Conditioning::Masked)] {
        let mut codec = PatchLatents::new(4, 1.7, 16).expect("sound numbers");
        let mut networks = Networks {
            codec: &mut codec,
            network,
            parts: &[1.0],
            training: &training,
            conditioning: conditioning.as_ref(),
            refiner: None,
            wash: None,
            finish: None,
        };
        let request = Inpaint {
            source: &source,
            filled: &source,
            mask: &mask,
            content: MaskedContent::Original,
            strength,
            settings,
        };
        made.push(inpaint(&request, &mut networks, &mut Silent).expect("a sound request"));
        if conditioning.is_none() {
            let request = Text2Img {
                height: 80,
                width: 112,
                settings,
            };
            made.push(text2img(&request, &mut networks, &mut Silent).expect("a sound request"));
        }
    }
    made.into_iter().map(|outcome| outcome.pixels).collect()
}

#[test]
fn a_window_that_holds_all_changes_no_bit() {
    let windows = Windows::new(28, 4, 4).expect("sound sizes");
    for sampler in Sampler::ALL {
        assert_eq!(
            all(&nosy, sampler, Some(windows)),
            all(&nosy, sampler, None)
        );
    }
}

#[test]
fn a_network_that_looks_at_one_place_makes_the_same_in_windows() {
    let windows = Windows::new(12, 4, 4).expect("sound sizes");
    for sampler in [
        Sampler::Euler,
        Sampler::Ddim { eta: 1.0 },
        Sampler::UniPc,
        Sampler::Heun,
    ] {
        let (tiled, whole) = (
            all(&pointwise, sampler, Some(windows)),
            all(&pointwise, sampler, None),
        );
        for (kind, (tiled, whole)) in tiled.iter().zip(&whole).enumerate() {
            assert_close(tiled, whole, Tolerance::WINDOWS_F32, (sampler, kind));
        }
        // One that looks around does not: windows are seen apart.
        assert_ne!(
            all(&nosy, sampler, Some(windows)),
            all(&nosy, sampler, None)
        );
    }
}

#[test]
fn windows_hear_of_steps_and_see_their_own_part() {
    type Seen = RefCell<Vec<(usize, Vec<usize>)>>;
    struct Watched<'a>(&'a Seen, usize);
    impl Network for Watched<'_> {
        fn begin_step(&mut self, step: usize) {
            self.1 = step;
        }
        fn predict(&mut self, input: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
            self.0.borrow_mut().push((self.1, input.shape().to_vec()));
            Ok(input.clone())
        }
    }
    let seen = Seen::default();
    let windows = Windows::new(8, 2, 1).expect("sound sizes");
    let mut network = Windowed::new(Watched(&seen, 99), windows);
    let input = noise(1, [1, 8, 20, 2]);
    network.begin_step(3);
    let output = network.predict(&input, 500.0).expect("a sound network");
    assert_close(
        &output,
        &input,
        Tolerance::ROUNDING_F32,
        "each place is itself",
    );
    assert_eq!(seen.into_inner(), vec![(3, vec![1, 8, 8, 2]); 3]);
}

#[test]
fn windows_that_disagree_leave_no_edge() {
    /// Says of every place how far left the window begins.
    struct Told(Vec<f32>);
    impl Network for Told {
        fn predict(&mut self, input: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
            let value = self.0.remove(0);
            Ok(Tensor::new(input.shape(), vec![value; input.data().len()])?)
        }
    }
    let windows = Windows::new(64, 16, 1).expect("sound sizes");
    let mut network = Windowed::new(Told(vec![0.0, 1.0, 0.0]), windows);
    let output = network
        .predict(&Tensor::zeros([1, 64, 160, 1]), 0.0)
        .expect("a sound network");
    let row = &output.data()[..160];
    assert_eq!((row[0], row[80], row[159]), (0.0, 1.0, 0.0));
    let steps = row.windows(2).map(|pair| (pair[0] - pair[1]).abs());
    let largest = steps.fold(0f32, f32::max);
    // Spread evenly over the 16 places of an overlap it were 1/17.
    assert!(largest < 0.15, "a step of {largest}");
}
