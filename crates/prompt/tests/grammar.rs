//! Examples of the grammar, each with what it means.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use imagegen_prompt::{Error, Lora, MOST_READINGS, Piece, Prompt, Role, Warning, parse};

fn read(text: &str) -> Prompt {
    parse(text, Role::Positive).unwrap()
}

/// Pieces as `text@weight` joined by `|`, weights in three digits and left away where 1.
fn shown(pieces: &[Piece]) -> String {
    let shown = |piece: &Piece| match piece {
        Piece::Break => "BREAK".to_owned(),
        Piece::Text { text, weight } if *weight == 1.0 => text.clone(),
        Piece::Text { text, weight } => format!("{text}@{weight:.3}"),
    };
    pieces.iter().map(shown).collect::<Vec<_>>().join("|")
}

/// The only reading of a text, and all that is said of it.
fn weighed(text: &str) -> (String, Vec<Warning>) {
    let prompt = read(text);
    let [part] = prompt.parts.as_slice() else {
        panic!("{text:?} has {} parts", prompt.parts.len());
    };
    let schedule = part.schedule(8).unwrap();
    assert_eq!(schedule.steps, [0; 8], "{text:?}");
    let mut warnings = prompt.warnings;
    warnings.extend(schedule.warnings);
    (shown(&schedule.readings[0]), warnings)
}

/// What a text says at each of `steps` steps.
fn steps(text: &str, steps: usize) -> Vec<String> {
    let schedule = read(text).parts[0].schedule(steps).unwrap();
    let reading = |index: &usize| shown(&schedule.readings[*index]);
    schedule.steps.iter().map(reading).collect()
}

#[test]
fn brackets_weigh_what_they_hold() {
    for (text, want) in [
        ("a cat", "a cat"),
        ("", ""),
        ("an (important) word", "an |important@1.100| word"),
        ("((a))", "a@1.210"),
        ("[a]", "a@0.909"),
        ("[[a]]", "a@0.826"),
        ("(a:1.2)", "a@1.200"),
        ("(a : 1.2 )", "a @1.200"),
        ("(a:-.5)", "a@-0.500"),
        ("(a:+2)", "a@2.000"),
        ("(a:1e-1)", "a@0.100"),
        ("(a:0)", "a@0.000"),
        ("(unnecessary)(parens)", "unnecessaryparens@1.100"),
        ("(a [b:1.2)", "a @1.200|b@1.091"),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            "a |house@1.573| @1.100|on| a @1.100|hill@0.550|, sun, @1.100|sky@1.464|.@1.100",
        ),
        ("(a (b:2):3)", "a @3.000|b@6.000"),
    ] {
        let (got, _) = weighed(text);
        // A product of 1.1 and its inverse is 1 but for its last bit.
        assert_eq!(
            got.replace("@1.000", ""),
            want.replace("@1.000", ""),
            "{text:?}"
        );
    }
}

#[test]
fn a_colon_is_grammar_only_before_a_number_and_a_bracket() {
    for text in [
        "time 10:30",
        "a: b",
        "16:9",
        "(a:b)",
        "a:1.2",
        "(a:1.2.3)",
        "(a:x1)",
    ] {
        let (got, _) = weighed(text);
        let letters = got.split('@').next().unwrap();
        assert_eq!(
            letters,
            text.replace(['(', ')'], "").as_str(),
            "{text:?} is {got:?}"
        );
    }
    assert_eq!(weighed(":1.2)").0, ":1.2)");
    // Nor is it one where parts have weights: this is one part.
    assert_eq!(read("time 10:30").parts[0].weight, 1.0);
}

#[test]
fn escaped_brackets_are_letters() {
    let (got, warnings) = weighed(r"cat \(animal\), \\(red:1.8)");
    assert_eq!(got, r"cat (animal), \|red@1.800");
    assert_eq!(warnings, []);
    assert_eq!(
        weighed(r"\[a\|b\] \: \<lora:x\> C:\path").0,
        r"[a|b] : <lora:x> C:\path"
    );
}

#[test]
fn numbers_that_are_none_are_bounded_or_read_with_a_warning() {
    let odd = |written: &str, read| Warning::OddWeight {
        count: 1,
        written: written.to_owned(),
        read,
    };
    let bounded = |first| Warning::Bounded { count: 1, first };
    for (text, want, warning) in [
        ("(a:nan)", "a", odd("nan", 1.0)),
        ("(a:-NaN)", "a", odd("-NaN", 1.0)),
        ("(a:1,5)", "a@1.500", odd("1,5", 1.5)),
        ("(a:inf)", "a@10.000", bounded(1e30)),
        ("(a:-infinity)", "a@-10.000", bounded(-1e30)),
        ("(a:1e999)", "a@10.000", bounded(1e30)),
        ("(a:11)", "a@10.000", bounded(11.0)),
    ] {
        assert_eq!(weighed(text), (want.to_owned(), vec![warning]), "{text:?}");
    }
    // What is bounded is the product.
    assert_eq!(weighed("((a:20):0.25)"), ("a@5.000".to_owned(), vec![]));
    assert_eq!(weighed("((a:0):inf)").0, "a@0.000");
}

#[test]
fn brackets_without_a_partner_are_counted_and_do_what_they_can() {
    let unbalanced = |unclosed, unopened| Warning::Unbalanced { unclosed, unopened };
    let open = "(".repeat(100) + "cat";
    let (got, warnings) = weighed(&open);
    assert_eq!(got, "cat@10.000");
    assert_eq!(warnings[0], unbalanced(100, 0));
    let close = "cat".to_owned() + &")".repeat(100);
    assert_eq!(weighed(&close), (close, vec![unbalanced(0, 100)]));
    let (got, warnings) = weighed("((a) [b)] ), ( c");
    assert_eq!(got, "a@1.210| @1.100|b ), | c@1.100");
    assert_eq!(warnings, [unbalanced(1, 1)]);
}

#[test]
fn keywords_are_whole_words_outside_of_quotes() {
    for text in [
        "HAND-painted SANDY BRANDY",
        "a poster that says \"turn it off and on again\"",
        "a poster that says \"TURN IT OFF AND ON AGAIN\"",
        "ROCK-AND-ROLL, R AND_B, OUTBREAK BREAKs",
        "a sign \"COFFEE BREAK\"",
        "and break",
    ] {
        assert_eq!(weighed(text), (text.to_owned(), vec![]), "{text:?}");
    }
    // Inches are no quotes.
    assert_eq!(read("5\" tall AND 6\" wide").parts.len(), 2);
    // A quote that is not closed quotes nothing.
    assert_eq!(read("\"a AND b").parts.len(), 2);
}

#[test]
fn a_separator_that_looks_like_text_is_said() {
    let keyword = |keyword, count| vec![Warning::Keyword { keyword, count }];
    let (got, warnings) = weighed("a sign reading COFFEE BREAK");
    assert_eq!(got, "a sign reading COFFEE |BREAK");
    assert_eq!(warnings, keyword("BREAK", 1));
    assert_eq!(read("TURN IT OFF AND ON").warnings, keyword("AND", 1));
    for quiet in ["a cat AND a dog", "a cat BREAK a dog", "a 3D AND b"] {
        assert_eq!(read(quiet).warnings, [], "{quiet}");
    }
}

#[test]
fn parts_have_weights() {
    let parts = |text: &str| -> Vec<(String, f64)> {
        let parts = read(text).parts;
        let part = |part: &imagegen_prompt::Part| {
            let schedule = part.schedule(1).unwrap();
            (shown(&schedule.readings[0]).trim().to_owned(), part.weight)
        };
        parts.iter().map(part).collect()
    };
    let said = |text: &str, weight| (text.to_owned(), weight);
    assert_eq!(
        parts("a cat AND a dog"),
        [said("a cat", 1.0), said("a dog", 1.0)]
    );
    assert_eq!(
        parts("a cat :1.2 AND\na (dog) AND b:-0.5"),
        [
            said("a cat", 1.2),
            said("a |dog@1.100|", 1.0),
            said("b", -0.5)
        ]
    );
    assert_eq!(
        parts(r"at 10\:30 AND b:x"),
        [said("at 10:30", 1.0), said("b:x", 1.0)]
    );
    // Sides without text are left out.
    assert_eq!(
        parts(" AND a AND  AND(b)"),
        [said("a", 1.0), said("b@1.100", 1.0)]
    );
    assert_eq!(
        read("AND a AND").warnings,
        [Warning::EmptyParts { count: 2 }]
    );
    assert_eq!(parts("AND"), [said("", 1.0)]);
    let many = vec!["a"; 17].join(" AND ");
    assert_eq!(
        parse(&many, Role::Positive).unwrap_err().to_string(),
        "it has 17 parts joined by AND, expected at most 16"
    );
    assert_eq!(
        read("a AND b:99").warnings,
        [Warning::Bounded {
            count: 1,
            first: 99.0
        }]
    );
}

#[test]
fn negative_prompts_have_one_part() {
    let prompt = parse("a AND b:2", Role::Negative).unwrap();
    assert_eq!(prompt.warnings, [Warning::AndIsText]);
    assert_eq!(
        shown(&prompt.parts[0].schedule(1).unwrap().readings[0]),
        "a AND b:2"
    );
}

#[test]
fn edits_switch_after_whole_steps() {
    let dog_then_cat = |before| -> Vec<String> {
        let word = |step| if step < before { "dog" } else { "cat" };
        (0..8).map(|step| word(step).to_owned()).collect()
    };
    for (text, before) in [
        ("[dog:cat:4]", 4),
        ("[dog:cat:0.5]", 4),
        ("[dog:cat: .5 ]", 4),
        ("[dog:cat:8]", 8),
        ("[dog:cat:1.0]", 8),
        ("[dog:cat:99]", 8),
        ("[dog:cat:0]", 0),
        ("[dog:cat:-3]", 0),
        ("[dog:cat:1]", 1),
        ("[dog:cat:0.99]", 7),
    ] {
        assert_eq!(steps(text, 8), dog_then_cat(before), "{text}");
    }
    assert_eq!(steps("[dog : cat : 0.5 ]", 2), ["dog ", " cat "]);
    assert_eq!(steps("a [cat:1]", 2), ["a ", "a cat"]);
    assert_eq!(steps("a[ cat::1]", 2), ["a cat", "a"]);
    // 0.29 * 100 is just under 29.
    assert_eq!(
        steps("[a:b:0.29]", 100)
            .iter()
            .filter(|s| *s == "a")
            .count(),
        29
    );
    assert_eq!(steps("a[b:[c:d:2]:1]e", 3), ["abe", "ace", "ade"]);
    assert_eq!(steps("([dog:cat:1]:1.5)", 2), ["dog@1.500", "cat@1.500"]);
    assert_eq!(steps("[(a:2):(b:3):1]", 2), ["a@2.000", "b@3.000"]);
    assert_eq!(steps("[a BREAK b:c:1]", 2), ["a |BREAK| b", "c"]);
}

#[test]
fn alternation_goes_on_at_each_step() {
    assert_eq!(steps("[a|b]", 5), ["a", "b", "a", "b", "a"]);
    assert_eq!(steps("[a|(b:1.1)|]", 4), ["a", "b@1.100", "", "a"]);
    assert_eq!(steps("[a|[b|c]]", 4), ["a", "c", "a", "c"]);
    assert_eq!(steps("[[a|b]:c:2]", 4), ["a", "b", "c", "c"]);
}

#[test]
fn what_has_not_the_form_of_an_edit_is_a_weight() {
    for (text, want) in [
        ("[a:b]", "a:b@0.909"),
        ("[a:b:c:0.5]", "a:b:c:0.5@0.909"),
        ("[a:b:soon]", "a:b:soon@0.909"),
        ("[a|b:0.5]", "a|b:0.5@0.909"),
        ("(a|b)", "a|b@1.100"),
        ("a|b", "a|b"),
    ] {
        assert_eq!(weighed(text).0, want, "{text}");
    }
    // A bracket without its partner inside is no inside of an edit.
    assert_eq!(weighed("[(a:b:0.5]").0, "a:b:0.5");
}

#[test]
fn edits_that_do_nothing_are_said() {
    let said = |text: &str, steps| read(text).parts[0].schedule(steps).unwrap().warnings;
    assert_eq!(said("[a:b:0.5]", 8), []);
    assert_eq!(said("[a:b:0]", 8), []);
    assert_eq!(
        said("[cat:1.2]", 8),
        [Warning::NeverSwitches { edits: 1, steps: 8 }]
    );
    assert_eq!(
        said("[a:b:0.1] [c:d:0.2]", 4),
        [Warning::SwitchesAtOnce { edits: 2, steps: 4 }]
    );
    assert_eq!(said("[a:b:0.5]", 0), []);
}

#[test]
fn lora_files_are_named_and_no_text() {
    let prompt = read("a cat<lora:fur:0.8>, <LoRA: my style >soft <b> <3");
    let lora = |name: &str, weight| Lora {
        name: name.to_owned(),
        weight,
    };
    assert_eq!(prompt.loras, [lora("fur", 0.8), lora("my style", 1.0)]);
    assert_eq!(
        shown(&prompt.parts[0].schedule(1).unwrap().readings[0]),
        "a cat, soft <b> <3"
    );
    for (text, said) in [
        (
            "<lora:x:soon>",
            "<lora:x:soon> is no LoRA file, expected <lora:NAME> or <lora:NAME:WEIGHT>",
        ),
        ("<lora:x:1:2>", "<lora:x:1:2> is no LoRA file"),
        ("<lora::1>", "<lora::1> is no LoRA file"),
        ("a <lora:x", "<lora:x is no LoRA file"),
        ("<hypernet:x:1>", "<hypernet:x:1> names a hypernetwork"),
    ] {
        let error = parse(text, Role::Positive).unwrap_err();
        assert!(matches!(
            error,
            Error::Lora { .. } | Error::Hypernetwork { .. }
        ));
        assert!(error.to_string().starts_with(said), "{error}");
    }
}

#[test]
fn readings_are_bounded() {
    let sides = |count: usize| {
        (0..count)
            .map(|side| format!("w{side}"))
            .collect::<Vec<_>>()
    };
    let text = |count: usize| format!("[{}] of a lake", sides(count).join("|"));
    let schedule = read(&text(MOST_READINGS)).parts[0].schedule(1000).unwrap();
    assert_eq!(schedule.readings.len(), MOST_READINGS);
    let part = &read(&text(MOST_READINGS + 1)).parts[0];
    assert_eq!(part.schedule(1000), Err(Error::TooManyReadings));
    // What is not reached in the run is not said.
    assert_eq!(part.schedule(10).unwrap().readings.len(), 10);
}
