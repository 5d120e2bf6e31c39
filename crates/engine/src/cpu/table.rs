//! Tables of embeddings.

use super::CpuBackend;
use super::linear::check_sizes;
use super::numbers::{AsTheyStand, Numbers};
use crate::{Error, Weight};

/// Rows of numbers, at 16 bits where that loses nothing. Clones share them.
#[derive(Debug, Clone)]
pub struct CpuTable {
    /// Rows and numbers in each.
    pub(super) shape: [usize; 2],
    pub(super) numbers: Numbers,
}

impl CpuTable {
    pub(super) fn pack(engine: &CpuBackend, weight: &Weight<'_>) -> Result<Self, Error> {
        let &[count, width] = weight.shape() else {
            return Err(Error::shape("embedding table", weight.shape(), "[V, C]"));
        };
        check_sizes("embedding table", weight.shape())?;
        Ok(Self {
            shape: [count, width],
            numbers: Numbers::pack(engine, weight, &AsTheyStand(count * width)),
        })
    }
}
