//! The denoising UNet (`UNet2DConditionModel` of diffusers), built from its configuration.
//!
//! Layout of the network: an input convolution, down blocks that hand their states over, a middle
//! block, up blocks that join those states again, an output convolution. Every residual block hears
//! the time embedding; cross-attention hears the text.

mod blocks;
mod config;
mod embedding;
mod resnet;
mod transformer;

pub use config::UNetConfig;

use imagegen_engine::{Activation, Backend, ConvCall, DeviceTensor, GroupNorm, Padding, Tensor};

use crate::loader::Loader;
use crate::{Error, Weights};
use blocks::{DownBlock, MidBlock, UpBlock};
use embedding::{Embedding, sinusoids};

/// What one run of the network reads.
#[derive(Debug)]
pub struct UNetInput<'a, B: Backend> {
    /// Noised latents, with any further channels the model takes, `[N, h, w, in_channels]`.
    pub sample: &'a B::Tensor,
    /// Place on the training scale for each picture, `N` numbers; may be fractional.
    pub timesteps: &'a [f64],
    /// Hidden states of the text, `[N, tokens, cross_attention_dim]`.
    pub text: &'a B::Tensor,
    /// Input of the class embedding, `[N, class_inputs]`, for models that have one.
    pub class_labels: Option<&'a B::Tensor>,
}

/// What every part of the network hears, and what it runs on.
pub(crate) struct Context<'a, B: Backend> {
    pub(crate) engine: &'a B,
    /// Activated time embedding, `[N, 4 * first block]`.
    pub(crate) time: B::Tensor,
    /// Hidden states of the text.
    pub(crate) text: &'a B::Tensor,
}

/// A UNet with its weights.
#[derive(Debug)]
pub struct UNet<B: Backend> {
    config: UNetConfig,
    time_embedding: Embedding<B>,
    class_embedding: Option<Embedding<B>>,
    conv_in: B::Conv2d,
    down: Vec<DownBlock<B>>,
    mid: MidBlock<B>,
    up: Vec<UpBlock<B>>,
    norm_out: B::Norm,
    conv_out: B::Conv2d,
}

impl<B: Backend> UNet<B> {
    /// Takes the weights of a `unet` folder.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`] unless the tensors are
    /// those of the configuration.
    pub fn load(engine: &B, config: UNetConfig, weights: &Weights) -> Result<Self, Error> {
        let loader = Loader::new(engine, weights);
        let root = loader.root();
        let first = config.levels[0].channels;
        let time = config.time_channels();
        let embedding = |name, inputs| Embedding::load(&root.at(name), inputs, time);
        let unet = Self {
            time_embedding: embedding("time_embedding", first)?,
            class_embedding: config
                .class_inputs
                .map(|inputs| embedding("class_embedding", inputs))
                .transpose()?,
            conv_in: root.at("conv_in").conv2d(config.in_channels, first, 3)?,
            down: (0..config.levels.len())
                .map(|level| DownBlock::load(&config, &root.at("down_blocks").at(level), level))
                .collect::<Result<_, _>>()?,
            mid: MidBlock::load(&config, &root.at("mid_block"))?,
            up: (0..config.levels.len())
                .map(|index| UpBlock::load(&config, &root.at("up_blocks").at(index), index))
                .collect::<Result<_, _>>()?,
            norm_out: root.at("conv_norm_out").norm(first)?,
            conv_out: root.at("conv_out").conv2d(first, config.out_channels, 3)?,
            config,
        };
        loader.finish(|_| false)?;
        Ok(unet)
    }

    /// The sizes.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Runs the network. Gives `[N, h, w, out_channels]`.
    ///
    /// Fails with [`Error::Engine`] when a shape is not what the configuration wants, and with
    /// [`Error::Unsupported`] when class labels are absent from or foreign to the model.
    pub fn run(&self, engine: &B, input: &UNetInput<'_, B>) -> Result<B::Tensor, Error> {
        let context = self.context(engine, input)?;
        let call = ConvCall {
            padding: Padding::all(1),
            ..ConvCall::default()
        };
        let mut state = engine.conv2d(input.sample, &self.conv_in, call)?;
        let mut skips = vec![state.clone()];
        for block in &self.down {
            state = block.run(&context, state, &mut skips)?;
        }
        state = self.mid.run(&context, &state)?;
        for block in &self.up {
            state = block.run(&context, state, &mut skips)?;
        }
        let norm = GroupNorm {
            weights: &self.norm_out,
            groups: self.config.norm_groups,
            eps: self.config.norm_eps,
            activation: Some(Activation::Silu),
        };
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm),
            ..ConvCall::default()
        };
        Ok(engine.conv2d(&state, &self.conv_out, call)?)
    }

    fn context<'a>(
        &self,
        engine: &'a B,
        input: &UNetInput<'a, B>,
    ) -> Result<Context<'a, B>, Error> {
        let pictures = input.sample.shape().first().copied().unwrap_or(0);
        if input.timesteps.len() != pictures {
            return Err(Error::Unsupported {
                subject: "number of timesteps".to_owned(),
                got: input.timesteps.len().to_string(),
                expected: format!("one for each of {pictures} pictures"),
            });
        }
        let width = self.config.levels[0].channels;
        let waves = sinusoids(input.timesteps, width, &self.config);
        let waves = engine.upload(&Tensor::new([pictures, width], waves)?);
        let mut time = self.time_embedding.run(engine, &waves)?;
        match (&self.class_embedding, input.class_labels) {
            (Some(embedding), Some(labels)) => {
                time = engine.add(&time, &embedding.run(engine, labels)?)?;
            }
            (None, None) => {}
            (embedding, _) => {
                let expected = if embedding.is_some() {
                    "given"
                } else {
                    "absent"
                };
                let got = if embedding.is_some() {
                    "absent"
                } else {
                    "given"
                };
                return Err(Error::Unsupported {
                    subject: "class labels".to_owned(),
                    got: got.to_owned(),
                    expected: format!("{expected} for this model"),
                });
            }
        }
        Ok(Context {
            engine,
            time: engine.activate(&time, Activation::Silu)?,
            text: input.text,
        })
    }
}
