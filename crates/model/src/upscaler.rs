//! An upscaler: realesr-animevideov3 with its published weights, embedded.
//!
//! Takes pixels and gives four times as many a side. Knows nothing of pictures, tiles or files. The network: SRVGGNetCompact of the
//! Real-ESRGAN project (Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021).
//! `upscaler/NOTICE` has the weights' origin and licence.

use std::sync::Arc;

use imagegen_engine::{Backend, ConvCall, Error as EngineError, Padding, Resize, Tensor};

use crate::loader::{Loader, Place};
use crate::{Error, Weights};

/// The weights' file, safetensors: convolutions in f16, the rest in f32. BSD-3-Clause; see `upscaler/NOTICE`.
pub const WEIGHTS: &[u8] = include_bytes!("../upscaler/realesr_animevideov3.safetensors");

/// Channels of the hidden layers.
const FEATURES: usize = 64;
/// Hidden convolutions.
const HIDDEN: usize = 17;
/// Red, green and blue.
const COLOURS: usize = 3;

/// The upscaler on one engine.
#[derive(Debug)]
pub struct Upscaler<B: Backend> {
    hidden: Vec<Hidden<B>>,
    last: B::Conv2d,
}

/// A convolution and the slopes of what comes out of it below 0.
#[derive(Debug)]
struct Hidden<B: Backend> {
    conv: B::Conv2d,
    slopes: B::Tensor,
}

impl<B: Backend> Upscaler<B> {
    /// The network's name, as its makers call it.
    pub const NAME: &'static str = "realesr-animevideov3";
    /// By what it enlarges each side.
    pub const SCALE: usize = 4;
    /// How far a pixel is seen, in pixels of the input: one for each 3x3 convolution. Beyond, nothing changes a result.
    pub const REACH: usize = HIDDEN + 1;

    /// The upscaler with the embedded weights.
    ///
    /// Fails with [`Error::Engine`] where the engine cannot hold them.
    pub fn embedded(engine: &B) -> Result<Self, Error> {
        let weights = Weights::parse("realesr_animevideov3.safetensors", Arc::new(WEIGHTS))?;
        Self::load(engine, &weights)
    }

    /// The upscaler with other weights of the same network.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`].
    pub fn load(engine: &B, weights: &Weights) -> Result<Self, Error> {
        let loader = Loader::new(engine, weights);
        let body = loader.root().at("body");
        // Convolutions and slopes stand in turn.
        let hidden = (0..HIDDEN).map(|index| {
            let inputs = if index == 0 { COLOURS } else { FEATURES };
            Hidden::load([&body.at(2 * index), &body.at(2 * index + 1)], inputs)
        });
        let hidden = hidden.collect::<Result<_, _>>()?;
        let outputs = COLOURS * Self::SCALE * Self::SCALE;
        let last = body.at(2 * HIDDEN).conv2d(FEATURES, outputs, 3)?;
        loader.finish(|_| false)?;
        Ok(Self { hidden, last })
    }

    /// `pixels` `[1, H, W, 3]`, sRGB in 0..1, as `[1, 4 H, 4 W, 3]`, which may leave 0..1 a little.
    ///
    /// Fails with [`Error::Engine`] on another shape.
    pub fn run(&self, engine: &B, pixels: &Tensor) -> Result<Tensor, Error> {
        let [1, height, width, COLOURS] = pixels.nhwc("upscaler input")? else {
            let expected = "[1, H, W, 3]";
            return Err(EngineError::shape("upscaler input", pixels.shape(), expected).into());
        };
        let call = || ConvCall {
            padding: Padding::all(1),
            ..ConvCall::default()
        };
        engine.enter("upscaler");
        let input = engine.upload(pixels);
        let mut hidden = input.clone();
        for layer in &self.hidden {
            let convolved = engine.conv2d(&hidden, &layer.conv, call())?;
            hidden = engine.prelu(&convolved, &layer.slopes)?;
        }
        let detail = engine.conv2d(&hidden, &self.last, call())?;
        let detail = engine.depth_to_space(&detail, Self::SCALE)?;
        let size = [height, width].map(|side| side * Self::SCALE);
        let plain = engine.resize(&input, size, Resize::Nearest)?;
        Ok(engine.download(&engine.add(&detail, &plain)?))
    }
}

impl<B: Backend> Hidden<B> {
    fn load([conv, slopes]: [&Place<'_, '_, B>; 2], inputs: usize) -> Result<Self, Error> {
        let values = slopes.tensor("weight", &[FEATURES])?;
        Ok(Self {
            conv: conv.conv2d(inputs, FEATURES, 3)?,
            slopes: conv.engine().upload(&values),
        })
    }
}
