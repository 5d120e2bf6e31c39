//! The crate from outside: files in, pictures out, files back.

mod advice;
mod carried;
mod colour;
mod damage;
mod decode;
mod encode;
mod fidelity;
mod fit;
mod make;
mod mask;
mod metadata;
mod paste;
mod patches;
mod photographs;
mod print;
mod resize;
mod unit;
