//! The lanes in plain Rust: the definition the other levels are held to, and the path of every CPU
//! without a level of its own (NEON has fused multiply-add, so the compiler vectorises it there).

use half::{bf16, f16};

use super::{Group, Kernel, LANES, Lanes, Tile, tile};

#[derive(Clone, Copy)]
pub(super) struct Portable;

pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

#[inline(always)]
fn each(a: Group, f: impl Fn(f32) -> f32) -> Group {
    let mut out = a;
    for lane in &mut out {
        *lane = f(*lane);
    }
    out
}

#[inline(always)]
fn both(a: Group, b: Group, f: impl Fn(f32, f32) -> f32) -> Group {
    let mut out = a;
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Lanes for Portable {
    type V = Group;
    const ROWS: usize = 4;
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f32) -> Group {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, from: &Group) -> Group {
        *from
    }
    #[inline(always)]
    fn store(self, value: Group, to: &mut Group) {
        *to = value;
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> Group {
        from.map(|bits| f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> Group {
        from.map(|bits| bf16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    fn add(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Group, b: Group, c: Group) -> Group {
        let mut out = c;
        for i in 0..LANES {
            out[i] = a[i].mul_add(b[i], c[i]);
        }
        out
    }
    #[inline(always)]
    fn max(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Group, b: Group) -> Group {
        both(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self, a: Group) -> Group {
        each(a, f32::round_ties_even)
    }
    #[inline(always)]
    fn exp2_integer(self, n: Group) -> Group {
        each(n, |n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn abs(self, a: Group) -> Group {
        each(a, f32::abs)
    }
    #[inline(always)]
    fn copy_sign(self, a: Group, sign: Group) -> Group {
        both(a, sign, f32::copysign)
    }
    #[inline(always)]
    fn sum(self, a: Group) -> f32 {
        let mut sums = a;
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        sums[0]
    }
    #[inline(always)]
    fn multiply(self, tile: &Tile<'_>, sums: &mut [f32]) {
        match tile.rows {
            4 => tile::multiply::<Self, 4, 1>(self, tile, sums),
            3 => tile::multiply::<Self, 3, 1>(self, tile, sums),
            2 => tile::multiply::<Self, 2, 1>(self, tile, sums),
            _ => tile::multiply::<Self, 1, 1>(self, tile, sums),
        }
    }
}
