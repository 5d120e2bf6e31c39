//! What a run says and where its files go.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::place::{Done, Place, painted};

const QUICK: &str = "transform a.png -p winter --steps 2 --seed 7";

/// Fails unless `value` is an object with each of `fields`.
#[track_caller]
fn assert_has(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap();
    for field in fields {
        assert!(object.contains_key(*field), "no {field} in {value}");
    }
}

#[test]
fn json_is_one_document_of_facts() {
    let place = Place::with_source();
    let json = place.succeed(&format!("{QUICK} -o o.png --json")).json();
    assert_eq!(json["program"], imagegen::PROGRAM);
    assert_eq!(json["model"]["name"], "starter");
    assert_eq!(json["model"]["sha256"].as_str().unwrap().len(), 64);
    assert_has(&json["cpu"], &["level", "threads"]);
    assert_eq!(json["cpu"]["arithmetic"], "f32");
    assert!(json["load_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(json["failures"], Value::Array(Vec::new()));
    assert_eq!(json["results"].as_array().unwrap().len(), 1);

    let result = &json["results"][0];
    let facts = ["steps_run", "start_sigma", "start_timestep"];
    assert_has(result, &facts);
    assert_eq!(result["file"], "o.png");
    assert_eq!(result["warnings"], Value::Array(Vec::new()));
    let stages = ["prepare", "text", "denoise", "finish", "write"];
    assert_has(&result["seconds"], &stages);
    let settings = [
        "program",
        "arithmetic",
        "prompt",
        "negative_prompt",
        "strength",
        "strength_rule",
        "steps",
        "sampler",
        "guidance_scale",
        "seed",
        "size",
        "work_size",
        "fit",
    ];
    assert_has(&result["recipe"], &settings);
    assert_eq!(result["recipe"]["model"], json["model"]);
    assert_has(&result["recipe"]["source"], &["name", "sha256"]);
}

#[test]
fn json_tells_of_warnings_and_failures() {
    let place = Place::with_source();
    let line = "transform missing.png a.png -p qwertz --steps 2 -o out/ --json --quiet";
    let done = place.run(line);
    assert_eq!(done.code, 1);
    let json = done.json();
    assert_eq!(json["failures"].as_array().unwrap().len(), 1);
    assert_eq!(json["failures"][0]["source"], "missing.png");
    let error = json["failures"][0]["error"].as_str().unwrap();
    assert_eq!(done.lines("error: "), [format!("error: {error}")]);
    let warning = json["results"][0]["warnings"][0].as_str().unwrap();
    let said = format!("warning: a.png: {warning}");
    assert_eq!(done.lines("warning: "), [said]);
}

#[test]
fn words_go_to_stderr_and_quiet_has_none() {
    let place = Place::with_source();
    let generate = "generate -p winter --steps 2 --size 80x64";
    for (line, steps, size) in [(QUICK, "1 of 1", "80x64"), (generate, "2 of 2", "80x64")] {
        let done = place.succeed(&format!("{line} -o o.png"));
        assert_eq!(done.stdout, "");
        assert_eq!(done.lines("loaded starter in ").len(), 1, "{}", done.stderr);
        assert!(
            done.stderr.contains(&format!(": step {steps}, ")),
            "{}",
            done.stderr
        );
        let wrote = done.lines(&format!("wrote o.png {size} in "));
        assert_eq!(wrote.len(), 1, "{}", done.stderr);
        assert_eq!(
            done.lines("warning: ").len() + done.lines("error: ").len(),
            0
        );

        for quiet in ["--quiet", "-q"] {
            let done = place.succeed(&format!("{line} -o o.png {quiet}"));
            assert_eq!((&*done.stdout, &*done.stderr), ("", ""));
        }
        let done = place.succeed(&format!("{line} -o o.png --quiet --json"));
        assert_eq!(done.stderr, "");
        assert_eq!(done.files(), ["o.png"]);
    }
}

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    for (line, words) in [
        ("--help", ["transform", "generate"]),
        ("transform --help", ["--strength", "--strength-rule"]),
        ("generate --help", ["--size", "--seed"]),
        ("--version", ["imagegen", env!("CARGO_PKG_VERSION")]),
    ] {
        let done = place.succeed(line);
        assert!(
            words.iter().all(|word| done.stdout.contains(word)),
            "{}",
            done.stdout
        );
        assert_eq!(done.stderr, "", "{line}");
    }
}

#[test]
fn without_a_name_nothing_is_overwritten() {
    let place = Place::new();
    place.save("My Photo.png", &painted(64, 48, 30).into());
    let arguments = [
        "transform",
        "My Photo.png",
        "-p",
        "oil painting, warm",
        "--seed",
        "7",
    ];
    let run = |more: &[&str]| {
        let arguments = [&arguments[..], &["--steps", "2", "--json"], more].concat();
        place.run_with(&arguments).files()
    };
    let first = run(&[]);
    assert_eq!(first, ["my-photo-oil-painting-warm-7.png"]);
    let bytes = place.bytes(&first[0]);
    let second = run(&["-s", "1"]);
    assert_eq!(second, ["my-photo-oil-painting-warm-7-2.png"]);
    assert!(
        place.bytes(&first[0]) == bytes,
        "the first result has changed"
    );
    assert!(place.bytes(&second[0]) != bytes);
    assert_eq!(place.names().len(), 3);

    let line = "generate -p winter --steps 1 --size 80x64 --seed 7 --json";
    assert_eq!(place.succeed(line).files(), ["winter-7.png"]);
    assert_eq!(place.succeed(line).files(), ["winter-7-2.png"]);
}

#[test]
fn a_named_file_is_replaced_whole() {
    let place = Place::with_source();
    place.put("o.png", &vec![7; 1 << 20]); // longer than any result here
    place.succeed(&format!("{QUICK} -o o.png"));
    place.open("o.png");
    assert!(place.bytes("o.png").ends_with(b"IEND\xAE\x42\x60\x82"));
    let result = place.bytes("o.png");
    assert_eq!(place.names(), ["a.png", "o.png"]);

    // A run that fails touches nothing.
    place.put("cut.png", &result[..result.len() / 2]);
    let done = place.run("transform cut.png -p winter --steps 2 -o o.png");
    assert_eq!(done.code, 1);
    assert!(place.bytes("o.png") == result);
}

#[test]
fn many_sources_go_into_a_folder() {
    let place = Place::with_source();
    place.save("a.webp", &painted(64, 48, 90).into());
    fs::create_dir(place.path("there")).unwrap();
    for folder in ["there", "new/deep/"] {
        let line =
            format!("transform a.png a.webp -p winter --steps 2 --seed 7 -o {folder} --json");
        let files = place.succeed(&line).files();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["a-winter-7.png", "a-winter-7-2.png"], "{folder}");
        assert!(place.open(&files[0]) != place.open(&files[1]), "{folder}");
    }
    let done = place.run("transform a.png a.webp -p winter -o o.png");
    done.assert_refused(
        1,
        &["-o names the file o.png", "expected a folder", "2 sources"],
    );
    assert!(!place.path("o.png").exists());
}

#[test]
fn a_refused_run_makes_no_folder() {
    let place = Place::with_source();
    for line in [
        "transform missing.png -p winter -o new/",
        "transform a.png -p winter --model missing -o new/",
        "transform a.png -p winter --size 16384x16384 --fit stretch -o new/deep/",
    ] {
        assert_eq!(place.run(line).code, 1, "{line}");
        assert_eq!(place.names(), ["a.png"], "{line}");
    }
    let done = place.run("transform a.png -p winter -o a.png/deep/");
    done.assert_refused(
        1,
        &["cannot make the folder a.png/deep/", "a.png is a file"],
    );
}

#[cfg(unix)]
#[test]
fn the_source_is_never_replaced() {
    let place = Place::with_source();
    let source = place.bytes("a.png");
    std::os::unix::fs::symlink(place.path("a.png"), place.path("link.png")).unwrap();
    std::os::unix::fs::symlink(place.path(""), place.path("here")).unwrap();
    for line in [
        "transform a.png -p winter --steps 1 -o a.png",
        "transform a.png -p winter --steps 1 -o here/a.png",
        "transform link.png -p winter --steps 1 -o a.png",
        "transform link.png -p winter --steps 1 -o link.png",
        "ladder a.png -p winter --steps 1 -o a.png",
        "vary a.png -p winter --steps 1 -o a.png",
    ] {
        place
            .run(line)
            .assert_refused(1, &["-o names the source", "expected another name"]);
        assert!(place.bytes("a.png") == source, "{line}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let place = Place::with_source();
    for line in [
        "models",
        "info",
        "config",
        "man",
        "completions bash",
        "advise a.png",
    ] {
        let arguments: Vec<_> = line.split_whitespace().collect();
        let mut command = place.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let done = Done::of(&child.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{line}: {}", done.stderr);
    }
}

#[test]
fn many_seeds_of_a_named_file_stand_beside_it() {
    let place = Place::with_source();
    let line = format!("{QUICK} --count 2 -o o.jpg --json");
    assert_eq!(place.succeed(&line).files(), ["o-7.jpg", "o-8.jpg"]);
    assert_eq!(place.names(), ["a.png", "o-7.jpg", "o-8.jpg"]);
}

#[test]
fn a_result_that_cannot_be_written_leaves_nothing() {
    let place = Place::with_source();
    // A folder stands where the result of seed 7 is to go.
    fs::create_dir(place.path("o-7.png")).unwrap();
    let done = place.run(&format!("{QUICK} --count 2 -o o.png"));
    done.assert_refused(1, &["cannot write o-7.png"]);
    assert_eq!(place.names(), ["a.png", "o-7.png/"]);

    let line = "generate -p winter --steps 1 --size 80x64 --seed 7 --count 2 -o o.png";
    let done = place.run(line);
    done.assert_refused(1, &["cannot write o-7.png"]);
    assert_eq!(done.lines("1 done, 1 failed").len(), 1, "{}", done.stderr);
    assert_eq!(place.names(), ["a.png", "o-7.png/", "o-8.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_named() {
    let place = Place::with_source();
    let done = place.run(&format!("{QUICK} -o /proc/o.png"));
    done.assert_refused(1, &["cannot write /proc/o.png"]);
    assert_eq!(place.names(), ["a.png"]);
}

#[cfg(unix)]
#[test]
fn a_result_has_the_rights_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_source();
    place.put("new", b"");
    place.succeed(&format!("{QUICK} -o o.png"));
    let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("o.png"), mode("new"));
}

#[test]
fn a_prompt_too_long_for_jpeg_is_refused() {
    let place = Place::with_source();
    let prompt = "winter ".repeat(6000);
    let arguments = ["transform", "a.png", "-p", &prompt, "--steps", "2", "-o"];
    let done = place.run_with(&[&arguments[..], &["o.jpg"]].concat());
    done.assert_refused(1, &["expected at most 65533 in JPEG", "PNG has room"]);
    assert_eq!(place.names(), ["a.png"]);
    let done = place.run_with(&[&arguments[..], &["o.png"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let warning = "warning: a.png: the prompt is too long: its last ";
    assert_eq!(done.lines(warning).len(), 1, "{}", done.stderr);
}

#[test]
fn names_of_wide_letters_are_not_too_long_for_the_file_system() {
    let place = Place::new();
    // 60 letters of three bytes each, 184 bytes with the extension: a name every system takes.
    let source = format!("{}.png", "\u{5c71}".repeat(60));
    place.save(&source, &painted(80, 64, 30).into());
    let prompt = format!("winter {}", "\u{6c34}".repeat(40));
    let arguments = ["transform", &source, "-p", &prompt, "-s", "0", "--json"];
    let done = place.run_with(&arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    place.open(&done.files()[0]);
}

#[test]
fn a_stdout_nobody_reads_is_an_error_without_a_panic() {
    let place = Place::with_source();
    let mut command = place.command(&["transform", "a.png", "-p", "winter", "-s", "0"]);
    command.args(["-o", "o.png", "--json"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = Done::of(&child.wait_with_output().unwrap());
    done.assert_refused(1, &["cannot write", "stdout"]);
    place.open("o.png");
}

#[test]
fn a_stderr_nobody_reads_does_not_cost_the_results() {
    let place = Place::with_source();
    let mut command = place.command(&["transform", "a.png", "-p", "winter", "-s", "0"]);
    command.args(["--count", "3", "--seed", "7", "-o", "o.png"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let status = child.wait().unwrap();
    assert_eq!(place.names(), ["a.png", "o-7.png", "o-8.png", "o-9.png"]);
    assert_eq!(status.code(), Some(0));
}
