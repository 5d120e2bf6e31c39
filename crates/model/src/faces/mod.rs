//! Where faces are: BlazeFace (short range) with its published weights, embedded.
//!
//! Takes a square of pixels and gives boxes in shares of its side. Knows nothing of pictures' sizes or of
//! what a face means to anyone. The paper: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face
//! Detection on Mobile GPUs", 2019. `faces/NOTICE` has the weights' origin and licence.

mod boxes;
mod network;

use std::sync::Arc;

use imagegen_engine::{Backend, Tensor};

use crate::loader::Loader;
use crate::{Error, Weights};

pub use boxes::FaceBox;

/// The weights' file, safetensors in f16. Apache-2.0, The MediaPipe Authors; see `faces/NOTICE`.
pub const WEIGHTS: &[u8] = include_bytes!("../../faces/short_range.safetensors");

/// What the network says before anything is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct RawFaces {
    /// Logits, `[896]`, one an anchor: 16 x 16 cells of 2, then 8 x 8 cells of 6, row by row.
    pub scores: Tensor,
    /// `[896, 16]`: centre relative to the anchor's, size, then six points, all x before y and in pixels
    /// of the input.
    pub boxes: Tensor,
}

/// The detector on one engine.
#[derive(Debug)]
pub struct FaceDetector<B: Backend> {
    network: network::Network<B>,
}

impl<B: Backend> FaceDetector<B> {
    /// Pixels a side of the input.
    pub const SIDE: usize = 128;

    /// The detector with the embedded weights.
    ///
    /// Fails with [`Error::Engine`] where the engine cannot hold them.
    pub fn embedded(engine: &B) -> Result<Self, Error> {
        let weights = Weights::parse("short_range.safetensors", Arc::new(WEIGHTS))?;
        Self::load(engine, &weights)
    }

    /// The detector with other weights of the same network.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`].
    pub fn load(engine: &B, weights: &Weights) -> Result<Self, Error> {
        let loader = Loader::new(engine, weights);
        let network = network::Network::load(&loader.root())?;
        loader.finish(|_| false)?;
        Ok(Self { network })
    }

    /// The faces in `pixels` `[1, 128, 128, 3]`, sRGB in −1..1, surest first: those whose score reaches
    /// `threshold` (0 to 1), one box each.
    ///
    /// Fails with [`Error::Engine`] on another shape.
    pub fn find(&self, engine: &B, pixels: &Tensor, threshold: f32) -> Result<Vec<FaceBox>, Error> {
        Ok(boxes::decide(&self.run(engine, pixels)?, threshold))
    }

    /// The network's answer to `pixels` as it is.
    ///
    /// Fails with [`Error::Engine`] on another shape than `[1, 128, 128, 3]`.
    pub fn run(&self, engine: &B, pixels: &Tensor) -> Result<RawFaces, Error> {
        let expected = [1, Self::SIDE, Self::SIDE, 3];
        if pixels.shape() != expected {
            let expected = format!("{expected:?}");
            let error =
                imagegen_engine::Error::shape("face detector input", pixels.shape(), expected);
            return Err(error.into());
        }
        self.network.run(engine, pixels)
    }
}
