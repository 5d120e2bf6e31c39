//! The Hugging Face hub and its mirrors: what a repository holds, and a model's files out of it, whole and checked
//! or not at all.
//!
//! [`Hub`] speaks the hub's HTTP API, [`Pull`] brings a model into a folder and goes on where an earlier one was
//! interrupted. Knows HTTP and files that get their names when they are whole; never networks, pictures or the
//! terminal. [`CURATED`] lists models that are worth a try.

mod client;
mod curated;
mod error;
mod pull;
mod repository;
mod select;

pub use client::{ENDPOINT, Hub};
pub use curated::{CURATED, Curated, Terms, curated};
pub use error::Error;
pub use pull::{Progress, Pull, Unwatched};
pub use repository::{RemoteFile, Repository, Snapshot};
