//! `imagegen mask`: what options make of a source.

use image::{DynamicImage, GrayImage, Luma, Rgba, RgbaImage};

use crate::place::Place;
use crate::{run, succeed};

/// The values of a written mask, which has to be grey.
fn mask(place: &Place, name: &str) -> GrayImage {
    let picture = place.open(name).into_rgb8();
    assert!(
        picture
            .pixels()
            .all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]),
        "{name}"
    );
    DynamicImage::ImageRgb8(picture).into_luma8()
}

fn covered(mask: &GrayImage) -> usize {
    mask.pixels().filter(|pixel| pixel.0[0] > 0).count()
}

/// A mask of 80x64 with white from 10,20 on, 30x16 pixels.
fn drawn() -> GrayImage {
    let inside = |x, y| (10..40).contains(&x) && (20..36).contains(&y);
    GrayImage::from_fn(80, 64, |x, y| Luma([if inside(x, y) { 255 } else { 0 }]))
}

#[test]
fn boxes_join_grow_and_feather() {
    let place = Place::with_source();
    let done = succeed(
        &place,
        "mask a.png --box 10,20,30,16 --box 60,0,20,64 -o m.png --json",
    );
    let (json, one) = (done.json(), mask(&place, "m.png"));
    assert_eq!(covered(&one), 30 * 16 + 20 * 64);
    assert_eq!(json["pixels"], 30 * 16 + 20 * 64);
    assert_eq!(json["bounds"], serde_json::json!([10, 0, 70, 64]));
    assert_eq!(json["size"], serde_json::json!([80, 64]));
    succeed(
        &place,
        "mask a.png --box 10,20,30,16 --box 60,0,20,64 --invert -o i.png",
    );
    assert_eq!(covered(&mask(&place, "i.png")), 80 * 64 - covered(&one));
    succeed(&place, "mask a.png --box 10,20,30,16 --grow 5 -o g.png");
    succeed(&place, "mask a.png --mask g.png --shrink 5 -o s.png");
    succeed(&place, "mask a.png --box 10,20,30,16 -o b.png");
    assert_eq!(
        mask(&place, "s.png"),
        mask(&place, "b.png"),
        "grown and shrunk again"
    );
    succeed(&place, "mask a.png --box 10,20,30,16 --feather 6 -o f.png");
    let soft = mask(&place, "f.png");
    assert!(soft.get_pixel(9, 28).0[0] > 0 && soft.get_pixel(25, 28).0[0] > 250);
}

#[test]
fn mask_files_of_every_kind_are_the_same_mask() {
    let place = Place::with_source();
    let plain = drawn();
    place.save("grey.png", &plain.clone().into());
    let wide = image::ImageBuffer::from_fn(80, 64, |x, y| {
        Luma([u16::from(plain.get_pixel(x, y).0[0]) * 257])
    });
    place.save("wide.png", &DynamicImage::ImageLuma16(wide));
    let clear = RgbaImage::from_fn(80, 64, |x, y| {
        Rgba([255, 255, 255, plain.get_pixel(x, y).0[0]])
    });
    place.save("clear.png", &clear.into());
    for name in ["grey", "wide", "clear"] {
        succeed(
            &place,
            &format!("mask a.png --mask {name}.png -o out-{name}.png"),
        );
        assert_eq!(mask(&place, &format!("out-{name}.png")), plain, "{name}");
    }
}

#[test]
fn masks_that_cannot_be_are_named() {
    let place = Place::with_source();
    place.save(
        "other.png",
        &GrayImage::from_pixel(40, 32, Luma([255])).into(),
    );
    place.save("m.png", &drawn().into());
    for (line, code, words) in [
        (
            "--mask other.png",
            1,
            &["mask is 40x32", "source's size 80x64"][..],
        ),
        (
            "--mask a.png",
            1,
            &["mask has colours in", "expected a grey picture"],
        ),
        ("--mask none.png", 1, &["cannot read none.png"]),
        (
            "--box 70,0,20,10",
            1,
            &["box 70,0,20,10 is not inside the picture of 80x64"],
        ),
        ("--box 1,2,0,4", 2, &["--box", "at least 1"]),
        ("--key blue", 2, &["--key", "expected RRGGBB"]),
        (
            "--only hands",
            2,
            &["--only", "faces, subject, background or transparent"],
        ),
        ("--fit-mask --box 1,2,3,4", 2, &["required arguments"]),
        ("--grow 2000 --box 1,2,3,4", 2, &["--grow"]),
        ("", 1, &["mask is nothing", "a box"]),
        ("--invert", 1, &["mask is nothing"]),
    ] {
        run(&place, &format!("mask a.png {line} -o o.png")).assert_refused(code, words);
    }
    run(&place, "mask a.png --mask m.png -o m.png")
        .assert_refused(1, &["names the mask", "never replaced"]);
    run(&place, "mask a.png --mask m.png -o a.png")
        .assert_refused(1, &["source is never replaced"]);
    run(&place, "mask - --mask - -o o.png").assert_refused(2, &["standard input"]);
    run(&place, "mask a.png --mask m.png -o o.jpg")
        .assert_refused(2, &["JPEG would change the mask"]);
    assert_eq!(place.names(), ["a.png", "m.png", "other.png"]);
    succeed(&place, "mask a.png --mask other.png --fit-mask -o o.png");
    assert_eq!(covered(&mask(&place, "o.png")), 80 * 64);
}

#[test]
fn masks_say_what_they_cover() {
    let place = Place::with_source();
    place.save("black.png", &GrayImage::new(80, 64).into());
    let done = succeed(&place, "mask a.png --mask black.png -o o.png");
    assert_eq!(
        done.lines("warning: a.png: mask is empty").len(),
        1,
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("80x64: covers nothing"),
        "{}",
        done.stderr
    );
    let done = succeed(&place, "mask a.png --box 0,0,80,64 -o o.png");
    assert_eq!(
        done.lines("warning: a.png: mask is full").len(),
        1,
        "{}",
        done.stderr
    );
    let done = succeed(&place, "mask a.png --only faces -o o.png");
    assert_eq!(
        done.lines("warning: a.png: no face was found").len(),
        1,
        "{}",
        done.stderr
    );
    let done = succeed(&place, "mask a.png --box 8,16,40,32 -o o.png");
    let words = "covers 25.0 % of the picture, inside 8,16,40,32";
    assert!(done.stderr.contains(words), "{}", done.stderr);
}

#[test]
fn what_is_protected_is_kept_whatever_else_is_named() {
    let place = Place::new();
    let clear = RgbaImage::from_fn(80, 64, |x, _| {
        Rgba([200, 90, 40, if x < 30 { 0 } else { 255 }])
    });
    place.save("a.png", &clear.into());
    succeed(&place, "mask a.png --protect transparent -o rest.png");
    assert_eq!(covered(&mask(&place, "rest.png")), 50 * 64);
    succeed(&place, "mask a.png --only transparent -o clear.png");
    assert_eq!(covered(&mask(&place, "clear.png")), 30 * 64);
    succeed(
        &place,
        "mask a.png --box 20,0,40,64 --grow 9 --feather 9 --protect transparent -o o.png",
    );
    let kept = mask(&place, "o.png");
    assert!((0..30).all(|x| kept.get_pixel(x, 30).0[0] == 0));
    assert_eq!(kept.get_pixel(30, 30).0[0], 255);
    // A source's own alpha is no mask unless it is asked for.
    succeed(&place, "mask a.png --box 40,10,5,5 -o own.png");
    assert_eq!(covered(&mask(&place, "own.png")), 25);
}

#[test]
fn a_mask_can_be_looked_at() {
    let place = Place::with_source();
    succeed(&place, "mask a.png --box 10,20,30,16 --over -o look.jpg");
    succeed(&place, "mask a.png --box 10,20,30,16 --over");
    let (look, source) = (
        place.open("a-mask.png").into_rgb8(),
        place.open("a.png").into_rgb8(),
    );
    for (x, y, pixel) in look.enumerate_pixels() {
        let inside = (10..40).contains(&x) && (20..36).contains(&y);
        assert_eq!(pixel == source.get_pixel(x, y), !inside, "{x},{y}");
    }
}
