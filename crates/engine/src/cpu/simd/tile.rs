//! The register tile: a few rows times one panel of packed weights. Every convolution, linear layer
//! and attention product of this crate ends here.

use super::{LANES, Lanes, Product};

/// Room for the largest tile of any level, in numbers.
pub(crate) const TILE_MAX: usize = ROWS_MAX * 32;
/// Rows of the tallest tile of any level.
pub(crate) const ROWS_MAX: usize = 14;

/// Distances of rows that a tile may be compiled for, so that it reads them without computing where they are. All are odd
/// numbers of cache lines: rows at the same place do not crowd one set of a cache.
pub(crate) const PITCHES: [usize; 7] = [80, 112, 144, 208, 272, 336, 528];

/// How far apart rows of `depth` numbers are to lie: the least of [`PITCHES`] that holds them, or `depth`, so for few numbers,
/// which would be spread over many times the memory.
pub(crate) fn pitch(depth: usize) -> usize {
    if depth <= LANES {
        return depth;
    }
    let fits = |pitch: &usize| depth <= *pitch;
    PITCHES.into_iter().find(fits).unwrap_or(depth)
}

/// `sums[r * pitch + c] += sum over p, k of a[positions[p] + r * stride + k] * panel[(p * depth + k) * W + c]`
/// for `rows` rows and the `W` columns of a panel; `p` ascends, then `k`, each step one fused
/// multiply-add, or what a [`Product`] has in its place. That order is the arithmetic of the whole engine.
pub(crate) struct Tile<'a, T = f32> {
    /// Rows to compute, 1 to [`Lanes::ROWS`].
    pub(crate) rows: usize,
    /// Where the left factor is read.
    pub(crate) a: &'a [T],
    /// Distance of two rows in `a`.
    pub(crate) stride: usize,
    /// Starts of the runs of `depth` numbers that make up a row: one for a matrix, one per kernel
    /// position for a convolution.
    pub(crate) positions: &'a [usize],
    /// Length of a run.
    pub(crate) depth: usize,
    /// Packed right factor, `[positions][depth][W]`.
    pub(crate) panel: &'a [T],
    /// Distance of two rows in the sums.
    pub(crate) pitch: usize,
    /// Whether sums start from zero rather than from what is stored.
    pub(crate) fresh: bool,
}

impl<T> Tile<'_, T> {
    /// Panics unless all that [`multiply`] reads and writes is inside `a`, `panel` and `sums`. Numbers that are too large for
    /// a sum count as the largest there is.
    #[inline(always)]
    pub(super) fn check(&self, rows: usize, width: usize, sums: &[f32]) {
        let mut last = 0;
        for &position in self.positions {
            last = last.max(position);
        }
        assert!(
            end(last, rows, self.stride, self.depth) <= self.a.len(),
            "tile leaves its rows"
        );
        assert!(
            end(0, self.positions.len(), self.depth, self.depth).saturating_mul(width)
                <= self.panel.len(),
            "panel is too short"
        );
        assert!(
            end(0, rows, self.pitch, width) <= sums.len(),
            "tile sums are too short"
        );
    }
}

/// Where the last of `rows` rows of `len` numbers ends, the first at `start`, each `stride` behind the one before.
#[inline(always)]
fn end(start: usize, rows: usize, stride: usize, len: usize) -> usize {
    let last = rows.saturating_sub(1).saturating_mul(stride);
    start.saturating_add(last).saturating_add(len)
}

/// The tile with `R` rows and `U` lane groups of columns in registers.
#[inline(always)]
pub(super) fn multiply<P: Product, L: Lanes, const R: usize, const U: usize>(
    lanes: L,
    tile: &Tile<'_, P::Item>,
    sums: &mut [f32],
) {
    tile.check(R, U * LANES, sums);
    let mut held = [[lanes.splat(0.0); U]; R];
    if !tile.fresh {
        for r in 0..R {
            for u in 0..U {
                let group = sums[r * tile.pitch + u * LANES..].first_chunk();
                held[r][u] = lanes.load(group.expect("`check` saw every row"));
            }
        }
    }
    let mut panel = tile.panel.as_ptr();
    for &position in tile.positions {
        // SAFETY: `check` proved every `position + r * stride + k` with `r < R`, `k < depth` to be
        // inside `a`, and `positions * depth` groups of `U * LANES` to be inside `panel`.
        unsafe {
            let a = tile.a.as_ptr().add(position);
            for k in 0..tile.depth {
                let mut columns = [lanes.splat(0.0); U];
                for u in 0..U {
                    columns[u] = P::load(lanes, &*panel.add(u * LANES).cast());
                }
                for r in 0..R {
                    let value = P::splat(lanes, *a.add(r * tile.stride + k));
                    for u in 0..U {
                        held[r][u] = P::step(lanes, value, columns[u], held[r][u]);
                    }
                }
                panel = panel.add(U * LANES);
            }
        }
    }
    for r in 0..R {
        for u in 0..U {
            let group = sums[r * tile.pitch + u * LANES..].first_chunk_mut();
            lanes.store(held[r][u], group.expect("`check` saw every row"));
        }
    }
}
