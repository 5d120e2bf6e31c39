//! Noise schedules: from a model's scheduler settings and a step count to descending noise levels.
//! Scalars only. Knows nothing of tensors, networks or seeds. Consumed by `strength` and `samplers`.

mod beta;
mod config;
mod layout;
mod levels;
mod spacing;
mod training;

pub use config::{BetaSchedule, PredictionType, ScheduleConfig, SchedulerClass, TimestepSpacing};
pub use layout::Layout;
pub(crate) use levels::variance_of_noised;
pub use levels::{NoiseLevel, Schedule, Stepping};
pub use spacing::Spacing;
pub(crate) use spacing::plain;
pub use training::TrainingSchedule;
