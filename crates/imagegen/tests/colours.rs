//! How colours fare in learned autoencoders: once, and when a picture goes round and round.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use imagegen::{Level, Picture, Source, Strength, StrengthRule};
use imagegen_conformance::weights::reference;
use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::{Autoencoder, AutoencoderConfig, Weights};
use imagegen_picture::fidelity::{Lab, ciede2000};
use imagegen_picture::{Limits, from_unit, to_unit};
use imagegen_pipeline::{
    BoxedError, Colours, Img2Img, Inpaint, LatentCodec, MaskedContent, Network, Networks, Noise,
    PredictionType, Prompt, Sampler, ScheduleConfig, SchedulerClass, Settings, Silent, Spacing,
    TrainingSchedule, img2img, inpaint,
};

const ROUNDS: usize = 20;

/// An autoencoder that was trained so shortly that it shifts colours, `tools/reference/small_autoencoder.py`.
struct Trained {
    engine: CpuBackend,
    network: Autoencoder<CpuBackend>,
    /// The latents of the last picture that was encoded.
    clean: Rc<RefCell<Tensor>>,
}

impl Trained {
    fn load() -> Self {
        let engine = CpuBackend::new(Level::best(), 2).unwrap();
        let config = String::from_utf8(reference("small_autoencoder.config.json")).unwrap();
        let config = AutoencoderConfig::parse("config.json", &config).unwrap();
        let weights = Arc::new(reference("small_autoencoder.safetensors"));
        let weights = Weights::parse("small_autoencoder.safetensors", weights).unwrap();
        let network = Autoencoder::load(&engine, config, &weights).unwrap();
        Self {
            engine,
            network,
            clean: Rc::new(RefCell::new(Tensor::zeros([1]))),
        }
    }
}

impl LatentCodec for Trained {
    fn encode(&mut self, pixels: &Tensor, _: &mut dyn Noise) -> Result<Tensor, BoxedError> {
        let latents = self.network.encode(&self.engine, pixels)?.mean;
        *self.clean.borrow_mut() = latents.clone();
        Ok(latents)
    }

    fn condition(&mut self, pixels: &Tensor) -> Result<Tensor, BoxedError> {
        Ok(self.network.encode(&self.engine, pixels)?.mean)
    }

    fn decode(&mut self, latents: &Tensor) -> Result<Tensor, BoxedError> {
        Ok(self.network.decode(&self.engine, latents)?)
    }

    fn grid(&self) -> usize {
        4
    }

    fn channels(&self) -> usize {
        4
    }

    fn downscale(&self) -> usize {
        4
    }
}

/// A network that knows the source's latents and always finds them, so that the autoencoder alone is at work.
struct Knowing(Rc<RefCell<Tensor>>);

impl Network for Knowing {
    fn predict(&mut self, _: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
        Ok(self.0.borrow().clone())
    }
}

fn settings(colours: Colours) -> Settings {
    Settings {
        sampler: Sampler::Ddim { eta: 0.0 },
        spacing: Spacing::Model,
        steps: 10,
        rule: StrengthRule::Share,
        guidance_scale: 1.0,
        guidance_rescale: 0.0,
        guidance_until: 1.0,
        image_guidance: 1.0,
        colours,
        windows: None,
        noise: imagegen_pipeline::NoiseKind::Cpu,
        seed: 1,
        variation: None,
    }
}

fn with_networks<T>(work: impl FnOnce(&mut Networks<'_, '_>) -> T) -> T {
    let mut codec = Trained::load();
    // At strength 1 nothing is encoded, and the network still has to know a picture.
    let known = codec.condition(&tensor(&photograph())).unwrap();
    codec.clean.replace(known);
    let clean = Rc::clone(&codec.clean);
    let config = ScheduleConfig {
        prediction_type: PredictionType::Sample,
        ..ScheduleConfig::defaults(SchedulerClass::Ddim)
    };
    let training = TrainingSchedule::new(config).unwrap();
    let network = |_: Prompt| -> Result<Box<dyn Network>, BoxedError> {
        Ok(Box::new(Knowing(Rc::clone(&clean))))
    };
    work(&mut Networks {
        codec: &mut codec,
        network: &network,
        parts: &[1.0],
        training: &training,
        conditioning: None,
        refiner: None,
        wash: None,
        finish: None,
    })
}

fn photograph() -> Picture {
    let bytes = reference("starter_source.png");
    let source = Source::decode("source.png", &bytes, &Limits::default()).unwrap();
    source.picture().clone()
}

fn tensor(picture: &Picture) -> Tensor {
    let size = picture.size();
    let shape = [1, size.height as usize, size.width as usize, 3];
    Tensor::new(shape, to_unit(picture.rgb())).unwrap()
}

/// Mean CIEDE2000 between the means of blocks of 8 x 8 pixels: colour and light without detail.
fn shift(one: &Picture, other: &Picture) -> f64 {
    let width = one.size().width as usize;
    let cell = |picture: &Picture, x: usize, y: usize| {
        let mean = |channel: usize| {
            let places = (0..64).map(|i| ((8 * y + i / 8) * width + 8 * x + i % 8) * 3 + channel);
            let sum: u32 = places.map(|at| u32::from(picture.rgb()[at])).sum();
            (f64::from(sum) / 64.0).round() as u8
        };
        Lab::of_rgb([mean(0), mean(1), mean(2)])
    };
    let [columns, rows] = [width / 8, one.size().height as usize / 8];
    let cells = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y)));
    let sum: f64 = cells
        .map(|(x, y)| ciede2000(cell(one, x, y), cell(other, x, y)))
        .sum();
    sum / (columns * rows) as f64
}

/// The shift from the first picture after each round of image-to-image at strength 0.2, each stored with 8 bits.
fn curve(colours: Colours) -> Vec<f64> {
    let first = photograph();
    let mut picture = first.clone();
    with_networks(|networks| {
        let round = |_| {
            let source = tensor(&picture);
            let request = Img2Img {
                source: &source,
                strength: Strength::new(0.2).unwrap(),
                settings: settings(colours),
            };
            let made = img2img(&request, networks, &mut Silent).unwrap();
            picture =
                Picture::new(first.size(), from_unit(made.pixels.data()).unwrap(), None).unwrap();
            shift(&first, &picture)
        };
        (0..ROUNDS).map(round).collect()
    })
}

#[test]
fn twenty_rounds_do_not_drift() {
    let (kept, decoded) = (curve(Colours::Kept), curve(Colours::Decoded));
    for (round, (kept, decoded)) in kept.iter().zip(&decoded).enumerate() {
        println!(
            "round {}: {kept:.2} kept, {decoded:.2} as decoded",
            round + 1
        );
    }
    let last = ROUNDS - 1;
    // Twenty rounds with colours kept come to about one without; this autoencoder is far worse than real ones.
    assert!(kept[last] < 1.25 * decoded[0], "{kept:?}");
    assert!(decoded[last] > 5.0 * kept[last], "{decoded:?} and {kept:?}");
}

#[test]
fn above_one_half_it_fades_and_at_1_nothing_of_the_source_is_in_it() {
    let source = tensor(&photograph());
    let made = |strength: f64, colours| {
        with_networks(|networks| {
            let request = Img2Img {
                source: &source,
                strength: Strength::new(strength).unwrap(),
                settings: settings(colours),
            };
            img2img(&request, networks, &mut Silent).unwrap().pixels
        })
    };
    let taken = |strength| {
        let (kept, decoded) = (
            made(strength, Colours::Kept),
            made(strength, Colours::Decoded),
        );
        let pairs = kept.data().iter().zip(decoded.data());
        pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()))
    };
    let (half, most, whole) = (taken(0.5), taken(0.75), taken(1.0));
    assert!(
        half > 0.02 && (most / half - 0.5).abs() < 0.1,
        "{half} {most}"
    );
    assert_eq!(whole, 0.0);
}

#[test]
fn inpainting_keeps_colours_under_the_mask() {
    let photograph = photograph();
    let source = tensor(&photograph);
    let [_, height, width, _] = source.nhwc("source").unwrap();
    let mask = Tensor::new([1, height, width, 1], vec![1.0; height * width]).unwrap();
    let made = |colours| {
        let pixels = with_networks(|networks| {
            let request = Inpaint {
                source: &source,
                filled: &source,
                mask: &mask,
                content: MaskedContent::Original,
                strength: Strength::new(0.4).unwrap(),
                settings: settings(colours),
            };
            inpaint(&request, networks, &mut Silent).unwrap().pixels
        });
        let rgb = from_unit(pixels.data()).unwrap();
        shift(
            &photograph,
            &Picture::new(photograph.size(), rgb, None).unwrap(),
        )
    };
    let (kept, decoded) = (made(Colours::Kept), made(Colours::Decoded));
    assert!(decoded > 3.0 * kept, "{kept} kept, {decoded} as decoded");
}
