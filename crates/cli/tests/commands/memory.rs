//! Memory that is told before it is taken.

use image::GrayImage;

use crate::place::{Place, painted};
use crate::{run, succeed};

#[test]
fn a_model_that_cannot_fit_is_not_loaded() {
    let place = Place::with_source();
    let line = "transform a.png -p winter --steps 1 -s 0.3";
    let refused = run(&place, &format!("{line} --memory 20 -o no.png"));
    refused.assert_refused(
        1,
        &[
            "model starter takes about ",
            " MiB, expected at most 20 MiB, the memory there is",
        ],
    );
    assert!(refused.stderr.contains("--memory 0"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("loaded"), "{}", refused.stderr);
    succeed(&place, &format!("{line} --memory 0 -o o.png"));
    // What is free on any machine that runs these tests is enough, and need not be named.
    succeed(&place, &format!("{line} -o p.png"));
}

#[test]
fn a_size_that_cannot_fit_is_refused_with_the_largest_that_does() {
    let place = Place::new();
    let memory = &succeed(&place, "info --json").json()["memory_bytes"];
    let bytes = |part: &str| memory[part].as_u64().unwrap();
    // Enough for the native size of 512x512.
    let most = (bytes("weights") + bytes("run")) >> 20;
    let line = format!("generate -p winter --steps 1 --seed 1 --memory {most}");
    let refused = run(&place, &format!("{line} --size 1536x1024 -o no.png"));
    refused.assert_refused(1, &["1536x1024 with model starter takes about ", " fits"]);
    let (_, size) = refused.stderr.split_once("there is; ").unwrap();
    let (size, _) = size.split_once(" fits").unwrap();
    let (width, height) = size.split_once('x').unwrap();
    let [width, height]: [u32; 2] = [width, height].map(|side| side.parse().unwrap());
    assert!(width * height >= 512 * 512 && width < 1536, "{size}");
    assert!(width.abs_diff(height * 3 / 2) <= 32, "{size}");
    succeed(&place, &format!("{line} --size {size} -o o.png"));
}

#[test]
fn what_runs_no_step_takes_no_memory_for_one() {
    let place = Place::new();
    let memory = &succeed(&place, "info --json").json()["memory_bytes"];
    let bytes = |part: &str| memory[part].as_u64().unwrap();
    let most = (bytes("weights") + bytes("run")) >> 20;
    // Odd sides, which no network could see, and more pixels than would fit.
    for (width, height, limit) in [
        (81, 64, String::new()),
        (1501, 999, format!("--memory {most}")),
    ] {
        place.save("a.png", &painted(width, height, 30).into());
        place.save("black.png", &GrayImage::new(width, height).into());
        for line in [
            "inpaint a.png --mask black.png -p winter",
            "inpaint a.png --expand left=1 -s 0 -p winter",
            "transform a.png -p winter -s 0 --size 1600",
        ] {
            let done = succeed(&place, &format!("{line} {limit} -o o.png --json"));
            assert_eq!(done.json()["results"][0]["steps_run"], 0, "{line}");
        }
    }
}
