//! The service from outside: orders in; jobs, events and pictures out; processes killed, folders damaged.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod crash;
mod history;
mod kinds;
mod large;
mod orders;
mod place;
mod queue;
mod retention;
mod storage;
