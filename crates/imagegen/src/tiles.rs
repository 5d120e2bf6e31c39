//! Pictures larger than their model works at: whether its network sees them in windows.

use std::str::FromStr;

use imagegen_picture::Size;
use imagegen_pipeline::Windows;

use crate::{Error, Model, Settings};

/// The part of a window that overlaps the next one, at least.
const OVERLAP: u32 = 4;

/// What is done about a picture that is larger than its model works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tiles {
    /// A source is reduced to what the model works at; a picture from text is made whole, at any size.
    #[default]
    Off,
    /// It is worked on at its own size. The network sees it in windows, at every step.
    On,
}

impl Tiles {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Off, Self::On];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

impl FromStr for Tiles {
    type Err = Error;

    /// Fails with [`Error::Setting`] for a name that is none.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| Error::setting("tiles", name, "off or on"))
    }
}

impl Settings {
    /// Whether windows are asked for.
    pub(crate) fn tiled(&self) -> bool {
        self.sampling.tiles == Some(Tiles::On)
    }
}

impl Model {
    /// The windows in which its network sees a picture that it works on at `size`; `None` for one that it sees whole.
    pub(crate) fn windows(&self, size: Size) -> Result<Option<Windows>, Error> {
        if size.pixels() <= self.native_pixels() {
            return Ok(None);
        }
        let (side, grid) = (self.native_side(), self.grid());
        let overlap = side / OVERLAP / grid * grid;
        let cells = |pixels: u32| pixels as usize / self.latent_space().1;
        Ok(Some(Windows::new(
            cells(side),
            cells(overlap),
            cells(grid),
        )?))
    }

    /// Side of its windows, in pixels.
    pub(crate) fn window_side(&self, windows: Windows) -> u32 {
        (windows.side() * self.latent_space().1) as u32
    }
}
