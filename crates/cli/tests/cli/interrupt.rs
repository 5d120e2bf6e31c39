//! Ctrl-C during a run: code 130, what is done stays, nothing half written.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::DynamicImage;
use serde_json::Value;

use crate::place::{Place, painted};

/// Code, stdout and stderr of a run that gets SIGINT when a line of stderr begins with `moment`.
fn interrupt(place: &Place, line: &str, moment: &str) -> (Option<i32>, String, String) {
    let arguments: Vec<_> = line.split_whitespace().collect();
    let mut command = place.command(&arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    while !said.lines().any(|line| line.starts_with(moment)) {
        let read = stderr.read_line(&mut said).unwrap();
        assert!(read > 0, "{moment:?} was not said: {said}");
    }
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    stderr.read_to_string(&mut said).unwrap();
    let code = wait(&mut child);
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    (code, stdout, said)
}

/// The exit code, within a minute.
fn wait(child: &mut Child) -> Option<i32> {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("the run did not end");
}

#[test]
fn an_interrupted_run_writes_nothing() {
    let place = Place::with_source();
    place.put("o.png", b"from before");
    let names = place.names();
    for (line, moment) in [
        (
            "transform a.png -p winter -s 1 --steps 1000 -o o.png",
            "a.png: step 2 of ",
        ),
        (
            "generate -p winter --steps 1000 --size 80x64 -o o.png",
            "generate: step 2 of ",
        ),
    ] {
        let (code, stdout, stderr) = interrupt(&place, line, moment);
        assert_eq!(code, Some(130), "{stderr}");
        assert_eq!(stdout, "");
        let errors: Vec<_> = stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(errors[0].contains("cancelled after step "), "{stderr}");
        assert!(
            !stderr.contains("panicked") && !stderr.contains("wrote "),
            "{stderr}"
        );
        assert_eq!(place.names(), names);
        assert_eq!(place.bytes("o.png"), b"from before");
        place.assert_clean();
    }
}

#[test]
fn an_interrupted_batch_keeps_what_is_done() {
    let place = Place::with_source();
    // So large that its few steps take long enough to be interrupted.
    let large: DynamicImage = painted(384, 384, 90).into();
    place.save("b.png", &large);
    place.save("c.png", &large);
    let line = "transform a.png b.png c.png -p winter -s 1 --steps 20 --seed 1 -o out/ --json";
    let (code, stdout, stderr) = interrupt(&place, line, "b.png: step 1 of ");
    assert_eq!(code, Some(130), "{stderr}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["results"].as_array().unwrap().len(), 1, "{stderr}");
    assert_eq!(json["results"][0]["file"], "out/a-winter-1.png");
    let names = ["a.png", "b.png", "c.png", "out/", "out/a-winter-1.png"];
    assert_eq!(place.names(), names);
    place.open("out/a-winter-1.png");
    place.assert_clean();
}

#[test]
fn a_batch_that_runs_no_step_can_be_interrupted() {
    let place = Place::with_source();
    let line = "transform a.png -p winter -s 0 --count 1000 --seed 1 -o out/";
    let (code, _, stderr) = interrupt(&place, line, "wrote ");
    assert_eq!(
        code,
        Some(130),
        "{} results were written",
        place.names().len() - 2
    );
    assert!(
        stderr.lines().any(|line| line.starts_with("error: ")),
        "{stderr}"
    );
    place.assert_clean();
}

#[test]
fn advice_on_many_sources_can_be_interrupted() {
    let place = Place::new();
    place.save("a.png", &painted(320, 256, 30).into());
    let line = format!("advise {}", "a.png ".repeat(400));
    let (code, stdout, stderr) = interrupt(&place, &line, "loaded ");
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("error: stopped"), "{stderr}");
    assert!(stdout.lines().count() < 400, "every source was looked at");
}
