//! Carrying out requests: from a source or a size to a picture, by way of the pipeline.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use imagegen_engine::Tensor;
use imagegen_engine::cpu::Precision;
use imagegen_picture::advice::of_result;
use imagegen_picture::fidelity::{Fidelity, compare};
use imagegen_picture::{
    Carried, Fit, FitPlan, FitRequest, Limits, Picture, Size, WHITE, Wanted, flatten, from_unit,
    plan, to_unit,
};
use imagegen_pipeline::{
    BoxedError, Colours, Conditioning, Img2Img, LatentCodec, Network, Networks, NoiseKind, Plan,
    Prompt, Refiner, Spacing, StepRecord, Strength, StrengthRule, Text2Img, img2img, text2img,
};

use crate::hires::{Counted, PlannedHires};
use crate::loras;
use crate::model::{Adapted, BoundCodec, Engine};
use crate::prompts::{Hearing, NegativeSay, ReadPrompt, ReadTexts};
use crate::recipe::{EnlargeMark, FidelityMark, Recipe, SourceMark, VariationMark};
use crate::refiner::Refined;
use crate::work::Calls;
use crate::{
    Error, Facts, Generate, LoraUse, Model, Note, Outcome, PROGRAM, PromptFacts, PromptMode,
    Request, Settings, Source, Stage, Transform, Warning, Watcher,
};

/// Least side of the size a model works at, in pixels; smaller sources are enlarged to it.
pub(crate) const MIN_SIDE: u32 = 64;
/// Most pixels that text-to-image makes.
const GENERATE_PIXELS: u64 = 4 << 20;

/// A request with nothing left to decide.
struct Planned {
    pipeline: imagegen_pipeline::Settings,
    fit: FitPlan,
    recipe: Recipe,
    /// Steps that will run.
    runs: usize,
    texts: ReadTexts,
    /// The pass after it.
    hires: Option<PlannedHires>,
}

/// Steps that a request will run, its settings with the model's defaults filled in, and its texts.
pub(crate) fn planned_runs(
    model: &Model,
    request: &Transform<'_>,
) -> Result<(usize, imagegen_pipeline::Settings, ReadTexts), Error> {
    let planned = model.plan_transform(request)?;
    Ok((planned.runs, planned.pipeline, planned.texts))
}

/// Calls of the network that a request will make.
pub(crate) fn transform_calls(model: &Model, request: &Transform<'_>) -> Result<Calls, Error> {
    let planned = model.plan_transform(request)?;
    Calls::of(planned.runs, &planned.pipeline, &planned.texts)
}

/// Calls of the network that a request will make in its first pass.
pub(crate) fn generate_calls(model: &Model, request: &Generate) -> Result<Calls, Error> {
    let planned = model.plan_generate(request)?;
    Calls::of(planned.runs, &planned.pipeline, &planned.texts)
}

/// Calls of the network that the second pass of a request will make, if it has one.
pub(crate) fn hires_calls(model: &Model, request: &Generate) -> Result<Option<Calls>, Error> {
    let second = model.plan_generate(request)?.hires;
    let calls = |second: PlannedHires| Calls::of(second.runs, &second.pipeline, &second.texts);
    second.map(calls).transpose()
}

/// A source at its working size.
#[derive(Debug)]
pub(crate) struct Prepared {
    sha256: String,
    fit: FitPlan,
    pixels: Arc<Tensor>,
}

impl Model {
    /// Carries out a request of any kind; see [`Model::transform`], [`Model::generate`] and
    /// [`Model::inpaint`].
    pub fn run(&self, request: &Request<'_>, watcher: &mut dyn Watcher) -> Result<Outcome, Error> {
        match request {
            Request::Transform(request) => self.transform(request, watcher),
            Request::Inpaint(request) => self.inpaint(request, watcher),
            Request::Generate(request) => self.generate(request, watcher),
        }
    }

    /// The recipe that the request's picture will carry, with nothing left to decide. Runs nothing.
    ///
    /// Fails where the request cannot be carried out, as [`Model::transform`] and
    /// [`Model::generate`] do.
    pub fn plan(&self, request: &Request<'_>) -> Result<Recipe, Error> {
        match request {
            Request::Transform(request) => Ok(self.plan_transform(request)?.recipe),
            Request::Inpaint(request) => self.plan_inpaint(request),
            Request::Generate(request) => Ok(self.plan_generate(request)?.recipe),
        }
    }

    /// Makes a new picture from a source.
    ///
    /// The result has the source's size unless another is asked for, and the source's alpha, resolution and
    /// EXIF tags but for the place and what no longer holds.
    /// Strength 0 returns the source's pixels. Fails with [`Error`] before anything runs where the
    /// request cannot be carried out; a [`Watcher`] can stop the run between steps.
    pub fn transform(
        &self,
        request: &Transform<'_>,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Error> {
        watcher.stage(Stage::Prepare);
        let planned = self.plan_transform(request)?;
        let warnings = self.transform_warnings(request, &planned)?;
        warnings.iter().for_each(|warning| watcher.warning(warning));
        let source = &*self.enlarged(request, watcher)?;
        let fit = &planned.fit;
        if request.only_enlarges() {
            return Ok(enlarged_outcome(request, planned, source, warnings));
        }
        let pixels = match request.enlarge {
            None => self.prepared(request.source, fit)?,
            Some(_) => Arc::new(unit_tensor(&fit.to_work(&flatten(source, WHITE)))?),
        };
        let run = self.carry_out(
            (&planned.texts, self.aids(&request.settings)?),
            (planned.pipeline, planned.runs),
            watcher,
            |settings, networks, progress| {
                let (source, strength) = (&*pixels, request.strength);
                let request = Img2Img {
                    source,
                    strength,
                    settings,
                };
                img2img(&request, networks, progress)
            },
        )?;
        watcher.stage(Stage::Finish);
        let before = fit.to_result(source);
        let picture = if run.facts.runs == 0 {
            before.clone()
        } else {
            let picture = fit.from_work(&to_picture(&run.pixels, fit.work_size())?);
            let alpha = source.alpha().map(|alpha| fit.plane_to_result(alpha));
            picture
                .with_alpha(alpha)
                .expect("plan and plane have the result's size")
        };
        let fidelity = compare(&before, &picture).expect("both have the result's size");
        let mut facts = facts(planned.recipe, &run.facts, Some(fidelity));
        facts.prompts = self.text_facts(&planned.texts)?;
        Ok(Outcome {
            advice: of_result(&fidelity, request.strength.get()),
            picture,
            facts,
            warnings,
            notes: Note::of(&request.source.decoded.facts),
            carried: Carried::of(&request.source.decoded.facts),
        })
    }

    fn plan_transform(&self, request: &Transform<'_>) -> Result<Planned, Error> {
        if !request.only_enlarges() {
            self.runs_without_mask()?;
        }
        without_hires(&request.settings)?;
        let mut pipeline = self.resolve(&request.settings)?;
        let tiled = request.enlarge.is_some() || request.settings.tiled();
        let fit = plan(&FitRequest {
            source: request.source_size(),
            wanted: request.size,
            fit: request.fit,
            grid: self.grid(),
            budget_pixels: match tiled {
                false => self.native_pixels(),
                true => u64::MAX, // worked on in windows
            },
            min_side: MIN_SIDE,
        })?;
        let result = fit.result_size();
        let most = Limits::default().pixels; // a result may be as large as a source
        if result.pixels() > most {
            let got = format!("{result}, {} pixels", result.pixels());
            let expected = format!("a result of at most {most} pixels");
            return Err(Error::setting("size", got, expected));
        }
        if tiled && !request.only_enlarges() {
            pipeline.windows = self.windows(fit.work_size())?;
        }
        let plan = Plan::img2img(
            &self.training(pipeline.sampler)?,
            pipeline.plan_request(request.strength),
        )?;
        let refined = self.refined(&request.settings)?;
        let runs = self.runs(&plan, refined)?;
        let mut recipe = self.recipe(&request.settings, &pipeline, request.strength);
        recipe.size = sides(fit.result_size());
        recipe.work_size = sides(fit.work_size());
        recipe.tiles = pipeline.windows.map(|windows| self.window_side(windows));
        if runs > 0 {
            recipe.vae_tiles = self.vae_tiles(&request.settings, fit.work_size());
            recipe.encoded = self.encoded(&request.settings);
        }
        recipe.enlarge = request.enlarge.map(EnlargeMark::from);
        recipe.wanted = Some(request.size.to_string());
        recipe.fit = Some(request.fit.name().to_owned());
        recipe.source = Some(SourceMark::of(request.source));
        recipe.refiner = refined.filter(|_| runs > 0).map(Refined::mark);
        let texts = self.read_texts(&request.settings, &pipeline, runs)?;
        recipe.embeddings = self.embeddings_in(&texts, refined);
        Ok(Planned {
            texts,
            pipeline,
            fit,
            recipe,
            runs,
            hires: None,
        })
    }

    /// The source as the result shows it: at its size and cut as it is.
    ///
    /// Fails where the request cannot be carried out, as [`Model::transform`] does.
    pub fn framed_source(&self, request: &Transform<'_>) -> Result<Picture, Error> {
        Ok(self
            .plan_transform(request)?
            .fit
            .to_result(request.source.picture()))
    }

    fn transform_warnings(
        &self,
        request: &Transform<'_>,
        planned: &Planned,
    ) -> Result<Vec<Warning>, Error> {
        let read = request.source.decoded.warnings.iter().cloned();
        let mut warnings: Vec<_> = read.map(Warning::Source).collect();
        if request.only_enlarges() {
            warnings.extend(self.standing_warnings(true, Precision::F32));
            return Ok(warnings);
        }
        warnings.extend(self.warnings(&request.settings, &planned.pipeline, &planned.texts)?);
        if request.strength.get() > 0.0 {
            warnings.extend(resampled(&planned.fit));
        } else {
            warnings.push(Warning::NothingRun);
        }
        Ok(warnings)
    }

    /// The source as it is worked on: enlarged where that is asked for.
    fn enlarged<'a>(
        &self,
        request: &Transform<'a>,
        watcher: &mut dyn Watcher,
    ) -> Result<Cow<'a, Picture>, Error> {
        let source = request.source.picture();
        let Some(enlarge) = request.enlarge else {
            return Ok(Cow::Borrowed(source));
        };
        watcher.stage(Stage::Enlarge);
        let mut at = (0, 0);
        let mut progress = |window, windows| {
            at = (window, windows);
            watcher.window(window, windows)
        };
        let enlarged = enlarge.carry_out(self.engine(), source, &mut progress);
        self.engine().inner().rest();
        let enlarged = enlarged?;
        let (step, steps) = at;
        let enlarged = enlarged.ok_or(imagegen_pipeline::Error::Cancelled { step, steps })?;
        Ok(Cow::Owned(enlarged))
    }

    /// The source at its working size, as pixels. Made once for a row of runs on one source.
    fn prepared(&self, source: &Source, fit: &FitPlan) -> Result<Arc<Tensor>, Error> {
        let mut last = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref()
            && known.fit == *fit
            && known.sha256 == source.sha256
        {
            return Ok(Arc::clone(&known.pixels));
        }
        let pixels = Arc::new(unit_tensor(
            &fit.to_work(&flatten(source.picture(), WHITE)),
        )?);
        *last = Some(Prepared {
            sha256: source.sha256.clone(),
            fit: *fit,
            pixels: Arc::clone(&pixels),
        });
        Ok(pixels)
    }

    /// Makes a picture from text alone, which can be the source of a [`Model::transform`].
    ///
    /// Fails as [`Model::transform`], and with [`Error::Setting`] for sizes above 4 megapixels, as wished
    /// or as the model would work at.
    pub fn generate(
        &self,
        request: &Generate,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Error> {
        watcher.stage(Stage::Prepare);
        let planned = self.plan_generate(request)?;
        let fit = &planned.fit;
        let mut warnings = self.warnings(&request.settings, &planned.pipeline, &planned.texts)?;
        warnings.extend(resampled(fit));
        warnings.iter().for_each(|warning| watcher.warning(warning));
        let work = fit.work_size();
        let mut first = Counted {
            before: 0,
            of: planned.runs + planned.hires.as_ref().map_or(0, |second| second.runs),
            inner: &mut *watcher,
        };
        let mut run = self.carry_out(
            (&planned.texts, self.aids(&request.settings)?),
            (planned.pipeline, planned.runs),
            &mut first,
            |settings, networks, progress| {
                let request = Text2Img {
                    height: work.height as usize,
                    width: work.width as usize,
                    settings,
                };
                text2img(&request, networks, progress)
            },
        )?;
        watcher.stage(Stage::Finish);
        let mut picture = fit.from_work(&to_picture(&run.pixels, work)?);
        if let (Some(second), Some(latents)) = (&planned.hires, &run.latents) {
            let first = (&picture, latents);
            let mut rest = Counted {
                inner: &mut *watcher,
                before: planned.runs,
                of: planned.runs + second.runs,
            };
            (picture, _) = self.second_pass(second, first, &request.settings, &mut rest)?;
            run.facts.runs += second.runs;
            watcher.stage(Stage::Finish);
        }
        let mut facts = facts(planned.recipe, &run.facts, None);
        facts.prompts = self.text_facts(&planned.texts)?;
        Ok(Outcome {
            picture,
            facts,
            warnings,
            notes: Vec::new(),
            carried: Carried::default(),
            advice: Vec::new(),
        })
    }

    fn plan_generate(&self, request: &Generate) -> Result<Planned, Error> {
        self.runs_without_mask()?;
        let mut pipeline = self.resolve(&request.settings)?;
        let size = Size::new(request.width, request.height);
        if size.pixels() > GENERATE_PIXELS {
            let expected = format!("at most {GENERATE_PIXELS} pixels");
            return Err(Error::setting("size", size, expected));
        }
        let fit = plan(&FitRequest {
            source: size,
            wanted: Wanted::Source,
            fit: Fit::Keep,
            grid: self.grid(),
            budget_pixels: GENERATE_PIXELS * 2,
            min_side: MIN_SIDE,
        })?;
        let work = fit.work_size();
        // What fills the grid up may come on top, not what a side far below the least one costs.
        if work.pixels() > GENERATE_PIXELS / 4 * 5 {
            let got = format!("{size}, which the model works at as {work}");
            let expected = format!("at most {GENERATE_PIXELS} pixels there");
            return Err(Error::setting("size", got, expected));
        }
        let strength = Strength::new(1.0).expect("1 is in range");
        let hires = self.plan_hires(request, &pipeline)?;
        let mut recipe = self.recipe(&request.settings, &pipeline, strength);
        recipe.size = sides(fit.result_size());
        recipe.work_size = sides(work);
        if let Some(second) = &hires {
            recipe.size = sides(second.size());
            recipe.hires = Some(second.mark.clone());
        }
        recipe.vae_tiles = self.vae_tiles(&request.settings, work);
        if request.settings.tiled() {
            pipeline.windows = self.windows(work)?;
            recipe.tiles = pipeline.windows.map(|windows| self.window_side(windows));
        }
        let training = self.training(pipeline.sampler)?;
        let plan = Plan::text2img(&training, pipeline.plan_request(strength))?;
        let refined = self.refined(&request.settings)?;
        let runs = self.runs(&plan, refined)?;
        recipe.refiner = refined.map(Refined::mark);
        let texts = self.read_texts(&request.settings, &pipeline, runs)?;
        recipe.embeddings = self.embeddings_in(&texts, refined);
        Ok(Planned {
            runs,
            texts,
            pipeline,
            fit,
            recipe,
            hires,
        })
    }

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
    fn runs_without_mask(&self) -> Result<(), Error> {
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

    /// How texts were read, for the record.
    pub(crate) fn text_facts(&self, texts: &ReadTexts) -> Result<Vec<PromptFacts>, Error> {
        texts.iter().map(|text| self.prompt_facts(text)).collect()
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

    /// What a request asks for beside the model's networks.
    pub(crate) fn aids<'m>(&'m self, settings: &'m Settings) -> Result<Aids<'m>, Error> {
        Ok(Aids {
            codec: self.codec_of(settings),
            refined: self.refined(settings)?,
            precision: settings.sampling.precision,
            cache_interval: settings.sampling.cache_interval.unwrap_or(1),
        })
    }

    /// Encodes the texts that will be read and hands networks to `pipeline`.
    pub(crate) fn carry_out(
        &self,
        (texts, aids): (&ReadTexts, Aids<'_>),
        (mut resolved, runs): (imagegen_pipeline::Settings, usize),
        watcher: &mut dyn Watcher,
        pipeline: impl FnOnce(
            imagegen_pipeline::Settings,
            &mut Networks<'_, '_>,
            &mut dyn imagegen_pipeline::Progress,
        ) -> Result<imagegen_pipeline::Outcome, imagegen_pipeline::Error>,
    ) -> Result<imagegen_pipeline::Outcome, Error> {
        let loras = if runs > 0 {
            texts.loras.as_slice()
        } else {
            &[]
        };
        if !loras.is_empty() {
            watcher.stage(Stage::Adapt);
        }
        let adapted = self.adapted(loras)?;
        watcher.stage(Stage::Text);
        let asked = resolved.guidance_scale;
        let weighed = |model: &Self| match model.hears_guidance() {
            true => 1.0, // the network does it
            false => asked,
        };
        resolved.guidance_scale = weighed(self);
        let heard = Heard::of((self, adapted), texts, runs)?;
        let how = (aids.precision, aids.cache_interval);
        let network = |which| heard.network(which, asked, how);
        let training = self.training(resolved.sampler)?;
        let later = aids.refined.map(|refined| {
            let heard = Heard::of((refined.model, None), texts, runs)?;
            Ok::<_, Error>((refined, heard, refined.model.training(resolved.sampler)?))
        });
        let later = later.transpose()?;
        let later_network = |which| match &later {
            Some((_, heard, _)) => heard.network(which, asked, how),
            None => Err("there is no refiner".into()),
        };
        let weights = texts.weights();
        let mut codec = aids.codec;
        let mut networks = Networks {
            codec: &mut codec,
            network: &network,
            parts: &weights,
            training: &training,
            conditioning: self.conditioning(),
            refiner: later.as_ref().map(|(refined, _, training)| Refiner {
                network: &later_network,
                parts: &weights,
                training,
                conditioning: refined.model.conditioning(),
                guidance_scale: weighed(refined.model),
                at: refined.at,
            }),
        };
        watcher.stage(Stage::Denoise);
        let mut progress = |record: &StepRecord<'_>| -> ControlFlow<()> { watcher.step(record) };
        let outcome = pipeline(resolved, &mut networks, &mut progress);
        // Another model, or nothing at all, may run next.
        self.engine().inner().rest();
        if let Some(refined) = aids.refined {
            refined.model.engine().inner().rest();
        }
        Ok(outcome?)
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
            image_guidance: self.is_instructed().then_some(resolved.image_guidance),
            encoded: None,
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

/// Fails where a second pass is asked for and there is a source.
pub(crate) fn without_hires(settings: &Settings) -> Result<(), Error> {
    match settings.sampling.hires {
        None => Ok(()),
        Some(hires) => {
            let expected = "none where there is a source; enlarge the result instead";
            let got = format!("by {}", hires.by);
            Err(Error::setting("the second pass", got, expected))
        }
    }
}

/// What a run takes beside the model's networks.
pub(crate) struct Aids<'m> {
    codec: BoundCodec<'m, Engine>,
    refined: Option<Refined<'m>>,
    precision: Precision,
    cache_interval: usize,
}

/// What a model hears of the texts of a run.
struct Heard<'m> {
    model: &'m Model,
    adapted: Option<Arc<Adapted>>,
    prompt: Vec<crate::model::Heard>,
    negative: Vec<crate::model::Heard>,
}

impl<'m> Heard<'m> {
    /// Encodes the texts that are read in `runs` steps.
    fn of(
        (model, adapted): (&'m Model, Option<Arc<Adapted>>),
        texts: &ReadTexts,
        runs: usize,
    ) -> Result<Self, Error> {
        let hear = |text: &Option<ReadPrompt>| match text {
            Some(text) if runs > 0 => model.hear(text, adapted.as_deref()),
            _ => Ok(Vec::new()),
        };
        Ok(Self {
            model,
            prompt: hear(&texts.prompt)?,
            negative: hear(&texts.negative)?,
            adapted,
        })
    }

    /// The network bound to a text.
    fn network(
        &self,
        which: Prompt,
        guidance_scale: f64,
        (precision, cache_interval): (Precision, usize),
    ) -> Result<Box<dyn Network + 'm>, BoxedError> {
        let heard = match which {
            Prompt::Positive(part) => self.prompt.get(part),
            Prompt::Negative => self.negative.first(),
        };
        let heard = heard.ok_or_else(|| format!("{which:?} was left out"))?;
        let adapted = self.adapted.clone();
        let mut network = self
            .model
            .network(which, heard.clone(), guidance_scale, adapted);
        network.engine = self.model.engine_at(precision);
        network.cache.interval = cache_interval;
        Ok(Box::new(network))
    }
}

/// What comes of a request that only enlarges: the source's own picture, larger.
fn enlarged_outcome(
    request: &Transform<'_>,
    planned: Planned,
    source: &Picture,
    warnings: Vec<Warning>,
) -> Outcome {
    let work = planned.recipe.work_size;
    Outcome {
        picture: planned.fit.to_result(source),
        facts: Facts {
            recipe: planned.recipe,
            runs: 0,
            start_sigma: 0.0,
            start_timestep: None,
            work,
            fidelity: None,
            prompts: Vec::new(),
            inpaint: None,
        },
        warnings,
        notes: Note::of(&request.source.decoded.facts),
        carried: Carried::of(&request.source.decoded.facts),
        advice: Vec::new(),
    }
}

pub(crate) fn sides(size: Size) -> [u32; 2] {
    [size.width, size.height]
}

pub(crate) fn resampled(fit: &FitPlan) -> Option<Warning> {
    let content = fit.content_rect().size;
    let scaled = content != fit.result_size();
    scaled.then(|| Warning::Resampled {
        work: sides(content),
        result: sides(fit.result_size()),
    })
}

pub(crate) fn facts(
    mut recipe: Recipe,
    run: &imagegen_pipeline::Facts,
    fidelity: Option<Fidelity>,
) -> Facts {
    recipe.fidelity = fidelity.map(FidelityMark::from);
    Facts {
        fidelity,
        runs: run.runs,
        start_sigma: run.start_sigma,
        start_timestep: run.start_timestep,
        work: recipe.work_size,
        prompts: Vec::new(),
        inpaint: None,
        recipe,
    }
}

/// A picture as pixels `[1, H, W, 3]` in -1..1.
pub(crate) fn unit_tensor(picture: &Picture) -> Result<Tensor, Error> {
    let size = picture.size();
    let shape = [1, size.height as usize, size.width as usize, 3];
    Ok(Tensor::new(shape, to_unit(picture.rgb()))?)
}

pub(crate) fn to_picture(pixels: &Tensor, size: Size) -> Result<Picture, Error> {
    let rgb = from_unit(pixels.data())?;
    Ok(Picture::new(size, rgb, None).expect("the pipeline keeps the working size"))
}
