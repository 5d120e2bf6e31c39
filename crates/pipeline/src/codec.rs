//! Between pixels and latents: the trait that autoencoders implement, and the codec without weights.

use imagegen_engine::Tensor;

use crate::{BoxedError, Error, Noise};

/// Turns pixels `[N, H, W, 3]` in -1..1 into scaled latents `[N, H/d, W/d, C]` and back.
pub trait LatentCodec {
    /// Encodes pixels. Codecs with a posterior draw their sample from `noise`, once, before any other
    /// draw of the run.
    fn encode(&mut self, pixels: &Tensor, noise: &mut dyn Noise) -> Result<Tensor, BoxedError>;

    /// Encodes pixels for the source channels of a network that sees its source; draws nothing.
    /// What InstructPix2Pix calls image latents: the posterior's mode, without the scaling factor.
    fn condition(&mut self, pixels: &Tensor) -> Result<Tensor, BoxedError>;

    /// Decodes latents to pixels; may leave -1..1.
    fn decode(&mut self, latents: &Tensor) -> Result<Tensor, BoxedError>;

    /// Sides of a picture must be multiples of this.
    fn grid(&self) -> usize;

    /// Whether pixels come back as they were, up to rounding.
    fn is_exact(&self) -> bool {
        false
    }

    /// Channels of the latents.
    fn channels(&self) -> usize;

    /// Pixels per latent, each way.
    fn downscale(&self) -> usize;
}

/// Latents that are the pixels themselves: each patch's pixels become channels, times a scaling factor.
/// Nothing is lost. Channel = colour * patch^2 + dy * patch + dx, the order of torch's `pixel_unshuffle`.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchLatents {
    patch: usize,
    scaling: f32,
    grid: usize,
}

const COLOURS: usize = 3;

impl PatchLatents {
    /// `patch` pixels a side, at least 1; `scaling` above 0; `grid` is what the network needs the
    /// picture's sides to be multiples of, itself a multiple of `patch`.
    ///
    /// Fails with [`Error::Value`] otherwise.
    pub fn new(patch: usize, scaling: f64, grid: usize) -> Result<Self, Error> {
        if patch == 0 {
            return Err(Error::value("patch_size", patch, "at least 1"));
        }
        if !(scaling > 0.0 && scaling.is_finite()) {
            return Err(Error::value("scaling_factor", scaling, "a number above 0"));
        }
        if grid == 0 || !grid.is_multiple_of(patch) {
            return Err(Error::value(
                "size_multiple",
                grid,
                format!("a multiple of {patch}"),
            ));
        }
        Ok(Self {
            patch,
            scaling: scaling as f32,
            grid,
        })
    }

    /// What pixels are multiplied by.
    pub fn scaling(&self) -> f64 {
        f64::from(self.scaling)
    }

    /// Calls `f(index in pixels, index in latents)` for every number of a picture.
    fn pair_up(&self, [n, h, w]: [usize; 3], mut f: impl FnMut(usize, usize)) {
        let (patch, channels) = (self.patch, self.channels());
        for row in 0..n * h {
            // Pictures lie below each other: a row of latents is `patch` rows of pixels throughout.
            for column in 0..w {
                for colour in 0..COLOURS {
                    let channel = colour * patch * patch + row % patch * patch + column % patch;
                    let place = row / patch * (w / patch) + column / patch;
                    f(
                        (row * w + column) * COLOURS + colour,
                        place * channels + channel,
                    );
                }
            }
        }
    }
}

impl LatentCodec for PatchLatents {
    fn encode(&mut self, pixels: &Tensor, _: &mut dyn Noise) -> Result<Tensor, BoxedError> {
        self.condition(pixels)
    }

    fn condition(&mut self, pixels: &Tensor) -> Result<Tensor, BoxedError> {
        let [n, h, w, colours] = pixels.nhwc("pixels")?;
        let patch = self.patch;
        if colours != COLOURS || !h.is_multiple_of(patch) || !w.is_multiple_of(patch) {
            let expected = format!("[N, H, W, {COLOURS}] with H and W multiples of {patch}");
            return Err(imagegen_engine::Error::shape("pixels", pixels.shape(), expected).into());
        }
        let mut latents = Tensor::zeros([n, h / patch, w / patch, self.channels()]);
        let (from, to) = (pixels.data(), latents.data_mut());
        self.pair_up([n, h, w], |pixel, latent| {
            to[latent] = self.scaling * from[pixel]
        });
        Ok(latents)
    }

    fn decode(&mut self, latents: &Tensor) -> Result<Tensor, BoxedError> {
        let [n, h, w, channels] = latents.nhwc("latents")?;
        if channels != self.channels() {
            let expected = format!("[N, H, W, {}]", self.channels());
            return Err(imagegen_engine::Error::shape("latents", latents.shape(), expected).into());
        }
        let (h, w) = (h * self.patch, w * self.patch);
        let mut pixels = Tensor::zeros([n, h, w, COLOURS]);
        let (from, to) = (latents.data(), pixels.data_mut());
        self.pair_up([n, h, w], |pixel, latent| {
            to[pixel] = from[latent] / self.scaling
        });
        Ok(pixels)
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn grid(&self) -> usize {
        self.grid
    }

    fn channels(&self) -> usize {
        COLOURS * self.patch * self.patch
    }

    fn downscale(&self) -> usize {
        self.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_become_channels_and_come_back() {
        let numbers: Vec<f32> = (0..2 * 8 * 4 * 3).map(|v| v as f32).collect();
        let pixels = Tensor::new([2, 8, 4, 3], numbers).unwrap();
        let mut codec = PatchLatents::new(4, 2.0, 4).unwrap();
        let latents = codec.condition(&pixels).unwrap();
        assert_eq!(latents.shape(), [2, 2, 1, 48]);
        // picture 1, latent row 1, colour 2, dy 3, dx 1: pixel row 7, column 1.
        let channel = 2 * 16 + 3 * 4 + 1;
        assert_eq!(
            latents.data()[(2 + 1) * 48 + channel],
            2.0 * (((8 + 7) * 4 + 1) * 3 + 2) as f32
        );
        assert_eq!(codec.decode(&latents).unwrap(), pixels);
    }

    #[test]
    fn bad_sizes_are_refused() {
        assert!(PatchLatents::new(0, 1.0, 16).is_err());
        assert!(PatchLatents::new(4, f64::NAN, 16).is_err());
        assert!(PatchLatents::new(4, 1.7, 18).is_err());
        let mut codec = PatchLatents::new(4, 1.7, 16).unwrap();
        let error = codec
            .condition(&Tensor::zeros([1, 6, 8, 3]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("multiples of 4"), "{error}");
        assert!(codec.decode(&Tensor::zeros([1, 6, 8, 3])).is_err());
    }
}
