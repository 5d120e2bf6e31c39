//! Options of `inpaint`.

use std::path::PathBuf;

use clap::Args;
use imagegen::{Area, Edge, Expand, Intent, MaskedContent, Strength};

use super::masks::MaskOptions;
use super::shared::{Machine, ModelChoice, Prompted, RuleChoice, Target};
use super::values;

#[derive(Debug, Args)]
#[command(mut_arg("prompt", |prompt| prompt
    .required(false)
    .default_value("")
    .hide_default_value(true)
    .required_unless_present("intent")
    .required_if_eq_any(prompted())
    .help("What to make, in words; --intent remove needs none")))]
pub(crate) struct InpaintArguments {
    /// Picture to change; - reads standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,

    #[command(flatten)]
    pub(crate) painting: Painting,

    #[command(flatten)]
    pub(crate) rule: RuleChoice,

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

    #[command(flatten)]
    pub(crate) mask: MaskOptions,

    #[command(flatten)]
    pub(crate) edge: EdgeOptions,
}

/// The option and the names of intents that need a prompt.
fn prompted() -> impl Iterator<Item = (&'static str, &'static str)> {
    let intents = Intent::ALL
        .into_iter()
        .filter(|intent| intent.needs_prompt());
    intents.map(|intent| ("intent", intent.name()))
}

/// What is to be done under the mask.
#[derive(Debug, Args)]
pub(crate) struct Painting {
    /// What is wanted: change, fill, replace-background, add, remove or refine
    ///
    /// Stands for strength, masked content, area and colour match that do it best; each can be set apart.
    /// replace-background needs no mask: it keeps the subject.
    #[arg(long, value_name = "INTENT", default_value = "change", value_parser = values::intent)]
    pub(crate) intent: Intent,

    /// How far to move away from the source under the mask [default: the intent's, 0.75 for change]
    ///
    /// 0 returns the source, 1 reads nothing of what was under the mask. What is covered in part moves in
    /// part.
    #[arg(short, long = "strength", id = "inpaint_strength", value_name = "0..1", value_parser = values::strength, allow_negative_numbers = true)]
    pub(crate) strength: Option<Strength>,

    /// What the model starts from under the mask: original, fill, patches, noise or nothing [default: the intent's]
    ///
    /// fill goes on smoothly from around it, patches with pieces of the picture, as does --expand by itself.
    #[arg(long, value_name = "CONTENT", value_parser = values::content)]
    pub(crate) content: Option<MaskedContent>,

    /// What the model sees: the whole picture, or the masked part at its own size [default: the intent's]
    #[arg(long, value_name = "whole|masked", value_parser = values::area)]
    pub(crate) area: Option<Area>,

    /// Pixels to add around the picture and paint, such as left=128,top=64
    #[arg(long, value_name = "SIDE=N,...", value_parser = values::expand)]
    pub(crate) expand: Option<Expand>,
}

/// How the mask's edge is treated, in pixels of the source.
#[derive(Debug, Args)]
#[command(next_help_heading = "Edge")]
pub(crate) struct EdgeOptions {
    /// Picture to show the model around the masked part [default: a quarter of it, at least 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) padding: Option<u32>,

    /// How much more than the mask is denoised, so that the model can lead up to it
    /// [default: 8 % of the mask]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) wide: Option<u32>,

    /// Width of the band inside the edge over which detail changes over [default: 1 to 4]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) band: Option<u32>,

    /// Width of the ring outside the mask on which colours are matched, 0 for none [default: as wide as
    /// what is denoised there]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) ring: Option<u32>,
}

impl From<&EdgeOptions> for Edge {
    fn from(options: &EdgeOptions) -> Self {
        Self {
            padding: options.padding,
            wide: options.wide,
            band: options.band,
            ring: options.ring,
        }
    }
}
