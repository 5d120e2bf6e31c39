//! What a request asks for with the model's defaults filled in, its texts and its recipe.

use imagegen_pipeline::{
    Colours, Conditioning, LatentCodec, NoiseKind, Spacing, Strength, StrengthRule,
};

use crate::loras;
use crate::prompts::{Hearing, NegativeSay, ReadTexts};
use crate::recipe::{Recipe, VariationMark};
use crate::{Error, LoraUse, Model, PROGRAM, PromptMode, Settings, Warning, Washing};

impl Model {
    /// Fills in the model's defaults and checks ranges.
    pub(crate) fn resolve(
        &self,
        settings: &Settings,
    ) -> Result<imagegen_pipeline::Settings, Error> {
        let defaults = self.defaults();
        let steps = settings.steps.unwrap_or(defaults.steps);
        if !(1..=1000).contains(&steps) {
            return Err(Error::setting("steps", steps, "1 to 1000"));
        }
        let guidance_scale = settings.guidance_scale.unwrap_or(defaults.guidance_scale);
        if !(0.0..=100.0).contains(&guidance_scale) {
            return Err(Error::setting("guidance", guidance_scale, "0 to 100"));
        }
        let mut sampler = settings.sampler.unwrap_or(defaults.sampler);
        if let Some(eta) = settings.sampling.eta {
            sampler = sampler.with_eta(eta)?;
        }
        let guidance_rescale = settings.sampling.guidance_rescale.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&guidance_rescale) {
            let name = "guidance rescale";
            return Err(Error::setting(name, guidance_rescale, "0 to 1"));
        }
        let guidance_until = settings.sampling.guidance_until.unwrap_or(1.0);
        if !(guidance_until > 0.0 && guidance_until <= 1.0) {
            let (name, expected) = (
                "guidance until",
                "above 0, up to 1; guidance 1 guides no step",
            );
            return Err(Error::setting(name, guidance_until, expected));
        }
        let weighs = !matches!(guidance_scale, 0.0 | 1.0) && !self.hears_guidance();
        if let Some(interval) = settings.sampling.cache_interval
            && !(1..=crate::MOST_INTERVAL).contains(&interval)
        {
            let expected = format!("1 to {}", crate::MOST_INTERVAL);
            return Err(Error::setting("cache interval", interval, expected));
        }
        if let Some(share) = settings.sampling.token_merging
            && !(0.0..=crate::MOST_MERGED).contains(&share)
        {
            let expected = format!("0 to {}", crate::MOST_MERGED);
            return Err(Error::setting("token merging", share, expected));
        }
        let image_guidance = self.image_guidance(settings.sampling.image_guidance)?;
        let most = self.most_clip_skip(settings);
        if let Some(skip) = settings.sampling.clip_skip
            && !(1..=most).contains(&skip)
        {
            let expected = format!("1 to {most} with this model");
            return Err(Error::setting("clip skip", skip, expected));
        }
        Ok(imagegen_pipeline::Settings {
            sampler,
            spacing: settings.sampling.schedule.unwrap_or(defaults.schedule),
            steps,
            rule: settings.rule,
            guidance_scale,
            guidance_rescale,
            guidance_until: if weighs { guidance_until } else { 1.0 },
            image_guidance,
            colours: settings.sampling.colours.unwrap_or(match settings.rule {
                StrengthRule::Share | StrengthRule::Exact => Colours::Kept,
                StrengthRule::Diffusers | StrengthRule::A1111 => Colours::Decoded,
            }),
            noise: settings.sampling.noise,
            windows: None,
            seed: settings.seed,
            variation: settings.sampling.varied(),
        })
    }

    /// Weight of the source over no source.
    fn image_guidance(&self, asked: Option<f64>) -> Result<f64, Error> {
        let refused =
            |weight, expected: &str| Err(Error::setting("image guidance", weight, expected));
        match (asked, self.image_guidance_default()) {
            (None, default) => Ok(default.unwrap_or(1.0)),
            (Some(weight), None) => refused(
                weight,
                "none with this model, which is not instructed (InstructPix2Pix)",
            ),
            (Some(weight), Some(_)) if self.hears_guidance() && weight != 1.0 => refused(
                weight,
                "1 with this model, which hears the guidance scale and weighs nothing",
            ),
            (Some(weight), Some(_)) if (0.0..=100.0).contains(&weight) => Ok(weight),
            (Some(weight), Some(_)) => refused(weight, "0 to 100"),
        }
    }

    /// Fails where the model runs under a mask alone.
    pub(super) fn runs_without_mask(&self) -> Result<(), Error> {
        match self.conditioning() {
            Some(Conditioning::Masked) => Err(Error::NeedsMask {
                model: self.name().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The texts that `resolved` does not leave out, for a run of `runs` steps.
    pub(crate) fn read_texts(
        &self,
        settings: &Settings,
        resolved: &imagegen_pipeline::Settings,
        runs: usize,
    ) -> Result<ReadTexts, Error> {
        let say = |model: &Self| {
            if model.hears_guidance() {
                NegativeSay::Never
            } else if model.is_instructed() && resolved.image_guidance != 1.0 {
                NegativeSay::Always
            } else {
                NegativeSay::WhereWeighed
            }
        };
        let refiner = self.refined(settings)?.map(|refined| refined.model);
        let hearing = Hearing {
            scale: self.hears_guidance() || refiner.is_some_and(Self::hears_guidance),
            negative: refiner.map_or(NegativeSay::Never, say).max(say(self)),
        };
        let texts = ReadTexts::of(
            settings,
            self.embeddings(settings),
            (resolved, hearing),
            runs,
        )?;
        self.fit_loras(&texts.loras)?;
        Ok(texts)
    }

    pub(crate) fn warnings(
        &self,
        settings: &Settings,
        resolved: &imagegen_pipeline::Settings,
        texts: &ReadTexts,
    ) -> Result<Vec<Warning>, Error> {
        let mut warnings =
            self.standing_warnings(settings.sampler.is_some(), settings.sampling.precision);
        warnings.extend(loras::bounded(&settings.loras)?);
        warnings.extend(self.fit_loras(&texts.loras)?);
        warnings.extend(self.unfit_embeddings(texts, self.refined(settings)?));
        let guidance_scale = resolved.guidance_scale;
        let unused = |which| Warning::TextUnused {
            which,
            guidance_scale,
        };
        if let Some(prompt) = &texts.prompt {
            let empty = prompt.words().trim().is_empty();
            warnings.extend(empty.then_some(Warning::NoPrompt));
            warnings.extend(self.prompt_warnings(prompt)?);
        } else {
            warnings.push(unused("prompt"));
        }
        let named = !settings.negative_prompt.is_empty();
        if let Some(negative) = &texts.negative {
            warnings.extend(self.prompt_warnings(negative)?);
        } else if self.hears_guidance() {
            warnings.extend(named.then_some(Warning::NegativeUnheard));
        } else {
            warnings.extend(named.then(|| unused("negative prompt")));
        }
        Ok(warnings)
    }

    /// What a recipe says of the latents of a source.
    pub(crate) fn encoded(&self, settings: &Settings) -> Option<String> {
        let mean = settings.rule == StrengthRule::A1111 && self.codec().has_posterior();
        mean.then(|| "mean".to_owned())
    }

    /// The recipe of a text-to-image run; sizes are still to be filled in.
    pub(crate) fn recipe(
        &self,
        settings: &Settings,
        resolved: &imagegen_pipeline::Settings,
        strength: Strength,
    ) -> Recipe {
        Recipe {
            program: PROGRAM.to_owned(),
            arithmetic: settings.sampling.precision.name().to_owned(),
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            prompt_mode: match settings.prompt_mode {
                PromptMode::Plain => None,
                mode => Some(mode.name().to_owned()),
            },
            embeddings: Vec::new(),
            loras: loras::settled(&settings.loras)
                .iter()
                .map(LoraUse::mark)
                .collect(),
            clip_skip: settings.sampling.clip_skip.filter(|&skip| skip > 1),
            strength: strength.get(),
            strength_rule: settings.rule.name().to_owned(),
            steps: resolved.steps,
            sampler: resolved.sampler.name().to_owned(),
            schedule: (resolved.spacing != Spacing::Model)
                .then(|| resolved.spacing.name().to_owned()),
            eta: resolved
                .sampler
                .eta()
                .filter(|_| settings.sampling.eta.is_some()),
            guidance_rescale: Some(resolved.guidance_rescale).filter(|&share| share > 0.0),
            guidance_until: Some(resolved.guidance_until).filter(|&share| share < 1.0),
            cache_interval: settings.sampling.cache_interval.filter(|&steps| steps > 1),
            token_merging: settings.sampling.token_merging.filter(|&share| share > 0.0),
            image_guidance: self.is_instructed().then_some(resolved.image_guidance),
            encoded: None,
            wash: settings
                .sampling
                .wash
                .filter(|&wash| wash == Washing::Off && self.wash_rule().is_some())
                .map(|wash| wash.name().to_owned()),
            colours: (resolved.colours == Colours::Kept && !self.codec().is_exact())
                .then(|| resolved.colours.name().to_owned()),
            guidance_scale: resolved.guidance_scale,
            noise: (resolved.noise != NoiseKind::Cpu).then(|| resolved.noise.name().to_owned()),
            seed: settings.seed,
            variation: resolved.variation.map(VariationMark::from),
            size: [0; 2],
            work_size: [0; 2],
            hires: None,
            tiles: None,
            vae_tiles: None,
            enlarge: None,
            wanted: None,
            fit: None,
            model: self.mark.clone(),
            refiner: None,
            source: None,
            inpaint: None,
            fidelity: None,
        }
    }
}
