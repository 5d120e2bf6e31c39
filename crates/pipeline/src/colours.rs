//! Keeping colours: what an autoencoder makes of the source's own colours is measured and taken back.

use imagegen_engine::Tensor;

use crate::elementwise::{scaled, zip};
use crate::img2img::decoded;
use crate::{Error, LatentCodec, Strength, low_pass};

/// What is done about colours that an autoencoder shifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colours {
    /// The shift is measured on the source, and its low frequencies are taken from the result.
    #[default]
    Kept,
    /// Nothing: what is decoded is the result, as in diffusers.
    Decoded,
}

impl Colours {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Kept, Self::Decoded];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Decoded => "decoded",
        }
    }
}

impl std::str::FromStr for Colours {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|colours| colours.name() == name);
        found.ok_or_else(|| Error::value("colours", format!("{name:?}"), "kept or decoded"))
    }
}

/// Cells of the shift on the longer side of a picture: colour and light, no detail.
const CELLS: usize = 32;
/// Up to this strength all of the shift is taken back. Above it the result is less and less the source's
/// picture, and the shift of the source less and less its own.
const WHOLE_UP_TO: f64 = 0.5;

/// How much of the shift is taken back at a strength: all of it up to 0.5, nothing at 1.
fn share(strength: Strength) -> f64 {
    ((1.0 - strength.get()) / (1.0 - WHOLE_UP_TO)).min(1.0)
}

/// What is to be taken from a result, `[1, H, W, 3]` in units of -1..1.
#[derive(Debug)]
pub(crate) struct Shift(Tensor);

impl Shift {
    /// Measures what `codec` makes of the source `pixels` `[1, H, W, 3]`, whose latents are `latents`. `None` where
    /// nothing is to be taken back. Draws nothing.
    pub(crate) fn measure(
        (pixels, latents): (&Tensor, &Tensor),
        (colours, strength): (Colours, Strength),
        codec: &mut dyn LatentCodec,
    ) -> Result<Option<Self>, Error> {
        let share = share(strength);
        if colours == Colours::Decoded || codec.is_exact() || share == 0.0 {
            return Ok(None);
        }
        let back = decoded(latents, codec)?;
        let [_, height, width, _] = pixels.nhwc("source")?;
        let difference = zip("decoded source", pixels, &back, |source, back| {
            back - source
        })?;
        let low = low_pass(&difference, height.max(width).div_ceil(CELLS).max(2))?;
        Ok(Some(Self(scaled(low, share))))
    }

    /// Takes it from `pixels`, which stay within -1..1.
    pub(crate) fn taken_from(&self, pixels: &Tensor) -> Result<Tensor, Error> {
        Ok(zip("decoded picture", &self.0, pixels, |shift, pixel| {
            (pixel - shift).clamp(-1.0, 1.0)
        })?)
    }
}

/// `pixels` without the shift, if there is one.
pub(crate) fn without(shift: Option<&Shift>, pixels: Tensor) -> Result<Tensor, Error> {
    match shift {
        Some(shift) => shift.taken_from(&pixels),
        None => Ok(pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_falls_from_one_half_to_one() {
        for (strength, want) in [(0.1, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.0)] {
            let strength = Strength::new(strength).unwrap();
            assert_eq!(share(strength), want);
        }
    }

    #[test]
    fn names_are_read_back() {
        for colours in Colours::ALL {
            assert_eq!(colours.name().parse::<Colours>().unwrap(), colours);
        }
        let error = "kep".parse::<Colours>().unwrap_err().to_string();
        assert_eq!(error, "colours is \"kep\", expected kept or decoded");
    }
}
