//! Linear layers, plain and gated.

use imagegen_engine::cpu::Precision;
use imagegen_engine::{Activation, Backend, Error, LinearCall, Tensor};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference, Rounding, Sum, activate, activate_if};
use crate::tolerance::Tolerance;

/// One call of `linear`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Numbers of everything.
    pub seed: u64,
    /// All sizes of the input but the last.
    pub rows: Vec<usize>,
    /// Of the input and of the output.
    pub channels: [usize; 2],
    /// With a bias.
    pub bias: bool,
    /// Of the output.
    pub activation: Option<Activation>,
    /// With a residual.
    pub residual: bool,
    /// Mean of the input.
    pub offset: f32,
}

impl Default for Linear {
    fn default() -> Self {
        Self {
            seed: 2,
            rows: vec![5],
            channels: [16, 16],
            bias: true,
            activation: None,
            residual: false,
            offset: 0.0,
        }
    }
}

/// `input` `[rows, I]` times row `o` of `weight` `[_, I]`, plus bias.
fn product(precision: Precision, input: &[f32], weight: &[f32], bias: Option<f32>) -> Estimate {
    let mut sum = Sum::default();
    if let Some(bias) = bias {
        sum.add(Estimate::exact(bias));
    }
    let of_input = Rounding::of_activations(precision, input.iter().copied().map(f64::from));
    let of_weights = Rounding::of_weights(precision, weight.iter().copied().map(f64::from));
    for (&value, &weight) in input.iter().zip(weight) {
        let value = Estimate::exact(value).rounded(of_input);
        sum.add_product(value, Estimate::exact(weight).rounded(of_weights));
    }
    sum.total()
}

/// `rows` with `last` behind them.
fn with_last(rows: &[usize], last: usize) -> Vec<usize> {
    rows.iter().copied().chain([last]).collect()
}

impl Linear {
    /// Input, weight, bias, residual.
    fn parts(&self) -> (Tensor, Tensor, Option<Tensor>, Option<Tensor>) {
        let mut noise = Noise::new(self.seed);
        let [i, o] = self.channels;
        (
            noise.tensor(with_last(&self.rows, i), 1.0, self.offset),
            noise.weights([o, i], 1.0 / (i as f32).sqrt()),
            self.bias.then(|| noise.tensor([o], 1.0, 0.0)),
            self.residual
                .then(|| noise.tensor(with_last(&self.rows, o), 1.0, 0.0)),
        )
    }
}

impl Call for Linear {
    fn reference(&self) -> Vec<Reference> {
        self.reference_at(Precision::F32)
    }

    fn reference_at(&self, precision: Precision) -> Vec<Reference> {
        let (input, weight, bias, residual) = self.parts();
        let [inputs, outputs] = self.channels;
        let mut numbers = Vec::new();
        for row in input.data().chunks_exact(inputs) {
            for o in 0..outputs {
                let bias = bias.as_ref().map(|bias| bias.data()[o]);
                let mut value =
                    product(precision, row, &weight.data()[o * inputs..][..inputs], bias);
                value = activate_if(value, self.activation);
                if let Some(residual) = &residual {
                    value = value.plus(Estimate::exact(residual.data()[numbers.len()]));
                }
                numbers.push(value);
            }
        }
        vec![Reference::new(with_last(&self.rows, outputs), numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let (input, weight, bias, residual) = self.parts();
        let weights = backend.linear_weights(weight, bias)?;
        let residual = residual.map(|residual| backend.upload(&residual));
        let call = LinearCall {
            activation: self.activation,
            residual: residual.as_ref(),
        };
        let out = backend.linear(&backend.upload(&input), &weights, call)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::DOT
    }

    fn work(&self) -> usize {
        self.rows.iter().chain(&self.channels).product()
    }
}

/// One call of `geglu`.
#[derive(Debug, Clone)]
pub struct Geglu {
    /// Numbers of everything.
    pub seed: u64,
    /// All sizes of the input but the last.
    pub rows: Vec<usize>,
    /// Of the input and of the output; the weights have twice as many rows as the output.
    pub channels: [usize; 2],
    /// With a bias.
    pub bias: bool,
    /// Mean of the input.
    pub offset: f32,
}

impl Default for Geglu {
    fn default() -> Self {
        Self {
            seed: 3,
            rows: vec![5],
            channels: [16, 16],
            bias: true,
            offset: 0.0,
        }
    }
}

impl Geglu {
    /// Input, weight, bias.
    fn parts(&self) -> (Tensor, Tensor, Option<Tensor>) {
        let mut noise = Noise::new(self.seed);
        let [i, o] = self.channels;
        (
            noise.tensor(with_last(&self.rows, i), 1.0, self.offset),
            noise.weights([2 * o, i], 1.0 / (i as f32).sqrt()),
            self.bias.then(|| noise.tensor([2 * o], 1.0, 0.0)),
        )
    }
}

impl Call for Geglu {
    fn reference(&self) -> Vec<Reference> {
        self.reference_at(Precision::F32)
    }

    fn reference_at(&self, precision: Precision) -> Vec<Reference> {
        let (input, weight, bias) = self.parts();
        let [inputs, outputs] = self.channels;
        let mut numbers = Vec::new();
        for row in input.data().chunks_exact(inputs) {
            for o in 0..outputs {
                let [value, gate] = [o, outputs + o].map(|o| {
                    let bias = bias.as_ref().map(|bias| bias.data()[o]);
                    product(precision, row, &weight.data()[o * inputs..][..inputs], bias)
                });
                numbers.push(value.times(activate(gate, Activation::Gelu)));
            }
        }
        vec![Reference::new(with_last(&self.rows, outputs), numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let (input, weight, bias) = self.parts();
        let weights = backend.gated_weights(weight, bias)?;
        let out = backend.geglu(&backend.upload(&input), &weights)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::DOT
    }

    fn work(&self) -> usize {
        2 * self.rows.iter().chain(&self.channels).product::<usize>()
    }
}
