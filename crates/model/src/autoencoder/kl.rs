//! The autoencoder of Stable Diffusion (`AutoencoderKL` of diffusers).
//!
//! Encoder: input convolution, levels of residual blocks each halved at its end, a middle with
//! attention, output convolution to mean and logarithm of variance. The decoder runs the same way
//! back.

use imagegen_engine::{
    Activation, AttentionMask, Backend, ConvCall, DeviceTensor, GroupNorm, LinearCall, Padding,
    Tensor,
};

use super::Posterior;
use super::config::KlSizes;
use super::moments::Moments;
use super::tiles::{Look, Tiles, each_picture};
use crate::Error;
use crate::loader::Place;
use crate::resnet::{Resnet, ResnetSizes};

/// eps of every group normalisation, unlike a UNet's residual blocks'.
const EPS: f32 = 1e-6;
/// Bounds of the logarithm of the variance.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);
const COLOURS: usize = 3;

#[derive(Debug)]
pub(super) struct AutoencoderKl<B: Backend> {
    encoder: Coder<B>,
    quant_conv: Option<B::Conv2d>,
    post_quant_conv: Option<B::Conv2d>,
    decoder: Coder<B>,
}

impl<B: Backend> AutoencoderKl<B> {
    pub(super) fn load(
        sizes: &KlSizes,
        latents: usize,
        root: &Place<'_, '_, B>,
    ) -> Result<Self, Error> {
        let between = |name, wanted: bool, channels| {
            wanted
                .then(|| root.at(name).conv2d(channels, channels, 1))
                .transpose()
        };
        Ok(Self {
            encoder: Coder::load_encoder(sizes, 2 * latents, &root.at("encoder"))?,
            quant_conv: between("quant_conv", sizes.quant_conv, 2 * latents)?,
            post_quant_conv: between("post_quant_conv", sizes.post_quant_conv, latents)?,
            decoder: Coder::load_decoder(sizes, latents, &root.at("decoder"))?,
        })
    }

    pub(super) fn encode(&self, engine: &B, pixels: &Tensor) -> Result<Posterior, Error> {
        let moments = self.encoder.run(engine, &engine.upload(pixels))?;
        self.posterior(engine, moments)
    }

    /// [`Self::encode`] with fine levels looked at in tiles of `window` latents each way.
    pub(super) fn encode_in_tiles(
        &self,
        engine: &B,
        pixels: &Tensor,
        window: usize,
    ) -> Result<Posterior, Error> {
        let fine = self.encoder.fine();
        let tiles = fine.tiles(window);
        // One of a single level has no finer ones.
        if !fine.begins || tiles.hold(tiles.cells(pixels)?) {
            return self.encode(engine, pixels);
        }
        let coarse = each_picture(pixels, |picture| fine.in_tiles(engine, picture, tiles))?;
        let rest = self.encoder.slice(fine.parts.len().., false, true);
        let mut own = Moments::Own;
        let moments = rest.run(engine, &engine.upload(&coarse), &mut own)?;
        self.posterior(engine, moments)
    }

    fn posterior(&self, engine: &B, mut moments: B::Tensor) -> Result<Posterior, Error> {
        if let Some(weights) = &self.quant_conv {
            moments = engine.conv2d(&moments, weights, ConvCall::default())?;
        }
        let channels = moments.shape().last().copied().unwrap_or(0) / 2;
        let (mean, log_variance) = engine.split(&moments, channels)?;
        let mut log_variance = engine.download(&log_variance);
        let (least, most) = LOG_VARIANCE;
        for number in log_variance.data_mut() {
            *number = number.clamp(least, most);
        }
        Ok(Posterior {
            mean: engine.download(&mean),
            log_variance: Some(log_variance),
        })
    }

    pub(super) fn decode(&self, engine: &B, latents: &Tensor) -> Result<Tensor, Error> {
        let state = self.quantised(engine, latents)?;
        Ok(engine.download(&self.decoder.run(engine, &state)?))
    }

    /// [`Self::decode`] with fine levels looked at in tiles of `window` latents each way.
    pub(super) fn decode_in_tiles(
        &self,
        engine: &B,
        latents: &Tensor,
        window: usize,
    ) -> Result<Tensor, Error> {
        let fine = self.decoder.fine();
        let tiles = fine.tiles(window);
        if tiles.hold(tiles.cells(latents)?) {
            return self.decode(engine, latents);
        }
        let rest = self
            .decoder
            .slice(..self.decoder.parts.len() - fine.parts.len(), true, false);
        let state = self.quantised(engine, latents)?;
        let coarse = engine.download(&rest.run(engine, &state, &mut Moments::Own)?);
        drop(state);
        each_picture(&coarse, |picture| fine.in_tiles(engine, picture, tiles))
    }

    fn quantised(&self, engine: &B, latents: &Tensor) -> Result<B::Tensor, Error> {
        let state = engine.upload(latents);
        match &self.post_quant_conv {
            Some(weights) => Ok(engine.conv2d(&state, weights, ConvCall::default())?),
            None => Ok(state),
        }
    }
}

/// Encoder or decoder.
#[derive(Debug)]
struct Coder<B: Backend> {
    conv_in: B::Conv2d,
    parts: Vec<Part<B>>,
    norm_out: B::Norm,
    conv_out: B::Conv2d,
    groups: usize,
}

#[derive(Debug)]
enum Part<B: Backend> {
    Resnet(Resnet<B>),
    Attention(Box<Attention<B>>),
    /// To half the size.
    Reduce(B::Conv2d),
    /// To twice the size.
    Enlarge(B::Conv2d),
}

/// A residual block without time, at `place`.
fn resnet<B: Backend>(
    sizes: &KlSizes,
    place: &Place<'_, '_, B>,
    inputs: usize,
    outputs: usize,
) -> Result<Part<B>, Error> {
    let sizes = ResnetSizes {
        inputs,
        outputs,
        time: None,
        groups: sizes.groups,
        eps: EPS,
    };
    Resnet::load(place, sizes).map(Part::Resnet)
}

/// The middle of either half: residual block, attention, residual block.
fn middle<B: Backend>(
    sizes: &KlSizes,
    place: &Place<'_, '_, B>,
    parts: &mut Vec<Part<B>>,
) -> Result<(), Error> {
    let channels = sizes.channels[sizes.channels.len() - 1];
    let resnets = place.at("resnets");
    parts.push(resnet(sizes, &resnets.at(0), channels, channels)?);
    if sizes.mid_attention {
        let attention = Attention::load(&place.at("attentions.0"), channels, sizes.groups)?;
        parts.push(Part::Attention(Box::new(attention)));
    }
    parts.push(resnet(sizes, &resnets.at(1), channels, channels)?);
    Ok(())
}

impl<B: Backend> Coder<B> {
    fn load_encoder(
        sizes: &KlSizes,
        outputs: usize,
        place: &Place<'_, '_, B>,
    ) -> Result<Self, Error> {
        let channels = &sizes.channels;
        let mut parts = Vec::new();
        for (level, &width) in channels.iter().enumerate() {
            let block = place.at("down_blocks").at(level);
            for index in 0..sizes.resnets {
                let before = channels[level.saturating_sub(1)];
                let inputs = if index == 0 { before } else { width };
                let place = block.at("resnets").at(index);
                parts.push(resnet(sizes, &place, inputs, width)?);
            }
            if level + 1 < channels.len() {
                let conv = block.at("downsamplers.0.conv").conv2d(width, width, 3)?;
                parts.push(Part::Reduce(conv));
            }
        }
        middle(sizes, &place.at("mid_block"), &mut parts)?;
        let coarsest = channels[channels.len() - 1];
        Ok(Self {
            conv_in: place.at("conv_in").exact_conv2d(COLOURS, channels[0], 3)?,
            parts,
            norm_out: place.at("conv_norm_out").norm(coarsest)?,
            conv_out: place.at("conv_out").exact_conv2d(coarsest, outputs, 3)?,
            groups: sizes.groups,
        })
    }

    fn load_decoder(
        sizes: &KlSizes,
        inputs: usize,
        place: &Place<'_, '_, B>,
    ) -> Result<Self, Error> {
        let channels = &sizes.channels;
        let coarsest = channels[channels.len() - 1];
        let mut parts = Vec::new();
        middle(sizes, &place.at("mid_block"), &mut parts)?;
        let mut before = coarsest;
        for (index, &width) in channels.iter().rev().enumerate() {
            let block = place.at("up_blocks").at(index);
            for index in 0..=sizes.resnets {
                let place = block.at("resnets").at(index);
                parts.push(resnet(sizes, &place, before, width)?);
                before = width;
            }
            if index + 1 < channels.len() {
                let conv = block.at("upsamplers.0.conv").conv2d(width, width, 3)?;
                parts.push(Part::Enlarge(conv));
            }
        }
        Ok(Self {
            conv_in: place.at("conv_in").exact_conv2d(inputs, coarsest, 3)?,
            parts,
            norm_out: place.at("conv_norm_out").norm(channels[0])?,
            conv_out: place.at("conv_out").exact_conv2d(channels[0], COLOURS, 3)?,
            groups: sizes.groups,
        })
    }

    fn run(&self, engine: &B, input: &B::Tensor) -> Result<B::Tensor, Error> {
        self.slice(.., true, true)
            .run(engine, input, &mut Moments::Own)
    }

    /// Some of its parts, and what stands before the first and behind the last.
    fn slice(
        &self,
        range: impl std::slice::SliceIndex<[Part<B>], Output = [Part<B>]>,
        begins: bool,
        ends: bool,
    ) -> Slice<'_, B> {
        Slice {
            coder: self,
            parts: &self.parts[range],
            begins,
            ends,
        }
    }

    /// Its levels of more than the latents' places: of an encoder all up to the last reduction, of a decoder all from
    /// the first enlargement on. The rest takes little memory, and its attention sees everything.
    fn fine(&self) -> Slice<'_, B> {
        let reduces = |part: &Part<B>| matches!(part, Part::Reduce(_));
        let enlarges = |part: &Part<B>| matches!(part, Part::Enlarge(_));
        match self.parts.iter().rposition(reduces) {
            Some(last) => self.slice(..=last, true, false),
            None => {
                let first = self.parts.iter().position(enlarges);
                self.slice(first.unwrap_or(self.parts.len()).., false, true)
            }
        }
    }
}

/// A stretch of an encoder or decoder.
#[derive(Debug, Clone, Copy)]
struct Slice<'a, B: Backend> {
    coder: &'a Coder<B>,
    parts: &'a [Part<B>],
    /// Whether the input convolution stands before it.
    begins: bool,
    /// Whether the output convolution stands behind it.
    ends: bool,
}

impl<B: Backend> Slice<'_, B> {
    fn run(
        &self,
        engine: &B,
        input: &B::Tensor,
        moments: &mut Moments<B>,
    ) -> Result<B::Tensor, Error> {
        let coder = self.coder;
        let around = || ConvCall {
            padding: Padding::all(1),
            ..ConvCall::default()
        };
        let mut state = match self.begins {
            true => engine.conv2d(input, &coder.conv_in, around())?,
            false => input.clone(),
        };
        for part in self.parts {
            state = part.run(engine, state, moments)?;
        }
        if !self.ends {
            return Ok(state);
        }
        let given = moments.next(engine, &state, coder.groups)?;
        let norm = GroupNorm {
            weights: &coder.norm_out,
            groups: coder.groups,
            eps: EPS,
            activation: Some(Activation::Silu),
            moments: given.as_ref(),
        };
        let call = ConvCall {
            norm: Some(norm),
            ..around()
        };
        Ok(engine.conv2d(&state, &coder.conv_out, call)?)
    }

    /// How it is cut into tiles of `window` latents each way.
    fn tiles(&self, window: usize) -> Tiles {
        let edge = |there: bool| there.then_some(Look::Around(1.0));
        let parts = self.parts.iter().map(|part| match part {
            Part::Resnet(_) => Look::Around(2.0),
            Part::Attention(_) => Look::Around(f64::INFINITY),
            Part::Reduce(_) => Look::Reduced(2.0),
            Part::Enlarge(_) => Look::Enlarged(1.0),
        });
        let looks = edge(self.begins)
            .into_iter()
            .chain(parts)
            .chain(edge(self.ends));
        Tiles::through(window, looks)
    }

    /// Moments for each of its normalisations, in their order: of parts of `whole` that are spread evenly over it and run
    /// together, as if they were one picture.
    fn measured(&self, engine: &B, whole: &Tensor, tiles: Tiles) -> Result<Vec<Tensor>, Error> {
        let mut moments = Moments::Joined(Vec::new());
        let samples = tiles.samples(whole)?;
        self.run(engine, &engine.upload(&samples), &mut moments)?;
        match moments {
            Moments::Joined(all) => Ok(all),
            Moments::Own | Moments::Kept(_) => Ok(Vec::new()),
        }
    }

    /// What it makes of `whole` `[1, h, w, C]`, tile by tile. Normalisations take the same moments in every tile, so
    /// that tiles fit each other without a seam: those of parts of the picture that are measured together before.
    fn in_tiles(&self, engine: &B, whole: &Tensor, tiles: Tiles) -> Result<Tensor, Error> {
        let kept = self.measured(engine, whole, tiles)?;
        tiles.run(whole, |tile| {
            let mut moments = Moments::kept(engine, &kept);
            let made = self.run(engine, &engine.upload(tile), &mut moments)?;
            Ok(engine.download(&made))
        })
    }
}

impl<B: Backend> Part<B> {
    fn run(
        &self,
        engine: &B,
        input: B::Tensor,
        moments: &mut Moments<B>,
    ) -> Result<B::Tensor, Error> {
        match self {
            Self::Resnet(resnet) => resnet.run_with(engine, input, None, moments),
            Self::Attention(attention) => attention.run(engine, &input),
            Self::Reduce(weights) => {
                // Zeros below and to the right alone, as the first implementation had it.
                let padding = Padding {
                    bottom: 1,
                    right: 1,
                    ..Padding::default()
                };
                let call = ConvCall {
                    stride: 2,
                    padding,
                    ..ConvCall::default()
                };
                Ok(engine.conv2d(&input, weights, call)?)
            }
            Self::Enlarge(weights) => {
                let shape = input.shape();
                let call = ConvCall {
                    padding: Padding::all(1),
                    enlarge_to: Some([2 * shape[1], 2 * shape[2]]),
                    ..ConvCall::default()
                };
                Ok(engine.conv2d(&input, weights, call)?)
            }
        }
    }
}

/// Attention over all pixels of a level, one head, with a residual.
#[derive(Debug)]
struct Attention<B: Backend> {
    norm: B::Norm,
    groups: usize,
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    out: B::Linear,
}

impl<B: Backend> Attention<B> {
    fn load(place: &Place<'_, '_, B>, channels: usize, groups: usize) -> Result<Self, Error> {
        let linear = |name, older| place.renamed(name, older).linear(channels, channels);
        Ok(Self {
            norm: place.at("group_norm").norm(channels)?,
            groups,
            query: linear("to_q", "query")?,
            key: linear("to_k", "key")?,
            value: linear("to_v", "value")?,
            out: linear("to_out.0", "proj_attn")?,
        })
    }

    fn run(&self, engine: &B, input: &B::Tensor) -> Result<B::Tensor, Error> {
        let norm = GroupNorm {
            weights: &self.norm,
            groups: self.groups,
            eps: EPS,
            activation: None,
            moments: None,
        };
        let shape = input.shape();
        let sequence = [shape[0], shape[1] * shape[2], shape[3]];
        let normed = engine.reshape(&engine.group_norm(input, norm)?, &sequence)?;
        let project = |weights| engine.linear(&normed, weights, LinearCall::default());
        let (query, key) = (project(&self.query)?, project(&self.key)?);
        let value = project(&self.value)?;
        let mixed = engine.attention(&query, &key, &value, 1, AttentionMask::None)?;
        let input = engine.reshape(input, &sequence)?;
        let call = LinearCall {
            residual: Some(&input),
            ..LinearCall::default()
        };
        let output = engine.linear(&mixed, &self.out, call)?;
        Ok(engine.reshape(&output, shape)?)
    }
}
