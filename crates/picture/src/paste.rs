//! Laying a repainted part into its source so that nothing shows where it ends, and nothing outside it
//! changes.
//!
//! Two scales, as in multi-band blending, but with what is under the mask left out: coarse differences
//! between source and repainted picture are read on a ring outside the mask and spread into it, the farther
//! the smoother; fine detail changes over within a narrow band just inside the edge. Neither lets the old
//! content through, as a blend of both pictures over a wide band would.

use crate::fill::{Known, enlarged};
use crate::mask::{Mask, depth};
use crate::{Picture, Rect};

/// Differences on the ring that are the same thing in another light, in levels.
const SAME: f32 = 24.0;
/// Differences from which it is another thing, and counts for nothing; between the two it counts in part.
const OTHER: f32 = 64.0;

/// How a repainted part is laid in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paste {
    /// Width of the band inside the edge over which detail changes over, in pixels of the source; parts
    /// that are thinner have a narrower one.
    pub band: f32,
    /// Width of the ring outside the mask on which colours are matched, in pixels of the source; 0 for no
    /// match.
    pub ring: f32,
}

/// The source with what `mask` covers taken from `painted`, which shows the part `place` of it. Where the
/// mask is 0, colours are the source's; alpha is so everywhere. Coverage of a half or more takes all of
/// the painted picture, less takes twice its share.
///
/// Panics where the mask is not of the source's size, or `painted` not of the place's, which has to lie
/// inside the source and hold all that is covered.
pub fn paste(source: &Picture, painted: &Picture, place: Rect, mask: &Mask, how: Paste) -> Picture {
    let size = source.size();
    assert_eq!(mask.size(), size, "mask and source differ in size");
    assert_eq!(
        painted.size(),
        place.size,
        "painted picture is not of the size of its place"
    );
    let outer = place.grown([how.ring.ceil().max(1.0) as u32; 2], size);
    let near = mask.part(outer);
    let inside = depth(&near);
    let shift = shift(source, painted, [place, outer], &near, how.ring);
    let band = band(&inside, how.band);
    let (mut rgb, alpha) = source.clone().into_planes();
    for y in 0..place.size.height {
        for x in 0..place.size.width {
            let at = index(outer, [place.x + x, place.y + y]);
            let coverage = near.coverage()[at];
            if coverage == 0 {
                continue;
            }
            let share = (2.0 * f32::from(coverage) / 255.0).min(1.0)
                * ((inside[at] - 0.5) / band).clamp(0.0, 1.0);
            let to = (place.y + y) as usize * size.width as usize + (place.x + x) as usize;
            let from = y as usize * place.size.width as usize + x as usize;
            for channel in 0..3 {
                let new = f32::from(painted.rgb()[from * 3 + channel]) + shift[at][channel];
                let value = &mut rgb[to * 3 + channel];
                let old = f32::from(*value);
                *value = (old + share * (new - old)).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    Picture::from_planes(size, rgb, alpha)
}

/// Place of a pixel of the picture among those of `rect`.
fn index(rect: Rect, [x, y]: [u32; 2]) -> usize {
    (y - rect.y) as usize * rect.size.width as usize + (x - rect.x) as usize
}

/// The band as narrow as the mask is: its innermost pixel is wholly new.
fn band(inside: &[f32], asked: f32) -> f32 {
    let deepest = inside.iter().copied().fold(0.0, f32::max);
    asked.min(deepest - 0.5).max(0.5)
}

/// What is added to the painted colours, for each pixel of `outer`: differences on the ring, spread.
fn shift(
    source: &Picture,
    painted: &Picture,
    [place, outer]: [Rect; 2],
    near: &Mask,
    ring: f32,
) -> Vec<[f32; 3]> {
    let (width, height) = (outer.size.width as usize, outer.size.height as usize);
    let mut known = Known {
        width,
        height,
        values: vec![[0.0; 3]; width * height],
        weights: vec![0.0; width * height],
    };
    if ring == 0.0 {
        return known.values;
    }
    let outside = depth(&near.clone().inverted_support());
    for y in place.y..place.y + place.size.height {
        for x in place.x..place.x + place.size.width {
            let at = index(outer, [x, y]);
            if near.coverage()[at] > 0 || outside[at] > ring {
                continue;
            }
            let (old, new) = (source.pixel(x, y), painted.pixel(x - place.x, y - place.y));
            let difference: [f32; 3] =
                std::array::from_fn(|c| f32::from(old[c]) - f32::from(new[c]));
            let most = difference.iter().fold(0f32, |most, d| most.max(d.abs()));
            let share = ((OTHER - most) / (OTHER - SAME)).clamp(0.0, 1.0);
            known.values[at] = difference.map(|d| share * d);
            known.weights[at] = 1.0;
        }
    }
    // At a quarter of the size: single pixels on the ring are texture, not light.
    let half = known.halved();
    let quarter = half.halved();
    let spread = quarter.spread([0.0; 3]);
    let spread = enlarged(&spread, quarter.width, [half.width, half.height]);
    enlarged(&spread, half.width, [width, height])
}

/// What was compared where nothing may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Pixels that the mask keeps.
    pub checked: u64,
    /// Those that are not the source's, bit for bit, colours or alpha.
    pub differing: u64,
}

/// Compares a result with its source wherever `mask` is 0.
///
/// Panics where the three differ in size.
pub fn kept(source: &Picture, result: &Picture, mask: &Mask) -> Kept {
    let size = source.size();
    assert!(
        result.size() == size && mask.size() == size,
        "source, result and mask differ in size"
    );
    let mut kept = Kept {
        checked: 0,
        differing: 0,
    };
    let pixels = source
        .rgb()
        .chunks_exact(3)
        .zip(result.rgb().chunks_exact(3));
    for (index, (old, new)) in pixels.enumerate() {
        if mask.coverage()[index] == 0 {
            let alpha = |picture: &Picture| picture.alpha().map(|alpha| alpha[index]);
            kept.checked += 1;
            kept.differing += u64::from(old != new || alpha(source) != alpha(result));
        }
    }
    kept
}
