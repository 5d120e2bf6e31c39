//! The lanes in two 256-bit registers.

use std::arch::x86_64::*;

use super::{Group, Kernel, LANES, Lanes, Product, Tile, Words, tile};

/// Exists only where [`run`] was called, hence where the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Runs a kernel compiled for AVX2, FMA and F16C.
///
/// # Safety
/// The CPU must have all three.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

macro_rules! halves {
    ($f:ident($($arg:ident),+)) => {{
        // SAFETY: an `Avx2` value exists only where the CPU has AVX2, FMA and F16C.
        unsafe { [$f($($arg[0]),+), $f($($arg[1]),+)] }
    }};
}

/// Zeros of the same sign for denormal numbers.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn flush(x: __m256) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let sign = _mm256_set1_ps(-0.0);
        let size = _mm256_andnot_ps(sign, x);
        let kept = _mm256_cmp_ps::<_CMP_NLT_UQ>(size, _mm256_set1_ps(f32::MIN_POSITIVE));
        _mm256_and_ps(x, _mm256_or_ps(kept, sign))
    }
}

/// Bits of the nearest bfloats in the lower halves of the lanes; see [`Lanes::bf16_pairs`].
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn round_bf16(x: __m256) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm256_castps_si256(flush(x));
        let upper = _mm256_srli_epi32::<16>(bits);
        let even = _mm256_and_si256(upper, _mm256_set1_epi32(1));
        let more = _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff));
        let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, more));
        let quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
        _mm256_blendv_epi8(rounded, quiet, nan)
    }
}

/// Sums of four products in every lane of eight; see [`Lanes::dot_bytes`].
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn byte_products(a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        // By 16 bits, since products of bytes are added up to no more than 16 bits, with saturation.
        let even = _mm256_and_si256(a, _mm256_set1_epi16(0xff));
        let odd = _mm256_srli_epi16::<8>(a);
        let even_b = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
        let odd_b = _mm256_srai_epi16::<8>(b);
        _mm256_add_epi32(
            _mm256_madd_epi16(even, even_b),
            _mm256_madd_epi16(odd, odd_b),
        )
    }
}

impl Lanes for Avx2 {
    type V = [__m256; 2];
    // 12 sums, 2 columns and 1 broadcast fill 15 of 16 registers.
    const ROWS: usize = 6;
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: as in `halves`.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &Group) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            [
                _mm256_loadu_ps(from.as_ptr()),
                _mm256_loadu_ps(from.as_ptr().add(8)),
            ]
        }
    }
    #[inline(always)]
    fn store(self, value: Self::V, to: &mut Group) {
        // SAFETY: `to` holds sixteen numbers; unaligned stores.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), value[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), value[1]);
        }
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> Self::V {
        // SAFETY: `from` holds sixteen numbers; unaligned loads.
        unsafe {
            let wide =
                |bits| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)));
            [
                wide(_mm_loadu_si128(from.as_ptr().cast())),
                wide(_mm_loadu_si128(from.as_ptr().add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        halves!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: as in `halves`.
        unsafe {
            [
                _mm256_round_ps::<NEAREST>(a[0]),
                _mm256_round_ps::<NEAREST>(a[1]),
            ]
        }
    }
    #[inline(always)]
    fn exp2_integer(self, n: Self::V) -> Self::V {
        let one = |n: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            }
        };
        [one(n[0]), one(n[1])]
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        let sign = self.splat(-0.0);
        halves!(_mm256_andnot_ps(sign, a))
    }
    #[inline(always)]
    fn copy_sign(self, a: Self::V, sign: Self::V) -> Self::V {
        let mask = self.splat(-0.0);
        let size = self.abs(a);
        let sign = halves!(_mm256_and_ps(mask, sign));
        halves!(_mm256_or_ps(size, sign))
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: as in `halves`.
        unsafe {
            let eight = _mm256_add_ps(a[0], a[1]);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn load_words(self, from: &Words) -> Self::V {
        // SAFETY: `from` holds sixteen words; unaligned loads.
        unsafe {
            [
                _mm256_loadu_ps(from.as_ptr().cast()),
                _mm256_loadu_ps(from.as_ptr().add(8).cast()),
            ]
        }
    }
    #[inline(always)]
    fn store_words(self, value: Self::V, to: &mut Words) {
        // SAFETY: `to` holds sixteen words; unaligned stores.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr().cast(), value[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8).cast(), value[1]);
        }
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Self::V {
        // SAFETY: as in `halves`.
        unsafe { [_mm256_castsi256_ps(_mm256_set1_epi32(word.cast_signed())); 2] }
    }
    #[inline(always)]
    fn dot_bf16(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let one = |a: __m256, b: __m256, c: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let mask = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32.cast_signed()));
                let high = |v| flush(_mm256_and_ps(v, mask));
                let low = |v| {
                    let bits = _mm256_castps_si256(v);
                    flush(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits)))
                };
                let sum = flush(_mm256_fmadd_ps(high(a), high(b), flush(c)));
                flush(_mm256_fmadd_ps(low(a), low(b), sum))
            }
        };
        [one(a[0], b[0], c[0]), one(a[1], b[1], c[1])]
    }
    #[inline(always)]
    fn bf16_pairs(self, low: Self::V, high: Self::V) -> Self::V {
        let one = |low: __m256, high: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let high = _mm256_slli_epi32::<16>(round_bf16(high));
                _mm256_castsi256_ps(_mm256_or_si256(high, round_bf16(low)))
            }
        };
        [one(low[0], high[0]), one(low[1], high[1])]
    }
    #[inline(always)]
    fn bf16_neighbours(self, first: Self::V, second: Self::V) -> Self::V {
        let one = |v: Self::V| {
            // SAFETY: as in `halves`.
            unsafe {
                // Packing works on halves of the register: the middle quarters change places.
                let packed = _mm256_packus_epi32(round_bf16(v[0]), round_bf16(v[1]));
                _mm256_castsi256_ps(_mm256_permute4x64_epi64::<0b11_01_10_00>(packed))
            }
        };
        [one(first), one(second)]
    }
    #[inline(always)]
    fn store_bf16(self, value: Self::V, to: &mut [u32; LANES / 2]) {
        // SAFETY: `to` holds eight words; an unaligned store.
        unsafe {
            let words = self.bf16_neighbours(value, value)[0];
            _mm256_storeu_ps(to.as_mut_ptr().cast(), words);
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let one = |a: __m256, b: __m256, c: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let products = byte_products(_mm256_castps_si256(a), _mm256_castps_si256(b));
                _mm256_castsi256_ps(_mm256_add_epi32(products, _mm256_castps_si256(c)))
            }
        };
        [one(a[0], b[0], c[0]), one(a[1], b[1], c[1])]
    }
    #[inline(always)]
    fn bytes(self, integers: [Self::V; 4]) -> Self::V {
        let one = |integers: [__m256; 4]| {
            // SAFETY: as in `halves`.
            unsafe {
                let [a, b, c, d] = integers
                    .map(|v| _mm256_and_si256(_mm256_cvtps_epi32(v), _mm256_set1_epi32(0xff)));
                let low = _mm256_or_si256(a, _mm256_slli_epi32::<8>(b));
                let high = _mm256_or_si256(_mm256_slli_epi32::<16>(c), _mm256_slli_epi32::<24>(d));
                _mm256_castsi256_ps(_mm256_or_si256(low, high))
            }
        };
        [one(integers.map(|v| v[0])), one(integers.map(|v| v[1]))]
    }
    #[inline(always)]
    fn store_bytes(self, value: Self::V, to: &mut [u32; LANES / 4]) {
        // SAFETY: `to` holds sixteen bytes; an unaligned store. The CPU has AVX2.
        unsafe {
            let bytes = _mm256_set1_epi32(0xff);
            let [low, high] = value.map(|v| _mm256_and_si256(_mm256_cvtps_epi32(v), bytes));
            // Packing works on halves of the register: their words are put in order after it.
            let pairs = _mm256_packus_epi32(low, high);
            let quads = _mm256_packus_epi16(pairs, pairs);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
            let all = _mm256_permutevar8x32_epi32(quads, order);
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(all));
        }
    }
    #[inline(always)]
    fn convert_numbers(self, a: Self::V) -> Self::V {
        // SAFETY: as in `halves`.
        a.map(|a| unsafe { _mm256_castsi256_ps(_mm256_cvtps_epi32(a)) })
    }
    #[inline(always)]
    fn less_products(self, c: Self::V, a: Self::V, b: Self::V) -> Self::V {
        let one = |c: __m256, a: __m256, b: __m256| {
            // SAFETY: as in `halves`.
            unsafe {
                let [a, b, c] = [a, b, c].map(|v| _mm256_castps_si256(v));
                _mm256_castsi256_ps(_mm256_sub_epi32(c, _mm256_mullo_epi32(a, b)))
            }
        };
        [one(c[0], a[0], b[0]), one(c[1], a[1], b[1])]
    }
    #[inline(always)]
    fn convert_integers(self, a: Self::V) -> Self::V {
        // SAFETY: as in `halves`.
        a.map(|a| unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(a)) })
    }
    #[inline(always)]
    fn multiply<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]) {
        match tile.rows {
            6 => tile::multiply::<P, Self, 6, 1>(self, tile, sums),
            5 => tile::multiply::<P, Self, 5, 1>(self, tile, sums),
            4 => tile::multiply::<P, Self, 4, 1>(self, tile, sums),
            3 => tile::multiply::<P, Self, 3, 1>(self, tile, sums),
            2 => tile::multiply::<P, Self, 2, 1>(self, tile, sums),
            _ => tile::multiply::<P, Self, 1, 1>(self, tile, sums),
        }
    }
}
