//! The sentence of each piece of advice: what was seen with its figure, what it means, what to do.

use std::fmt::{self, Display, Formatter};

use super::limits::*;
use super::measures::sides;
use super::{Advice, Bars, Suggestion, Text};
use crate::Orientation;

impl Display for Advice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::FacesAtRisk { .. } | Self::FewSteps { .. } | Self::TextLong { .. } => {
                self.of_request(f)
            }
            Self::NothingChanged { .. } | Self::NothingLeft { .. } | Self::ColourShift { .. } => {
                self.of_result(f)
            }
            Self::SourceSmall { .. } | Self::SourceTiny { .. } | Self::SourceLarge { .. } => {
                self.of_size(f)
            }
            _ => self.of_source(f),
        }
    }
}

impl Advice {
    fn of_size(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let suggestion = self.suggestion();
        match (*self, suggestion) {
            (Self::SourceTiny { size, native }, Suggestion::Enlarge(larger)) => write!(
                f,
                "source is {size}, its shorter side under half the model's {native} px: detail \
                 will be invented; get a larger picture, or upscale it to {larger} first"
            ),
            (Self::SourceSmall { size, native }, Suggestion::Enlarge(larger)) => write!(
                f,
                "source is {size}, its shorter side under the model's {native} px: it gives the \
                 model poor information; get a larger picture, or upscale it to {larger} first"
            ),
            (Self::SourceLarge { size, native }, Suggestion::Reduce(smaller)) => write!(
                f,
                "source is {size}, its longer side {} px: over {} px there is no further benefit \
                 for a model of {native} px; {smaller} does as well",
                sides(size).1,
                self.threshold(),
            ),
            _ => f.write_str(self.kind()),
        }
    }

    fn of_source(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SourceBlurred { spread, .. } => write!(
                f,
                "source is blurred: its sharpest edges spread over {spread:.1} px as the model \
                 sees them, under {BLURRED:.1} is sharp; results will be muddy, take a sharper \
                 picture"
            ),
            Self::SourceNoisy { sigma } => write!(
                f,
                "source is noisy: {sigma:.1} levels of 255, under {NOISY:.0} is clean; noise turns \
                 into texture, remove it first or take a better exposed picture"
            ),
            Self::SourceBlocky { blocking } => write!(
                f,
                "source is heavily compressed: JPEG blocks show on {:.0} % of their lines, under \
                 {:.0} % is fine; blocks turn into texture, take the original file",
                blocking * 100.0,
                BLOCKY * 100.0,
            ),
            Self::SourceFlat { range, tones } => write!(
                f,
                "source has low contrast: tones from {:.0} to {:.0} span {range:.0} of 255 levels, \
                 {FLAT:.0} and more is fine; results will be muddy, {}",
                tones[0],
                tones[1],
                match self.suggestion() {
                    Suggestion::Stretch { .. } => "stretch its tones first",
                    _ => "take another picture",
                },
            ),
            Self::SourceLong { aspect, part } => write!(
                f,
                "source is {aspect:.1} times as long as wide, up to {LONG:.1} is fine: models \
                 repeat things on long pictures; crop it to {} or so, or work in parts",
                part.size
            ),
            Self::SourceBars {
                bars,
                share,
                inside,
            } => write!(
                f,
                "source has flat bars of {} on {:.0} % of its area: the model will paint into \
                 them; crop it to {} at {},{}",
                Sides(bars),
                share * 100.0,
                inside.size,
                inside.x,
                inside.y,
            ),
            Self::SourceClear { share } => write!(
                f,
                "{:.1} % of the source is transparent: the model sees it on white, the result gets \
                 the same transparency",
                share * 100.0
            ),
            Self::SourceTurned { orientation } => write!(
                f,
                "source was stored {} and has been set upright",
                turned(orientation)
            ),
            _ => f.write_str(self.kind()),
        }
    }

    fn of_request(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FacesAtRisk {
                count,
                largest,
                strength,
            } => write!(
                f,
                "{} found, the largest on {:.1} % of the source: at strength {strength} faces \
                 distort, stay below {FACE_STRENGTH}; {SAFE_FACE_STRENGTH} keeps likeness",
                Count(count, "face"),
                largest * 100.0,
            ),
            Self::FewSteps {
                runs,
                steps,
                strength,
            } => {
                let Suggestion::Steps(enough) = self.suggestion() else {
                    return f.write_str(self.kind());
                };
                write!(
                    f,
                    "at strength {strength} only {runs} of {steps} steps run, fewer than \
                     {FEWEST_RUNS} are a first guess; take {enough} steps"
                )
            }
            Self::TextLong {
                text,
                tokens,
                limit,
            } => write!(
                f,
                "{text} has {tokens} tokens, the model reads {limit}: the last {} are ignored; \
                 shorten it and put what matters first",
                tokens - limit
            ),
            _ => f.write_str(self.kind()),
        }
    }

    fn of_result(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Suggestion::Strength(suggested) = self.suggestion() else {
            return f.write_str(self.kind());
        };
        match *self {
            Self::NothingChanged { fidelity, strength } => {
                let [low, high] = STYLE_STRENGTHS;
                write!(
                    f,
                    "result is nearly the source: fidelity {fidelity:.3} of 1 at strength {strength}; "
                )?;
                if suggested <= strength {
                    return f
                        .write_str("no strength will do more, name what to change in the prompt");
                }
                write!(f, "raise the strength to {suggested}")?;
                if suggested > high {
                    return Ok(());
                }
                write!(f, " ({low} to {high} for a style)")
            }
            Self::NothingLeft {
                structure,
                strength,
            } => {
                let [low, high] = KEEPING_STRENGTHS;
                write!(
                    f,
                    "result looks nothing like the source: structure {structure:.2} of 1 at \
                     strength {strength}; reduce the strength to {suggested} ({low} to {high} \
                     keeps the composition)"
                )
            }
            Self::ColourShift { shift, strength } => write!(
                f,
                "colours moved by dE2000 {shift:.1} on average at strength {strength}, {SHIFTED:.0} \
                 is a plain change; where that is not wished, name the colours in the prompt or \
                 reduce the strength to {suggested}"
            ),
            _ => f.write_str(self.kind()),
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prompt => "prompt",
            Self::NegativePrompt => "negative prompt",
        })
    }
}

/// A number and its noun.
struct Count(usize, &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Bars in words: `60 px at the top and 58 px at the bottom`.
struct Sides(Bars);

impl Display for Sides {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bars {
            top,
            bottom,
            left,
            right,
        } = self.0;
        if top > 0 {
            write!(f, "{top} px at the top and {bottom} px at the bottom")?;
        }
        if top > 0 && left > 0 {
            f.write_str(", ")?;
        }
        if left > 0 {
            write!(f, "{left} px at the left and {right} px at the right")?;
        }
        Ok(())
    }
}

fn turned(orientation: Orientation) -> &'static str {
    match orientation {
        Orientation::Upright => "upright",
        Orientation::Mirror => "mirrored",
        Orientation::HalfTurn => "upside down",
        Orientation::Flip => "upside down and mirrored",
        Orientation::Transpose => "on its side and mirrored",
        Orientation::TurnRight => "turned a quarter anticlockwise",
        Orientation::Transverse => "on its side and mirrored",
        Orientation::TurnLeft => "turned a quarter clockwise",
    }
}
