//! To the networks' range and back.

use imagegen_picture::{NotANumber, from_unit, to_unit};

#[test]
fn all_levels_come_back() {
    let all: Vec<u8> = (0..=255).collect();
    let unit = to_unit(&all);
    assert_eq!((unit[0], unit[255]), (-1.0, 1.0));
    assert_eq!(from_unit(&unit).unwrap(), all);
}

#[test]
fn halves_go_to_even_and_ends_are_clamped() {
    // numpy: ((x + 1) * 127.5).round() with x chosen so that the product is exact.
    let unit = [
        1.0 / 255.0 - 1.0,
        0.0,
        -3.0,
        7.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    assert_eq!(from_unit(&unit).unwrap(), [0, 128, 0, 255, 255, 0]);
}

#[test]
fn a_nan_is_an_error() {
    assert_eq!(
        from_unit(&[0.0, f32::NAN, f32::NAN]),
        Err(NotANumber { index: 1 })
    );
}
