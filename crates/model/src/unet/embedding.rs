//! Embeddings of time, classes, guidance and what else a network hears.

use imagegen_engine::{Activation, Backend, LinearCall};

use crate::Error;
use crate::loader::Place;

/// Linear, SiLU, linear (`TimestepEmbedding` of diffusers).
#[derive(Debug)]
pub(super) struct Embedding<B: Backend> {
    first: B::Linear,
    /// Of the guidance scale, added to the input.
    guidance: Option<B::Linear>,
    second: B::Linear,
}

impl<B: Backend> Embedding<B> {
    pub(super) fn load(
        place: &Place<'_, '_, B>,
        inputs: usize,
        channels: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            first: place.at("linear_1").exact_linear(inputs, channels)?,
            guidance: None,
            second: place.at("linear_2").exact_linear(channels, channels)?,
        })
    }

    /// As [`Embedding::load`], for a network that hears the guidance scale through
    /// `guidance_channels` sinusoids.
    pub(super) fn load_guided(
        place: &Place<'_, '_, B>,
        inputs: usize,
        channels: usize,
        guidance_channels: Option<usize>,
    ) -> Result<Self, Error> {
        let guidance = guidance_channels
            .map(|width| place.at("cond_proj").linear_without_bias(width, inputs))
            .transpose()?;
        Ok(Self {
            guidance,
            ..Self::load(place, inputs, channels)?
        })
    }

    /// `[N, inputs]` and the sinusoids of the guidance scale, for networks that hear it, to
    /// `[N, channels]`.
    pub(super) fn run_guided(
        &self,
        engine: &B,
        input: &B::Tensor,
        guidance: Option<&B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        match (&self.guidance, guidance) {
            (Some(weights), Some(guidance)) => {
                let call = LinearCall {
                    residual: Some(input),
                    ..LinearCall::default()
                };
                self.run(engine, &engine.linear(guidance, weights, call)?)
            }
            _ => self.run(engine, input),
        }
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

/// Frequencies of the sinusoids of timesteps: `10000^(-i / (half - freq_shift))`.
///
/// Rounded to f32 where the reference rounds, since the sine of 999 times a frequency hears the last
/// bit.
pub(super) fn timestep_frequencies(half: usize, freq_shift: f64) -> Vec<f32> {
    let frequency = |i| {
        let exponent = -(libm::log(10000.0) as f32) * i as f32;
        let exponent = exponent / (half as f64 - freq_shift) as f32;
        libm::exp(f64::from(exponent)) as f32
    };
    (0..half).map(frequency).collect()
}

/// Frequencies of the sinusoids of the guidance scale: `10000^(-i / (half - 1))`, rounded as
/// diffusers' pipelines for such networks round.
pub(super) fn guidance_frequencies(half: usize) -> Vec<f32> {
    let step = libm::log(10000.0) as f32 / (half as f32 - 1.0);
    let frequency = |i| libm::exp(f64::from(i as f32 * -step)) as f32;
    (0..half).map(frequency).collect()
}

/// Sinusoidal embedding of `values`, `[N, width]`: sines then cosines of a value times each
/// frequency, or the other way round where `cosines_first`; zeros where the width is odd.
pub(super) fn sinusoids(
    values: &[f64],
    width: usize,
    frequencies: &[f32],
    cosines_first: bool,
) -> Vec<f32> {
    let half = frequencies.len();
    let mut waves = vec![0.0; values.len() * width];
    for (row, &value) in waves.chunks_exact_mut(width).zip(values) {
        for (i, frequency) in frequencies.iter().enumerate() {
            let angle = f64::from(value as f32 * frequency);
            let (sine, cosine) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
            let (first, second) = if cosines_first {
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
