//! One request gives one file, whatever the CPU level, the threads and the run.

use imagegen::Level;

use crate::place::{Done, Place, painted};

const QUICK: &str = "transform a.png -p winter --steps 4";

#[test]
fn threads_and_levels_change_nothing() {
    let place = Place::new();
    place.save("a.png", &painted(64, 64, 30).into());
    // One call of the network: the portable level is many times slower than the others.
    let line = "transform a.png -p winter --steps 1 --guidance 1";
    place.succeed(&format!("{line} --seed 7 -o want.png"));
    let want = place.bytes("want.png");
    for level in Level::available() {
        for threads in [1, 2] {
            let line = format!("{line} --seed 7 --cpu {level} --threads {threads} -o o.png --json");
            let json = place.succeed(&line).json();
            assert_eq!(json["cpu"]["level"], level.name());
            assert_eq!(json["cpu"]["threads"], threads);
            assert!(place.bytes("o.png") == want, "{level}, {threads} threads");
        }
    }
    place.succeed(&format!("{line} --seed 8 -o o.png"));
    assert!(place.open("o.png") != place.open("want.png"));
}

#[test]
fn a_level_this_cpu_lacks_is_refused() {
    let place = Place::with_source();
    let lacking = Level::ALL.into_iter().filter(|level| !level.is_available());
    for level in lacking {
        let done = place.run(&format!("{QUICK} --cpu {level} -o o.png"));
        let word = format!("cpu level is {level}, expected ");
        done.assert_refused(1, &[&word, Level::best().name()]);
        assert_eq!(place.names(), ["a.png"]);
    }
}

#[test]
fn settings_come_from_the_environment_too() {
    let place = Place::with_source();
    let run = |name: &str, value: &str, line: &str| {
        let arguments: Vec<_> = line.split_whitespace().collect();
        let output = place.command(&arguments).env(name, value).output();
        Done::of(&output.unwrap())
    };
    let line = format!("{QUICK} -s 0 -o o.png --json");
    let json = run("IMAGEGEN_CPU", "portable", &line).json();
    assert_eq!(json["cpu"]["level"], "portable");
    run(
        "IMAGEGEN_MODEL",
        "no-such-model",
        &format!("{QUICK} -o o.png"),
    )
    .assert_refused(1, &["model \"no-such-model\" is not known"]);
}

#[test]
fn a_run_repeats_to_the_byte() {
    let place = Place::with_source();
    for line in [QUICK, "generate -p winter --steps 2 --size 80x64"] {
        for name in ["o.png", "o.jpg", "o.webp"] {
            let line = format!("{line} --seed 7 -o {name}");
            place.succeed(&line);
            let first = place.bytes(name);
            place.succeed(&line);
            assert!(place.bytes(name) == first, "{line}");
        }
    }
}

#[test]
fn count_makes_what_single_seeds_make() {
    let place = Place::with_source();
    for command in [QUICK, "generate -p winter --steps 2 --size 80x64"] {
        place.succeed(&format!("{command} --seed 7 --count 3 -o many.png"));
        let mut made = Vec::new();
        for seed in 7..10 {
            place.succeed(&format!("{command} --seed {seed} -o one.png"));
            let many = place.bytes(&format!("many-{seed}.png"));
            assert!(many == place.bytes("one.png"), "{command}, seed {seed}");
            made.push(many);
        }
        assert!(made[0] != made[1] && made[1] != made[2], "{command}");
        assert!(!place.names().contains(&"many-10.png".to_owned()));
    }
}

#[test]
fn seeds_start_again_after_the_last_and_are_not_rounded() {
    let place = Place::with_source();
    let last = u64::MAX;
    let line = format!("{QUICK} -s 0 --seed {last} --count 2 -o o.png --json");
    let json = place.succeed(&line).json();
    let seed = |k: usize| &json["results"][k]["recipe"]["seed"];
    assert_eq!((seed(0), seed(1)), (&last.to_string().into(), &0.into()));
    let want = [
        "a.png".to_owned(),
        "o-0.png".to_owned(),
        format!("o-{last}.png"),
    ];
    assert_eq!(place.names(), want);
}

#[test]
fn a_drawn_seed_is_said_and_makes_the_picture_again() {
    let place = Place::with_source();
    let draw = || {
        let done = place.succeed(&format!("{QUICK} -o drawn.png --json"));
        let seed = done.json()["results"][0]["recipe"]["seed"].clone();
        let said = format!("seed {seed})");
        assert!(done.lines("wrote ")[0].ends_with(&said), "{}", done.stderr);
        seed
    };
    let (first, second) = (draw(), draw());
    assert_ne!(first, second, "a seed of 32 bits was drawn twice");
    place.succeed(&format!("{QUICK} --seed {second} -o again.png"));
    assert!(place.bytes("again.png") == place.bytes("drawn.png"));
    place.succeed(&format!("{QUICK} --seed {first} -o again.png"));
    assert!(place.bytes("again.png") != place.bytes("drawn.png"));
}

#[test]
fn every_sampler_runs_under_every_name() {
    let place = Place::with_source();
    let run = |name: &str| {
        let mut arguments: Vec<_> = QUICK.split_whitespace().collect();
        arguments.extend([
            "-s",
            "0.75",
            "--seed",
            "1",
            "-o",
            "o.png",
            "--json",
            "--sampler",
            name,
        ]);
        let done = place.run_with(&arguments);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        let result = done.json()["results"][0].clone();
        assert_eq!(result["steps_run"], 3, "{name}");
        let sampler = result["recipe"]["sampler"].as_str().unwrap().to_owned();
        (sampler, place.open("o.png"))
    };
    let mut pictures = Vec::new();
    for (name, alias) in [
        ("ddim", "DDIMScheduler"),
        ("euler", "Euler"),
        ("euler_a", "Euler a"),
        ("dpmpp_2m", "DPM++ 2M"),
    ] {
        let (recorded, picture) = run(name);
        assert_eq!(recorded, name);
        assert!(run(alias) == (recorded, picture.clone()), "{alias}");
        pictures.push(picture);
    }
    // DDIM without fresh noise is Euler's method in other words; the other two are their own.
    let [_, euler, ancestral, multistep] = &pictures[..] else {
        panic!("four samplers ran");
    };
    assert!(euler != ancestral && euler != multistep && ancestral != multistep);
}
