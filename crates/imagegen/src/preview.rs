//! Previews of a run: what a step's clean estimate looks like, small.

use imagegen_picture::{Filter, Picture, Size, from_unit};
use imagegen_pipeline::{LatentCodec, StepRecord};

use crate::shrink::shrunk;
use crate::{Error, Model};

/// Longest side of a preview, in pixels.
const SIDE: u32 = 256;

impl Model {
    /// What a step's clean estimate looks like: the picture at its working size, borders included, shrunk
    /// to at most 256 pixels a side. Early steps look blurred.
    ///
    /// `record` must come from a run of this model. Fails with [`Error::Run`] where it does not, and with
    /// [`Error::Result`] where the estimate holds numbers that are no colours.
    pub fn preview(&self, record: &StepRecord<'_>) -> Result<Picture, Error> {
        let mut codec = self.latents.codec.clone();
        let pixels =
            codec
                .decode(record.denoised)
                .map_err(|source| imagegen_pipeline::Error::Failed {
                    stage: imagegen_pipeline::Stage::Decode,
                    source,
                })?;
        let [_, height, width, _] = pixels.nhwc("preview")?;
        let size = Size::new(width as u32, height as u32);
        let one = size.pixels() as usize * 3; // the first picture, should a run have several
        let rgb = from_unit(&pixels.data()[..one])?;
        let picture = Picture::new(size, rgb, None).expect("the pixels have this size");
        Ok(shrunk(&picture, SIDE, Filter::Bilinear))
    }
}
