//! `imagegen inpaint`: what changes, what does not, and what is refused. Pictures are small and steps few:
//! the masked part is worked on at the model's own size, which takes its time.

use image::{DynamicImage, GrayImage, Luma, Rgba, RgbaImage};
use serde_json::Value;

use crate::place::{Place, painted, painted_with_alpha};
use crate::{run, succeed};

/// The smallest box that holds every pixel that differs, and their number.
fn changed(place: &Place, one: &str, two: &str) -> Option<([u32; 4], usize)> {
    let (one, two) = (place.open(one).into_rgba8(), place.open(two).into_rgba8());
    assert_eq!(one.dimensions(), two.dimensions());
    let differing: Vec<_> = one
        .enumerate_pixels()
        .filter(|(x, y, pixel)| *pixel != two.get_pixel(*x, *y))
        .map(|(x, y, _)| (x, y))
        .collect();
    let bounds = |of: fn(&(u32, u32)) -> u32| {
        let values = differing.iter().map(of);
        Some((values.clone().min()?, values.max()? + 1))
    };
    let ((left, right), (top, bottom)) = (bounds(|at| at.0)?, bounds(|at| at.1)?);
    Some(([left, top, right, bottom], differing.len()))
}

fn inpainted(json: &Value) -> &Value {
    &json["results"][0]["inpaint"]
}

const QUICK: &str = "-p winter --steps 2 --guidance 1 --seed 3";

#[test]
fn outside_the_mask_every_pixel_is_the_sources() {
    let place = Place::new();
    // Odd sizes, colours below alpha 0, and 16 bit.
    place.save("a.png", &painted_with_alpha(97, 71).into());
    let wide = image::ImageBuffer::from_fn(96, 64, |x, y| {
        image::Rgb([x as u16 * 600, y as u16 * 900, 40_000])
    });
    place.save("b.png", &DynamicImage::ImageRgb16(wide));
    place.save("c.png", &painted(96, 64, 30).into());
    for (name, width, height) in [("a", 97, 71), ("b", 96, 64), ("c", 96, 64)] {
        for extra in [
            "",
            "-s 1",
            "-s 0.4 --feather 5 --wide 0 --band 0 --ring 0",
            "--content noise",
        ] {
            let line =
                format!("inpaint {name}.png --box 30,20,40,30 {QUICK} {extra} -o o.png --json");
            let done = succeed(&place, &line);
            let soft = if extra.contains("feather") { 8 } else { 0 };
            // The program's own view of a 16-bit picture has 8 bits.
            succeed(
                &place,
                &format!("transform {name}.png -p x -s 0 -o source.png"),
            );
            let ([left, top, right, bottom], count) =
                changed(&place, "o.png", "source.png").unwrap();
            assert!(left + soft >= 30 && top + soft >= 20, "{line}");
            assert!(right <= 70 + soft && bottom <= 50 + soft, "{line}");
            assert!(count > 300, "{line}: {count} changed");
            let json = done.json();
            let kept = inpainted(&json)["kept_pixels"].as_u64().unwrap();
            let outside = width * height - 40 * 30;
            assert!(
                if soft == 0 {
                    kept == outside
                } else {
                    kept < outside && kept > 2000
                },
                "{line}: {kept}"
            );
            let words = format!("{kept} pixels outside it checked and unchanged");
            assert!(done.stderr.contains(&words), "{}", done.stderr);
            let (made, source) = (place.open("o.png"), place.open("source.png"));
            let alpha = |picture: &DynamicImage| {
                picture
                    .to_rgba8()
                    .pixels()
                    .map(|p| p.0[3])
                    .collect::<Vec<_>>()
            };
            assert_eq!(alpha(&made), alpha(&source), "alpha stays");
        }
    }
}

#[test]
fn at_strength_1_what_was_under_the_mask_does_not_matter() {
    let place = Place::new();
    let one = painted(96, 64, 30);
    let mut two = one.clone();
    for (x, y, pixel) in two.enumerate_pixels_mut() {
        if (30..70).contains(&x) && (20..50).contains(&y) {
            pixel.0 = [255 - pixel.0[0], 0, pixel.0[2] ^ 99];
        }
    }
    place.save("one.png", &one.into());
    place.save("two.png", &two.into());
    for name in ["one", "two"] {
        // No band: it changes over from the old picture to the new one.
        let line =
            format!("inpaint {name}.png --box 30,20,40,30 {QUICK} -s 1 --band 0 -o out-{name}.png");
        succeed(&place, &line);
    }
    assert_eq!(place.open("out-one.png"), place.open("out-two.png"));
}

#[test]
fn the_masked_part_is_worked_on_at_the_models_own_size() {
    let place = Place::new();
    place.save("a.png", &painted(700, 500, 30).into());
    let line = "inpaint a.png --box 672,478,28,22 --area masked --padding 32 -p winter -s 1 --steps 1 \
                --guidance 1 --seed 3 -o o.png --json";
    let done = succeed(&place, line);
    let (bounds, count) = changed(&place, "o.png", "a.png").unwrap();
    assert_eq!(
        bounds,
        [672, 478, 700, 500],
        "the corner, to its last row and column"
    );
    assert!(count > 500, "{count}");
    let json = done.json();
    let work = json["results"][0]["recipe"]["work_size"].clone();
    let sides: Vec<u64> = work
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert!(
        (220_000..=262_144).contains(&(sides[0] * sides[1])),
        "{work}"
    );
    let seen = inpainted(&json)["seen"].as_array().unwrap().clone();
    assert!(
        seen[0].as_u64() < Some(650) && seen[2].as_u64() < Some(100),
        "{seen:?}"
    );
}

#[test]
fn intents_need_no_numbers_and_are_recorded() {
    let place = Place::new();
    place.save("a.png", &painted(96, 64, 30).into());
    for (intent, strength, content) in [
        ("change", 0.75, "original"),
        ("fill", 0.9, "patches"),
        ("add", 0.85, "original"),
        ("remove", 0.6, "patches"),
        ("refine", 0.35, "original"),
    ] {
        let line = format!(
            "inpaint a.png --box 30,20,40,30 --intent {intent} --area whole {QUICK} -o o.png --json"
        );
        let json = succeed(&place, &line).json();
        let recipe = &json["results"][0]["recipe"];
        assert_eq!(recipe["strength"], strength, "{intent}");
        assert_eq!(recipe["inpaint"]["content"], content, "{intent}");
        assert_eq!(recipe["inpaint"]["intent"], intent);
        assert!(changed(&place, "o.png", "a.png").is_some(), "{intent}");
    }
    // A background needs no mask: it is what is not the subject.
    let ground = |x: u32, y: u32| (x.abs_diff(48) < 20) && (y.abs_diff(32) < 18);
    let thing = image::RgbImage::from_fn(96, 64, |x, y| {
        image::Rgb(if ground(x, y) {
            [200, 40, 30]
        } else {
            [220, 220, 215]
        })
    });
    place.save("thing.png", &thing.into());
    succeed(
        &place,
        &format!("inpaint thing.png --intent replace-background {QUICK} -o o.png"),
    );
    let (made, source) = (
        place.open("o.png").into_rgb8(),
        place.open("thing.png").into_rgb8(),
    );
    assert_eq!(made.get_pixel(48, 32), source.get_pixel(48, 32));
    assert_ne!(made.get_pixel(4, 4), source.get_pixel(4, 4));
}

#[test]
fn what_is_to_go_needs_no_prompt() {
    let place = Place::new();
    place.save("a.png", &painted(96, 64, 30).into());
    let quick = "--box 30,20,40,30 --area whole --steps 2 --guidance 1 --seed 3 -o o.png";
    let done = succeed(&place, &format!("inpaint a.png --intent remove {quick}"));
    assert!(!done.stderr.contains("prompt"), "{}", done.stderr);
    for intent in ["", "--intent change", "--intent fill"] {
        run(&place, &format!("inpaint a.png {intent} {quick}"))
            .assert_refused(2, &["required arguments"]);
    }
}

#[test]
fn what_is_added_around_a_picture_starts_from_patches_of_it() {
    let place = Place::new();
    // Stripes that reach the edges.
    let stripes = image::RgbImage::from_fn(96, 64, |_, y| {
        image::Rgb(if y / 8 % 2 == 0 {
            [220, 40, 30]
        } else {
            [20, 60, 200]
        })
    });
    place.save("a.png", &stripes.into());
    let line = format!("inpaint a.png --expand right=48 {QUICK} -s 0.1 -o o.png --json");
    let json = succeed(&place, &line).json();
    assert_eq!(
        json["results"][0]["recipe"]["inpaint"]["content"],
        "patches"
    );
    let made = place.open("o.png").into_rgb8();
    for y in [4, 20, 36, 52] {
        let [red, _, blue] = made.get_pixel(120, y).0;
        assert!(red > blue, "row {y}: red {red}, blue {blue}");
        let [red, _, blue] = made.get_pixel(120, y + 8).0;
        assert!(red < blue, "row {}: red {red}, blue {blue}", y + 8);
    }
    // Where a mask is named, it is the intent's.
    let line = format!("inpaint a.png --expand right=8 --box 1,1,9,9 {QUICK} -o o.png --json");
    let json = succeed(&place, &line).json();
    assert_eq!(
        json["results"][0]["recipe"]["inpaint"]["content"],
        "original"
    );
}

#[test]
fn recipes_are_replayed_with_their_mask() {
    let place = Place::new();
    place.save("a.png", &painted(96, 64, 30).into());
    let drawn = GrayImage::from_fn(96, 64, |x, y| {
        Luma([if x > 40 && y > 20 { (x * 2) as u8 } else { 0 }])
    });
    place.save("m.png", &drawn.into());
    for line in [
        "--mask m.png --feather 2 --grow 1 --protect transparent",
        "--box 10,10,20,20 --key 0a0f28:90 --invert --content nothing --wide 3 --band 2 --ring 5",
        "--expand left=9,bottom=5 --intent fill --area whole",
    ] {
        succeed(&place, &format!("inpaint a.png {line} {QUICK} -o o.png"));
        succeed(&place, "replay o.png -o again.png");
        assert_eq!(place.open("o.png"), place.open("again.png"), "{line}");
        let done = succeed(&place, "verify o.png");
        assert!(done.stdout.contains("pixels agree"), "{}", done.stdout);
    }
    succeed(
        &place,
        &format!("inpaint a.png --mask m.png {QUICK} -o o.png"),
    );
    place.save("m.png", &GrayImage::from_pixel(96, 64, Luma([255])).into());
    run(&place, "replay o.png -o again.png").assert_refused(1, &["no file in", "m.png"]);
}

#[test]
fn a_picture_is_expanded() {
    let place = Place::new();
    place.save("a.png", &painted_with_alpha(80, 64).into());
    let done = succeed(
        &place,
        &format!("inpaint a.png --expand left=16,top=7 {QUICK} -o o.png --json"),
    );
    let (made, source) = (
        place.open("o.png").into_rgba8(),
        place.open("a.png").into_rgba8(),
    );
    assert_eq!(made.dimensions(), (96, 71));
    assert!(
        source
            .enumerate_pixels()
            .all(|(x, y, pixel)| made.get_pixel(x + 16, y + 7) == pixel)
    );
    assert!(
        made.pixels().take(96 * 7).all(|pixel| pixel.0[3] == 255),
        "what is added is opaque"
    );
    assert_eq!(inpainted(&done.json())["kept_pixels"], 80 * 64);
}

#[test]
fn results_count_seeds_and_keep_to_the_mask() {
    let place = Place::with_source();
    let line = "inpaint a.png --box 20,20,40,30 -p winter --steps 1 --guidance 1 --seed 10";
    succeed(&place, &format!("{line} --count 3 -o out/"));
    let names: Vec<_> = [10, 11, 12]
        .map(|seed| format!("out/a-winter-{seed}.png"))
        .into();
    for name in &names {
        let (bounds, _) = changed(&place, name, "a.png").unwrap();
        assert_eq!(bounds, [20, 20, 60, 50], "{name}");
    }
    assert_ne!(place.open(&names[0]), place.open(&names[1]));
    succeed(
        &place,
        "inpaint a.png --box 20,20,40,30 -p winter --steps 1 --guidance 1 --seed 12 -o o.png",
    );
    assert_eq!(place.open("o.png"), place.open(&names[2]));
}

#[test]
fn masks_that_keep_all_or_nothing_are_said() {
    let place = Place::with_source();
    place.save("black.png", &GrayImage::new(80, 64).into());
    let done = succeed(
        &place,
        &format!("inpaint a.png --mask black.png {QUICK} -o o.png --json"),
    );
    assert_eq!(
        place.open("o.png").into_rgb8(),
        place.open("a.png").into_rgb8()
    );
    assert_eq!(
        done.lines("warning: a.png: mask is empty").len(),
        1,
        "{}",
        done.stderr
    );
    assert_eq!(done.json()["results"][0]["steps_run"], 0);
    let done = succeed(
        &place,
        &format!("inpaint a.png --box 0,0,80,64 {QUICK} -o o.png"),
    );
    assert_eq!(
        done.lines("warning: a.png: mask is full").len(),
        1,
        "{}",
        done.stderr
    );
    let done = succeed(
        &place,
        &format!("inpaint a.png --box 8,8,9,9 -s 0 {QUICK} -o o.png"),
    );
    assert_eq!(
        done.lines("warning: a.png: strength 0").len(),
        1,
        "{}",
        done.stderr
    );
    let done = succeed(
        &place,
        &format!("inpaint a.png --box 8,8,9,9 {QUICK} -o o.jpg"),
    );
    assert_eq!(
        done.lines("warning: a.png: JPEG changes every pixel").len(),
        1,
        "{}",
        done.stderr
    );
}

#[test]
fn a_sources_own_transparency_is_no_mask() {
    let place = Place::new();
    let clear = RgbaImage::from_fn(96, 64, |x, y| {
        Rgba([
            x as u8 * 2,
            y as u8 * 3,
            90,
            if y == 0 && x < 9 && x > 4 { 0 } else { 255 },
        ])
    });
    place.save("a.png", &clear.into());
    succeed(
        &place,
        &format!("inpaint a.png --box 30,20,35,25 -s 1 {QUICK} -o o.png"),
    );
    let ([left, top, right, bottom], _) = changed(&place, "o.png", "a.png").unwrap();
    assert!(left >= 30 && top >= 20 && right <= 65 && bottom <= 45);
}

#[test]
fn paintings_that_cannot_be_are_named() {
    let place = Place::with_source();
    place.save(
        "other.png",
        &GrayImage::from_pixel(40, 32, Luma([255])).into(),
    );
    for (line, code, words) in [
        ("", 1, &["mask is nothing", "a box"][..]),
        ("--mask other.png", 1, &["mask is 40x32", "80x64"]),
        ("--mask a.png", 1, &["mask has colours"]),
        ("--box 70,0,20,10", 1, &["box 70,0,20,10 is not inside"]),
        (
            "--box 1,2,3,4 --intent paint",
            2,
            &["--intent", "replace-background"],
        ),
        (
            "--box 1,2,3,4 --content paint",
            2,
            &["--content", "original, fill, patches, noise or nothing"],
        ),
        (
            "--box 1,2,3,4 --area part",
            2,
            &["--area", "whole or masked"],
        ),
        ("--box 1,2,3,4 -s 1.5", 2, &["--strength", "0 to 1"]),
        ("--box 1,2,3,4 --padding 5000", 2, &["--padding"]),
        ("--box 1,2,3,4 --wide -1", 2, &["--wide"]),
        ("--expand left=0", 2, &["--expand", "at least one pixel"]),
        ("--expand left=1,left=2", 2, &["--expand", "each side once"]),
        (
            "--expand middle=4",
            2,
            &["--expand", "left, top, right and bottom"],
        ),
        (
            "--expand left=40000,top=40000",
            1,
            &["expand is left=40000,top=40000", "at most 100000000 pixels"],
        ),
        (
            "--expand left=4294967295",
            1,
            &["expand is left=4294967295", "at most 100000000"],
        ),
    ] {
        run(&place, &format!("inpaint a.png {line} -p winter -o o.png"))
            .assert_refused(code, words);
    }
    run(&place, "inpaint a.png --box 1,2,3,4 -p winter -o a.png")
        .assert_refused(1, &["never replaced"]);
    assert_eq!(place.names(), ["a.png", "other.png"]);
}
