//! Activations in host memory, from buffers that are used again.
//!
//! A network asks for the same few sizes at every step. Fresh memory costs page faults each time;
//! a buffer that returns here when its last tensor is dropped does not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pages::Pages;
use crate::DeviceTensor;

/// Buffers nobody uses, to be handed out again.
#[derive(Default)]
pub(super) struct Recycler {
    shelf: Mutex<Shelf>,
}

/// What buffers there are, in numbers.
#[derive(Default)]
struct Shelf {
    /// Those nobody uses, the oldest first.
    idle: Vec<Pages<f32>>,
    idle_len: usize,
    /// In those that are used.
    live_len: usize,
    /// Most that were used at one time.
    peak_len: usize,
}

impl Shelf {
    /// Numbers of idle buffers that may stand beside the most that were ever used.
    const SLACK: usize = Recycler::SLACK_BYTES / size_of::<f32>();
    /// Below so many numbers a buffer may be twice as large as what is asked for.
    const SMALL: usize = 1 << 18;

    /// The smallest idle buffer for `len` numbers that is not much larger.
    fn take(&mut self, len: usize) -> Option<Pages<f32>> {
        let most = match len < Self::SMALL {
            true => 2 * len,
            false => len + len / 8,
        };
        let fitting = (0..self.idle.len())
            .filter(|&i| (len..=most).contains(&self.idle[i].len()))
            .min_by_key(|&i| self.idle[i].len())?;
        let numbers = self.idle.remove(fitting);
        self.idle_len -= numbers.len();
        self.lend(numbers.len());
        Some(numbers)
    }

    fn lend(&mut self, len: usize) {
        self.live_len += len;
        self.peak_len = self.peak_len.max(self.live_len);
    }

    /// Takes idle buffers away, the oldest first, until `len` numbers more are no more in all than were ever used.
    fn make_room(&mut self, len: usize) -> Vec<Pages<f32>> {
        let used = self.live_len + len;
        let most = self.peak_len.max(used) + Self::SLACK;
        let (mut count, mut left) = (0, self.idle_len);
        while used + left > most {
            left -= self.idle[count].len();
            count += 1;
        }
        self.idle_len = left;
        self.idle.drain(..count).collect()
    }
}

/// Most bytes of a backend's buffers where its tensors, and what it needs beside them, are at most so many `bytes` at one
/// time: buffers are used again for tensors somewhat smaller than they.
pub fn buffer_bytes(bytes: u64) -> u64 {
    bytes + bytes / 8 + Recycler::SLACK_BYTES as u64
}

impl Recycler {
    /// Idle buffers kept at most: more than a network holds and all threads of a large machine work with. How many bytes they
    /// have is bounded by what was used at one time.
    const KEPT: usize = 512;
    /// Bytes of idle buffers that may stand beside the most that were ever used.
    pub(super) const SLACK_BYTES: usize = 32 << 20;

    /// A buffer of `len` numbers of any value: an idle one, or a new one. Idle ones of other sizes make room for a new
    /// one, so that all together they are hardly more than the most that were used at one time: what one stage leaves
    /// behind does not stand beside what the next one needs.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let mut shelf = self.shelf();
        let numbers = shelf.take(len).unwrap_or_else(|| {
            let others = shelf.make_room(len);
            shelf.lend(len);
            drop(shelf);
            drop(others); // before the new one is there
            Pages::zeros(len)
        });
        Buffer {
            numbers,
            len,
            home: Arc::clone(self),
        }
    }

    /// Bytes of the buffers that nobody uses.
    pub(super) fn idle_bytes(&self) -> usize {
        self.shelf().idle_len * size_of::<f32>()
    }

    /// Lets all idle buffers go, and forgets how much was used before.
    pub(super) fn rest(&self) {
        let mut shelf = self.shelf();
        let idle = std::mem::take(&mut shelf.idle);
        shelf.idle_len = 0;
        shelf.peak_len = shelf.live_len;
        drop(shelf);
        drop(idle);
    }

    fn give_back(&self, numbers: Pages<f32>) {
        if numbers.is_empty() {
            return;
        }
        let mut shelf = self.shelf();
        shelf.live_len -= numbers.len();
        shelf.idle_len += numbers.len();
        shelf.idle.push(numbers);
        let oldest = (shelf.idle.len() > Self::KEPT).then(|| shelf.idle.remove(0));
        shelf.idle_len -= oldest.as_deref().map_or(0, <[f32]>::len);
        drop(shelf);
        drop(oldest);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recycler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recycler")
    }
}

/// Numbers on loan from a [`Recycler`].
pub(super) struct Buffer {
    numbers: Pages<f32>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A mebibyte in numbers.
    const MIB: usize = 1 << 18;

    fn lens(recycler: &Recycler) -> Vec<usize> {
        recycler
            .shelf()
            .idle
            .iter()
            .map(|idle| idle.len())
            .collect()
    }

    #[test]
    fn buffers_come_back_for_what_is_about_as_large() {
        let recycler = Arc::new(Recycler::default());
        let where_ = |buffer: &Buffer| buffer.as_slice().as_ptr();
        let first = recycler.take(8 * MIB);
        let place = where_(&first);
        drop(first);
        assert_eq!(recycler.idle_bytes(), 8 << 20);
        let second = recycler.take(7 * MIB + MIB / 2);
        assert_eq!((where_(&second), recycler.idle_bytes()), (place, 0));
        drop(second);
        let smaller = recycler.take(4 * MIB);
        assert_ne!(where_(&smaller), place);
        // Little ones may be half empty.
        drop(recycler.take(1000));
        assert_eq!(recycler.idle_bytes(), (8 << 20) + 4000);
        let half = recycler.take(500);
        assert_eq!(
            (half.as_slice().len(), recycler.idle_bytes()),
            (500, 8 << 20)
        );
    }

    #[test]
    fn what_one_stage_leaves_makes_room_for_the_next() {
        let recycler = Arc::new(Recycler::default());
        let stage = [100, 110, 130].map(|mib| recycler.take(mib * MIB));
        drop(stage);
        assert_eq!(recycler.idle_bytes(), 340 << 20);
        // 340 were used at one time, so 200 may stand beside 140 idle ones and the slack.
        let next = recycler.take(200 * MIB);
        assert_eq!(lens(&recycler), [130 * MIB]);
        let after = recycler.take(80 * MIB);
        assert!(lens(&recycler).is_empty(), "410 would be over");
        drop((next, after));
        assert_eq!(recycler.idle_bytes(), 280 << 20);
        recycler.rest();
        assert_eq!(recycler.idle_bytes(), 0);
        // What was used before a rest allows nothing after it.
        drop([50, 60].map(|mib| recycler.take(mib * MIB)));
        let third = recycler.take(90 * MIB);
        assert!(lens(&recycler).is_empty());
        drop(third);
        assert_eq!(lens(&recycler), [90 * MIB]);
    }

    #[test]
    fn a_step_after_the_first_asks_for_no_memory() {
        let recycler = Arc::new(Recycler::default());
        let step = || {
            let wide: Vec<_> = (0..4).map(|_| recycler.take(20 * MIB)).collect();
            let narrow: Vec<_> = (0..6).map(|_| recycler.take(5 * MIB)).collect();
            drop(wide);
            let wide = recycler.take(20 * MIB);
            drop((narrow, wide));
            let mut places: Vec<_> = recycler.shelf().idle.iter().map(|v| v.as_ptr()).collect();
            places.sort_unstable();
            places
        };
        assert_eq!(step(), step());
    }
}
