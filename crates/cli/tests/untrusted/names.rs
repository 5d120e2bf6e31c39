//! Names of files that are hostile to terminals, and disks that take nothing.

use std::process::Command;

use crate::done;
use crate::place::{Done, Place};

/// A terminal's commands: red, clear the screen, set the title, go back, turn the writing.
#[cfg(unix)]
const HOSTILE: &str = "a\u{1b}[31m\u{1b}[2J\u{1b}]0;t\u{7}\r\nerror: x\u{9b}2J\u{202e}gnp.png";

#[cfg(unix)]
#[track_caller]
fn assert_tame(done: &Done) {
    for text in [&done.stdout, &done.stderr] {
        for c in text.chars().filter(|&c| c != '\n') {
            assert!(
                !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c),
                "{text:?}"
            );
        }
    }
    assert!(
        !done.stderr.lines().any(|line| line.starts_with("error: x")),
        "{}",
        done.stderr
    );
}

#[cfg(unix)]
#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let place = Place::with_source();
    std::fs::rename(place.path("a.png"), place.path(HOSTILE)).unwrap();
    place.put("cut", &place.bytes(HOSTILE)[..200]);
    let cut = "cut\u{1b}[5m\n.png";
    std::fs::rename(place.path("cut"), place.path(cut)).unwrap();
    let folder = "out\u{1b}c/";
    let named = "o\u{1b}c.png";
    let lines: [&[&str]; 7] = [
        &["transform", HOSTILE, "-o", named],
        &["transform", HOSTILE, cut, "none\u{1b}c", "-o", folder],
        &["ladder", HOSTILE, "--strengths", "0.5", "-o", folder],
        &["vary", HOSTILE, "--count", "2", "-o", folder],
        &["transform", HOSTILE, "-o", "o\u{1b}c.gif"],
        &["transform", HOSTILE, "-o", "o.png", "--model", "m\u{1b}c"],
        &["transform", HOSTILE, "-o", "o.png", "--bad\u{1b}c"],
    ];
    for line in lines {
        let mut arguments = line.to_vec();
        arguments.extend(["-p", "winter", "--steps", "1", "--seed", "3"]);
        assert_tame(&done(&place, &mut place.command(&arguments)));
    }
    for line in [
        ["advise", HOSTILE],
        ["verify", named],
        ["verify", cut],
        ["info", "m\u{1b}c"],
    ] {
        assert_tame(&done(&place, &mut place.command(&line)));
    }
    assert!(place.path(named).is_file());
    assert!(
        place
            .names()
            .iter()
            .any(|name| name.starts_with("out\u{1b}c/"))
    );
}

#[test]
fn names_of_every_script_are_kept() {
    let place = Place::with_source();
    let names = [
        "夜の街.png",
        "Ελληνικά.png",
        "עברית.png",
        "🎨👩‍🎨.png",
        "e\u{301}te\u{301}.png",
        "two  words .png",
        "-dash.png",
        "%s$HOME`x`'\".png",
    ];
    for name in names {
        std::fs::copy(place.path("a.png"), place.path(name)).unwrap();
        let source = format!("./{name}");
        let result = format!("./o {name}");
        let arguments = [
            "transform",
            &source,
            "-p",
            "winter",
            "-s",
            "0",
            "-o",
            &result,
            "--json",
        ];
        let made = done(&place, &mut place.command(&arguments));
        assert_eq!(made.code, 0, "{name}: {}", made.stderr);
        assert_eq!(made.json()["results"][0]["recipe"]["source"]["name"], name);
        assert_eq!(
            place.open(&format!("o {name}")),
            place.open("a.png"),
            "{name}"
        );
    }
    let arguments = [
        "transform",
        "-dash.png",
        "-p",
        "winter",
        "-s",
        "0",
        "-o",
        "p.png",
    ];
    done(&place, &mut place.command(&arguments)).assert_refused(2, &["-d"]);
    let arguments = [
        "transform",
        "-p",
        "winter",
        "-s",
        "0",
        "-o",
        "p.png",
        "--",
        "-dash.png",
    ];
    assert_eq!(done(&place, &mut place.command(&arguments)).code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_names_too() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::with_source();
    let name = OsStr::from_bytes(b"caf\xE9.png");
    let odd = place.path("").join(name);
    std::fs::rename(place.path("a.png"), &odd).unwrap();
    let mut command = place.command(&[
        "transform",
        "-p",
        "winter",
        "-s",
        "0",
        "-o",
        "o.png",
        "--json",
    ]);
    let made = done(&place, command.arg(name));
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(
        made.json()["results"][0]["recipe"]["source"]["name"],
        "caf\u{fffd}.png"
    );
}

#[test]
fn a_name_too_long_to_be_read_is_refused() {
    let place = Place::with_source();
    let long = "n".repeat(300) + ".png";
    place
        .run(&format!("transform {long} -p winter -o o.png"))
        .assert_refused(1, &["cannot read nnn"]);
    let deep = "d/".repeat(3000) + "a.png";
    place
        .run(&format!("transform {deep} -p winter -o o.png"))
        .assert_refused(1, &["cannot read d/"]);
    place
        .run(&format!("transform a.png -p winter -o {deep}"))
        .assert_refused(1, &["cannot write d/"]);
}

/// The binary in a shell where no file can grow over 512 bytes: what a full disk does to it.
#[cfg(unix)]
fn on_a_full_disk(place: &Place, line: &str) -> Done {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_imagegen");
    // Without the signal a write fails with an error, as on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f 1; exec {program} {line}");
    command.args(["-c", &script]);
    let like = place.command(&[]);
    command.current_dir(like.get_current_dir().unwrap());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    done(place, &mut command)
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_that_leaves_nothing() {
    let place = Place::with_source();
    place.put("o.png", b"from before");
    let names = place.names();
    for line in [
        "transform a.png -p winter --steps 1 --seed 1 -o o.png",
        "transform a.png -p winter --steps 1 --seed 1 -o .",
        "generate -p winter --size 64x64 --steps 1 --seed 1 -o o.webp",
        "ladder a.png -p winter --steps 1 --seed 1 -o l.png",
        "vary a.png -p winter --steps 1 --seed 1 --count 2 -o v.png",
    ] {
        let made = on_a_full_disk(&place, line);
        made.assert_refused(1, &["cannot write "]);
        assert_eq!(place.names(), names, "{line}");
        assert_eq!(place.bytes("o.png"), b"from before");
    }
    // One source after the other fails, and none stops the rest.
    let made = on_a_full_disk(&place, "transform a.png a.png -p winter --steps 1 -o out/");
    assert_eq!(
        (made.code, made.lines("error: ").len()),
        (1, 2),
        "{}",
        made.stderr
    );
}
