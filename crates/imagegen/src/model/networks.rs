//! A model's networks on a backend. Written over any, so that memory can be forecast by running them
//! on shapes.

use std::sync::Arc;

use imagegen_engine::{Backend, Tensor};
use imagegen_model::{
    Autoencoder, AutoencoderConfig, ClipText, ClipTextConfig, Posterior, TextStates, UNet,
    UNetConfig,
};
use imagegen_pipeline::{BoxedError, Conditioning, LatentCodec, Noise, PatchLatents, Relation};

use super::files::ModelFiles;
use super::finish::TextFinish;
use super::parts::{CodecPart, Parts};
use super::texts::Texts;
use super::vae;
use super::vae_tiling::VaeTiling;
use super::wash::TextWash;
use crate::Error;

/// Weight of the source over no source where none is named, as in diffusers' pipeline.
const IMAGE_GUIDANCE: f64 = 1.5;

/// All networks of a model.
#[derive(Debug)]
pub(super) struct Networks<B: Backend> {
    pub(super) unet: UNet<B>,
    pub(super) texts: Texts<B>,
    pub(super) codec: Codec<B>,
    /// What the UNet is shown of a source, where it sees any of it.
    pub(super) conditioning: Option<Conditioning>,
    /// How results are finished, by the text.
    pub(super) finish: Option<TextFinish>,
    /// What puts colours under drawings.
    pub(super) wash: Option<TextWash<B>>,
}

/// What makes latents of pixels, and pixels of latents.
#[derive(Debug)]
pub(super) enum Codec<B: Backend> {
    /// Patches of pixels.
    Patches(PatchLatents),
    /// A learned autoencoder.
    Autoencoder(Autoencoder<B>),
}

impl<B: Backend> Networks<B> {
    /// Makes the networks of a model's parts and checks that they fit each other.
    pub(super) fn load(engine: &B, files: &ModelFiles, parts: &Parts) -> Result<Self, Error> {
        let fail = |cause| files.fail(cause);
        let config = UNetConfig::parse("unet/config.json", &parts.unet.config).map_err(fail)?;
        // Networks that hear a pooled text were trained on states before the last layer.
        let states = match config.added {
            Some(_) => TextStates {
                skip: 1,
                normalised: false,
            },
            None => TextStates::LAST,
        };
        let mut towers = Vec::new();
        for text in &parts.texts {
            let file = format!("{}/config.json", text.name);
            let config = ClipTextConfig::parse(&file, &text.part.config).map_err(fail)?;
            let tower = ClipText::load(engine, config, &text.part.weights).map_err(fail)?;
            towers.push((tower, Arc::clone(&text.tokenizer)));
        }
        let texts = Texts {
            towers,
            states,
            embeddings: Vec::new(),
        };
        let codec = match &parts.codec {
            CodecPart::Patches(latents) => Codec::Patches(latents.codec.clone()),
            CodecPart::Autoencoder(part) => {
                let config =
                    AutoencoderConfig::parse("vae/config.json", &part.config).map_err(fail)?;
                let network = Autoencoder::load(engine, config, &part.weights).map_err(fail)?;
                Codec::Autoencoder(network)
            }
        };
        let conditioning = match &parts.codec {
            CodecPart::Patches(latents) => latents.conditioning.clone(),
            CodecPart::Autoencoder(_) => seen(&config, codec.channels()),
        };
        check_wiring(&config, conditioning.as_ref(), codec.channels(), &texts)?;
        let finish = parts.finish.clone();
        if let Some(finish) = &finish
            && finish.channels() != texts.pooled()
        {
            let subject = "the number of weights in a row of finish.json field \"hidden\"";
            let expected = format!("{}, the channels of the pooled text", texts.pooled());
            return Err(Error::setting(subject, finish.channels(), expected));
        }
        let wash = parts.wash.as_ref();
        let wash = wash.map(|wash| TextWash::load(engine, files, wash, &texts));
        let wash = wash.transpose()?;
        Ok(Self {
            unet: UNet::load(engine, config, &parts.unet.weights).map_err(fail)?,
            texts,
            codec,
            conditioning,
            finish,
            wash,
        })
    }
}

impl<B: Backend> Networks<B> {
    /// Weight of the source over no source where none is named; `None` where the model is not instructed.
    pub(super) fn image_guidance(&self) -> Option<f64> {
        match (&self.conditioning, self.unet.config().guidance_channels) {
            (Some(Conditioning::Instructed), None) => Some(IMAGE_GUIDANCE),
            (Some(Conditioning::Instructed), Some(_)) => Some(1.0),
            _ => None,
        }
    }
}

/// What a UNet is shown besides noised latents of so many `channels`, by the channels it takes.
pub(super) fn seen(unet: &UNetConfig, channels: usize) -> Option<Conditioning> {
    [Conditioning::Masked, Conditioning::Instructed]
        .into_iter()
        .find(|kind| channels + kind.channels(channels) == unet.in_channels)
}

/// Fails unless channels of network, latents and text fit each other.
fn check_wiring<B: Backend>(
    unet: &UNetConfig,
    conditioning: Option<&Conditioning>,
    channels: usize,
    texts: &Texts<B>,
) -> Result<(), Error> {
    let extra = conditioning.map_or(0, |conditioning| conditioning.channels(channels));
    let relation = conditioning.map_or(Relation::Apart, Conditioning::relation);
    let (hidden, pooled) = (texts.hidden(), texts.pooled());
    let wiring = [
        ("in_channels", unet.in_channels, channels + extra),
        (
            "out_channels",
            unet.out_channels,
            relation.channels(channels),
        ),
        ("cross_attention_dim", unet.cross_attention_dim, hidden),
        (
            "projection_class_embeddings_input_dim",
            unet.class_inputs.unwrap_or(pooled),
            pooled,
        ),
    ];
    for (field, got, expected) in wiring {
        if got != expected {
            let subject = format!("unet/config.json field \"{field}\"");
            let expected = match (field, conditioning) {
                ("in_channels", None) => {
                    let (source, mask) = (2 * channels, 2 * channels + 1);
                    format!("{channels}, {source} or {mask} for these latents")
                }
                _ => format!("{expected} for these latents and this text encoder"),
            };
            return Err(Error::setting(subject, got, expected));
        }
    }
    if let Some(added) = unet.added
        && !matches!(added.numbers(pooled), Some(5 | 6))
    {
        let (five, six) = (5 * added.number_channels, 6 * added.number_channels);
        return Err(Error::setting(
            "unet/config.json field \"projection_class_embeddings_input_dim\"",
            added.inputs,
            format!(
                "{} or {} for this text encoder",
                pooled + five,
                pooled + six
            ),
        ));
    }
    Ok(())
}

impl<B: Backend> Codec<B> {
    /// What latents are multiplied by before `unet` sees them.
    pub(super) fn scaling(&self, unet: &UNetConfig) -> f64 {
        match self {
            Self::Patches(patches) => patches.scaling(),
            // A small one gives them multiplied.
            Self::Autoencoder(network) if !network.config().has_posterior() => {
                vae::usual_scaling(unet)
            }
            Self::Autoencoder(network) => network.config().scaling_factor,
        }
    }

    pub(super) fn channels(&self) -> usize {
        match self {
            Self::Patches(patches) => patches.channels(),
            Self::Autoencoder(network) => network.config().latent_channels,
        }
    }

    /// Pixels per latent, each way.
    pub(super) fn downscale(&self) -> usize {
        match self {
            Self::Patches(patches) => patches.downscale(),
            Self::Autoencoder(network) => network.config().downscale(),
        }
    }

    /// Sides of a picture must be multiples of this.
    pub(super) fn grid(&self) -> usize {
        match self {
            Self::Patches(patches) => patches.grid(),
            // UNets take latents of any size.
            Self::Autoencoder(network) => network.config().downscale(),
        }
    }

    /// The codec for one run.
    pub(super) fn on<'a>(&'a self, engine: &'a B) -> BoundCodec<'a, B> {
        BoundCodec {
            codec: self,
            engine,
            tiling: VaeTiling::Off,
            side: 0,
        }
    }
}

/// A codec and where it runs.
#[derive(Debug)]
pub(crate) struct BoundCodec<'a, B: Backend> {
    codec: &'a Codec<B>,
    engine: &'a B,
    tiling: VaeTiling,
    /// Side of a tile, in pixels.
    side: u32,
}

/// Longest side, in pixels, of a preview that an autoencoder decodes: on a CPU a whole picture would
/// take as long as a step.
const PREVIEW_SIDE: usize = 128;

impl<B: Backend> BoundCodec<'_, B> {
    /// The same, looking at pictures in tiles of `side` pixels each way where `tiling` says so.
    pub(crate) fn tiled(self, tiling: VaeTiling, side: u32) -> Self {
        Self {
            tiling,
            side,
            ..self
        }
    }

    /// Whether the encoder gives a spread of latents beside their mean.
    pub(crate) fn has_posterior(&self) -> bool {
        match self.codec {
            Codec::Patches(_) => false,
            Codec::Autoencoder(network) => network.config().has_posterior(),
        }
    }

    /// Side in latents of the tiles in which a picture of so many pixels each way is looked at; `None` for one that is
    /// looked at whole.
    pub(crate) fn window(&self, size: [usize; 2]) -> Option<usize> {
        let learned = matches!(self.codec, Codec::Autoencoder(_));
        let cuts = learned && self.tiling.cuts(size, self.side);
        cuts.then(|| self.side as usize / self.codec.downscale())
    }

    /// What the encoder says of pixels.
    fn posterior(
        &self,
        network: &Autoencoder<B>,
        pixels: &Tensor,
    ) -> Result<Posterior, imagegen_model::Error> {
        let [_, height, width, _] = pixels.nhwc("pixels")?;
        match self.window([height, width]) {
            Some(window) => network.encode_in_tiles(self.engine, pixels, window),
            None => network.encode(self.engine, pixels),
        }
    }

    /// Longest side of the latents that a preview is decoded from; `None` where decoding costs
    /// nothing.
    pub(crate) fn preview_side(&self) -> Option<usize> {
        match self.codec {
            Codec::Patches(_) => None,
            Codec::Autoencoder(_) => Some(PREVIEW_SIDE / self.codec.downscale()),
        }
    }
}

fn times(mut tensor: Tensor, number: impl Fn(f32) -> f32) -> Tensor {
    tensor
        .data_mut()
        .iter_mut()
        .for_each(|value| *value = number(*value));
    tensor
}

impl<B: Backend> LatentCodec for BoundCodec<'_, B> {
    fn encode(&mut self, pixels: &Tensor, noise: &mut dyn Noise) -> Result<Tensor, BoxedError> {
        match self.codec {
            Codec::Patches(patches) => patches.clone().encode(pixels, noise),
            Codec::Autoencoder(network) => {
                let posterior = self.posterior(network, pixels)?;
                let latents = match posterior.log_variance {
                    None => posterior.mean,
                    Some(_) => {
                        let drawn = noise.normal(posterior.mean.nhwc("latents")?);
                        posterior.sample(&drawn)?
                    }
                };
                let factor = network.config().scaling_factor as f32;
                Ok(times(latents, |value| factor * value))
            }
        }
    }

    fn condition(&mut self, pixels: &Tensor) -> Result<Tensor, BoxedError> {
        match self.codec {
            Codec::Patches(patches) => patches.clone().condition(pixels),
            Codec::Autoencoder(network) => Ok(self.posterior(network, pixels)?.mean),
        }
    }

    fn decode(&mut self, latents: &Tensor) -> Result<Tensor, BoxedError> {
        match self.codec {
            Codec::Patches(patches) => patches.clone().decode(latents),
            Codec::Autoencoder(network) => {
                let factor = network.config().scaling_factor as f32;
                let latents = times(latents.clone(), |value| value / factor);
                let [_, height, width, _] = latents.nhwc("latents")?;
                let size = [height, width].map(|side| side * network.config().downscale());
                Ok(match self.window(size) {
                    Some(window) => network.decode_in_tiles(self.engine, &latents, window)?,
                    None => network.decode(self.engine, &latents)?,
                })
            }
        }
    }

    fn grid(&self) -> usize {
        self.codec.grid()
    }

    fn is_exact(&self) -> bool {
        matches!(self.codec, Codec::Patches(_))
    }

    fn channels(&self) -> usize {
        self.codec.channels()
    }

    fn downscale(&self) -> usize {
        self.codec.downscale()
    }
}
