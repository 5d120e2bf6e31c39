//! Image-to-image and text-to-image on tensors: resolves a plan, then carries it out.

use imagegen_engine::Tensor;

use crate::colours::{Shift, without};
use crate::denoiser::needs_cond;
use crate::elementwise::{add_scaled, map, scaled};
use crate::noise::encoded;
use crate::refiner::walk;
use crate::schedule::variance_of_noised;
use crate::{
    BoxedError, Colours, Conditioning, Discrete, Error, Finish, Guided, LatentCodec, Network,
    Noise, NoiseKind, Plan, PlanRequest, PredictionType, Progress, Refiner, Relation, RunNoise,
    Sampler, SourceConditioned, Spacing, Stage, Start, Strength, StrengthRule, TrainingSchedule,
    Variation, Wash, Windowed, Windows, low_pass, needs_uncond,
};

/// Which text a network is asked to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// What to make: which of its parts, counted from 0.
    Positive(usize),
    /// What to keep away from.
    Negative,
}

/// Makes the network bound to a prompt. Called at most once per part of a prompt and run, twice for the negative
/// prompt where the source guides too, and never for one that guidance leaves out.
pub type NetworkFactory<'a> = dyn Fn(Prompt) -> Result<Box<dyn Network + 'a>, BoxedError> + 'a;

/// The model of a run. `'n` is what the networks borrow from, `'r` the run itself.
pub struct Networks<'r, 'n> {
    /// Between pixels and latents.
    pub codec: &'r mut dyn LatentCodec,
    /// Makes the denoising network for a prompt.
    pub network: &'r NetworkFactory<'n>,
    /// The weight of each part of the prompt: `[1.0]` for a prompt of one.
    pub parts: &'r [f64],
    /// The noise levels the network was trained on, with the settings of its scheduler file.
    pub training: &'r TrainingSchedule,
    /// How the network wants to see the source; `None` for networks that do not.
    pub conditioning: Option<&'r Conditioning>,
    /// The network that runs the last steps, if another one does.
    pub refiner: Option<Refiner<'r, 'n>>,
    /// How drawings are washed, if they are.
    pub wash: Option<Wash<'r>>,
    /// How results are finished, if they are.
    pub finish: Option<Finish>,
}

/// What a denoiser is made of.
#[derive(Clone, Copy)]
pub(crate) struct Wiring<'r, 'n> {
    pub(crate) network: &'r NetworkFactory<'n>,
    pub(crate) parts: &'r [f64],
    pub(crate) training: &'r TrainingSchedule,
    pub(crate) conditioning: Option<&'r Conditioning>,
}

impl<'r, 'n> Networks<'r, 'n> {
    /// Decoded `pixels`, finished along the lines of the source, or along their own where there is none or the network
    /// saw it low-passed by another factor than 1.
    pub(crate) fn finished(
        &self,
        pixels: Tensor,
        (source, low_pass): (Option<&Tensor>, Option<usize>),
        strength: Strength,
    ) -> Result<Tensor, Error> {
        let guide = source.filter(|_| low_pass.is_none_or(|factor| factor == 1));
        match &self.finish {
            Some(finish) => finish.done(pixels, guide, strength),
            None => Ok(pixels),
        }
    }

    pub(crate) fn wiring(&self) -> Wiring<'r, 'n> {
        Wiring {
            network: self.network,
            parts: self.parts,
            training: self.training,
            conditioning: self.conditioning,
        }
    }
}

impl std::fmt::Debug for Networks<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Networks")
            .field("training", self.training.config())
            .field("conditioning", &self.conditioning)
            .finish_non_exhaustive()
    }
}

/// Settings that image-to-image and text-to-image share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels are laid out.
    pub spacing: Spacing,
    /// Steps of the full schedule, at least 1.
    pub steps: usize,
    /// What strength means, and whether diffusers' quirks are followed.
    pub rule: StrengthRule,
    /// Weight of the prompt over the negative prompt. 1 leaves the negative prompt out, 0 the prompt.
    pub guidance_scale: f64,
    /// Share of the steps that run, from the first, that are guided, above 0: the others are as at scale 1, and without
    /// guidance by the source. 1 guides all. Has no say at scale 0.
    pub guidance_until: f64,
    /// Weight of the source over no source, where the network is instructed; 1 leaves that out.
    pub image_guidance: f64,
    /// Share of the guided output that is brought back to the spread of the prompt's own, 0 to 1.
    pub guidance_rescale: f64,
    /// What is done about colours that the codec shifts.
    pub colours: Colours,
    /// Windows in which networks see latents that are larger than they work at; `None` for the whole at once.
    pub windows: Option<Windows>,
    /// Whose random numbers seeds stand for.
    pub noise: NoiseKind,
    /// Seed of all noise. torch's generator on the CPU uses its low 32 bits alone.
    pub seed: u64,
    /// Another seed, whose noise the run starts from in part.
    pub variation: Option<Variation>,
}

impl Settings {
    /// How many of the `runs` steps are guided: a step that is begun is guided as a whole.
    ///
    /// Fails with [`Error::Value`] unless the share of them is above 0, up to 1.
    pub fn guided_steps(&self, runs: usize) -> Result<usize, Error> {
        let share = self.guidance_until;
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::value("guidance_until", share, "above 0, up to 1"));
        }
        if self.guidance_scale == 0.0 {
            return Ok(runs);
        }
        // Products such as 0.28 times 25 come out a little above the whole number.
        Ok((share * runs as f64 - 1e-9).ceil() as usize)
    }

    /// Whether some of the `runs` steps ask for the negative prompt's estimate, for a prompt of parts with these
    /// weights.
    ///
    /// Fails as [`Settings::guided_steps`].
    pub fn needs_uncond(&self, weights: &[f64], runs: usize) -> Result<bool, Error> {
        let free = self.guided_steps(runs)? < runs;
        Ok(needs_uncond(weights, self.guidance_scale) || free && needs_uncond(weights, 1.0))
    }

    /// What a plan is made from at a strength.
    pub fn plan_request(&self, strength: Strength) -> PlanRequest {
        PlanRequest {
            sampler: self.sampler,
            spacing: self.spacing,
            steps: self.steps,
            strength,
            rule: self.rule,
        }
    }

    /// All noise of a run.
    pub fn run_noise(&self) -> RunNoise {
        RunNoise::new(self.noise, self.seed, self.variation)
    }
}

/// An image-to-image request.
#[derive(Debug, Clone, Copy)]
pub struct Img2Img<'a> {
    /// Pixels `[1, H, W, 3]` in -1..1, sides multiples of the codec's grid.
    pub source: &'a Tensor,
    /// How far to move away from the source.
    pub strength: Strength,
    /// The rest.
    pub settings: Settings,
}

/// A text-to-image request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Text2Img {
    /// Height in pixels, a multiple of the codec's grid.
    pub height: usize,
    /// Width in pixels, a multiple of the codec's grid.
    pub width: usize,
    /// The rest.
    pub settings: Settings,
}

/// What a run made, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Pixels `[1, H, W, 3]` in -1..1.
    pub pixels: Tensor,
    /// The latents they were decoded from, `[1, h, w, C]`; `None` where nothing was decoded.
    pub latents: Option<Tensor>,
    /// How they came about.
    pub facts: Facts,
}

/// What a run did, for the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// The strength rule.
    pub rule: StrengthRule,
    /// The strength; 1 for text-to-image.
    pub strength: Strength,
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels were laid out.
    pub spacing: Spacing,
    /// What the first step started from.
    pub start: Start,
    /// Steps asked for.
    pub steps_asked: usize,
    /// Steps that ran.
    pub runs: usize,
    /// Sigma of the first step; 0 if none ran.
    pub start_sigma: f64,
    /// Timestep of the first step; `None` if none ran.
    pub start_timestep: Option<f64>,
    /// Low-pass factor of the source channels; `None` if the network has none.
    pub source_low_pass: Option<usize>,
    /// Whether colours were put under the source's lines.
    pub washed: bool,
}

/// Makes a new picture from a source.
///
/// Strength 0 returns the source itself and runs nothing; at strength 1, but for rule `diffusers`, only
/// the source's size is read and the result equals [`text2img`]'s. Networks that are instructed see the source
/// at every strength. Where [`Networks::wash`] says so, a line drawing gets colours before it is read. Noise is drawn
/// in this order: the codec's posterior sample (its mean under rule `a1111`), the start, each step that uses some. Fails with [`Error::Value`] or
/// [`Error::Tensor`] for a request that cannot be carried out, before anything runs, with
/// [`Error::Failed`] or [`Error::NotFinite`] naming the stage, and with [`Error::Cancelled`].
pub fn img2img(
    request: &Img2Img<'_>,
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    from_source(request, None, networks, progress)
}

/// [`img2img`] from `latents` `[1, h, w, C]` that stand for the source: it is not encoded, only shown to networks that see
/// it, and its colours are not measured.
///
/// Fails as [`img2img`], and with [`Error::Tensor`] for latents of another size.
pub fn latents2img(
    latents: &Tensor,
    request: &Img2Img<'_>,
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    from_source(request, Some(latents), networks, progress)
}

fn from_source(
    request: &Img2Img<'_>,
    latents: Option<&Tensor>,
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let plan = Plan::img2img(
        networks.training,
        request.settings.plan_request(request.strength),
    )?;
    if plan.start == Start::Nothing {
        return Ok(Outcome {
            pixels: request.source.clone(),
            latents: None,
            facts: facts(&plan, None),
        });
    }
    let [n, h, w, colours] = request.source.nhwc("source")?;
    if n != 1 || colours != 3 {
        let shape = request.source.shape();
        return Err(imagegen_engine::Error::shape("source", shape, "[1, H, W, 3]").into());
    }
    let reads = plan.start == Start::NoisedSource;
    let washed = match networks.wash.filter(|_| reads && latents.is_none()) {
        Some(wash) => {
            // The stream begins anew after it: the start is drawn as without a wash.
            let mut noise = request.settings.run_noise();
            wash.laid(request.source, request.strength, &mut noise)?
        }
        None => None,
    };
    let source = washed.as_ref().unwrap_or(request.source);
    let sources = Sources {
        start: reads.then_some(source),
        latents,
        seen: Some(source),
    };
    let size = ([h, w], sources);
    let mut outcome = carry_out(&plan, &request.settings, size, networks, progress)?;
    outcome.facts.washed = washed.is_some();
    Ok(outcome)
}

/// Makes a picture from text alone. Draws noise and fails as [`img2img`] does.
pub fn text2img(
    request: &Text2Img,
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let plan = Plan::text2img(
        networks.training,
        request.settings.plan_request(Strength::FULL),
    )?;
    let size = [request.height, request.width];
    let none = Sources {
        start: None,
        latents: None,
        seen: None,
    };
    carry_out(&plan, &request.settings, (size, none), networks, progress)
}

/// The source, where a run reads it.
#[derive(Debug, Clone, Copy)]
struct Sources<'a> {
    /// What the loop starts from, noised.
    start: Option<&'a Tensor>,
    /// Its latents, where they are known.
    latents: Option<&'a Tensor>,
    /// What an instructed network sees.
    seen: Option<&'a Tensor>,
}

/// Runs a plan.
fn carry_out(
    plan: &Plan,
    settings: &Settings,
    (
        size,
        Sources {
            start: source,
            latents,
            seen,
        },
    ): ([usize; 2], Sources<'_>),
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let shape = latents_shape(size, networks.codec)?;
    let mut low_pass_factor = None;
    let channels = match networks.conditioning {
        None => None,
        Some(Conditioning::Masked) => return Err(Error::NeedsMask),
        Some(Conditioning::Instructed) => Some(source_channels(seen, 1, shape, networks.codec)?),
        Some(Conditioning::Faded(rule)) => {
            let factor = source.map_or(0, |_| rule.factor(plan.strength));
            low_pass_factor = Some(factor);
            Some(source_channels(source, factor, shape, networks.codec)?)
        }
    };
    let runs = match &networks.refiner {
        Some(refiner) => plan.hand_over(refiner.training, refiner.at)?.runs(),
        None => plan.runs,
    };
    let denoiser = guided(
        settings,
        runs,
        (channels.clone(), plan.strength),
        networks.wiring(),
    )?;
    let mut noise = settings.run_noise();
    let (noised, clean) = match latents.filter(|_| source.is_some()) {
        Some(latents) => {
            let drawn = noise.initial(shape);
            (add_scaled(latents, &drawn, plan.start_sigma())?, None)
        }
        None => start(plan, source, shape, networks.codec, &mut noise)?,
    };
    let how = (settings.colours, plan.strength);
    let shift = match source.zip(clean.as_ref()) {
        Some(source) => Shift::measure(source, how, networks.codec)?,
        None => None,
    };
    let tools: (&mut dyn Noise, &mut dyn Progress) = (&mut noise, progress);
    let (noised, left) = walk(
        plan,
        settings,
        (denoiser, channels),
        noised,
        networks,
        tools,
    )?;
    let latents = ended(noised, left);
    let pixels = without(shift.as_ref(), decoded(&latents, networks.codec)?)?;
    Ok(Outcome {
        pixels: networks.finished(pixels, (source, low_pass_factor), plan.strength)?,
        latents: Some(latents),
        facts: Facts {
            runs,
            ..facts(plan, low_pass_factor)
        },
    })
}

/// The latents of a run that ended at sigma `left`. Where that is above 0 they are those of variance 1, as in
/// diffusers.
pub(crate) fn ended(noised: Tensor, left: f64) -> Tensor {
    scaled(noised, 1.0 / variance_of_noised(left).sqrt())
}

/// Pixels in -1..1.
pub(crate) fn decoded(latents: &Tensor, codec: &mut dyn LatentCodec) -> Result<Tensor, Error> {
    let pixels = codec
        .decode(latents)
        .map_err(Error::failed(Stage::Decode))?;
    Ok(map(finite(pixels, Stage::Decode)?, |value| {
        value.clamp(-1.0, 1.0)
    }))
}

/// Shape of the latents of a picture `[height, width]`. Fails unless both are multiples of the grid.
pub(crate) fn latents_shape(
    [h, w]: [usize; 2],
    codec: &dyn LatentCodec,
) -> Result<[usize; 4], Error> {
    let grid = codec.grid();
    for (subject, side) in [("height", h), ("width", w)] {
        if side == 0 || !side.is_multiple_of(grid) {
            return Err(Error::value(
                subject,
                side,
                format!("a multiple of {grid}, at least {grid}"),
            ));
        }
    }
    Ok([
        1,
        h / codec.downscale(),
        w / codec.downscale(),
        codec.channels(),
    ])
}

/// The source as the network sees it; zeros at factor 0 and without a source.
fn source_channels(
    source: Option<&Tensor>,
    factor: usize,
    shape: [usize; 4],
    codec: &mut dyn LatentCodec,
) -> Result<Tensor, Error> {
    match source {
        Some(source) if factor > 0 => {
            let pixels = low_pass(source, factor)?;
            let channels = codec
                .condition(&pixels)
                .map_err(Error::failed(Stage::Condition))?;
            finite(channels, Stage::Condition)
        }
        _ => Ok(Tensor::zeros(shape)),
    }
}

/// Latents at the first level, and the source's own.
fn start(
    plan: &Plan,
    source: Option<&Tensor>,
    shape: [usize; 4],
    codec: &mut dyn LatentCodec,
    noise: &mut dyn Noise,
) -> Result<(Tensor, Option<Tensor>), Error> {
    let Some(source) = source else {
        let noise = scaled(noise.initial(shape), plan.schedule.pure_noise_scale());
        return Ok((noise, None));
    };
    let latents = encoded(source, plan.rule, codec, noise)?;
    let noised = add_scaled(&latents, &noise.initial(shape), plan.start_sigma())?;
    Ok((noised, Some(latents)))
}

pub(crate) type BoundNetwork<'a> = Discrete<Box<dyn Network + 'a>>;

/// The denoiser of a run of `runs` steps: prompt and negative prompt, each bound to the source, joined by guidance.
pub(crate) fn guided<'n>(
    settings: &Settings,
    runs: usize,
    (channels, strength): (Option<Tensor>, Strength),
    wiring: Wiring<'_, 'n>,
) -> Result<Guided<BoundNetwork<'n>>, Error> {
    let guidance_scale = settings.guidance_scale;
    let prediction = wiring.training.config().prediction_type;
    let relation = wiring
        .conditioning
        .map_or(Relation::Apart, Conditioning::relation);
    let change = wiring
        .conditioning
        .map_or(1.0, |conditioning| conditioning.change(strength));
    let by_source = match wiring.conditioning {
        Some(Conditioning::Instructed) => settings.image_guidance != 1.0,
        _ => false,
    };
    if relation != Relation::Apart && prediction != PredictionType::Sample {
        let expected = "Sample where the output is relative to the source";
        return Err(Error::value(
            "prediction_type",
            format!("{prediction:?}"),
            expected,
        ));
    }
    let bound = |prompt, channels: Option<Tensor>| -> Result<BoundNetwork<'n>, Error> {
        let network = (wiring.network)(prompt).map_err(Error::failed(Stage::Prompt))?;
        let network: Box<dyn Network + 'n> = match settings.windows {
            Some(windows) => Box::new(Windowed::new(network, windows)),
            None => network,
        };
        let network = match channels {
            Some(channels) => {
                let conditioned = SourceConditioned::new(network, channels, relation);
                Box::new(conditioned.changing(change))
            }
            None => network,
        };
        Ok(Discrete::new(network, prediction))
    };
    let parts = wiring.parts.iter().enumerate();
    let conds = parts
        .filter(|_| needs_cond(guidance_scale))
        .map(|(part, &weight)| Ok((weight, bound(Prompt::Positive(part), channels.clone())?)))
        .collect::<Result<_, Error>>()?;
    let uncond = (settings.needs_uncond(wiring.parts, runs)? || by_source)
        .then(|| bound(Prompt::Negative, channels.clone()))
        .transpose()?;
    let guided = Guided::new(conds, uncond, guidance_scale)?;
    let guided = guided.guided_for(settings.guided_steps(runs)?);
    let guided = match channels.filter(|_| by_source) {
        Some(channels) => {
            let blind = bound(Prompt::Negative, Some(Tensor::zeros(channels.shape())))?;
            guided.guided_by_source(blind, settings.image_guidance)?
        }
        None => guided,
    };
    guided.rescaled(settings.guidance_rescale, prediction)
}

pub(crate) fn finite(tensor: Tensor, stage: Stage) -> Result<Tensor, Error> {
    if tensor.is_finite() {
        Ok(tensor)
    } else {
        Err(Error::NotFinite { stage })
    }
}

pub(crate) fn facts(plan: &Plan, source_low_pass: Option<usize>) -> Facts {
    Facts {
        rule: plan.rule,
        strength: plan.strength,
        sampler: plan.sampler,
        spacing: plan.spacing,
        start: plan.start,
        steps_asked: plan.steps_asked,
        runs: plan.runs,
        start_sigma: plan.start_sigma(),
        start_timestep: plan.start_level.map(|level| level.timestep),
        source_low_pass,
        washed: false,
    }
}
