//! Dropping what is too old or too much.

use std::collections::HashSet;

use crate::clock::{DAY_MS, HOUR_MS};
use crate::shared::{Shared, locked};
use crate::store::Old;
use crate::{Error, JobId, pictures};

/// How long a source stays that was put and not ordered yet, whatever the room.
const UNUSED_MS: i64 = HOUR_MS;

/// Drops what is older than the limits allow, then the oldest until the rest is within them. What cannot
/// be dropped now is tried again later.
pub(crate) fn apply(shared: &Shared, now_ms: i64) {
    if let Err(error) = by_age(shared, now_ms).and_then(|()| by_bytes(shared, now_ms)) {
        tracing::error!(%error, "cannot drop what is old");
    }
}

fn by_age(shared: &Shared, now_ms: i64) -> Result<(), Error> {
    let Some(days) = shared.limits.keep_days else {
        return Ok(());
    };
    let before = now_ms - i64::from(days) * DAY_MS;
    let sources_before = before.min(now_ms - UNUSED_MS);
    while let Some(old) = shared.database.oldest(before, sources_before)? {
        if !drop_one(shared, &old)? {
            break; // in use again: the next round sees to it
        }
    }
    Ok(())
}

fn by_bytes(shared: &Shared, now_ms: i64) -> Result<(), Error> {
    let Some(most) = shared.limits.keep_bytes else {
        return Ok(());
    };
    while shared.database.stored_bytes()? > most {
        let oldest = shared.database.oldest(i64::MAX, now_ms - UNUSED_MS)?;
        let Some(old) = oldest else {
            break; // only favourites and what is in use is left
        };
        if !drop_one(shared, &old)? {
            break;
        }
    }
    Ok(())
}

/// Drops a row, then its pictures. False where it may not be dropped any more.
fn drop_one(shared: &Shared, old: &Old) -> Result<bool, Error> {
    match old {
        Old::Job(id) => {
            if !shared.database.drop_job(id)? {
                return Ok(false);
            }
            tracing::info!(job = %id, "dropped an old job");
            shared.pictures.remove_job(id)?;
        }
        Old::Source(sha256) => {
            let _held = locked(&shared.sources);
            if !shared.database.drop_source(sha256)? {
                return Ok(false);
            }
            tracing::info!(source = sha256, "dropped an old source");
            shared.forget_decoded(sha256);
            shared.pictures.remove(&pictures::source(sha256))?;
        }
    }
    Ok(true)
}

/// Removes pictures that no row knows: a process ended between the one and the other.
pub(crate) fn sweep(shared: &Shared) -> Result<(), Error> {
    for name in shared.pictures.jobs()? {
        let known = match name.parse::<JobId>() {
            Ok(id) => shared.database.job(&id)?.is_some(),
            Err(_) => false,
        };
        if !known {
            shared.pictures.remove_job_named(&name)?;
        }
    }
    let mut lost = HashSet::new();
    for sha256 in shared.pictures.sources()? {
        if shared.database.source(&sha256)?.is_none() {
            lost.insert(sha256);
        }
    }
    for sha256 in lost {
        shared.pictures.remove(&pictures::source(&sha256))?;
    }
    Ok(())
}
