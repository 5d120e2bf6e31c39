//! Residual blocks of UNets and autoencoders (`ResnetBlock2D` of diffusers).

use imagegen_engine::{Activation, Backend, ConvCall, GroupNorm, LinearCall, Padding};

use crate::Error;
use crate::autoencoder::Moments;
use crate::loader::Place;

/// Sizes of a residual block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResnetSizes {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Channels of the time embedding it hears; autoencoders have none.
    pub(crate) time: Option<usize>,
    pub(crate) groups: usize,
    pub(crate) eps: f32,
}

/// `input + conv(silu(norm(conv(silu(norm(input))) + time)))`.
#[derive(Debug)]
pub(crate) struct Resnet<B: Backend> {
    norm_in: B::Norm,
    conv_in: B::Conv2d,
    time: Option<B::Linear>,
    norm_out: B::Norm,
    conv_out: B::Conv2d,
    /// Brings the input to the output's channels where they differ.
    shortcut: Option<B::Conv2d>,
    groups: usize,
    eps: f32,
}

impl<B: Backend> Resnet<B> {
    pub(crate) fn load(place: &Place<'_, '_, B>, sizes: ResnetSizes) -> Result<Self, Error> {
        let ResnetSizes {
            inputs, outputs, ..
        } = sizes;
        let shortcut = (inputs != outputs)
            .then(|| place.at("conv_shortcut").conv2d(inputs, outputs, 1))
            .transpose()?;
        Ok(Self {
            norm_in: place.at("norm1").norm(inputs)?,
            conv_in: place.at("conv1").conv2d(inputs, outputs, 3)?,
            time: sizes
                .time
                .map(|time| place.at("time_emb_proj").exact_linear(time, outputs))
                .transpose()?,
            norm_out: place.at("norm2").norm(outputs)?,
            conv_out: place.at("conv2").conv2d(outputs, outputs, 3)?,
            shortcut,
            groups: sizes.groups,
            eps: sizes.eps,
        })
    }

    /// `[N, h, w, inputs]`, which is let go as early as can be, to `[N, h, w, outputs]`. `time` is the activated time embedding
    /// `[N, time]`, for blocks that hear one.
    pub(crate) fn run(
        &self,
        engine: &B,
        input: B::Tensor,
        time: Option<&B::Tensor>,
    ) -> Result<B::Tensor, Error> {
        self.run_with(engine, input, time, &mut Moments::Own)
    }

    /// [`Resnet::run`] with moments for its two normalisations.
    pub(crate) fn run_with(
        &self,
        engine: &B,
        input: B::Tensor,
        time: Option<&B::Tensor>,
        moments: &mut Moments<B>,
    ) -> Result<B::Tensor, Error> {
        let given = moments.next(engine, &input, self.groups)?;
        let norm = GroupNorm {
            weights: &self.norm_in,
            groups: self.groups,
            eps: self.eps,
            activation: Some(Activation::Silu),
            moments: given.as_ref(),
        };
        let time = match (&self.time, time) {
            (Some(weights), Some(time)) => {
                Some(engine.linear(time, weights, LinearCall::default())?)
            }
            _ => None,
        };
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm),
            channel_bias: time.as_ref(),
            ..ConvCall::default()
        };
        let hidden = engine.conv2d(&input, &self.conv_in, call)?;
        let given = moments.next(engine, &hidden, self.groups)?;
        let norm = GroupNorm {
            weights: &self.norm_out,
            moments: given.as_ref(),
            ..norm
        };
        // From here on the input is not needed any more, which is the most of all at the finest levels.
        let shortcut = match &self.shortcut {
            Some(weights) => engine.conv2d(&input, weights, ConvCall::default())?,
            None => input.clone(),
        };
        drop(input);
        let call = ConvCall {
            padding: Padding::all(1),
            norm: Some(norm),
            residual: Some(&shortcut),
            ..ConvCall::default()
        };
        Ok(engine.conv2d(&hidden, &self.conv_out, call)?)
    }
}
