//! Prompts of every kind: each comes back from the result as it was typed.

use serde_json::Value;

use crate::done;
use crate::place::{Done, Place};

const FORMATS: [&str; 3] = ["o.png", "o.jpg", "o.webp"];

fn transform(place: &Place, prompt: &str, negative: &str, name: &str) -> Done {
    let arguments = [
        "transform",
        "a.png",
        "-p",
        prompt,
        "-n",
        negative,
        "--steps",
        "1",
        "-s",
        "1",
        "--seed",
        "7",
        "-o",
        name,
        "--json",
    ];
    done(place, &mut place.command(&arguments))
}

fn recipe(place: &Place, name: &str) -> Value {
    let read = imagegen_picture::metadata::read(&place.bytes(name));
    serde_json::from_str(&read.json.unwrap()).unwrap()
}

#[test]
fn every_prompt_comes_back_as_it_was_typed() {
    let place = Place::with_source();
    let long = "夜 winter, ".repeat(1250); // 10,000 letters
    let prompts = [
        "🎨🖌️👩‍🎨 winter 🏔️",
        "winter\nNegative prompt: no\r\nSteps: 5, Seed: 6, Sampler: none\n\n",
        "\"winter\" 'night' \\ ` $HOME $(id) %s {} <b>&amp;</b> ]]>",
        "winter\u{1}\u{1b}[31m\u{7f}\u{202e}\u{feff}",
        "-p winter --steps",
        &long,
    ];
    for prompt in prompts {
        for name in FORMATS {
            let start: String = prompt.chars().take(9).collect();
            let made = transform(
                &place,
                &format!(" {prompt}"),
                prompt.trim_start_matches('-'),
                name,
            );
            assert_eq!(made.code, 0, "{start} {name}: {}", made.stderr);
            let recipe = recipe(&place, name);
            assert_eq!(recipe["prompt"], format!(" {prompt}"), "{name}");
            assert_eq!(
                recipe["negative_prompt"],
                prompt.trim_start_matches('-'),
                "{name}"
            );
            assert_eq!((&recipe["steps"], &recipe["seed"]), (&1.into(), &7.into()));
        }
    }
    let made = transform(&place, &long, "", "o.png");
    let warning = "warning: a.png: the prompt is too long: its last ";
    assert_eq!(made.lines(warning).len(), 1, "{}", made.stderr);
}

#[test]
fn an_empty_prompt_is_said() {
    let place = Place::with_source();
    for prompt in ["", "  \n"] {
        let made = transform(&place, prompt, "", "o.png");
        assert_eq!(made.code, 0, "{}", made.stderr);
        let said = made.lines("warning: a.png: the prompt is empty");
        assert_eq!(said.len(), 1, "{}", made.stderr);
        assert_eq!(recipe(&place, "o.png")["prompt"], prompt);
    }
    // Not read at guidance 0: one warning is enough.
    let arguments = [
        "transform",
        "a.png",
        "-p",
        "",
        "--guidance",
        "0",
        "--steps",
        "1",
        "-o",
        "o.png",
        "-q",
    ];
    let made = done(&place, &mut place.command(&arguments));
    assert_eq!(made.lines("warning: ").len(), 1, "{}", made.stderr);
}

#[test]
fn brackets_and_capitals_are_letters_like_others() {
    let place = Place::with_source();
    let prompts = [
        "(".repeat(5000) + "cat",
        "cat".to_owned() + &")".repeat(5000),
        "[{(cat]))}".repeat(500),
        "cat \\(animal\\), \\\\(red:1.8)".to_owned(),
        "[dog:cat:0.5]".to_owned(),
        "a poster that says \"TURN IT OFF AND ON AGAIN\", COFFEE BREAK".to_owned(),
    ];
    for prompt in prompts {
        let since = std::time::Instant::now();
        let made = transform(&place, &prompt, "", "o.png");
        assert_eq!(made.code, 0, "{}", made.stderr);
        assert!(
            since.elapsed().as_secs() < 20,
            "{:?} for {}",
            since.elapsed(),
            &prompt[..5]
        );
        assert_eq!(recipe(&place, "o.png")["prompt"], prompt);
        let picture = place.open("o.png").to_rgb8();
        assert!(picture.pixels().any(|pixel| pixel != &picture[(0, 0)]));
    }
}

#[test]
fn a_prompt_that_looks_like_settings_is_replayed_to_the_byte() {
    let place = Place::with_source();
    let prompt = "winter\nNegative prompt: no\nSteps: 5, Seed: 6\n\"Steps: 9\"";
    for name in FORMATS {
        assert_eq!(transform(&place, prompt, "Steps: 3", name).code, 0);
        let again = name.replace('o', "again");
        place.succeed(&format!("replay {name} -o {again}"));
        assert!(place.bytes(&again) == place.bytes(name), "{name}");
        let folder = place.path("").to_string_lossy().into_owned();
        let bytes = place.bytes(name);
        let needle = folder.trim_end_matches('/').as_bytes();
        assert!(
            !bytes.windows(needle.len()).any(|part| part == needle),
            "{name}"
        );
    }
}
