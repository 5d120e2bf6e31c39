//! Order of the queue, estimates, cancelling, removing, events, shutting down.

use std::time::Duration;

use imagegen_jobs::{Event, PictureKind, State};
use pollster::block_on;

use crate::place::{
    ANNA, Place, begun, files, heard, job, long, many, over, said, short, source, states, until,
};

#[test]
fn jobs_run_in_the_order_they_came_and_know_their_places() {
    let place = Place::new();
    let jobs = place.open();
    let mut events = jobs.subscribe();
    let first = long(&jobs);
    begun(&jobs, &first.id);
    let waiting: Vec<_> = ["b", "c", "d"].map(|name| short(&jobs, name)).into();
    let places: Vec<_> = waiting.iter().map(|job| job.position).collect();
    assert_eq!(places, [Some(0), Some(1), Some(2)]);
    assert!(
        waiting
            .iter()
            .all(|job| job.state == State::Queued && job.progress.is_none())
    );
    let queue = jobs.queue().unwrap();
    assert_eq!(
        (queue.queued, queue.running, queue.ready),
        (3, Some(first.id), true)
    );
    jobs.cancel(&first.id).unwrap();
    let last = over(&jobs, &waiting[2].id);
    assert_eq!(last.position, None);
    let started: Vec<_> = waiting
        .iter()
        .map(|one| job(&jobs, &one.id).started_ms)
        .collect();
    assert!(started.is_sorted() && started[0].is_some(), "{started:?}");
    // Everybody behind was told that the place changed.
    let places: Vec<_> = said(&mut events, &last.id)
        .into_iter()
        .filter_map(|event| match event {
            Event::Changed(job) if job.id == last.id => Some((job.state, job.position)),
            _ => None,
        })
        .collect();
    for place in [2, 1, 0] {
        assert!(
            places.contains(&(State::Queued, Some(place))),
            "{place}: {places:?}"
        );
    }
    assert_eq!(places.last(), Some(&(State::Done, None)));
}

#[test]
fn estimates_come_from_what_was_measured_and_outlive_the_process() {
    let place = Place::new();
    let jobs = place.open();
    let first = long(&jobs);
    assert_eq!(first.estimate_s, None, "nothing is measured yet");
    let running = begun(&jobs, &first.id);
    let left = running.estimate_s.unwrap();
    assert!(left > 0.0 && left < 3600.0, "{left}");
    jobs.cancel(&first.id).unwrap();
    over(&jobs, &first.id);
    over(&jobs, &short(&jobs, "measured").id);
    drop(jobs);
    let jobs = place.open();
    let long = long(&jobs);
    let whole = long.estimate_s.unwrap();
    begun(&jobs, &long.id);
    let behind = short(&jobs, "behind").estimate_s.unwrap();
    let wait = jobs.queue().unwrap().wait_s.unwrap();
    assert!(whole > 0.0 && behind > 0.0, "{whole} {behind}");
    assert!(
        (wait - behind).abs() <= 0.5 * behind + 1.0,
        "{wait} {behind}"
    );
}

#[test]
fn a_queued_job_is_cancelled_at_once_and_a_running_one_after_its_step() {
    let place = Place::new();
    let jobs = place.open();
    let (running, queued) = (many(&jobs), short(&jobs, "queued"));
    begun(&jobs, &running.id);
    let cancelled = jobs.cancel(&queued.id).unwrap().unwrap();
    assert_eq!(
        (cancelled.state, cancelled.position),
        (State::Cancelled, None)
    );
    assert!(cancelled.finished_ms.is_some() && cancelled.started_ms.is_none());
    assert_eq!(job(&jobs, &running.id).state, State::Running);
    // The first picture is kept, the second is never finished.
    until(|| (!job(&jobs, &running.id).results.is_empty()).then_some(()));
    jobs.cancel(&running.id).unwrap();
    let stopped = over(&jobs, &running.id);
    assert_eq!((stopped.state, stopped.failure), (State::Cancelled, None));
    let made = stopped.results.len();
    assert!((1..8).contains(&made), "{made}");
    for index in 0..made {
        let bytes = block_on(jobs.picture(&stopped.id, PictureKind::Result(index))).unwrap();
        assert!(bytes.is_some_and(|bytes| bytes.starts_with(b"\x89PNG")));
    }
    // What is over stays as it is.
    let again = jobs.cancel(&stopped.id).unwrap().unwrap();
    assert_eq!(again.finished_ms, stopped.finished_ms);
    assert_eq!(jobs.counters().unwrap().finished, [0, 0, 2]);
}

#[test]
fn a_removed_job_leaves_nothing_whatever_its_state() {
    let place = Place::new();
    let jobs = place.open();
    let mut events = jobs.subscribe();
    let done = over(&jobs, &short(&jobs, "done").id);
    let (running, queued) = (many(&jobs), short(&jobs, "queued"));
    until(|| (!job(&jobs, &running.id).results.is_empty()).then_some(()));
    for one in [&done, &queued, &running] {
        assert!(jobs.remove(&one.id).unwrap());
        assert!(!jobs.remove(&one.id).unwrap());
        assert_eq!(jobs.job(&one.id).unwrap(), None);
    }
    // The worker is through with it when the next one is.
    let next = over(&jobs, &short(&jobs, "next").id);
    let sha256 = source(&jobs, 1).sha256;
    assert_eq!(
        files(&place),
        [
            format!("results/{}/0.png", next.id),
            format!("sources/{sha256}")
        ]
    );
    let ends: Vec<_> = heard(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            Event::Changed(job) if job.state == State::Cancelled => Some(job.id),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [queued.id, running.id], "listeners are told");
}

#[test]
fn steps_previews_and_results_are_told_in_order() {
    let place = Place::new();
    let jobs = place.open();
    let mut events = jobs.subscribe();
    let order = crate::place::order("told", 3, crate::place::transform(&source(&jobs, 1), 2));
    let id = jobs.submit(ANNA, order, None).unwrap().job.id;
    let said = said(&mut events, &id);
    let mut steps = Vec::new();
    let mut results = Vec::new();
    let mut previews = Vec::new();
    let mut states = Vec::new();
    for event in &said {
        match event {
            Event::Step(step) => {
                assert!(step.sigma > 0.0 && step.seconds > 0.0 && step.left_s >= 0.0);
                assert_eq!((step.id, step.pictures, step.steps), (id, 2, 3));
                steps.push((step.picture, step.step));
            }
            Event::Result { index, .. } => results.push((*index, steps.len())),
            Event::Preview { number, .. } => previews.push(*number),
            Event::Changed(job) => states.push(job.state),
            Event::Shutdown => panic!("nobody asked for it"),
        }
    }
    assert_eq!(steps, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]);
    assert_eq!(results, [(0, 3), (1, 6)]);
    assert!(!previews.is_empty() && previews.is_sorted(), "{previews:?}");
    assert_eq!(states, [State::Queued, State::Running, State::Done]);
    let counters = jobs.counters().unwrap();
    assert_eq!(
        (counters.steps, counters.results, counters.submitted),
        (6, 2, 1)
    );
    assert_eq!(
        (counters.jobs, counters.finished),
        ([0, 0, 1, 0, 0], [1, 0, 0])
    );
    assert!(counters.step_seconds > 0.0 && counters.stored_bytes > 0);
}

#[test]
fn a_preview_is_there_while_the_job_runs() {
    let place = Place::new();
    let jobs = place.open();
    let running = long(&jobs);
    let preview = || block_on(jobs.picture(&running.id, PictureKind::Preview)).unwrap();
    begun(&jobs, &running.id);
    let first = until(preview);
    let picture = imagegen_picture::decode(&first, &imagegen_picture::Limits::default()).unwrap();
    assert_eq!(picture.picture.size(), imagegen::Size::new(64, 64));
    until(|| preview().filter(|later| *later != first));
    jobs.cancel(&running.id).unwrap();
    over(&jobs, &running.id);
    until(|| preview().is_none().then_some(()));
}

#[test]
fn a_closing_service_puts_the_running_job_back_and_takes_no_more() {
    let place = Place::new();
    let jobs = place.open();
    let mut events = jobs.subscribe();
    let (running, queued) = (many(&jobs), short(&jobs, "queued"));
    until(|| (!job(&jobs, &running.id).results.is_empty()).then_some(()));
    jobs.shutdown(Duration::from_secs(60));
    assert!(
        heard(&mut events)
            .iter()
            .any(|event| matches!(event, Event::Shutdown))
    );
    let stopped = job(&jobs, &running.id);
    assert_eq!((stopped.state, stopped.attempts), (State::Queued, 0));
    assert_eq!((stopped.position, stopped.started_ms), (Some(0), None));
    let kept = stopped.results.clone();
    let order = crate::place::order("x", 1, crate::place::transform(&source(&jobs, 1), 1));
    let refused = jobs.submit(ANNA, order, None).unwrap_err();
    assert_eq!(refused.code(), "shutting_down");
    assert!(!jobs.queue().unwrap().ready);
    drop(jobs);
    let jobs = place.open();
    let again = begun(&jobs, &running.id);
    assert_eq!(
        (again.attempts, &again.results[..kept.len()]),
        (1, &kept[..])
    );
    jobs.cancel(&running.id).unwrap();
    over(&jobs, &queued.id);
    assert_eq!(
        states(&jobs, &[&running, &queued]),
        [State::Cancelled, State::Done]
    );
}
