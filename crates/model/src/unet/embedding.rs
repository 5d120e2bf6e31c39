//! Time and class embeddings.

use imagegen_engine::{Activation, Backend, LinearCall};

use super::UNetConfig;
use crate::Error;
use crate::loader::Place;

/// Linear, SiLU, linear (`TimestepEmbedding` of diffusers).
#[derive(Debug)]
pub(super) struct Embedding<B: Backend> {
    first: B::Linear,
    second: B::Linear,
}

impl<B: Backend> Embedding<B> {
    pub(super) fn load(
        place: &Place<'_, '_, B>,
        inputs: usize,
        channels: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            first: place.at("linear_1").linear(inputs, channels)?,
            second: place.at("linear_2").linear(channels, channels)?,
        })
    }

    /// `[N, inputs]` to `[N, channels]`.
    pub(super) fn run(&self, engine: &B, input: &B::Tensor) -> Result<B::Tensor, Error> {
        let call = LinearCall {
            activation: Some(Activation::Silu),
            ..LinearCall::default()
        };
        let wide = engine.linear(input, &self.first, call)?;
        Ok(engine.linear(&wide, &self.second, LinearCall::default())?)
    }
}

/// Sinusoidal embedding of `timesteps`, `[N, width]`: sines then cosines (or the other way round
/// with `flip_sin_to_cos`) of `t / 10000^(i / (width / 2 - freq_shift))`.
///
/// Frequencies and products are rounded to f32 where the reference rounds them, since the sine of
/// 999 times a frequency hears the last bit.
pub(super) fn sinusoids(timesteps: &[f64], width: usize, config: &UNetConfig) -> Vec<f32> {
    let half = width / 2;
    let mut waves = vec![0.0; timesteps.len() * width];
    for (row, &timestep) in waves.chunks_exact_mut(width).zip(timesteps) {
        for i in 0..half {
            let exponent = -(libm::log(10000.0) as f32) * i as f32;
            let exponent = exponent / (half as f64 - config.freq_shift) as f32;
            let frequency = libm::exp(f64::from(exponent)) as f32;
            let angle = f64::from(timestep as f32 * frequency);
            let (sine, cosine) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
            let (first, second) = if config.flip_sin_to_cos {
                (cosine, sine)
            } else {
                (sine, cosine)
            };
            row[i] = first;
            row[half + i] = second;
        }
    }
    waves
}
