//! ICC profiles, made here and checked against formulas that do not go by way of D50 and tables.

use imagegen_picture::{Format, Picture, Size, Warning};
use moxcms::ColorProfile;

use crate::make::*;

fn encoded(linear: f64) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let value = if linear <= 0.0031308 {
        12.92 * linear
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    };
    (value * 255.0).round() as u8
}

fn linear(value: u8) -> f64 {
    let v = f64::from(value) / 255.0;
    if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    }
}

fn iccp(profile: &[u8]) -> Vec<u8> {
    chunk(b"iCCP", &[b"x\0\0".as_slice(), &deflate(profile)].concat())
}

pub(crate) fn png_with_profile(profile: &[u8]) -> Vec<u8> {
    png_with(&swatches(), vec![iccp(profile)])
}

fn swatches() -> Picture {
    painted(16, 16, |x, y| {
        [(x * 17) as u8, (y * 17) as u8, ((x + y) * 8) as u8]
    })
}

/// A profile of hand-laid tags: `space` is `RGB `, `GRAY` or `CMYK`, `connection` is `XYZ ` or `Lab `.
fn profile(space: &[u8; 4], connection: &[u8; 4], tags: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut table = (tags.len() as u32).to_be_bytes().to_vec();
    let mut body = Vec::new();
    for (name, tag) in tags {
        table.extend(*name);
        table.extend((132 + tags.len() as u32 * 12 + body.len() as u32).to_be_bytes());
        table.extend((tag.len() as u32).to_be_bytes());
        body.extend(tag);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut header = vec![0; 128];
    header[..4].copy_from_slice(&((128 + table.len() + body.len()) as u32).to_be_bytes());
    header[8] = 2; // version
    header[12..16].copy_from_slice(if space == b"CMYK" { b"prtr" } else { b"mntr" });
    header[16..20].copy_from_slice(space);
    header[20..24].copy_from_slice(connection);
    header[36..40].copy_from_slice(b"acsp");
    for (at, v) in [(68, 0.9642), (72, 1.0), (76, 0.8249)] {
        header[at..at + 4].copy_from_slice(&fixed(v));
    }
    [header, table, body].concat()
}

fn fixed(v: f64) -> [u8; 4] {
    ((v * 65_536.0).round() as i32).to_be_bytes()
}

/// A curve of one gamma value.
fn gamma(gamma: f64) -> Vec<u8> {
    let mut tag = b"curv\0\0\0\0\0\0\0\x01".to_vec();
    tag.extend(((gamma * 256.0) as u16).to_be_bytes());
    tag.extend([0; 2]);
    tag
}

fn colorant(xyz: [f64; 3]) -> Vec<u8> {
    [b"XYZ \0\0\0\0".to_vec(), xyz.map(fixed).concat()].concat()
}

fn linear_srgb_profile() -> Vec<u8> {
    let tags: [(&[u8; 4], Vec<u8>); 6] = [
        (b"rXYZ", colorant([0.43607, 0.22249, 0.01392])),
        (b"gXYZ", colorant([0.38515, 0.71687, 0.09708])),
        (b"bXYZ", colorant([0.14307, 0.06061, 0.71410])),
        (b"rTRC", gamma(1.0)),
        (b"gTRC", gamma(1.0)),
        (b"bTRC", gamma(1.0)),
    ];
    profile(b"RGB ", b"XYZ ", &tags)
}

/// Print colours through a 2-point table: lightness falls linearly with black, the other inks do nothing.
pub(crate) fn cmyk_profile() -> Vec<u8> {
    let mut tag = b"mft2\0\0\0\0\x04\x03\x02\0".to_vec();
    tag.extend(
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
            .map(fixed)
            .concat(),
    );
    tag.extend([0, 2, 0, 2]);
    let ends = [0u16.to_be_bytes(), 65_535u16.to_be_bytes()].concat();
    tag.extend(ends.repeat(4));
    for cell in 0..16 {
        let lightness = if cell & 1 == 0 { 0xFF00u16 } else { 0 }; // black varies fastest
        tag.extend([lightness, 0x8000, 0x8000].map(u16::to_be_bytes).concat());
    }
    tag.extend(ends.repeat(3));
    profile(b"CMYK", b"Lab ", &[(b"A2B0", tag)])
}

#[test]
fn linear_light_is_encoded() {
    let decoded = decode(&png_with_profile(&linear_srgb_profile()));
    assert!(decoded.facts.had_profile);
    assert_eq!(decoded.warnings, []);
    let want: Vec<u8> = swatches()
        .rgb()
        .iter()
        .map(|&v| encoded(f64::from(v) / 255.0))
        .collect();
    // Colorants are rounded to 16 bit, which moves dark values most.
    assert_near(decoded.picture.rgb(), &want, 1);
    assert_eq!(decoded.picture.pixel(15, 15)[..2], [255, 255]);
}

#[test]
fn display_p3_is_converted() {
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let decoded = decode(&png_with_profile(&p3));
    // P3 to sRGB, both D65: from the chromaticities of the primaries, as CSS Color 4 lists it.
    let matrix = [
        [1.224_940_18, -0.224_940_18, 0.0],
        [-0.042_056_95, 1.042_056_95, 0.0],
        [-0.019_637_55, -0.078_636_05, 1.098_273_6],
    ];
    let want: Vec<u8> = swatches()
        .rgb()
        .chunks_exact(3)
        .flat_map(|rgb| matrix.map(|row| encoded((0..3).map(|i| row[i] * linear(rgb[i])).sum())))
        .collect();
    assert_near(decoded.picture.rgb(), &want, 1);
    assert_ne!(decoded.picture.rgb(), swatches().rgb());
}

#[test]
fn an_srgb_profile_changes_nothing() {
    let srgb = ColorProfile::new_srgb().encode().unwrap();
    let decoded = decode(&png_with_profile(&srgb));
    assert_eq!(decoded.picture, swatches());
    assert!(decoded.facts.had_profile);
}

#[test]
fn a_jpeg_profile_in_parts_is_put_together() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let flat = Picture::filled(Size::new(16, 16), [200, 100, 50]).unwrap();
    let (first, second) = profile.split_at(profile.len() / 2);
    let part = |number, part: &[u8]| [b"ICC_PROFILE\0", &[number, 2][..], part].concat();
    // The second part stands first in the file.
    let file = with_segment(encode(&flat, Format::JPEG), 0xE2, &part(1, first));
    let file = with_segment(file, 0xE2, &part(2, second));
    let png = decode(&png_with(&flat, vec![iccp(&profile)]));
    let decoded = decode(&file);
    assert_eq!(decoded.warnings, []);
    assert_near(decoded.picture.rgb(), png.picture.rgb(), 2);
    assert!(
        decoded.picture.pixel(5, 5)[0] > 205,
        "{:?}",
        decoded.picture.pixel(5, 5)
    );
}

#[test]
fn sixteen_bit_and_alpha_go_through_a_profile() {
    let rows = [0, 0x40, 0, 0x80, 0, 0xC0, 0, 0x12, 0x34];
    let before = vec![iccp(&linear_srgb_profile())];
    let file = Png {
        size: (1, 1),
        depth: 16,
        colour: 6,
        interlaced: false,
        before,
        rows: &rows,
    };
    let decoded = decode(&file.bytes());
    let want = [0x4000, 0x8000, 0xC000].map(|v| encoded(f64::from(v) / 65_535.0));
    assert_near(&decoded.picture.pixel(0, 0), &want, 1);
    assert_eq!(decoded.picture.alpha(), Some(&[0x12][..]));
}

#[test]
fn grey_goes_through_a_grey_profile_and_an_rgb_one() {
    let rows = [0, 10, 100, 200];
    for profile in [
        profile(b"GRAY", b"XYZ ", &[(b"kTRC", gamma(1.0))]),
        linear_srgb_profile(),
    ] {
        let before = vec![iccp(&profile)];
        let file = Png {
            size: (3, 1),
            depth: 8,
            colour: 0,
            interlaced: false,
            before,
            rows: &rows,
        };
        let decoded = decode(&file.bytes());
        assert_eq!(decoded.warnings, []);
        for (x, v) in [(0, 10), (1, 100), (2, 200)] {
            assert_near(
                &decoded.picture.pixel(x, 0),
                &[encoded(f64::from(v) / 255.0); 3],
                1,
            );
        }
    }
}

#[test]
fn a_print_profile_is_used() {
    let profile = [b"ICC_PROFILE\0\x01\x01", cmyk_profile().as_slice()].concat();
    let file = with_segment(
        include_bytes!("../fixtures/cmyk.jpg").to_vec(),
        0xE2,
        &profile,
    );
    let decoded = decode(&file);
    assert_eq!(decoded.warnings, []);
    // Only black counts in this profile.
    assert_near(&decoded.picture.pixel(2, 2), &[255; 3], 2);
    assert_near(&decoded.picture.pixel(2, 13), &[0; 3], 3);
    assert_near(&decoded.picture.pixel(21, 13), &[255; 3], 2);
}

#[test]
fn a_profile_for_other_samples_is_named_and_left() {
    let decoded = decode(&png_with_profile(&cmyk_profile()));
    let [Warning::ProfileUnusable { reason }] = &decoded.warnings[..] else {
        panic!("{:?}", decoded.warnings);
    };
    assert!(reason.contains("Cmyk"), "{reason}");
    assert_eq!(decoded.picture, swatches());
}
