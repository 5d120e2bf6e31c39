//! Pictures in and out: formats, sizes, alpha, kinds of PNG, orientation, the ends of strength.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, guess_format};

use crate::place::{Place, distance, painted, painted_with_alpha};

#[test]
fn every_format_is_read() {
    let place = Place::new();
    let names = ["a.png", "b.bmp", "c.tiff", "d.webp", "e.gif", "f.jpg"];
    for name in names {
        place.save(name, &painted(67, 45, 30).into());
    }
    place.put("png.jpg", &place.bytes("a.png")); // content decides, not the name
    let names = [&names[..], &["png.jpg"]].concat();
    let line = format!(
        "transform {} -p winter -s 0 -o out/ --json",
        names.join(" ")
    );
    let files = place.succeed(&line).files();
    assert_eq!(files.len(), names.len());
    for (name, file) in names.iter().zip(files) {
        let (most, _) = distance(&place.open(&file), &place.open(name));
        // Two JPEG decoders may round differently.
        let allowed = if *name == "f.jpg" { 2 } else { 0 };
        assert!(most <= allowed, "{name}: off by {most}");
    }
}

#[test]
fn the_extension_decides_the_format() {
    let place = Place::with_source();
    let run = |name: &str| {
        place.succeed(&format!(
            "transform a.png -p winter -s 0.9 --steps 2 --seed 1 -o {name}"
        ));
        (guess_format(&place.bytes(name)).unwrap(), place.open(name))
    };
    let (format, want) = run("o.png");
    assert_eq!(format, ImageFormat::Png);
    // A JPEG of quality 95 is off by a little, everything else by nothing.
    for (name, format, allowed) in [
        ("p.PNG", ImageFormat::Png, 0.0),
        ("o.webp", ImageFormat::WebP, 0.0),
        ("o.jpg", ImageFormat::Jpeg, 3.0),
        ("o.jpeg", ImageFormat::Jpeg, 3.0),
    ] {
        let (got, picture) = run(name);
        assert_eq!(got, format, "{name}");
        let (_, mean) = distance(&picture, &want);
        assert!(mean <= allowed, "{name}: off by {mean}");
    }
    let (_, change) = distance(&want, &place.open("a.png"));
    assert!(change > 3.0, "the source itself would pass: {change}");
}

#[test]
fn a_result_is_as_large_as_its_source() {
    let place = Place::new();
    let sizes = [(97, 71), (64, 64), (1, 1), (3, 200), (130, 17)];
    let mut line = "transform -p winter --steps 2 -o out/ --json".to_owned();
    for (width, height) in sizes {
        let name = format!("{width}x{height}.png");
        place.save(&name, &painted(width, height, 0).into());
        line = format!("{line} {name}");
    }
    let done = place.succeed(&line);
    for ((width, height), file) in sizes.into_iter().zip(done.files()) {
        let picture = place.open(&file);
        assert_eq!((picture.width(), picture.height()), (width, height));
    }
    let json = done.json();
    assert_eq!(
        json["results"][0]["recipe"]["size"],
        serde_json::json!([97, 71])
    );
}

#[test]
fn size_and_fit_give_the_size_asked_for() {
    let place = Place::new();
    place.save("a.png", &painted(96, 64, 0).into());
    for (arguments, size) in [
        ("--size 48", (48, 32)),
        ("--size 64x64", (64, 43)),
        ("--size 64x64 --fit pad", (64, 43)),
        ("--size 64x64 --fit crop", (64, 64)),
        ("--size 50x80 --fit stretch", (50, 80)),
    ] {
        place.succeed(&format!(
            "transform a.png -p winter --steps 2 -o o.png {arguments}"
        ));
        let picture = place.open("o.png");
        assert_eq!((picture.width(), picture.height()), size, "{arguments}");
    }
}

#[test]
fn alpha_is_kept_where_the_format_can() {
    let place = Place::new();
    for (width, height) in [(97, 71), (33, 21)] {
        place.save("a.png", &painted_with_alpha(width, height).into());
        let source = place.open("a.png").to_rgba8();
        for name in ["o.png", "o.webp"] {
            place.succeed(&format!("transform a.png -p winter --steps 2 -o {name}"));
            let result = place.open(name).to_rgba8();
            let alpha = |picture: &image::RgbaImage| -> Vec<u8> {
                picture.pixels().map(|pixel| pixel.0[3]).collect()
            };
            assert_eq!(alpha(&result), alpha(&source), "{name}");
            assert_ne!(result, source, "{name}: nothing was done");
        }
    }
    let done = place.succeed("transform a.png -p winter --steps 2 -o o.jpg");
    let warnings = done.lines("warning: a.png: JPEG has no transparency");
    assert_eq!(warnings.len(), 1, "{}", done.stderr);
    assert!(!place.open("o.jpg").color().has_alpha());
}

/// One PNG of a kind that `image` does not write.
fn png(
    colour: png::ColorType,
    depth: png::BitDepth,
    palette: Option<(&[u8], &[u8])>,
    rows: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 16, 4);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if let Some((colours, alphas)) = palette {
        encoder.set_palette(colours);
        encoder.set_trns(alphas);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn every_kind_of_png_is_read() {
    use png::{BitDepth as Depth, ColorType as Colour};
    let place = Place::new();
    // 16 columns, 4 rows; of 16-bit samples the low byte decides how they are rounded.
    let rows = |bits_per_pixel: usize| -> Vec<u8> {
        let length = 16 * 4 * bits_per_pixel / 8;
        (0..length).map(|k| (k * 37 % 256) as u8).collect()
    };
    let colours: Vec<u8> = (0..16u8).flat_map(|k| [k * 16, 255 - k, k * 7]).collect();
    let alphas: Vec<u8> = (0..16u8).map(|k| k * 17).collect();
    let kinds = [
        ("grey1", png(Colour::Grayscale, Depth::One, None, &rows(1))),
        (
            "grey8",
            png(Colour::Grayscale, Depth::Eight, None, &rows(8)),
        ),
        (
            "grey16",
            png(Colour::Grayscale, Depth::Sixteen, None, &rows(16)),
        ),
        (
            "greyalpha8",
            png(Colour::GrayscaleAlpha, Depth::Eight, None, &rows(16)),
        ),
        (
            "greyalpha16",
            png(Colour::GrayscaleAlpha, Depth::Sixteen, None, &rows(32)),
        ),
        ("rgb16", png(Colour::Rgb, Depth::Sixteen, None, &rows(48))),
        ("rgba16", png(Colour::Rgba, Depth::Sixteen, None, &rows(64))),
        (
            "palette4",
            png(
                Colour::Indexed,
                Depth::Four,
                Some((&colours, &alphas)),
                &rows(4),
            ),
        ),
    ];
    let mut line = "transform -p winter -s 0 -o out/ --json".to_owned();
    for (name, bytes) in &kinds {
        place.put(&format!("{name}.png"), bytes);
        line = format!("{line} {name}.png");
    }
    let files = place.succeed(&line).files();
    assert_eq!(files.len(), kinds.len());
    for ((name, bytes), file) in kinds.iter().zip(files) {
        let want = image::load_from_memory(bytes).unwrap();
        assert_eq!(distance(&place.open(&file), &want).0, 0, "{name}");
        let flat = want.to_rgba8();
        assert!(flat.pixels().any(|pixel| pixel != &flat[(0, 0)]), "{name}");
    }
}

/// A JPEG whose EXIF block has an orientation and a maker's name.
fn jpeg_with_orientation(picture: &DynamicImage, orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    picture.write_with_encoder(encoder).unwrap();
    let mut segment = b"\xFF\xE1\x00\x00Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    segment.extend(b"\x01\x0F\0\x02\0\0\0\x0A\0\0\0\x26"); // maker, 10 bytes at 38
    segment.extend(b"\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend([orientation, 0, 0, 0, 0, 0, 0]);
    segment.extend(b"somebody!\0");
    let length = (segment.len() - 2) as u8;
    segment[3] = length;
    jpeg.splice(2..2, segment);
    jpeg
}

#[test]
fn exif_orientation_is_applied_once() {
    let place = Place::new();
    let picture: DynamicImage = painted(64, 40, 90).into();
    let mut line = "transform -p winter -s 0 -o out/ --json".to_owned();
    for orientation in 1..=8 {
        let bytes = jpeg_with_orientation(&picture, orientation);
        place.put(&format!("{orientation}.jpg"), &bytes);
        line = format!("{line} {orientation}.jpg");
    }
    for (orientation, file) in (1..=8).zip(place.succeed(&line).files()) {
        let mut want = place.open(&format!("{orientation}.jpg"));
        want.apply_orientation(Orientation::from_exif(orientation).unwrap());
        let (most, _) = distance(&place.open(&file), &want);
        assert!(most <= 2, "orientation {orientation}: off by {most}");
    }
    place.succeed("transform 6.jpg -p winter -s 0 -o o.jpg");
    let bytes = place.bytes("o.jpg");
    let mut decoder = JpegDecoder::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(decoder.dimensions(), (40, 64));
    assert_eq!(decoder.orientation().unwrap(), Orientation::NoTransforms);
}

#[test]
fn a_profile_adds_up_and_changes_nothing() {
    let place = Place::with_source();
    let line = "transform a.png -p winter -s 0.9 --steps 2 --seed 1 --json";
    place.succeed(&format!("{line} -o plain.png"));
    let done = place.succeed(&format!("{line} --profile -o timed.png"));
    assert_eq!(place.bytes("timed.png"), place.bytes("plain.png"));
    let result = &done.json()["results"][0];
    let profile = &result["profile"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert_eq!(profile["steps"], result["steps_run"]);
    let mut within = 0.0;
    let mut names = Vec::new();
    for network in profile["networks"].as_array().unwrap() {
        names.push(network["network"].as_str().unwrap());
        let operations = network["operations"].as_array().unwrap();
        let sum = |field: &str| -> f64 { operations.iter().map(|one| number(&one[field])).sum() };
        let seconds = number(&network["seconds"]);
        assert!((sum("seconds") - seconds).abs() < 1e-6 && (sum("share") - 1.0).abs() < 1e-6);
        within += seconds;
    }
    assert!(
        names.contains(&"unet") && names.contains(&"text encoder"),
        "{names:?}"
    );
    let whole = number(&profile["seconds"]);
    let rest = number(&profile["outside_seconds"]);
    assert!(rest > 0.0 && (within + rest - whole).abs() < 1e-6);
    assert!(done.stderr.contains("unet, one of "), "{}", done.stderr);
    assert!(done.stderr.contains("GFLOP/s") && done.stderr.contains("attention of "));
    let plain = place.succeed(&format!("{line} -o again.png"));
    assert_eq!(plain.json()["results"][0].get("profile"), None);
}
