//! Numbers for cases: the same on every machine, from a seed.
//!
//! Not the engine's generator on purpose: the suite must not depend on what it tests.

use half::{bf16, f16};
use imagegen_engine::Tensor;

/// What numbers of weights can be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// 24 bits.
    Single,
    /// 11 bits, exponents of IEEE half precision.
    Half,
    /// 8 bits.
    Bfloat,
}

impl Precision {
    /// That of the weights of a layer with so many of them: all three occur, and shapes decide.
    pub fn of(count: usize) -> Self {
        match (count * 0x9e37) >> 7 & 3 {
            0 => Self::Half,
            1 => Self::Bfloat,
            _ => Self::Single,
        }
    }

    fn round(self, number: f32) -> f32 {
        match self {
            Self::Single => number,
            Self::Half => f16::from_f32(number).to_f32(),
            Self::Bfloat => bf16::from_f32(number).to_f32(),
        }
    }
}

/// A stream of numbers that look like N(0, 1), within ±3.47.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// A stream of its own for each `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Sixty-four random bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The sum of four uniform numbers, brought to mean 0 and variance 1.
    pub fn normal(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        (sum as f32 - 2.0 * 65535.0) * (1.732_050_8 / 65536.0)
    }

    /// An integer in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// Weights of `scale * normal`, in the [`Precision`] of their count.
    pub fn weights(&mut self, shape: impl Into<Vec<usize>>, scale: f32) -> Tensor {
        let mut weights = self.tensor(shape, scale, 0.0);
        let precision = Precision::of(weights.data().len());
        for value in weights.data_mut() {
            *value = precision.round(*value);
        }
        weights
    }

    /// A tensor of `scale * normal + offset`.
    pub fn tensor(&mut self, shape: impl Into<Vec<usize>>, scale: f32, offset: f32) -> Tensor {
        let mut tensor = Tensor::zeros(shape);
        for value in tensor.data_mut() {
            *value = self.normal() * scale + offset;
        }
        tensor
    }
}
