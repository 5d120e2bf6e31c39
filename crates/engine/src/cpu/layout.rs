//! Operations that only move numbers: joining, splitting, resizing, patches, rows of a table.

use crate::Resize;

/// Rows of `left` and `right` side by side.
pub(super) fn concat(left: &[f32], right: &[f32], widths: [usize; 2], out: &mut [f32]) {
    let rows = out.chunks_exact_mut(widths[0] + widths[1]);
    for ((row, left), right) in rows
        .zip(left.chunks_exact(widths[0]))
        .zip(right.chunks_exact(widths[1]))
    {
        row[..widths[0]].copy_from_slice(left);
        row[widths[0]..].copy_from_slice(right);
    }
}

/// Columns `start..start + out width` of each row.
pub(super) fn columns(input: &[f32], width: usize, start: usize, count: usize, out: &mut [f32]) {
    for (row, part) in input.chunks_exact(width).zip(out.chunks_exact_mut(count)) {
        part.copy_from_slice(&row[start..start + count]);
    }
}

/// One output row of a resize: `input` `[h, w, C]`, `out` `[w', C]` is row `y` of `size`.
pub(super) fn resize_row(
    input: &[f32],
    from: [usize; 2],
    channels: usize,
    size: [usize; 2],
    how: Resize,
    y: usize,
    out: &mut [f32],
) {
    match how {
        Resize::Nearest => {
            let row = &input[y * from[0] / size[0] * from[1] * channels..];
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let x = x * from[1] / size[1];
                pixel.copy_from_slice(&row[x * channels..][..channels]);
            }
        }
        Resize::Bilinear => {
            let (top, bottom, down) = between(y, from[0], size[0]);
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let (left, right, across) = between(x, from[1], size[1]);
                let at = |y: usize, x: usize| &input[(y * from[1] + x) * channels..][..channels];
                let corners = [
                    at(top, left),
                    at(top, right),
                    at(bottom, left),
                    at(bottom, right),
                ];
                for c in 0..channels {
                    let above = corners[0][c] * (1.0 - across) + corners[1][c] * across;
                    let below = corners[2][c] * (1.0 - across) + corners[3][c] * across;
                    pixel[c] = above * (1.0 - down) + below * down;
                }
            }
        }
    }
}

/// The two source positions around output position `i` of `to`, and the weight of the second:
/// half-pixel centres, edges repeated.
fn between(i: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let place = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
    let first = (place as usize).min(from - 1);
    (
        first,
        (first + 1).min(from - 1),
        (place - first as f32).min(1.0),
    )
}

/// Which way patches and channels are exchanged.
#[derive(Clone, Copy)]
pub(super) enum Patches {
    ToDepth,
    ToSpace,
}

/// Moves between `[h p, w p, C]` (space) and `[h, w, C p p]` (depth) for one picture; channel
/// `c p p + dy p + dx`.
pub(super) fn patches(
    input: &[f32],
    [h, w, channels, patch]: [usize; 4],
    way: Patches,
    out: &mut [f32],
) {
    for y in 0..h * patch {
        for x in 0..w * patch {
            for c in 0..channels {
                let space = (y * w * patch + x) * channels + c;
                let inside = (c * patch + y % patch) * patch + x % patch;
                let depth = (y / patch * w + x / patch) * channels * patch * patch + inside;
                match way {
                    Patches::ToDepth => out[depth] = input[space],
                    Patches::ToSpace => out[space] = input[depth],
                }
            }
        }
    }
}
