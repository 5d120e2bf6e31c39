//! Tensors, the [`Backend`] trait and its CPU implementation.
//!
//! Knows nothing of pictures, files or diffusion. Networks are written once over [`Backend`]; the
//! host-side [`Tensor`] is what crosses into and out of a backend. [`profile`] says where the time goes. All random numbers come from
//! [`random`]. Consumed by `model` (networks) and `pipeline` (samplers).

mod backend;
pub mod cpu;
mod error;
mod merges;
pub mod profile;
pub mod random;
mod tensor;
mod weight;

pub use backend::{
    Activation, AttentionMask, Backend, ConvCall, DeviceTensor, GroupNorm, LinearCall, Padding,
    Resize,
};
pub use cpu::CpuBackend;
pub use error::Error;
pub use merges::{Match, TokenGrid, TokenMerges};
pub use tensor::Tensor;
pub use weight::{Saved, Weight};
