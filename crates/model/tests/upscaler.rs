//! The upscaler against torch, on a part of a picture. The reference and the script that made it: `tools/upscaler/README.md`.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use imagegen_engine::cpu::Level;
use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::Weights;
use imagegen_model::upscaler::{Upscaler, WEIGHTS};
use safetensors::SafeTensors;

const REFERENCE: &[u8] = include_bytes!("upscaler/reference.safetensors");

/// torch's own float32 is 1.0e-6 from its float64 (`f32_error` in the reference's metadata); ours, by Winograd's convolutions,
/// measured 3e-6. A step of 8 bits is 3.9e-3.
const NETWORK_F32: f32 = 2e-5;

/// The reference's picture as the network's input.
fn input() -> Tensor {
    let file = SafeTensors::deserialize(REFERENCE).unwrap();
    let picture = file.tensor("picture").unwrap();
    let unit = picture.data().iter().map(|&v| f32::from(v) / 255.0);
    Tensor::new([1, 40, 56, 3], unit.collect()).unwrap()
}

fn off(got: &Tensor, want: &Tensor) -> f32 {
    assert_eq!(got.data().len(), want.data().len());
    let pairs = got.data().iter().zip(want.data());
    pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()))
}

fn run(level: Level, threads: usize, pixels: &Tensor) -> Tensor {
    let engine = CpuBackend::new(level, threads).unwrap();
    let upscaler = Upscaler::embedded(&engine).unwrap();
    upscaler.run(&engine, pixels).unwrap()
}

#[test]
fn answers_are_those_of_torch() {
    let file = Weights::parse("reference", Arc::new(REFERENCE)).unwrap();
    let want = file.tensor("enlarged").unwrap();
    let got = run(Level::best(), 2, &input());
    assert_eq!(got.shape(), [1, 160, 224, 3]);
    let error = off(&got, &want);
    println!("largest difference: {error:.1e}");
    assert!(error < NETWORK_F32, "{error}");
    assert!(off(&Tensor::zeros([1, 160, 224, 3]), &want) > NETWORK_F32);
}

#[test]
fn every_level_gives_the_same_bits() {
    let best = run(Level::best(), 2, &input());
    assert_eq!(run(Level::Portable, 1, &input()), best);
}

#[test]
fn nothing_beyond_its_reach_changes_a_result() {
    let reach = Upscaler::<CpuBackend>::REACH;
    let whole = input();
    let mut changed = whole.clone();
    let (row, column) = (20, 5);
    changed.data_mut()[(row * 56 + column) * 3] = 0.9;
    let (before, after) = (
        run(Level::best(), 2, &whole),
        run(Level::best(), 2, &changed),
    );
    let differs = |x: usize| {
        (0..160).any(|y| {
            before.data()[(y * 224 + x) * 3..][..3] != after.data()[(y * 224 + x) * 3..][..3]
        })
    };
    assert!(differs(4 * column));
    let last = (0..224).rev().find(|&x| differs(x)).unwrap();
    // What Winograd's tiles round differently lies below f32's last digits and is no change that anyone sees.
    let far = 4 * (column + reach + 1);
    let seen = (far..224).map(|x| {
        (0..160)
            .map(|y| (before.data()[(y * 224 + x) * 3] - after.data()[(y * 224 + x) * 3]).abs())
            .fold(0f32, f32::max)
    });
    let seen = seen.fold(0f32, f32::max);
    assert!(last >= 4 * (column + 3) && seen < 1e-6, "{last} {seen}");
}

#[test]
fn other_weights_and_shapes_are_refused() {
    let engine = CpuBackend::new(Level::best(), 1).unwrap();
    let other = Weights::parse("reference", Arc::new(REFERENCE)).unwrap();
    let error = Upscaler::load(&engine, &other).unwrap_err().to_string();
    assert!(
        error.contains("body.1.weight") || error.contains("body.0"),
        "{error}"
    );
    let upscaler = Upscaler::embedded(&engine).unwrap();
    for shape in [vec![1, 8, 8, 4], vec![2, 8, 8, 3], vec![8, 8, 3]] {
        let error = upscaler.run(&engine, &Tensor::zeros(shape)).unwrap_err();
        assert!(error.to_string().contains("upscaler input"), "{error}");
    }
    assert!(WEIGHTS.len() < 1_300_000);
}
