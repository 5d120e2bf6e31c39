//! Finer choices of how noise is taken away, as they are ordered.

use imagegen::{NoiseKind, RefinerUse, Spacing, Variation};
use serde::{Deserialize, Serialize};

use crate::named::read;
use crate::{Error, Hires};

/// Finer choices of an order. `None` takes the model's or the sampler's own, and is not stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// How noise levels are laid out, by any of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Share of fresh noise, 0 to 1, for samplers that have such a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Share of the guided output that is brought back to the spread of the prompt's own, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_rescale: Option<f64>,
    /// Share of the steps that are guided, from the first, above 0, up to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_until: Option<f64>,
    /// Every how many steps the whole network runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_interval: Option<usize>,
    /// Share of the tokens that self-attention does without, 0 to [`imagegen::MOST_MERGED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_merging: Option<f64>,
    /// Weight of the source over no source, 0 to 100, for models that edit as told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_guidance: Option<f64>,
    /// What is done about colours that an autoencoder shifts: `kept` or `decoded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colours: Option<String>,
    /// What is done about line drawings: `on` or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wash: Option<String>,
    /// Which layer of the text encoders is read, 1 the model's own, 2 the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<usize>,
    /// Whose random numbers seeds stand for: `cpu` or `nv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
    /// In what networks multiply: `f32`, `bf16` or `int8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Another seed, whose noise a run starts from in part; with several pictures it counts up. Stored orders with a
    /// strength above 0 always have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_seed: Option<u64>,
    /// How far to that seed's noise, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_strength: Option<f64>,
    /// What is done about pictures larger than the model works at: `off` or `on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<String>,
    /// Whether a learned autoencoder looks at the picture in tiles: `auto`, `on` or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae_tiling: Option<String>,
    /// A second pass, for pictures from text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires: Option<Hires>,
    /// The model that runs the last steps, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<String>,
    /// Share of the noise levels that is left to the model before it, above 0, up to 1. Stored orders with a refiner always
    /// have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner_at: Option<f64>,
}

impl Sampling {
    /// Whether nothing is chosen.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Names the variation's seed where none is named and one is needed, what the second pass does, and when the refiner
    /// takes over.
    pub(crate) fn fill_in(&mut self, drawn_seed: u64) {
        if self.variation_strength.is_some_and(|share| share > 0.0) {
            self.variation_seed.get_or_insert(drawn_seed);
        }
        self.hires.iter_mut().for_each(Hires::fill_in);
        if self.refiner.is_some() {
            self.refiner_at.get_or_insert(RefinerUse::AT);
        }
    }

    fn variation(&self) -> Result<Option<Variation>, Error> {
        let field = "variation_strength";
        match (self.variation_seed, self.variation_strength) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::value(field, "none", "0 to 1 with a variation_seed")),
            (seed, Some(strength)) => {
                let wrong = |_| Error::value(field, strength, "0 to 1");
                let variation = Variation::new(seed.unwrap_or_default(), strength);
                Ok(Some(variation.map_err(wrong)?))
            }
        }
    }

    /// The library's choices. What depends on sampler and model is checked with the request.
    ///
    /// Fails with [`Error::Value`] by the name of the field.
    pub(crate) fn choices(&self) -> Result<imagegen::Sampling, Error> {
        for (field, share) in [
            ("eta", self.eta),
            ("guidance_rescale", self.guidance_rescale),
        ] {
            in_range(field, share, 1.0, "0 to 1")?;
        }
        let most = imagegen::MOST_MERGED;
        let expected = format!("0 to {most}");
        in_range("token_merging", self.token_merging, most, &expected)?;
        in_range("image_guidance", self.image_guidance, 100.0, "0 to 100")?;
        for (field, share) in [
            ("guidance_until", self.guidance_until),
            ("refiner_at", self.refiner_at),
        ] {
            if let Some(share) = share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
                return Err(Error::value(field, share, "above 0, up to 1"));
            }
        }
        let most = imagegen::MOST_INTERVAL;
        if let Some(steps) = self
            .cache_interval
            .filter(|steps| !(1..=most).contains(steps))
        {
            return Err(Error::value(
                "cache_interval",
                steps,
                format!("1 to {most}"),
            ));
        }
        let schedules: Vec<_> = Spacing::ALL.iter().map(|spacing| spacing.name()).collect();
        let schedule = read("schedule", self.schedule.as_deref(), &schedules.join(", "))?;
        let colours = read("colours", self.colours.as_deref(), "kept or decoded")?;
        let noise = read("noise", self.noise.as_deref(), "cpu or nv")?;
        let precision = read("precision", self.precision.as_deref(), "f32, bf16 or int8")?;
        Ok(imagegen::Sampling {
            schedule,
            eta: self.eta,
            guidance_rescale: self.guidance_rescale,
            guidance_until: self.guidance_until,
            cache_interval: self.cache_interval,
            token_merging: self.token_merging,
            image_guidance: self.image_guidance,
            colours,
            wash: read("wash", self.wash.as_deref(), "on or off")?,
            clip_skip: self.clip_skip,
            noise: noise.unwrap_or(NoiseKind::Cpu),
            precision: precision.unwrap_or_default(),
            variation: self.variation()?,
            tiles: read("tiles", self.tiles.as_deref(), "off or on")?,
            vae_tiling: read("vae_tiling", self.vae_tiling.as_deref(), "auto, on or off")?,
            hires: self.hires.as_ref().map(Hires::pass).transpose()?,
            refiner_at: self.refiner_at,
        })
    }
}

fn in_range(field: &'static str, got: Option<f64>, most: f64, expected: &str) -> Result<(), Error> {
    match got {
        Some(got) if !(0.0..=most).contains(&got) => Err(Error::value(field, got, expected)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_chosen_is_stored_as_nothing() {
        assert_eq!(serde_json::to_string(&Sampling::default()).unwrap(), "{}");
        let read: Sampling = serde_json::from_str("{\"eta\": 0.5}").unwrap();
        assert_eq!(read.choices().unwrap().eta, Some(0.5));
        assert!(!read.is_none() && Sampling::default().is_none());
    }
}
