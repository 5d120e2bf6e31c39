//! Whose noise a run starts from: torch's on the CPU, torch's on CUDA, in part another seed's.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::reference::tensors;
use common::{Tolerance, close};
use imagegen_engine::random::{Generator, Philox};
use imagegen_pipeline::{Noise, NoiseKind, RunNoise, Tensor, Variation};

/// f64 throughout on both sides, rounded to f32.
const ROUNDED: Tolerance = Tolerance {
    atol: 1e-7,
    rtol: 1e-6,
};
/// Besides, torch's own f32 noise: 2.4e-7 off ours at worst.
const OF_TORCH: Tolerance = Tolerance {
    atol: 2e-6,
    rtol: 2e-6,
};
const SHAPE: [usize; 4] = [1, 8, 6, 3];

fn noise(kind: NoiseKind, seed: u64, variation: Option<(u64, f64)>) -> RunNoise {
    let variation = variation.map(|(seed, strength)| Variation::new(seed, strength).unwrap());
    RunNoise::new(kind, seed, variation)
}

#[test]
fn philox_draws_what_the_paper_says() {
    let file = tensors("cuda_noise.safetensors");
    let mut compared = 0;
    for (key, want) in &file {
        let parts: Vec<&str> = key.split('.').collect();
        let ["seed", seed, "draw", draw] = parts[..] else {
            continue;
        };
        let mut generator = Philox::new(seed.parse().unwrap());
        for _ in 0..draw.parse().unwrap() {
            generator.normal(5);
        }
        let got = generator.normal(want.data().len());
        close(&got, want.data(), ROUNDED).unwrap_or_else(|e| panic!("{key}: {e}"));
        assert!(close(&vec![0.0; got.len()], want.data(), ROUNDED).is_err());
        compared += 1;
    }
    assert_eq!(compared, 15);
}

#[test]
fn noise_between_two_seeds_is_what_automatic1111_makes() {
    let file = tensors("cuda_noise.safetensors");
    for kind in NoiseKind::ALL {
        for share in ["0.1", "0.5", "0.9"] {
            let want = &file[&format!("between.{}.{share}", kind.name())];
            let share = share.parse().unwrap();
            let got = noise(kind, 5, Some((9, share))).initial(SHAPE);
            let got = got.nhwc_to_nchw().unwrap();
            assert_eq!(got.shape(), want.shape());
            close(got.data(), want.data(), OF_TORCH)
                .unwrap_or_else(|e| panic!("{} {share}: {e}", kind.name()));
            // Another share is not taken for it.
            let other = noise(kind, 5, Some((9, share + 0.05))).initial(SHAPE);
            let other = other.nhwc_to_nchw().unwrap();
            assert!(close(other.data(), want.data(), OF_TORCH).is_err());
        }
    }
}

#[test]
fn a_way_ends_at_either_seed_to_the_bit() {
    for kind in NoiseKind::ALL {
        let alone = |seed| noise(kind, seed, None).initial(SHAPE);
        let from_5 = |to| noise(kind, 5, Some(to)).initial(SHAPE);
        assert_eq!(from_5((9, 0.0)), alone(5));
        assert_eq!(from_5((9, 1.0)), alone(9));
        // Between a seed and itself there is nothing but rounding.
        close(from_5((5, 0.3)).data(), alone(5).data(), ROUNDED).unwrap();
        // One row: every column is a single number, and there is no arc between two of those.
        let row = noise(kind, 5, Some((9, 0.4))).initial([1, 1, 40, 3]);
        assert!(row.is_finite());
    }
}

#[test]
fn only_the_start_varies_and_what_is_drawn_before_it_is_drawn_of_both() {
    for kind in NoiseKind::ALL {
        let drawn = |mut noise: RunNoise| -> [Tensor; 3] {
            let before = noise.normal(SHAPE);
            let start = noise.initial(SHAPE);
            [before, start, noise.normal(SHAPE)]
        };
        let own = drawn(noise(kind, 5, None));
        let other = drawn(noise(kind, 9, None));
        let varied = drawn(noise(kind, 5, Some((9, 1.0))));
        assert_eq!(varied[0], own[0]);
        assert_eq!(varied[1], other[1]);
        assert_eq!(varied[2], own[2]);
    }
}

#[test]
fn kinds_are_generators_of_their_own() {
    let cpu = noise(NoiseKind::Cpu, 7, None).normal(SHAPE);
    let nv = noise(NoiseKind::Nv, 7, None).normal(SHAPE);
    assert_eq!(cpu, Generator::new(7).normal_nhwc(SHAPE));
    assert_eq!(nv, Philox::new(7).normal_nhwc(SHAPE));
    // Row 2, column 3, channel 1 is number (1 * 8 + 2) * 6 + 3 of the draw.
    let place = (2 * 6 + 3) * 3 + 1;
    assert_eq!(
        nv.data()[place],
        Philox::new(7).normal(144)[(8 + 2) * 6 + 3]
    );
}

#[test]
fn shares_outside_0_to_1_and_unknown_kinds_are_refused() {
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = Variation::new(1, share).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("variation strength is {share}, expected 0 to 1")
        );
    }
    let error = "gpu".parse::<NoiseKind>().unwrap_err().to_string();
    assert_eq!(error, "noise is \"gpu\", expected cpu or nv");
}
