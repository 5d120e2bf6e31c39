//! JPEG in print colours, in all the ways that programs store them.

use imagegen_picture::{ColourKind, Warning};

use crate::make::*;

/// Ink of six swatches (cyan, magenta, yellow, black) and the colour they print.
const SWATCHES: [([u8; 4], [u8; 3]); 6] = [
    ([0, 0, 0, 0], [255, 255, 255]),
    ([255, 0, 0, 0], [0, 255, 255]),
    ([0, 255, 255, 0], [255, 0, 0]),
    ([255, 255, 0, 0], [0, 0, 255]),
    ([0, 0, 0, 255], [0, 0, 0]),
    ([0, 0, 0, 128], [127, 127, 127]),
];

/// JFIF's luminance and colour differences of a colour.
fn ycc([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(f64::from);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn inverted(ink: [u8; 4]) -> [u8; 4] {
    ink.map(|ink| 255 - ink)
}

/// Every swatch as `stored` by a program, and Adobe's transform where its marker is written.
#[track_caller]
fn assert_prints(adobe: Option<u8>, stored: impl Fn([u8; 4]) -> [u8; 4]) {
    let blocks: Vec<_> = SWATCHES.iter().map(|(ink, _)| stored(*ink)).collect();
    let decoded = decode(&flat_jpeg(4, adobe, &blocks));
    assert_eq!(decoded.facts.colour, ColourKind::Cmyk);
    assert_eq!(decoded.warnings, [Warning::CmykApproximated]);
    for (x, (ink, colour)) in (0..).zip(SWATCHES) {
        let got = decoded.picture.pixel(x * 8 + 4, 4);
        let worst = got.iter().zip(colour).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(3), "{ink:?} is {got:?}, expected {colour:?}");
    }
}

#[test]
fn cmyk_without_adobes_marker_is_ink() {
    assert_prints(None, |ink| ink);
}

#[test]
fn cmyk_of_adobe_is_inverted() {
    assert_prints(Some(0), inverted);
}

#[test]
fn ycck_of_adobe_is_turned_to_cmyk_and_inverted() {
    assert_prints(Some(2), |ink| {
        let [r, g, b, k] = inverted(ink);
        let [y, cb, cr] = ycc([r, g, b]);
        [y, cb, cr, k]
    });
}

#[test]
fn three_colours_with_adobes_marker_are_what_it_says() {
    let colours = [RED, GREEN, BLUE, YELLOW, [255, 255, 255], [0, 0, 0]];
    for (adobe, stored) in [
        (Some(0), (|c| c) as fn([u8; 3]) -> [u8; 3]),
        (Some(1), ycc),
        (None, ycc),
    ] {
        let blocks: Vec<_> = colours
            .iter()
            .map(|colour| {
                let [a, b, c] = stored(*colour);
                [a, b, c, 0]
            })
            .collect();
        let decoded = decode(&flat_jpeg(3, adobe, &blocks));
        assert_eq!(decoded.warnings, []);
        for (x, colour) in (0..).zip(colours) {
            assert_near(&decoded.picture.pixel(x * 8 + 4, 4), &colour, 3);
        }
    }
}
