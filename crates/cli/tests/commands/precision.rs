//! Precisions of computing.

use crate::place::Place;
use crate::succeed;

const PLAIN: &str = "transform a.png -p winter -s 0.7 --steps 3 --seed 4";

#[test]
fn a_precision_decides_pixels_is_recorded_and_replayed() {
    let place = Place::with_source();
    succeed(&place, &format!("{PLAIN} -o f32.png"));
    succeed(&place, &format!("{PLAIN} --precision f32 -o same.png"));
    assert!(place.bytes("same.png") == place.bytes("f32.png"));
    for precision in imagegen::Precision::ALL.map(imagegen::Precision::name) {
        let line = format!("{PLAIN} --precision {precision} -o o.png --json");
        let json = succeed(&place, &line).json();
        assert_eq!(json["cpu"]["arithmetic"], precision);
        assert_eq!(json["results"][0]["recipe"]["arithmetic"], precision);
        let plain = precision == "f32";
        assert_eq!(place.open("o.png") == place.open("f32.png"), plain);
        for (cpu, threads) in [("portable", 1), ("avx2", 2)] {
            if cpu == "avx2" && !imagegen::Level::Avx2.is_available() {
                continue;
            }
            let line = format!("replay o.png -o again.png --cpu {cpu} --threads {threads}");
            succeed(&place, &line);
            assert!(
                place.bytes("again.png") == place.bytes("o.png"),
                "{precision} on {cpu}"
            );
        }
        let words = String::from_utf8_lossy(&place.bytes("o.png")).into_owned();
        let said = format!("Precision: {precision}");
        assert_eq!(words.contains(&said), !plain, "{precision}");
    }
}

#[test]
fn a_cpu_that_is_no_faster_is_told() {
    let place = Place::with_source();
    for precision in ["bf16", "int8"] {
        let line = format!("{PLAIN} --steps 1 --precision {precision} --cpu portable -o o.png");
        let done = succeed(&place, &line.replace("--steps 3 ", ""));
        let warned = done
            .lines("warning: ")
            .iter()
            .any(|line| line.contains(&format!("in {precision} no faster than in f32")));
        assert!(warned, "{precision}: {}", done.stderr);
    }
}

#[test]
fn an_unknown_precision_is_refused() {
    let place = Place::with_source();
    let done = place.run(&format!("{PLAIN} --precision f8 -o o.png"));
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("expected f32"), "{}", done.stderr);
}
