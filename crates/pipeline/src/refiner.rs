//! A second network that takes over in the middle of a run, as SDXL's refiner does: where the steps are cut, and how
//! both halves are walked.

use imagegen_engine::Tensor;

use crate::img2img::{Wiring, guided};
use crate::samplers::{Stretch, relabelled};
use crate::{
    Conditioning, Denoiser, Error, Networks, Noise, Plan, PlanRequest, Progress, Schedule,
    Settings, TrainingSchedule,
};

/// A network that runs the last steps in place of the first one, on the same latents.
#[derive(Clone, Copy)]
pub struct Refiner<'r, 'n> {
    /// Makes its denoising network for a prompt.
    pub network: &'r crate::NetworkFactory<'n>,
    /// The weight of each part of the prompt.
    pub parts: &'r [f64],
    /// The noise levels it was trained on. Its steps are laid out over these.
    pub training: &'r TrainingSchedule,
    /// How it wants to see the source: not at all, or as the first network does.
    pub conditioning: Option<&'r Conditioning>,
    /// Weight of the prompt over the negative prompt.
    pub guidance_scale: f64,
    /// Share of the training scale, from its noisy end, that is left to the first network: above 0, below 1.
    pub at: f64,
}

impl std::fmt::Debug for Refiner<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refiner")
            .field("training", self.training.config())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Where a run is handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct HandOver {
    /// Steps that the first network runs, from the first.
    pub before: usize,
    /// The steps that the second one runs.
    pub after: Schedule,
}

impl HandOver {
    /// Steps of both.
    pub fn runs(&self) -> usize {
        self.before + self.after.levels().len()
    }
}

impl Plan {
    /// Cuts the plan where a share `at` of the training scale is done: the steps at timesteps from
    /// `round(T - at * T)` up stay with the first network, those below go to the second, as diffusers' `denoising_end`
    /// and `denoising_start` have it. The second one's steps are laid out over its own scale, `training`. A step is
    /// never cut, also where it takes two calls.
    ///
    /// Fails with [`Error::Value`] unless `at` is above 0 and below 1, and as [`Plan::img2img`].
    pub fn hand_over(&self, training: &TrainingSchedule, at: f64) -> Result<HandOver, Error> {
        if !(at > 0.0 && at < 1.0) {
            return Err(Error::value("refiner_at", at, "above 0 and below 1"));
        }
        let later = Self::img2img(
            training,
            PlanRequest {
                sampler: self.sampler,
                spacing: self.spacing,
                steps: self.steps_asked,
                strength: self.strength,
                rule: self.rule,
            },
        )?;
        let above = |schedule: &Schedule, training: &TrainingSchedule| {
            let scale = training.config().num_train_timesteps as f64;
            let cut = (scale - at * scale).round_ties_even(); // as Python rounds
            let levels = schedule.levels().iter();
            levels.take_while(|level| level.timestep >= cut).count()
        };
        let skipped = above(&later.schedule, training);
        Ok(HandOver {
            before: above(&self.schedule, training),
            after: later.schedule.without_first(skipped),
        })
    }
}

/// Walks `noised` down a plan with `denoiser`, and with the networks' refiner from where it takes over. Gives the
/// latents and the sigma they are left at.
pub(crate) fn walk(
    plan: &Plan,
    settings: &Settings,
    (mut denoiser, channels): (impl Denoiser, Option<Tensor>),
    noised: Tensor,
    networks: &Networks<'_, '_>,
    (noise, progress): (&mut dyn Noise, &mut dyn Progress),
) -> Result<(Tensor, f64), Error> {
    let (sampler, schedule) = (plan.sampler, &plan.schedule);
    let cut = networks.refiner.map(|refiner| {
        let hand_over = plan.hand_over(refiner.training, refiner.at)?;
        Ok::<_, Error>((refiner, hand_over))
    });
    let Some((refiner, HandOver { before, after })) = cut.transpose()? else {
        let whole = Stretch::whole(schedule);
        let left = sampler.walk(&mut denoiser, noised, schedule, whole, (noise, progress))?;
        return Ok((left, schedule.final_sigma()));
    };
    let of = before + after.levels().len();
    let channels = match refiner.conditioning {
        None => None,
        seen if seen == networks.conditioning => channels,
        _ => {
            let expected = "none, or those of the model before it";
            return Err(Error::value(
                "the refiner's source channels",
                "others",
                expected,
            ));
        }
    };
    let settings = Settings {
        guidance_scale: refiner.guidance_scale,
        ..*settings
    };
    let wiring = Wiring {
        network: refiner.network,
        parts: refiner.parts,
        training: refiner.training,
        conditioning: refiner.conditioning,
    };
    let first = Stretch {
        until: before,
        before: 0,
        of,
    };
    let mut noised = sampler.walk(
        &mut denoiser,
        noised,
        schedule,
        first,
        (&mut *noise, &mut *progress),
    )?;
    drop(denoiser);
    let left = |steps: usize| schedule.levels().get(steps).map(|level| level.sigma);
    let left = left(before).unwrap_or_else(|| schedule.final_sigma());
    let Some(level) = after.levels().first() else {
        return Ok((noised, left));
    };
    noised = relabelled(noised, left, level.sigma);
    let mut denoiser = guided(&settings, of, (channels, plan.strength), wiring)?;
    let rest = Stretch {
        until: of - before,
        before,
        of,
    };
    let noised = sampler.walk(&mut denoiser, noised, &after, rest, (noise, progress))?;
    Ok((noised, after.final_sigma()))
}
