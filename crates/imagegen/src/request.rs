//! What is asked for.

use std::sync::Arc;

use imagegen_engine::TokenGrid;
use imagegen_engine::cpu::Precision;
use imagegen_picture::{Decoded, Fit, Limits, Picture, Size, Wanted, decode};
use imagegen_pipeline::{Colours, NoiseKind, Sampler, Spacing, Strength, StrengthRule, Variation};
use sha2::{Digest, Sha256};

use crate::{
    Embedding, Enlarge, Error, Hires, Inpaint, LoraUse, PromptMode, RefinerUse, Tiles, VaeTiling,
    Washing,
};

/// A source picture, decoded, and the hash of its file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's base name; empty where there was none.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
    /// The picture, and how it was read.
    pub decoded: Decoded,
}

impl Source {
    /// Decodes a file's bytes. Fails with [`Error::Source`].
    pub fn decode(name: impl Into<String>, bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let name = name.into();
        match decode(bytes, limits) {
            Ok(decoded) => Ok(Self {
                name,
                sha256: hex(&Sha256::digest(bytes)),
                decoded,
            }),
            Err(cause) => Err(Error::Source { name, cause }),
        }
    }

    /// The picture.
    pub fn picture(&self) -> &Picture {
        &self.decoded.picture
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// Finer choices of how texts are read and noise is taken away. `None` takes the model's or the sampler's own default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampling {
    /// How noise levels are laid out.
    pub schedule: Option<Spacing>,
    /// Share of fresh noise, 0 to 1; an error with samplers that have no such choice.
    pub eta: Option<f64>,
    /// Share of the guided output that is brought back to the spread of the prompt's own, 0 to 1.
    pub guidance_rescale: Option<f64>,
    /// Share of the steps that run, from the first, that are guided, above 0, up to 1; the others are as at guidance 1, and
    /// without guidance by the source. All where none is named. Has no say where the guidance is 0 or 1, nor with networks
    /// that hear the scale.
    pub guidance_until: Option<f64>,
    /// Every how many steps the whole network runs, 1 to [`MOST_INTERVAL`]; the steps between take over what its deep layers
    /// made, which is faster and a little off. All steps where none is named.
    pub cache_interval: Option<usize>,
    /// Share of the tokens that self-attention does without where there are most of them, 0 to [`MOST_MERGED`]: each stands
    /// for others that are like it, which is faster and a little off. None where none is named.
    pub token_merging: Option<f64>,
    /// Weight of the source over no source, 0 to 100; an error with models that are not instructed.
    pub image_guidance: Option<f64>,
    /// What is done about colours that an autoencoder shifts. Kept where none is named, but under rules that do as other
    /// programs do.
    pub colours: Option<Colours>,
    /// Share of the noise levels, above 0, from which the refiner takes over, the request's or else the model's; 1 leaves it
    /// out. An error where there is none.
    pub refiner_at: Option<f64>,
    /// Which layer of the text encoders is read, counted from the one that the model reads by itself: 1 that one, 2 the one
    /// before it.
    pub clip_skip: Option<usize>,
    /// Whose random numbers seeds stand for.
    pub noise: NoiseKind,
    /// In what networks multiply, but for text encoders; in other words than f32 a run is faster and a little off.
    pub precision: Precision,
    /// Another seed, whose noise a run starts from in part.
    pub variation: Option<Variation>,
    /// What is done about a source that is a line drawing, by models that can put colours under its lines. They do where
    /// nothing is named.
    pub wash: Option<Washing>,
    /// What is done about pictures larger than the model works at; windows where an enlarged source is.
    pub tiles: Option<Tiles>,
    /// Whether a learned autoencoder looks at the picture in tiles.
    pub vae_tiling: Option<VaeTiling>,
    /// A second pass over a picture from text, enlarged; an error where there is a source.
    pub hires: Option<Hires>,
}

/// Most of [`Sampling::token_merging`].
pub const MOST_MERGED: f64 = TokenGrid::MOST;

/// Most of [`Sampling::cache_interval`].
pub const MOST_INTERVAL: usize = 100;

impl Sampling {
    /// The variation, where it decides anything.
    pub fn varied(&self) -> Option<Variation> {
        self.variation
            .filter(|variation| variation.strength() > 0.0)
    }
}

/// Settings of image-to-image and text-to-image. `None` takes the model's own default.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What to make.
    pub prompt: String,
    /// What to keep away from; empty for nothing.
    pub negative_prompt: String,
    /// What brackets and keywords in both mean.
    pub prompt_mode: PromptMode,
    /// LoRAs that change the model for the run, those that the prompt names among them. Weights of one that is here
    /// more than once add up.
    pub loras: Vec<LoraUse>,
    /// Whether `loras` is all there is, whatever tags of the prompt name. So it is where a picture is made again: its recipe
    /// says what tags and options came to, and files may be called otherwise by now.
    pub loras_settled: bool,
    /// Textual inversions that words of both may stand for, besides those the model has learned. What is made for other
    /// text encoders is left out, with a warning where a text names it.
    pub embeddings: Vec<Arc<Embedding>>,
    /// The model that runs the last steps, in place of the model's own refiner; see [`Sampling::refiner_at`].
    pub refiner: Option<RefinerUse>,
    /// Steps of the full schedule, 1 to 1000.
    pub steps: Option<usize>,
    /// Weight of the prompt over the negative prompt, 0 to 100.
    pub guidance_scale: Option<f64>,
    /// Seed of all noise.
    pub seed: u64,
    /// The algorithm.
    pub sampler: Option<Sampler>,
    /// What else there is to choose of how noise is taken away.
    pub sampling: Sampling,
    /// What strength means.
    pub rule: StrengthRule,
}

impl Settings {
    /// The settings `by` pictures further on in a row of them: the seed counts up, but where there is a variation its seed
    /// does and the first stays.
    pub fn counted(&self, by: u64) -> Self {
        let mut next = self.clone();
        match self.sampling.varied() {
            None => next.seed = self.seed.wrapping_add(by),
            Some(to) => {
                next.sampling.variation = Some(to.towards(to.seed.wrapping_add(by)));
            }
        }
        next
    }

    /// The seed that tells this picture from others of its row.
    pub fn row_seed(&self) -> u64 {
        self.sampling.varied().map_or(self.seed, |to| to.seed)
    }
}

/// A picture made from a source.
#[derive(Debug, Clone)]
pub struct Transform<'a> {
    /// The picture to start from.
    pub source: &'a Source,
    /// What the source is enlarged by before all else. The model then works on all of it, in windows where it is larger than the
    /// model works at.
    pub enlarge: Option<Enlarge>,
    /// How far to move away from it.
    pub strength: Strength,
    /// The size wanted back.
    pub size: Wanted,
    /// What to do where its shape is not the source's.
    pub fit: Fit,
    /// The rest.
    pub settings: Settings,
}

impl Transform<'_> {
    /// Whether it does nothing but enlarge its source: no model runs.
    pub fn only_enlarges(&self) -> bool {
        self.enlarge.is_some() && self.strength.get() == 0.0
    }

    /// Size of the source as it is worked on.
    pub(crate) fn source_size(&self) -> Size {
        let size = self.source.picture().size();
        self.enlarge.map_or(size, |enlarge| enlarge.size(size))
    }
}

/// A picture made from text alone.
#[derive(Debug, Clone)]
pub struct Generate {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The rest.
    pub settings: Settings,
}

/// Any kind of request.
#[derive(Debug, Clone)]
pub enum Request<'a> {
    /// A picture from a source.
    Transform(Transform<'a>),
    /// A picture from text alone.
    Generate(Generate),
    /// A part of a source made anew.
    Inpaint(Inpaint<'a>),
}

impl Request<'_> {
    /// Its settings.
    pub fn settings(&self) -> &Settings {
        match self {
            Self::Transform(request) => &request.settings,
            Self::Generate(request) => &request.settings,
            Self::Inpaint(request) => &request.settings,
        }
    }

    /// Its settings.
    pub fn settings_mut(&mut self) -> &mut Settings {
        match self {
            Self::Transform(request) => &mut request.settings,
            Self::Generate(request) => &mut request.settings,
            Self::Inpaint(request) => &mut request.settings,
        }
    }
}
