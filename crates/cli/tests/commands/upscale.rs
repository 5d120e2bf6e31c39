//! `upscale`: larger pictures, with and without a prompt.

use image::GenericImageView;

use crate::place::{Place, painted_with_alpha};
use crate::{run, succeed};

#[test]
fn pictures_become_two_and_four_times_as_large() {
    let place = Place::with_source();
    let before = place.bytes("a.png");
    for (line, size) in [
        ("upscale a.png -o two.png", (160, 128)),
        ("upscale a.png --by 4 -o four.webp", (320, 256)),
        (
            "upscale a.png --by 2 --with lanczos -o plain.png",
            (160, 128),
        ),
    ] {
        let done = succeed(&place, line);
        let name = line.split(' ').next_back().unwrap();
        assert_eq!(place.open(name).dimensions(), size, "{line}");
        assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    }
    assert!(place.bytes("a.png") == before, "the source is as it was");
    let [drawn, plain] = ["two.png", "plain.png"].map(|name| place.open(name).to_rgb8());
    assert_ne!(drawn, plain, "the network draws");
    // Colours of areas stay: a large difference would be a fault of range or order.
    let apart = drawn
        .iter()
        .zip(plain.iter())
        .map(|(a, b)| f64::from(a.abs_diff(*b)));
    let mean = apart.sum::<f64>() / f64::from(160 * 128 * 3);
    assert!(mean < 6.0, "{mean}");
}

#[test]
fn alpha_stays_and_the_picture_says_how_it_was_made() {
    let place = Place::new();
    place.save("a.png", &painted_with_alpha(40, 32).into());
    let json = succeed(&place, "upscale a.png -o b.png --json").json();
    let recipe = &json["results"][0]["recipe"];
    assert_eq!(recipe["enlarge"]["by"], 2);
    assert_eq!(recipe["enlarge"]["with"], "realesr-animevideov3");
    assert_eq!(recipe["strength"], 0.0);
    assert!(place.open("b.png").color().has_alpha());
    succeed(&place, "verify b.png");
    succeed(&place, "replay b.png -o again.png");
    assert!(place.bytes("b.png") == place.bytes("again.png"));
}

#[test]
fn a_prompt_draws_detail_in_windows_that_nobody_sees() {
    let place = Place::with_source();
    let line = "upscale a.png --by 4 -p winter -s 0.2 --steps 5 --seed 7 --json -o";
    let json = succeed(&place, &format!("{line} drawn.png")).json();
    let result = &json["results"][0];
    assert_eq!(result["steps_run"], 1);
    assert_eq!(result["recipe"]["work_size"], serde_json::json!([320, 256]));
    succeed(&place, "upscale a.png --by 4 -o plain.png");
    assert!(place.bytes("drawn.png") != place.bytes("plain.png"));
    succeed(&place, "verify drawn.png");
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let place = Place::with_source();
    for (line, words) in [
        (
            "upscale a.png --by 3",
            &["--by", "factor is 3, expected 2 or 4"][..],
        ),
        ("upscale a.png --by x", &["--by", "expected 2 or 4"]),
        (
            "upscale a.png --with esrgan",
            &["--with", "expected realesr-animevideov3 or lanczos"],
        ),
        ("upscale a.png -s 0.3", &["--strength 0.3 needs a --prompt"]),
        ("upscale - -", &["twice"]),
    ] {
        run(&place, line).assert_refused(2, words);
    }
    run(&place, "upscale a.png -o a.png").assert_refused(1, &["the source is never replaced"]);
    let done = run(&place, "upscale none.png a.png -o out/");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("none.png") && done.stderr.contains("1 done, 1 failed"));
}
