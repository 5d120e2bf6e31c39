//! From a text to a picture.

use imagegen_picture::{Carried, Fit, FitRequest, Size, Wanted, plan};
use imagegen_pipeline::{Plan, Strength, Text2Img, text2img};

use super::{MIN_SIDE, Planned, facts, resampled, sides, to_picture};
use crate::hires::{Counted, PlannedHires};
use crate::refiner::Refined;
use crate::work::Calls;
use crate::{Error, Generate, Model, Outcome, Stage, Watcher};

/// Most pixels that text-to-image makes.
const GENERATE_PIXELS: u64 = 4 << 20;

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

impl Model {
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
        let mut aids = self.aids(&request.settings)?;
        // A picture is finished once, at its size.
        aids.finishes = planned.hires.is_none();
        let mut run = self.carry_out(
            (&planned.texts, aids),
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

    pub(super) fn plan_generate(&self, request: &Generate) -> Result<Planned, Error> {
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
}
