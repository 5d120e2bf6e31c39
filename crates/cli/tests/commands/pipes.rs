//! `-` as source and result, formats, and names that are too long.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::place::{Done, Place};
use crate::{alone, run, succeed};

/// Runs the words of `line` with `input` on standard input.
fn fed(place: &Place, line: &str, input: &[u8]) -> Output {
    let words: Vec<_> = line.split_whitespace().collect();
    let mut command = alone(place, &words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn pipes_carry_the_same_picture_as_files() {
    let place = Place::with_source();
    let line = "-p winter --steps 2 --seed 3";
    for (format, name) in [
        ("", "f.png"),
        ("--format jpeg", "f.jpg"),
        ("--format webp", "f.webp"),
    ] {
        succeed(&place, &format!("transform a.png {line} -o {name}"));
        let piped = fed(
            &place,
            &format!("transform a.png {line} -o - {format}"),
            b"",
        );
        assert!(piped.status.success());
        assert!(piped.stdout == place.bytes(name), "{name}");
    }
    let done = fed(
        &place,
        &format!("transform - {line} -o p.png"),
        &place.bytes("a.png"),
    );
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(place.open("p.png"), place.open("f.png"));
    let recipe = imagegen_picture::metadata::read(&place.bytes("p.png"))
        .json
        .unwrap();
    let recipe: serde_json::Value = serde_json::from_str(&recipe).unwrap();
    assert_eq!(recipe["source"]["name"], "stdin");
    place.assert_clean();
}

#[test]
fn input_that_is_no_picture_is_named() {
    let place = Place::new();
    for (input, words) in [
        (&b""[..], "cannot use stdin as a source"),
        (b"hello", "stdin"),
    ] {
        let output = fed(&place, "transform - -p x -o o.png", input);
        Done::of(&output).assert_refused(1, &[words]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn one_pipe_takes_one_thing() {
    let place = Place::with_source();
    for (line, words) in [
        (
            "transform a.png -p x -o - --json",
            &["--json", "standard output"][..],
        ),
        ("transform a.png a.png -p x -o -", &["one picture"]),
        ("transform a.png -p x --count 2 -o -", &["one picture"]),
        ("generate -p x --count 2 -o -", &["one picture"]),
        (
            "transform - - -p x -o out/",
            &["standard input (-) is named as a source twice"],
        ),
        ("verify -", &["standard input (-)"]),
    ] {
        run(&place, line).assert_refused(2, words);
    }
    assert_eq!(place.names(), ["a.png"]);
}

#[cfg(unix)]
#[test]
fn a_full_standard_output_is_an_error() {
    let place = Place::with_source();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    // Only Linux has it.
    let Ok(_) = full() else { return };
    for line in [
        "transform a.png -p winter --steps 1 -o -",
        "models",
        "config",
        "info --json",
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        let output = alone(&place, &words)
            .stdout(full().unwrap())
            .output()
            .unwrap();
        let done = Done::of(&output);
        assert_eq!(done.code, 1, "{line}: {}", done.stderr);
        let said = done.lines("error: cannot write to stdout: ");
        assert_eq!(said.len(), 1, "{line}: {}", done.stderr);
    }
}

#[test]
fn long_names_are_cut_between_letters_and_said() {
    let place = Place::with_source();
    let night = "夜".repeat(90);
    let line = format!("transform a.png -p winter --steps 1 --seed 1 -o {night}.png");
    let done = succeed(&place, &line);
    assert_eq!(
        done.lines("warning: the file name has 274 bytes and is cut to 255")
            .len(),
        1
    );
    let stem = "夜".repeat(83);
    assert_eq!(place.names(), ["a.png".to_owned(), format!("{stem}.png")]);
    let line = format!("transform a.png -p winter --steps 1 --seed 1 --count 2 -o {stem}.png");
    succeed(&place, &line);
    assert_eq!(place.names().len(), 4);
    assert!(place.names().iter().all(|name| name.len() <= 255));
    // Names of our own making, of a source and a prompt as long as names may be.
    let source = format!("{}.png", "ü".repeat(125));
    std::fs::rename(place.path("a.png"), place.path(&source)).unwrap();
    let done = succeed(
        &place,
        &format!("transform {source} -p {night} --steps 1 --json"),
    );
    assert!(done.files()[0].len() <= 255);
}

#[test]
fn a_prompt_too_long_for_the_format_is_refused_before_the_run() {
    let place = Place::with_source();
    let long = "word,".repeat(9000);
    for command in ["transform a.png", "generate"] {
        let done = run(&place, &format!("{command} -p {long} -o o.jpg"));
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains("expected at most") && done.stderr.contains("PNG has room"));
        assert!(!done.stderr.contains(": step 1"), "{}", &done.stderr[..200]);
        assert_eq!(place.names(), ["a.png"]);
    }
    succeed(
        &place,
        &format!("transform a.png -p {long} --steps 1 -o o.png"),
    );
}
