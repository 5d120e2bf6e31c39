//! One output written by several threads, each its own rectangle.

use std::marker::PhantomData;
use std::ops::Range;

/// A rectangle of a row-major matrix that nobody else can reach.
pub(crate) struct Rect<'a> {
    start: *mut f32,
    row_len: usize,
    rows: Range<usize>,
    cols: Range<usize>,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: `rectangles` makes rectangles that do not overlap, and f32 may be written by any thread.
unsafe impl Send for Rect<'_> {}

impl Rect<'_> {
    /// Rows of the matrix, by their index in it.
    #[inline(always)]
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Columns of the matrix, by their index in it.
    #[inline(always)]
    pub(crate) fn cols(&self) -> Range<usize> {
        self.cols.clone()
    }

    /// This rectangle's part of row `row`.
    ///
    /// # Panics
    /// When `row` is not in `rows`.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(self.rows.contains(&row), "row {row} of {:?}", self.rows);
        // SAFETY: `rectangles` checked rows and columns against the matrix, `row` is one of ours,
        // and `&mut self` keeps other borrows of this rectangle away.
        unsafe {
            let start = self.start.add(row * self.row_len + self.cols.start);
            std::slice::from_raw_parts_mut(start, self.cols.len())
        }
    }
}

/// Cuts `matrix` into the rectangles of `row_ranges` times blocks of `col_block` columns.
///
/// # Panics
/// When the ranges do not ascend without overlap or leave the matrix.
pub(crate) fn rectangles(
    matrix: &mut [f32],
    row_len: usize,
    row_ranges: impl IntoIterator<Item = Range<usize>>,
    col_block: usize,
) -> Vec<Rect<'_>> {
    let mut rects = Vec::new();
    let mut next = 0;
    let (len, start) = (matrix.len(), matrix.as_mut_ptr());
    for rows in row_ranges {
        assert!(
            next <= rows.start && rows.end * row_len <= len,
            "rows {rows:?}"
        );
        next = rows.end;
        for first in (0..row_len).step_by(col_block) {
            rects.push(Rect {
                start,
                row_len,
                rows: rows.clone(),
                cols: first..(first + col_block).min(row_len),
                matrix: PhantomData,
            });
        }
    }
    rects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_one_rectangle() {
        let mut matrix = vec![0.0; 7 * 10];
        for mut rect in rectangles(&mut matrix, 10, [0..3, 3..4, 4..7], 4) {
            for row in rect.rows.clone() {
                rect.row(row).iter_mut().for_each(|v| *v += 1.0);
            }
        }
        assert!(matrix.iter().all(|&v| v == 1.0));
    }

    #[test]
    #[should_panic(expected = "rows 2..4")]
    fn overlapping_rows_are_refused() {
        rectangles(&mut [0.0; 40], 10, [0..3, 2..4], 10);
    }
}
