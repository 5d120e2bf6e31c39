//! Ctrl-C at every stage: code 130 or all is done, whole files or none, nothing left behind.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::place::{Place, painted};

fn spawn(place: &Place, line: &str) -> Child {
    let arguments: Vec<_> = line.split_whitespace().collect();
    let mut command = place.command(&arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn press(child: &Child) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
}

/// The end of a run, which has to come within a minute.
fn end(child: &mut Child) -> ExitStatus {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("the run did not end");
}

fn said(child: &mut Child) -> String {
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Waits until the program listens for Ctrl-C, which is before it loads the model.
#[cfg(target_os = "linux")]
fn wait_for_ears(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let listens = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(mask.unwrap().trim(), 16).unwrap() & 2 != 0
    };
    let since = Instant::now();
    while !listens() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "it never listens"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_while_the_model_loads_makes_nothing() {
    let place = Place::with_source();
    for line in [
        "transform a.png -p winter -s 1 --steps 1000 -o o.png",
        "generate -p winter --size 64x64 --steps 1000 -o o.png",
        "ladder a.png -p winter --steps 1000 -o o.png",
        "vary a.png -p winter --steps 1000 -o o.png",
    ] {
        let mut child = spawn(&place, line);
        wait_for_ears(&child);
        press(&child);
        let code = end(&mut child).code();
        let said = said(&mut child);
        assert_eq!(code, Some(130), "{line}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{line}: {said}");
        assert_eq!(place.names(), ["a.png"], "{line}");
        place.assert_clean();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_at_any_moment_leaves_whole_files_or_none() {
    let place = Place::with_source();
    place.save("b.png", &painted(80, 64, 99).into());
    let mut stopped = 0;
    for moment in 0..10 {
        let mut child = spawn(
            &place,
            "transform a.png b.png -p winter --steps 4 -s 1 --seed 1 -o out/",
        );
        wait_for_ears(&child);
        std::thread::sleep(Duration::from_millis(moment * 40));
        press(&child);
        let status = end(&mut child);
        let said = said(&mut child);
        // A run that had ended by then was not stopped.
        assert!(matches!(status.code(), Some(0 | 130)), "{status}: {said}");
        stopped += u32::from(status.code() == Some(130));
        let made: Vec<_> = place
            .names()
            .into_iter()
            .filter(|name| name.ends_with("-1.png"))
            .collect();
        for name in &made {
            place.open(name);
        }
        let wrote = said
            .lines()
            .filter(|line| line.starts_with("wrote "))
            .count();
        assert_eq!(made.len(), wrote, "{said}");
        place.assert_clean();
        if place.path("out").is_dir() {
            std::fs::remove_dir_all(place.path("out")).unwrap();
        }
    }
    assert!(stopped > 0, "every run had ended before it was stopped");
}

/// Reads stderr up to the first line that holds `words`.
fn read_to(child: &mut Child, words: &str) {
    let mut stderr = BufReader::new(child.stderr.as_mut().unwrap());
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(
            stderr.read_line(&mut line).unwrap() > 0,
            "{words:?} was not said"
        );
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_leaves_nothing() {
    let place = Place::new();
    place.save("a.png", &painted(320, 320, 7).into());
    let mut child = spawn(
        &place,
        "transform a.png -p winter -s 1 --steps 1000 -o o.png",
    );
    read_to(&mut child, ": step 1 of ");
    press(&child);
    std::thread::sleep(Duration::from_millis(50));
    press(&child);
    let code = end(&mut child).code();
    assert_eq!(code, Some(130), "{}", said(&mut child));
    assert_eq!(place.names(), ["a.png"]);
    place.assert_clean();
}

#[test]
fn ctrl_c_while_standard_input_is_awaited_ends_the_run() {
    let place = Place::new();
    let mut child = spawn(&place, "transform - -p winter -o o.png");
    let stdin = child.stdin.take(); // stays open
    read_to(&mut child, "loaded ");
    press(&child);
    let code = end(&mut child).code();
    assert_eq!(code, Some(130), "{}", said(&mut child));
    assert!(place.names().is_empty());
    drop(stdin);
}
