//! Inpainting: what is asked for, what an intent stands for, and how it is carried out.

mod area;
mod mark;
mod run;

use std::str::FromStr;

use imagegen_picture::{Rect, Seam, Size};
use imagegen_pipeline::{MaskedContent, Strength};

use crate::{Error, MaskRequest, Settings, Source};

pub use mark::{InpaintMark, MaskMark};
pub(crate) use run::{LastMask, inpaint_calls};

/// What a person wants to be done. Each intent stands for the settings that do it best; any of them can be
/// set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// Change what is there, along the prompt.
    #[default]
    Change,
    /// Make something new that fits its surround.
    Fill,
    /// Put the subject before another ground; without a mask, what is not the subject is repainted.
    ReplaceBackground,
    /// Add something to what is there.
    Add,
    /// Take away what is there: the surround goes on.
    Remove,
    /// Make the same in more detail.
    Refine,
}

impl Intent {
    /// Every intent.
    pub const ALL: [Self; 6] = [
        Self::Change,
        Self::Fill,
        Self::ReplaceBackground,
        Self::Add,
        Self::Remove,
        Self::Refine,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Fill => "fill",
            Self::ReplaceBackground => "replace-background",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Refine => "refine",
        }
    }

    /// Whether something has to be said: not of what is to go.
    pub fn needs_prompt(self) -> bool {
        self != Self::Remove
    }

    /// How far it moves away from the source where nobody says, 0 to 1.
    pub fn strength(self) -> f64 {
        self.means().strength
    }

    /// What it stands for.
    pub(crate) fn means(self) -> Meaning {
        use MaskedContent::{Fill, Original, Patches};
        let means = |strength, content, area| Meaning {
            strength,
            content,
            area,
            matches: true,
        };
        match self {
            Self::Change => means(0.75, Original, Area::Whole),
            Self::Fill => means(0.9, Patches, Area::Masked),
            // Light that spills from the subject into the ground would be a halo.
            Self::ReplaceBackground => Meaning {
                matches: false,
                ..means(0.9, Fill, Area::Whole)
            },
            Self::Add => means(0.85, Original, Area::Masked),
            Self::Remove => means(0.6, Patches, Area::Masked),
            Self::Refine => means(0.35, Original, Area::Masked),
        }
    }
}

/// What an intent stands for.
pub(crate) struct Meaning {
    pub(crate) strength: f64,
    pub(crate) content: MaskedContent,
    pub(crate) area: Area,
    /// Whether colours are matched on the ring outside the mask.
    pub(crate) matches: bool,
}

impl FromStr for Intent {
    type Err = Error;

    /// Fails with [`Error::Setting`] for names of no intent.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|intent| intent.name() == name);
        let expected = "change, fill, replace-background, add, remove or refine";
        found.ok_or_else(|| Error::setting("intent", format!("{name:?}"), expected))
    }
}

/// What the model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Area {
    /// The whole picture, at the size a transform works at.
    #[default]
    Whole,
    /// The masked part and what is around it, at the model's own size.
    Masked,
}

impl Area {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Masked => "masked",
        }
    }
}

impl FromStr for Area {
    type Err = Error;

    /// Fails with [`Error::Setting`] for names of no area.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "whole" => Ok(Self::Whole),
            "masked" => Ok(Self::Masked),
            _ => Err(Error::setting(
                "area",
                format!("{name:?}"),
                "whole or masked",
            )),
        }
    }
}

/// Pixels that are added to a picture on each side, and painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expand {
    /// At the left side.
    pub left: u32,
    /// Above.
    pub top: u32,
    /// At the right side.
    pub right: u32,
    /// Below.
    pub bottom: u32,
}

impl Expand {
    /// Whether nothing is added.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// The size of a picture of `size` with this added.
    ///
    /// Fails with [`Error::Setting`] where it has more than `most` pixels.
    pub(crate) fn size(self, size: Size, most: u64) -> Result<Size, Error> {
        let side = |parts: [u32; 3]| parts.into_iter().map(u64::from).sum::<u64>();
        let width = side([self.left, size.width, self.right]);
        let height = side([self.top, size.height, self.bottom]);
        let fits = width.saturating_mul(height) <= most;
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if fits => Ok(Size::new(width, height)),
            _ => {
                let got = format!("{self}, which makes {width}x{height}");
                let expected = format!("a result of at most {most} pixels");
                Err(Error::setting("expand", got, expected))
            }
        }
    }
}

impl std::fmt::Display for Expand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sides = [
            ("left", self.left),
            ("top", self.top),
            ("right", self.right),
            ("bottom", self.bottom),
        ];
        let named = sides.iter().filter(|(_, pixels)| *pixels > 0);
        let words: Vec<_> = named
            .map(|(side, pixels)| format!("{side}={pixels}"))
            .collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Expand {
    type Err = Error;

    /// Reads `left=128,top=64`.
    ///
    /// Fails with [`Error::Setting`] for sides of no name or named twice, and where nothing is added.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |expected: &str| Error::setting("expand", format!("{text:?}"), expected);
        let form =
            "SIDE=PIXELS with the sides left, top, right and bottom, such as left=128,top=64";
        let mut expand = Self::default();
        for part in text.split(',') {
            let (side, pixels) = part.split_once('=').ok_or_else(|| wrong(form))?;
            let side = match side.trim() {
                "left" => &mut expand.left,
                "top" => &mut expand.top,
                "right" => &mut expand.right,
                "bottom" => &mut expand.bottom,
                _ => return Err(wrong(form)),
            };
            if *side > 0 {
                return Err(wrong("each side once"));
            }
            *side = pixels.trim().parse().map_err(|_| wrong(form))?;
        }
        match expand.is_nothing() {
            true => Err(wrong("at least one pixel on some side")),
            false => Ok(expand),
        }
    }
}

/// A part of a picture made anew.
#[derive(Debug, Clone)]
pub struct Inpaint<'a> {
    /// The picture.
    pub source: &'a Source,
    /// What may change. May name nothing where the picture is expanded or its background replaced.
    pub mask: MaskRequest<'a>,
    /// What is added around the picture; all of it is repainted.
    pub expand: Expand,
    /// What is wanted.
    pub intent: Intent,
    /// How far to move away from the source; `None` takes the intent's.
    pub strength: Option<Strength>,
    /// What the model starts from under the mask; `None` takes the intent's, or patches where the mask names nothing
    /// and all that changes is what is added.
    pub content: Option<MaskedContent>,
    /// What the model sees; `None` takes the intent's.
    pub area: Option<Area>,
    /// How the edge is treated.
    pub edge: Edge,
    /// The rest.
    pub settings: Settings,
}

/// How the mask's edge is treated, in pixels of the source. `None` takes what suits mask and intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edge {
    /// Picture that the model sees around what is masked, 0 to 4096; for [`Area::Masked`].
    pub padding: Option<u32>,
    /// By how much more than the mask is denoised, so that the model can lead up to it, 0 to 1024.
    pub wide: Option<u32>,
    /// Width of the band inside the edge over which detail changes over, 0 to 1024.
    pub band: Option<u32>,
    /// Width of the ring outside the mask on which colours are matched, 0 to 1024; 0 matches none.
    pub ring: Option<u32>,
}

/// What was painted, and how it was checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Painted {
    /// Share of the picture that the mask covers, grey counted in part, 0 to 1.
    pub share: f64,
    /// Pixels outside the mask; each was compared and is the source's, bit for bit.
    pub kept: u64,
    /// The mask's edge in figures; `None` where it has none to measure.
    pub seam: Option<Seam>,
    /// The part of the picture that the model saw.
    pub seen: Rect,
}
