//! Autoencoders: between pixels and latents, built from their configuration.
//!
//! Values are host tensors in and out: encoders end in a distribution that is drawn from on the
//! host, and latents live there between steps. Latents here are the autoencoder's own; whoever
//! drives it multiplies them by the scaling factor.

mod config;
mod kl;
mod moments;
mod tiles;
mod tiny;

pub use config::AutoencoderConfig;

use imagegen_engine::{Backend, Tensor};

use crate::loader::Loader;
use crate::{Error, Weights};
use config::Kind;
use kl::AutoencoderKl;
pub(crate) use moments::Moments;
use tiny::AutoencoderTiny;

/// An autoencoder with its weights.
#[derive(Debug)]
pub struct Autoencoder<B: Backend> {
    config: AutoencoderConfig,
    network: Network<B>,
}

#[derive(Debug)]
enum Network<B: Backend> {
    Kl(Box<AutoencoderKl<B>>),
    Tiny(AutoencoderTiny<B>),
}

/// What an encoder says of a picture: latents, or a normal distribution of them, all
/// `[N, h, w, latent_channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// The most likely latents.
    pub mean: Tensor,
    /// Logarithm of the variance, in -30..20; `None` where there is no distribution.
    pub log_variance: Option<Tensor>,
}

impl Posterior {
    /// The latents that standard normal `noise` of the mean's shape stands for:
    /// `mean + exp(log_variance / 2) * noise`.
    ///
    /// Fails with [`Error::Engine`] where `noise` has another shape.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor, Error> {
        let Some(log_variance) = &self.log_variance else {
            return Ok(self.mean.clone());
        };
        if noise.shape() != self.mean.shape() {
            let expected = format!("{:?}", self.mean.shape());
            return Err(imagegen_engine::Error::shape("noise", noise.shape(), expected).into());
        }
        let draws = log_variance.data().iter().zip(noise.data());
        let latents = self.mean.data().iter().zip(draws);
        let latents = latents.map(|(mean, (log_variance, noise))| {
            let deviation = libm::exp(0.5 * f64::from(*log_variance)) as f32;
            mean + deviation * noise
        });
        Ok(Tensor::new(self.mean.shape(), latents.collect())?)
    }
}

impl<B: Backend> Autoencoder<B> {
    /// Takes the weights of a `vae` folder.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`] unless the tensors are
    /// those of the configuration.
    pub fn load(engine: &B, config: AutoencoderConfig, weights: &Weights) -> Result<Self, Error> {
        let loader = Loader::new(engine, weights);
        let (root, latents) = (loader.root(), config.latent_channels);
        let network = match &config.kind {
            Kind::Kl(sizes) => Network::Kl(Box::new(AutoencoderKl::load(sizes, latents, &root)?)),
            Kind::Tiny(sizes) => Network::Tiny(AutoencoderTiny::load(sizes, latents, &root)?),
        };
        loader.finish(|_| false)?;
        Ok(Self { config, network })
    }

    /// The sizes.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// Encodes pixels `[N, H, W, 3]` in -1..1, whose sides are multiples of the downscale.
    ///
    /// Fails with [`Error::Engine`] for other shapes.
    pub fn encode(&self, engine: &B, pixels: &Tensor) -> Result<Posterior, Error> {
        self.encode_with(engine, pixels, None)
    }

    /// [`Autoencoder::encode`] with activations of no more than about `window` latents each way, which saves memory for
    /// large pictures. `AutoencoderTiny` gives exactly what it gives of the whole, up to rounding; the normalisations of `AutoencoderKL` take moments measured on parts of the picture.
    ///
    /// Fails as [`Autoencoder::encode`].
    pub fn encode_in_tiles(
        &self,
        engine: &B,
        pixels: &Tensor,
        window: usize,
    ) -> Result<Posterior, Error> {
        self.encode_with(engine, pixels, Some(window))
    }

    fn encode_with(
        &self,
        engine: &B,
        pixels: &Tensor,
        window: Option<usize>,
    ) -> Result<Posterior, Error> {
        let [_, h, w, colours] = pixels.nhwc("pixels")?;
        let grid = self.config.downscale();
        if colours != 3 || !h.is_multiple_of(grid) || !w.is_multiple_of(grid) {
            let expected = format!("[N, H, W, 3] with H and W multiples of {grid}");
            return Err(imagegen_engine::Error::shape("pixels", pixels.shape(), expected).into());
        }
        engine.enter("encoder");
        match (&self.network, window) {
            (Network::Kl(network), None) => network.encode(engine, pixels),
            (Network::Kl(network), Some(window)) => network.encode_in_tiles(engine, pixels, window),
            (Network::Tiny(network), window) => Ok(Posterior {
                mean: network.encode(engine, pixels, window)?,
                log_variance: None,
            }),
        }
    }

    /// Decodes latents `[N, h, w, latent_channels]` to pixels `[N, H, W, 3]`; may leave -1..1.
    ///
    /// Fails with [`Error::Engine`] for other shapes.
    pub fn decode(&self, engine: &B, latents: &Tensor) -> Result<Tensor, Error> {
        engine.enter("decoder");
        match &self.network {
            Network::Kl(network) => network.decode(engine, latents),
            Network::Tiny(network) => network.decode(engine, latents, None),
        }
    }

    /// [`Autoencoder::decode`] as [`Autoencoder::encode_in_tiles`] encodes.
    ///
    /// Fails as [`Autoencoder::decode`].
    pub fn decode_in_tiles(
        &self,
        engine: &B,
        latents: &Tensor,
        window: usize,
    ) -> Result<Tensor, Error> {
        engine.enter("decoder");
        match &self.network {
            Network::Kl(network) => network.decode_in_tiles(engine, latents, window),
            Network::Tiny(network) => network.decode(engine, latents, Some(window)),
        }
    }
}
