//! What a model and its runs take in memory, told by the shapes of its networks before its weights are read.

use std::sync::{Mutex, PoisonError};

use imagegen_engine::CpuBackend;
use imagegen_engine::cpu::buffer_bytes;

use super::files::ModelFiles;
use super::info::run_tensors;
use super::memory::Meter;
use super::networks::Networks;
use super::parts::Parts;
use crate::{Error, Room};

/// The size that takes least.
const LEAST: [u32; 2] = [64, 64];

/// A model's networks, on shapes alone.
#[derive(Debug)]
pub(super) struct Footprint {
    name: String,
    meter: Meter,
    networks: Networks<Meter>,
    /// Least bytes of its weights.
    weights: u64,
    /// Bytes of a run at the last size that was asked for: of the picture, where it is decoded, and of what the UNet sees.
    last: Mutex<Option<(Seen, u64)>>,
}

/// Size of the picture, where it is decoded, and of what the UNet sees of it.
type Seen = (Option<[u32; 2]>, [u32; 2]);

/// What is in memory beside a model's own weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// Bytes of another model's weights.
    pub(super) weights: u64,
    /// Bytes that earlier runs left behind, to be used again.
    pub(super) held: u64,
}

impl Footprint {
    /// Reads no weights.
    pub(super) fn of(files: &ModelFiles, parts: &mut Parts, threads: usize) -> Result<Self, Error> {
        let meter = Meter::new(threads);
        parts.set_outlined(true);
        let networks = Networks::load(&meter, files, parts);
        parts.set_outlined(false);
        let networks = networks?;
        Ok(Self {
            name: files.name().to_owned(),
            weights: parts.least_bytes(),
            meter,
            networks,
            last: Mutex::default(),
        })
    }

    /// Least bytes of its weights.
    pub(super) fn weights(&self) -> u64 {
        self.weights
    }

    /// Sides of pictures are multiples of this, in pixels.
    pub(super) fn grid(&self) -> u32 {
        self.networks.codec.grid() as u32
    }

    /// Bytes that the networks' tensors take in a run at `size`, at one time, where the UNet sees windows of at most `window`
    /// pixels each way.
    fn run(&self, size: [u32; 2], window: u32) -> Result<u64, Error> {
        self.tensors((Some(size), size.map(|side| side.min(window))))
    }

    fn tensors(&self, seen: Seen) -> Result<u64, Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, bytes)) = *last
            && known == seen
        {
            return Ok(bytes);
        }
        let bytes = run_tensors(&self.meter, &self.networks, seen.0, seen.1)?;
        *last = Some((seen, bytes));
        Ok(bytes)
    }

    /// Bytes of transformed weights that may be kept: half of what is left beside weights and a run on a square of `side`
    /// pixels.
    pub(super) fn spare(&self, side: u32, room: Room) -> Result<usize, Error> {
        const MOST: u64 = 6 << 30;
        let Some(left) = room.left(0, 0) else {
            return Ok(CpuBackend::KEPT);
        };
        let taken = self.weights + buffer_bytes(self.run([side; 2], side)?);
        let spare = (left.saturating_sub(taken) / 2).min(MOST);
        Ok(usize::try_from(spare).unwrap_or(CpuBackend::KEPT))
    }

    /// Fails with [`Error::Memory`] where weights and the smallest run are surely more than there is.
    pub(super) fn check_load(&self, room: Room) -> Result<(), Error> {
        let Some(left) = room.left(0, 0) else {
            return Ok(());
        };
        let need = self.weights + self.run(LEAST, LEAST[0])?;
        if need <= left {
            return Ok(());
        }
        Err(Error::Memory {
            what: format!("model {}", self.name),
            need,
            left,
            fits: None,
        })
    }

    /// Fails with [`Error::Memory`] where a run at `size` in windows of at most `window` pixels each way surely takes more than
    /// there is beside all weights.
    pub(super) fn check_run(
        &self,
        size: [u32; 2],
        window: u32,
        room: Room,
        beside: Beside,
    ) -> Result<(), Error> {
        self.check(size, room, beside, |size| self.run(size, window))
    }

    /// The same of a run whose pictures another model encodes and decodes.
    pub(super) fn check_steps(
        &self,
        size: [u32; 2],
        window: u32,
        room: Room,
        beside: Beside,
    ) -> Result<(), Error> {
        let steps = |size: [u32; 2]| self.tensors((None, size.map(|side| side.min(window))));
        self.check(size, room, beside, steps)
    }

    fn check(
        &self,
        size: [u32; 2],
        room: Room,
        beside: Beside,
        bytes: impl Fn([u32; 2]) -> Result<u64, Error>,
    ) -> Result<(), Error> {
        let Some(left) = room.left(self.weights + beside.weights, beside.held) else {
            return Ok(());
        };
        let need = bytes(size)?;
        if need <= left {
            return Ok(());
        }
        Err(Error::Memory {
            what: format!("{}x{} with model {}", size[0], size[1], self.name),
            need,
            left,
            fits: self.largest(size, left, bytes)?,
        })
    }

    /// The largest size of this shape that fits, if any does.
    fn largest(
        &self,
        size: [u32; 2],
        left: u64,
        bytes: impl Fn([u32; 2]) -> Result<u64, Error>,
    ) -> Result<Option<[u32; 2]>, Error> {
        let grid = self.grid();
        let scaled = |part: u32| {
            let side =
                |side: u32| (side * part / 64 / grid * grid).max(LEAST[0].next_multiple_of(grid));
            size.map(side)
        };
        let (mut fits, mut over) = (0, 64);
        while over - fits > 1 {
            let middle = (fits + over) / 2;
            match bytes(scaled(middle))? <= left {
                true => fits = middle,
                false => over = middle,
            }
        }
        Ok((fits > 0).then(|| scaled(fits)))
    }
}

#[cfg(all(test, feature = "starter"))]
mod tests {
    use super::*;
    use crate::{ModelChoice, ModelSource};

    #[test]
    fn what_is_kept_follows_from_what_is_left() {
        let choice = ModelChoice::from(ModelSource::Starter);
        let files = ModelFiles::open(&choice.source).unwrap();
        let mut parts = Parts::read(&files, &choice).unwrap();
        let footprint = Footprint::of(&files, &mut parts, 2).unwrap();
        let spare = |room| footprint.spare(512, room).unwrap();
        assert_eq!(spare(Room::Any), CpuBackend::KEPT);
        assert_eq!(spare(Room::Within(0)), 0);
        let need = footprint.weights + buffer_bytes(footprint.run([512; 2], 512).unwrap());
        assert_eq!(spare(Room::Within(need)), 0);
        assert_eq!(spare(Room::Within(need + (2 << 20))), 1 << 20);
        assert_eq!(spare(Room::Within(1 << 50)), 6 << 30);
        // Windows bound what the UNet takes; patches of pixels take nothing.
        let run = |size, window| footprint.run([size; 2], window).unwrap();
        assert_eq!(run(512, 512), run(1024, 512));
        assert!(run(1024, 512) < run(1024, 1024));
    }
}
