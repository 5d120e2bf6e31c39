//! One piece of advice and what belongs to it. Its figures and suggestion: `figures`; its sentence: `words`.

use super::Bars;
use crate::{Orientation, Rect, Size};

/// How much a piece of advice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Note,
    /// The result is likely to suffer or has suffered.
    Warning,
}

impl Severity {
    /// `note` or `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

/// What would help, as values a program can act on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Suggestion {
    /// Nothing needs to be done.
    Nothing,
    /// Take this strength, 0 to 1.
    Strength(f64),
    /// Take this many steps of the full schedule.
    Steps(usize),
    /// Shorten the text by this many tokens.
    Shorten(usize),
    /// Enlarge the source to this size with an upscaler, or get one of this size.
    Enlarge(Size),
    /// Reduce the source to this size; nothing is lost.
    Reduce(Size),
    /// Keep this part of the source only.
    Crop(Rect),
    /// Remove noise of this sigma in levels of 255.
    Denoise(f64),
    /// Stretch the tones so that these levels of 255 become black and white.
    Stretch {
        /// Becomes 0.
        black: u8,
        /// Becomes 255.
        white: u8,
    },
    /// Find the original file, before it was blurred or compressed.
    BetterSource,
}

impl Suggestion {
    /// A stable name in lower case with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Strength(_) => "strength",
            Self::Steps(_) => "steps",
            Self::Shorten(_) => "shorten",
            Self::Enlarge(_) => "enlarge",
            Self::Reduce(_) => "reduce",
            Self::Crop(_) => "crop",
            Self::Denoise(_) => "denoise",
            Self::Stretch { .. } => "stretch",
            Self::BetterSource => "better-source",
        }
    }
}

/// Something seen in a source, a request or a result.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// The source has less than the model's native side.
    SourceSmall {
        /// Its size.
        size: Size,
        /// Native side in pixels.
        native: u32,
    },
    /// The source has less than half the model's native side.
    SourceTiny {
        /// Its size.
        size: Size,
        /// Native side in pixels.
        native: u32,
    },
    /// The source has more than twice the model's native side.
    SourceLarge {
        /// Its size.
        size: Size,
        /// Native side in pixels.
        native: u32,
    },
    /// Even its sharpest edges are soft.
    SourceBlurred {
        /// Spread of the edges in pixels of the picture as the model sees it.
        spread: f64,
    },
    /// It is noisy.
    SourceNoisy {
        /// Sigma in levels of 255.
        sigma: f64,
    },
    /// The blocks of JPEG show.
    SourceBlocky {
        /// Blocking, 0 to 1.
        blocking: f64,
    },
    /// Its tones span little.
    SourceFlat {
        /// Levels of 255 between the darkest and lightest 1 %.
        range: f64,
        /// Those two levels.
        tones: [f64; 2],
    },
    /// It is much longer than wide or wider than high.
    SourceLong {
        /// Longer over shorter side.
        aspect: f64,
        /// A part of the longest shape that is fine, from the middle.
        part: Rect,
    },
    /// It has flat bars.
    SourceBars {
        /// Their sizes.
        bars: Bars,
        /// Share of the picture they cover, 0 to 1.
        share: f64,
        /// The picture without them.
        inside: Rect,
    },
    /// Parts of it are not opaque.
    SourceClear {
        /// Share of pixels, 0 to 1.
        share: f64,
    },
    /// It was stored turned or mirrored.
    SourceTurned {
        /// What was done to set it upright.
        orientation: Orientation,
    },
    /// It shows faces and the strength distorts them.
    FacesAtRisk {
        /// Faces found.
        count: usize,
        /// Share of the picture that the largest covers, 0 to 1.
        largest: f64,
        /// Strength asked for.
        strength: f64,
    },
    /// Few steps really run.
    FewSteps {
        /// Steps that run.
        runs: usize,
        /// Steps of the full schedule.
        steps: usize,
        /// Strength asked for.
        strength: f64,
    },
    /// A text is longer than the model reads.
    TextLong {
        /// Which text.
        text: Text,
        /// Tokens it has.
        tokens: usize,
        /// Tokens the model reads.
        limit: usize,
    },
    /// The result is nearly the source.
    NothingChanged {
        /// Overall fidelity, 0 to 1.
        fidelity: f64,
        /// Strength of the run.
        strength: f64,
    },
    /// Nothing of the source can be recognised in the result.
    NothingLeft {
        /// Structure of the fidelity, 0 to 1.
        structure: f64,
        /// Strength of the run.
        strength: f64,
    },
    /// Colours moved.
    ColourShift {
        /// Mean CIEDE2000 between areas.
        shift: f64,
        /// Strength of the run.
        strength: f64,
    },
}

/// A text of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// What to make.
    Prompt,
    /// What to keep away from.
    NegativePrompt,
}
