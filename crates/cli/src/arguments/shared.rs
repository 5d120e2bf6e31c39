//! Options that several commands share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use imagegen::files::{Shelf, Shelves};
use imagegen::{
    Colours, Fit, Format, Level, ModelSource, NoiseKind, Precision, PredictionType, PromptMode,
    Room, Sampling, Settings, Source, Spacing, Strength, StrengthRule, Tiles, Transform, VaeTiling,
    Wanted, Washing,
};

use super::values::{self, NamedSampler};

/// What to make, for every command that makes pictures.
#[derive(Debug, Args)]
pub(crate) struct Prompted {
    /// What to make, in words
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: String,

    /// What to keep away from, in words
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        env = "IMAGEGEN_NEGATIVE",
        hide_env_values = true
    )]
    pub(crate) negative: String,

    #[command(flatten)]
    pub(crate) mode: PromptModeChoice,

    /// Layer of the text encoder to read, counted from the last: 1 that one, 2 the one before it [default: 1]
    ///
    /// For models that were trained so; SDXL counts from the layer it reads by itself, the last but one.
    #[arg(
        long,
        value_name = "N",
        env = "IMAGEGEN_CLIP_SKIP",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) clip_skip: Option<u16>,

    #[command(flatten)]
    pub(crate) steps: StepsChoice,

    /// Weight of the prompt over the negative prompt, 0 to 100 [default: the model's own]
    ///
    /// 1 leaves the negative prompt out and takes half the time, 0 leaves the prompt out.
    #[arg(
        long,
        value_name = "G",
        env = "IMAGEGEN_GUIDANCE",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = values::guidance
    )]
    pub(crate) guidance: Option<f64>,

    /// Seed of all noise [default: drawn, and printed]
    ///
    /// The same seed and settings give the same pixels on every CPU.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,

    /// Whose random numbers seeds stand for: cpu or nv
    ///
    /// cpu: torch's on the CPU, as diffusers, ComfyUI and AUTOMATIC1111 with RNG "CPU" draw them. nv: torch's on a card of NVIDIA's,
    /// as AUTOMATIC1111 draws them with "GPU" and "NV".
    #[arg(
        long,
        value_name = "KIND",
        default_value = "cpu",
        env = "IMAGEGEN_NOISE",
        hide_env_values = true,
        value_parser = values::noise
    )]
    pub(crate) noise: NoiseKind,

    /// In what networks multiply: f32, bf16 or int8
    ///
    /// bf16 and int8 are faster on CPUs that have instructions for them, and off, bf16 a little and int8 a little more: another
    /// picture of the same kind, the same one on every CPU.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "f32",
        env = "IMAGEGEN_PRECISION",
        hide_env_values = true,
        value_parser = values::precision
    )]
    pub(crate) precision: Precision,

    /// Another seed, whose noise the picture starts from in part [default: drawn, and printed]
    ///
    /// For pictures near one that is liked. Of several results this seed counts up, and --seed stays.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        requires = "variation_strength"
    )]
    pub(crate) variation_seed: Option<u64>,

    /// How far from the seed's noise to the variation seed's, 0 to 1 [default: 0]
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true, value_parser = values::share
    )]
    pub(crate) variation_strength: Option<f64>,

    /// Sampler, by our name or one that other tools have for it [default: the model's own]
    ///
    /// ddim, pndm, euler, euler_a, heun, lms, dpm2, dpm2_a, dpmpp_2s_a, dpmpp_2m, dpmpp_sde,
    /// dpmpp_2m_sde, unipc, deis, lcm, tcd or ddpm. Those of two calls a step (heun, dpm2, dpm2_a,
    /// dpmpp_2s_a, dpmpp_sde) take twice the time; lcm and tcd are for models made for them. A name
    /// may end with a schedule, as "DPM++ 2M Karras"; --schedule goes before that.
    #[arg(
        long,
        value_name = "NAME",
        env = "IMAGEGEN_SAMPLER",
        hide_env_values = true,
        value_parser = values::sampler
    )]
    pub(crate) sampler: Option<NamedSampler>,

    /// How noise levels are laid out [default: the model's own]
    ///
    /// model, leading, linspace, trailing, karras, exponential, polyexponential, sgm_uniform, simple
    /// or beta. The same sampler reaches other results in few steps; karras and beta spend more of them
    /// on detail.
    #[arg(
        long,
        value_name = "NAME",
        env = "IMAGEGEN_SCHEDULE",
        hide_env_values = true,
        value_parser = values::schedule
    )]
    pub(crate) schedule: Option<Spacing>,

    /// Share of fresh noise in each step, 0 to 1 [default: the sampler's own]
    ///
    /// For ddim (0 by itself), tcd (0.3), euler_a, dpm2_a, dpmpp_2s_a, dpmpp_sde and dpmpp_2m_sde (1).
    #[arg(
        long,
        value_name = "SHARE",
        env = "IMAGEGEN_ETA",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = values::share
    )]
    pub(crate) eta: Option<f64>,

    /// Share of guidance's contrast to take back, 0 to 1 [default: 0]
    ///
    /// High guidance burns colours in; 0.7 is usual with models of velocity.
    #[arg(
        long,
        value_name = "SHARE",
        env = "IMAGEGEN_GUIDANCE_RESCALE",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = values::share
    )]
    pub(crate) guidance_rescale: Option<f64>,

    /// Share of the steps to guide, from the first, above 0 [default: 1]
    ///
    /// The others are as at guidance 1: 0.5 saves a quarter of the time.
    #[arg(
        long,
        value_name = "SHARE",
        env = "IMAGEGEN_GUIDANCE_UNTIL",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = values::share
    )]
    pub(crate) guidance_until: Option<f64>,

    /// Run the whole network at every N-th step alone, 1 to 100 [default: 1]
    ///
    /// The steps between take over what its deep layers made (DeepCache): 2 or 3 saves up to half of the time, and the picture
    /// is a little another one.
    #[arg(
        long,
        value_name = "N",
        env = "IMAGEGEN_CACHE_INTERVAL",
        hide_env_values = true
    )]
    pub(crate) cache_interval: Option<usize>,

    /// Share of the tokens to merge, 0 to 0.75 [default: 0]
    ///
    /// Self-attention at the finest level does without them; each stands for others that are like it (token merging). The larger
    /// the picture, the more time is saved; it is a little another one.
    #[arg(
        long,
        value_name = "SHARE",
        env = "IMAGEGEN_TOKEN_MERGING",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub(crate) token_merging: Option<f64>,

    /// Weight of the source, 0 to 100, with models that edit as told (InstructPix2Pix) [default: 1.5]
    #[arg(
        long,
        value_name = "SCALE",
        env = "IMAGEGEN_IMAGE_GUIDANCE",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub(crate) image_guidance: Option<f64>,

    /// Colours that a learned autoencoder shifts: kept (the shift is taken back) or decoded [default: kept; decoded
    /// under strength rules diffusers and a1111]
    #[arg(
        long,
        value_name = "HOW",
        env = "IMAGEGEN_COLOURS",
        hide_env_values = true
    )]
    pub(crate) colours: Option<Colours>,

    /// Line drawings, with models that put colours under their lines, as the starter does: on or off [default: on]
    ///
    /// off: a drawing is transformed as it is, on its white paper.
    #[arg(
        long,
        value_name = "on|off",
        env = "IMAGEGEN_WASH",
        hide_env_values = true
    )]
    pub(crate) wash: Option<Washing>,

    /// Pictures larger than the model works at: off or on [default: off]
    ///
    /// off: a source is reduced for the model, and the result enlarged again; a picture from text is made whole. on:
    /// worked on at the result's own size, which the network sees in overlapping windows of its own size at every step.
    #[arg(
        long,
        value_name = "off|on",
        env = "IMAGEGEN_TILES",
        hide_env_values = true
    )]
    pub(crate) tiles: Option<Tiles>,

    /// Whether a learned autoencoder looks at pictures in tiles, which saves memory: auto, on or off [default: auto]
    ///
    /// auto: at those of more than 1.5 megapixels. Tiles leave no seams; they move contrast and tint of the whole by a
    /// level or two of 255.
    #[arg(
        long,
        value_name = "auto|on|off",
        env = "IMAGEGEN_VAE_TILING",
        hide_env_values = true
    )]
    pub(crate) vae_tiling: Option<VaeTiling>,

    /// Share of the noise levels after which --refiner takes over, above 0; 1 leaves it out [default: 0.8]
    #[arg(
        long,
        value_name = "SHARE",
        requires = "refiner",
        allow_negative_numbers = true,
        value_parser = values::share
    )]
    pub(crate) refiner_at: Option<f64>,
}

impl Prompted {
    /// Finer choices than the sampler, but for a variation, which is a matter of seeds.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            schedule: self
                .schedule
                .or(self.sampler.and_then(|named| named.schedule)),
            eta: self.eta,
            guidance_rescale: self.guidance_rescale,
            guidance_until: self.guidance_until,
            cache_interval: self.cache_interval,
            token_merging: self.token_merging,
            image_guidance: self.image_guidance,
            colours: self.colours,
            wash: self.wash,
            refiner_at: self.refiner_at,
            clip_skip: self.clip_skip.map(usize::from),
            noise: self.noise,
            precision: self.precision,
            variation: None,
            tiles: self.tiles,
            vae_tiling: self.vae_tiling,
            hires: None,
        }
    }
}

/// How a source becomes a result, apart from strength.
#[derive(Debug, Args)]
pub(crate) struct Shaping {
    #[command(flatten)]
    pub(crate) rule: RuleChoice,

    /// Size of the result: WxH, or its longest side [default: the source's size]
    #[arg(long, value_name = "WxH|LONGEST", allow_negative_numbers = true, value_parser = values::wanted)]
    pub(crate) size: Option<Wanted>,

    /// What to do where WxH is not the source's shape
    #[arg(
        long,
        value_enum,
        default_value_t = FitName::Keep,
        env = "IMAGEGEN_FIT",
        hide_env_values = true
    )]
    pub(crate) fit: FitName,
}

/// What brackets and keywords in texts mean.
#[derive(Debug, Args)]
pub(crate) struct PromptModeChoice {
    /// How texts are read: a1111 or plain
    ///
    /// a1111: (words:1.2) and [words] weigh, [a:b:0.5] and [a|b] change during the run, AND joins
    /// prompts, BREAK ends a window of 75 tokens, and long texts are read in several windows. plain:
    /// letter by letter in one window, as diffusers reads them.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "a1111",
        env = "IMAGEGEN_PROMPT_MODE",
        hide_env_values = true,
        value_parser = values::prompt_mode
    )]
    pub(crate) prompt_mode: PromptMode,
}

/// How many steps.
#[derive(Debug, Args)]
pub(crate) struct StepsChoice {
    /// Steps of the full schedule, 1 to 1000 [default: the model's own]
    ///
    /// More steps take longer in proportion. Strength decides how many of them run.
    #[arg(
        long,
        value_name = "N",
        env = "IMAGEGEN_STEPS",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) steps: Option<u16>,
}

/// What strength means.
#[derive(Debug, Args)]
pub(crate) struct RuleChoice {
    /// What strength means: share, exact, diffusers or a1111
    ///
    /// share: the last round(steps * strength) steps run. exact: all steps run, below the noise
    /// level that strength names. diffusers and a1111: those programs'
    /// formulas, for comparison with them.
    #[arg(
        long,
        value_name = "RULE",
        default_value = "share",
        env = "IMAGEGEN_STRENGTH_RULE",
        hide_env_values = true,
        value_parser = values::rule
    )]
    pub(crate) strength_rule: StrengthRule,
}

impl Shaping {
    /// What these options and `settings` make of `source` at `strength`.
    pub(crate) fn transform<'a>(
        &self,
        source: &'a Source,
        strength: Strength,
        settings: Settings,
    ) -> Transform<'a> {
        Transform {
            source,
            enlarge: None,
            strength,
            size: self.size.unwrap_or_default(),
            fit: self.fit.into(),
            settings,
        }
    }
}

/// The ways to fit, as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitName {
    /// The whole source, as large as it fits
    Keep,
    /// Cover the size and cut off what sticks out
    Crop,
    /// As keep; the model sees the full shape, filled up with mirrored borders
    Pad,
    /// Exactly the size; the picture is distorted
    Stretch,
}

impl From<FitName> for Fit {
    fn from(name: FitName) -> Self {
        match name {
            FitName::Keep => Self::Keep,
            FitName::Crop => Self::Crop,
            FitName::Pad => Self::Pad,
            FitName::Stretch => Self::Stretch,
        }
    }
}

/// How far to go, for commands that make one strength at a time.
#[derive(Debug, Args)]
pub(crate) struct OneStrength {
    /// How far to move away from the source [default: the model's own, 0.5 as a rule]
    ///
    /// 0 returns the source, 1 ignores it. 0.1-0.3 texture and light, 0.4-0.6 style, 0.7-0.9
    /// dramatic change. Of 30 steps, 0.5 runs 15.
    #[arg(
        short,
        long,
        value_name = "0..1",
        env = "IMAGEGEN_STRENGTH",
        hide_env_values = true,
        value_parser = values::strength,
        allow_negative_numbers = true
    )]
    pub(crate) strength: Option<Strength>,
}

/// Where results go.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// File or folder for the result; the extension (png, jpg, webp) decides the format
    ///
    /// A file that exists is replaced, whole. Without it the result is a PNG in the current folder,
    /// named after source, prompt and seed, and no file is overwritten. - writes one picture to
    /// standard output.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Format of results whose name does not decide it [default: png]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "IMAGEGEN_FORMAT",
        hide_env_values = true
    )]
    pub(crate) format: Option<FormatName>,

    /// Whether `format` was typed; a default gives way to an extension.
    #[arg(skip)]
    pub(crate) format_typed: bool,
}

/// Formats that results are written in, as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// Lossless
    Png,
    /// Small, slightly lossy, without transparency
    #[value(alias = "jpg")]
    Jpeg,
    /// Lossless, smaller than PNG
    Webp,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Png => Self::Png,
            FormatName::Jpeg => Self::JPEG,
            FormatName::Webp => Self::WebP,
        }
    }
}

/// Which model.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelName {
    /// Model: a name (starter, or one that `imagegen models` lists), a folder in the diffusers layout, or one
    /// .safetensors file
    #[arg(long, value_name = "NAME|PATH", default_value = default_model(), env = "IMAGEGEN_MODEL")]
    pub(crate) model: String,

    #[command(flatten)]
    pub(crate) over: Overrides,

    #[command(flatten)]
    pub(crate) folders: ModelFolders,
}

/// Where models are found by name.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelFolders {
    /// Folder to find models in by name; may be given again
    ///
    /// Such as those of AUTOMATIC1111 and ComfyUI. Folders inside are looked into; `imagegen models` lists what
    /// there is. The user's own is always among them. Several stand in one value as in PATH.
    #[arg(
        long,
        value_name = "DIR",
        env = "IMAGEGEN_MODELS_DIR",
        hide_env_values = true,
        value_delimiter = LIST
    )]
    pub(crate) models_dir: Vec<PathBuf>,
}

/// What stands between paths of a list.
pub(crate) const LIST: char = if cfg!(windows) { ';' } else { ':' };

/// The word that takes back an autoencoder that is named elsewhere. A file of this name is `./own`.
const OWN: &str = "own";

/// What holds in place of what a model's files say.
#[derive(Debug, Clone, Args)]
pub(crate) struct Overrides {
    /// Autoencoder in place of the model's own: one .safetensors file, or a folder in the diffusers layout
    ///
    /// The word `own` stands for the model's, where the configuration or the environment names another.
    #[arg(
        long,
        value_name = "FILE|FOLDER",
        env = "IMAGEGEN_VAE",
        hide_env_values = true
    )]
    pub(crate) vae: Option<PathBuf>,

    /// What the network predicts, whatever its files say: epsilon, v_prediction or sample
    ///
    /// For files that do not say it, or say it wrong: a wrong kind makes noise or flat colours.
    #[arg(
        long,
        value_name = "KIND",
        env = "IMAGEGEN_PREDICTION",
        hide_env_values = true,
        value_parser = values::prediction
    )]
    pub(crate) prediction: Option<PredictionType>,
}

impl ModelName {
    /// The model that is meant.
    ///
    /// Fails where there is none of this name.
    pub(crate) fn choice(&self) -> Result<imagegen::ModelChoice, imagegen::Error> {
        self.over.on(&self.model, &self.folders)
    }
}

impl Overrides {
    /// The autoencoder in place of the model's own.
    pub(crate) fn vae(&self) -> Option<&Path> {
        self.vae.as_deref().filter(|vae| *vae != OWN)
    }

    /// The model of this name or path with these settings.
    ///
    /// Fails where there is none.
    pub(crate) fn on(
        &self,
        name: &str,
        folders: &ModelFolders,
    ) -> Result<imagegen::ModelChoice, imagegen::Error> {
        let vae = self.vae();
        Ok(imagegen::ModelChoice {
            source: folders.model(name)?,
            vae: vae.map(|vae| folders.autoencoder(vae)).transpose()?,
            prediction: self.prediction,
        })
    }
}

/// Which model, and what it learns for the run.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelChoice {
    #[command(flatten)]
    pub(crate) named: ModelName,

    /// Textual inversion (.safetensors) that a word of the prompts stands for; may be given again
    ///
    /// The word is the file's name without its ending, or NAME of NAME=FILE; prompts have it alone or as
    /// <NAME>.
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(crate) embedding: Vec<String>,

    /// Model that runs the last steps on the same latents, as SDXL's refiner does for SDXL
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) refiner: Option<String>,

    /// LoRA (.safetensors) that changes the model, and how much of it, -10 to 10; may be given again
    ///
    /// A file, or a name in --loras-dir; prompts name those as <lora:NAME:WEIGHT>. 1, which holds where no weight is
    /// named, is what it was trained for. Weights of one that is named twice add up. `replay` and `verify` take weights
    /// from the picture.
    #[arg(long, value_name = "FILE|NAME[:WEIGHT]")]
    pub(crate) lora: Vec<String>,

    #[command(flatten)]
    pub(crate) shelves: ShelfFolders,
}

/// Folders of files that requests name.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShelfFolders {
    /// Folder of LoRAs (.safetensors) that prompts name as <lora:NAME:WEIGHT>
    ///
    /// NAME is a file's name without its ending, in the folder or in folders inside it. Only files that are named are
    /// read.
    #[arg(
        long,
        value_name = "DIR",
        env = "IMAGEGEN_LORAS_DIR",
        hide_env_values = true
    )]
    pub(crate) loras_dir: Option<PathBuf>,

    /// Folder of textual inversions (.safetensors) that words of prompts stand for
    ///
    /// The word is a file's name without its ending. Only files that are named are read.
    #[arg(
        long,
        value_name = "DIR",
        env = "IMAGEGEN_EMBEDDINGS_DIR",
        hide_env_values = true
    )]
    pub(crate) embeddings_dir: Option<PathBuf>,
}

impl ShelfFolders {
    /// Opens the folders. Fails where one cannot be read.
    pub(crate) fn open(&self) -> Result<Shelves, imagegen::Error> {
        Ok(Shelves {
            loras: self.loras_dir.as_deref().map(Shelf::open).transpose()?,
            embeddings: self
                .embeddings_dir
                .as_deref()
                .map(Shelf::open)
                .transpose()?,
        })
    }
}

/// The model that holds where none is named.
pub(crate) fn default_model() -> &'static str {
    ModelSource::NAMES.first().copied().unwrap_or("")
}

/// What to compute on.
#[derive(Debug, Args)]
pub(crate) struct Compute {
    /// Threads to compute with [default: the physical cores]; results do not depend on it
    #[arg(
        long,
        value_name = "N",
        env = "IMAGEGEN_THREADS",
        hide_env_values = true,
        allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub(crate) threads: Option<u16>,

    /// Instruction set: avx512, avx2 or portable [default: the best this CPU has]; results do not
    /// depend on it
    #[arg(long, value_name = "LEVEL", env = "IMAGEGEN_CPU", value_parser = values::level)]
    pub(crate) cpu: Option<Level>,

    /// Most memory to take, in MiB; 0 for any [default: what is free, where the system says it]
    ///
    /// A model that surely takes more is not loaded, and a size that does is not begun; the largest that fits is
    /// named.
    #[arg(
        long,
        value_name = "MIB",
        env = "IMAGEGEN_MEMORY",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub(crate) memory: Option<u32>,
}

impl Compute {
    /// The memory that may be taken.
    pub(crate) fn room(&self) -> Room {
        match self.memory {
            None => Room::Free,
            Some(0) => Room::Any,
            Some(mebibytes) => Room::Within(u64::from(mebibytes) << 20),
        }
    }
}

/// What to compute on, and what to say.
#[derive(Debug, Args)]
pub(crate) struct Machine {
    #[command(flatten)]
    pub(crate) compute: Compute,

    /// Print one JSON document of facts on stdout
    #[arg(long)]
    pub(crate) json: bool,

    /// Print errors and warnings only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
