//! The time of day, as it is stored.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const SECOND_MS: i64 = 1000;
pub(crate) const HOUR_MS: i64 = 3600 * SECOND_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// Milliseconds since 1970; 0 on a machine that thinks it is earlier.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
