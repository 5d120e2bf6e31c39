//! Bad input: one line that names the subject and what was expected, the right exit code, nothing left.

use std::fs;

use image::DynamicImage;

use crate::place::{Place, painted};

#[test]
fn wrong_usage_is_refused_with_code_2() {
    let place = Place::with_source();
    let transform = "transform a.png -p winter -o o.png";
    let generate = "generate -p winter -o o.png";
    let range = "expected 0 to 1";
    for (command, more, words) in [
        (transform, "-s -0.1", &["--strength", "-0.1", range][..]),
        (transform, "-s 1.1", &["--strength", "1.1", range]),
        (transform, "-s NaN", &["--strength", "NaN", range]),
        (
            transform,
            "-s abc",
            &["--strength", "abc", "expected a number from 0 to 1"],
        ),
        (transform, "--steps 0", &["--steps", "0", "1..=1000"]),
        (transform, "--steps 1001", &["--steps", "1001", "1..=1000"]),
        (transform, "--count 0", &["--count", "0", "1..=1000"]),
        (transform, "--threads 0", &["--threads", "0", "1..=1024"]),
        (transform, "--seed soon", &["--seed", "soon"]),
        (
            transform,
            "--guidance 101",
            &["--guidance", "101", "expected 0 to 100"],
        ),
        (
            transform,
            "--guidance NaN",
            &["--guidance", "NaN", "expected 0 to 100"],
        ),
        (
            transform,
            "--guidance much",
            &["--guidance", "expected a number from 0 to 100"],
        ),
        (
            transform,
            "--schedule fast",
            &["--schedule", "fast", "expected one of", "karras"],
        ),
        (transform, "--eta 2", &["--eta", "it is 2, expected 0 to 1"]),
        (
            transform,
            "--sampler restart",
            &["--sampler", "restart", "expected one of", "dpmpp_2m"],
        ),
        (
            transform,
            "--strength-rule most",
            &["most", "expected share, exact, diffusers or a1111"],
        ),
        (
            transform,
            "--cpu sse",
            &["--cpu", "sse", "expected", "portable"],
        ),
        (
            transform,
            "--size 0",
            &["--size", "0", "expected WxH", "longest side"],
        ),
        (transform, "--size 64x", &["--size", "64x", "expected WxH"]),
        (transform, "--size 99999x5", &["--size", "99999x5", "16384"]),
        (transform, "--fit fill", &["--fit", "fill"]),
        (transform, "--inpaint", &["--inpaint"]),
        (generate, "--size 512", &["--size", "512", "expected WxH"]),
        (generate, "--strength 0.5", &["--strength"]),
    ] {
        let done = place.run(&format!("{command} {more}"));
        done.assert_refused(2, words);
        assert_eq!(place.names(), ["a.png"], "{more}");
    }
    for (line, word) in [
        ("transform a.png", "--prompt"),
        ("transform -p winter", "<SOURCE>"),
        ("generate", "--prompt"),
        ("paint a.png", "paint"),
    ] {
        let done = place.run(line);
        done.assert_refused(2, &[]);
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
    let done = place.run("");
    assert_eq!((done.code, &*done.stdout), (2, ""));
    assert!(done.stderr.contains("Usage: imagegen"), "{}", done.stderr);
}

#[test]
fn negative_numbers_are_refused_by_the_option_they_belong_to() {
    let place = Place::with_source();
    for option in [
        "--seed",
        "--steps",
        "--count",
        "--threads",
        "--guidance",
        "--size",
    ] {
        let done = place.run(&format!("transform a.png -p winter {option} -4 -o o.png"));
        done.assert_refused(2, &[option, "-4"]);
    }
}

#[test]
fn outputs_that_cannot_be_are_refused_before_any_work() {
    let place = Place::with_source();
    fs::create_dir(place.path("folder")).unwrap();
    let known = "expected png, jpg, jpeg or webp";
    for (output, words) in [
        ("o.gif", &["cannot write o.gif", "\"gif\"", known][..]),
        ("o", &["cannot write o", known]),
        (".png", &["cannot write .png", known]),
        ("o.png.bak", &["\"bak\"", known]),
        ("no/o.png", &["cannot write no/o.png", "no is no folder"]),
        (
            "a.png/o.png",
            &["cannot write a.png/o.png", "a.png is no folder"],
        ),
        ("a.png/", &["cannot make the folder a.png/"]),
    ] {
        for command in ["transform a.png", "generate"] {
            let done = place.run(&format!("{command} -p winter -o {output}"));
            done.assert_refused(1, words);
            let worked = done.stderr.contains("loaded");
            assert!(!worked, "{output}: {}", done.stderr);
        }
    }
    assert_eq!(place.names(), ["a.png", "folder/"]);
}

#[test]
fn models_that_cannot_be_are_refused() {
    let place = Place::with_source();
    place.put("file.safetensors", b"x");
    fs::create_dir(place.path("empty")).unwrap();
    for (file, bytes) in imagegen_starter::FILES {
        let path = place.path("cut").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let whole = bytes.len() - if file.starts_with("unet/diff") { 9 } else { 0 };
        fs::write(path, &bytes[..whole]).unwrap();
    }
    let names = place.names();
    let weights = "unet/diffusion_pytorch_model.safetensors";
    for (model, words) in [
        (
            "sdxl",
            &["model \"sdxl\" is not known", "expected starter or"][..],
        ),
        (
            "file.safetensors",
            &["cannot load model file", "file.safetensors is 1 bytes long"],
        ),
        ("empty", &["model empty lacks unet/config.json"]),
        ("cut", &["cannot load model cut", weights, "cut off"]),
    ] {
        let done = place.run(&format!(
            "transform a.png -p winter --model {model} -o o.png"
        ));
        done.assert_refused(1, words);
        assert_eq!(place.names(), names, "{model}");
    }
    let done = place.run("generate -p winter --model sdxl -o o.png");
    assert_eq!(
        done.lines("hint: leave --model out").len(),
        1,
        "{}",
        done.stderr
    );
}

/// A PNG that claims a size and has no pixels.
fn claiming_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    drop(encoder.write_header().unwrap());
    bytes
}

/// Writes sources that are no use and gives their names and words that their errors have to hold.
fn bad_sources(place: &Place) -> Vec<(&'static str, &'static [&'static str])> {
    let picture: DynamicImage = painted(64, 48, 30).into();
    for name in ["cut.png", "cut.jpg", "cut.webp", "cut.gif"] {
        place.save(name, &picture);
        let bytes = place.bytes(name);
        place.put(name, &bytes[..bytes.len() / 2]);
    }
    place.put("empty.png", b"");
    place.put("page.png", b"<!DOCTYPE html><title>Log in</title>");
    place.put("words.jpg", b"not a picture");
    place.put("zeros.png", &[0; 500]);
    place.put("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1");
    place.put("huge.png", &claiming_png(100_000, 100_000));
    let mut none = claiming_png(7, 7);
    none[16..24].fill(0); // width and height; the checksum is wrong as well
    place.put("none.png", &none);
    fs::create_dir(place.path("folder.png")).unwrap();
    vec![
        ("missing.png", &["cannot read"]),
        ("folder.png", &["cannot read", "directory"]),
        ("empty.png", &["0 bytes", "expected a picture"]),
        ("cut.png", &["PNG file is truncated"]),
        ("cut.jpg", &["JPEG file is truncated"]),
        ("cut.webp", &["WebP file is truncated"]),
        ("cut.gif", &["GIF file is truncated"]),
        ("page.png", &["a web page (HTML), expected a picture"]),
        ("words.jpg", &["plain text, expected a picture"]),
        ("zeros.png", &["nothing but zero bytes, expected a picture"]),
        ("photo.jpg", &["a HEIC photo, expected JPEG"]),
        ("huge.png", &["100000x100000", "expected at most 100000000"]),
        ("none.png", &["PNG file is damaged"]),
    ]
}

#[test]
fn sources_of_no_use_are_named() {
    let place = Place::with_source();
    let bad = bad_sources(&place);
    let names = place.names();
    for (name, words) in &bad {
        let done = place.run(&format!("transform {name} -p winter -o o.png"));
        done.assert_refused(1, &[&[*name][..], words].concat());
        assert_eq!(place.names(), names, "{name}");
    }
}

#[test]
fn bad_sources_do_not_stop_the_others() {
    let place = Place::with_source();
    let bad = bad_sources(&place);
    place.save("b.png", &painted(64, 48, 90).into());
    let names: Vec<_> = bad.iter().map(|(name, _)| *name).collect();
    let line = format!(
        "transform a.png {} b.png -p winter --steps 2 --seed 1 -o out/ --json",
        names.join(" ")
    );
    let done = place.run(&line);
    assert_eq!(done.code, 1);
    assert_eq!(done.files(), ["out/a-winter-1.png", "out/b-winter-1.png"]);
    let errors = done.lines("error: ");
    assert_eq!(errors.len(), names.len(), "{}", done.stderr);
    let json = done.json();
    let failures = json["failures"].as_array().unwrap();
    assert_eq!(failures.len(), names.len());
    for ((name, error), failure) in names.iter().zip(errors).zip(failures) {
        assert!(error.contains(name), "{name}: {error}");
        assert_eq!(failure["source"], *name);
        assert_eq!(
            format!("error: {}", failure["error"].as_str().unwrap()),
            error
        );
    }
    let summary = format!("2 done, {} failed", names.len());
    assert_eq!(done.lines(&summary).len(), 1, "{}", done.stderr);
    let made = place
        .names()
        .into_iter()
        .filter(|name| name.starts_with("out/"));
    assert_eq!(made.count(), 3, "the folder and two files");
}

#[test]
fn a_prompt_without_a_known_word_is_told_the_styles() {
    let place = Place::with_source();
    for command in ["transform a.png", "generate --size 80x64"] {
        let done = place.succeed(&format!("{command} -p qwertz --steps 2 -o o.png --quiet"));
        let warnings = done.lines("warning: ");
        assert_eq!(warnings.len(), 1, "{}", done.stderr);
        for word in ["no word of the prompt", "pencil sketch", "winter"] {
            assert!(warnings[0].contains(word), "{}", warnings[0]);
        }
        let done = place.succeed(&format!(
            "{command} -p qwertz,comic --steps 2 -o o.png --quiet"
        ));
        assert_eq!(done.stderr, "");
    }
}

#[test]
fn a_size_below_the_least_is_said_to_be_worked_at_a_larger_one() {
    let place = Place::with_source();
    place.save("small.png", &painted(48, 32, 30).into());
    for command in ["transform small.png", "generate --size 48x32"] {
        let done = place.succeed(&format!("{command} -p winter --steps 1 -o o.png"));
        let said = done.stderr.contains(": the model worked at ")
            && done.stderr.contains("the result was brought to 48x32");
        assert!(said, "{command}: {}", done.stderr);
        let picture = place.open("o.png");
        assert_eq!((picture.width(), picture.height()), (48, 32));
    }
}

#[test]
fn a_picture_too_large_to_generate_is_refused() {
    let place = Place::new();
    let done = place.run("generate -p winter --size 4096x4096 -o o.png");
    done.assert_refused(1, &["size is 4096x4096", "expected at most 4194304 pixels"]);
    let done = place.run("generate -p winter --size 16384x1 -o o.png");
    done.assert_refused(
        1,
        &["size is 16384x1, which the model works at as ", "4194304"],
    );
    assert!(place.names().is_empty());
}

#[test]
fn a_result_larger_than_any_source_is_refused() {
    let place = Place::with_source();
    let done =
        place.run("transform a.png -p winter -s 0 --size 16384x16384 --fit stretch -o o.png");
    done.assert_refused(
        1,
        &[
            "size is 16384x16384, 268435456 pixels",
            "at most 100000000 pixels",
        ],
    );
    assert_eq!(place.names(), ["a.png"]);
}
