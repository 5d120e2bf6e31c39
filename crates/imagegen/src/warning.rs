//! What a person should know although the run goes on, and what is worth a line.

use std::fmt;

use imagegen_engine::cpu::Precision;

use crate::loras::MOST_WEIGHT;

/// Something that was done differently than one may think.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Something about how the source was read.
    Source(imagegen_picture::Warning),
    /// Something about how the result was written.
    Encode(imagegen_picture::EncodeWarning),
    /// Something about a mask.
    Mask(imagegen_picture::mask::MaskWarning),
    /// Something about how a prompt was read.
    Prompt {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// What.
        warning: imagegen_prompt::Warning,
    },
    /// Faces were to be found and none was.
    NoFace,
    /// The edge of what was repainted is likely to be seen.
    Seam {
        /// Steps across the edge against those just outside.
        figure: f64,
    },
    /// The prompt is empty.
    NoPrompt,
    /// The model knows none of the prompt's words.
    NoKnownWord {
        /// Styles it knows.
        styles: Vec<String>,
    },
    /// The prompt is longer than the model reads.
    PromptCut {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// Tokens that were dropped.
        dropped: usize,
        /// Tokens the model reads.
        limit: usize,
    },
    /// The guidance scale leaves a text out.
    TextUnused {
        /// `prompt` or `negative prompt`.
        which: &'static str,
        /// The guidance scale, 0 or 1.
        guidance_scale: f64,
    },
    /// The model's network hears the guidance scale itself and no negative prompt.
    NegativeUnheard,
    /// A part of a LoRA belongs to nothing in the model.
    LoraUnused {
        /// Its name.
        name: String,
        /// Tensors that are not used.
        count: usize,
        /// The first module or tensor of them.
        first: String,
    },
    /// A text names an embedding that was made for other text encoders.
    EmbeddingUnfit {
        /// Its word.
        name: String,
        /// Whose text encoders read the word as text: `this model` or `the refiner`.
        reader: &'static str,
    },
    /// A LoRA's weight was brought within the range.
    LoraBounded {
        /// Its name.
        name: String,
        /// What it came to.
        weight: f64,
    },
    /// Nothing was run: strength 0 returns the source.
    NothingRun,
    /// The model works at another size than the result's.
    Resampled {
        /// Width and height the model worked at.
        work: [u32; 2],
        /// Width and height of the result.
        result: [u32; 2],
    },
    /// The model's files name a sampler this build does not offer.
    SamplerReplaced {
        /// The class in the scheduler file.
        named: String,
        /// The sampler used.
        used: &'static str,
    },
    /// The portable kernels run on a CPU where each fused multiply-add is a function call.
    SlowCpu,
    /// This CPU is no faster in a precision than in f32.
    SlowPrecision {
        /// What was asked for.
        precision: Precision,
    },
}

/// Something worth a line that asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Note {
    /// The source says where it was taken; the result does not.
    PlaceLeftOut,
    /// The source counted as a line drawing, and colours were put under its lines.
    Washed,
}

impl Note {
    /// What there is to note of a source.
    pub(crate) fn of(source: &imagegen_picture::Facts) -> Vec<Self> {
        let place = source.place.then_some(Self::PlaceLeftOut);
        place.into_iter().collect()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlaceLeftOut => f.write_str(
                "the source says where it was taken (GPS); the place, and a thumbnail, are not passed on",
            ),
            Self::Washed => f.write_str(
                "the source is a line drawing: colours were put under its lines, others with another seed",
            ),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(warning) => warning.fmt(f),
            Self::Encode(warning) => warning.fmt(f),
            Self::Mask(warning) => warning.fmt(f),
            Self::Prompt { which, warning } => write!(f, "the {which} {warning}"),
            Self::NoFace => f.write_str(
                "no face was found; faces under an eighth of the longer side are not seen",
            ),
            Self::Seam { figure } => write!(
                f,
                "the edge of what was repainted may be seen (seam {figure:.1}, 1 is none); a feathered or larger \
                 mask, or a lower strength, helps"
            ),
            Self::NoPrompt => f.write_str("the prompt is empty, nothing says what to make"),
            Self::NoKnownWord { styles } => write!(
                f,
                "the model knows no word of the prompt, so the result follows the source alone; \
                 styles it knows: {}",
                styles.join(", ")
            ),
            Self::PromptCut {
                which,
                dropped,
                limit,
            } => write!(
                f,
                "the {which} is too long: its last {dropped} tokens are not read (the model reads \
                 {limit})"
            ),
            Self::TextUnused {
                which,
                guidance_scale,
            } => {
                write!(f, "the {which} is not used at guidance {guidance_scale}")
            }
            Self::NegativeUnheard => f.write_str(
                "the negative prompt is not used: this model hears the guidance scale in its place",
            ),
            Self::LoraUnused { name, count, first } => {
                let are = if *count == 1 {
                    "tensor is"
                } else {
                    "tensors are"
                };
                write!(
                    f,
                    "{count} {are} not used of the LoRA {name:?}: this model has no layer for them, the first is \"{first}\""
                )
            }
            Self::EmbeddingUnfit { name, reader } => write!(
                f,
                "the embedding {name:?} is for other text encoders than {reader}'s; its word is read as text"
            ),
            Self::LoraBounded { name, weight } => write!(
                f,
                "the LoRA {name:?} weighs {weight}, which is bounded to {}",
                weight.clamp(-MOST_WEIGHT, MOST_WEIGHT)
            ),
            Self::NothingRun => f.write_str("strength 0 returns the source; nothing was run"),
            Self::Resampled { work, result } => write!(
                f,
                "the model worked at {}x{}, the result was brought to {}x{}",
                work[0], work[1], result[0], result[1]
            ),
            Self::SamplerReplaced { named, used } => {
                write!(
                    f,
                    "the model asks for {named}, which is not offered; {used} is used"
                )
            }
            Self::SlowPrecision { precision } => write!(
                f,
                "this CPU computes in {precision} no faster than in f32; the picture is the same as on one that does"
            ),
            Self::SlowCpu => f.write_str(
                "the portable kernels are a correctness path on this CPU and many times slower",
            ),
        }
    }
}
