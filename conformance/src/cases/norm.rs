//! Group and layer normalisation.

use imagegen_engine::{Activation, Backend, Error, Tensor};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Reference, activate_if, moments, normalise};
use crate::tolerance::Tolerance;

/// What the input looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean. A large one is where a variance from `mean(x^2) - mean(x)^2` shows.
    pub offset: f32,
    /// Standard deviation. A small one is where eps shows, 0 where nothing varies.
    pub scale: f32,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            offset: 0.0,
            scale: 1.0,
        }
    }
}

/// Mean and variance per picture and group of `input` `[N, H, W, C]`.
pub(super) fn group_moments(input: &Tensor, groups: usize) -> Vec<(f64, f64)> {
    let &[n, h, w, c] = input.shape() else {
        panic!("input is {:?}", input.shape())
    };
    let per_group = c / groups;
    let mut all = Vec::new();
    for (picture, group) in (0..n).flat_map(|n| (0..groups).map(move |g| (n, g))) {
        let indices: Vec<usize> = (picture * h * w * c..(picture + 1) * h * w * c)
            .filter(|index| index % c / per_group == group)
            .collect();
        all.push(moments(input.data(), &indices));
    }
    all
}

/// One call of `group_norm`.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    /// Numbers of everything.
    pub seed: u64,
    /// `[N, H, W, C]`.
    pub shape: [usize; 4],
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the normalised values.
    pub activation: Option<Activation>,
    /// Of the input.
    pub spread: Spread,
    /// Whether it is given its input's moments rather than left to take them.
    pub given: bool,
}

impl Default for GroupNorm {
    fn default() -> Self {
        Self {
            seed: 4,
            shape: [1, 5, 7, 16],
            groups: 4,
            eps: 1e-5,
            activation: None,
            spread: Spread::default(),
            given: false,
        }
    }
}

impl GroupNorm {
    /// Input, scale, shift.
    fn parts(&self) -> [Tensor; 3] {
        let mut noise = Noise::new(self.seed);
        let channels = self.shape[3];
        [
            noise.tensor(self.shape, self.spread.scale, self.spread.offset),
            noise.tensor([channels], 0.5, 1.0),
            noise.tensor([channels], 0.5, 0.0),
        ]
    }
}

impl Call for GroupNorm {
    fn reference(&self) -> Vec<Reference> {
        let [input, scale, shift] = self.parts();
        let [_, h, w, c] = self.shape;
        let moments = group_moments(&input, self.groups);
        let per_group = c / self.groups;
        let numbers = input.data().iter().enumerate().map(|(index, &x)| {
            let (picture, channel) = (index / (h * w * c), index % c);
            let moments = moments[picture * self.groups + channel / per_group];
            let y = normalise(
                x,
                moments,
                self.eps,
                scale.data()[channel],
                shift.data()[channel],
            );
            activate_if(y, self.activation)
        });
        vec![Reference::new(self.shape, numbers.collect())]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [input, scale, shift] = self.parts();
        let input = backend.upload(&input);
        let moments = match self.given {
            true => Some(backend.group_moments(&input, self.groups)?),
            false => None,
        };
        let norm = imagegen_engine::GroupNorm {
            weights: &backend.norm_weights(scale, shift)?,
            groups: self.groups,
            eps: self.eps,
            activation: self.activation,
            moments: moments.as_ref(),
        };
        let out = backend.group_norm(&input, norm)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::NORM
    }
}

/// One call of `layer_norm`.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// Numbers of everything.
    pub seed: u64,
    /// Any; the last axis is normalised.
    pub shape: Vec<usize>,
    /// Added to the variance.
    pub eps: f32,
    /// Of the input.
    pub spread: Spread,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self {
            seed: 5,
            shape: vec![5, 16],
            eps: 1e-5,
            spread: Spread::default(),
        }
    }
}

impl LayerNorm {
    fn channels(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }

    /// Input, scale, shift.
    fn parts(&self) -> [Tensor; 3] {
        let mut noise = Noise::new(self.seed);
        [
            noise.tensor(self.shape.as_slice(), self.spread.scale, self.spread.offset),
            noise.tensor([self.channels()], 0.5, 1.0),
            noise.tensor([self.channels()], 0.5, 0.0),
        ]
    }
}

impl Call for LayerNorm {
    fn reference(&self) -> Vec<Reference> {
        let [input, scale, shift] = self.parts();
        let channels = self.channels();
        let mut numbers = Vec::new();
        for row in input.data().chunks_exact(channels) {
            let moments = moments(row, &(0..channels).collect::<Vec<_>>());
            for c in 0..channels {
                numbers.push(normalise(
                    row[c],
                    moments,
                    self.eps,
                    scale.data()[c],
                    shift.data()[c],
                ));
            }
        }
        vec![Reference::new(self.shape.as_slice(), numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [input, scale, shift] = self.parts();
        let weights = backend.norm_weights(scale, shift)?;
        let out = backend.layer_norm(&backend.upload(&input), &weights, self.eps)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::NORM
    }
}
