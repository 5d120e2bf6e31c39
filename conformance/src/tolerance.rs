//! How close is close, by name and with a reason.
//!
//! A tolerance is a number of *roundings*: multiples of `2^-24 * size`, where the size of an output
//! is estimated with its reference ([`Estimate`]). One rounding moves a number by at most `2^-24` of
//! it, by 0.4 of that in the root mean square, and the largest of 10^5 such errors is near 4.5 times
//! the root mean square. A right result therefore stays below 2 roundings.

use std::fmt;

use imagegen_engine::Tensor;

use crate::reference::{Estimate, Reference};

/// Unit roundoff of f32.
pub const ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// What a result may be off by: `roundings * 2^-24 * size + floor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// The name it is reported by.
    pub name: &'static str,
    /// Multiples of `2^-24 * size`. 0 together with `floor` 0 asks for the very bits.
    pub roundings: f64,
    /// Off by this much is nothing, in the unit of the output.
    pub floor: f64,
}

impl Tolerance {
    /// Numbers that are moved, or rounded once: the bits are known.
    pub const EXACT: Self = Self {
        name: "EXACT",
        roundings: 0.0,
        floor: 0.0,
    };

    /// f32 sums of products in any order. Twice over what theory says, since the order of the
    /// reference is not the only one allowed.
    pub const DOT: Self = Self {
        name: "DOT",
        roundings: 6.0,
        floor: 1e-30,
    };

    /// 3x3 convolutions with stride 1, which a backend may compute by minimal filtering (Winograd,
    /// F(4x4, 3x3)). Its sums reach over the 6x6 inputs of a tile and cancel again, so an output
    /// carries the roundings of its neighbours: the size is that of the largest output.
    pub const WINOGRAD: Self = Self {
        name: "WINOGRAD",
        roundings: 4.0,
        floor: 1e-30,
    };

    /// An activation by itself: exp to 2 units in the last place and four more operations. `floor`:
    /// a backend may stop exp at e^88, so far-away negative inputs give up to 1e4 / e^88.
    pub const ACTIVATION: Self = Self {
        name: "ACTIVATION",
        roundings: 6.0,
        floor: 1e-33,
    };

    /// Means and variances of thousands of numbers, then an affine map.
    pub const NORM: Self = Self {
        name: "NORM",
        roundings: 6.0,
        floor: 1e-30,
    };

    /// Scores, exp of their differences, and two sums.
    pub const ATTENTION: Self = Self {
        name: "ATTENTION",
        roundings: 6.0,
        floor: 1e-30,
    };

    /// Weights of neighbours from a coordinate in f32, and three mixes.
    pub const MIX: Self = Self {
        name: "MIX",
        roundings: 6.0,
        floor: 1e-30,
    };

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::EXACT,
        Self::DOT,
        Self::WINOGRAD,
        Self::ACTIVATION,
        Self::NORM,
        Self::ATTENTION,
        Self::MIX,
    ];

    /// How far `got` is from `want`: 1 is the limit; over 1, or NaN, fails.
    pub fn share(self, got: f32, want: Estimate) -> f64 {
        let limit = self.roundings * ROUNDOFF * want.size + self.floor;
        if limit == 0.0 {
            let same = got.to_bits() == (want.value as f32).to_bits();
            return if same { 0.0 } else { f64::INFINITY };
        }
        (f64::from(got) - want.value).abs() / limit
    }
}

/// Why a result is not the reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Mismatch {
    /// Another shape.
    Shape {
        /// The shape that came.
        got: Vec<usize>,
        /// The shape of the reference.
        want: Vec<usize>,
    },
    /// Some numbers are off.
    Numbers {
        /// How many, of how many.
        count: [usize; 2],
        /// Where the first is.
        index: Vec<usize>,
        /// The first number that is off.
        got: f32,
        /// What it should be.
        want: f64,
        /// How far it may be off.
        limit: f64,
        /// The largest error as a multiple of its limit.
        worst: f64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { got, want } => write!(f, "shape {got:?}, expected {want:?}"),
            Self::Numbers {
                count: [off, all],
                index,
                got,
                want,
                limit,
                worst,
            } => write!(
                f,
                "{off} of {all} numbers are off; first at {index:?}: got {got:e}, want {want:e} \
                 ± {limit:.1e}; worst error is {worst:.1} times its limit"
            ),
        }
    }
}

/// The place `flat` of a row-major tensor.
pub fn index_of(shape: &[usize], flat: usize) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let place = rest % size;
            rest /= size;
            place
        })
        .collect();
    index.reverse();
    index
}

/// Compares a result with its reference. Gives the largest error as a share of its limit.
pub fn compare(got: &Tensor, want: &Reference, tolerance: Tolerance) -> Result<f64, Mismatch> {
    if got.shape() != want.shape {
        return Err(Mismatch::Shape {
            got: got.shape().to_vec(),
            want: want.shape.clone(),
        });
    }
    let shares: Vec<f64> = got
        .data()
        .iter()
        .zip(&want.numbers)
        .map(|(&got, &want)| tolerance.share(got, want))
        .collect();
    let off = |share: &f64| share.is_nan() || *share > 1.0;
    let worst = shares.iter().fold(
        0.0,
        |worst: f64, &share| if share > worst { share } else { worst },
    );
    let Some(first) = shares.iter().position(off) else {
        return Ok(worst);
    };
    let want_first = want.numbers[first];
    Err(Mismatch::Numbers {
        count: [
            shares.iter().filter(|share| off(share)).count(),
            shares.len(),
        ],
        index: index_of(&want.shape, first),
        got: got.data()[first],
        want: want_first.value,
        limit: tolerance.roundings * ROUNDOFF * want_first.size + tolerance.floor,
        worst,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f64, size: f64) -> Reference {
        Reference::new([1], vec![Estimate { value, size }])
    }

    fn tensor(value: f32) -> Tensor {
        Tensor::new([1], vec![value]).unwrap()
    }

    #[test]
    fn nan_is_off_and_counted() {
        let error = compare(&tensor(f32::NAN), &one(1.0, 1.0), Tolerance::DOT).unwrap_err();
        let Mismatch::Numbers { count, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(count, [1, 1]);
    }

    #[test]
    fn limit_is_where_the_name_says() {
        let want = one(1.0, 1.0);
        let step = 2.0 * ROUNDOFF as f32; // spacing of f32 just above 1
        assert!(compare(&tensor(1.0 + 3.0 * step), &want, Tolerance::DOT).is_ok());
        assert!(compare(&tensor(1.0 + 4.0 * step), &want, Tolerance::DOT).is_err());
    }

    #[test]
    fn exact_counts_the_sign_of_zero() {
        assert!(compare(&tensor(0.0), &one(0.0, 0.0), Tolerance::EXACT).is_ok());
        assert!(compare(&tensor(-0.0), &one(0.0, 0.0), Tolerance::EXACT).is_err());
    }

    #[test]
    fn index_counts_the_last_axis_first() {
        assert_eq!(index_of(&[2, 3, 4], 17), [1, 1, 1]);
    }
}
