//! How noise levels are laid between most noise and none, whatever the sampler.

use std::str::FromStr;

use super::TimestepSpacing;
use super::beta::quantile;
use crate::Error;

/// Exponent of the levels of Karras et al. 2022.
const KARRAS_RHO: f64 = 7.0;

/// Both parameters of the beta distribution (Lee et al. 2024).
const BETA: f64 = 0.6;

/// How noise levels are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spacing {
    /// As the model's scheduler file says.
    #[default]
    Model,
    /// Whole timesteps, whatever the file says.
    Timesteps(TimestepSpacing),
    /// Even in sigma^(1/7).
    Karras,
    /// Even in log sigma.
    Exponential,
    /// Polynomial in log sigma. Its exponent is 1, as other programs have it: the levels of exponential.
    Polyexponential,
    /// Even timesteps of which the lowest is left away.
    SgmUniform,
    /// Every so many timesteps down from the top.
    Simple,
    /// Quantiles of a beta distribution over sigma: many levels at both ends.
    Beta,
}

impl Spacing {
    /// Every spacing offered.
    pub const ALL: [Self; 10] = [
        Self::Model,
        Self::Timesteps(TimestepSpacing::Leading),
        Self::Timesteps(TimestepSpacing::Linspace),
        Self::Timesteps(TimestepSpacing::Trailing),
        Self::Karras,
        Self::Exponential,
        Self::Polyexponential,
        Self::SgmUniform,
        Self::Simple,
        Self::Beta,
    ];

    /// Our name, the one to record and to show.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Every accepted name: ours, then those of other programs.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Model => &["model", "Automatic"],
            Self::Timesteps(TimestepSpacing::Leading) => &["leading"],
            Self::Timesteps(TimestepSpacing::Linspace) => &["linspace", "Uniform", "normal"],
            Self::Timesteps(TimestepSpacing::Trailing) => &["trailing"],
            Self::Karras => &["karras", "use_karras_sigmas"],
            Self::Exponential => &["exponential", "use_exponential_sigmas"],
            Self::Polyexponential => &["polyexponential"],
            Self::SgmUniform => &["sgm_uniform", "SGM Uniform"],
            Self::Simple => &["simple"],
            Self::Beta => &["beta", "use_beta_sigmas"],
        }
    }

    /// The spacing of a name. Capitals, blanks, hyphens and underscores make no difference.
    ///
    /// Fails with [`Error::Value`], which lists every name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let wanted = plain(name);
        let known = |spacing: &Self| spacing.names().iter().any(|name| plain(name) == wanted);
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|spacing| spacing.name()).collect();
            Error::value(
                "schedule",
                format!("{name:?}"),
                format!("one of {}", names.join(", ")),
            )
        })
    }

    /// `count` sigmas falling from `most` to `least`, both above 0; `None` where timesteps are laid out.
    pub(super) fn sigmas(self, count: usize, [least, most]: [f64; 2]) -> Option<Vec<f64>> {
        // The way down as a share, 0 at the first level and 1 at the last.
        let ramp = (0..count).map(|i| i as f64 / (count - 1).max(1) as f64);
        Some(match self {
            Self::Model | Self::Timesteps(_) | Self::SgmUniform | Self::Simple => return None,
            Self::Karras => {
                let [low, high] = [least, most].map(|sigma| libm::pow(sigma, 1.0 / KARRAS_RHO));
                ramp.map(|down| libm::pow(high + down * (low - high), KARRAS_RHO))
                    .collect()
            }
            Self::Exponential | Self::Polyexponential => {
                let [low, high] = [least, most].map(libm::log);
                ramp.map(|down| libm::exp(high + down * (low - high)))
                    .collect()
            }
            Self::Beta => ramp
                .map(|down| least + quantile(1.0 - down, BETA, BETA) * (most - least))
                .collect(),
        })
    }
}

impl FromStr for Spacing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

/// A name without what people write differently.
pub(crate) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // tools/reference: n = 5, sigma 0.0292..14.6146, rho = 7, float64.
    #[test]
    fn karras_has_its_known_levels() {
        let got = Spacing::Karras.sigmas(5, [0.0292, 14.6146]).unwrap();
        let want = [14.6146, 4.797_174, 1.274_516, 0.248_104, 0.0292];
        for (got, want) in got.into_iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got}, expected {want}");
        }
    }

    #[test]
    fn every_spacing_by_sigma_falls_from_end_to_end() {
        for spacing in Spacing::ALL {
            for count in [1, 2, 3, 20, 999] {
                let Some(sigmas) = spacing.sigmas(count, [0.03, 14.6]) else {
                    continue;
                };
                assert_eq!(sigmas.len(), count);
                assert!((sigmas[0] - 14.6).abs() < 1e-12 * 14.6);
                assert!(count == 1 || (sigmas[count - 1] - 0.03).abs() < 1e-12);
                assert!(
                    sigmas.windows(2).all(|pair| pair[0] > pair[1]),
                    "{spacing:?} {count}"
                );
            }
        }
    }

    #[test]
    fn no_name_means_two_spacings_and_an_unknown_one_lists_all() {
        for spacing in Spacing::ALL {
            for name in spacing.names() {
                assert_eq!(Spacing::parse(name).unwrap(), spacing);
            }
        }
        let error = Spacing::parse("carras").unwrap_err().to_string();
        assert!(
            error.starts_with("schedule is \"carras\", expected one of model, "),
            "{error}"
        );
    }
}
