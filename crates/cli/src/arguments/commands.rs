//! The arguments of each command.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use imagegen::{Between, Enlarger, Strength};

use super::shared::{
    Machine, ModelChoice, ModelFolders, ModelName, OneStrength, PromptModeChoice, Prompted,
    RuleChoice, Shaping, StepsChoice, Target,
};
use super::values::{self, Strengths};

#[derive(Debug, Args)]
pub(crate) struct TransformArguments {
    /// Pictures to start from: JPEG, PNG, WebP, TIFF, BMP or GIF; - reads standard input
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) strength: OneStrength,

    #[command(flatten)]
    pub(crate) shaping: Shaping,

    /// Results to make for each source, with seeds counted up from the first
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,

    /// Say what each operation of the networks took, on standard error and under `profile` in --json
    #[arg(long)]
    pub(crate) profile: bool,

    #[command(flatten)]
    pub(crate) prompted: Prompted,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// Size of the picture
    #[arg(long, value_name = "WxH", default_value = "512x512", allow_negative_numbers = true, value_parser = values::exact_size)]
    pub(crate) size: (u32, u32),

    #[command(flatten)]
    pub(crate) hires: HiresChoice,

    /// Results to make, with seeds counted up from the first
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,

    #[command(flatten)]
    pub(crate) prompted: Prompted,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// A second pass over the picture, enlarged.
#[derive(Debug, Args)]
pub(crate) struct HiresChoice {
    /// Make the picture at --size, enlarge it so many times, above 1, up to 4, and go over it once more
    ///
    /// The composition is that of the size the model works at, the detail that of the larger one.
    #[arg(
        id = "hires",
        long = "hires",
        value_name = "TIMES",
        allow_negative_numbers = true
    )]
    pub(crate) by: Option<f64>,

    /// How far the second pass moves away from the enlarged picture [default: 0.5]
    #[arg(
        long = "hires-strength",
        value_name = "0..1",
        requires = "hires",
        allow_negative_numbers = true,
        value_parser = values::strength
    )]
    pub(crate) hires_strength: Option<Strength>,

    /// Steps of the second pass's full schedule, 1 to 1000 [default: --steps]
    #[arg(
        long = "hires-steps",
        value_name = "N",
        requires = "hires",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) hires_steps: Option<u16>,

    /// What enlarges: lanczos, realesr-animevideov3 or latent [default: lanczos]
    ///
    /// latent enlarges the model's own latents, which is soft below strength 0.5.
    #[arg(long = "hires-with", value_name = "NAME", requires = "hires")]
    pub(crate) hires_with: Option<Between>,
}

#[derive(Debug, Args)]
pub(crate) struct LadderArguments {
    /// Picture to start from; - reads standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,

    /// Strengths to show: a list, or FIRST..LAST:COUNT
    ///
    /// 0.2..0.8:5 is 0.2, 0.35, 0.5, 0.65 and 0.8. At most 16.
    #[arg(
        short,
        long,
        value_name = "LIST|RANGE",
        default_value = "0.35,0.5,0.65",
        value_parser = values::strengths
    )]
    pub(crate) strengths: Strengths,

    #[command(flatten)]
    pub(crate) shaping: Shaping,

    #[command(flatten)]
    pub(crate) prompted: Prompted,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct VaryArguments {
    /// Picture to start from; - reads standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,

    /// Variations to show, 2 to 64, with seeds counted up from the first
    ///
    /// One that comes out nearly like another is drawn again with the next seed, up to as many times
    /// as there are variations.
    #[arg(long, value_name = "N", default_value_t = 8, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(2..=64))]
    pub(crate) count: u16,

    #[command(flatten)]
    pub(crate) strength: OneStrength,

    #[command(flatten)]
    pub(crate) shaping: Shaping,

    #[command(flatten)]
    pub(crate) prompted: Prompted,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
#[command(mut_arg("prompt", |prompt| prompt
    .required(false)
    .default_value("")
    .hide_default_value(true)
    .help("What to draw in detail, in words [default: nothing is drawn, the picture is only enlarged]")))]
pub(crate) struct UpscaleArguments {
    /// Pictures to enlarge; - reads standard input
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,

    /// How many times as long each side becomes: 2 or 4
    #[arg(long, value_name = "2|4", default_value = "2", allow_negative_numbers = true, value_parser = values::factor)]
    pub(crate) by: u32,

    /// What enlarges: realesr-animevideov3 (a network in this binary) or lanczos
    ///
    /// The network draws sharp edges where the source has soft ones; Lanczos adds nothing.
    #[arg(long, value_name = "NAME", default_value_t, value_parser = values::enlarger)]
    pub(crate) with: Enlarger,

    /// How far the model moves from the enlarged picture, where there is a prompt [default: 0.2]
    ///
    /// 0.1-0.3 draws texture and detail, more draws the picture anew. It works in overlapping windows, averaged at every
    /// step.
    #[arg(
        id = "pass",
        short = 's',
        long = "strength",
        value_name = "0..1",
        value_parser = values::strength,
        allow_negative_numbers = true
    )]
    pub(crate) pass: Option<Strength>,

    #[command(flatten)]
    pub(crate) prompted: Prompted,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct AdviseArguments {
    /// Pictures to look at; - reads standard input
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) strength: OneStrength,

    /// What to make, in words, to be told whether it is too long
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) prompt: String,

    #[command(flatten)]
    pub(crate) mode: PromptModeChoice,

    #[command(flatten)]
    pub(crate) rule: RuleChoice,

    #[command(flatten)]
    pub(crate) steps: StepsChoice,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Picture made by imagegen
    #[arg(value_name = "PICTURE")]
    pub(crate) picture: PathBuf,

    #[command(flatten)]
    pub(crate) sources: SourceFolder,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Picture made by imagegen
    #[arg(value_name = "PICTURE")]
    pub(crate) picture: PathBuf,

    #[command(flatten)]
    pub(crate) sources: SourceFolder,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

#[derive(Debug, Args)]
pub(crate) struct SourceFolder {
    /// Folder that holds the source [default: the picture's own]
    ///
    /// The source is found by what it holds, under whatever name.
    #[arg(long, value_name = "DIR")]
    pub(crate) source_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,

    #[command(flatten)]
    pub(crate) folders: ModelFolders,

    /// List models that `imagegen pull` knows by name, with licence and size
    #[arg(long)]
    pub(crate) available: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Add a model to the user's own folder, after checking that it runs
    Add {
        /// A folder in the diffusers layout, or one .safetensors file
        #[arg(value_name = "PATH")]
        path: PathBuf,

        /// What to call it [default: its own name]
        #[arg(long, value_name = "NAME", value_parser = values::model_name)]
        name: Option<String>,

        /// Copy its files instead of linking to them
        #[arg(long)]
        copy: bool,
    },
    /// Remove a model from the user's own folder; of a link the link alone
    Remove {
        /// Its name, as `imagegen models` shows it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// A name that `imagegen models --available` lists, or a repository: OWNER/NAME or OWNER/NAME@REVISION
    ///
    /// HF_TOKEN is shown to the hub, for what needs an account; HF_ENDPOINT names a mirror.
    #[arg(value_name = "NAME|REPOSITORY")]
    pub(crate) what: String,

    /// Variant of the weights, such as fp16 [default: that of a listed model; else f32 where there is any]
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Option<String>,

    /// One .safetensors file of the repository, by its path there
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<String>,

    /// What to call it [default: the listed, the file's or the repository's name]
    #[arg(long, value_name = "NAME", value_parser = values::model_name)]
    pub(crate) name: Option<String>,

    /// Print errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// Model: a name (starter), a folder in the diffusers layout, or one .safetensors file [default: the
    /// one that runs]
    #[arg(value_name = "MODEL|PATH")]
    pub(crate) named: Option<String>,

    #[command(flatten)]
    pub(crate) model: ModelName,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell to complete in
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Command to describe [default: the program as a whole]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,

    /// Write all pages into this folder instead
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) output: Option<PathBuf>,
}
