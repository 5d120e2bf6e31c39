//! What goes over the wire: the only types here that are JSON.

mod advice;
mod hires;
mod inpainting;
mod job;
mod model;
mod order;
mod seed;
mod session;
mod shelf;
mod source;

pub(crate) use advice::{AdviceBody, AdviceRequest, ForecastBody};
pub(crate) use hires::HiresBody;
pub(crate) use job::{EventBody, JobBody, PageBody, QueuedBody, StepBody};
pub(crate) use model::ModelBody;
pub(crate) use order::{
    GenerationRequest, InpaintRequest, LadderRequest, TransformRequest, UpscaleRequest,
    VariationRequest,
};
pub(crate) use seed::Seed;
pub(crate) use session::{LimitsBody, SessionBody, SignIn};
pub(crate) use shelf::{LoraBody, ShelvedBody};
pub(crate) use source::{ExampleBody, SourceBody};
