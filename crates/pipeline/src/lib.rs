//! Diffusion on values: a source picture and a strength in, a new picture out.
//!
//! Three nouns with no overlap. A [`Schedule`] is a list of descending noise levels. A [`Denoiser`]
//! maps (noised, level) to the clean estimate and hides what the network predicts. A [`Sampler`] is
//! one loop over the levels that calls a denoiser. Guidance and source conditioning wrap networks and
//! are invisible to samplers. [`Plan`] is where strength becomes a start of the loop; [`img2img`],
//! [`text2img`] and [`inpaint`](fn@inpaint) carry a plan out.
//!
//! Knows nothing of files, clocks, threads, networks, JSON or the environment. Scalars are f64 and go
//! through `libm`; tensors are host [`Tensor`]s, `[N, H, W, C]`, stepped in plain f32 in one fixed
//! order, so a seed gives the same bytes on every CPU.

mod codec;
mod colours;
mod conditioning;
mod denoiser;
mod elementwise;
mod error;
mod finish;
mod img2img;
mod inpaint;
mod noise;
mod progress;
mod refiner;
mod samplers;
mod schedule;
mod strength;
mod wash;
mod windows;

pub use codec::{LatentCodec, PatchLatents};
pub use colours::Colours;
pub use conditioning::{Conditioning, ConditioningRule, Relation, low_pass};
pub use denoiser::{Denoiser, Discrete, Guided, Network, SourceConditioned, needs_uncond};
pub use error::{BoxedError, Error, Stage};
pub use finish::{
    Factors, Finish, FinishRule, Grade, Reach, Strokes, celled, pigmented, smoothed, unwoven,
};
pub use imagegen_engine::Tensor;
pub use img2img::{
    Facts, Img2Img, NetworkFactory, Networks, Outcome, Prompt, Settings, Text2Img, img2img,
    latents2img, text2img,
};
pub use inpaint::{Inpaint, MaskedContent, inpaint};
pub use noise::{Noise, NoiseKind, RunNoise, Variation};
pub use progress::{Progress, Silent, StepRecord};
pub use refiner::{HandOver, Refiner};
pub use samplers::Sampler;
pub use schedule::{
    BetaSchedule, Layout, NoiseLevel, PredictionType, Schedule, ScheduleConfig, SchedulerClass,
    Spacing, Stepping, TimestepSpacing, TrainingSchedule,
};
pub use strength::{Plan, PlanRequest, Start, Strength, StrengthRule};
pub use wash::{Wash, WashNetwork, WashRule};
pub use windows::{Windowed, Windows};
