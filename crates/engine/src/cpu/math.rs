//! Elementwise functions on lanes: our own polynomials, so that every level gives the same bits.

use super::simd::Lanes;
use crate::Activation;

/// `exp(x)`, at most 2 ulp off between -87.3 and 88; inputs beyond are taken to those ends.
///
/// Cephes' `expf` (S. Moshier): `x = n ln 2 + r`, ln 2 in two parts, `exp(r)` by a polynomial of
/// degree 7 on `|r| <= ln 2 / 2`.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(lanes: L, x: L::V) -> L::V {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    // The bounds come first, so that a NaN passes through both (see `Lanes::max`).
    let x = lanes.min(lanes.splat(88.0), lanes.max(lanes.splat(-87.3), x));
    let n = lanes.round(lanes.mul(x, lanes.splat(std::f32::consts::LOG2_E)));
    let r = lanes.fma(n, lanes.splat(-LN2_HIGH), x);
    let r = lanes.fma(n, lanes.splat(-LN2_LOW), r);
    let mut p = lanes.splat(POLYNOMIAL[0]);
    for i in 1..POLYNOMIAL.len() {
        p = lanes.fma(p, r, lanes.splat(POLYNOMIAL[i]));
    }
    let p = lanes.add(lanes.fma(p, lanes.mul(r, r), r), lanes.splat(1.0));
    lanes.scale_by_exp2(p, n)
}

/// `2^x`, at most 2 ulp off between -126 and 127; lower inputs are taken to -126.
///
/// `x = n + r`, `2^r` by the polynomial of degree 5 with the least relative error on `|r| <= 1/2`
/// (1e-7), its constant 1. Cheaper than [`exp`] by a third, for softmax.
#[inline(always)]
pub(crate) fn exp2<L: Lanes>(lanes: L, x: L::V) -> L::V {
    #[expect(
        clippy::approx_constant,
        reason = "a coefficient, not the logarithm it is close to"
    )]
    const POLYNOMIAL: [f32; 6] = [
        1.326_940_6e-3,
        9.671_294e-3,
        5.550_711_2e-2,
        2.402_224_7e-1,
        0.693_147,
        1.0,
    ];
    // In this order a NaN passes (see `Lanes::max`).
    let x = lanes.max(lanes.splat(-126.0), x);
    let n = lanes.round(x);
    let r = lanes.sub(x, n);
    let mut p = lanes.splat(POLYNOMIAL[0]);
    for i in 1..POLYNOMIAL.len() {
        p = lanes.fma(p, r, lanes.splat(POLYNOMIAL[i]));
    }
    lanes.scale_by_exp2(p, n)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
fn sigmoid<L: Lanes>(lanes: L, x: L::V) -> L::V {
    let one = lanes.splat(1.0);
    let e = exp(lanes, lanes.sub(lanes.splat(0.0), x));
    lanes.div(one, lanes.add(one, e))
}

/// The error function, at most 3e-7 off: formula 7.1.26 of Abramowitz and Stegun, "Handbook of
/// Mathematical Functions" (1.5e-7 in exact arithmetic).
#[inline(always)]
fn erf<L: Lanes>(lanes: L, x: L::V) -> L::V {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [
        1.061_405_4,
        -1.453_152,
        1.421_413_7,
        -0.284_496_74,
        0.254_829_6,
    ];
    let one = lanes.splat(1.0);
    let size = lanes.abs(x);
    let t = lanes.div(one, lanes.fma(lanes.splat(P), size, one));
    let mut p = lanes.splat(A[0]);
    for i in 1..A.len() {
        p = lanes.fma(p, t, lanes.splat(A[i]));
    }
    let square = lanes.mul(size, size);
    let e = exp(lanes, lanes.sub(lanes.splat(0.0), square));
    let rest = lanes.mul(lanes.mul(p, t), e);
    lanes.copy_sign(lanes.sub(one, rest), x)
}

/// `x * Phi(x)`.
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(lanes: L, x: L::V) -> L::V {
    let half = lanes.mul(x, lanes.splat(0.5));
    let e = erf(
        lanes,
        lanes.mul(x, lanes.splat(std::f32::consts::FRAC_1_SQRT_2)),
    );
    lanes.fma(half, e, half)
}

/// The tanh form, written as `x * sigmoid(2 y)`.
#[inline(always)]
fn gelu_tanh<L: Lanes>(lanes: L, x: L::V) -> L::V {
    const ROOT: f32 = 0.797_884_6; // sqrt(2 / pi)
    let cube = lanes.mul(lanes.mul(x, x), x);
    let y = lanes.mul(
        lanes.fma(lanes.splat(0.044_715), cube, x),
        lanes.splat(2.0 * ROOT),
    );
    lanes.mul(x, sigmoid(lanes, y))
}

/// One activation.
#[inline(always)]
pub(crate) fn activate<L: Lanes>(lanes: L, x: L::V, activation: Activation) -> L::V {
    match activation {
        Activation::Silu => lanes.mul(x, sigmoid(lanes, x)),
        Activation::Gelu => gelu(lanes, x),
        Activation::GeluTanh => gelu_tanh(lanes, x),
        Activation::QuickGelu => lanes.mul(x, sigmoid(lanes, lanes.mul(x, lanes.splat(1.702)))),
        // In this order a NaN passes (see `Lanes::max`).
        Activation::Relu => lanes.max(lanes.splat(0.0), x),
    }
}
