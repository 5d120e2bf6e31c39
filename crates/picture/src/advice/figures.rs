//! What every piece of advice has: a stable name, a figure with its unit, the threshold, a suggestion.

use super::limits::*;
use super::measures::sides;
use super::{Advice, Severity, Suggestion, Text};

impl Advice {
    /// A stable name in lower case with hyphens, such as `source-blurred`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SourceSmall { .. } => "source-small",
            Self::SourceTiny { .. } => "source-tiny",
            Self::SourceLarge { .. } => "source-large",
            Self::SourceBlurred { .. } => "source-blurred",
            Self::SourceNoisy { .. } => "source-noisy",
            Self::SourceBlocky { .. } => "source-blocky",
            Self::SourceFlat { .. } => "source-flat",
            Self::SourceLong { .. } => "source-long",
            Self::SourceBars { .. } => "source-bars",
            Self::SourceClear { .. } => "source-clear",
            Self::SourceTurned { .. } => "source-turned",
            Self::FacesAtRisk { .. } => "faces-at-risk",
            Self::FewSteps { .. } => "few-steps",
            Self::TextLong { text, .. } => match text {
                Text::Prompt => "prompt-long",
                Text::NegativePrompt => "negative-prompt-long",
            },
            Self::NothingChanged { .. } => "nothing-changed",
            Self::NothingLeft { .. } => "nothing-left",
            Self::ColourShift { .. } => "colour-shift",
        }
    }

    /// Whether the result is likely to suffer.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::SourceLarge { .. }
            | Self::SourceClear { .. }
            | Self::SourceTurned { .. }
            | Self::ColourShift { .. } => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// The figure that was measured, in [`unit`](Self::unit).
    pub fn measured(&self) -> f64 {
        match *self {
            Self::SourceSmall { size, .. } | Self::SourceTiny { size, .. } => sides(size).0.into(),
            Self::SourceLarge { size, .. } => sides(size).1.into(),
            Self::SourceBlurred { spread, .. } => spread,
            Self::SourceNoisy { sigma } => sigma,
            Self::SourceBlocky { blocking } => blocking,
            Self::SourceFlat { range, .. } => range,
            Self::SourceLong { aspect, .. } => aspect,
            Self::SourceBars { share, .. } | Self::SourceClear { share } => share,
            Self::SourceTurned { orientation } => f64::from(orientation as u8),
            Self::FacesAtRisk { strength, .. } => strength,
            Self::FewSteps { runs, .. } => runs as f64,
            Self::TextLong { tokens, .. } => tokens as f64,
            Self::NothingChanged { fidelity, .. } => fidelity,
            Self::NothingLeft { structure, .. } => structure,
            Self::ColourShift { shift, .. } => shift,
        }
    }

    /// The figure from which on this is said, in [`unit`](Self::unit): [`measured`](Self::measured) is on
    /// the wrong side of it.
    pub fn threshold(&self) -> f64 {
        match *self {
            Self::SourceSmall { native, .. } => native.into(),
            Self::SourceTiny { native, .. } => f64::from(native) * TINY_SHARE,
            Self::SourceLarge { native, .. } => f64::from(native) * LARGE_SHARE,
            Self::SourceBlurred { .. } => BLURRED,
            Self::SourceNoisy { .. } => NOISY,
            Self::SourceBlocky { .. } => BLOCKY,
            Self::SourceFlat { .. } => FLAT,
            Self::SourceLong { .. } => LONG,
            Self::SourceBars { .. } => BARS,
            Self::SourceClear { .. } => 0.0,
            Self::SourceTurned { .. } => 1.0,
            Self::FacesAtRisk { .. } => FACE_STRENGTH,
            Self::FewSteps { .. } => FEWEST_RUNS as f64,
            Self::TextLong { limit, .. } => limit as f64,
            Self::NothingChanged { strength, .. } => unchanged(strength),
            Self::NothingLeft { .. } => UNRECOGNISABLE,
            Self::ColourShift { .. } => SHIFTED,
        }
    }

    /// What the figures count: `px`, `levels` (of 255), `share` (0 to 1), `ratio`, `exif` (the
    /// orientation's number), `strength`, `steps`, `tokens`, `fidelity` (0 to 1) or `dE2000`.
    pub const fn unit(&self) -> &'static str {
        match self {
            Self::SourceSmall { .. }
            | Self::SourceTiny { .. }
            | Self::SourceLarge { .. }
            | Self::SourceBlurred { .. } => "px",
            Self::SourceNoisy { .. } | Self::SourceFlat { .. } => "levels",
            Self::SourceBlocky { .. } | Self::SourceBars { .. } | Self::SourceClear { .. } => {
                "share"
            }
            Self::SourceLong { .. } => "ratio",
            Self::SourceTurned { .. } => "exif",
            Self::FacesAtRisk { .. } => "strength",
            Self::FewSteps { .. } => "steps",
            Self::TextLong { .. } => "tokens",
            Self::NothingChanged { .. } | Self::NothingLeft { .. } => "fidelity",
            Self::ColourShift { .. } => "dE2000",
        }
    }

    /// What would help, as values.
    pub fn suggestion(&self) -> Suggestion {
        match *self {
            Self::SourceSmall { size, native } | Self::SourceTiny { size, native } => {
                Suggestion::Enlarge(size.scaled(native, sides(size).0))
            }
            Self::SourceLarge { size, native } => {
                let longest = (f64::from(native) * LARGE_SHARE) as u32;
                Suggestion::Reduce(size.scaled(longest, sides(size).1))
            }
            Self::SourceBlurred { .. } | Self::SourceBlocky { .. } => Suggestion::BetterSource,
            Self::SourceNoisy { sigma } => Suggestion::Denoise(sigma),
            Self::SourceFlat { range, tones } if range >= 1.0 => Suggestion::Stretch {
                black: tones[0] as u8,
                white: tones[1] as u8,
            },
            Self::SourceFlat { .. } => Suggestion::BetterSource,
            Self::SourceLong { part, .. } => Suggestion::Crop(part),
            Self::SourceBars { inside, .. } => Suggestion::Crop(inside),
            Self::SourceClear { .. } | Self::SourceTurned { .. } => Suggestion::Nothing,
            Self::FacesAtRisk { .. } => Suggestion::Strength(SAFE_FACE_STRENGTH),
            Self::FewSteps {
                runs,
                steps,
                strength,
            } => Suggestion::Steps(enough(runs, steps, strength)),
            Self::TextLong { tokens, limit, .. } => Suggestion::Shorten(tokens - limit),
            Self::NothingChanged { strength, .. } => Suggestion::Strength(stronger(strength)),
            Self::NothingLeft { strength, .. } => Suggestion::Strength(weaker(strength)),
            Self::ColourShift { strength, .. } => Suggestion::Strength(weaker(strength)),
        }
    }
}

/// Fidelity from which on a run of `strength` changed nothing.
pub(super) fn unchanged(strength: f64) -> f64 {
    if strength < VISIBLE_STRENGTH {
        UNTOUCHED
    } else {
        UNCHANGED
    }
}

/// Steps of which [`FEWEST_RUNS`] run at `strength`.
fn enough(runs: usize, steps: usize, strength: f64) -> usize {
    if runs == steps {
        return FEWEST_RUNS;
    }
    let wanted = (FEWEST_RUNS as f64 / strength).ceil() as usize;
    wanted.min(MOST_STEPS)
}

/// A strength at which style takes, above `strength`.
fn stronger(strength: f64) -> f64 {
    let [low, high] = STYLE_STRENGTHS;
    if strength < low {
        low
    } else if strength < high {
        high
    } else {
        round(strength + 0.15).min(MOST_STRENGTH)
    }
}

/// A strength that keeps more of the source, under `strength`.
fn weaker(strength: f64) -> f64 {
    let [low, high] = KEEPING_STRENGTHS;
    if strength > high {
        high
    } else if strength > low {
        low
    } else {
        round(strength * 0.75)
    }
}

/// To two decimals: nobody wants to type more.
fn round(strength: f64) -> f64 {
    (strength * 100.0).round() / 100.0
}
