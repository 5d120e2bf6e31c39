//! What a model is, read from its files without getting it ready to run.

use std::path::PathBuf;

use imagegen_engine::cpu::buffer_bytes;
use imagegen_engine::{CpuBackend, Tensor};
use imagegen_model::single_file::Part;
use imagegen_model::{AddedInput, UNetInput};
use imagegen_pipeline::{
    BetaSchedule, BoxedError, LatentCodec, Noise, PredictionType, ScheduleConfig, TimestepSpacing,
};

use super::files::ModelFiles;
use super::mark::Unmarked;
use super::memory::Meter;
use super::networks::Networks;
use super::parts::{CodecPart, Parts};
use super::vae::Vae;
use super::vae_tiling::VaeTiling;
use super::{Defaults, ModelChoice, ModelKind, Sees, defaults};
use crate::{Error, PromptMode, SourceMark};

/// What the network is called that puts colours under lines.
const WASH: &str = "wash";

/// A model's facts.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its folder; `None` where it is part of the program.
    pub folder: Option<PathBuf>,
    /// SHA-256 over its files, in hexadecimal; `None` where they were not read.
    pub sha256: Option<String>,
    /// The autoencoder that takes the place of its own, if one does.
    pub vae: Option<SourceMark>,
    /// What its output is taken for against its files, if that was decided.
    pub prediction: Option<PredictionType>,
    /// Its files by their path in the folder, and their sizes in bytes; those of an autoencoder from elsewhere
    /// follow.
    pub files: Vec<(String, u64)>,
    /// Its networks.
    pub networks: Vec<NetworkInfo>,
    /// What kind of model it is.
    pub kind: ModelKind,
    /// What makes latents of pixels.
    pub codec: CodecKind,
    /// What its latents are.
    pub latents: LatentsInfo,
    /// Weight of the source over no source where a request names none; `None` where the model is not instructed.
    pub image_guidance: Option<f64>,
    /// Tokens it reads of a prompt, both ends included.
    pub prompt_tokens: usize,
    /// Most that a request's `clip_skip` can be.
    pub clip_skip: usize,
    /// Styles worth naming to a person; empty for models that know language at large.
    pub styles: Vec<String>,
    /// The noise schedule.
    pub schedule: ScheduleInfo,
    /// What holds where a request says nothing.
    pub defaults: Defaults,
    /// Longest side, in pixels, of the square it works at; larger pictures are reduced for it.
    pub native_side: u32,
    /// Most pixels it works at.
    pub native_pixels: u64,
    /// Sides it works at are multiples of this, in pixels.
    pub grid: u32,
    /// Memory of a run at the native size.
    pub memory: Memory,
}

/// What makes latents of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecKind {
    /// Patches of pixels are the latents; nothing is lost.
    Patches,
    /// A learned autoencoder.
    Autoencoder,
}

/// What a model's latents are. Two models can work on one picture where theirs are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentsInfo {
    /// Numbers of each latent.
    pub channels: usize,
    /// Pixels per latent each way.
    pub downscale: usize,
    /// What they are multiplied by.
    pub scaling: f64,
}

/// One network of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// What it is, such as `unet`.
    pub name: &'static str,
    /// Numbers in its weights.
    pub parameters: u64,
}

/// A model's noise schedule, in the words of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleInfo {
    /// What the network's output means: `epsilon`, `v_prediction` or `sample`.
    pub prediction_type: &'static str,
    /// How betas run: `linear`, `scaled_linear`, `squaredcos_cap_v2` or `trained`.
    pub beta_schedule: &'static str,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// Length of the training scale.
    pub train_timesteps: usize,
    /// How steps are laid over it: `leading`, `linspace` or `trailing`.
    pub timestep_spacing: &'static str,
    /// Whether betas are rescaled so that the last timestep is pure noise.
    pub zero_terminal_snr: bool,
}

/// Memory of a run, in bytes. An estimate: what the system and other parts of a program take comes on
/// top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Weights, at 16 bits each where that loses nothing and at 32 elsewhere.
    pub weights: u64,
    /// Most that the engine keeps of what its algorithms make of weights on a run at the model's native size.
    pub transformed: u64,
    /// The model's files, which are mapped or part of the program.
    pub files: u64,
    /// Most that the networks' tensors and the pictures take at one time.
    pub run: u64,
}

impl Memory {
    /// All of it.
    pub fn total(self) -> u64 {
        self.weights + self.transformed + self.files + self.run
    }
}

impl ModelInfo {
    /// Reads a model's files.
    ///
    /// Fails as [`Model::load`](crate::Model::load): a model that this can describe can be run.
    pub fn read(choice: impl Into<ModelChoice>) -> Result<Self, Error> {
        Self::describe(&choice.into(), true)
    }

    /// As [`ModelInfo::read`], but of weights reads names and shapes alone: without hashes, and with a lower bound of
    /// what they take.
    pub fn outline(choice: impl Into<ModelChoice>) -> Result<Self, Error> {
        Self::describe(&choice.into(), false)
    }

    /// Whether it puts colours under the lines of drawings.
    pub fn washes(&self) -> bool {
        self.networks.iter().any(|network| network.name == WASH)
    }

    /// Whether it can run the last steps of what the model of `first` begins: by what both files say, before either is loaded;
    /// see [`Model::refine_with`](crate::Model::refine_with).
    pub fn may_refine(&self, first: &Self) -> bool {
        let sees = match (first.kind.sees, self.kind.sees) {
            (Sees::Mask, _) | (_, Sees::Mask) => false,
            (_, Sees::Nothing) => true,
            (first, own) => first == own,
        };
        sees && self.latents == first.latents
    }

    fn describe(choice: &ModelChoice, whole: bool) -> Result<Self, Error> {
        let files = ModelFiles::open(&choice.source)?;
        let mut parts = Parts::read(&files, choice)?;
        parts.set_outlined(!whole);
        let native = parts.native(&files)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let meter = Meter::new(threads);
        let networks = Networks::load(&meter, &files, &parts)?;
        let grid = networks.codec.grid() as u32;
        let side = native_side(native.pixels, grid);
        let run = run_bytes(&meter, &networks, side)?;
        let schedule = parts.scheduler.config(parts.scheduler.sampler())?;
        let least = parts.least_bytes();
        let unmarked = whole.then(|| Unmarked::of(&parts, &files, choice));
        let mark = unmarked.transpose()?.map(|unmarked| unmarked.mark());
        let (sha256, vae) = mark.map_or((None, None), |mark| (Some(mark.sha256), mark.vae));
        let mut sizes = files.sizes();
        sizes.extend(parts.vae.iter().flat_map(Vae::sizes));
        Ok(Self {
            name: files.name().to_owned(),
            folder: files.folder().map(PathBuf::from),
            sha256,
            vae,
            prediction: choice.prediction,
            networks: listed(&parts),
            kind: parts.kind(&networks),
            codec: match parts.codec {
                CodecPart::Patches(_) => CodecKind::Patches,
                CodecPart::Autoencoder(_) => CodecKind::Autoencoder,
            },
            latents: LatentsInfo {
                channels: networks.codec.channels(),
                downscale: networks.codec.downscale(),
                scaling: networks.codec.scaling(networks.unet.config()),
            },
            image_guidance: networks.image_guidance(),
            prompt_tokens: networks.texts.max_tokens(),
            clip_skip: networks.texts.most_left_out() + 1,
            schedule: ScheduleInfo::of(&schedule),
            defaults: defaults(native, &parts.scheduler),
            styles: parts.words.map(|words| words.styles).unwrap_or_default(),
            native_side: side,
            native_pixels: native.pixels,
            grid,
            memory: Memory {
                weights: match whole {
                    true => meter.weights(),
                    false => least,
                },
                transformed: meter.transformed().min(CpuBackend::KEPT as u64),
                files: sizes.iter().map(|(_, bytes)| bytes).sum(),
                run,
            },
            files: sizes,
        })
    }
}

/// The networks and the numbers in their weights.
fn listed(parts: &Parts) -> Vec<NetworkInfo> {
    let network = |name, part: &Part| NetworkInfo {
        name,
        parameters: part.weights.parameters() as u64,
    };
    let mut networks = vec![network("unet", &parts.unet)];
    let texts = parts.texts.iter();
    networks.extend(texts.map(|text| network(text.name, &text.part)));
    if let CodecPart::Autoencoder(part) = &parts.codec {
        networks.push(network("vae", part));
    }
    if let Some(wash) = &parts.wash {
        networks.push(network(WASH, &wash.network));
    }
    networks
}

impl Defaults {
    /// Reads what a model's files say about a request that says nothing; of its weights no more than
    /// names and shapes.
    ///
    /// Fails as [`Model::load`](crate::Model::load) for what it reads.
    pub fn read(choice: impl Into<ModelChoice>) -> Result<Self, Error> {
        let choice = choice.into();
        let files = ModelFiles::open(&choice.source)?;
        let parts = Parts::read(&files, &choice)?;
        Ok(defaults(parts.native(&files)?, &parts.scheduler))
    }
}

/// Side of the largest square on the grid within `pixels`, at least the grid.
pub(super) fn native_side(pixels: u64, grid: u32) -> u32 {
    let side = pixels.isqrt() as u32;
    (side - side % grid).max(grid)
}

/// Most bytes that a run on a square of `side` pixels adds to what stands.
fn run_bytes(meter: &Meter, networks: &Networks<Meter>, side: u32) -> Result<u64, Error> {
    // On the host: source, working picture and result as bytes, pixels in and out, and latents of
    // sampler and guidance, each about as many numbers as there are values in the picture.
    let values = u64::from(side) * u64::from(side) * 3;
    let tensors = run_tensors(meter, networks, Some([side; 2]), [side; 2])?;
    Ok(buffer_bytes(tensors) + values * (3 + 8 * 4))
}

/// Most bytes that networks' tensors take at one time in a run on a picture of `decoded` pixels each way, of which the UNet
/// sees windows of `seen` pixels; `None` where another model encodes and decodes it.
pub(super) fn run_tensors(
    meter: &Meter,
    networks: &Networks<Meter>,
    decoded: Option<[u32; 2]>,
    seen: [u32; 2],
) -> Result<u64, Error> {
    tensors(meter, networks, decoded, seen).map_err(|source| {
        Error::from(imagegen_pipeline::Error::Failed {
            stage: imagegen_pipeline::Stage::Network,
            source,
        })
    })
}

fn tensors(
    meter: &Meter,
    networks: &Networks<Meter>,
    decoded: Option<[u32; 2]>,
    seen: [u32; 2],
) -> Result<u64, BoxedError> {
    let standing = meter.live();
    meter.restart();
    let unet = networks.unet.config();
    let how = (PromptMode::Plain, 0);
    let encoding = networks.texts.encode(meter, how, &[], &[])?;
    {
        let [width, height] = seen.map(|side| side as usize);
        let places = |side: usize| side / networks.codec.downscale();
        let sample = meter.outline([1, places(height), places(width), unet.in_channels]);
        let pooled = &encoding.pooled;
        let numbers = unet
            .added
            .and_then(|added| added.numbers(networks.texts.pooled()));
        let numbers = vec![0.0; numbers.unwrap_or(0)];
        let input = UNetInput {
            sample: &sample,
            timesteps: &[0.0],
            text: &encoding.hidden,
            class_labels: unet.class_inputs.map(|_| pooled),
            added: unet.added.map(|_| AddedInput {
                pooled,
                numbers: &numbers,
            }),
            guidance: unet.guidance_channels.map(|_| [1.0].as_slice()),
            token_merging: 0.0,
        };
        networks.unet.run(meter, &input)?;
    }
    let Some(size) = decoded else {
        return Ok(meter.peak() - standing);
    };
    // Tiles as small as they are: a model of a larger size takes more for them.
    let tiles = VaeTiling::side(0);
    let mut codec = networks.codec.on(meter).tiled(VaeTiling::Auto, tiles);
    let [width, height] = size.map(|side| side as usize);
    let pixels = Tensor::zeros([1, height, width, 3]);
    let latents = codec.encode(&pixels, &mut NoNoise)?;
    codec.decode(&latents)?;
    Ok(meter.peak() - standing)
}

/// Draws nothing: sizes are all that counts.
struct NoNoise;

impl Noise for NoNoise {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        Tensor::zeros(shape)
    }
}

impl ScheduleInfo {
    fn of(config: &ScheduleConfig) -> Self {
        let beta_schedule = match config.beta_schedule {
            _ if config.trained_betas.is_some() => "trained",
            BetaSchedule::Linear => "linear",
            BetaSchedule::ScaledLinear => "scaled_linear",
            BetaSchedule::SquaredcosCapV2 => "squaredcos_cap_v2",
        };
        Self {
            prediction_type: config.prediction_type.name(),
            beta_schedule,
            beta_start: config.beta_start,
            beta_end: config.beta_end,
            train_timesteps: config.num_train_timesteps,
            timestep_spacing: match config.timestep_spacing {
                TimestepSpacing::Leading => "leading",
                TimestepSpacing::Linspace => "linspace",
                TimestepSpacing::Trailing => "trailing",
            },
            zero_terminal_snr: config.rescale_betas_zero_snr,
        }
    }
}

#[cfg(all(test, feature = "starter"))]
mod tests {
    use super::*;
    use crate::ModelSource;

    #[test]
    fn the_starter_is_described_by_its_files() {
        let starter = ModelSource::Starter;
        let info = ModelInfo::read(&starter).unwrap();
        let stored: u64 = info.networks.iter().map(|network| network.parameters).sum();
        // Weights are kept as the files hold them, at 16 bits, but for biases and norms.
        assert!((2 * stored..3 * stored).contains(&info.memory.weights));
        assert!(info.memory.run > 10 << 20, "{:?}", info.memory);
        let bytes: u64 = imagegen_starter::FILES
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        assert_eq!(
            info.files.iter().map(|(_, bytes)| bytes).sum::<u64>(),
            bytes
        );
        assert_eq!(info.native_side % info.grid, 0);
        assert_eq!(info.defaults, Defaults::read(&starter).unwrap());
    }

    #[test]
    fn native_sides_lie_on_the_grid_and_within_the_pixels() {
        assert_eq!(native_side(512 * 512, 16), 512);
        assert_eq!(native_side(512 * 512 - 1, 16), 496);
        assert_eq!(native_side(1, 16), 16);
    }
}
