//! Results in float64, each with how much rounding an f32 backend may have added to it.
//!
//! Nothing here is optimised, on purpose: it must be plain to read, since it decides who is wrong.

use imagegen_engine::cpu::Precision;
use imagegen_engine::{Activation, Tensor};

use crate::tolerance::ROUNDOFF;

/// What one output must be.
///
/// `size` estimates the root of the summed squares of everything that was rounded on the way here:
/// a sum of n numbers in f32 is rounded n times, each time by up to 2^-24 of the partial sum. It is
/// measured in the value's own unit, before the factor 2^-24 that
/// [`Tolerance`](crate::tolerance::Tolerance) applies. Depth, magnitude and cancellation are all in
/// it, so one tolerance serves 3 input channels as well as 500, and zero-mean noise as well as an
/// input whose mean is 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// How much was rounded; 0 for a number that is given.
    pub size: f64,
}

impl Estimate {
    /// A given number.
    pub fn exact(value: f32) -> Self {
        Self {
            value: f64::from(value),
            size: 0.0,
        }
    }

    /// A factor that is rounded before it is multiplied.
    #[must_use]
    pub fn rounded(self, by: Rounding) -> Self {
        let size = match by {
            Rounding::None => return self,
            // Eight bits in place of twenty-four.
            Rounding::Bfloat => f64::from(1 << 15) * self.value,
            Rounding::Step(step) => 0.5 * step / ROUNDOFF,
        };
        Self {
            size: self.size.hypot(size),
            ..self
        }
    }

    /// A sum, rounded once.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        Self {
            value,
            size: self.size.hypot(other.size).hypot(value),
        }
    }

    /// A product, rounded once.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let value = self.value * other.value;
        let carried = (self.size * other.value).hypot(self.value * other.size);
        Self {
            value,
            size: carried.hypot(value),
        }
    }

    /// A quotient, rounded once.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        let value = self.value / other.value;
        let carried = (self.size / other.value).hypot(value * other.size / other.value);
        Self {
            value,
            size: carried.hypot(value),
        }
    }
}

/// What a factor is rounded to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rounding {
    /// It is f32, and is left alone.
    None,
    /// A bfloat.
    Bfloat,
    /// A multiple of a step.
    Step(f64),
}

impl Rounding {
    /// Of activations that are measured together, at a precision.
    pub fn of_activations(precision: Precision, numbers: impl Iterator<Item = f64>) -> Self {
        match precision {
            Precision::F32 => Self::None,
            Precision::Bf16 => Self::Bfloat,
            Precision::Int8 => {
                let ends = |(least, largest): (f64, f64), number: f64| {
                    (least.min(number), largest.max(number))
                };
                let (least, largest) = numbers.fold((0.0, 0.0), ends);
                Self::Step((largest - least) / 254.0)
            }
        }
    }

    /// Of the weights of one output, at a precision.
    pub fn of_weights(precision: Precision, numbers: impl Iterator<Item = f64>) -> Self {
        match precision {
            Precision::F32 => Self::None,
            Precision::Bf16 => Self::Bfloat,
            Precision::Int8 => {
                let largest = numbers.fold(0.0, |largest: f64, number| largest.max(number.abs()));
                Self::Step(largest / 127.0)
            }
        }
    }
}

/// A running sum that is rounded at every step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    value: f64,
    squares: f64,
}

impl Sum {
    /// Adds one number.
    pub fn add(&mut self, term: Estimate) {
        self.value += term.value;
        self.squares += self.value * self.value + term.size * term.size;
    }

    /// Adds `one * other`, rounded once.
    pub fn add_product(&mut self, one: Estimate, other: Estimate) {
        self.add(Estimate {
            value: one.value * other.value,
            size: (one.size * other.value).hypot(one.value * other.size),
        });
    }

    /// The sum.
    pub fn total(self) -> Estimate {
        Estimate {
            value: self.value,
            size: self.squares.sqrt(),
        }
    }
}

/// One output of a case.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major.
    pub numbers: Vec<Estimate>,
}

impl Reference {
    /// Wraps `numbers`, whose count must be the product of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, numbers: Vec<Estimate>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            numbers.len(),
            "reference of {shape:?}"
        );
        Self { shape, numbers }
    }

    /// Numbers that are only moved, never changed.
    pub fn exact(shape: impl Into<Vec<usize>>, numbers: impl IntoIterator<Item = f32>) -> Self {
        Self::new(shape, numbers.into_iter().map(Estimate::exact).collect())
    }

    /// The values rounded to f32: the best any backend can do.
    pub fn rounded(&self) -> Tensor {
        let data = self
            .numbers
            .iter()
            .map(|number| number.value as f32)
            .collect();
        Tensor::new(self.shape.as_slice(), data).expect("counts agree by `Reference::new`")
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x * sigmoid(factor * argument)`, whose argument may be rounded.
fn gated(x: f64, argument: f64, argument_is_rounded: bool) -> Estimate {
    let value = x * sigmoid(argument);
    // A relative error e of the argument moves the sigmoid by (1 - sigmoid) * argument * e.
    let carried = (1.0 - sigmoid(argument)) * argument.abs();
    Estimate {
        value,
        size: value.abs() * (1.0 + if argument_is_rounded { carried } else { 0.0 }),
    }
}

/// One activation; `x.size` travels on by at most 1.13, the steepest slope of them.
pub fn activate(x: Estimate, activation: Activation) -> Estimate {
    let v = x.value;
    let own = match activation {
        Activation::Silu => gated(v, v, false),
        // The error function is known to about 2^-22 of 1 wherever it is evaluated, so the far
        // negative tail has an absolute error that grows with x. erfc keeps the tail's own digits.
        Activation::Gelu => Estimate {
            value: 0.5 * v * libm::erfc(-v / std::f64::consts::SQRT_2),
            size: v.abs(),
        },
        Activation::GeluTanh => {
            let y = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3));
            gated(v, 2.0 * y, true)
        }
        Activation::QuickGelu => gated(v, 1.702 * v, true),
        Activation::Relu => Estimate {
            value: if v > 0.0 { v } else { 0.0 },
            size: 0.0,
        },
    };
    Estimate {
        value: own.value,
        size: own.size.hypot(1.13 * x.size),
    }
}

/// [`activate`] where there is one.
pub fn activate_if(x: Estimate, activation: Option<Activation>) -> Estimate {
    activation.map_or(x, |activation| activate(x, activation))
}

/// Mean and variance of the numbers at `indices` of `data`.
pub fn moments(data: &[f32], indices: &[usize]) -> (f64, f64) {
    let count = indices.len() as f64;
    let mean = indices.iter().map(|&i| f64::from(data[i])).sum::<f64>() / count;
    let squares: f64 = indices
        .iter()
        .map(|&i| (f64::from(data[i]) - mean).powi(2))
        .sum();
    (mean, squares / count)
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias`.
pub fn normalise(
    x: f32,
    (mean, variance): (f64, f64),
    eps: f32,
    weight: f32,
    bias: f32,
) -> Estimate {
    let (x, weight, bias) = (f64::from(x), f64::from(weight), f64::from(bias));
    let slope = weight / (variance + f64::from(eps)).sqrt();
    let scaled = (x - mean) * slope;
    // The mean is an f32 at best, so a large common offset costs digits of every difference.
    let size = (x.abs() + mean.abs()) * slope.abs() + scaled.abs() + bias.abs();
    Estimate {
        value: scaled + bias,
        size,
    }
}
