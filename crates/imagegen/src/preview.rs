//! Previews of a run: what a step's clean estimate looks like, small.

use imagegen_picture::{Filter, Picture, Size, from_unit};
use imagegen_pipeline::{LatentCodec, StepRecord, Tensor};

use crate::shrink::shrunk;
use crate::{Error, Model};

/// Latents with a longest side of about `side`: means of blocks, what hangs over the edge left out.
fn means(latents: &Tensor, side: usize) -> Result<Tensor, imagegen_engine::Error> {
    let [_, h, w, c] = latents.nhwc("preview latents")?;
    let block = h.max(w).div_ceil(side).clamp(1, h.min(w).max(1));
    let (rows, columns) = (h / block, w / block);
    let mut means = Tensor::zeros([1, rows, columns, c]);
    for row in 0..rows * block {
        for column in 0..columns * block {
            let to = (row / block * columns + column / block) * c;
            let from = &latents.data()[(row * w + column) * c..][..c];
            for (mean, value) in means.data_mut()[to..][..c].iter_mut().zip(from) {
                *mean += value / (block * block) as f32;
            }
        }
    }
    Ok(means)
}

/// Longest side of a preview, in pixels.
const SIDE: u32 = 256;

impl Model {
    /// What a step's clean estimate looks like: the picture at its working size, borders included, shrunk
    /// to at most 256 pixels a side. Early steps look blurred.
    ///
    /// `record` must come from a run of this model. Fails with [`Error::Run`] where it does not, and with
    /// [`Error::Result`] where the estimate holds numbers that are no colours.
    pub fn preview(&self, record: &StepRecord<'_>) -> Result<Picture, Error> {
        let failed = |source| imagegen_pipeline::Error::Failed {
            stage: imagegen_pipeline::Stage::Decode,
            source,
        };
        let mut codec = self.codec();
        let shrunken = codec
            .preview_side()
            .map(|side| means(record.denoised, side))
            .transpose()?;
        let latents = shrunken.as_ref().unwrap_or(record.denoised);
        let pixels = codec.decode(latents).map_err(failed)?;
        let [_, height, width, _] = pixels.nhwc("preview")?;
        let size = Size::new(width as u32, height as u32);
        let one = size.pixels() as usize * 3; // the first picture, should a run have several
        let rgb = from_unit(&pixels.data()[..one])?;
        let picture = Picture::new(size, rgb, None).expect("the pixels have this size");
        Ok(shrunk(&picture, SIDE, Filter::Bilinear))
    }
}
