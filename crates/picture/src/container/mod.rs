//! Walks the boxes that picture files are made of, without touching pixels. Never panics and never
//! reads past the end, whatever the bytes are.

pub(crate) mod gif;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod riff;
