//! Bad, odd and hostile input, from outside. `docs/untrusted-input.md` is the table of it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod carried;
mod models;
mod names;
#[path = "../cli/place.rs"]
#[allow(dead_code, reason = "the other suites use the rest of it")]
mod place;
mod prompts;
mod settings;
mod sources;
#[cfg(unix)]
mod stages;
mod table;

use std::process::Command;

use place::{Done, Place};

/// Runs `command`, which has to leave no temporary file.
fn done(place: &Place, command: &mut Command) -> Done {
    let done = Done::of(&command.output().unwrap());
    place.assert_clean();
    done
}
