//! Where the model works: how much of the picture it sees, and at which size.

use imagegen_picture::mask::Mask;
use imagegen_picture::{Fit, FitPlan, FitRequest, Rect, Size, Wanted, plan};

use super::{Area, Edge, Meaning};
use crate::Error;

/// Most pixels the edge's settings may name.
const MOST_EDGE: u32 = 1024;
/// Most pixels of padding.
const MOST_PADDING: u32 = 4096;
/// Longest shape of what the model sees, long side over short: it was not trained on strips.
const LONGEST: u32 = 2;

/// The edge's settings with nothing left to decide, in pixels of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EdgePlan {
    pub(super) padding: u32,
    pub(super) wide: u32,
    pub(super) band: u32,
    pub(super) ring: u32,
}

/// What a model works with, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Native {
    pub(super) grid: u32,
    pub(super) pixels: u64,
    pub(super) min_side: u32,
}

impl EdgePlan {
    /// Fills in what suits a mask that covers `bounds` of a picture of `size`.
    ///
    /// Fails with [`Error::Setting`] for numbers out of range.
    pub(super) fn of(
        edge: Edge,
        meaning: &Meaning,
        (area, native): (Area, Native),
        (bounds, size): (Rect, Size),
    ) -> Result<Self, Error> {
        let short = f64::from(bounds.size.width.min(bounds.size.height));
        // Where the whole picture is made smaller, the model's pixels are larger than the source's.
        let scale = match area {
            Area::Whole => (size.pixels() as f64 / native.pixels as f64)
                .sqrt()
                .max(1.0),
            Area::Masked => 1.0,
        };
        let wide = (short * 0.08).clamp(4.0, 32.0).max(8.0 * scale);
        let band = (short * 0.02).clamp(1.0, 4.0).max(2.0 * scale);
        let wide = edge.wide.unwrap_or(wide.round() as u32);
        let long = f64::from(bounds.size.width.max(bounds.size.height));
        let plan = Self {
            padding: edge
                .padding
                .unwrap_or((long * 0.25).round().max(32.0) as u32),
            wide,
            band: edge.band.unwrap_or(band.round() as u32),
            ring: edge
                .ring
                .unwrap_or(if meaning.matches { wide.max(4) } else { 0 }),
        };
        for (subject, got, most) in [
            ("padding", plan.padding, MOST_PADDING),
            ("wide", plan.wide, MOST_EDGE),
            ("band", plan.band, MOST_EDGE),
            ("ring", plan.ring, MOST_EDGE),
        ] {
            if got > most {
                return Err(Error::setting(subject, got, format!("0 to {most}")));
            }
        }
        Ok(plan)
    }

    /// The mask for denoising: wider than what is pasted, and softer.
    pub(super) fn wide_mask(self, mask: &Mask) -> Mask {
        let soft = mask.grown(self.wide).feathered(self.wide / 2);
        mask.union(&soft)
    }
}

/// The part of a picture of `size` that the model sees, and how it is brought to its size and back.
///
/// Fails with [`Error::Fit`] where sizes allow no plan.
pub(super) fn seen(
    area: Area,
    (bounds, size): (Rect, Size),
    edge: EdgePlan,
    native: Native,
) -> Result<(Rect, FitPlan), Error> {
    let request = |source, min_side| FitRequest {
        source,
        wanted: Wanted::Source,
        fit: Fit::Keep,
        grid: native.grid,
        budget_pixels: native.pixels,
        min_side,
    };
    match area {
        Area::Whole => {
            let whole = Rect { x: 0, y: 0, size };
            Ok((whole, plan(&request(size, native.min_side))?))
        }
        Area::Masked => {
            let rect = around(bounds, edge.wide + edge.padding, size);
            let Size { width, height } = rect.size;
            // A side of this length makes the part as large as the model's own pixels.
            let shape = f64::from(width.min(height)) / f64::from(width.max(height));
            let side = (native.pixels as f64 * shape).sqrt() as u32 / native.grid * native.grid;
            let least = side.max(native.min_side);
            Ok((rect, plan(&request(rect.size, least))?))
        }
    }
}

/// `bounds` with `pixels` more on each side, as far as the picture goes; its short side lengthened where
/// the picture has room.
fn around(bounds: Rect, pixels: u32, size: Size) -> Rect {
    let more = |side: u32, other: u32| (other / LONGEST).saturating_sub(side).div_ceil(2);
    let rect = bounds.grown([pixels; 2], size);
    let rect = rect.grown([more(rect.size.width, rect.size.height), 0], size);
    rect.grown([0, more(rect.size.height, rect.size.width)], size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: Native = Native {
        grid: 16,
        pixels: 512 * 512,
        min_side: 64,
    };

    #[test]
    fn a_masked_part_is_worked_on_at_the_models_own_size() {
        let size = Size::new(2048, 1536);
        for (x, y, width, height) in [
            (0, 0, 1, 1),
            (2008, 1506, 40, 30),
            (500, 400, 396, 396),
            (0, 700, 2048, 4),
            (0, 0, 2048, 1536),
        ] {
            let bounds = Rect {
                x,
                y,
                size: Size::new(width, height),
            };
            let edge = EdgePlan {
                padding: 32,
                wide: 4,
                band: 1,
                ring: 4,
            };
            let (rect, fit) = seen(Area::Masked, (bounds, size), edge, NATIVE).unwrap();
            assert!(rect.x <= x && rect.x + rect.size.width >= x + width);
            assert!(rect.x + rect.size.width <= 2048 && rect.y + rect.size.height <= 1536);
            let work = fit.work_size();
            let share = work.pixels() as f64 / NATIVE.pixels as f64;
            assert!((0.85..=1.0).contains(&share), "{bounds:?}: {work}");
        }
    }

    #[test]
    fn parts_stay_inside_and_are_no_strips() {
        let size = Size::new(1000, 800);
        let strip = Rect {
            x: 0,
            y: 790,
            size: Size::new(1000, 10),
        };
        let rect = around(strip, 0, size);
        assert_eq!((rect.x, rect.size.width), (0, 1000));
        assert!(
            rect.size.height >= 250 && rect.y + rect.size.height == 800,
            "{rect:?}"
        );
    }
}
