//! What a model is, read from its files without getting it ready to run.

use std::path::PathBuf;

use imagegen_engine::DeviceTensor;
use imagegen_model::{ClipText, ClipTextConfig, UNet, UNetConfig, UNetInput};
use imagegen_pipeline::{
    BetaSchedule, LatentCodec, PredictionType, ScheduleConfig, TimestepSpacing,
};

use super::files::ModelFiles;
use super::latents::LatentsFile;
use super::memory::Meter;
use super::scheduler::SchedulerFile;
use super::words::PromptWords;
use super::{Defaults, ModelSource, check_wiring, defaults};
use crate::Error;

/// A model's facts.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its folder; `None` where it is part of the program.
    pub folder: Option<PathBuf>,
    /// SHA-256 over its files, in hexadecimal.
    pub sha256: String,
    /// Its files by their path in the folder, and their sizes in bytes.
    pub files: Vec<(String, u64)>,
    /// Its networks.
    pub networks: Vec<NetworkInfo>,
    /// Whether the network sees the source beside the noised latents.
    pub sees_source: bool,
    /// Tokens it reads of a prompt, both ends included.
    pub prompt_tokens: usize,
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
    /// Weights, as f32.
    pub weights: u64,
    /// What the engine's algorithms make of weights on a run at the model's native size, and keep.
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
    pub fn read(source: &ModelSource) -> Result<Self, Error> {
        let files = ModelFiles::open(source)?;
        let fail = |cause| Error::Model {
            model: files.name().to_owned(),
            cause,
        };
        let latents = LatentsFile::parse(&files.text("latents.json")?)?;
        let scheduler = SchedulerFile::parse(&files.text("scheduler/scheduler_config.json")?)?;
        let words = PromptWords::parse(files.optional_text("prompt_words.json")?.as_deref())?;
        files.tokenizer()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let meter = Meter::new(threads);
        let config = files.text("text_encoder/config.json")?;
        let config = ClipTextConfig::parse("text_encoder/config.json", &config).map_err(fail)?;
        let text_weights = files.weights("text_encoder/model.safetensors")?;
        let text = ClipText::load(&meter, config, &text_weights).map_err(fail)?;
        let config = files.text("unet/config.json")?;
        let config = UNetConfig::parse("unet/config.json", &config).map_err(fail)?;
        check_wiring(&config, &latents, text.config().hidden_size)?;
        let unet_weights = files.weights("unet/diffusion_pytorch_model.safetensors")?;
        let unet = UNet::load(&meter, config, &unet_weights).map_err(fail)?;
        let network = |name, parameters: usize| NetworkInfo {
            name,
            parameters: parameters as u64,
        };
        let grid = latents.codec.grid() as u32;
        let native_side = native_side(latents.pixels(), grid);
        // Tables of embeddings are tensors that stay.
        let tables = meter.live();
        let text = text.config();
        let run = run_bytes(&meter, &unet, text, native_side, &latents)?;
        let sizes = files.sizes()?;
        Ok(Self {
            name: files.name().to_owned(),
            folder: files.folder().map(PathBuf::from),
            sha256: files.hash()?,
            networks: vec![
                network("unet", unet_weights.parameters()),
                network("text_encoder", text_weights.parameters()),
            ],
            sees_source: latents.conditioning.is_some(),
            prompt_tokens: text.max_positions,
            styles: words.map(|words| words.styles).unwrap_or_default(),
            schedule: ScheduleInfo::of(&scheduler.config(scheduler.sampler())?),
            defaults: defaults(&latents, &scheduler),
            native_side,
            native_pixels: latents.pixels(),
            grid,
            memory: Memory {
                weights: meter.weights() + tables,
                transformed: meter.transformed(),
                files: sizes.iter().map(|(_, bytes)| bytes).sum(),
                run,
            },
            files: sizes,
        })
    }
}

impl Defaults {
    /// Reads what a model's files say about a request that says nothing, and nothing else of them.
    ///
    /// Fails as [`Model::load`](crate::Model::load) for the files it reads.
    pub fn read(source: &ModelSource) -> Result<Self, Error> {
        let files = ModelFiles::open(source)?;
        let latents = LatentsFile::parse(&files.text("latents.json")?)?;
        let scheduler = SchedulerFile::parse(&files.text("scheduler/scheduler_config.json")?)?;
        Ok(defaults(&latents, &scheduler))
    }
}

/// Side of the largest square on the grid within `pixels`, at least the grid.
pub(super) fn native_side(pixels: u64, grid: u32) -> u32 {
    let side = pixels.isqrt() as u32;
    (side - side % grid).max(grid)
}

/// Most bytes that a run on a square of `side` pixels adds to what stands.
fn run_bytes(
    meter: &Meter,
    unet: &UNet<Meter>,
    text: &ClipTextConfig,
    side: u32,
    latents: &LatentsFile,
) -> Result<u64, Error> {
    let standing = meter.live();
    let places = side as usize / latents.codec.downscale();
    let sample = meter.outline([1, places, places, unet.config().in_channels]);
    let hidden = meter.outline([1, text.max_positions, text.hidden_size]);
    let labels = unet
        .config()
        .class_inputs
        .map(|inputs| meter.outline([1, inputs]));
    let input = UNetInput {
        sample: &sample,
        timesteps: &[0.0],
        text: &hidden,
        class_labels: labels.as_ref(),
        added: None,
        guidance: None,
    };
    let output = unet.run(meter, &input).map_err(|cause| Error::Model {
        model: "network".to_owned(),
        cause,
    })?;
    debug_assert_eq!(output.shape().first(), Some(&1));
    // On the host: source, working picture and result as bytes, pixels in and out, and latents of
    // sampler and guidance, each about as many numbers as there are values in the picture.
    let values = u64::from(side) * u64::from(side) * 3;
    // Buffers are kept for the next step and given to tensors somewhat smaller than they: a quarter more,
    // as measured (the starter at 512x512 takes 185 MiB in all, this and the rest add up to 168).
    let tensors = meter.peak() - standing;
    Ok(tensors + tensors / 4 + values * (3 + 8 * 4))
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
            prediction_type: match config.prediction_type {
                PredictionType::Epsilon => "epsilon",
                PredictionType::VPrediction => "v_prediction",
                PredictionType::Sample => "sample",
            },
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

    #[test]
    fn the_starter_is_described_by_its_files() {
        let info = ModelInfo::read(&ModelSource::Starter).unwrap();
        let stored: u64 = info.networks.iter().map(|network| network.parameters).sum();
        // Weights are kept as f32, whatever the files hold.
        assert_eq!(info.memory.weights / 4, stored);
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
        assert_eq!(
            info.defaults,
            Defaults::read(&ModelSource::Starter).unwrap()
        );
    }

    #[test]
    fn native_sides_lie_on_the_grid_and_within_the_pixels() {
        assert_eq!(native_side(512 * 512, 16), 512);
        assert_eq!(native_side(512 * 512 - 1, 16), 496);
        assert_eq!(native_side(1, 16), 16);
    }
}
