//! The lanes in one 512-bit register.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{Group, Kernel, LANES, Lanes, Product, Tile, Words, avx2, operands, tile};

/// Exists only where [`run`] was called, hence where the CPU has AVX-512 F; with `BF16` only where [`run_bf16`] was,
/// hence where it has AVX-512 BF16 and BW too; with `INT8` only where [`run_int8`] was, hence where it has AVX-512 VNNI.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const BF16: bool, const INT8: bool>(());

/// Runs a kernel compiled for AVX-512 F.
///
/// # Safety
/// The CPU must have AVX-512 F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<false, false>(()))
}

/// Runs a kernel compiled for AVX-512 F, BW and BF16.
///
/// # Safety
/// The CPU must have them, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<true, false>(()))
}

/// Runs a kernel compiled for AVX-512 F and VNNI.
///
/// # Safety
/// The CPU must have them, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
pub(super) unsafe fn run_int8<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<false, true>(()))
}

macro_rules! vector {
    ($e:expr) => {{
        // SAFETY: an `Avx512` value exists only where the CPU has AVX-512 F.
        unsafe { $e }
    }};
}

/// Zeros of the same sign for denormal numbers.
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
unsafe fn flush(x: __m512) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let least = _mm512_set1_ps(f32::MIN_POSITIVE);
        let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(x), least);
        let bits = _mm512_castps_si512(x);
        let sign = _mm512_and_epi32(bits, _mm512_set1_epi32(i32::MIN));
        _mm512_castsi512_ps(_mm512_mask_mov_epi32(sign, kept, bits))
    }
}

/// Bits of the nearest bfloats in the lower halves of the lanes; see [`Lanes::bf16_pairs`].
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
unsafe fn round_bf16(x: __m512) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm512_castps_si512(flush(x));
        let upper = _mm512_srli_epi32::<16>(bits);
        let even = _mm512_and_epi32(upper, _mm512_set1_epi32(1));
        let more = _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff));
        let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, more));
        let quiet = _mm512_or_epi32(upper, _mm512_set1_epi32(0x40));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        _mm512_mask_mov_epi32(rounded, nan, quiet)
    }
}

/// The bits of a register as bfloats.
#[inline(always)]
fn bfloats(bits: __m512) -> __m512bh {
    // SAFETY: any bits are thirty-two bfloats.
    unsafe { transmute::<__m512, __m512bh>(bits) }
}

/// The bits of a register as integers.
#[inline(always)]
fn integers(bits: __m512) -> __m512i {
    // SAFETY: any bits are sixteen integers.
    unsafe { transmute::<__m512, __m512i>(bits) }
}

/// Places of numbers in [`Lanes::bf16_pairs`]: one of the first register, one of the second.
const PAIRS: [u16; 2 * LANES] = {
    let mut places = [0; 2 * LANES];
    let mut i = 0;
    while i < 2 * LANES {
        places[i] = (i / 2 + i % 2 * LANES) as u16;
        i += 1;
    }
    places
};

/// The tile of as many rows as there are, `$u` lane groups wide.
macro_rules! rows {
    ($u:literal, $lanes:ident, $tile:ident, $sums:ident; $($r:literal)+) => {
        match $tile.rows {
            $($r => tile::multiply::<P, Self, $r, $u>($lanes, $tile, $sums),)+
            _ => {
                debug_assert_eq!($tile.rows, 1, "a tile has as many rows");
                tile::multiply::<P, Self, 1, $u>($lanes, $tile, $sums)
            }
        }
    };
}

impl<const BF16: bool, const INT8: bool> Lanes for Avx512<BF16, INT8> {
    type V = __m512;
    // 28 sums, 2 columns and 1 broadcast fill 31 of 32 registers.
    const ROWS: usize = 14;
    const WIDTH: usize = 2 * LANES;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        vector!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &Group) -> __m512 {
        vector!(_mm512_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn store(self, value: __m512, to: &mut Group) {
        vector!(_mm512_storeu_ps(to.as_mut_ptr(), value));
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> __m512 {
        vector!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> __m512 {
        vector!({
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        })
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        vector!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        vector!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        vector!(_mm512_roundscale_ps::<NEAREST>(a))
    }
    #[inline(always)]
    fn exp2_integer(self, n: __m512) -> __m512 {
        vector!({
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        })
    }
    #[inline(always)]
    fn scale_by_exp2(self, a: __m512, n: __m512) -> __m512 {
        vector!(_mm512_scalef_ps(a, n))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        vector!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn copy_sign(self, a: __m512, sign: __m512) -> __m512 {
        vector!({
            let mask = _mm512_set1_epi32(i32::MIN);
            let size = _mm512_andnot_epi32(mask, _mm512_castps_si512(a));
            let sign = _mm512_and_epi32(mask, _mm512_castps_si512(sign));
            _mm512_castsi512_ps(_mm512_or_epi32(size, sign))
        })
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        vector!({
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)));
            let eight = _mm256_add_ps(_mm512_castps512_ps256(a), high);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn load_words(self, from: &Words) -> __m512 {
        vector!(_mm512_loadu_ps(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn store_words(self, value: __m512, to: &mut Words) {
        vector!(_mm512_storeu_ps(to.as_mut_ptr().cast(), value));
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> __m512 {
        vector!(_mm512_castsi512_ps(_mm512_set1_epi32(word.cast_signed())))
    }
    #[inline(always)]
    fn dot_bf16(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if BF16 {
            // SAFETY: with `BF16` the CPU has the instruction; any bits are thirty-two bfloats.
            return unsafe { _mm512_dpbf16_ps(c, bfloats(a), bfloats(b)) };
        }
        vector!({
            let mask = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            let high = |v| {
                let bits = _mm512_and_epi32(_mm512_castps_si512(v), mask);
                flush(_mm512_castsi512_ps(bits))
            };
            let low = |v| {
                let bits = _mm512_slli_epi32::<16>(_mm512_castps_si512(v));
                flush(_mm512_castsi512_ps(bits))
            };
            let sum = flush(_mm512_fmadd_ps(high(a), high(b), flush(c)));
            flush(_mm512_fmadd_ps(low(a), low(b), sum))
        })
    }
    #[inline(always)]
    fn bf16_pairs(self, low: __m512, high: __m512) -> __m512 {
        if BF16 {
            // SAFETY: with `BF16` the CPU has both instructions; any bits are thirty-two bfloats.
            return unsafe {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                let places = _mm512_loadu_si512(PAIRS.as_ptr().cast());
                _mm512_castsi512_ps(_mm512_permutexvar_epi16(places, both))
            };
        }
        vector!({
            let high = _mm512_slli_epi32::<16>(round_bf16(high));
            _mm512_castsi512_ps(_mm512_or_epi32(high, round_bf16(low)))
        })
    }
    #[inline(always)]
    fn bf16_neighbours(self, first: __m512, second: __m512) -> __m512 {
        if BF16 {
            // SAFETY: with `BF16` the CPU has the instruction; any bits are sixteen words.
            return unsafe { transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(second, first)) };
        }
        vector!({
            let first = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(round_bf16(first)));
            let second = _mm512_cvtepi32_epi16(round_bf16(second));
            _mm512_castsi512_ps(_mm512_inserti64x4::<1>(first, second))
        })
    }
    #[inline(always)]
    fn store_bf16(self, value: __m512, to: &mut [u32; LANES / 2]) {
        // SAFETY: `to` holds eight words; an unaligned store. With `BF16` the CPU has the instruction.
        unsafe {
            let words: __m256i = match BF16 {
                true => transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value)),
                false => _mm512_cvtepi32_epi16(round_bf16(value)),
            };
            _mm256_storeu_si256(to.as_mut_ptr().cast(), words);
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if INT8 {
            // SAFETY: with `INT8` the CPU has the instruction.
            return unsafe {
                let sum = _mm512_dpbusd_epi32(integers(c), integers(a), integers(b));
                _mm512_castsi512_ps(sum)
            };
        }
        vector!({
            let (a, b) = (integers(a), integers(b));
            let low = avx2::byte_products(_mm512_castsi512_si256(a), _mm512_castsi512_si256(b));
            let high_a = _mm512_extracti64x4_epi64::<1>(a);
            let high_b = _mm512_extracti64x4_epi64::<1>(b);
            let high = avx2::byte_products(high_a, high_b);
            let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            _mm512_castsi512_ps(_mm512_add_epi32(all, integers(c)))
        })
    }
    #[inline(always)]
    fn bytes(self, integers: [__m512; 4]) -> __m512 {
        vector!({
            let [a, b, c, d] =
                integers.map(|v| _mm512_and_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(0xff)));
            let low = _mm512_or_epi32(a, _mm512_slli_epi32::<8>(b));
            let high = _mm512_or_epi32(_mm512_slli_epi32::<16>(c), _mm512_slli_epi32::<24>(d));
            _mm512_castsi512_ps(_mm512_or_epi32(low, high))
        })
    }
    #[inline(always)]
    fn store_bytes(self, value: __m512, to: &mut [u32; LANES / 4]) {
        vector!({
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        });
    }
    #[inline(always)]
    fn convert_numbers(self, a: __m512) -> __m512 {
        vector!(_mm512_castsi512_ps(_mm512_cvtps_epi32(a)))
    }
    #[inline(always)]
    fn less_products(self, c: __m512, a: __m512, b: __m512) -> __m512 {
        vector!({
            let products = _mm512_mullo_epi32(integers(a), integers(b));
            _mm512_castsi512_ps(_mm512_sub_epi32(integers(c), products))
        })
    }
    #[inline(always)]
    fn convert_integers(self, a: __m512) -> __m512 {
        vector!(_mm512_cvtepi32_ps(integers(a)))
    }
    #[inline(always)]
    fn multiply<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]) {
        // SAFETY: an `Avx512` value exists only where the CPU has AVX-512 F, with `INT8` only where it has VNNI.
        if unsafe { operands::multiply::<P, INT8>(tile, sums) } {
            return;
        }
        rows!(2, self, tile, sums; 14 13 12 11 10 9 8 7 6 5 4 3 2);
    }
    #[inline(always)]
    fn multiply_narrow<P: Product>(self, tile: &Tile<'_, P::Item>, sums: &mut [f32]) {
        // SAFETY: as in `multiply`.
        if unsafe { operands::multiply_narrow::<P>(tile, sums) } {
            return;
        }
        rows!(1, self, tile, sums; 14 13 12 11 10 9 8 7 6 5 4 3 2);
    }
}
