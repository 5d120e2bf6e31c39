//! What can be typed, and what it means. Parsing never touches the system.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use imagegen::{Fit, Level, ModelSource, Sampler, Strength, StrengthRule, Wanted};

/// Turns a picture into a new one with a diffusion model.
#[derive(Debug, Parser)]
#[command(
    name = "imagegen",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make new pictures from source pictures
    Transform(TransformArguments),
    /// Make a picture from text alone; it can be the source of `transform`
    Generate(GenerateArguments),
}

/// Settings of every command that makes pictures.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// What to make, in words
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: String,

    /// What to keep away from, in words
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) negative: String,

    /// File or folder for the result; the extension (png, jpg, webp) decides the format
    ///
    /// A file that exists is replaced, whole. Without it the result is a PNG in the current folder,
    /// named after source, prompt and seed, and no file is overwritten.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Steps of the full schedule, 1 to 1000 [default: the model's own]
    ///
    /// More steps take longer in proportion. Strength decides how many of them run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) steps: Option<u16>,

    /// Weight of the prompt over the negative prompt, 0 to 100 [default: the model's own]
    ///
    /// 1 leaves the negative prompt out and takes half the time, 0 leaves the prompt out.
    #[arg(long, value_name = "G", value_parser = guidance)]
    pub(crate) guidance: Option<f64>,

    /// Seed of all noise [default: drawn, and printed]
    ///
    /// The same seed and settings give the same pixels on every CPU.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Sampler: ddim, euler, euler_a or dpmpp_2m, or a name other tools have for them
    /// [default: the model's own]
    #[arg(long, value_name = "NAME", value_parser = sampler)]
    pub(crate) sampler: Option<Sampler>,

    /// Results to make for each source, with seeds counted up from the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,

    /// Model: a name (starter) or a folder in the diffusers layout
    #[arg(long, value_name = "NAME|PATH", default_value = default_model(), env = "IMAGEGEN_MODEL")]
    pub(crate) model: String,

    /// Threads to compute with [default: all cores]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Instruction set: avx512, avx2 or portable [default: the best this CPU has]; results do not
    /// depend on it
    #[arg(long, value_name = "LEVEL", env = "IMAGEGEN_CPU", value_parser = level)]
    pub(crate) cpu: Option<Level>,

    /// Print one JSON document of facts on stdout
    #[arg(long)]
    pub(crate) json: bool,

    /// Print errors and warnings only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

fn default_model() -> &'static str {
    ModelSource::NAMES.first().copied().unwrap_or("")
}

#[derive(Debug, Args)]
pub(crate) struct TransformArguments {
    /// Pictures to start from: JPEG, PNG, WebP, TIFF, BMP or GIF
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,

    /// How far to move away from the source [default: the model's own, 0.5 as a rule]
    ///
    /// 0 returns the source, 1 ignores it. 0.1-0.3 texture and light, 0.4-0.6 style, 0.7-0.9
    /// dramatic change. Of 30 steps, 0.5 runs 15.
    #[arg(short, long, value_name = "0..1", value_parser = strength, allow_negative_numbers = true)]
    pub(crate) strength: Option<Strength>,

    /// What strength means: share, exact or diffusers
    ///
    /// share: the last round(steps * strength) steps run. exact: all steps run, below the noise
    /// level that strength names. diffusers: that library's formula, for comparison with it.
    #[arg(long, value_name = "RULE", default_value = "share", value_parser = rule)]
    pub(crate) strength_rule: StrengthRule,

    /// Size of the result: WxH, or its longest side [default: the source's size]
    #[arg(long, value_name = "WxH|LONGEST", value_parser = wanted)]
    pub(crate) size: Option<Wanted>,

    /// What to do where WxH is not the source's shape
    #[arg(long, value_enum, default_value_t = FitName::Keep)]
    pub(crate) fit: FitName,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// Size of the picture
    #[arg(long, value_name = "WxH", default_value = "512x512", value_parser = exact_size)]
    pub(crate) size: (u32, u32),

    #[command(flatten)]
    pub(crate) common: Common,
}

/// The ways to fit, as words.
#[derive(Debug, Clone, Copy, ValueEnum)]
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

fn strength(text: &str) -> Result<Strength, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number from 0 to 1".to_owned())?;
    Strength::new(number).map_err(|error| error.to_string())
}

fn guidance(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number from 0 to 100".to_owned())?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("guidance is {number}, expected 0 to 100"))
    }
}

fn sampler(text: &str) -> Result<Sampler, String> {
    Sampler::parse(text).map_err(|error| error.to_string())
}

fn rule(text: &str) -> Result<StrengthRule, String> {
    StrengthRule::from_str(text).map_err(|error| error.to_string())
}

fn level(text: &str) -> Result<Level, String> {
    text.parse::<Level>().map_err(|error| error.to_string())
}

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=16384).contains(side))
}

fn exact_size(text: &str) -> Result<(u32, u32), String> {
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| format!("size is {text}, expected WxH with sides from 1 to 16384"))
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if let Some(longest) = side(text) {
        return Ok(Wanted::Longest(longest));
    }
    let (width, height) = exact_size(text).map_err(|error| error + ", or the longest side")?;
    Ok(Wanted::Exact(width, height))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(wanted("640").unwrap(), Wanted::Longest(640));
        assert_eq!(wanted("640x480").unwrap(), Wanted::Exact(640, 480));
        for bad in ["", "0", "0x5", "-4", "axb", "640x", "99999x5", "1e3"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strengths_outside_the_range_are_refused() {
        for bad in ["NaN", "-0.1", "1.01", "inf", "half"] {
            assert!(strength(bad).is_err(), "{bad}");
        }
        assert_eq!(strength("0.5").unwrap().get(), 0.5);
    }
}
