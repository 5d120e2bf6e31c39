//! Samplers: how one noise level moves to the next. One loop for all of them, one file per algorithm.
//!
//! The loop goes by index and keeps no state beyond its locals. An algorithm is a function of a
//! [`Step`]; it never sees the prediction type or the guidance.

mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s_ancestral;
mod dpmpp_sde;
mod euler;
mod euler_ancestral;
mod heun;
mod kind;
mod lcm;
mod lms;
mod pndm;
mod step;
mod tcd;
mod unipc;

use imagegen_engine::Tensor;

pub(crate) use kind::Family;
pub use kind::Sampler;
pub(crate) use step::relabelled;
use step::{HISTORY, Moved, Past, Step, Tools};

use crate::{Denoiser, Error, Noise, Progress, Schedule, Stage, StepRecord};

/// Which of a schedule's steps are walked, and how they count in the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// So many steps of the schedule, from its first.
    pub(crate) until: usize,
    /// Steps of the run before it.
    pub(crate) before: usize,
    /// Steps of the run.
    pub(crate) of: usize,
}

impl Stretch {
    /// All steps of a schedule that is a run.
    pub(crate) fn whole(schedule: &Schedule) -> Self {
        let steps = schedule.levels().len();
        Self {
            until: steps,
            before: 0,
            of: steps,
        }
    }
}

impl Sampler {
    /// Walks `noised` `[N, H, W, C]` (clean + sigma * noise at the first level) down `schedule` and
    /// returns it at the final sigma.
    ///
    /// Fails with [`Error::NotFinite`] naming the step at the first NaN or infinity, with
    /// [`Error::Cancelled`] when `progress` breaks, and with whatever `denoiser` fails with.
    pub fn run(
        self,
        denoiser: &mut dyn Denoiser,
        noised: Tensor,
        schedule: &Schedule,
        noise: &mut dyn Noise,
        progress: &mut dyn Progress,
    ) -> Result<Tensor, Error> {
        let whole = Stretch::whole(schedule);
        self.walk(denoiser, noised, schedule, whole, (noise, progress))
    }

    /// [`Sampler::run`] for a stretch of a run: gives the latents at the level of the step behind it, or at the
    /// final sigma.
    pub(crate) fn walk(
        self,
        denoiser: &mut dyn Denoiser,
        mut noised: Tensor,
        schedule: &Schedule,
        stretch: Stretch,
        (noise, progress): (&mut dyn Noise, &mut dyn Progress),
    ) -> Result<Tensor, Error> {
        let mut history: Vec<Past> = Vec::new();
        for (i, &level) in schedule.levels().iter().enumerate().take(stretch.until) {
            let (step, steps) = (stretch.before + i + 1, stretch.of);
            denoiser.begin_step(step - 1);
            let mut tools = Tools {
                denoiser: &mut *denoiser,
                noise: &mut *noise,
                stage: Stage::Denoise { step, steps },
            };
            let denoised = tools.denoise(&noised, level)?;
            let (from, to) = schedule.stretch(i);
            let here = Step {
                index: i,
                noised: &noised,
                denoised: &denoised,
                level,
                from,
                to,
                history: &history,
                schedule,
            };
            let moved = self.step(&here, &mut tools)?;
            let record = StepRecord {
                step,
                steps,
                sigma: level.sigma,
                denoised: &denoised,
            };
            if progress.step(&record).is_break() {
                return Err(Error::Cancelled { step, steps });
            }
            history.insert(
                0,
                Past {
                    noised: moved.corrected.unwrap_or(noised),
                    denoised,
                    sigma: level.sigma,
                },
            );
            history.truncate(HISTORY);
            noised = match schedule.levels().get(i + 1) {
                Some(next) => relabelled(moved.latents, to, next.sigma),
                None => moved.latents,
            };
        }
        Ok(noised)
    }

    /// One step of the algorithm.
    fn step(self, step: &Step<'_>, tools: &mut Tools<'_>) -> Result<Moved, Error> {
        let latents = match self {
            Self::Ddim { eta } => ddim::step(step, eta, tools)?,
            Self::Pndm => pndm::step(step, tools)?,
            Self::Euler => euler::step(step)?,
            Self::EulerAncestral { eta } => euler_ancestral::step(step, eta, tools)?,
            Self::Heun => heun::step(step, tools)?,
            Self::Lms => lms::step(step)?,
            Self::Dpm2 => dpm2::step(step, 0.0, tools)?,
            Self::Dpm2Ancestral { eta } => dpm2::step(step, eta, tools)?,
            Self::DpmPP2SAncestral { eta } => dpmpp_2s_ancestral::step(step, eta, tools)?,
            Self::DpmPP2M => dpmpp_2m::step(step)?,
            Self::DpmPPSde { eta } => dpmpp_sde::step(step, eta, tools)?,
            Self::DpmPP2MSde { eta } => dpmpp_2m_sde::step(step, eta, tools)?,
            Self::UniPc => return unipc::step(step),
            Self::Deis => deis::step(step)?,
            Self::Lcm => lcm::step(step, tools)?,
            Self::Tcd { eta } => tcd::step(step, eta, tools)?,
            Self::Ddpm => ddpm::step(step, tools)?,
        };
        Ok(Moved::to(latents))
    }
}
