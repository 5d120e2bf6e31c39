//! Attention over the pixels of a level and over the text (`Transformer2DModel` of diffusers).

use imagegen_engine::{
    AttentionMask, Backend, ConvCall, DeviceTensor, GroupNorm, LinearCall, TokenGrid,
};

use super::config::Level;
use super::{Context, UNetConfig};
use crate::Error;
use crate::loader::Place;

/// eps of the group normalisation before a transformer; fixed in diffusers, unlike the resnets'.
const GROUP_NORM_EPS: f32 = 1e-6;
/// eps of the layer normalisations inside.
const LAYER_NORM_EPS: f32 = 1e-5;

/// Normalise, project, transformer blocks, project, add the input.
#[derive(Debug)]
pub(super) struct Transformer<B: Backend> {
    norm: B::Norm,
    groups: usize,
    projections: Projections<B>,
    blocks: Vec<Block<B>>,
    /// Whether it is at the finest level that has any, where tokens are merged.
    finest: bool,
}

/// The projections in and out of a transformer, as the configuration's `use_linear_projection` says.
#[derive(Debug)]
enum Projections<B: Backend> {
    Convolutions(B::Conv2d, B::Conv2d),
    Linears(B::Linear, B::Linear),
}

impl<B: Backend> Transformer<B> {
    pub(super) fn load(
        config: &UNetConfig,
        place: &Place<'_, '_, B>,
        level: usize,
    ) -> Result<Self, Error> {
        let Level {
            channels,
            heads,
            depth,
            ..
        } = config.levels[level];
        let (into, out) = (place.at("proj_in"), place.at("proj_out"));
        let projections = if config.linear_projection {
            Projections::Linears(
                into.linear(channels, channels)?,
                out.linear(channels, channels)?,
            )
        } else {
            Projections::Convolutions(
                into.conv2d(channels, channels, 1)?,
                out.conv2d(channels, channels, 1)?,
            )
        };
        let text = config.cross_attention_dim;
        Ok(Self {
            norm: place.at("norm").norm(channels)?,
            groups: config.norm_groups,
            projections,
            blocks: (0..depth)
                .map(|index| {
                    Block::load(
                        &place.at("transformer_blocks").at(index),
                        channels,
                        text,
                        heads,
                    )
                })
                .collect::<Result<_, _>>()?,
            finest: config.finest_attention() == Some(level),
        })
    }

    /// `[N, h, w, channels]` to the same.
    pub(super) fn run(
        &self,
        context: &Context<'_, B>,
        input: &B::Tensor,
    ) -> Result<B::Tensor, Error> {
        let engine = context.engine;
        let shape = input.shape();
        let norm = GroupNorm {
            weights: &self.norm,
            groups: self.groups,
            eps: GROUP_NORM_EPS,
            activation: None,
            moments: None,
        };
        let sequence = [shape[0], shape[1..3].iter().product(), shape[3]];
        let projected = match &self.projections {
            Projections::Convolutions(into, _) => {
                let call = ConvCall {
                    norm: Some(norm),
                    ..ConvCall::default()
                };
                engine.conv2d(input, into, call)?
            }
            Projections::Linears(into, _) => engine.linear(
                &engine.group_norm(input, norm)?,
                into,
                LinearCall::default(),
            )?,
        };
        let mut states = engine.reshape(&projected, &sequence)?;
        let ratio = if self.finest {
            context.token_merging
        } else {
            0.0
        };
        let grid = TokenGrid::new([shape[1], shape[2]], ratio)?;
        for block in &self.blocks {
            states = block.run(context, &states, grid)?;
        }
        let states = engine.reshape(&states, shape)?;
        match &self.projections {
            Projections::Convolutions(_, out) => {
                let call = ConvCall {
                    residual: Some(input),
                    ..ConvCall::default()
                };
                Ok(engine.conv2d(&states, out, call)?)
            }
            Projections::Linears(_, out) => {
                let call = LinearCall {
                    residual: Some(input),
                    ..LinearCall::default()
                };
                Ok(engine.linear(&states, out, call)?)
            }
        }
    }
}

/// Self-attention, cross-attention, gated feed-forward, each with a residual
/// (`BasicTransformerBlock` of diffusers).
#[derive(Debug)]
struct Block<B: Backend> {
    self_norm: B::Norm,
    self_attention: Attention<B>,
    cross_norm: B::Norm,
    cross_attention: Attention<B>,
    feed_norm: B::Norm,
    gated: B::Linear,
    narrow: B::Linear,
}

impl<B: Backend> Block<B> {
    fn load(
        place: &Place<'_, '_, B>,
        channels: usize,
        text: usize,
        heads: usize,
    ) -> Result<Self, Error> {
        let wide = 4 * channels;
        Ok(Self {
            self_norm: place.at("norm1").norm(channels)?,
            self_attention: Attention::load(&place.at("attn1"), channels, channels, heads)?,
            cross_norm: place.at("norm2").norm(channels)?,
            cross_attention: Attention::load(&place.at("attn2"), channels, text, heads)?,
            feed_norm: place.at("norm3").norm(channels)?,
            gated: place.at("ff.net.0.proj").gated(channels, wide)?,
            narrow: place.at("ff.net.2").linear(wide, channels)?,
        })
    }

    fn run(
        &self,
        context: &Context<'_, B>,
        input: &B::Tensor,
        grid: TokenGrid,
    ) -> Result<B::Tensor, Error> {
        let engine = context.engine;
        let norm = |input: &B::Tensor, weights| engine.layer_norm(input, weights, LAYER_NORM_EPS);
        let normed = norm(input, &self.self_norm)?;
        let seen = if grid.merged() > 0 {
            let merges = engine.match_tokens(input, grid)?;
            let normed = engine.merge_tokens(&normed, &merges)?;
            let seen = self.self_attention.run(engine, &normed, &normed, None)?;
            engine.add(&engine.part_tokens(&seen, &merges)?, input)?
        } else {
            let attention = &self.self_attention;
            attention.run(engine, &normed, &normed, Some(input))?
        };
        let normed = norm(&seen, &self.cross_norm)?;
        let heard = self
            .cross_attention
            .run(engine, &normed, context.text, Some(&seen))?;
        let wide = engine.geglu(&norm(&heard, &self.feed_norm)?, &self.gated)?;
        let call = LinearCall {
            residual: Some(&heard),
            ..LinearCall::default()
        };
        Ok(engine.linear(&wide, &self.narrow, call)?)
    }
}

#[derive(Debug)]
struct Attention<B: Backend> {
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    out: B::Linear,
    heads: usize,
}

impl<B: Backend> Attention<B> {
    /// Queries from `channels`, keys and values from `context` channels.
    fn load(
        place: &Place<'_, '_, B>,
        channels: usize,
        context: usize,
        heads: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            query: place.at("to_q").linear_without_bias(channels, channels)?,
            key: place.at("to_k").linear_without_bias(context, channels)?,
            value: place.at("to_v").linear_without_bias(context, channels)?,
            out: place.at("to_out.0").linear(channels, channels)?,
            heads,
        })
    }

    /// `residual + out(attention(input, context))`, or without a residual.
    fn run(
        &self,
        engine: &B,
        input: &B::Tensor,
        context: &B::Tensor,
        residual: Option<&B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        let query = engine.linear(input, &self.query, LinearCall::default())?;
        let key = engine.linear(context, &self.key, LinearCall::default())?;
        let value = engine.linear(context, &self.value, LinearCall::default())?;
        let mixed = engine.attention(&query, &key, &value, self.heads, AttentionMask::None)?;
        let call = LinearCall {
            residual,
            ..LinearCall::default()
        };
        Ok(engine.linear(&mixed, &self.out, call)?)
    }
}
