//! Kinds of files, orientation, facts.

use imagegen_picture::{ColourKind, Decoded, Format, Orientation, SourceFormat, Warning};

use crate::make::*;

/// JPEG's loss on flat quarters of 8 pixels at quality 95: measured 1 level, at block edges more.
const JPEG_LOSS: u8 = 3;

#[test]
fn all_eight_orientations_stand_upright_in_all_three_formats() {
    let upright = quarters(32, 16);
    for orientation in Orientation::ALL {
        let stored = stored(&upright, orientation);
        let block = exif(orientation as u16);
        let jpeg = encode(&stored, Format::JPEG);
        let jpeg = with_segment(jpeg, 0xE1, &[b"Exif\0\0", block.as_slice()].concat());
        let png = png_with(&stored, vec![chunk(b"eXIf", &block)]);
        let webp = webp_with(&stored, 8, &[(b"EXIF", &block)]);
        for (file, loss) in [(jpeg, JPEG_LOSS), (png, 0), (webp, 0)] {
            let Decoded {
                picture,
                facts,
                warnings,
            } = decode(&file);
            assert_near(picture.rgb(), upright.rgb(), loss);
            assert_eq!(picture.size(), upright.size());
            assert_eq!(facts.orientation, orientation);
            assert_eq!(
                (facts.stored_size, facts.size),
                (stored.size(), upright.size())
            );
            assert_eq!(facts.exif.as_deref(), Some(block.as_slice()));
            assert_eq!(warnings, []);
        }
    }
}

#[test]
fn alpha_turns_along() {
    let alpha: Vec<u8> = (0..24).map(|i| i * 10).collect();
    let picture = quarters(6, 4).with_alpha(Some(alpha)).unwrap();
    let turned = Orientation::TurnRight.apply(picture.clone());
    // The top left corner of a quarter turn clockwise was the bottom left one.
    assert_eq!(turned.alpha().unwrap()[0], 180);
    assert_eq!(turned.pixel(0, 0), BLUE);
    assert_eq!(Orientation::TurnLeft.apply(turned), picture);
}

#[test]
fn an_orientation_outside_one_to_eight_is_upright() {
    for value in [0, 9, 65_535] {
        let png = png_with(&quarters(4, 2), vec![chunk(b"eXIf", &exif(value))]);
        assert_eq!(decode(&png).facts.orientation, Orientation::Upright);
    }
}

fn png(depth: u8, colour: u8, before: Vec<Vec<u8>>, rows: &[u8]) -> Decoded {
    decode(
        &Png {
            size: (4, 2),
            depth,
            colour,
            interlaced: false,
            before,
            rows,
        }
        .bytes(),
    )
}

fn greys(decoded: &Decoded) -> Vec<u8> {
    decoded
        .picture
        .rgb()
        .chunks_exact(3)
        .map(|rgb| {
            assert!(rgb[0] == rgb[1] && rgb[1] == rgb[2], "{rgb:?} is no grey");
            rgb[0]
        })
        .collect()
}

#[test]
fn bilevel_and_grey_png_keep_white_white() {
    let bilevel = png(1, 0, vec![], &[0, 0b1010_0000, 0, 0b0111_0000]);
    assert_eq!(greys(&bilevel), [255, 0, 255, 0, 0, 255, 255, 255]);
    assert_eq!(
        (bilevel.facts.colour, bilevel.facts.bit_depth),
        (ColourKind::Grey, 1)
    );

    let two_bit = png(2, 0, vec![], &[0, 0b00_01_10_11, 0, 0b11_10_01_00]);
    assert_eq!(greys(&two_bit), [0, 85, 170, 255, 255, 170, 85, 0]);

    let eight = png(8, 0, vec![], &[0, 0, 30, 240, 255, 0, 1, 2, 3, 4]);
    assert_eq!(greys(&eight), [0, 30, 240, 255, 1, 2, 3, 4]);
}

#[test]
fn sixteen_bit_png_is_rounded_not_cut() {
    // 0x00FF is nearer to level 1 (257) than to 0; 0xFEFF is 254.004.
    let row = [0x00, 0x00, 0x00, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF];
    let rows = [&[0][..], &row, &[0], &row].concat();
    let grey = png(16, 0, vec![], &rows);
    assert_eq!(greys(&grey), [0, 1, 254, 255, 0, 1, 254, 255]);
    assert_eq!(grey.facts.bit_depth, 16);
}

#[test]
fn grey_with_alpha_keeps_both() {
    let eight = [
        0, 10, 0, 20, 255, 30, 128, 40, 1, 0, 50, 2, 60, 3, 70, 4, 80, 5,
    ];
    let decoded = png(8, 4, vec![], &eight);
    assert_eq!(greys(&decoded), [10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(
        decoded.picture.alpha().unwrap(),
        [0, 255, 128, 1, 2, 3, 4, 5]
    );
    assert_eq!(decoded.facts.colour, ColourKind::GreyAlpha);

    let wide: Vec<u8> = eight
        .chunks(9)
        .flat_map(|row| {
            row[1..].iter().fold(vec![0], |mut wide, &v| {
                wide.extend([v, v]);
                wide
            })
        })
        .collect();
    let decoded = png(16, 4, vec![], &wide);
    assert_eq!(greys(&decoded), [10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(
        decoded.picture.alpha().unwrap(),
        [0, 255, 128, 1, 2, 3, 4, 5]
    );
}

#[test]
fn palettes_keep_colours_and_transparency() {
    let palette = chunk(b"PLTE", &[RED, GREEN, BLUE, YELLOW].concat());
    let rows = [0, 0b00_01_10_11, 0, 0b11_10_01_00];
    let want = [RED, GREEN, BLUE, YELLOW, YELLOW, BLUE, GREEN, RED].concat();

    let plain = png(2, 3, vec![palette.clone()], &rows);
    assert_eq!(plain.picture.rgb(), want);
    assert_eq!(plain.picture.alpha(), None);
    assert_eq!(
        (plain.facts.colour, plain.facts.bit_depth),
        (ColourKind::Palette, 2)
    );

    let clear = png(2, 3, vec![palette, chunk(b"tRNS", &[255, 128, 0])], &rows);
    assert_eq!(clear.picture.rgb(), want);
    assert_eq!(
        clear.picture.alpha().unwrap(),
        [255, 128, 0, 255, 255, 0, 128, 255]
    );
}

#[test]
fn a_colour_key_is_alpha() {
    let row = [RED, GREEN, RED, BLUE].concat();
    let rows = [&[0][..], &row, &[0], &row].concat();
    let key: Vec<u8> = RED.iter().flat_map(|&v| [0, v]).collect();
    let decoded = png(8, 2, vec![chunk(b"tRNS", &key)], &rows);
    assert_eq!(
        decoded.picture.alpha().unwrap(),
        [0, 255, 0, 255, 0, 255, 0, 255]
    );
    assert_eq!(decoded.picture.rgb()[..12], row);
}

#[test]
fn interlaced_png_equals_plain() {
    let picture = busy(4, 2);
    // Adam7's passes over 4x2: start, step, in x and y.
    let passes: [(usize, usize, usize, usize); 7] = [
        (0, 8, 0, 8),
        (4, 8, 0, 8),
        (0, 4, 4, 8),
        (2, 4, 0, 4),
        (0, 2, 2, 4),
        (1, 2, 0, 2),
        (0, 1, 1, 2),
    ];
    let mut rows = Vec::new();
    for (x, step_x, y, step_y) in passes {
        for y in (y..2).step_by(step_y) {
            let row: Vec<u8> = (x..4)
                .step_by(step_x)
                .flat_map(|x| picture.pixel(x as u32, y as u32))
                .collect();
            if !row.is_empty() {
                rows.extend([&[0][..], &row].concat());
            }
        }
    }
    let file = Png {
        size: (4, 2),
        depth: 8,
        colour: 2,
        interlaced: true,
        before: vec![],
        rows: &rows,
    };
    assert_eq!(decode(&file.bytes()).picture, picture);
}

#[test]
fn other_formats_are_read() {
    let want = quarters(8, 8);
    let files: [(&[u8], SourceFormat); 2] = [
        (include_bytes!("../fixtures/plain.bmp"), SourceFormat::Bmp),
        (include_bytes!("../fixtures/plain.tiff"), SourceFormat::Tiff),
    ];
    for (file, format) in files {
        let decoded = decode(file);
        assert_eq!(decoded.picture, want, "{format}");
        assert_eq!(decoded.facts.format, format);
        assert_eq!(decoded.facts.bit_depth, 8);
    }
    let lossy = decode(include_bytes!("../fixtures/lossy.webp"));
    // Lossy WebP halves colour resolution, so only the middles of the quarters are sure.
    for (x, y, colour) in [(2, 1, RED), (9, 1, GREEN), (2, 6, BLUE), (9, 6, YELLOW)] {
        assert_near(&lossy.picture.pixel(x, y), &colour, 12);
    }
}

#[test]
fn animations_give_their_first_frame_and_say_so() {
    let files: [&[u8]; 3] = [
        include_bytes!("../fixtures/animated.gif"),
        include_bytes!("../fixtures/animated.png"),
        include_bytes!("../fixtures/animated.webp"),
    ];
    for file in files {
        let decoded = decode(file);
        assert_eq!(
            decoded.picture.rgb(),
            quarters(8, 8).rgb(),
            "{}",
            decoded.facts.format
        );
        assert_eq!(decoded.warnings, [Warning::Animated]);
    }
}

#[test]
fn cmyk_jpeg_is_converted_and_said_to_be_approximate() {
    let decoded = decode(include_bytes!("../fixtures/cmyk.jpg"));
    assert_eq!(decoded.warnings, [Warning::CmykApproximated]);
    assert_eq!(decoded.facts.colour, ColourKind::Cmyk);
    let picture = decoded.picture;
    // No cyan is red, no magenta green, all black black, no ink white.
    assert_near(&picture.pixel(2, 2), &[255, 0, 0], 6);
    assert_near(&picture.pixel(21, 2), &[0, 255, 0], 6);
    assert_near(&picture.pixel(2, 13), &[0, 0, 0], 6);
    assert_near(&picture.pixel(21, 13), &[255, 255, 255], 6);
}

#[test]
fn dpi_comes_from_the_container_or_exif() {
    let per_metre = [11_811u32.to_be_bytes(), 11_811u32.to_be_bytes()].concat();
    let png = png_with(
        &quarters(4, 2),
        vec![chunk(b"pHYs", &[per_metre.as_slice(), &[1]].concat())],
    );
    let (x, y) = decode(&png).facts.dpi.unwrap();
    assert!(
        (x - 300.0).abs() < 0.01 && (y - 300.0).abs() < 0.01,
        "{x} {y}"
    );

    let png = png_with(&quarters(4, 2), vec![chunk(b"eXIf", &exif(1))]);
    assert_eq!(decode(&png).facts.dpi, Some((300.0, 300.0)));
    assert_eq!(
        decode(&encode(&quarters(4, 2), Format::Png)).facts.dpi,
        None
    );
}
