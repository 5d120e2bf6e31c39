//! `replay` and `verify`: pictures again from what they say of their making.

use std::fs;

use image::{DynamicImage, Rgb};

use crate::place::Place;
use crate::{run, succeed};

const FORMATS: [&str; 3] = ["o.png", "o.jpg", "o.webp"];

#[test]
fn a_replay_has_the_same_bytes() {
    let place = Place::with_source();
    for name in FORMATS {
        succeed(
            &place,
            &format!(
                "transform a.png -p winter -n night -s 0.6 --strength-rule exact --steps 3 --guidance 2 \
                 --sampler euler_a --seed 9007199254740993 --size 100 --fit pad -o {name}"
            ),
        );
        let again = name.replace('o', "again");
        succeed(&place, &format!("replay {name} -o {again}"));
        assert!(place.bytes(&again) == place.bytes(name), "{name}");
        let done = succeed(&place, &format!("verify {name}"));
        assert!(
            done.stdout.starts_with(&format!("{name}: all ")),
            "{}",
            done.stdout
        );
    }
    succeed(
        &place,
        "generate -p winter --size 80x64 --steps 2 --seed 5 -o g.png",
    );
    succeed(&place, "replay g.png -o h.png");
    assert!(place.bytes("g.png") == place.bytes("h.png"));
}

#[test]
fn refined_pictures_are_replayed_with_their_refiner_and_with_no_less() {
    let place = Place::with_source();
    let plain = "generate -p winter --size 64x64 --steps 5 --seed 4";
    let done = succeed(
        &place,
        &format!("{plain} --refiner starter --refiner-at 0.6 --json -o o.png"),
    );
    let document: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document["refiner"]["name"], "starter");
    assert_eq!(document["results"][0]["recipe"]["refiner"]["at"], 0.6);
    assert!(done.stderr.contains("starter and its refiner starter"));
    succeed(&place, "replay o.png --refiner starter -o again.png");
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    let lost = run(&place, "replay o.png -o lost.png");
    assert_eq!(lost.code, 1);
    assert!(
        lost.stderr
            .contains("refiner is none, expected a model that takes over at 0.6"),
        "{}",
        lost.stderr
    );
    // A model that is refined by itself makes what it makes alone.
    succeed(&place, &format!("{plain} -o plain.png"));
    assert!(place.open("plain.png") == place.open("o.png"));
    let spare = run(&place, &format!("{plain} --refiner-at 0.6 -o x.png"));
    assert_eq!(spare.code, 2, "{}", spare.stderr);
    let painted = run(&place, "inpaint a.png --box 0,0,9,9 -p x --refiner starter");
    assert_eq!(painted.code, 2, "{}", painted.stderr);
    assert!(painted.stderr.contains("--refiner has no say in inpaint"));
}

#[test]
fn second_passes_are_told_and_replayed() {
    let place = Place::with_source();
    let line = "generate -p winter --size 64x64 --steps 3 --seed 4 --hires 1.5";
    for with in ["lanczos", "realesr-animevideov3", "latent"] {
        let rest = format!("--hires-with {with} --hires-steps 4 --hires-strength 0.6");
        let json = succeed(&place, &format!("{line} {rest} --json -o o.png")).json();
        let result = &json["results"][0];
        assert_eq!(result["recipe"]["hires"]["with"], with);
        assert_eq!(result["recipe"]["hires"]["steps"], 4);
        assert_eq!(result["recipe"]["size"], serde_json::json!([96, 96]));
        assert_eq!(result["steps_run"], 5);
        succeed(&place, "replay o.png -o again.png");
        assert!(place.bytes("again.png") == place.bytes("o.png"), "{with}");
    }
    for (line, words) in [
        ("generate -p x --hires-steps 3", &["required arguments"][..]),
        ("generate -p x --hires 2 --hires-with esrgan", &["esrgan"]),
        (
            "transform a.png -p x --vae-tiling yes",
            &["auto, on or off"],
        ),
        ("transform a.png -p x --tiles auto", &["off or on"]),
    ] {
        run(&place, line).assert_refused(2, words);
    }
    let far = run(&place, "generate -p x --hires 9 -o far.png");
    assert_eq!(far.code, 1);
    assert!(
        far.stderr
            .contains("factor is 9, expected above 1, up to 4"),
        "{}",
        far.stderr
    );
}

#[test]
fn schedule_fresh_noise_and_rescale_have_their_say_and_are_replayed() {
    let place = Place::with_source();
    let plain = "transform a.png -p winter -n night --steps 4 --guidance 3 --seed 4";
    let all = "--sampler euler_a --schedule karras --eta 0.5 --guidance-rescale 0.7 --guidance-until 0.5 --cache-interval 2 --token-merging 0.5";
    succeed(&place, &format!("{plain} {all} -o o.png"));
    succeed(&place, "replay o.png -o again.png");
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    for less in [
        " --schedule karras",
        " --eta 0.5",
        " --guidance-rescale 0.7",
        " --guidance-until 0.5",
        " --cache-interval 2",
        " --token-merging 0.5",
    ] {
        let options = all.replace(less, "");
        succeed(&place, &format!("{plain} {options} -o less.png"));
        assert!(
            place.open("less.png") != place.open("o.png"),
            "without{less}"
        );
    }
    // The schedule at the end of the sampler's name.
    let named = "--sampler euler_a_karras --eta 0.5 --guidance-rescale 0.7 --guidance-until 0.5 --cache-interval 2 --token-merging 0.5";
    succeed(&place, &format!("{plain} {named} -o named.png"));
    assert!(place.bytes("named.png") == place.bytes("o.png"));
    let refused = run(
        &place,
        &format!("{plain} --sampler euler --eta 0.5 -o no.png"),
    );
    let said = "eta is 0.5, expected none, since sampler euler has no such choice";
    refused.assert_refused(1, &[said]);
}

#[test]
fn every_wanted_size_is_replayed() {
    let place = Place::with_source();
    // 33 rows of 100 columns do not come back from their own size.
    place.save("long.png", &crate::place::painted(200, 67, 3).into());
    for size in ["100", "90x50", "33x99"] {
        for fit in ["keep", "crop", "pad", "stretch"] {
            let settings = format!("--size {size} --fit {fit} --steps 1 -s 0.3");
            succeed(
                &place,
                &format!("transform long.png -p winter {settings} -o o.png"),
            );
            succeed(&place, "verify o.png");
        }
    }
}

#[test]
fn a_picture_agrees_on_every_cpu_and_with_any_number_of_threads() {
    let place = Place::with_source();
    succeed(
        &place,
        "transform a.png -p winter --steps 2 --threads 2 -o o.png",
    );
    for machine in ["--threads 1", "--threads 3", "--cpu portable --threads 2"] {
        let done = succeed(&place, &format!("verify o.png {machine} --json"));
        let json = done.json();
        assert_eq!(json["agrees"], true, "{machine}");
        let source = place.open("a.png");
        assert_eq!(
            json["difference"]["pixels"],
            source.width() * source.height()
        );
        assert_eq!(json["difference"]["differing"], 0);
    }
}

#[test]
fn one_other_pixel_is_found() {
    let place = Place::with_source();
    succeed(&place, "transform a.png -p winter --steps 2 -o o.png");
    let made = place.bytes("o.png");
    let recipe = imagegen_picture::metadata::read(&made);
    let mut picture = place.open("o.png").to_rgb8();
    let Rgb([red, ..]) = picture.get_pixel_mut(5, 6);
    *red = red.wrapping_add(9);
    let size = imagegen_picture::Size::new(picture.width(), picture.height());
    let altered = imagegen_picture::Picture::new(size, picture.into_raw(), None).unwrap();
    let file = imagegen_picture::encode(&altered, imagegen_picture::Format::Png, &recipe).unwrap();
    place.put("o.png", &file.bytes);
    let done = run(&place, "verify o.png");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(
        done.stdout
            .starts_with(&format!("o.png: 1 of {} pixels differ", size.pixels())),
        "{}",
        done.stdout
    );
    assert_eq!(run(&place, "verify o.png --json").json()["agrees"], false);
}

#[test]
fn the_source_is_found_by_what_it_holds() {
    let place = Place::with_source();
    succeed(&place, "transform a.png -p winter --steps 1 -o o.png");
    fs::create_dir(place.path("sources")).unwrap();
    fs::rename(place.path("a.png"), place.path("sources/renamed.bin")).unwrap();
    place.save(
        "a.png",
        &DynamicImage::ImageRgb8(crate::place::painted(64, 48, 99)),
    );
    let done = run(&place, "replay o.png -o r.png");
    done.assert_refused(1, &["is the source a.png", "sha256"]);
    assert!(done.stderr.contains("hint: ") && done.stderr.contains("--source-dir"));
    assert!(!place.path("r.png").exists());
    succeed(&place, "replay o.png --source-dir sources -o r.png");
    assert!(place.bytes("r.png") == place.bytes("o.png"));
}

#[test]
fn what_cannot_be_made_again_is_said() {
    let place = Place::with_source();
    succeed(&place, "transform a.png -p winter --steps 1 -o o.png");
    for (line, words) in [
        ("verify a.png", &["a.png does not say how it was made"][..]),
        ("verify none.png", &["cannot read none.png"]),
        (
            "replay o.png --source-dir none -o r.png",
            &["cannot read none"],
        ),
        ("replay o.png -o r.gif", &["cannot write r.gif"]),
    ] {
        run(&place, line).assert_refused(1, words);
    }
    // The starter with other defaults is another model.
    for (file, bytes) in imagegen_starter::FILES {
        let path = place.path("other").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let path = place.path("other/latents.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"steps\": 10", "\"steps\": 11");
    fs::write(path, text).unwrap();
    let done = run(&place, "verify o.png --model other");
    done.assert_refused(1, &["model sha256 is ", "the model named starter"]);
    assert!(done.stderr.contains("--model"), "{}", done.stderr);
}
