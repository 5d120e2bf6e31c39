//! What a source carries goes into its results: EXIF tags, resolution; not the place.

use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::{DynamicImage, ImageReader};

use crate::place::{Place, painted};

const FORMATS: [&str; 3] = ["o.png", "o.jpg", "o.webp"];

/// A JPEG of 250 pixels per inch whose EXIF block names a maker and, where `place` is set, a place.
fn photograph(picture: &DynamicImage, place: bool) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    let (density, unit) = ((250, 250), PixelDensityUnit::Inches);
    encoder.set_pixel_density(PixelDensity { density, unit });
    picture.write_with_encoder(encoder).unwrap();
    let mut block = b"Exif\0\0MM\0*\0\0\0\x08".to_vec();
    let count = if place { 2 } else { 1 };
    let after = 8 + 2 + 12 * u32::from(count) + 4;
    block.extend([0, count]);
    block.extend(b"\x01\x0F\0\x02\0\0\0\x0A"); // maker, 10 letters
    block.extend(after.to_be_bytes());
    if place {
        block.extend(b"\x88\x25\0\x04\0\0\0\x01");
        block.extend((after + 10).to_be_bytes());
    }
    block.extend([0; 4]);
    block.extend(b"somebody!\0");
    if place {
        block.extend(b"\0\x01\0\x1B\0\x02\0\0\0\x0A"); // how the place was found, 10 letters
        block.extend((after + 10 + 2 + 12 + 4).to_be_bytes());
        block.extend([0; 4]);
        block.extend(b"somewhere\0");
    }
    let mut segment = vec![0xFF, 0xE1];
    segment.extend((block.len() as u16 + 2).to_be_bytes());
    segment.extend(block);
    jpeg.splice(2..2, segment);
    jpeg
}

fn holds(place: &Place, name: &str, needle: &[u8]) -> bool {
    place
        .bytes(name)
        .windows(needle.len())
        .any(|part| part == needle)
}

/// Pixels per inch that a result names.
fn dpi(place: &Place, name: &str) -> Option<(f32, f32)> {
    let decoded = imagegen_picture::decode(&place.bytes(name), &Default::default());
    decoded
        .unwrap()
        .facts
        .dpi
        .map(|(x, y)| (x.round(), y.round()))
}

#[test]
fn results_say_what_the_source_says_of_itself() {
    let place = Place::new();
    place.put("a.jpg", &photograph(&painted(80, 64, 90).into(), false));
    for strength in ["0", "0.5"] {
        for name in FORMATS {
            let done = place.succeed(&format!(
                "transform a.jpg -p winter -s {strength} --steps 2 --seed 1 -o {name} --json"
            ));
            assert!(holds(&place, name, b"somebody!\0"), "{name}");
            assert_eq!(dpi(&place, name), Some((250.0, 250.0)), "{name}");
            let json = done.json();
            assert_eq!(json["results"][0]["notes"], serde_json::json!([]));
            assert_eq!(
                json["results"][0]["warnings"].as_array().unwrap().len(),
                usize::from(strength == "0")
            );
            assert!(!done.stderr.contains("note: "), "{}", done.stderr);
            // Another library reads it.
            let path = place.path(name);
            ImageReader::open(path).unwrap().decode().unwrap();
        }
    }
    place.succeed("replay o.png -o again.png");
    assert!(place.bytes("again.png") == place.bytes("o.png"));
}

#[test]
fn the_place_is_left_out_and_that_is_said_once() {
    let place = Place::new();
    place.put("a.jpg", &photograph(&painted(80, 64, 90).into(), true));
    place.put("b.jpg", &photograph(&painted(80, 64, 20).into(), true));
    assert!(holds(&place, "a.jpg", b"somewhere\0"));
    for name in FORMATS {
        place.succeed(&format!(
            "transform a.jpg -p winter -s 0 --steps 2 -o {name}"
        ));
        assert!(holds(&place, name, b"somebody!\0"), "{name}");
        assert!(!holds(&place, name, b"somewhere"), "{name}");
    }
    let line = "transform a.jpg b.jpg -p winter -s 0 --seed 1 --count 2 -o out/";
    let done = place.succeed(&format!("{line} --json"));
    for source in ["a.jpg", "b.jpg"] {
        let said = done.lines(&format!(
            "note: {source}: the source says where it was taken (GPS)"
        ));
        assert_eq!(said.len(), 1, "{}", done.stderr);
    }
    for result in done.json()["results"].as_array().unwrap() {
        let notes = result["notes"].as_array().unwrap();
        assert!(
            notes.len() == 1 && notes[0].as_str().unwrap().contains("GPS"),
            "{result}"
        );
        // Nothing is wrong, so it is no warning.
        assert!(!result["warnings"].to_string().contains("GPS"), "{result}");
    }
    let done = place.succeed(&format!("{line} --quiet"));
    assert!(!done.stderr.contains("note: "), "{}", done.stderr);
}

#[test]
fn text_to_image_carries_nothing() {
    let place = Place::new();
    for name in FORMATS {
        place.succeed(&format!(
            "generate -p winter --size 64x64 --steps 1 -o {name}"
        ));
        assert_eq!(dpi(&place, name), None, "{name}");
    }
}
