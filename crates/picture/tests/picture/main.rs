//! The crate from outside: files in, pictures out, files back.

mod colour;
mod damage;
mod decode;
mod encode;
mod fit;
mod make;
mod metadata;
mod resize;
mod unit;
