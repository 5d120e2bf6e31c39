//! Carrying out requests: from a source or a size to a picture, by way of the pipeline.

mod generate;
mod resolve;
mod transform;

pub(crate) use generate::{generate_calls, hires_calls};
pub(crate) use transform::{Prepared, planned_runs, transform_calls, without_hires};

use std::ops::ControlFlow;
use std::sync::Arc;

use imagegen_engine::Tensor;
use imagegen_engine::cpu::Precision;
use imagegen_picture::fidelity::Fidelity;
use imagegen_picture::{FitPlan, Picture, Size, from_unit, to_unit};
use imagegen_pipeline::{BoxedError, Network, Networks, Prompt, Refiner, StepRecord, Wash};

use crate::hires::PlannedHires;
use crate::model::{Adapted, BoundCodec, Engine};
use crate::prompts::{ReadPrompt, ReadTexts};
use crate::recipe::{FidelityMark, Recipe};
use crate::refiner::Refined;
use crate::{
    Error, Facts, Model, Outcome, PromptFacts, Request, Settings, Stage, Warning, Washing, Watcher,
};

/// Least side of the size a model works at, in pixels; smaller sources are enlarged to it.
pub(crate) const MIN_SIDE: u32 = 64;

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

    /// How texts were read, for the record.
    pub(crate) fn text_facts(&self, texts: &ReadTexts) -> Result<Vec<PromptFacts>, Error> {
        texts.iter().map(|text| self.prompt_facts(text)).collect()
    }

    /// What a request asks for beside the model's networks.
    pub(crate) fn aids<'m>(&'m self, settings: &'m Settings) -> Result<Aids<'m>, Error> {
        Ok(Aids {
            codec: self.codec_of(settings),
            refined: self.refined(settings)?,
            finishes: true,
            washes: settings.sampling.wash != Some(Washing::Off),
            shortcuts: Shortcuts {
                precision: settings.sampling.precision,
                cache_interval: settings.sampling.cache_interval.unwrap_or(1),
                token_merging: settings.sampling.token_merging.unwrap_or(0.0),
            },
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
        let how = aids.shortcuts;
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
        let said = (texts.prompt.as_ref(), heard.adapted.as_deref());
        let under = |lines: &Tensor| self.wash_logits(lines, said, (&heard.prompt, &weights));
        // Without a prompt that is heard nobody says colours.
        let washes = aids.washes && !heard.prompt.is_empty();
        let mut codec = aids.codec;
        let mut networks = Networks {
            codec: &mut codec,
            network: &network,
            parts: &weights,
            training: &training,
            conditioning: self.conditioning(),
            wash: self.wash_rule().filter(|_| washes).map(|rule| Wash {
                rule,
                network: &under,
            }),
            finish: match aids.finishes {
                true => self.finish(&heard.prompt, &weights),
                false => None,
            },
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
}

/// What a run takes beside the model's networks.
pub(crate) struct Aids<'m> {
    codec: BoundCodec<'m, Engine>,
    refined: Option<Refined<'m>>,
    shortcuts: Shortcuts,
    /// Whether results are finished, where the model does that.
    pub(crate) finishes: bool,
    /// Whether drawings are washed, where the model does that.
    pub(crate) washes: bool,
}

/// What makes networks faster and results a little others.
#[derive(Debug, Clone, Copy)]
struct Shortcuts {
    precision: Precision,
    /// Every how many steps networks run whole.
    cache_interval: usize,
    /// Share of the tokens that are merged.
    token_merging: f64,
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
        how: Shortcuts,
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
        network.engine = self.model.engine_at(how.precision);
        network.cache.interval = how.cache_interval;
        network.token_merging = how.token_merging;
        Ok(Box::new(network))
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
