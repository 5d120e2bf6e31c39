//! The service: HTTP over jobs, and the page that people see.
//!
//! [`serve`] takes a [`Config`] and [`Jobs`] and answers until it is told to end. Everything for programs is
//! under `/api/v1`, described at `/api/v1/docs`. Holds the only types that are JSON on the wire; decides
//! nothing about pictures.

mod app;
mod auth;
mod body;
mod config;
mod digest;
mod error;
mod examples;
mod gate;
mod headers;
mod hosts;
mod keys;
mod log;
mod metrics;
mod page;
mod routes;
mod serve;
mod sessions;
mod shown;
mod viewer;
mod wire;

pub use config::{Config, Limits, Times};
pub use imagegen_jobs::{Error as JobsError, Jobs, Limits as JobLimits, Offer, Offered};
pub use keys::{Key, Keys, KeysError, NewKey};
pub use serve::{ServeError, Server, check, open_jobs, serve};
