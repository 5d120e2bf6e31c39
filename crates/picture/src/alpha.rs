//! Alpha: what becomes of it where a format has none.

use crate::Picture;

/// The colour that clear pixels get in a format without alpha.
pub const WHITE: [u8; 3] = [255, 255, 255];

/// The picture laid on `colour`, without alpha. Blends in gamma space and rounds half up, as browsers do.
pub fn flatten(picture: &Picture, colour: [u8; 3]) -> Picture {
    let Some(alpha) = picture.alpha() else {
        return picture.clone();
    };
    let pixels = picture.rgb().chunks_exact(3).zip(alpha);
    let rgb = pixels.flat_map(|(rgb, &a)| {
        let blend = move |top: u8, under: u8| {
            let a = u32::from(a);
            ((u32::from(top) * a + u32::from(under) * (255 - a) + 127) / 255) as u8
        };
        [
            blend(rgb[0], colour[0]),
            blend(rgb[1], colour[1]),
            blend(rgb[2], colour[2]),
        ]
    });
    Picture::from_planes(picture.size(), rgb.collect(), None)
}
