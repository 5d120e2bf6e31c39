//! Samplers: how one noise level moves to the next. One loop for all of them, one file per algorithm.
//!
//! The loop goes by index and keeps no state beyond its locals. An algorithm is a function of a
//! [`Step`]; it never sees the network, the prediction type or the guidance.

mod ddim;
mod dpmpp_2m;
mod euler;
mod euler_ancestral;

use std::str::FromStr;

use imagegen_engine::Tensor;

use crate::elementwise::scaled;
use crate::schedule::variance_of_noised;
use crate::{Denoiser, Error, Noise, Progress, Schedule, SchedulerClass, Stage, StepRecord};

/// An algorithm that walks down the noise levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// DDIM. Clips the clean estimate where the model's scheduler file says so.
    Ddim {
        /// Share of fresh noise in each step: 0 none, 1 as much as DDPM.
        eta: f64,
    },
    /// Euler's method on the probability flow.
    Euler,
    /// Euler steps down too far and fresh noise back up.
    EulerAncestral,
    /// DPM-Solver++ of second order, multistep.
    DpmPP2M,
}

impl Sampler {
    /// Every sampler offered. Laws are tested over this list.
    pub const ALL: [Self; 4] = [
        Self::Ddim { eta: 0.0 },
        Self::Euler,
        Self::EulerAncestral,
        Self::DpmPP2M,
    ];

    /// Our name, the one to record and to show.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Every accepted name: ours (k-diffusion's style), then those of AUTOMATIC1111, k-diffusion and
    /// diffusers.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Ddim { .. } => &["ddim", "DDIM", "DDIMScheduler"],
            Self::Euler => &[
                "euler",
                "Euler",
                "k_euler",
                "sample_euler",
                "EulerDiscreteScheduler",
            ],
            Self::EulerAncestral => &[
                "euler_a",
                "Euler a",
                "euler_ancestral",
                "k_euler_a",
                "k_euler_ancestral",
                "sample_euler_ancestral",
                "EulerAncestralDiscreteScheduler",
            ],
            Self::DpmPP2M => &[
                "dpmpp_2m",
                "DPM++ 2M",
                "dpm_2m",
                "dpm++_2m",
                "k_dpmpp_2m",
                "sample_dpmpp_2m",
                "DPMSolverMultistepScheduler",
            ],
        }
    }

    /// The sampler of a name. Capitals, blanks, hyphens and underscores make no difference.
    ///
    /// Fails with [`Error::UnknownSampler`], which lists every name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let wanted = plain(name);
        let known = |sampler: &Self| sampler.names().iter().any(|name| plain(name) == wanted);
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(|s| s.names().join(", ")).collect();
            Error::UnknownSampler {
                got: name.to_owned(),
                expected: names.join("; "),
            }
        })
    }

    /// The diffusers class whose defaults hold for keys that a scheduler file leaves out.
    pub fn scheduler_class(self) -> SchedulerClass {
        match self {
            Self::Ddim { .. } => SchedulerClass::Ddim,
            Self::Euler => SchedulerClass::EulerDiscrete,
            Self::EulerAncestral => SchedulerClass::EulerAncestralDiscrete,
            Self::DpmPP2M => SchedulerClass::DpmSolverMultistep,
        }
    }

    /// Walks `noised` `[N, H, W, C]` (clean + sigma * noise at the first level) down `schedule` and
    /// returns it at the final sigma.
    ///
    /// Fails with [`Error::NotFinite`] naming the step at the first NaN or infinity, with
    /// [`Error::Cancelled`] when `progress` breaks, and with whatever `denoiser` fails with.
    pub fn run(
        self,
        denoiser: &mut dyn Denoiser,
        mut noised: Tensor,
        schedule: &Schedule,
        noise: &mut dyn Noise,
        progress: &mut dyn Progress,
    ) -> Result<Tensor, Error> {
        let steps = schedule.levels().len();
        let mut previous: Option<(Tensor, f64)> = None;
        for (i, (&level, &to)) in schedule.levels().iter().zip(schedule.targets()).enumerate() {
            let denoised = denoiser.denoise(&noised, level)?;
            if !denoised.is_finite() {
                return Err(Error::NotFinite {
                    stage: Stage::Denoise { step: i + 1, steps },
                });
            }
            let step = Step {
                noised: &noised,
                denoised: &denoised,
                previous: previous
                    .as_ref()
                    .map(|(denoised, sigma)| (denoised, *sigma)),
                from: level.sigma,
                to,
                clip: schedule.clip(),
            };
            let moved = match self {
                Self::Ddim { eta } => ddim::step(&step, eta, noise)?,
                Self::Euler => euler::step(&step)?,
                Self::EulerAncestral => euler_ancestral::step(&step, noise)?,
                Self::DpmPP2M => dpmpp_2m::step(&step)?,
            };
            noised = match schedule.levels().get(i + 1) {
                Some(next) => relabelled(moved, to, next.sigma),
                None => moved,
            };
            let record = StepRecord {
                step: i + 1,
                steps,
                sigma: level.sigma,
                denoised: &denoised,
            };
            if progress.step(&record).is_break() {
                return Err(Error::Cancelled { step: i + 1, steps });
            }
            previous = Some((denoised, level.sigma));
        }
        Ok(noised)
    }
}

impl FromStr for Sampler {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

/// A name without what people write differently.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Latents of noise level `from` taken for latents of `to`. Does nothing where a step ended at the
/// level the next one starts from; where diffusers jumps (see [`crate::Stepping::Diffusers`]), it keeps
/// the latents of variance 1 that its loop holds.
fn relabelled(noised: Tensor, from: f64, to: f64) -> Tensor {
    if from == to {
        return noised;
    }
    scaled(
        noised,
        (variance_of_noised(to) / variance_of_noised(from)).sqrt(),
    )
}

/// All that an algorithm knows of one step.
struct Step<'a> {
    /// Latents at `from`, `[N, H, W, C]`.
    noised: &'a Tensor,
    /// The clean estimate of `noised`, not clipped.
    denoised: &'a Tensor,
    /// The clean estimate of the step before and the sigma it was made at.
    previous: Option<(&'a Tensor, f64)>,
    /// Sigma now, above 0.
    from: f64,
    /// Sigma to reach, at least 0 and at most `from`.
    to: f64,
    /// Range for samplers that clip the clean estimate.
    clip: Option<f64>,
}

impl Step<'_> {
    /// Shape for fresh noise.
    fn shape(&self) -> Result<[usize; 4], Error> {
        Ok(self.noised.nhwc("noised latents")?)
    }
}

/// Standard deviation of fresh noise, and the sigma to step down to before it is added, so that both
/// together reach `to`. `eta` scales the fresh noise; 1 is as much as DDPM adds.
fn ancestral(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = (eta * to * ((from * from - to * to) / (from * from)).max(0.0).sqrt()).min(to);
    // f64 and clamped: in f32 a big drop in sigma rounds the radicand below zero and all is NaN.
    (up, (to * to - up * up).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_tradition_are_known() {
        for (name, sampler) in [
            ("ddim", Sampler::Ddim { eta: 0.0 }),
            ("DDIMScheduler", Sampler::Ddim { eta: 0.0 }),
            ("Euler", Sampler::Euler),
            ("euler a", Sampler::EulerAncestral),
            ("euler-a", Sampler::EulerAncestral),
            ("euler_ancestral", Sampler::EulerAncestral),
            ("DPM++ 2M", Sampler::DpmPP2M),
            ("dpmpp_2m", Sampler::DpmPP2M),
            ("dpm_2m", Sampler::DpmPP2M),
        ] {
            assert_eq!(Sampler::parse(name).unwrap(), sampler, "{name}");
        }
    }

    #[test]
    fn no_name_means_two_samplers() {
        for sampler in Sampler::ALL {
            for name in sampler.names() {
                assert_eq!(Sampler::parse(name).unwrap(), sampler);
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_all() {
        let error = Sampler::parse("heun").unwrap_err().to_string();
        for sampler in Sampler::ALL {
            assert!(error.contains(sampler.name()), "{error}");
        }
    }

    #[test]
    fn ancestral_noise_stays_finite_and_adds_up_at_any_drop() {
        for from in [1e-3, 0.03, 1.0, 14.6, 277.0, 4096.0, 2e4, 1e8] {
            for share in [0.0, 1e-9, 1e-3, 0.3, 0.999, 1.0 - 1e-12, 1.0] {
                for eta in [0.0, 0.5, 1.0] {
                    let to = from * share;
                    let (up, down) = ancestral(from, to, eta);
                    assert!(up >= 0.0 && down >= 0.0 && up <= to);
                    assert!((up.hypot(down) - to).abs() <= 1e-12 * to);
                }
            }
        }
    }
}
