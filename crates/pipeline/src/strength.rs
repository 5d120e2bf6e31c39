//! Strength: how far a run moves away from the source. The one place where it becomes a start of the
//! loop. `docs/strength.md` says what people see; the tables there are tested against this file.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Layout, NoiseLevel, Sampler, Schedule, Spacing, Stepping, TrainingSchedule};

/// How far to move away from the source, 0 to 1. 0 returns the source untouched, 1 is text-to-image
/// (but under [`StrengthRule::Diffusers`] and [`StrengthRule::A1111`], where the source still shows
/// through the first noise).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Strength(f64); // `Strength::new` is the only door and rejects NaN

impl Strength {
    /// 1: all the way.
    pub const FULL: Self = Self(1.0);

    /// Checks the range. Fails with [`Error::Value`] for NaN and anything outside 0 to 1.
    pub fn new(strength: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::value("strength", strength, "0 to 1"));
        }
        Ok(Self(strength))
    }

    /// The number, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What strength means for the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrengthRule {
    /// The last round(steps * strength) steps run, at least one; a single step starts at the level
    /// that strength names.
    #[default]
    Share,
    /// All `steps` steps run, squeezed below the level that strength names.
    Exact,
    /// diffusers' formula with its quirks, for comparison with it.
    Diffusers,
    /// AUTOMATIC1111's formula, for its users' habits and recipes: one step more than
    /// floor(steps * strength), all of them from 0.999 on.
    A1111,
}

/// The strength that AUTOMATIC1111 takes every higher one for.
const A1111_MOST: f64 = 0.999;

impl StrengthRule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Share, Self::Exact, Self::Diffusers, Self::A1111];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Exact => "exact",
            Self::Diffusers => "diffusers",
            Self::A1111 => "a1111",
        }
    }
}

impl FromStr for StrengthRule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|rule| rule.name() == name);
        found.ok_or_else(|| Error::value("strength rule", name, "share, exact, diffusers or a1111"))
    }
}

/// What the first step starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// No step runs: the source is the result.
    Nothing,
    /// Noise alone: the source is not read.
    PureNoise,
    /// The source with noise of the first level added.
    NoisedSource,
}

/// What a plan is made from, next to the model's training schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanRequest {
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels are laid out.
    pub spacing: Spacing,
    /// Steps of the full schedule, at least 1.
    pub steps: usize,
    /// How far to move away from the source.
    pub strength: Strength,
    /// What strength means.
    pub rule: StrengthRule,
}

/// A fully resolved run: nothing is left to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The rule that made it.
    pub rule: StrengthRule,
    /// The strength asked for; 1 for text-to-image.
    pub strength: Strength,
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels are laid out.
    pub spacing: Spacing,
    /// What the first step starts from.
    pub start: Start,
    /// The levels that run.
    pub schedule: Schedule,
    /// The steps asked for.
    pub steps_asked: usize,
    /// The steps that run. PNDM under rule `diffusers` counts the step that it takes over again.
    pub runs: usize,
    /// The level of the first step; none if nothing runs.
    pub start_level: Option<NoiseLevel>,
}

impl PlanRequest {
    fn layout(self) -> Layout {
        Layout {
            sampler: self.sampler,
            spacing: self.spacing,
            steps: self.steps,
            stepping: self.rule.stepping(),
        }
    }
}

impl Plan {
    /// Resolves an image-to-image request.
    ///
    /// Fails with [`Error::Value`] if `steps` is 0 or too many for the training schedule, and with
    /// [`Error::NoSteps`] where rule `diffusers` rounds a strength above 0 down to no step.
    pub fn img2img(training: &TrainingSchedule, request: PlanRequest) -> Result<Self, Error> {
        let (steps, rule) = (request.steps, request.rule);
        let full = training.schedule(request.layout())?;
        let share = request.strength.get();
        let last = |runs: usize| steps - runs;
        let (start, schedule) = match rule {
            _ if share == 0.0 => (Start::Nothing, full.without_first(usize::MAX)),
            StrengthRule::Share | StrengthRule::Exact if share == 1.0 => (Start::PureNoise, full),
            // One step cannot be a share of the steps: it starts where `exact` starts.
            StrengthRule::Share if steps > 1 => {
                let runs = ((steps as f64 * share).round() as usize).clamp(1, steps);
                (Start::NoisedSource, full.without_first(last(runs)))
            }
            StrengthRule::Share | StrengthRule::Exact => (
                Start::NoisedSource,
                training.schedule_from(request.layout(), share)?,
            ),
            StrengthRule::Diffusers => match ((steps as f64 * share) as usize).min(steps) {
                0 => {
                    return Err(Error::NoSteps {
                        steps,
                        strength: share,
                    });
                }
                runs => (Start::NoisedSource, full.without_first(last(runs))),
            },
            StrengthRule::A1111 => {
                let runs = (steps as f64 * share.min(A1111_MOST)) as usize + 1;
                (
                    Start::NoisedSource,
                    full.without_first(last(runs.min(steps))),
                )
            }
        };
        Ok(Self::of(request, start, schedule))
    }

    /// Resolves a text-to-image request: all steps from pure noise, whatever its strength.
    ///
    /// `rule` decides only whether the schedule follows diffusers' quirks. Fails as
    /// [`Plan::img2img`].
    pub fn text2img(training: &TrainingSchedule, request: PlanRequest) -> Result<Self, Error> {
        let schedule = training.schedule(request.layout())?;
        let request = PlanRequest {
            strength: Strength::FULL,
            ..request
        };
        Ok(Self::of(request, Start::PureNoise, schedule))
    }

    /// Sigma of the first step; 0 if nothing runs.
    pub fn start_sigma(&self) -> f64 {
        self.start_level.map_or(0.0, |level| level.sigma)
    }

    fn of(request: PlanRequest, start: Start, schedule: Schedule) -> Self {
        Self {
            rule: request.rule,
            strength: request.strength,
            sampler: request.sampler,
            spacing: request.spacing,
            start,
            steps_asked: request.steps,
            runs: schedule.levels().len(),
            start_level: schedule.levels().first().copied(),
            schedule,
        }
    }
}

impl StrengthRule {
    fn stepping(self) -> Stepping {
        match self {
            Self::Share | Self::Exact | Self::A1111 => Stepping::Consistent,
            Self::Diffusers => Stepping::Diffusers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScheduleConfig, SchedulerClass};

    fn plan(steps: usize, strength: f64, rule: StrengthRule) -> Result<Plan, Error> {
        let config = ScheduleConfig::defaults(SchedulerClass::EulerDiscrete);
        let training = TrainingSchedule::new(config).unwrap();
        let strength = Strength::new(strength).unwrap();
        Plan::img2img(
            &training,
            PlanRequest {
                sampler: Sampler::Euler,
                spacing: Spacing::Model,
                steps,
                strength,
                rule,
            },
        )
    }

    #[test]
    fn strength_is_checked() {
        for bad in [f64::NAN, -0.1, 1.000_001, f64::INFINITY] {
            let error = Strength::new(bad).unwrap_err().to_string();
            assert!(error.starts_with("strength is ") && error.ends_with("expected 0 to 1"));
        }
        assert!(Strength::new(0.0).is_ok() && Strength::new(1.0).is_ok());
    }

    #[test]
    fn share_does_not_lose_a_step_to_rounding() {
        assert_eq!(plan(50, 0.58, StrengthRule::Share).unwrap().runs, 29);
        assert_eq!(plan(50, 0.58, StrengthRule::Diffusers).unwrap().runs, 28);
        assert_eq!(plan(30, 0.5, StrengthRule::Share).unwrap().runs, 15);
        assert_eq!(plan(30, 0.001, StrengthRule::Share).unwrap().runs, 1);
    }

    #[test]
    fn ends_are_exact() {
        for rule in StrengthRule::ALL {
            let nothing = plan(10, 0.0, rule).unwrap();
            assert_eq!(
                (nothing.start, nothing.runs, nothing.start_sigma()),
                (Start::Nothing, 0, 0.0)
            );
            let all = plan(10, 1.0, rule).unwrap();
            assert_eq!(all.runs, 10);
            let quirk = matches!(rule, StrengthRule::Diffusers | StrengthRule::A1111);
            assert_eq!(
                all.start,
                if quirk {
                    Start::NoisedSource
                } else {
                    Start::PureNoise
                }
            );
        }
    }

    #[test]
    fn exact_runs_every_step_from_the_named_level() {
        for steps in [1, 2, 7, 100] {
            for strength in [1e-6, 0.1, 0.5, 0.999, 1.0] {
                let plan = plan(steps, strength, StrengthRule::Exact).unwrap();
                assert_eq!(plan.runs, steps);
                let start = plan.start_level.unwrap().timestep;
                assert!((start - 999.0 * strength).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn one_step_starts_where_strength_says() {
        let share = plan(1, 0.25, StrengthRule::Share).unwrap();
        assert_eq!(share.start_level.unwrap().timestep, 249.75);
    }

    #[test]
    fn rule_diffusers_names_the_missing_step() {
        let error = plan(4, 0.2, StrengthRule::Diffusers).unwrap_err();
        assert!(
            matches!(
                error,
                Error::NoSteps {
                    steps: 4,
                    strength: 0.2
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn steps_are_checked_even_where_none_runs() {
        assert!(plan(0, 0.0, StrengthRule::Share).is_err());
    }
}
