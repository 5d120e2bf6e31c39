//! Resampling against Pillow and against laws.

use imagegen_picture::{Filter, Picture, Size, resize, resize_plane};

use crate::make::*;

const FILTERS: [Filter; 3] = [Filter::Lanczos3, Filter::Bicubic, Filter::Bilinear];

/// Pillow 13.0: `Image.fromarray(s).resize(size, filter)` on the plane of `pillow_matches`.
#[rustfmt::skip]
const PILLOW: [(Filter, (u32, u32), &[u8]); 6] = [
    (Filter::Lanczos3, (3, 2), &[105, 111, 123, 128, 127, 136]),
    (Filter::Lanczos3, (10, 8), &[0, 10, 38, 55, 79, 118, 168, 195, 224, 241, 23, 37, 82, 131, 171, 139, 86, 101, 144, 164, 98, 125, 165, 185, 229, 143, 0, 0, 54, 76, 177, 239, 218, 76, 84, 90, 38, 53, 93, 113, 127, 186, 164, 22, 10, 83, 147, 176, 196, 209, 18, 42, 81, 100, 110, 137, 185, 219, 240, 246, 54, 77, 129, 174, 215, 158, 74, 108, 154, 158, 118, 153, 193, 202, 255, 156, 0, 12, 74, 80]),
    (Filter::Bicubic, (3, 2), &[106, 113, 119, 122, 127, 141]),
    (Filter::Bicubic, (10, 8), &[0, 10, 38, 64, 89, 122, 161, 188, 216, 234, 30, 49, 86, 126, 157, 137, 87, 107, 140, 163, 94, 121, 159, 186, 219, 146, 1, 13, 51, 79, 169, 216, 203, 71, 84, 86, 57, 76, 106, 128, 137, 183, 169, 36, 41, 83, 129, 156, 180, 194, 18, 44, 78, 103, 115, 140, 180, 214, 235, 243, 60, 89, 131, 166, 197, 156, 76, 116, 147, 159, 110, 145, 185, 203, 246, 160, 0, 33, 72, 88]),
    (Filter::Bilinear, (3, 2), &[107, 117, 116, 118, 129, 141]),
    (Filter::Bilinear, (10, 8), &[0, 20, 46, 72, 98, 124, 150, 176, 202, 222, 40, 63, 93, 123, 145, 131, 87, 109, 136, 159, 97, 124, 156, 179, 195, 136, 12, 28, 56, 82, 154, 186, 179, 82, 95, 91, 66, 87, 112, 133, 130, 163, 154, 57, 69, 93, 120, 146, 168, 185, 27, 54, 83, 104, 118, 140, 173, 205, 225, 236, 68, 98, 132, 159, 177, 148, 82, 120, 146, 159, 108, 141, 176, 197, 219, 151, 8, 50, 79, 96]),
];

#[test]
fn pillow_matches() {
    let places = (0..5u32).flat_map(|y| (0..7u32).map(move |x| (x, y)));
    let plane: Vec<u8> = places
        .map(|(x, y)| ((x * 37 + y * 91 + (x * y * 13) % 29) % 256) as u8)
        .collect();
    for (filter, (width, height), want) in PILLOW {
        let got = resize_plane(&plane, Size::new(7, 5), Size::new(width, height), filter);
        assert_eq!(got, want, "{filter:?} to {width}x{height}");
    }
}

#[test]
fn one_colour_stays_exactly() {
    for colour in [[0, 0, 0], [255, 255, 255], [1, 127, 254]] {
        let flat = Picture::filled(Size::new(37, 23), colour).unwrap();
        for filter in FILTERS {
            for (width, height) in [(1, 1), (16, 16), (38, 22), (111, 230)] {
                let got = resize(&flat, Size::new(width, height), filter);
                assert_eq!(
                    got,
                    Picture::filled(Size::new(width, height), colour).unwrap()
                );
            }
        }
    }
}

#[test]
fn the_same_size_is_a_copy() {
    let picture = busy(9, 7).with_alpha(Some((0..63).collect())).unwrap();
    assert_eq!(resize(&picture, picture.size(), Filter::Lanczos3), picture);
}

#[test]
fn hidden_colours_do_not_bleed() {
    // Left half clear over black, right half opaque red.
    let picture = painted(
        40,
        20,
        |x, _| if x < 20 { [0, 0, 0] } else { [200, 30, 30] },
    );
    let alpha = (0..800)
        .map(|i| if i % 40 < 20 { 0 } else { 255 })
        .collect();
    let picture = picture.with_alpha(Some(alpha)).unwrap();
    for (width, height) in [(15, 9), (64, 50)] {
        let small = resize(&picture, Size::new(width, height), Filter::Lanczos3);
        let visible = small
            .alpha()
            .unwrap()
            .iter()
            .zip(small.rgb().chunks_exact(3));
        let visible: Vec<_> = visible.filter(|&(&alpha, _)| alpha > 0).collect();
        assert!(
            visible.iter().any(|&(&alpha, _)| alpha < 255),
            "an edge to look at"
        );
        for (alpha, rgb) in visible {
            // At a trace of alpha the quotient of two small sums may ring.
            let tolerance = if *alpha < 16 { 40 } else { 1 };
            assert_near(rgb, &[200, 30, 30], tolerance);
        }
    }
}

#[test]
fn opaque_alpha_changes_nothing() {
    let picture = busy(30, 20);
    let opaque = picture.clone().with_alpha(Some(vec![255; 600])).unwrap();
    let size = Size::new(17, 33);
    let (want, got) = (
        resize(&picture, size, Filter::Lanczos3),
        resize(&opaque, size, Filter::Lanczos3),
    );
    assert_eq!(got.rgb(), want.rgb());
    assert_eq!(got.alpha().unwrap(), vec![255; 17 * 33]);
}
