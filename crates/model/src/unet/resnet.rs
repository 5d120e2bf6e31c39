//! Residual blocks (`ResnetBlock2D` of diffusers).

use imagegen_engine::{Activation, Backend, ConvCall, GroupNorm, LinearCall, Padding};

use super::{Context, UNetConfig};
use crate::Error;
use crate::loader::Place;

/// `input + conv(silu(norm(conv(silu(norm(input))) + time)))`.
#[derive(Debug)]
pub(super) struct Resnet<B: Backend> {
    norm_in: B::Norm,
    conv_in: B::Conv2d,
    time: B::Linear,
    norm_out: B::Norm,
    conv_out: B::Conv2d,
    /// Brings the input to the output's channels where they differ.
    shortcut: Option<B::Conv2d>,
    groups: usize,
    eps: f32,
}

impl<B: Backend> Resnet<B> {
    pub(super) fn load(
        config: &UNetConfig,
        place: &Place<'_, '_, B>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        let shortcut = (inputs != outputs)
            .then(|| place.at("conv_shortcut").conv2d(inputs, outputs, 1))
            .transpose()?;
        Ok(Self {
            norm_in: place.at("norm1").norm(inputs)?,
            conv_in: place.at("conv1").conv2d(inputs, outputs, 3)?,
            time: place
                .at("time_emb_proj")
                .linear(config.time_channels(), outputs)?,
            norm_out: place.at("norm2").norm(outputs)?,
            conv_out: place.at("conv2").conv2d(outputs, outputs, 3)?,
            shortcut,
            groups: config.norm_groups,
            eps: config.norm_eps,
        })
    }

    /// `[N, h, w, inputs]` to `[N, h, w, outputs]`.
    pub(super) fn run(
        &self,
        context: &Context<'_, B>,
        input: &B::Tensor,
    ) -> Result<B::Tensor, Error> {
        let engine = context.engine;
        let norm = |weights| GroupNorm {
            weights,
            groups: self.groups,
            eps: self.eps,
            activation: Some(Activation::Silu),
        };
        let time = engine.linear(&context.time, &self.time, LinearCall::default())?;
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm(&self.norm_in)),
            channel_bias: Some(&time),
            ..ConvCall::default()
        };
        let hidden = engine.conv2d(input, &self.conv_in, call)?;
        let shortcut = match &self.shortcut {
            Some(weights) => engine.conv2d(input, weights, ConvCall::default())?,
            None => input.clone(),
        };
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm(&self.norm_out)),
            residual: Some(&shortcut),
            ..ConvCall::default()
        };
        Ok(engine.conv2d(&hidden, &self.conv_out, call)?)
    }
}
