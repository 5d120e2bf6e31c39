//! `imagegen keys`: who may use the service.

use std::process::ExitCode;

use anyhow::Result;
use imagegen_server::{Key, Keys};
use serde_json::{Value, json};

use crate::arguments::{KeysArguments, KeysCommand};
use crate::data;
use crate::report::{self, say};
use crate::shown::shown;

/// `imagegen keys`.
pub(crate) fn run(arguments: &KeysArguments) -> Result<ExitCode> {
    let folder = data::folder(&arguments.data)?;
    match &arguments.command {
        KeysCommand::Add { name } => {
            data::make(&folder)?;
            let made = Keys::open(&folder)?.add(name)?;
            say!(
                "made key {} ({}); it is not shown again:",
                shown(name),
                made.key.id
            );
            report::print(&made.secret)?;
        }
        KeysCommand::List { json } => {
            let keys = Keys::open(&folder)?.list()?;
            let text = match json {
                true => format!(
                    "{:#}",
                    json!({"keys": keys.iter().map(document).collect::<Vec<_>>()})
                ),
                false if keys.is_empty() => "no keys".to_owned(),
                false => keys.iter().map(line).collect::<Vec<_>>().join("\n"),
            };
            report::print(&text)?;
        }
        KeysCommand::Revoke { which } => {
            let key = Keys::open(&folder)?.revoke(which)?;
            say!("revoked key {} ({})", shown(&key.name), key.id);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn document(key: &Key) -> Value {
    json!({"id": key.id, "name": key.name, "created_ms": key.created_ms})
}

fn line(key: &Key) -> String {
    format!("{}  {}  {}", key.id, day(key.created_ms), shown(&key.name))
}

/// The day of a time in milliseconds since 1970, as `2024-02-29`, in UTC.
fn day(milliseconds: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut left = milliseconds / 86_400_000;
    let mut year = 1970;
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // date -u -d @SECONDS +%F
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds * 1000), text);
        }
    }
}
