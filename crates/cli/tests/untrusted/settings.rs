//! Numbers at and beyond their ends, every sampler with few steps, options that do not exist.

use crate::place::{Place, distance, painted};

#[test]
fn seeds_are_whole_numbers_of_64_bits() {
    let place = Place::with_source();
    let line = "transform a.png -p winter --steps 1 -s 1 --guidance 1 -o o.png";
    for seed in ["-1", "18446744073709551616", "1e3", "0x10", "1.5", ""] {
        let mut arguments: Vec<_> = line.split(' ').collect();
        arguments.extend(["--seed", seed]);
        let refused = crate::done(&place, &mut place.command(&arguments));
        refused.assert_refused(2, &["--seed"]);
    }
    let mut made = Vec::new();
    for seed in ["0", "4294967295", "18446744073709551615"] {
        let json = place
            .succeed(&format!("{line} --seed {seed} --json"))
            .json();
        let recorded = &json["results"][0]["recipe"]["seed"];
        assert_eq!(recorded.to_string().trim_matches('"'), seed);
        made.push(place.open("o.png"));
    }
    assert!(made[0] != made[1]);
}

#[test]
fn guidance_is_honoured_or_refused() {
    let place = Place::with_source();
    let line = "transform a.png -p autumn -n winter --steps 2 -s 1 --seed 3 -o o.png";
    let refused = place.run(&format!("{line} --guidance -3"));
    refused.assert_refused(2, &["--guidance", "-3", "expected 0 to 100"]);
    let mut made = Vec::new();
    for guidance in ["0", "0.5", "1", "7", "100"] {
        place.succeed(&format!("{line} --guidance {guidance}"));
        let picture = place.open("o.png");
        assert!(
            !made.contains(&picture),
            "guidance {guidance} changes nothing"
        );
        made.push(picture);
    }
    place.succeed(line);
    assert!(
        place.open("o.png") != made[0],
        "0 is not taken for the default"
    );
}

/// Steps of 1 to 5 and larger odd ones where faults of samplers hid before.
const STEPS: [u32; 5] = [1, 2, 3, 5, 11];

#[test]
fn every_sampler_runs_few_steps_at_every_strength() {
    let place = Place::new();
    place.save("a.png", &painted(64, 64, 30).into());
    let source = place.open("a.png");
    for sampler in ["ddim", "euler", "euler_a", "dpmpp_2m"] {
        for steps in STEPS {
            let line = format!(
                "ladder a.png -p sketch --strengths 0.1,0.2,0.5,1 --steps {steps} --sampler {sampler} \
                 --guidance 1 --seed 2 -o o.png --json"
            );
            let done = place.succeed(&line);
            let case = format!("{sampler}, {steps} steps");
            let json = done.json();
            let results = json["results"].as_array().unwrap();
            let mut changes = Vec::new();
            for (result, share) in results.iter().zip([0.1, 0.2, 0.5, 1.0]) {
                let picture = place.open(result["file"].as_str().unwrap());
                let (_, change) = distance(&picture, &source);
                let ran = result["steps_run"].as_u64().unwrap();
                let want = (f64::from(steps) * share).round() as u64;
                assert!(ran <= want.max(1), "{case} at {share}: ran {ran}");
                assert_eq!(ran == 0, change == 0.0, "{case} at {share}");
                let flat = picture.to_rgb8();
                let differs = flat.pixels().any(|pixel| pixel != &flat[(0, 0)]);
                assert!(differs, "{case} at {share}: one colour");
                changes.push(change);
            }
            let grows = changes.windows(2).all(|pair| pair[0] <= pair[1] + 1.0);
            assert!(grows, "{case}: {changes:?}");
        }
    }
}

#[test]
fn many_steps_give_a_picture() {
    let place = Place::new();
    place.save("a.png", &painted(64, 64, 30).into());
    for sampler in ["ddim", "euler", "euler_a", "dpmpp_2m"] {
        for (steps, strength) in [(100, 0.1), (31, 0.2), (999, 0.005)] {
            let line = format!(
                "transform a.png -p sketch -s {strength} --steps {steps} --sampler {sampler}"
            );
            place.succeed(&format!("{line} --guidance 1 --seed 2 -o o.png"));
            let (_, change) = distance(&place.open("o.png"), &place.open("a.png"));
            assert!(
                change > 0.0 && change < 60.0,
                "{sampler}, {steps} steps: {change}"
            );
        }
    }
}

#[test]
fn what_this_program_does_not_do_is_refused_by_name() {
    let place = Place::with_source();
    for option in [
        "--mask m.png",
        "--inpaint",
        "--single m.safetensors",
        "--by 2",
    ] {
        let done = place.run(&format!("transform a.png -p winter {option} -o o.png"));
        let name = option.split(' ').next().unwrap();
        done.assert_refused(2, &["unexpected argument", name]);
    }
    for command in ["batch", "png-info"] {
        let done = place.run(&format!("{command} a.png"));
        done.assert_refused(2, &["unrecognized subcommand", command]);
    }
    assert_eq!(place.names(), ["a.png"]);
}
