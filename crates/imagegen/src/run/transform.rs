//! From a source to a picture.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError};

use imagegen_engine::Tensor;
use imagegen_engine::cpu::Precision;
use imagegen_picture::advice::of_result;
use imagegen_picture::fidelity::compare;
use imagegen_picture::{Carried, FitPlan, FitRequest, Limits, Picture, WHITE, flatten, plan};
use imagegen_pipeline::{Img2Img, Plan, img2img};

use super::{MIN_SIDE, Planned, facts, resampled, sides, to_picture, unit_tensor};
use crate::prompts::ReadTexts;
use crate::recipe::{EnlargeMark, SourceMark};
use crate::refiner::Refined;
use crate::work::Calls;
use crate::{
    Error, Facts, Model, Note, Outcome, Settings, Source, Stage, Transform, Warning, Watcher,
};

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

/// A source at its working size.
#[derive(Debug)]
pub(crate) struct Prepared {
    sha256: String,
    fit: FitPlan,
    pixels: Arc<Tensor>,
}

impl Model {
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
        let mut notes = Note::of(&request.source.decoded.facts);
        notes.extend(run.facts.washed.then_some(Note::Washed));
        Ok(Outcome {
            advice: of_result(&fidelity, request.strength.get()),
            picture,
            facts,
            warnings,
            notes,
            carried: Carried::of(&request.source.decoded.facts),
        })
    }

    pub(super) fn plan_transform(&self, request: &Transform<'_>) -> Result<Planned, Error> {
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
