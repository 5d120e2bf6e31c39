//! Looking through what there was.

use imagegen_jobs::{Job, JobId, Jobs, KindName, Search, State};

use crate::place::{ANNA, Place, begun, job, long, order, over, short, source, transform};

fn found(jobs: &Jobs, search: Search) -> Vec<JobId> {
    let search = Search {
        limit: 100,
        ..search
    };
    jobs.history(&search)
        .unwrap()
        .jobs
        .iter()
        .map(|job| job.id)
        .collect()
}

fn words(text: &str) -> Search {
    Search {
        text: Some(text.to_owned()),
        ..Search::default()
    }
}

#[test]
fn jobs_are_found_by_words_marks_kinds_and_states() {
    let place = Place::new();
    let jobs = place.open();
    let oil = over(&jobs, &short(&jobs, "Oil Painting of Öland, 100%").id);
    let mut other = order("watercolour", 1, transform(&source(&jobs, 2), 1));
    other.negative_prompt = "frame".to_owned();
    let water = jobs.submit("bert", other, None).unwrap().job;
    over(&jobs, &water.id);
    let running = long(&jobs);
    begun(&jobs, &running.id);
    let kind = imagegen_jobs::Kind::Generate {
        width: 64,
        height: 64,
        count: 1,
    };
    let queued = jobs
        .submit(ANNA, order("queued", 1, kind), None)
        .unwrap()
        .job;
    jobs.set_favourite(&oil.id, true).unwrap().unwrap();

    assert_eq!(found(&jobs, words("painting OIL")), [oil.id]);
    assert_eq!(found(&jobs, words("ÖLAND")), [oil.id]);
    assert_eq!(found(&jobs, words("100%")), [oil.id]);
    assert_eq!(found(&jobs, words("frame")), [water.id]);
    // A source's name, as its owner gave it.
    assert_eq!(found(&jobs, words("1.png")), [running.id, oil.id]);
    for none in ["1%", "painting water", "' OR 1 --"] {
        assert!(found(&jobs, words(none)).is_empty(), "{none}");
    }
    let all = [queued.id, running.id, water.id, oil.id];
    assert_eq!(found(&jobs, words("  ")), all);
    let search = Search::default;
    assert_eq!(
        found(
            &jobs,
            Search {
                favourites: true,
                ..search()
            }
        ),
        [oil.id]
    );
    assert_eq!(
        found(
            &jobs,
            Search {
                owner: Some("bert".into()),
                ..search()
            }
        ),
        [water.id]
    );
    assert!(
        found(
            &jobs,
            Search {
                owner: Some("cora".into()),
                ..search()
            }
        )
        .is_empty()
    );
    let kind = Some(KindName::Generate);
    assert_eq!(found(&jobs, Search { kind, ..search() }), [queued.id]);
    for (state, ids) in [
        (State::Queued, vec![queued.id]),
        (State::Running, vec![running.id]),
        (State::Done, vec![water.id, oil.id]),
        (State::Failed, vec![]),
    ] {
        assert_eq!(
            found(
                &jobs,
                Search {
                    state: Some(state),
                    ..search()
                }
            ),
            ids
        );
    }
    jobs.set_favourite(&oil.id, false).unwrap();
    assert!(
        found(
            &jobs,
            Search {
                favourites: true,
                ..search()
            }
        )
        .is_empty()
    );
}

#[test]
fn pages_hold_every_job_once_also_when_one_is_removed_between_them() {
    let place = Place::new();
    let jobs = place.open();
    let running = long(&jobs);
    begun(&jobs, &running.id);
    let mut ids: Vec<_> = (0..6).map(|n| short(&jobs, &n.to_string()).id).collect();
    ids.reverse();
    ids.push(running.id);
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let search = Search {
            before,
            limit: 2,
            ..Search::default()
        };
        let page = jobs.history(&search).unwrap();
        seen.extend(page.jobs.iter().map(|job| job.id));
        before = page.next;
        let Some(next) = page.next else { break };
        if seen.len() == 4 {
            assert!(jobs.remove(&next).unwrap());
        }
    }
    assert_eq!(seen, ids);
    for limit in [0, 101] {
        let search = Search {
            limit,
            ..Search::default()
        };
        assert_eq!(jobs.history(&search).unwrap_err().code(), "invalid_value");
    }
}

#[test]
fn a_page_says_of_a_job_what_the_job_says() {
    let place = Place::new();
    let jobs = place.open();
    let done: Job = over(&jobs, &short(&jobs, "a").id);
    let running = long(&jobs);
    begun(&jobs, &running.id);
    let queued = short(&jobs, "b");
    let search = Search {
        limit: 10,
        ..Search::default()
    };
    let page = jobs.history(&search).unwrap().jobs;
    assert_eq!(page[2], done);
    assert!(page[1].progress.is_some());
    assert_eq!(page[0].position, job(&jobs, &queued.id).position);
}

#[test]
fn results_of_versions_that_kept_no_facts_are_read() {
    let place = Place::new();
    let jobs = place.open();
    let id = short(&jobs, "(winter:1.2)").id;
    let done = over(&jobs, &id);
    assert_eq!(done.results[0].prompts[0].which, "prompt");
    drop(jobs);
    let sizes = "SELECT bytes, length(CAST(document AS BLOB)) FROM results";
    let sizes = place.database().query_row(sizes, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    let (counted, document) = sizes.unwrap();
    let file = crate::place::files(&place)
        .into_iter()
        .find(|name| name.contains(&id.to_string()));
    let file = place.data().join("pictures").join(file.unwrap());
    let picture = std::fs::metadata(file).unwrap().len() as i64;
    assert_eq!(counted, picture + document);
    let old = "UPDATE results SET document = json_remove(document, '$.prompts', '$.painted')";
    assert_eq!(place.database().execute(old, []).unwrap(), 1);
    let read = job(&place.open(), &id);
    assert_eq!(
        (&read.results[0].prompts, read.results[0].painted),
        (&vec![], None)
    );
    assert_eq!(read.results[0].recipe, done.results[0].recipe);
}
