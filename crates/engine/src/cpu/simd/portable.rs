//! The lanes in plain Rust: the definition the other levels are held to, and the path of every CPU
//! without a level of its own (NEON has fused multiply-add, so the compiler vectorises it there).

use half::{bf16, f16};

use super::{Group, Kernel, LANES, Lanes, Product, Tile, Words, tile};

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

/// Zero of the same sign for a denormal number.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE {
        return 0.0f32.copysign(x);
    }
    x
}

/// Bits of the nearest bfloat, ties to even; a denormal number is zero.
#[inline(always)]
fn round_bf16(x: f32) -> u32 {
    let bits = flush(x).to_bits();
    if x.is_nan() {
        return bits >> 16 | 0x40;
    }
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
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
    fn load_words(self, from: &Words) -> Group {
        from.map(f32::from_bits)
    }
    #[inline(always)]
    fn store_words(self, value: Group, to: &mut Words) {
        *to = value.map(f32::to_bits);
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Group {
        [f32::from_bits(word); LANES]
    }
    #[inline(always)]
    fn dot_bf16(self, a: Group, b: Group, c: Group) -> Group {
        let high = |v: f32| flush(f32::from_bits(v.to_bits() & 0xffff_0000));
        let low = |v: f32| flush(f32::from_bits(v.to_bits() << 16));
        let mut out = c;
        for i in 0..LANES {
            let sum = flush(high(a[i]).mul_add(high(b[i]), flush(c[i])));
            out[i] = flush(low(a[i]).mul_add(low(b[i]), sum));
        }
        out
    }
    #[inline(always)]
    fn bf16_pairs(self, low: Group, high: Group) -> Group {
        both(low, high, |low, high| {
            f32::from_bits(round_bf16(low) | round_bf16(high) << 16)
        })
    }
    #[inline(always)]
    fn bf16_neighbours(self, first: Group, second: Group) -> Group {
        let mut out = first;
        for i in 0..LANES {
            let from = if i < LANES / 2 { &first } else { &second };
            let [low, high] = [2 * i, 2 * i + 1].map(|at| round_bf16(from[at % LANES]));
            out[i] = f32::from_bits(low | high << 16);
        }
        out
    }
    #[inline(always)]
    fn store_bf16(self, value: Group, to: &mut [u32; LANES / 2]) {
        for (word, pair) in to.iter_mut().zip(value.chunks_exact(2)) {
            *word = round_bf16(pair[0]) | round_bf16(pair[1]) << 16;
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: Group, b: Group, c: Group) -> Group {
        let mut out = c;
        for i in 0..LANES {
            let (a, b) = (a[i].to_bits().to_le_bytes(), b[i].to_bits().to_le_bytes());
            let mut sum = c[i].to_bits().cast_signed();
            for (a, b) in a.into_iter().zip(b) {
                sum = sum.wrapping_add(i32::from(a) * i32::from(b.cast_signed()));
            }
            out[i] = f32::from_bits(sum.cast_unsigned());
        }
        out
    }
    #[inline(always)]
    fn bytes(self, integers: [Group; 4]) -> Group {
        let mut out = integers[0];
        for i in 0..LANES {
            let bytes = integers.map(|all| all[i] as i32 as u8);
            out[i] = f32::from_bits(u32::from_le_bytes(bytes));
        }
        out
    }
    #[inline(always)]
    fn store_bytes(self, value: Group, to: &mut [u32; LANES / 4]) {
        for (word, four) in to.iter_mut().zip(value.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(four.map(|v| v as i32 as u8));
        }
    }
    #[inline(always)]
    fn convert_numbers(self, a: Group) -> Group {
        each(a, |v| f32::from_bits((v as i32).cast_unsigned()))
    }
    #[inline(always)]
    fn less_products(self, c: Group, a: Group, b: Group) -> Group {
        let mut out = c;
        for i in 0..LANES {
            let [a, b, c] = [a[i], b[i], c[i]].map(|v| v.to_bits().cast_signed());
            out[i] = f32::from_bits(c.wrapping_sub(a.wrapping_mul(b)).cast_unsigned());
        }
        out
    }
    #[inline(always)]
    fn convert_integers(self, a: Group) -> Group {
        each(a, |v| v.to_bits().cast_signed() as f32)
    }
    #[inline(always)]
    fn multiply<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]) {
        match tile.rows {
            4 => tile::multiply::<P, Self, 4, 1>(self, tile, sums),
            3 => tile::multiply::<P, Self, 3, 1>(self, tile, sums),
            2 => tile::multiply::<P, Self, 2, 1>(self, tile, sums),
            _ => tile::multiply::<P, Self, 1, 1>(self, tile, sums),
        }
    }
}
