//! What the pipeline refuses, always as subject, got, expected.

use std::fmt;

/// Any error of a network or codec that the caller plugged in.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A part of a run, named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Making the network for a prompt (text encoding included).
    Prompt,
    /// Colours under a drawing.
    Wash,
    /// Pixels to latents.
    Encode,
    /// Source pixels to the source channels of the network's input.
    Condition,
    /// One call of the network.
    Network,
    /// The clean estimate at a step.
    Denoise {
        /// Which step, counted from 1.
        step: usize,
        /// How many steps run.
        steps: usize,
    },
    /// Latents to pixels.
    Decode,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prompt => f.write_str("prompt encoder"),
            Self::Wash => f.write_str("network for colours under a drawing"),
            Self::Encode => f.write_str("picture encoder"),
            Self::Condition => f.write_str("source conditioning"),
            Self::Network => f.write_str("denoising network"),
            Self::Denoise { step, steps } => write!(f, "denoiser at step {step} of {steps}"),
            Self::Decode => f.write_str("picture decoder"),
        }
    }
}

/// Why a run was refused or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number or option is outside what is supported.
    #[error("{subject} is {got}, expected {expected}")]
    Value {
        /// Whose value it is, for example `strength`.
        subject: &'static str,
        /// What came.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// A tensor has another shape than was needed.
    #[error(transparent)]
    Tensor(#[from] imagegen_engine::Error),
    /// No sampler has this name.
    #[error("sampler is {got:?}, expected one of {expected}")]
    UnknownSampler {
        /// The name that came.
        got: String,
        /// Every accepted name.
        expected: String,
    },
    /// The strength rule `diffusers` rounds down to no step at all, where diffusers itself fails.
    #[error(
        "strength {strength} of {steps} steps runs 0 steps under rule diffusers, \
         expected at least 1: raise the strength or the steps"
    )]
    NoSteps {
        /// The steps asked for.
        steps: usize,
        /// The strength asked for.
        strength: f64,
    },
    /// The network paints under masks alone, and there is none.
    #[error("the network is made for inpainting, expected a mask: use an inpainting request")]
    NeedsMask,
    /// A stage gave NaN or infinite numbers.
    #[error("the {stage} gave NaN or infinite numbers, expected finite ones")]
    NotFinite {
        /// Which stage.
        stage: Stage,
    },
    /// A network or codec failed.
    #[error("the {stage} failed: {source}")]
    Failed {
        /// Which stage.
        stage: Stage,
        /// Its own error.
        source: BoxedError,
    },
    /// The progress listener asked to stop.
    #[error("cancelled after step {step} of {steps}")]
    Cancelled {
        /// Steps done.
        step: usize,
        /// Steps that would have run.
        steps: usize,
    },
}

impl Error {
    pub(crate) fn value(
        subject: &'static str,
        got: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value {
            subject,
            got: got.to_string(),
            expected: expected.into(),
        }
    }

    /// Wraps a plugged-in part's error, for `map_err`.
    pub(crate) fn failed(stage: Stage) -> impl Fn(BoxedError) -> Self {
        move |source| Self::Failed { stage, source }
    }
}
