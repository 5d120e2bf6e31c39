//! Large arrays in pages of 2 MiB, where the system has them.
//!
//! Memory that is used for the first time costs the system's attention page by page: for the weights of a model and for
//! the activations of a large picture more of it than filling them.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

/// An array of a fixed length that begins as zeros.
pub(super) struct Pages<T>(Place<T>);

enum Place<T> {
    /// Small ones, and all where memory cannot be mapped.
    Heap(Vec<T>),
    Mapped {
        map: MmapMut,
        of: PhantomData<T>,
    },
}

impl<T: Pod> Pages<T> {
    /// Least bytes of an array that has pages of its own.
    const LARGE: usize = 4 << 20;

    /// `len` zeros. Pages are touched by whoever writes to them first.
    pub(super) fn zeros(len: usize) -> Self {
        let bytes = len.saturating_mul(size_of::<T>());
        let map = (bytes >= Self::LARGE)
            .then(|| MmapMut::map_anon(bytes).ok())
            .flatten();
        let Some(map) = map else {
            return Self(Place::Heap(vec![T::zeroed(); len]));
        };
        // A hint, which the system may not take.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let of = PhantomData;
        Self(Place::Mapped { map, of })
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Place::Heap(Vec::new()))
    }
}

impl<T: Pod> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Heap(numbers) => numbers,
            Place::Mapped { map, .. } => bytemuck::cast_slice(map),
        }
    }
}

impl<T: Pod> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Place::Heap(numbers) => numbers,
            Place::Mapped { map, .. } => bytemuck::cast_slice_mut(map),
        }
    }
}

impl<T: Pod> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_arrays_are_alike() {
        for len in [
            0,
            1,
            1000,
            (4 << 20) / 2 - 1,
            (4 << 20) / 2,
            (9 << 20) / 2 + 3,
        ] {
            let mut pages = Pages::<u16>::zeros(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&number| number == 0));
            for (number, k) in pages.iter_mut().zip(0..) {
                *number = k as u16;
            }
            assert_eq!(pages.last().copied(), len.checked_sub(1).map(|k| k as u16));
            let mapped = matches!(pages.0, Place::Mapped { .. });
            assert_eq!(mapped, 2 * len >= 4 << 20, "{len}");
        }
    }
}
