//! The service from outside: real connections to a real listener.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod description;
mod ending;
mod guards;
mod hall;
mod jobs;
mod large;
mod limits;
mod loras;
mod page;
mod sources;
