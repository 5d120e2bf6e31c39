//! Files out.

use imagegen_picture::{
    EncodeError, EncodeWarning, Format, Metadata, Picture, Size, SourceFormat, flatten,
};

use crate::make::*;

fn clear() -> Picture {
    let alpha = (0..240).map(|i| (i % 256) as u8).collect();
    busy(20, 12)
        .with_alpha(Some(alpha))
        .expect("alpha of that size")
}

#[test]
fn lossless_formats_give_every_pixel_back() {
    for format in [Format::Png, Format::WebP] {
        for picture in [busy(20, 12), clear(), busy(1, 1)] {
            let decoded = decode(&encode(&picture, format));
            assert_eq!(decoded.picture, picture, "{format:?}");
            assert_eq!(decoded.warnings, []);
        }
    }
}

#[test]
fn jpeg_is_close_and_keeps_colour_resolution() {
    // Stripes one pixel wide in colours of equal luminance: half colour resolution would mix them.
    let stripes = painted(32, 32, |x, _| {
        if x % 2 == 0 {
            [200, 80, 80]
        } else {
            [60, 143, 120]
        }
    });
    let decoded = decode(&encode(&stripes, Format::Jpeg { quality: 98 }));
    assert_near(decoded.picture.rgb(), stripes.rgb(), 12);
    assert_eq!(decoded.facts.format, SourceFormat::Jpeg);
}

#[test]
fn jpeg_lays_clear_parts_on_white_and_says_so() {
    let hole = Picture::filled(Size::new(16, 16), [0, 0, 0]).unwrap();
    let hole = hole.with_alpha(Some(vec![0; 256])).unwrap();
    let encoded = imagegen_picture::encode(&hole, Format::JPEG, &Metadata::default()).unwrap();
    assert_eq!(
        encoded.warnings,
        [EncodeWarning::AlphaFlattened { on: [255; 3] }]
    );
    assert_near(decode(&encoded.bytes).picture.rgb(), &[255; 768], 1);

    let opaque = busy(16, 16).with_alpha(Some(vec![255; 256])).unwrap();
    let encoded = imagegen_picture::encode(&opaque, Format::JPEG, &Metadata::default()).unwrap();
    assert_eq!(encoded.warnings, []);
}

#[test]
fn half_clear_is_half_way() {
    let half = Picture::filled(Size::new(1, 1), [0, 100, 255]).unwrap();
    let half = half.with_alpha(Some(vec![128])).unwrap();
    // (c * 128 + 255 * 127) / 255, rounded.
    assert_eq!(flatten(&half, [255; 3]).pixel(0, 0), [127, 177, 255]);
}

#[test]
fn the_same_picture_gives_the_same_bytes() {
    for format in [Format::Png, Format::JPEG, Format::WebP] {
        assert_eq!(encode(&clear(), format), encode(&clear(), format));
    }
}

#[test]
fn extensions_name_formats() {
    for (extension, want) in [
        ("png", Format::Png),
        ("JPG", Format::JPEG),
        ("jpeg", Format::JPEG),
        ("WebP", Format::WebP),
    ] {
        assert_eq!(Format::from_extension(extension), Ok(want));
        assert_eq!(Format::from_extension(want.extension()), Ok(want));
    }
    let error = Format::from_extension("avif").unwrap_err().to_string();
    assert_eq!(
        error,
        "extension is \"avif\", expected png, jpg, jpeg or webp"
    );
}

#[test]
fn what_a_format_cannot_hold_is_said() {
    let encode = |picture: &Picture, format| {
        imagegen_picture::encode(picture, format, &Metadata::default()).expect_err("refused")
    };
    let picture = busy(2, 2);
    for quality in [0, 101] {
        assert!(matches!(
            encode(&picture, Format::Jpeg { quality }),
            EncodeError::Quality(_)
        ));
    }
    let long = Picture::filled(Size::new(16_385, 1), [0; 3]).unwrap();
    assert!(matches!(
        encode(&long, Format::WebP),
        EncodeError::TooLarge { limit: 16_384, .. }
    ));
    decode(&crate::make::encode(&long, Format::Png));
}

#[test]
fn wrong_planes_are_no_picture() {
    assert!(Picture::new(Size::new(2, 2), vec![0; 11], None).is_err());
    assert!(Picture::new(Size::new(2, 2), vec![0; 12], Some(vec![0; 3])).is_err());
    assert!(Picture::new(Size::new(0, 2), vec![], None).is_err());
}
