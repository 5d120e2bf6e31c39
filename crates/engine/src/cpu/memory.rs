//! Activations in host memory, from buffers that are used again.
//!
//! A network asks for the same few sizes at every step. Fresh memory costs page faults each time;
//! a buffer that returns here when its last tensor is dropped does not.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::DeviceTensor;

/// Buffers nobody uses, to be handed out again.
#[derive(Default)]
pub(super) struct Recycler {
    idle: Mutex<Vec<Vec<f32>>>,
}

impl Recycler {
    /// Idle buffers kept at most; a network never holds more at once.
    const KEPT: usize = 32;

    /// A buffer of `len` numbers of any value: the smallest idle one that is not over twice as
    /// large, or a new one.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..idle.len())
            .filter(|&i| (len..=2 * len).contains(&idle[i].len()))
            .min_by_key(|&i| idle[i].len());
        let numbers = match fitting {
            Some(index) => idle.swap_remove(index),
            None => vec![0.0; len],
        };
        Buffer {
            numbers,
            len,
            home: Arc::clone(self),
        }
    }

    /// Bytes of the buffers that nobody uses.
    pub(super) fn idle_bytes(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers: usize = idle.iter().map(Vec::capacity).sum();
        numbers * size_of::<f32>()
    }

    fn give_back(&self, numbers: Vec<f32>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == Self::KEPT {
            idle.remove(0);
        }
        idle.push(numbers);
    }
}

impl fmt::Debug for Recycler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recycler")
    }
}

/// Numbers on loan from a [`Recycler`].
pub(super) struct Buffer {
    numbers: Vec<f32>,
    len: usize,
    home: Arc<Recycler>,
}

impl Buffer {
    pub(super) fn as_slice(&self) -> &[f32] {
        &self.numbers[..self.len]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.numbers));
    }
}

/// A tensor of the CPU backend. Clones share their numbers, which never change.
#[derive(Clone)]
pub struct CpuTensor {
    shape: Vec<usize>,
    buffer: Arc<Buffer>,
}

impl CpuTensor {
    /// `buffer` must hold as many numbers as `shape` says.
    pub(super) fn new(shape: impl Into<Vec<usize>>, buffer: Buffer) -> Self {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), buffer.len);
        Self {
            shape,
            buffer: Arc::new(buffer),
        }
    }

    /// The same numbers under another shape of the same count.
    pub(super) fn with_shape(&self, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), self.buffer.len);
        Self {
            shape,
            buffer: Arc::clone(&self.buffer),
        }
    }

    /// The numbers, row-major.
    pub(super) fn data(&self) -> &[f32] {
        self.buffer.as_slice()
    }
}

impl DeviceTensor for CpuTensor {
    fn shape(&self) -> &[usize] {
        &self.shape
    }
}

impl fmt::Debug for CpuTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuTensor{:?}", self.shape)
    }
}
