//! The register tile of fourteen rows in AVX-512 whose left factor is an operand in memory of each multiply-add.
//!
//! A compiler reads a number of the left factor once and multiplies with it twice: 44 instructions for 28 multiply-adds. Here
//! they are 30, so that the tile keeps its pace where a core's other thread takes half of the instructions that it begins in
//! a cycle. An address with an index would count as an instruction of its own, hence rows lie at distances known here:
//! [`PITCHES`]. The arithmetic is that of [`super::tile`].

use std::arch::asm;

use super::tile::PITCHES;
use super::{Fast, LANES, Product, Tile};

/// Rows of the tile.
const ROWS: usize = 14;

/// `$each!(low, high, ..)` of every row, whose sums are in the registers `low` and, where they are two, `high`.
macro_rules! rows {
    ($each:ident $(, $more:literal)*) => {
        concat!(
            $each!(0, 14 $(, $more)*), $each!(1, 15 $(, $more)*), $each!(2, 16 $(, $more)*), $each!(3, 17 $(, $more)*),
            $each!(4, 18 $(, $more)*), $each!(5, 19 $(, $more)*), $each!(6, 20 $(, $more)*), $each!(7, 21 $(, $more)*),
            $each!(8, 22 $(, $more)*), $each!(9, 23 $(, $more)*), $each!(10, 24 $(, $more)*), $each!(11, 25 $(, $more)*),
            $each!(12, 26 $(, $more)*), $each!(13, 27 $(, $more)*),
        )
    };
}

/// Multiply-adds of one row at the `$k`-th place from `a` on.
macro_rules! add_wide {
    ($low:literal, $high:literal, $k:literal) => {
        concat!(
            "vfmadd231ps zmm",
            $low,
            ", zmm28, dword ptr [{a} + {r",
            $low,
            "} + 4*",
            $k,
            "]{{1to16}}\n",
            "vfmadd231ps zmm",
            $high,
            ", zmm29, dword ptr [{a} + {r",
            $low,
            "} + 4*",
            $k,
            "]{{1to16}}\n",
        )
    };
}
macro_rules! add_narrow {
    ($low:literal, $high:literal, $k:literal) => {
        concat!(
            "vfmadd231ps zmm",
            $low,
            ", zmm28, dword ptr [{a} + {r",
            $low,
            "} + 4*",
            $k,
            "]{{1to16}}\n"
        )
    };
}
/// Dot products of four bytes of one row; what is broadcast is the factor without signs, which cannot be an operand in memory.
macro_rules! add_bytes {
    ($low:literal, $high:literal, $k:literal) => {
        concat!(
            "vpbroadcastd zmm30, dword ptr [{a} + {r",
            $low,
            "} + 4*",
            $k,
            "]\n",
            "vpdpbusd zmm",
            $low,
            ", zmm30, zmm28\n",
            "vpdpbusd zmm",
            $high,
            ", zmm30, zmm29\n",
        )
    };
}
/// One step of all sums, by `$add` of each row.
macro_rules! step_wide {
    ($add:ident, $k:literal) => {
        concat!(
            "vmovups zmm28, [{panel} + 128*",
            $k,
            "]\n",
            "vmovups zmm29, [{panel} + 128*",
            $k,
            " + 64]\n",
            rows!($add, $k),
        )
    };
}
macro_rules! step_narrow {
    ($add:ident, $k:literal) => {
        concat!("vmovups zmm28, [{panel} + 64*", $k, "]\n", rows!($add, $k))
    };
}
macro_rules! clear {
    ($low:literal, $high:literal) => {
        concat!(
            "vpxord zmm",
            $low,
            ", zmm",
            $low,
            ", zmm",
            $low,
            "\n",
            "vpxord zmm",
            $high,
            ", zmm",
            $high,
            ", zmm",
            $high,
            "\n",
        )
    };
}
macro_rules! load_wide {
    ($low:literal, $high:literal) => {
        concat!(
            "vmovups zmm",
            $low,
            ", [{row}]\n",
            "vmovups zmm",
            $high,
            ", [{row} + 64]\n",
            "add {row}, {pitch}\n",
        )
    };
}
macro_rules! load_narrow {
    ($low:literal, $high:literal) => {
        concat!("vmovups zmm", $low, ", [{row}]\n", "add {row}, {pitch}\n")
    };
}
macro_rules! store_wide {
    ($low:literal, $high:literal) => {
        concat!(
            "vmovups [{row}], zmm",
            $low,
            "\n",
            "vmovups [{row} + 64], zmm",
            $high,
            "\n",
            "add {row}, {pitch}\n",
        )
    };
}
macro_rules! store_narrow {
    ($low:literal, $high:literal) => {
        concat!("vmovups [{row}], zmm", $low, "\n", "add {row}, {pitch}\n")
    };
}

/// A function that adds one run of a tile whose rows lie `PITCH` numbers apart.
macro_rules! tile {
    ($name:ident, $features:literal, $width:literal, $step:ident, $add:ident, $load:ident, $store:ident) => {
        /// # Safety
        /// The CPU must have AVX-512 F and what else is enabled. `depth` words of fourteen rows from `a` on must be readable,
        /// `PITCH` apart, and of the panel `depth` times its width; so many sums of as many rows, `pitch` bytes apart, must be
        /// writable.
        #[target_feature(enable = $features)]
        unsafe fn $name<const PITCH: usize>(
            a: *const f32,
            depth: usize,
            panel: *const f32,
            sums: *mut f32,
            pitch: usize,
            fresh: bool,
        ) {
            // SAFETY: the caller's promise; the text reads and writes nothing else and leaves the stack alone.
            unsafe {
                asm!(
                    "test {fresh}, {fresh}",
                    "jz 2f",
                    rows!(clear),
                    "jmp 3f",
                    "2:",
                    rows!($load),
                    "3:",
                    "test {fours}, {fours}",
                    "jz 5f",
                    "4:",
                    $step!($add, 0), $step!($add, 1), $step!($add, 2), $step!($add, 3),
                    concat!("add {panel}, 4*", $width),
                    "add {a}, 16",
                    "dec {fours}",
                    "jnz 4b",
                    "5:",
                    "test {ones}, {ones}",
                    "jz 7f",
                    "6:",
                    $step!($add, 0),
                    concat!("add {panel}, ", $width),
                    "add {a}, 4",
                    "dec {ones}",
                    "jnz 6b",
                    "7:",
                    "mov {row}, {sums}",
                    rows!($store),
                    fresh = in(reg) usize::from(fresh),
                    fours = inout(reg) depth / 4 => _,
                    ones = inout(reg) depth % 4 => _,
                    panel = inout(reg) panel => _,
                    a = inout(reg) a => _,
                    row = inout(reg) sums => _,
                    sums = in(reg) sums,
                    pitch = in(reg) pitch,
                    r0 = const 0, r1 = const 4 * PITCH, r2 = const 8 * PITCH, r3 = const 12 * PITCH,
                    r4 = const 16 * PITCH, r5 = const 20 * PITCH, r6 = const 24 * PITCH, r7 = const 28 * PITCH,
                    r8 = const 32 * PITCH, r9 = const 36 * PITCH, r10 = const 40 * PITCH, r11 = const 44 * PITCH,
                    r12 = const 48 * PITCH, r13 = const 52 * PITCH,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _, out("zmm6") _,
                    out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _, out("zmm12") _,
                    out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _, out("zmm18") _,
                    out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _, out("zmm24") _,
                    out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _, out("zmm30") _,
                    options(nostack),
                );
            }
        }
    };
}

tile!(
    add_run, "avx512f", 128, step_wide, add_wide, load_wide, store_wide
);
tile!(
    add_narrow_run,
    "avx512f",
    64,
    step_narrow,
    add_narrow,
    load_narrow,
    store_narrow
);
tile!(
    add_byte_run,
    "avx512f,avx512vnni",
    128,
    step_wide,
    add_bytes,
    load_wide,
    store_wide
);

type Run = unsafe fn(*const f32, usize, *const f32, *mut f32, usize, bool);

/// The functions of each of [`PITCHES`].
macro_rules! of_each_pitch {
    ($run:ident) => {
        [
            $run::<{ PITCHES[0] }>,
            $run::<{ PITCHES[1] }>,
            $run::<{ PITCHES[2] }>,
            $run::<{ PITCHES[3] }>,
            $run::<{ PITCHES[4] }>,
            $run::<{ PITCHES[5] }>,
            $run::<{ PITCHES[6] }>,
        ]
    };
}
const RUNS: [Run; PITCHES.len()] = of_each_pitch!(add_run);
const NARROW_RUNS: [Run; PITCHES.len()] = of_each_pitch!(add_narrow_run);
const BYTE_RUNS: [Run; PITCHES.len()] = of_each_pitch!(add_byte_run);

/// Computes a tile two lane groups wide, if it is one of those of this file.
///
/// # Safety
/// The CPU must have AVX-512 F, with `INT8` VNNI too.
#[inline(always)]
pub(super) unsafe fn multiply<P: Product, const INT8: bool>(
    tile: &Tile<'_, P::Item>,
    sums: &mut [f32],
) -> bool {
    let runs = match P::FAST {
        Fast::None => &RUNS,
        Fast::Int8 if INT8 => &BYTE_RUNS,
        _ => return false,
    };
    // SAFETY: the caller's promise; both are two lane groups wide.
    unsafe { run(tile, sums, runs, 2 * LANES) }
}

/// The same of one lane group.
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
pub(super) unsafe fn multiply_narrow<P: Product>(
    tile: &Tile<'_, P::Item>,
    sums: &mut [f32],
) -> bool {
    // SAFETY: the caller's promise; these are one lane group wide.
    P::FAST == Fast::None && unsafe { run(tile, sums, &NARROW_RUNS, LANES) }
}

/// # Safety
/// The CPU must have AVX-512 F, and what `runs` need beside it; they must be tiles of `width` columns.
#[inline(always)]
unsafe fn run<T>(
    tile: &Tile<'_, T>,
    sums: &mut [f32],
    runs: &[Run; PITCHES.len()],
    width: usize,
) -> bool {
    const { assert!(size_of::<T>() == size_of::<f32>(), "items are words") };
    let known = PITCHES.iter().position(|&pitch| pitch == tile.stride);
    let Some(known) = known.filter(|_| tile.rows == ROWS && !tile.positions.is_empty()) else {
        return false;
    };
    tile.check(ROWS, width, sums);
    let mut panel = tile.panel.as_ptr();
    let mut fresh = tile.fresh;
    for &position in tile.positions {
        // SAFETY: `check` proved every `position + r * stride + k` with `r < ROWS`, `k < depth` to be inside `a`,
        // `positions * depth` rows of `width` inside `panel`, and all sums inside `sums`.
        unsafe {
            let a = tile.a.as_ptr().add(position).cast();
            let pitch = size_of::<f32>() * tile.pitch;
            let sums = sums.as_mut_ptr();
            runs[known](a, tile.depth, panel.cast(), sums, pitch, fresh);
            panel = panel.add(tile.depth * width);
        }
        fresh = false;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::super::{Bytes, Kernel, Lanes, Level, Singles};
    use super::*;

    /// Sums of one tile by both ways: rows at a known distance and at another one.
    struct BothWays<'a, P> {
        product: PhantomData<P>,
        pitch: usize,
        depth: usize,
        positions: &'a [usize],
        fresh: bool,
        narrow: bool,
    }

    impl<P: Product> Kernel for BothWays<'_, P> {
        const FAST: Fast = P::FAST;
        type Output = [Vec<f32>; 2];

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> [Vec<f32>; 2] {
            let noise = |n: usize| (n as f32 * 0.618).fract() - 0.5;
            let width = if self.narrow { LANES } else { L::WIDTH };
            let panel: Vec<_> = (0..self.positions.len() * self.depth * width)
                .map(|n| noise(3 * n + 1))
                .collect();
            [self.pitch, self.pitch + 1].map(|stride| {
                let mut a = vec![0.0; L::ROWS * stride];
                for (r, row) in a.chunks_exact_mut(stride).enumerate() {
                    for (k, number) in row[..self.pitch].iter_mut().enumerate() {
                        *number = noise(r * 1009 + k);
                    }
                }
                let sums_pitch = width + 16;
                let mut sums: Vec<_> = (0..L::ROWS * sums_pitch).map(noise).collect();
                let tile = Tile {
                    rows: L::ROWS,
                    a: P::items_of(&a),
                    stride,
                    positions: self.positions,
                    depth: self.depth,
                    panel: P::items_of(&panel),
                    pitch: sums_pitch,
                    fresh: self.fresh,
                };
                match self.narrow {
                    true => lanes.multiply_narrow::<P>(&tile, &mut sums),
                    false => lanes.multiply::<P>(&tile, &mut sums),
                }
                sums
            })
        }
    }

    fn check<P: Product>() {
        for level in Level::available() {
            for pitch in PITCHES {
                for depth in [1, 3, 4, 7, 40, pitch - 9] {
                    for (fresh, narrow) in
                        [(true, false), (true, true), (false, true), (false, false)]
                    {
                        let [known, other] = level.run(BothWays::<P> {
                            product: PhantomData,
                            pitch,
                            depth,
                            positions: &[0, 9, 2],
                            fresh,
                            narrow,
                        });
                        let same = known.iter().zip(&other);
                        let same = same.filter(|(a, b)| a.to_bits() == b.to_bits()).count();
                        assert_eq!(same, known.len(), "{level}, {pitch}, {depth}, {fresh}");
                    }
                }
            }
        }
    }

    /// Whether tiles of `width` columns whose rows lie `stride` apart are multiplied here.
    fn runs<P: Product>(
        stride: usize,
        width: usize,
        multiply: impl FnOnce(&Tile<'_, P::Item>, &mut [f32]) -> bool,
    ) -> bool {
        let (a, panel) = (vec![0.5; ROWS * stride], vec![0.25; 24 * width]);
        let tile = Tile {
            rows: ROWS,
            a: P::items_of(&a),
            stride,
            positions: &[0],
            depth: 24,
            panel: P::items_of(&panel),
            pitch: width,
            fresh: true,
        };
        multiply(&tile, &mut vec![0.0; ROWS * width])
    }

    #[test]
    fn tiles_of_known_distances_are_multiplied_here() {
        if !Level::Avx512.is_available() {
            return;
        }
        for pitch in PITCHES {
            for (stride, want) in [(pitch, true), (pitch + 1, false)] {
                // SAFETY: the CPU has AVX-512.
                let wide = |tile: &Tile<'_, f32>, sums: &mut [f32]| unsafe {
                    multiply::<Singles, false>(tile, sums)
                };
                // SAFETY: as above.
                let narrow = |tile: &Tile<'_, f32>, sums: &mut [f32]| unsafe {
                    multiply_narrow::<Singles>(tile, sums)
                };
                assert_eq!(runs::<Singles>(stride, 2 * LANES, wide), want, "{stride}");
                assert_eq!(runs::<Singles>(stride, LANES, narrow), want, "{stride}");
                if Level::Avx512.has_int8() {
                    // SAFETY: the CPU has its instructions for bytes too.
                    let bytes = |tile: &Tile<'_, _>, sums: &mut [f32]| unsafe {
                        multiply::<Bytes, true>(tile, sums)
                    };
                    assert_eq!(runs::<Bytes>(stride, 2 * LANES, bytes), want, "{stride}");
                }
            }
        }
    }

    #[test]
    fn rows_at_known_distances_are_multiplied_to_the_same_bits() {
        check::<Singles>();
    }

    #[test]
    fn so_are_rows_of_bytes() {
        check::<Bytes>();
    }
}
