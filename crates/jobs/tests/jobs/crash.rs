//! Processes that are killed in mid-job, and disks that fill up: in a process of its own, which is this
//! test binary again with one ignored test.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use imagegen_jobs::{Event, JobId, Jobs, Kind, Limits, PictureKind, State};
use pollster::block_on;

use crate::place::{
    ANNA, PATIENCE, Place, files, job, open, order, over, pixels, png, short, source, transform,
};

const FOLDER: &str = "JOBS_TEST_FOLDER";
const ORDER: &str = "JOBS_TEST_ORDER";
const STEPS: usize = 40;
const COUNT: u8 = 3;

/// What a process is told to order.
const PICTURES: &str = "pictures";
const BIG: &str = "big";

fn pictures(jobs: &Jobs) -> JobId {
    let order = order("pictures", STEPS, transform(&source(jobs, 5), COUNT));
    jobs.submit(ANNA, order, None).unwrap().job.id
}

/// A picture that does not get smaller when it is written as PNG.
fn noise() -> bytes::Bytes {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let size = imagegen::Size::new(700, 700);
    let rgb = (0..size.pixels() * 3).map(|_| next()).collect();
    let picture = imagegen::Picture::new(size, rgb, None).unwrap();
    let metadata = imagegen_picture::Metadata::default();
    imagegen_picture::encode(&picture, imagegen::Format::Png, &metadata)
        .unwrap()
        .bytes
        .into()
}

/// The other process: works and says so, line by line, until it is killed or has nothing left to do.
#[test]
#[ignore = "the other process of the tests beside it"]
fn works_and_says_so() {
    let folder = std::env::var_os(FOLDER).expect("the test beside it names the folder");
    let jobs = open(Path::new(&folder), Limits::default()).unwrap();
    let mut events = jobs.subscribe();
    match std::env::var(ORDER).as_deref() {
        Ok(PICTURES) => drop(pictures(&jobs)),
        Ok(BIG) => {
            let limits = imagegen_picture::Limits::default();
            let entry = block_on(jobs.put_source(ANNA, "noise.png", noise(), &limits)).unwrap();
            let kind = Kind::Transform {
                source: entry.sha256,
                strength: Some(0.0),
                size: None,
                fit: None,
                count: 1,
            };
            jobs.submit(ANNA, order("big", 1, kind), None).unwrap();
            short(&jobs, "small");
        }
        _ => {}
    }
    println!("\nopened");
    loop {
        match block_on(events.recv()) {
            Ok(Event::Step(step)) => println!("\nstep {} {}", step.picture, step.step),
            Ok(Event::Result { index, .. }) => println!("\nresult {index}"),
            Ok(Event::Changed(job)) if job.state.is_over() => {
                let message = job.failure.as_ref().map_or("", |failure| &failure.message);
                println!("\nover {} {} {message}", job.order.prompt, job.state.name());
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A process that works in a folder.
struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Other {
    fn start(place: &Place, order: &str) -> Self {
        Self::start_as(place, order, Command::new(std::env::current_exe().unwrap()))
    }

    fn start_as(place: &Place, order: &str, mut command: Command) -> Self {
        let mut child = command
            .args([
                "--ignored",
                "--exact",
                "crash::works_and_says_so",
                "--nocapture",
            ])
            .env(FOLDER, place.data())
            .env(ORDER, order)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads until a line that begins with `start`.
    fn until(&mut self, start: &str) -> String {
        let since = std::time::Instant::now();
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended: {seen}");
            assert!(since.elapsed() < PATIENCE, "no line {start:?}: {seen}");
            seen += &line;
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Ends the process at once, as `kill -9` does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn only_job(place: &Place) -> JobId {
    let id: String = place
        .database()
        .query_row("SELECT id FROM jobs ORDER BY seq LIMIT 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    id.parse().unwrap()
}

#[test]
fn a_job_whose_process_was_killed_is_run_again_and_nothing_is_lost_or_doubled() {
    let place = Place::new();
    let mut other = Other::start(&place, PICTURES);
    other.until("result 0");
    other.until("step 2 5");
    let refused = open(&place.data(), Limits::default()).unwrap_err();
    assert_eq!(
        refused
            .to_string()
            .matches(&other.child.id().to_string())
            .count(),
        1,
        "{refused}"
    );
    other.kill();
    let id = only_job(&place);
    let first = place.data().join(format!("pictures/results/{id}/0.png"));
    let written = fs::metadata(&first).unwrap().modified().unwrap();
    let jobs = place.open();
    let behind = short(&jobs, "behind");
    let done = over(&jobs, &id);
    assert_eq!((done.state, done.attempts), (State::Done, 2));
    let indexes: Vec<_> = done
        .results
        .iter()
        .map(|result| (result.index, result.seed))
        .collect();
    assert_eq!(indexes, [(0, 7), (1, 8), (2, 9)]);
    assert_eq!(
        fs::metadata(&first).unwrap().modified().unwrap(),
        written,
        "made once"
    );
    assert_eq!(over(&jobs, &behind.id).state, State::Done);
    let of_job = |name: &String| name.starts_with(&format!("results/{id}/"));
    assert_eq!(files(&place).iter().filter(|name| of_job(name)).count(), 3);
    // The pictures are those of a run that nothing disturbed.
    let calm = Place::new();
    let undisturbed = calm.open();
    let calm_id = pictures(&undisturbed);
    over(&undisturbed, &calm_id);
    for index in 0..usize::from(COUNT) {
        let which = PictureKind::Result(index);
        assert_eq!(
            pixels(&jobs, &id, which),
            pixels(&undisturbed, &calm_id, which)
        );
    }
}

#[test]
fn a_job_whose_process_was_killed_twice_fails_with_the_reason() {
    let place = Place::new();
    let mut other = Other::start(&place, PICTURES);
    other.until("result 0");
    other.kill();
    let mut other = Other::start(&place, "");
    other.until("step 2");
    other.kill();
    let jobs = place.open();
    let id = only_job(&place);
    let failed = job(&jobs, &id);
    let failure = failed.failure.clone().unwrap();
    assert_eq!((failed.state, failed.attempts), (State::Failed, 2));
    assert_eq!(failure.code, "crashed");
    assert!(
        failure.message.contains("ended 2 times"),
        "{}",
        failure.message
    );
    assert!(!failed.results.is_empty() && failed.finished_ms.is_some());
    pixels(&jobs, &id, PictureKind::Result(0));
    assert_eq!(over(&jobs, &short(&jobs, "next").id).state, State::Done);
}

#[test]
fn a_job_that_was_to_stop_when_its_process_was_killed_is_cancelled() {
    let place = Place::new();
    let mut other = Other::start(&place, PICTURES);
    other.until("step 1 2");
    other.kill();
    place
        .database()
        .execute("UPDATE jobs SET stopped = 1", [])
        .unwrap();
    let jobs = place.open();
    assert_eq!(job(&jobs, &only_job(&place)).state, State::Cancelled);
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_the_job_that_needs_it_and_no_other() {
    let place = Place::new();
    // The source fits into the limit of the other process only because it is there already.
    let jobs = place.open();
    let limits = imagegen_picture::Limits::default();
    block_on(jobs.put_source(ANNA, "noise.png", noise(), &limits)).unwrap();
    source(&jobs, 1);
    drop(jobs);
    assert!(noise().len() > 1 << 20 && png(64, 64, 1).len() < 1 << 16);
    // Files of at most a megabyte: 2048 blocks of 512 bytes, or 1024 of 1024 where a shell counts so.
    let mut limited = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    limited
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap());
    let mut other = Other::start_as(&place, BIG, limited);
    let line = other.until("over big");
    assert!(
        line.starts_with("over big failed cannot store results/"),
        "{line}"
    );
    assert_eq!(other.until("over small"), "over small done");
    other.kill();
    let jobs = place.open();
    let failed = job(&jobs, &only_job(&place));
    assert_eq!(failed.failure.unwrap().code, "storage");
    assert!(failed.results.is_empty());
    let of_job = format!("results/{}/", failed.id);
    assert!(!files(&place).iter().any(|name| name.starts_with(&of_job)));
}
