//! Masks at other resolutions where nothing may get lost: a cell is covered as much as any of its pixels.

use std::ops::Range;

use super::Mask;
use crate::{FitPlan, Size};

impl Mask {
    /// The coverage of cells of `side` pixels, `[ceil(H / side), ceil(W / side)]`: the largest of their
    /// pixels.
    ///
    /// Panics where `side` is 0.
    pub fn cells(&self, side: u32) -> Vec<u8> {
        let size = Size::new(
            self.size.width.div_ceil(side),
            self.size.height.div_ceil(side),
        );
        let span = |cell: u32, length: u32| {
            (cell * side) as usize..((cell + 1) * side).min(length) as usize
        };
        largest(&self.coverage, self.size, size, span)
    }

    /// The mask at a plan's working size. A working pixel is covered as much as any pixel of the source
    /// that it shows, even in part.
    ///
    /// Panics where the mask is not of the plan's source size.
    pub fn to_work(&self, plan: &FitPlan) -> Self {
        let plane =
            plan.plane_to_work_by(&self.coverage, |plane, from, to| touched(&plane, from, to));
        Self::new(plan.work_size(), plane)
    }

    /// The mask at another size. A pixel is covered as much as any that it shows, even in part.
    pub(crate) fn resized(&self, size: Size) -> Self {
        Self::new(size, touched(&self.coverage, self.size, size))
    }
}

/// A plane at another size, each value the largest of those it overlaps.
fn touched(plane: &[u8], from: Size, to: Size) -> Vec<u8> {
    let along = |cell: u32, from: u32, to: u32| {
        let (cell, from, to) = (u64::from(cell), u64::from(from), u64::from(to));
        (cell * from / to) as usize..((cell + 1) * from).div_ceil(to) as usize
    };
    let mut wide = Vec::with_capacity(to.width as usize * from.height as usize);
    for row in plane.chunks_exact(from.width as usize) {
        for x in 0..to.width {
            let values = &row[along(x, from.width, to.width)];
            wide.push(values.iter().copied().max().unwrap_or(0));
        }
    }
    let width = to.width as usize;
    let mut out = Vec::with_capacity(to.len());
    for y in 0..to.height {
        let rows = along(y, from.height, to.height);
        let mut line = vec![0u8; width];
        for row in wide[rows.start * width..rows.end * width].chunks_exact(width) {
            line.iter_mut()
                .zip(row)
                .for_each(|(most, &value)| *most = (*most).max(value));
        }
        out.extend(line);
    }
    out
}

fn largest(plane: &[u8], from: Size, to: Size, span: impl Fn(u32, u32) -> Range<usize>) -> Vec<u8> {
    let width = from.width as usize;
    let mut out = Vec::with_capacity(to.len());
    for y in 0..to.height {
        let rows = span(y, from.height);
        for x in 0..to.width {
            let columns = span(x, from.width);
            let values = rows
                .clone()
                .flat_map(|y| &plane[y * width..][columns.clone()]);
            out.push(values.copied().max().unwrap_or(0));
        }
    }
    out
}
