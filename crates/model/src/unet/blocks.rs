//! Down, middle and up blocks: residual blocks, transformers, a change of resolution.

use imagegen_engine::{Backend, ConvCall, DeviceTensor, Padding};

use super::transformer::Transformer;
use super::{Context, UNetConfig};
use crate::Error;
use crate::loader::Place;
use crate::resnet::{Resnet, ResnetSizes};

/// A residual block and the transformer after it.
#[derive(Debug)]
struct Layer<B: Backend> {
    resnet: Resnet<B>,
    transformer: Option<Transformer<B>>,
}

impl<B: Backend> Layer<B> {
    /// Layer `index` of a block at `level`.
    fn load(
        config: &UNetConfig,
        place: &Place<'_, '_, B>,
        index: usize,
        level: usize,
        inputs: usize,
        attention: bool,
    ) -> Result<Self, Error> {
        let sizes = ResnetSizes {
            inputs,
            outputs: config.levels[level].channels,
            time: Some(config.time_channels()),
            groups: config.norm_groups,
            eps: config.norm_eps,
        };
        let resnet = place.at("resnets").at(index);
        let transformer = place.at("attentions").at(index);
        Ok(Self {
            resnet: Resnet::load(&resnet, sizes)?,
            transformer: attention
                .then(|| Transformer::load(config, &transformer, level))
                .transpose()?,
        })
    }

    fn run(&self, context: &Context<'_, B>, input: B::Tensor) -> Result<B::Tensor, Error> {
        let state = self
            .resnet
            .run(context.engine, input, Some(&context.time))?;
        match &self.transformer {
            Some(transformer) => transformer.run(context, &state),
            None => Ok(state),
        }
    }
}

/// One level on the way down. Hands every state over, its own reduction included.
#[derive(Debug)]
pub(super) struct DownBlock<B: Backend> {
    layers: Vec<Layer<B>>,
    /// Absent at the coarsest level.
    reduce: Option<B::Conv2d>,
}

impl<B: Backend> DownBlock<B> {
    pub(super) fn load(
        config: &UNetConfig,
        place: &Place<'_, '_, B>,
        level: usize,
    ) -> Result<Self, Error> {
        let this = &config.levels[level];
        let before = config.levels[level.saturating_sub(1)].channels;
        let layers = (0..this.resnets)
            .map(|index| {
                let inputs = if index == 0 { before } else { this.channels };
                Layer::load(config, place, index, level, inputs, this.attention_down)
            })
            .collect::<Result<_, _>>()?;
        let reduce = (level + 1 < config.levels.len())
            .then(|| {
                place
                    .at("downsamplers.0.conv")
                    .conv2d(this.channels, this.channels, 3)
            })
            .transpose()?;
        Ok(Self { layers, reduce })
    }

    pub(super) fn run(
        &self,
        context: &Context<'_, B>,
        mut state: B::Tensor,
        skips: &mut Vec<B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        for layer in &self.layers {
            state = layer.run(context, state)?;
            skips.push(state.clone());
        }
        if let Some(weights) = &self.reduce {
            let call = ConvCall {
                stride: 2,
                padding: Padding::all(1),
                ..ConvCall::default()
            };
            state = context.engine.conv2d(&state, weights, call)?;
            skips.push(state.clone());
        }
        Ok(state)
    }
}

/// Residual block, transformer, residual block at the coarsest level.
#[derive(Debug)]
pub(super) struct MidBlock<B: Backend> {
    first: Layer<B>,
    second: Layer<B>,
}

impl<B: Backend> MidBlock<B> {
    pub(super) fn load(config: &UNetConfig, place: &Place<'_, '_, B>) -> Result<Self, Error> {
        let level = config.levels.len() - 1;
        let channels = config.levels[level].channels;
        let layer =
            |index, attention| Layer::load(config, place, index, level, channels, attention);
        Ok(Self {
            first: layer(0, config.mid_attention)?,
            second: layer(1, false)?,
        })
    }

    pub(super) fn run(
        &self,
        context: &Context<'_, B>,
        input: B::Tensor,
    ) -> Result<B::Tensor, Error> {
        self.second.run(context, self.first.run(context, input)?)
    }
}

/// One level on the way up. Joins a state from the way down before every layer.
#[derive(Debug)]
pub(super) struct UpBlock<B: Backend> {
    layers: Vec<Layer<B>>,
    /// Absent at the finest level.
    enlarge: Option<B::Conv2d>,
}

impl<B: Backend> UpBlock<B> {
    /// Up block `index`, counted from the coarsest level.
    pub(super) fn load(
        config: &UNetConfig,
        place: &Place<'_, '_, B>,
        index: usize,
    ) -> Result<Self, Error> {
        let levels = &config.levels;
        let level = levels.len() - 1 - index;
        let this = &levels[level];
        let below = levels[(level + 1).min(levels.len() - 1)].channels;
        // The last state joined was handed over by the finer level (or by the input convolution).
        let finer = levels[level.saturating_sub(1)].channels;
        let layers = (0..=this.resnets)
            .map(|layer| {
                let state = if layer == 0 { below } else { this.channels };
                let skip = if layer == this.resnets {
                    finer
                } else {
                    this.channels
                };
                Layer::load(config, place, layer, level, state + skip, this.attention_up)
            })
            .collect::<Result<_, _>>()?;
        let enlarge = (level > 0)
            .then(|| {
                place
                    .at("upsamplers.0.conv")
                    .conv2d(this.channels, this.channels, 3)
            })
            .transpose()?;
        Ok(Self { layers, enlarge })
    }

    pub(super) fn run(
        &self,
        context: &Context<'_, B>,
        mut state: B::Tensor,
        skips: &mut Vec<B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        state = join(context, &self.layers, state, skips)?;
        if let (Some(weights), Some(next)) = (&self.enlarge, skips.last()) {
            // To the size of the next state, not to twice the size: latents may be odd.
            let enlarge_to = Some([next.shape()[1], next.shape()[2]]);
            let call = ConvCall {
                padding: Padding::all(1),
                enlarge_to,
                ..ConvCall::default()
            };
            state = context.engine.conv2d(&state, weights, call)?;
        }
        Ok(state)
    }

    /// All but its last layer, for the finest level.
    pub(super) fn run_but_last(
        &self,
        context: &Context<'_, B>,
        state: B::Tensor,
        skips: &mut Vec<B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        let (_, layers) = self.layers.split_last().expect("levels have layers");
        join(context, layers, state, skips)
    }

    /// Its last layer alone.
    pub(super) fn run_last(
        &self,
        context: &Context<'_, B>,
        state: B::Tensor,
        skips: &mut Vec<B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        let last = self.layers.last().expect("levels have layers");
        join(context, std::slice::from_ref(last), state, skips)
    }
}

/// Layers of the way up, each after it was joined with the last of the states that are left.
fn join<B: Backend>(
    context: &Context<'_, B>,
    layers: &[Layer<B>],
    mut state: B::Tensor,
    skips: &mut Vec<B::Tensor>,
) -> Result<B::Tensor, Error> {
    for layer in layers {
        let skip = skips
            .pop()
            .expect("the way down hands over a state for each layer here");
        let joined = context.engine.concat(&state, &skip)?;
        drop((state, skip));
        state = layer.run(context, joined)?;
    }
    Ok(state)
}
