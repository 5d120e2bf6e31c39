//! Whether an autoencoder looks at a picture whole or in tiles.

use std::str::FromStr;

use crate::Error;

/// Most pixels that an autoencoder looks at whole where nothing is said: half as many again as the largest models work
/// at. Decoding so many takes Stable Diffusion's autoencoder some 5 GiB.
const WHOLE: usize = 3 << 19;
/// Sides of a tile, in pixels: that of the model within these, so that a tile takes no more memory than its own size.
const SIDES: [u32; 2] = [256, 1024];

/// Whether an autoencoder looks at pictures in tiles, which saves memory and changes them a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VaeTiling {
    /// Those of more than 1.5 megapixels (1,572,864).
    #[default]
    Auto,
    /// All that are larger than a tile.
    On,
    /// None.
    Off,
}

impl VaeTiling {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Whether a picture of so many pixels each way is looked at in tiles of `side`.
    pub(crate) fn cuts(self, [height, width]: [usize; 2], side: u32) -> bool {
        let larger = height.max(width) > side as usize;
        larger
            && match self {
                Self::Auto => height * width > WHOLE,
                Self::On => true,
                Self::Off => false,
            }
    }

    /// Side of the tiles for a model that works at a square of `native` pixels each way.
    pub(crate) fn side(native: u32) -> u32 {
        native.clamp(SIDES[0], SIDES[1])
    }
}

impl FromStr for VaeTiling {
    type Err = Error;

    /// Fails with [`Error::Setting`] for a name that is none.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| Error::setting("vae tiling", name, "auto, on or off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_models_work_at_are_looked_at_whole() {
        for native in [512, 768, 1024] {
            let side = VaeTiling::side(native);
            // The sizes of a model trained at this area, tall and wide.
            for share in 4..=16 {
                let height = native as usize * share / 8 / 8 * 8;
                let width = (native * native) as usize / height / 8 * 8;
                assert!(
                    !VaeTiling::Auto.cuts([height, width], side),
                    "{height}x{width}"
                );
            }
            assert!(VaeTiling::Auto.cuts([2048, 2048], side));
            assert!(!VaeTiling::Off.cuts([2048, 2048], side));
            assert!(!VaeTiling::On.cuts([side as usize; 2], side));
            assert!(VaeTiling::On.cuts([8, side as usize + 8], side));
        }
    }

    #[test]
    fn names_are_read_back() {
        for mode in VaeTiling::ALL {
            assert_eq!(mode.name().parse::<VaeTiling>().unwrap(), mode);
        }
        assert!("yes".parse::<VaeTiling>().is_err());
    }
}
