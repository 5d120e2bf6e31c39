//! The face detector against LiteRT, on one picture. The reference and the scripts that made it:
//! `tools/faces/README.md`.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use imagegen_engine::cpu::Level;
use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::Weights;
use imagegen_model::faces::{FaceDetector, RawFaces, WEIGHTS};
use safetensors::SafeTensors;

const REFERENCE: &[u8] = include_bytes!("faces/reference.safetensors");

/// LiteRT's own two sets of kernels are 7.4e-7 (scores) and 5.4e-7 (boxes) apart by [`off`] (`f32_error`
/// in the reference's metadata); ours, which also round the merged weights, measured 1.8e-6 and 1.0e-6.
const NETWORK_F32: f32 = 1e-5;

/// The largest difference of `got` to `want`, over the largest number of `want`.
fn off(got: &Tensor, want: &Tensor) -> f32 {
    assert_eq!(got.shape(), want.shape());
    let pairs = got.data().iter().zip(want.data());
    let most = pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    most / want.data().iter().fold(0f32, |size, v| size.max(v.abs()))
}

/// The reference's picture as the network's input.
fn input() -> Tensor {
    let file = SafeTensors::deserialize(REFERENCE).unwrap();
    let picture = file.tensor("picture").unwrap();
    let unit = picture.data().iter().map(|&v| f32::from(v) / 127.5 - 1.0);
    Tensor::new([1, 128, 128, 3], unit.collect()).unwrap()
}

fn want() -> RawFaces {
    let file = Weights::parse("reference", Arc::new(REFERENCE)).unwrap();
    RawFaces {
        scores: file.tensor("scores").unwrap(),
        boxes: file.tensor("boxes").unwrap(),
    }
}

fn run(level: Level, threads: usize) -> RawFaces {
    let engine = CpuBackend::new(level, threads).unwrap();
    let detector = FaceDetector::embedded(&engine).unwrap();
    detector.run(&engine, &input()).unwrap()
}

#[test]
fn answers_are_those_of_litert() {
    let (got, want) = (run(Level::best(), 2), want());
    let errors = [off(&got.scores, &want.scores), off(&got.boxes, &want.boxes)];
    println!("scores and boxes: {errors:?}");
    assert!(
        errors.iter().all(|&error| error < NETWORK_F32),
        "{errors:?}"
    );
    let nothing = Tensor::zeros([896, 16]);
    assert!(off(&nothing, &want.boxes) > NETWORK_F32);
}

#[test]
fn answers_depend_on_neither_level_nor_threads() {
    let want = run(Level::Portable, 1);
    for level in Level::available() {
        assert_eq!(run(level, 3), want, "{level}");
    }
}

#[test]
fn the_threshold_decides() {
    let engine = CpuBackend::new(Level::best(), 2).unwrap();
    let detector = FaceDetector::embedded(&engine).unwrap();
    let find = |threshold| detector.find(&engine, &input(), threshold).unwrap();
    let faces = find(0.6);
    let [face] = faces.as_slice() else {
        panic!("{faces:?}")
    };
    // The reference's highest logit is a score of 0.9208.
    assert!((face.score - 0.9208).abs() < 1e-4, "{face:?}");
    assert_eq!(find(0.95), []);
}

#[test]
fn other_shapes_and_weights_are_refused() {
    let engine = CpuBackend::new(Level::best(), 1).unwrap();
    let detector = FaceDetector::embedded(&engine).unwrap();
    let error = detector.run(&engine, &Tensor::zeros([1, 64, 128, 3]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "face detector input has shape [1, 64, 128, 3], expected [1, 128, 128, 3]"
    );
    let weights = Weights::parse("short_range.safetensors", Arc::new(WEIGHTS)).unwrap();
    let error = FaceDetector::load(&engine, &weights.under("blocks.")).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("short_range.safetensors lacks ") && error.contains("\"stem.weight\""),
        "{error}"
    );
}
