//! Autoencoders that look at pictures in tiles, against themselves looking at the whole.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use imagegen_conformance::weights::Listed;
use imagegen_engine::cpu::Level;
use imagegen_engine::random::Generator;
use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::{Autoencoder, AutoencoderConfig, Weights};
use safetensors::Dtype;

/// Sums of other tiles take other paths through a convolution's algorithm: 2e-6 of the largest number, measured.
const ROUNDING: f32 = 2e-5;

fn engine() -> CpuBackend {
    CpuBackend::new(Level::best(), 2).unwrap()
}

fn autoencoder(engine: &CpuBackend, name: &str) -> Autoencoder<CpuBackend> {
    let listed = Listed::read(&format!("autoencoder_{name}"));
    let config = AutoencoderConfig::parse("config.json", &listed.config).unwrap();
    let weights = Weights::parse(name, Arc::new(listed.safetensors(Dtype::F32))).unwrap();
    Autoencoder::load(engine, config, &weights).unwrap()
}

/// A smooth picture with some grain, `[1, h, w, channels]`.
fn picture(height: usize, width: usize, channels: usize) -> Tensor {
    let mut grain = Generator::new(9).normal_nhwc([1, height, width, channels]);
    for (at, value) in grain.data_mut().iter_mut().enumerate() {
        let (place, channel) = (at / channels, at % channels);
        let (y, x) = (place / width, place % width);
        let wave = (y as f32 / 40.0 + channel as f32).sin() + (x as f32 / 60.0).cos();
        *value = 0.4 * wave + 0.1 * *value;
    }
    grain
}

/// The largest difference over the largest number.
fn off(got: &Tensor, want: &Tensor) -> f32 {
    assert_eq!(got.shape(), want.shape());
    let most = |numbers: &mut dyn Iterator<Item = f32>| numbers.fold(0f32, f32::max);
    let pairs = got.data().iter().zip(want.data());
    most(&mut pairs.map(|(a, b)| (a - b).abs())) / most(&mut want.data().iter().map(|v| v.abs()))
}

/// Root of the mean square of the difference, over that of the number's spread.
fn rms(got: &Tensor, want: &Tensor) -> f64 {
    let count = want.data().len() as f64;
    let mean = want.data().iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let spread = want
        .data()
        .iter()
        .map(|v| (f64::from(*v) - mean).powi(2))
        .sum::<f64>();
    let pairs = got.data().iter().zip(want.data());
    let difference = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    (difference / spread).sqrt()
}

#[test]
fn a_picture_that_one_tile_holds_is_the_same_to_the_bit() {
    let engine = engine();
    for name in ["kl", "bare", "tiny"] {
        let network = autoencoder(&engine, name);
        let grid = network.config().downscale();
        let pixels = picture(24 * grid, 32 * grid, 3);
        let whole = network.encode(&engine, &pixels).unwrap();
        assert_eq!(
            network.encode_in_tiles(&engine, &pixels, 32).unwrap(),
            whole
        );
        let decoded = network.decode(&engine, &whole.mean).unwrap();
        let tiled = network.decode_in_tiles(&engine, &whole.mean, 32).unwrap();
        assert_eq!(tiled, decoded);
    }
}

#[test]
fn an_autoencoder_without_normalisation_gives_in_tiles_what_it_gives_of_the_whole() {
    let engine = engine();
    let network = autoencoder(&engine, "tiny");
    let grid = network.config().downscale();
    let pixels = picture(61 * grid, 83 * grid, 3);
    let whole = network.encode(&engine, &pixels).unwrap();
    let decoded = network.decode(&engine, &whole.mean).unwrap();
    for window in [1, 40, 64] {
        let tiled = network.encode_in_tiles(&engine, &pixels, window).unwrap();
        let (encoded, again) = (
            off(&tiled.mean, &whole.mean),
            network
                .decode_in_tiles(&engine, &whole.mean, window)
                .unwrap(),
        );
        let decoded = off(&again, &decoded);
        println!("tiny, window {window}: {encoded:e} encoded, {decoded:e} decoded");
        assert!(encoded < ROUNDING && decoded < ROUNDING);
    }
}

#[test]
fn where_a_picture_is_cut_changes_nothing_and_tiles_come_near_the_whole() {
    let engine = engine();
    for name in ["kl", "bare"] {
        let network = autoencoder(&engine, name);
        let grid = network.config().downscale();
        let pixels = picture(90 * grid, 110 * grid, 3);
        let whole = network.encode(&engine, &pixels).unwrap();
        let decoded = network.decode(&engine, &whole.mean).unwrap();
        let encode = |window| {
            network
                .encode_in_tiles(&engine, &pixels, window)
                .unwrap()
                .mean
        };
        let decode = |window| {
            network
                .decode_in_tiles(&engine, &whole.mean, window)
                .unwrap()
        };
        let (encoded, tiled) = (encode(40), decode(40));
        for window in [56, 71] {
            let (one, other) = (off(&encode(window), &encoded), off(&decode(window), &tiled));
            println!("{name}, window {window} against 40: {one:e} encoded, {other:e} decoded");
            assert!(one < ROUNDING && other < ROUNDING, "a seam");
        }
        let (encoded, tiled) = (rms(&encoded, &whole.mean), rms(&tiled, &decoded));
        println!("{name} against the whole: {encoded:.4} encoded, {tiled:.4} decoded");
        // Of the numbers' own spread: 0.087 and 0.031 measured on this slow wave, where parts of a picture differ most.
        assert!(encoded < 0.15 && tiled < 0.06);
        assert!(tiled > 0.0, "nothing was tiled");
    }
}

#[test]
fn pictures_beside_each_other_are_tiled_each_by_itself() {
    let engine = engine();
    let network = autoencoder(&engine, "kl");
    let channels = network.config().latent_channels;
    let one = picture(20, 60, channels);
    let mut other = one.clone();
    other.data_mut().iter_mut().for_each(|value| *value *= -0.5);
    let both = [one.data(), other.data()].concat();
    let both = Tensor::new([2, 20, 60, channels], both).unwrap();
    let made = network.decode_in_tiles(&engine, &both, 40).unwrap();
    let alone = network.decode_in_tiles(&engine, &other, 40).unwrap();
    let half = made.data().len() / 2;
    assert_eq!(&made.data()[half..], alone.data());
}
