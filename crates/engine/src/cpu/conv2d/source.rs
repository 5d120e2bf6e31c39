//! What a convolution reads: a window of the input in cache, with everything that comes before the
//! product already done.

use std::ops::Range;

use super::Geometry;
use crate::Activation;
use crate::cpu::math::activate;
use crate::cpu::simd::{LANES, Lanes};

/// Scale and shift per picture and channel, `[N, C]` each, and what follows.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Prologue<'a> {
    pub(in crate::cpu) scale: &'a [f32],
    pub(in crate::cpu) shift: &'a [f32],
    pub(in crate::cpu) activation: Option<Activation>,
}

/// The input of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// `[N, h, w, C]` as stored.
    pub(super) input: &'a [f32],
    pub(super) channels: usize,
    pub(super) geometry: Geometry,
    pub(super) prologue: Option<Prologue<'a>>,
}

/// Rows and columns of the input of one picture: normalised, activated, enlarged, then bordered
/// with zeros.
#[derive(Clone)]
pub(super) struct Window {
    pub(super) picture: usize,
    /// May reach beyond the lower border: zeros.
    pub(super) rows: Range<usize>,
    /// From the left border on. May reach beyond the right one: zeros.
    pub(super) columns: Range<usize>,
}

impl Source<'_> {
    /// Copies the channels `block` of a window into `scratch` `[rows, width, pitch]`, of which what is beyond them is left as
    /// it is.
    #[inline(always)]
    pub(super) fn copy<L: Lanes>(
        &self,
        lanes: L,
        window: &Window,
        block: Range<usize>,
        pitch: usize,
        scratch: &mut [f32],
    ) {
        let Geometry {
            stored,
            enlarged,
            padding,
            ..
        } = self.geometry;
        let (channels, depth) = (self.channels, block.len());
        let Range { start, end } = window.columns;
        let pixel = |column: usize| column.saturating_sub(padding.left).min(enlarged[1]);
        let (columns, before) = (pixel(start)..pixel(end), padding.left.max(start) - start);
        let before = before.min(window.columns.len());
        for (y, row) in window
            .rows
            .clone()
            .zip(scratch.chunks_exact_mut(window.columns.len() * pitch))
        {
            if y < padding.top || y - padding.top >= enlarged[0] {
                row.fill(0.0);
                continue;
            }
            let y = (y - padding.top) * stored[0] / enlarged[0];
            let from = (window.picture * stored[0] + y) * stored[1];
            let (left, row) = row.split_at_mut(before * pitch);
            let (inside, right) = row.split_at_mut(columns.len() * pitch);
            left.fill(0.0);
            right.fill(0.0);
            if pitch == depth && depth == channels && stored[1] == enlarged[1] {
                let from = (from + columns.start) * channels;
                inside.copy_from_slice(&self.input[from..][..inside.len()]);
            } else {
                for (x, pixel) in columns.clone().zip(inside.chunks_exact_mut(pitch)) {
                    let x = x * stored[1] / enlarged[1];
                    let at = (from + x) * channels + block.start;
                    pixel[..depth].copy_from_slice(&self.input[at..][..depth]);
                }
            }
            if let Some(prologue) = self.prologue {
                let at = window.picture * channels + block.start;
                let scale = &prologue.scale[at..][..depth];
                let shift = &prologue.shift[at..][..depth];
                for pixel in inside.chunks_exact_mut(pitch) {
                    normalize(
                        lanes,
                        &mut pixel[..depth],
                        scale,
                        shift,
                        prologue.activation,
                    );
                }
            }
        }
    }
}

/// `activation(x * scale + shift)` for the channels of one pixel.
#[inline(always)]
pub(in crate::cpu) fn normalize<L: Lanes>(
    lanes: L,
    pixel: &mut [f32],
    scale: &[f32],
    shift: &[f32],
    activation: Option<Activation>,
) {
    for start in (0..pixel.len()).step_by(LANES) {
        let end = (start + LANES).min(pixel.len());
        let part = &mut pixel[start..end];
        let scale = lanes.load_part(&scale[start..end]);
        let mut v = lanes.fma(
            lanes.load_part(part),
            scale,
            lanes.load_part(&shift[start..end]),
        );
        if let Some(activation) = activation {
            v = activate(lanes, v, activation);
        }
        lanes.store_part(v, part);
    }
}
