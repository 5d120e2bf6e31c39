//! The crate from outside: files in, pictures out, files back.

mod advice;
mod colour;
mod damage;
mod decode;
mod encode;
mod fidelity;
mod fit;
mod make;
mod metadata;
mod photographs;
mod resize;
mod unit;
