//! The denoising UNet (`UNet2DConditionModel` of diffusers), built from its configuration.
//!
//! Layout of the network: an input convolution, down blocks that hand their states over, a middle
//! block, up blocks that join those states again, an output convolution. Every residual block hears
//! the time embedding; cross-attention hears the text.

mod blocks;
mod config;
mod embedding;
mod transformer;

pub use config::{AddedSizes, UNetConfig};

use imagegen_engine::{Activation, Backend, ConvCall, DeviceTensor, GroupNorm, Padding, Tensor};

use crate::loader::{Base, LayerShapes, Layers, Loader};
use crate::lora::Changes;
use crate::{Error, Weights};
use blocks::{DownBlock, MidBlock, UpBlock};
use embedding::{Embedding, guidance_frequencies, sinusoids, timestep_frequencies};

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
    /// Pooled text and numbers about the picture, for models that hear them.
    pub added: Option<AddedInput<'a, B>>,
    /// Guidance scale of each picture, `N` numbers, for models that hear it.
    pub guidance: Option<&'a [f64]>,
    /// Share of the tokens that self-attention at the finest level that has any does without, each standing for one that
    /// is like it: 0 (none) to [`TokenGrid::MOST`](imagegen_engine::TokenGrid::MOST).
    pub token_merging: f64,
}

/// What SDXL's networks hear beside text and time.
#[derive(Debug)]
pub struct AddedInput<'a, B: Backend> {
    /// `[N, pooled]`.
    pub pooled: &'a B::Tensor,
    /// For each picture, one after the other: original height and width, top and left of the crop,
    /// then target height and width or, for a refiner, an aesthetic score.
    pub numbers: &'a [f64],
}

impl<B: Backend> Clone for AddedInput<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for AddedInput<'_, B> {}

/// What every part of the network hears, and what it runs on.
pub(crate) struct Context<'a, B: Backend> {
    pub(crate) engine: &'a B,
    /// Activated time embedding, `[N, 4 * first block]`.
    pub(crate) time: B::Tensor,
    /// Hidden states of the text.
    pub(crate) text: &'a B::Tensor,
    /// Share of the tokens that are merged at the finest level of attention.
    pub(crate) token_merging: f64,
}

/// A UNet's state in front of the last layer of the way up, `[N, h, w, channels]`: what the deep layers made.
#[derive(Debug)]
pub struct Deep<B: Backend>(B::Tensor);

/// A UNet with its weights.
#[derive(Debug)]
pub struct UNet<B: Backend> {
    config: UNetConfig,
    time_embedding: Embedding<B>,
    class_embedding: Option<Embedding<B>>,
    added_embedding: Option<Embedding<B>>,
    conv_in: B::Conv2d,
    down: Vec<DownBlock<B>>,
    mid: MidBlock<B>,
    up: Vec<UpBlock<B>>,
    norm_out: B::Norm,
    conv_out: B::Conv2d,
    named: Layers<B>,
}

impl<B: Backend> UNet<B> {
    /// Takes the weights of a `unet` folder.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`] unless the tensors are
    /// those of the configuration.
    pub fn load(engine: &B, config: UNetConfig, weights: &Weights) -> Result<Self, Error> {
        Self::build(&Loader::new(engine, weights), config)
    }

    /// A copy with `changes`; what they leave alone is shared. `weights` are those it was loaded from.
    ///
    /// Fails as [`UNet::load`], and with [`Error::NotFinite`] where numbers grow too large.
    pub fn changed(
        &self,
        engine: &B,
        weights: &Weights,
        changes: &Changes<'_>,
    ) -> Result<Self, Error> {
        let layers = &self.named;
        let loader = Loader::over(engine, weights, Base { layers, changes });
        Self::build(&loader, self.config.clone())
    }

    /// Shapes of the weights that LoRAs can change.
    pub fn layers(&self) -> &LayerShapes {
        &self.named.shapes
    }

    fn build(loader: &Loader<'_, B>, config: UNetConfig) -> Result<Self, Error> {
        let root = loader.root();
        let first = config.levels[0].channels;
        let time = config.time_channels();
        let embedding = |name, inputs| Embedding::load(&root.at(name), inputs, time);
        let mut unet = Self {
            time_embedding: Embedding::load_guided(
                &root.at("time_embedding"),
                first,
                time,
                config.guidance_channels,
            )?,
            class_embedding: config
                .class_inputs
                .map(|inputs| embedding("class_embedding", inputs))
                .transpose()?,
            added_embedding: config
                .added
                .map(|sizes| embedding("add_embedding", sizes.inputs))
                .transpose()?,
            conv_in: root
                .at("conv_in")
                .exact_conv2d(config.in_channels, first, 3)?,
            down: (0..config.levels.len())
                .map(|level| DownBlock::load(&config, &root.at("down_blocks").at(level), level))
                .collect::<Result<_, _>>()?,
            mid: MidBlock::load(&config, &root.at("mid_block"))?,
            up: (0..config.levels.len())
                .map(|index| UpBlock::load(&config, &root.at("up_blocks").at(index), index))
                .collect::<Result<_, _>>()?,
            norm_out: root.at("conv_norm_out").norm(first)?,
            conv_out: root
                .at("conv_out")
                .exact_conv2d(first, config.out_channels, 3)?,
            named: Layers::default(),
            config,
        };
        unet.named = loader.finish(|_| false)?;
        Ok(unet)
    }

    /// The sizes.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Runs the network. Gives `[N, h, w, out_channels]`.
    ///
    /// Fails with [`Error::Engine`] when a shape is not what the configuration wants, and with
    /// [`Error::Unsupported`] when class labels, pooled text or guidance scales are absent from or foreign
    /// to the model.
    pub fn run(&self, engine: &B, input: &UNetInput<'_, B>) -> Result<B::Tensor, Error> {
        Ok(self.run_keeping(engine, input)?.0)
    }

    /// [`Self::run`], which gives beside the output the state in front of the last layer of the way up, for
    /// [`Self::run_shallow`] at the steps that follow.
    pub fn run_keeping(
        &self,
        engine: &B,
        input: &UNetInput<'_, B>,
    ) -> Result<(B::Tensor, Deep<B>), Error> {
        engine.enter("unet");
        let context = self.context(engine, input)?;
        let mut state = self.first(engine, input.sample)?;
        let mut skips = vec![state.clone()];
        for block in &self.down {
            state = block.run(&context, state, &mut skips)?;
        }
        state = self.mid.run(&context, state)?;
        let (last, blocks) = self.up.split_last().expect("networks have levels");
        for block in blocks {
            state = block.run(&context, state, &mut skips)?;
        }
        state = last.run_but_last(&context, state, &mut skips)?;
        let deep = Deep(state.clone());
        state = last.run_last(&context, state, &mut skips)?;
        Ok((self.last(engine, &state)?, deep))
    }

    /// The first convolution, the last layer of the way up and the last convolution alone: what lies between is as it was
    /// in the run that gave `deep`. This is branch 0 of DeepCache (arXiv 2312.00858).
    ///
    /// Fails as [`Self::run`], and where `deep` is of latents of another shape.
    pub fn run_shallow(
        &self,
        engine: &B,
        input: &UNetInput<'_, B>,
        deep: &Deep<B>,
    ) -> Result<B::Tensor, Error> {
        engine.enter("unet");
        let context = self.context(engine, input)?;
        let mut skips = vec![self.first(engine, input.sample)?];
        let last = self.up.last().expect("networks have levels");
        let state = last.run_last(&context, deep.0.clone(), &mut skips)?;
        self.last(engine, &state)
    }

    /// About what share of [`Self::run`]'s work [`Self::run_shallow`] is, 0 to 1: of the products with weights.
    pub fn shallow_share(&self) -> f64 {
        let levels = self.config.levels.len();
        let last_layer = self.config.levels[0].resnets.to_string();
        let (mut all, mut shallow) = (0.0, 0.0);
        for (name, shape) in &self.named.shapes {
            let mut parts = name.split('.');
            let (block, index) = (parts.next().unwrap_or_default(), parts.next());
            let index = index.and_then(|index| index.parse::<usize>().ok());
            let level = match (block, index) {
                ("conv_in" | "conv_out", _) => 0,
                ("mid_block", _) => levels - 1,
                ("down_blocks", Some(index)) => index,
                ("up_blocks", Some(index)) => levels - 1 - index,
                _ => continue, // once a picture, not once a place
            };
            // Each level has a quarter of the places of the one before.
            let work = shape.iter().product::<usize>() as f64 * 0.25f64.powi(level as i32);
            all += work;
            let last = block == "up_blocks" && level == 0 && parts.nth(1) == Some(&last_layer);
            if last || block.starts_with("conv") {
                shallow += work;
            }
        }
        if all > 0.0 { shallow / all } else { 1.0 }
    }

    fn first(&self, engine: &B, sample: &B::Tensor) -> Result<B::Tensor, Error> {
        let call = ConvCall {
            padding: Padding::all(1),
            ..ConvCall::default()
        };
        Ok(engine.conv2d(sample, &self.conv_in, call)?)
    }

    fn last(&self, engine: &B, state: &B::Tensor) -> Result<B::Tensor, Error> {
        let norm = GroupNorm {
            weights: &self.norm_out,
            groups: self.config.norm_groups,
            eps: self.config.norm_eps,
            activation: Some(Activation::Silu),
            moments: None,
        };
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm),
            ..ConvCall::default()
        };
        Ok(engine.conv2d(state, &self.conv_out, call)?)
    }

    fn context<'a>(
        &self,
        engine: &'a B,
        input: &UNetInput<'a, B>,
    ) -> Result<Context<'a, B>, Error> {
        let pictures = input.sample.shape().first().copied().unwrap_or(0);
        check_count("number of timesteps", input.timesteps.len(), pictures)?;
        let width = self.config.levels[0].channels;
        let waves = self.waves(engine, input.timesteps, width)?;
        let guidance = self.guidance(engine, input.guidance, pictures)?;
        let mut time = self
            .time_embedding
            .run_guided(engine, &waves, guidance.as_ref())?;
        let labels = input.class_labels;
        check_given(
            "class labels",
            self.class_embedding.is_some(),
            labels.is_some(),
        )?;
        if let (Some(embedding), Some(labels)) = (&self.class_embedding, labels) {
            time = engine.add(&time, &embedding.run(engine, labels)?)?;
        }
        let added = input.added;
        check_given(
            "pooled text",
            self.added_embedding.is_some(),
            added.is_some(),
        )?;
        if let (Some(embedding), Some(sizes), Some(added)) =
            (&self.added_embedding, self.config.added, added)
        {
            let added = self.added(engine, sizes, added, pictures)?;
            time = engine.add(&time, &embedding.run(engine, &added)?)?;
        }
        Ok(Context {
            engine,
            time: engine.activate(&time, Activation::Silu)?,
            text: input.text,
            token_merging: input.token_merging,
        })
    }

    /// Sinusoids of `values`, `[N, width]`.
    fn waves(&self, engine: &B, values: &[f64], width: usize) -> Result<B::Tensor, Error> {
        let UNetConfig {
            freq_shift,
            flip_sin_to_cos,
            ..
        } = self.config;
        let frequencies = timestep_frequencies(width / 2, freq_shift);
        let waves = sinusoids(values, width, &frequencies, flip_sin_to_cos);
        Ok(engine.upload(&Tensor::new([values.len(), width], waves)?))
    }

    /// Sinusoids of the guidance scale, for networks that hear it.
    fn guidance(
        &self,
        engine: &B,
        scales: Option<&[f64]>,
        pictures: usize,
    ) -> Result<Option<B::Tensor>, Error> {
        let width = self.config.guidance_channels;
        check_given("guidance scale", width.is_some(), scales.is_some())?;
        let (Some(width), Some(scales)) = (width, scales) else {
            return Ok(None);
        };
        check_count("number of guidance scales", scales.len(), pictures)?;
        // The network was trained with 0 for no guidance, and in thousandths.
        let thousandths: Vec<f64> = scales.iter().map(|scale| (scale - 1.0) * 1000.0).collect();
        let waves = sinusoids(&thousandths, width, &guidance_frequencies(width / 2), false);
        let waves = Tensor::new([scales.len(), width], waves)?;
        Ok(Some(engine.upload(&waves)))
    }

    /// Pooled text and the sinusoids of the numbers about the picture, `[N, inputs]`.
    fn added(
        &self,
        engine: &B,
        sizes: AddedSizes,
        added: AddedInput<'_, B>,
        pictures: usize,
    ) -> Result<B::Tensor, Error> {
        let pooled = added.pooled.shape().last().copied().unwrap_or(0);
        let count = sizes.numbers(pooled).ok_or_else(|| Error::Unsupported {
            subject: "channels of the pooled text".to_owned(),
            got: pooled.to_string(),
            expected: format!(
                "{} less a multiple of {} for this model",
                sizes.inputs, sizes.number_channels
            ),
        })?;
        check_count(
            "number of numbers about the pictures",
            added.numbers.len(),
            count * pictures,
        )?;
        let waves = self.waves(engine, added.numbers, sizes.number_channels)?;
        let waves = engine.reshape(&waves, &[pictures, count * sizes.number_channels])?;
        Ok(engine.concat(added.pooled, &waves)?)
    }
}

/// Fails unless `got` is `expected`.
fn check_count(subject: &str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Unsupported {
        subject: subject.to_owned(),
        got: got.to_string(),
        expected: format!("{expected} for these pictures"),
    })
}

/// Fails unless a value is given if, and only if, the model hears one.
fn check_given(subject: &str, heard: bool, given: bool) -> Result<(), Error> {
    let word = |there: bool| if there { "given" } else { "absent" };
    if heard == given {
        return Ok(());
    }
    Err(Error::Unsupported {
        subject: subject.to_owned(),
        got: word(given).to_owned(),
        expected: format!("{} for this model", word(heard)),
    })
}
