//! The binary from outside: arguments in; files, words and exit codes out.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[cfg(unix)]
mod interrupt;
mod metadata;
mod output;
mod pictures;
mod place;
mod promises;
mod refusals;
mod strength;
