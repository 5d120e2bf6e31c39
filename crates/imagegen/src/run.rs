//! Carrying out requests: from a source or a size to a picture, by way of the pipeline.

use std::ops::ControlFlow;

use imagegen_engine::Tensor;
use imagegen_picture::{
    Fit, FitPlan, FitRequest, Picture, Size, WHITE, Wanted, flatten, from_unit, plan, to_unit,
};
use imagegen_pipeline::{
    BoxedError, Img2Img, LatentCodec, Network, Networks, Prompt, Sampler, StepRecord, Strength,
    Text2Img, img2img, text2img,
};

use crate::recipe::{Recipe, SourceMark};
use crate::{
    Error, Facts, Generate, Model, Outcome, PROGRAM, Settings, Stage, Transform, Warning, Watcher,
};

/// Least side of the size a model works at, in pixels; smaller sources are enlarged to it.
const MIN_SIDE: u32 = 64;
/// Most pixels that text-to-image makes.
const GENERATE_PIXELS: u64 = 4 << 20;

/// Settings with the model's defaults filled in.
struct Resolved {
    pipeline: imagegen_pipeline::Settings,
    sampler: Sampler,
}

impl Model {
    /// Makes a new picture from a source.
    ///
    /// The result has the source's size unless another is asked for, and the source's alpha.
    /// Strength 0 returns the source's pixels. Fails with [`Error`] before anything runs where the
    /// request cannot be carried out; a [`Watcher`] can stop the run between steps.
    pub fn transform(
        &self,
        request: &Transform<'_>,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Error> {
        watcher.stage(Stage::Prepare);
        let resolved = self.resolve(&request.settings)?;
        let source = request.source.picture();
        let fit = plan(&FitRequest {
            source: source.size(),
            wanted: request.size,
            fit: request.fit,
            grid: self.latents.codec.grid() as u32,
            budget_pixels: self.latents.pixels(),
            min_side: MIN_SIDE,
        })?;
        let mut warnings: Vec<_> = request
            .source
            .decoded
            .warnings
            .iter()
            .cloned()
            .map(Warning::Source)
            .collect();
        warnings.extend(self.warnings(&request.settings, &resolved)?);
        if request.strength.get() > 0.0 {
            warnings.extend(resampled(&fit));
        } else {
            warnings.push(Warning::NothingRun);
        }
        warnings.iter().for_each(|warning| watcher.warning(warning));
        let pixels = unit_tensor(&fit.to_work(&flatten(source, WHITE)))?;
        let run = self.run(
            &request.settings,
            &resolved,
            watcher,
            |networks, progress| {
                let request = Img2Img {
                    source: &pixels,
                    strength: request.strength,
                    settings: resolved.pipeline,
                };
                img2img(&request, networks, progress)
            },
        )?;
        watcher.stage(Stage::Finish);
        let picture = if run.facts.runs == 0 {
            fit.to_result(source)
        } else {
            let picture = fit.from_work(&to_picture(&run.pixels, fit.work_size())?);
            let alpha = source.alpha().map(|alpha| fit.plane_to_result(alpha));
            picture
                .with_alpha(alpha)
                .expect("plan and plane have the result's size")
        };
        let mut recipe = self.recipe(&request.settings, &resolved, request.strength);
        recipe.size = sides(picture.size());
        recipe.work_size = sides(fit.work_size());
        recipe.fit = Some(fit_name(request.fit).to_owned());
        recipe.source = Some(SourceMark {
            name: request.source.name.clone(),
            sha256: request.source.sha256.clone(),
        });
        Ok(Outcome {
            picture,
            facts: facts(recipe, &run.facts),
            warnings,
        })
    }

    /// Makes a picture from text alone, which can be the source of a [`Model::transform`].
    ///
    /// Fails as [`Model::transform`], and with [`Error::Setting`] for sizes above 4 megapixels.
    pub fn generate(
        &self,
        request: &Generate,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Error> {
        watcher.stage(Stage::Prepare);
        let resolved = self.resolve(&request.settings)?;
        let size = Size::new(request.width, request.height);
        if size.pixels() > GENERATE_PIXELS {
            let expected = format!("at most {GENERATE_PIXELS} pixels");
            return Err(Error::setting("size", size, expected));
        }
        let fit = plan(&FitRequest {
            source: size,
            wanted: Wanted::Source,
            fit: Fit::Keep,
            grid: self.latents.codec.grid() as u32,
            budget_pixels: GENERATE_PIXELS * 2,
            min_side: MIN_SIDE,
        })?;
        let warnings = self.warnings(&request.settings, &resolved)?;
        warnings.iter().for_each(|warning| watcher.warning(warning));
        let work = fit.work_size();
        let run = self.run(
            &request.settings,
            &resolved,
            watcher,
            |networks, progress| {
                let request = Text2Img {
                    height: work.height as usize,
                    width: work.width as usize,
                    settings: resolved.pipeline,
                };
                text2img(&request, networks, progress)
            },
        )?;
        watcher.stage(Stage::Finish);
        let picture = fit.from_work(&to_picture(&run.pixels, work)?);
        let strength = Strength::new(1.0).expect("1 is in range");
        let mut recipe = self.recipe(&request.settings, &resolved, strength);
        recipe.size = sides(picture.size());
        recipe.work_size = sides(work);
        Ok(Outcome {
            picture,
            facts: facts(recipe, &run.facts),
            warnings,
        })
    }

    /// Fills in the model's defaults and checks ranges.
    fn resolve(&self, settings: &Settings) -> Result<Resolved, Error> {
        let defaults = self.defaults();
        let steps = settings.steps.unwrap_or(defaults.steps);
        if !(1..=1000).contains(&steps) {
            return Err(Error::setting("steps", steps, "1 to 1000"));
        }
        let guidance_scale = settings.guidance_scale.unwrap_or(defaults.guidance_scale);
        if !(0.0..=100.0).contains(&guidance_scale) {
            return Err(Error::setting("guidance", guidance_scale, "0 to 100"));
        }
        let sampler = settings.sampler.unwrap_or(defaults.sampler);
        let pipeline = imagegen_pipeline::Settings {
            sampler,
            steps,
            rule: settings.rule,
            guidance_scale,
            seed: settings.seed,
        };
        Ok(Resolved { pipeline, sampler })
    }

    fn warnings(&self, settings: &Settings, resolved: &Resolved) -> Result<Vec<Warning>, Error> {
        let mut warnings = self.standing_warnings(settings.sampler.is_some());
        let guidance_scale = resolved.pipeline.guidance_scale;
        if guidance_scale == 0.0 {
            warnings.push(Warning::TextUnused {
                which: "prompt",
                guidance_scale,
            });
        } else {
            warnings.extend(self.prompt_warnings("prompt", &settings.prompt)?);
        }
        if guidance_scale != 1.0 {
            warnings.extend(self.prompt_warnings("negative prompt", &settings.negative_prompt)?);
        } else if !settings.negative_prompt.is_empty() {
            warnings.push(Warning::TextUnused {
                which: "negative prompt",
                guidance_scale,
            });
        }
        Ok(warnings)
    }

    /// Encodes the texts and hands networks to `pipeline`.
    fn run(
        &self,
        settings: &Settings,
        resolved: &Resolved,
        watcher: &mut dyn Watcher,
        pipeline: impl FnOnce(
            &mut Networks<'_, '_>,
            &mut dyn imagegen_pipeline::Progress,
        ) -> Result<imagegen_pipeline::Outcome, imagegen_pipeline::Error>,
    ) -> Result<imagegen_pipeline::Outcome, Error> {
        watcher.stage(Stage::Text);
        let prompt = self.encode(&settings.prompt)?;
        let negative = self.encode(&settings.negative_prompt)?;
        let network = |which| -> Result<Box<dyn Network + '_>, BoxedError> {
            let text = match which {
                Prompt::Positive => prompt.clone(),
                Prompt::Negative => negative.clone(),
            };
            Ok(Box::new(self.network(text)))
        };
        let training = self.training(resolved.sampler)?;
        let mut codec = self.latents.codec.clone();
        let mut networks = Networks {
            codec: &mut codec,
            network: &network,
            training: &training,
            conditioning: self.latents.conditioning.as_ref(),
        };
        watcher.stage(Stage::Denoise);
        let mut progress = |record: &StepRecord<'_>| -> ControlFlow<()> { watcher.step(record) };
        Ok(pipeline(&mut networks, &mut progress)?)
    }

    /// The recipe of a text-to-image run; sizes are still to be filled in.
    fn recipe(&self, settings: &Settings, resolved: &Resolved, strength: Strength) -> Recipe {
        Recipe {
            program: PROGRAM.to_owned(),
            arithmetic: "f32".to_owned(),
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            strength: strength.get(),
            strength_rule: settings.rule.name().to_owned(),
            steps: resolved.pipeline.steps,
            sampler: resolved.sampler.name().to_owned(),
            guidance_scale: resolved.pipeline.guidance_scale,
            seed: settings.seed,
            size: [0; 2],
            work_size: [0; 2],
            fit: None,
            model: self.mark.clone(),
            source: None,
        }
    }
}

/// The name of a way to fit, as the command line takes it.
fn fit_name(fit: Fit) -> &'static str {
    match fit {
        Fit::Keep => "keep",
        Fit::Crop => "crop",
        Fit::Pad => "pad",
        Fit::Stretch => "stretch",
    }
}

fn sides(size: Size) -> [u32; 2] {
    [size.width, size.height]
}

fn resampled(fit: &FitPlan) -> Option<Warning> {
    let content = fit.content_rect().size;
    let scaled = content != fit.result_size();
    scaled.then(|| Warning::Resampled {
        work: sides(content),
        result: sides(fit.result_size()),
    })
}

fn facts(recipe: Recipe, run: &imagegen_pipeline::Facts) -> Facts {
    Facts {
        runs: run.runs,
        start_sigma: run.start_sigma,
        start_timestep: run.start_timestep,
        work: recipe.work_size,
        recipe,
    }
}

/// A picture as pixels `[1, H, W, 3]` in -1..1.
fn unit_tensor(picture: &Picture) -> Result<Tensor, Error> {
    let size = picture.size();
    let shape = [1, size.height as usize, size.width as usize, 3];
    Ok(Tensor::new(shape, to_unit(picture.rgb()))?)
}

fn to_picture(pixels: &Tensor, size: Size) -> Result<Picture, Error> {
    let rgb = from_unit(pixels.data())?;
    Ok(Picture::new(size, rgb, None).expect("the pipeline keeps the working size"))
}
