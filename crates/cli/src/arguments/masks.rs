//! What a mask is made of.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use imagegen::{MaskRequest, OtherSize, Rect, Region, Source};
use imagegen_picture::mask::ColourKey;

use super::shared::{Machine, Target};
use super::values;

#[derive(Debug, Args)]
pub(crate) struct MaskArguments {
    /// Picture to make the mask for; - reads standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,

    #[command(flatten)]
    pub(crate) mask: MaskOptions,

    /// Write the picture with what changes tinted, instead of the mask
    #[arg(long)]
    pub(crate) over: bool,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Everything that is named is joined; then it is inverted, grown, feathered; what is protected is taken
/// out last.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mask")]
pub(crate) struct MaskOptions {
    /// Picture of the mask: white changes, black stays, grey changes partly; alpha counts
    ///
    /// It has to be as large as the source. Coverage below 16 of 255 counts as 0, above 239 as 255.
    #[arg(long, value_name = "PICTURE")]
    pub(crate) mask: Option<PathBuf>,

    /// Bring a mask picture of another size to the source's
    #[arg(long, requires = "mask")]
    pub(crate) fit_mask: bool,

    /// Box to change, in the source's pixels; may be named several times
    #[arg(long = "box", value_name = "X,Y,W,H", value_parser = values::rect)]
    pub(crate) boxes: Vec<Rect>,

    /// Colour to change, such as 00ff00, and how far off each channel may be; may be named several times
    #[arg(long = "key", value_name = "RRGGBB[:N]", value_parser = values::colour_key)]
    pub(crate) keys: Vec<ColourKey>,

    /// Part to change: faces, subject, background or transparent; may be named several times
    ///
    /// subject is what is not like the picture's borders: look at it with `imagegen mask --over`.
    #[arg(long, value_name = "PART", value_parser = values::region)]
    pub(crate) only: Vec<Region>,

    /// Part to keep whatever else is named; may be named several times
    ///
    /// Where nothing else is named, all the rest changes.
    #[arg(long, value_name = "PART", value_parser = values::region)]
    pub(crate) protect: Vec<Region>,

    /// Keep what is named and change the rest
    #[arg(long)]
    pub(crate) invert: bool,

    /// Pixels to grow the mask by, 0 to 1024
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) grow: u16,

    /// Pixels to shrink the mask by, 0 to 1024
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "grow", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) shrink: u16,

    /// Pixels over which the mask's edge is made soft, to both sides, 0 to 1024
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) feather: u16,
}

impl MaskOptions {
    /// Reads the mask picture, where one is named, with `read`.
    pub(crate) fn picture(&self, read: impl Fn(&Path) -> Result<Source>) -> Result<Option<Source>> {
        self.mask.as_deref().map(read).transpose()
    }

    /// What these options ask for, with the mask picture that was read.
    pub(crate) fn request<'a>(&self, picture: Option<&'a Source>) -> MaskRequest<'a> {
        MaskRequest {
            picture,
            other_size: match self.fit_mask {
                true => OtherSize::Fit,
                false => OtherSize::Refuse,
            },
            boxes: self.boxes.clone(),
            colours: self.keys.clone(),
            only: self.only.clone(),
            protect: self.protect.clone(),
            invert: self.invert,
            grow: i32::from(self.grow) - i32::from(self.shrink),
            feather: self.feather.into(),
        }
    }
}
