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
fn brackets_and_capitals_are_letters_in_plain_mode() {
    let place = Place::with_source();
    for prompt in [
        "((((cat",
        "[dog:cat:0.5]",
        "a AND b BREAK",
        "(cat:1.8) \\(",
        "<lora:fur:1>",
    ] {
        let arguments = [
            "transform",
            "a.png",
            "-p",
            prompt,
            "--prompt-mode",
            "plain",
            "--steps",
            "1",
            "--seed",
            "7",
            "-o",
            "o.png",
            "--json",
        ];
        let made = done(&place, &mut place.command(&arguments));
        assert_eq!(made.code, 0, "{}", made.stderr);
        let prompts = &made.json()["results"][0]["prompts"];
        let piece = serde_json::json!({"text": prompt, "weight": 1.0});
        assert_eq!(
            prompts[0]["parts"][0]["readings"][0]["pieces"],
            serde_json::json!([piece])
        );
        assert_eq!(recipe(&place, "o.png")["prompt_mode"], Value::Null);
        place.succeed("replay o.png -o again.png");
        assert!(place.bytes("again.png") == place.bytes("o.png"));
    }
}

/// The result of the JSON document.
fn result(made: &Done) -> Value {
    assert_eq!(made.code, 0, "{}", made.stderr);
    made.json()["results"][0].clone()
}

#[test]
fn capitals_inside_words_and_quotes_part_nothing() {
    let place = Place::with_source();
    let parts = |prompt: &str| {
        let result = result(&transform(&place, prompt, "", "o.png"));
        let parts = result["prompts"][0]["parts"].as_array().unwrap().len();
        (parts, result["warnings"].to_string())
    };
    for one in [
        "HAND-painted SANDY BRANDY",
        "a poster that says \"TURN IT OFF AND ON AGAIN\"",
        "a poster that says \"turn it off and on again\"",
    ] {
        let (parts, warnings) = parts(one);
        assert_eq!(parts, 1, "{one}");
        assert!(!warnings.contains("separator"), "{warnings}");
    }
    let (count, warnings) = parts("a sign reading COFFEE BREAK");
    assert_eq!(count, 1);
    assert!(
        warnings.contains("the prompt has BREAK as a separator"),
        "{warnings}"
    );
    let (count, warnings) = parts("TURN IT OFF AND ON AGAIN");
    assert_eq!(count, 2);
    assert!(warnings.contains("in straight double quotes"), "{warnings}");
}

#[test]
fn brackets_without_a_partner_are_counted() {
    let place = Place::with_source();
    let mixed = "([{(cat]))}[".repeat(7);
    for (prompt, count) in [
        ("(".repeat(100) + "cat", 100),
        ("cat".to_owned() + &")".repeat(100), 100),
        ("(".repeat(5000) + "cat", 5000),
        (mixed, 7),
        ("((a) [b)] ), ( c".to_owned(), 2),
    ] {
        let made = transform(&place, &prompt, "", "o.png");
        let warnings = result(&made)["warnings"].to_string();
        assert!(warnings.contains("without a partner"), "{warnings}");
        assert!(
            warnings.contains(&format!("the prompt has {count} bracket")),
            "{warnings}"
        );
        assert_eq!(recipe(&place, "o.png")["prompt"], prompt);
        let picture = place.open("o.png").to_rgb8();
        assert!(picture.pixels().any(|pixel| pixel != &picture[(0, 0)]));
    }
    let result = result(&transform(
        &place,
        "cat \\(animal\\), \\\\(red:1.8)",
        "",
        "o.png",
    ));
    assert!(!result["warnings"].to_string().contains("bracket"));
    let pieces = &result["prompts"][0]["parts"][0]["readings"][0]["pieces"];
    let want = serde_json::json!([
        {"text": "cat (animal), \\", "weight": 1.0}, {"text": "red", "weight": 1.8},
    ]);
    assert_eq!(pieces, &want);
}

#[test]
fn edits_count_steps_and_not_calls() {
    let place = Place::with_source();
    let made = |prompt: &str, sampler: &str| {
        let line = [
            "-s",
            "1",
            "--steps",
            "8",
            "--seed",
            "1",
            "--sampler",
            sampler,
            "-o",
            "o.png",
            "--json",
        ];
        let arguments = [["transform", "a.png", "-p", prompt].as_slice(), &line].concat();
        result(&done(&place, &mut place.command(&arguments)));
        place.open("o.png")
    };
    for sampler in ["Euler", "Heun", "DPM2", "DPM++ 2S a"] {
        let (dog, cat) = (made("winter", sampler), made("night", sampler));
        assert!(made("[winter:night:8]", sampler) == dog, "{sampler}");
        assert!(made("[winter:night:0]", sampler) == cat, "{sampler}");
        let half = made("[winter:night:4]", sampler);
        assert!(made("[winter:night:0.5]", sampler) == half, "{sampler}");
        assert!(
            made("[winter : night : 0.5 ]", sampler) == half,
            "{sampler}"
        );
        assert!(half != dog && half != cat, "{sampler}");
    }
}

#[test]
fn embeddings_are_named_on_the_command_line() {
    let place = Place::with_source();
    // The starter's text encoder has 192 channels.
    let header = r#"{"emb_params":{"dtype":"F32","shape":[2,192],"data_offsets":[0,1536]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..384).flat_map(|n: i32| (n as f32 * 0.37).sin().to_le_bytes()));
    place.put("fur.safetensors", &bytes);
    place.put("fur.pt", b"PK");
    let line = "transform a.png -p winter,fur --steps 1 -s 1 --seed 7";
    place.succeed(&format!("{line} -o plain.png"));
    place.succeed(&format!("{line} --embedding fur.safetensors -o o.png"));
    assert!(place.open("o.png") != place.open("plain.png"));
    assert_eq!(recipe(&place, "o.png")["embeddings"][0]["name"], "fur");
    let renamed = line.replace("winter,fur", "winter,hair");
    place.succeed(&format!(
        "{renamed} --embedding hair=fur.safetensors -o hair.png"
    ));
    assert!(place.open("hair.png") == place.open("o.png"));
    place.succeed("replay o.png --embedding fur.safetensors -o again.png");
    assert!(place.bytes("again.png") == place.bytes("o.png"));
    place
        .run("replay o.png -o no.png")
        .assert_refused(1, &["embeddings: fur sha256", "none"]);
    let refused = place.run(&format!("{line} --embedding fur.pt -o no.png"));
    refused.assert_refused(1, &["fur.pt", "pickle", ".safetensors"]);
}

#[test]
fn what_a_prompt_cannot_mean_is_refused() {
    let place = Place::with_source();
    let many = ["a"; 17].join(" AND ");
    for (prompt, said) in [
        ("winter <lora:fur:0.8>", "the LoRA \"fur\""),
        ("<lora:fur:soon>", "<lora:fur:soon> is no LoRA file"),
        (&many, "17 parts joined by AND, expected at most 16"),
    ] {
        let made = transform(&place, prompt, "", "o.png");
        assert_eq!(made.code, 1, "{}", made.stderr);
        assert!(made.stderr.contains(said), "{}", made.stderr);
        assert!(!place.names().contains(&"o.png".to_owned()));
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
