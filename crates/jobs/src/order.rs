//! What is ordered, as it is stored. Its texts become values in `work`.

use serde::{Deserialize, Serialize};

use crate::{Inpainting, Sampling};

/// An order for pictures. `None` takes the model's own default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Which model, by its name; `None` for the default one. Stored orders always name it.
    pub model: Option<String>,
    /// What to make.
    pub prompt: String,
    /// What to keep away from; empty for nothing.
    pub negative_prompt: String,
    /// What brackets and keywords in both mean: `a1111` or `plain`. Stored orders always name it; those of
    /// versions that knew no other mean `plain`.
    pub prompt_mode: Option<String>,
    /// LoRAs besides those that the prompt names; absent in stored orders that name none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<OrderedLora>,
    /// Steps of the full schedule, 1 to 1000.
    pub steps: Option<usize>,
    /// Weight of the prompt over the negative prompt, 0 to 100.
    pub guidance_scale: Option<f64>,
    /// Seed of the first picture; `None` draws one. Stored orders always have it.
    pub seed: Option<u64>,
    /// The algorithm, by any of its names.
    pub sampler: Option<String>,
    /// Finer choices than the sampler; absent in stored orders that make none.
    #[serde(default, skip_serializing_if = "Sampling::is_none")]
    pub sampling: Sampling,
    /// What strength means: `share`, `exact` or `diffusers`.
    pub strength_rule: Option<String>,
    /// What to make of it.
    pub kind: Kind,
}

/// A LoRA in an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderedLora {
    /// Its name on the shelf.
    pub name: String,
    /// How much of it, -10 to 10.
    pub weight: f64,
}

/// The kinds of orders. Sources are named by the SHA-256 of their bytes, in hexadecimal; `size` is
/// `source`, the longest side in pixels, or `WxH`; `fit` is `keep`, `crop`, `pad` or `stretch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kind {
    /// Pictures from a source, with seeds counted up from the first.
    Transform {
        /// The source.
        source: String,
        /// How far to move away from it, 0 to 1. Stored orders always have it.
        strength: Option<f64>,
        /// Size of the results.
        size: Option<String>,
        /// How the source is brought to that size.
        fit: Option<String>,
        /// Pictures, 1 to 8.
        count: u8,
    },
    /// Pictures from text alone, with seeds counted up from the first.
    Generate {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pictures, 1 to 8.
        count: u8,
    },
    /// One source, one seed, several strengths, and a sheet of them.
    Ladder {
        /// The source.
        source: String,
        /// The strengths, 2 to 8 different ones, each 0 to 1.
        strengths: Vec<f64>,
        /// Size of the results.
        size: Option<String>,
        /// How the source is brought to that size.
        fit: Option<String>,
    },
    /// One source, several seeds without near-duplicates, and a sheet of them.
    Vary {
        /// The source.
        source: String,
        /// How far to move away from it, 0 to 1. Stored orders always have it.
        strength: Option<f64>,
        /// Pictures, 2 to 16.
        count: u8,
        /// Size of the results.
        size: Option<String>,
        /// How the source is brought to that size.
        fit: Option<String>,
    },
    /// A part of a source made anew, with seeds counted up from the first.
    Inpaint {
        /// The source.
        source: String,
        /// How far to move away from it under the mask, 0 to 1. Stored orders always have it.
        strength: Option<f64>,
        /// Pictures, 1 to 8.
        count: u8,
        /// What changes, and how.
        painting: Box<Inpainting>,
    },
    /// A source, larger; with a prompt its detail is drawn anew.
    Upscale {
        /// The source.
        source: String,
        /// By what each side is multiplied: 2 or 4.
        by: u32,
        /// What enlarges; the embedded network where absent. Stored orders always have it.
        with: Option<String>,
        /// How far the model moves from the enlarged source, 0 to 1; needs a prompt above 0. Stored orders always have it.
        strength: Option<f64>,
    },
}

/// A kind of order without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KindName {
    /// [`Kind::Transform`].
    Transform,
    /// [`Kind::Generate`].
    Generate,
    /// [`Kind::Ladder`].
    Ladder,
    /// [`Kind::Vary`].
    Vary,
    /// [`Kind::Inpaint`].
    Inpaint,
    /// [`Kind::Upscale`].
    Upscale,
}

impl KindName {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Transform,
        Self::Generate,
        Self::Ladder,
        Self::Vary,
        Self::Inpaint,
        Self::Upscale,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::Generate => "generate",
            Self::Ladder => "ladder",
            Self::Vary => "vary",
            Self::Inpaint => "inpaint",
            Self::Upscale => "upscale",
        }
    }
}

impl Kind {
    /// Which kind it is.
    pub fn kind(&self) -> KindName {
        match self {
            Self::Transform { .. } => KindName::Transform,
            Self::Generate { .. } => KindName::Generate,
            Self::Ladder { .. } => KindName::Ladder,
            Self::Vary { .. } => KindName::Vary,
            Self::Inpaint { .. } => KindName::Inpaint,
            Self::Upscale { .. } => KindName::Upscale,
        }
    }

    /// SHA-256 of the source; `None` for pictures from text alone.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Generate { .. } => None,
            Self::Transform { source, .. }
            | Self::Ladder { source, .. }
            | Self::Vary { source, .. }
            | Self::Inpaint { source, .. }
            | Self::Upscale { source, .. } => Some(source),
        }
    }

    /// SHA-256 of the mask picture, where one is named.
    pub fn mask(&self) -> Option<&str> {
        match self {
            Self::Inpaint { painting, .. } => painting.mask.as_deref(),
            _ => None,
        }
    }

    /// Pictures that are asked for, a sheet not counted.
    pub fn pictures(&self) -> usize {
        match self {
            Self::Transform { count, .. }
            | Self::Generate { count, .. }
            | Self::Inpaint { count, .. }
            | Self::Vary { count, .. } => usize::from(*count),
            Self::Ladder { strengths, .. } => strengths.len(),
            Self::Upscale { .. } => 1,
        }
    }

    /// Whether a sheet is made.
    pub fn has_sheet(&self) -> bool {
        matches!(self, Self::Ladder { .. } | Self::Vary { .. })
    }
}
