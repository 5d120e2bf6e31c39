//! What is kept and for how long.

use imagegen::{Format, Picture, Size};
use imagegen_jobs::{Inpainting, Job, JobId, Jobs, Kind, Limits, SourceEntry};
use imagegen_picture::{Metadata, encode};
use pollster::block_on;

use crate::place::{ANNA, Place, files, order, over, short, source, transform};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A finished job from its own source.
fn finished(jobs: &Jobs, tint: u8) -> Job {
    let order = order("x", 1, transform(&source(jobs, tint), 1));
    let id = jobs.submit(ANNA, order, None).unwrap().job.id;
    over(jobs, &id)
}

/// Makes everything look `days` older.
fn aged(place: &Place, days: i64) {
    let database = place.database();
    for sql in [
        "UPDATE jobs SET finished_ms = finished_ms - ?1",
        "UPDATE sources SET used_ms = used_ms - ?1",
    ] {
        database.execute(sql, [days * DAY_MS]).unwrap();
    }
}

fn left(jobs: &Jobs, of: &[&Job]) -> Vec<JobId> {
    let ids = of.iter().map(|job| job.id);
    ids.filter(|id| jobs.job(id).unwrap().is_some()).collect()
}

fn known(jobs: &Jobs, sha256: &str) -> bool {
    block_on(jobs.source_bytes(sha256)).unwrap().is_some()
}

#[test]
fn old_jobs_go_and_favourites_stay_with_their_sources() {
    let place = Place::new();
    let keep = |days| Limits {
        keep_days: Some(days),
        ..Limits::default()
    };
    let jobs = place.open_with(keep(30));
    let (favourite, plain) = (finished(&jobs, 1), finished(&jobs, 2));
    let unused = source(&jobs, 3);
    jobs.set_favourite(&favourite.id, true).unwrap();
    drop(jobs);
    aged(&place, 29);
    let jobs = place.open_with(keep(30));
    assert_eq!(left(&jobs, &[&favourite, &plain]).len(), 2);
    let fresh = finished(&jobs, 4);
    drop(jobs);
    aged(&place, 2);
    let jobs = place.open_with(keep(30));
    assert_eq!(
        left(&jobs, &[&favourite, &plain, &fresh]),
        [favourite.id, fresh.id]
    );
    let sha256 = |job: &Job| job.order.kind.source().unwrap().to_owned();
    assert!(known(&jobs, &sha256(&favourite)) && known(&jobs, &sha256(&fresh)));
    assert!(!known(&jobs, &sha256(&plain)) && !known(&jobs, &unused.sha256));
    let mut expected = vec![
        format!("results/{}/0.png", favourite.id),
        format!("results/{}/0.png", fresh.id),
        format!("sources/{}", sha256(&favourite)),
        format!("sources/{}", sha256(&fresh)),
    ];
    expected.sort();
    assert_eq!(files(&place), expected);
    // A favourite can still be made anew from its source.
    let again = order("again", 1, favourite.order.kind.clone());
    let id = jobs.submit(ANNA, again, None).unwrap().job.id;
    assert_eq!(over(&jobs, &id).results.len(), 1);
}

/// A mask picture for sources of 64x64 pixels that covers the first `rows` rows.
fn mask(jobs: &Jobs, rows: usize) -> SourceEntry {
    let pixels = (0..64 * 64).flat_map(|at| [if at / 64 < rows { 255 } else { 0 }; 3]);
    let picture = Picture::new(Size::new(64, 64), pixels.collect(), None).unwrap();
    let file = encode(&picture, Format::Png, &Metadata::default()).unwrap();
    let limits = imagegen_picture::Limits::default();
    block_on(jobs.put_source(ANNA, "mask.png", file.bytes.into(), &limits)).unwrap()
}

/// A finished inpainting of its own source under `mask`.
fn painted(jobs: &Jobs, tint: u8, mask: &SourceEntry) -> Job {
    let kind = Kind::Inpaint {
        source: source(jobs, tint).sha256,
        strength: None,
        count: 1,
        painting: Box::new(Inpainting {
            mask: Some(mask.sha256.clone()),
            ..Inpainting::default()
        }),
    };
    let id = jobs.submit(ANNA, order("x", 1, kind), None).unwrap().job.id;
    over(jobs, &id)
}

#[test]
fn a_mask_stays_as_long_as_one_of_its_jobs() {
    let place = Place::new();
    let limits = || Limits {
        keep_days: Some(30),
        keep_bytes: Some(0),
        ..Limits::default()
    };
    let jobs = place.open();
    let (kept, shared, unused) = (mask(&jobs, 10), mask(&jobs, 20), mask(&jobs, 30));
    let (first, second) = (painted(&jobs, 1, &kept), painted(&jobs, 2, &shared));
    let last = painted(&jobs, 3, &shared);
    for job in [&first, &second] {
        assert_eq!(job.results.len(), 1, "{job:?}");
        jobs.set_favourite(&job.id, true).unwrap();
    }
    drop(jobs);
    // Older than all limits, and over the one of bytes.
    aged(&place, 31);
    let jobs = place.open_with(limits());
    assert_eq!(
        left(&jobs, &[&first, &second, &last]),
        [first.id, second.id]
    );
    assert!(known(&jobs, &kept.sha256) && known(&jobs, &shared.sha256));
    assert!(!known(&jobs, &unused.sha256));
    // So that the job can be made anew under its mask.
    let again = order("again", 1, first.order.kind.clone());
    let id = jobs.submit(ANNA, again, None).unwrap().job.id;
    crate::place::until(|| jobs.job(&id).unwrap().is_none().then_some(()));
    jobs.set_favourite(&first.id, false).unwrap();
    drop(jobs);
    aged(&place, 31);
    let jobs = place.open_with(limits());
    assert_eq!(left(&jobs, &[&first, &second]), [second.id]);
    assert!(!known(&jobs, &kept.sha256) && known(&jobs, &shared.sha256));
}

#[test]
fn too_many_bytes_cost_the_oldest_and_never_favourites() {
    let place = Place::new();
    let jobs = place.open();
    let made: Vec<_> = (1..=4).map(|tint| finished(&jobs, tint)).collect();
    jobs.set_favourite(&made[0].id, true).unwrap();
    let bytes = jobs.counters().unwrap().stored_bytes;
    let one = bytes / 4;
    drop(jobs);
    // Sources that were just used stay a while; these were not.
    aged(&place, 1);
    let limits = |bytes| Limits {
        keep_bytes: Some(bytes),
        ..Limits::default()
    };
    let all: Vec<_> = made.iter().collect();
    let jobs = place.open_with(limits(bytes));
    assert_eq!(left(&jobs, &all).len(), 4);
    drop(jobs);
    let jobs = place.open_with(limits(bytes - 1));
    assert_eq!(left(&jobs, &all), [made[0].id, made[2].id, made[3].id]);
    assert!(jobs.counters().unwrap().stored_bytes < bytes);
    drop(jobs);
    let jobs = place.open_with(limits(0));
    assert_eq!(left(&jobs, &all), [made[0].id]);
    let kept = jobs.counters().unwrap().stored_bytes;
    assert!(kept > 0 && kept <= one + one / 2, "{kept} of {bytes}");
    assert_eq!(files(&place).len(), 2, "{:?}", files(&place));
    // A new job is made and shown before it is dropped again; its fresh source stays for now.
    let id = short(&jobs, "y").id;
    crate::place::until(|| jobs.job(&id).unwrap().is_none().then_some(()));
    assert_eq!(left(&jobs, &all), [made[0].id]);
}
