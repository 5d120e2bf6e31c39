//! Results as they are shown or compared: opaque, and no larger than need be.

use imagegen_picture::{Filter, Picture, Size, WHITE, flatten, resize};

/// The picture laid on white, its longest side at most `most` pixels.
pub(crate) fn shrunk(picture: &Picture, most: u32, filter: Filter) -> Picture {
    let size = picture.size();
    let longest = size.width.max(size.height);
    let opaque = flatten(picture, WHITE);
    if longest <= most {
        return opaque;
    }
    let side = |side: u32| {
        let scaled = u64::from(side) * u64::from(most) / u64::from(longest);
        (scaled as u32).max(1)
    };
    let small = Size::new(side(size.width), side(size.height));
    resize(&opaque, small, filter)
}
