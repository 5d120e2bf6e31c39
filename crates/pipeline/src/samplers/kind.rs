//! The samplers offered, by name, and what a schedule must know of each.

use std::str::FromStr;

use crate::schedule::plain;
use crate::{Error, SchedulerClass, Spacing};

/// An algorithm that walks down the noise levels.
///
/// `eta` is the share of fresh noise, 0 to 1: 0 adds none, 1 as much as the algorithm's paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// DDIM. Clips the clean estimate where the model's scheduler file says so.
    Ddim {
        /// Share of fresh noise; 1 is as much as DDPM.
        eta: f64,
    },
    /// PNDM without Runge-Kutta steps, also known as PLMS: linear multistep of fourth order.
    Pndm,
    /// Euler's method on the probability flow.
    Euler,
    /// Euler steps down too far and fresh noise back up.
    EulerAncestral {
        /// Share of fresh noise.
        eta: f64,
    },
    /// Heun's method: each step is taken twice and the two slopes are averaged.
    Heun,
    /// Linear multistep of fourth order in sigma.
    Lms,
    /// DPM-Solver-2: each step goes by the slope half way.
    Dpm2,
    /// DPM-Solver-2 steps down too far and fresh noise back up.
    Dpm2Ancestral {
        /// Share of fresh noise.
        eta: f64,
    },
    /// DPM-Solver++ of second order, singlestep, with fresh noise.
    DpmPP2SAncestral {
        /// Share of fresh noise.
        eta: f64,
    },
    /// DPM-Solver++ of second order, multistep.
    DpmPP2M,
    /// DPM-Solver++ for the stochastic equation, singlestep. Each draw of noise is its own.
    DpmPPSde {
        /// Share of fresh noise.
        eta: f64,
    },
    /// DPM-Solver++ for the stochastic equation, multistep. Each draw of noise is its own.
    DpmPP2MSde {
        /// Share of fresh noise.
        eta: f64,
    },
    /// UniPC of second order: a predictor, and a corrector that needs no call of its own.
    UniPc,
    /// DEIS of second order, in log sigma.
    Deis,
    /// Consistency sampling of latent consistency models.
    Lcm,
    /// Trajectory consistency sampling.
    Tcd {
        /// Share of fresh noise; the paper's gamma.
        eta: f64,
    },
    /// DDPM's ancestral sampling. Clips the clean estimate where the model's scheduler file says so.
    Ddpm,
}

/// Samplers whose steps are laid out alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Whole timesteps.
    Whole,
    /// Fractional timesteps; latents of no fixed variance.
    Euler,
    /// Whole timesteps, one more laid out than taken.
    Solver,
    /// Timesteps of the schedule a model was distilled on.
    Distilled,
}

impl Sampler {
    /// Every sampler offered, each with its own share of fresh noise. Laws are tested over this list.
    pub const ALL: [Self; 17] = [
        Self::Ddim { eta: 0.0 },
        Self::Pndm,
        Self::Euler,
        Self::EulerAncestral { eta: 1.0 },
        Self::Heun,
        Self::Lms,
        Self::Dpm2,
        Self::Dpm2Ancestral { eta: 1.0 },
        Self::DpmPP2SAncestral { eta: 1.0 },
        Self::DpmPP2M,
        Self::DpmPPSde { eta: 1.0 },
        Self::DpmPP2MSde { eta: 1.0 },
        Self::UniPc,
        Self::Deis,
        Self::Lcm,
        Self::Tcd { eta: 0.3 },
        Self::Ddpm,
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
            Self::Pndm => &["pndm", "PLMS", "PNDMScheduler"],
            Self::Euler => &[
                "euler",
                "Euler",
                "k_euler",
                "sample_euler",
                "EulerDiscreteScheduler",
            ],
            Self::EulerAncestral { .. } => &[
                "euler_a",
                "Euler a",
                "euler_ancestral",
                "k_euler_a",
                "k_euler_ancestral",
                "sample_euler_ancestral",
                "EulerAncestralDiscreteScheduler",
            ],
            Self::Heun => &[
                "heun",
                "Heun",
                "k_heun",
                "sample_heun",
                "HeunDiscreteScheduler",
            ],
            Self::Lms => &["lms", "LMS", "k_lms", "sample_lms", "LMSDiscreteScheduler"],
            Self::Dpm2 => &[
                "dpm2",
                "DPM2",
                "k_dpm_2",
                "sample_dpm_2",
                "KDPM2DiscreteScheduler",
            ],
            Self::Dpm2Ancestral { .. } => &[
                "dpm2_a",
                "DPM2 a",
                "dpm_2_ancestral",
                "k_dpm_2_a",
                "k_dpm_2_ancestral",
                "sample_dpm_2_ancestral",
                "KDPM2AncestralDiscreteScheduler",
            ],
            Self::DpmPP2SAncestral { .. } => &[
                "dpmpp_2s_a",
                "DPM++ 2S a",
                "dpmpp_2s_ancestral",
                "k_dpmpp_2s_a",
                "sample_dpmpp_2s_ancestral",
            ],
            Self::DpmPP2M => &[
                "dpmpp_2m",
                "DPM++ 2M",
                "dpm_2m",
                "k_dpmpp_2m",
                "sample_dpmpp_2m",
                "DPMSolverMultistepScheduler",
            ],
            Self::DpmPPSde { .. } => &[
                "dpmpp_sde",
                "DPM++ SDE",
                "k_dpmpp_sde",
                "sample_dpmpp_sde",
                "DPMSolverSDEScheduler",
            ],
            Self::DpmPP2MSde { .. } => &[
                "dpmpp_2m_sde",
                "DPM++ 2M SDE",
                "k_dpmpp_2m_sde",
                "sample_dpmpp_2m_sde",
            ],
            Self::UniPc => &["unipc", "UniPC", "uni_pc", "UniPCMultistepScheduler"],
            Self::Deis => &["deis", "DEIS", "DEISMultistepScheduler"],
            Self::Lcm => &["lcm", "LCM", "sample_lcm", "LCMScheduler"],
            Self::Tcd { .. } => &["tcd", "TCD", "TCDScheduler"],
            Self::Ddpm => &["ddpm", "DDPM", "DDPMScheduler"],
        }
    }

    /// The sampler of a name. Capitals, blanks, hyphens and underscores make no difference, and `++`
    /// is `pp`.
    ///
    /// Fails with [`Error::UnknownSampler`], which lists every name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::known(&wanted(name)).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(|s| s.names().join(", ")).collect();
            Error::UnknownSampler {
                got: name.to_owned(),
                expected: names.join("; "),
            }
        })
    }

    /// The sampler of a name that may end with the name of a schedule, as in "DPM++ 2M Karras".
    ///
    /// Fails as [`Sampler::parse`].
    pub fn parse_with_spacing(name: &str) -> Result<(Self, Option<Spacing>), Error> {
        let wanted = wanted(name);
        if let Some(sampler) = Self::known(&wanted) {
            return Ok((sampler, None));
        }
        let ended = |spacing: Spacing| {
            let mut names = spacing.names().iter();
            names.find_map(|end| Self::known(wanted.strip_suffix(&plain(end))?))
        };
        let mut spacings = Spacing::ALL.into_iter();
        let found = spacings.find_map(|spacing| Some((ended(spacing)?, Some(spacing))));
        found.map_or_else(|| Self::parse(name).map(|sampler| (sampler, None)), Ok)
    }

    fn known(wanted: &str) -> Option<Self> {
        let known = |sampler: &Self| {
            sampler
                .names()
                .iter()
                .any(|name| self::wanted(name) == wanted)
        };
        Self::ALL.into_iter().find(known)
    }

    /// The diffusers class whose defaults hold for keys that a scheduler file leaves out.
    pub fn scheduler_class(self) -> SchedulerClass {
        match self {
            Self::Ddim { .. } => SchedulerClass::Ddim,
            Self::Pndm => SchedulerClass::Pndm,
            // k-diffusion's own sampler runs on the same settings.
            Self::Euler | Self::DpmPP2SAncestral { .. } => SchedulerClass::EulerDiscrete,
            Self::EulerAncestral { .. } => SchedulerClass::EulerAncestralDiscrete,
            Self::Heun => SchedulerClass::HeunDiscrete,
            Self::Lms => SchedulerClass::LmsDiscrete,
            Self::Dpm2 => SchedulerClass::Kdpm2Discrete,
            Self::Dpm2Ancestral { .. } => SchedulerClass::Kdpm2AncestralDiscrete,
            Self::DpmPP2M | Self::DpmPP2MSde { .. } => SchedulerClass::DpmSolverMultistep,
            Self::DpmPPSde { .. } => SchedulerClass::DpmSolverSde,
            Self::UniPc => SchedulerClass::UniPcMultistep,
            Self::Deis => SchedulerClass::DeisMultistep,
            Self::Lcm => SchedulerClass::Lcm,
            Self::Tcd { .. } => SchedulerClass::Tcd,
            Self::Ddpm => SchedulerClass::Ddpm,
        }
    }

    /// The share of fresh noise; `None` for samplers that have no such choice.
    pub fn eta(self) -> Option<f64> {
        match self {
            Self::Ddim { eta }
            | Self::EulerAncestral { eta }
            | Self::Dpm2Ancestral { eta }
            | Self::DpmPP2SAncestral { eta }
            | Self::DpmPPSde { eta }
            | Self::DpmPP2MSde { eta }
            | Self::Tcd { eta } => Some(eta),
            _ => None,
        }
    }

    /// The same algorithm with another share of fresh noise, 0 to 1.
    ///
    /// Fails with [`Error::Value`] outside that range and where the sampler has no such choice.
    pub fn with_eta(mut self, share: f64) -> Result<Self, Error> {
        match &mut self {
            Self::Ddim { eta }
            | Self::EulerAncestral { eta }
            | Self::Dpm2Ancestral { eta }
            | Self::DpmPP2SAncestral { eta }
            | Self::DpmPPSde { eta }
            | Self::DpmPP2MSde { eta }
            | Self::Tcd { eta } => *eta = share,
            _ => {
                let expected = format!("none, since sampler {} has no such choice", self.name());
                return Err(Error::value("eta", share, expected));
            }
        }
        self.check()?;
        Ok(self)
    }

    /// Fails with [`Error::Value`] if the share of fresh noise is outside 0 to 1.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.eta() {
            Some(eta) if !(0.0..=1.0).contains(&eta) => Err(Error::value("eta", eta, "0 to 1")),
            _ => Ok(()),
        }
    }

    /// Whether it clips the clean estimate where the model's scheduler file says so.
    pub fn clips(self) -> bool {
        matches!(self, Self::Ddim { .. } | Self::Ddpm | Self::Lcm)
    }

    /// How its steps are laid out.
    pub(crate) fn family(self) -> Family {
        match self {
            Self::Ddim { .. } | Self::Pndm | Self::Ddpm => Family::Whole,
            Self::Euler
            | Self::EulerAncestral { .. }
            | Self::Heun
            | Self::Lms
            | Self::Dpm2
            | Self::Dpm2Ancestral { .. }
            | Self::DpmPP2SAncestral { .. }
            | Self::DpmPPSde { .. } => Family::Euler,
            Self::DpmPP2M | Self::DpmPP2MSde { .. } | Self::UniPc | Self::Deis => Family::Solver,
            Self::Lcm | Self::Tcd { .. } => Family::Distilled,
        }
    }
}

impl FromStr for Sampler {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

fn wanted(name: &str) -> String {
    plain(name).replace("++", "pp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_tradition_are_known() {
        for (name, ours) in [
            ("DDIMScheduler", "ddim"),
            ("plms", "pndm"),
            ("euler a", "euler_a"),
            ("euler-a", "euler_a"),
            ("dpm++_2m", "dpmpp_2m"),
            ("DPM++ 2M", "dpmpp_2m"),
            ("dpm_2m", "dpmpp_2m"),
            ("DPM++ SDE", "dpmpp_sde"),
            ("k_dpm_2_a", "dpm2_a"),
            ("KDPM2DiscreteScheduler", "dpm2"),
            ("uni_pc", "unipc"),
        ] {
            assert_eq!(Sampler::parse(name).unwrap().name(), ours, "{name}");
        }
    }

    #[test]
    fn no_name_means_two_samplers() {
        for sampler in Sampler::ALL {
            for name in sampler.names() {
                assert_eq!(Sampler::parse(name).unwrap(), sampler);
                assert_eq!(Sampler::parse_with_spacing(name).unwrap(), (sampler, None));
            }
        }
    }

    #[test]
    fn a_name_may_end_with_a_schedule() {
        for (name, sampler, spacing) in [
            ("DPM++ 2M Karras", "dpmpp_2m", Spacing::Karras),
            (
                "DPM++ 2M SDE Exponential",
                "dpmpp_2m_sde",
                Spacing::Exponential,
            ),
            ("Euler a SGM Uniform", "euler_a", Spacing::SgmUniform),
            ("LMS Karras", "lms", Spacing::Karras),
            ("DPM2 a Polyexponential", "dpm2_a", Spacing::Polyexponential),
            ("Euler Automatic", "euler", Spacing::Model),
        ] {
            let (got, schedule) = Sampler::parse_with_spacing(name).unwrap();
            assert_eq!((got.name(), schedule), (sampler, Some(spacing)), "{name}");
        }
        assert!(Sampler::parse("DPM++ 2M Karras").is_err());
        assert!(Sampler::parse_with_spacing("Karras").is_err());
    }

    #[test]
    fn an_unknown_name_lists_all() {
        let error = Sampler::parse("restart").unwrap_err().to_string();
        for sampler in Sampler::ALL {
            assert!(error.contains(sampler.name()), "{error}");
        }
    }

    #[test]
    fn fresh_noise_is_refused_where_there_is_none() {
        for sampler in Sampler::ALL {
            match sampler.eta() {
                Some(_) => {
                    assert_eq!(sampler.with_eta(0.25).unwrap().eta(), Some(0.25));
                    let error = sampler.with_eta(1.5).unwrap_err().to_string();
                    assert_eq!(error, "eta is 1.5, expected 0 to 1");
                }
                None => {
                    let error = sampler.with_eta(0.25).unwrap_err().to_string();
                    let said = format!("sampler {} has no such choice", sampler.name());
                    assert!(error.ends_with(&said), "{error}");
                }
            }
        }
    }
}
