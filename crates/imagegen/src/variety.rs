//! How alike results are, so that near-duplicates among variations can be told.

use imagegen_picture::fidelity::compare;
use imagegen_picture::{Filter, Picture};

use crate::shrink::shrunk;

/// Longest side in pixels at which results are compared: enough to see what differs between two pictures
/// at a glance, and quick for all pairs of a set.
const SIDE: u32 = 256;

/// A result as it is compared.
#[derive(Debug, Clone)]
pub struct View(Picture);

impl View {
    /// The view of a result; clear parts are seen on white.
    pub fn of(picture: &Picture) -> Self {
        Self(shrunk(picture, SIDE, Filter::Bilinear))
    }

    /// How alike two results are, 0 to 1, as [`imagegen_picture::fidelity`] measures source and result;
    /// 0 for results of different sizes.
    pub fn likeness(&self, other: &Self) -> f64 {
        compare(&self.0, &other.0).map_or(0.0, |fidelity| fidelity.overall)
    }
}

#[cfg(test)]
mod tests {
    use imagegen_picture::Size;

    use super::*;

    fn painted(tint: u32) -> Picture {
        let (width, height) = (300, 200);
        let value = |x: u32, y: u32| ((x * tint / 40) ^ (y * tint / 50)) as u8;
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y); 3]));
        Picture::new(Size::new(width, height), pixels.collect(), None).unwrap()
    }

    #[test]
    fn a_picture_is_like_itself_and_unlike_others() {
        let (one, other) = (View::of(&painted(30)), View::of(&painted(90)));
        assert!(one.likeness(&one) > 0.999);
        assert!(one.likeness(&other) < 0.8, "{}", one.likeness(&other));
        let narrow = View::of(&Picture::filled(Size::new(10, 20), [0; 3]).unwrap());
        assert_eq!(one.likeness(&narrow), 0.0);
    }
}
