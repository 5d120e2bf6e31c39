//! What a source file says of itself that its results say too.

use crate::Facts;
use crate::exif::ExifTags;

/// Resolutions that are passed on, in pixels per inch; others are mistakes.
const DPI: std::ops::RangeInclusive<f32> = 1.0..=100_000.0;
/// A resolution this near to a whole number is that number: PNG counts in whole pixels per metre, so it is off by
/// up to half of 0.0254; 300 per inch comes out of it as 299.9994, 150 as 150.0124.
const WHOLE: f32 = 0.013;

/// What a result carries over from its source. Pixels, alpha and colours are the picture's own affair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// How it was taken, without the place; see [`ExifTags`].
    pub exif: ExifTags,
    /// Pixels per inch, across and down, 1 to 100,000 each.
    pub dpi: Option<(f32, f32)>,
}

impl Carried {
    /// What the upright picture of a file with these `facts` carries.
    pub fn of(facts: &Facts) -> Self {
        // Rounded first: 1 per inch comes out of PNG as 0.9906.
        let sound = |dpi: f32| Some(whole(dpi)).filter(|dpi| DPI.contains(dpi));
        let dpi = facts
            .dpi
            .and_then(|(x, y)| sound(x).zip(sound(y)))
            .map(|(x, y)| match facts.orientation.turns_size() {
                true => (y, x),
                false => (x, y),
            });
        Self {
            exif: facts.exif_tags.clone(),
            dpi,
        }
    }
}

fn whole(dpi: f32) -> f32 {
    let near = dpi.round();
    if (dpi - near).abs() < WHOLE {
        near
    } else {
        dpi
    }
}
