//! Jobs as clients see them.

use imagegen::{PaintedRecord, PromptRecord, Recipe};
use imagegen_jobs::{Job, JobResult, Kind, Order, Progress, StepDone};
use serde::Serialize;
use utoipa::ToSchema;

use super::inpainting::InpaintingBody;
use super::{AdviceBody, HiresBody, LoraBody, Seed};

/// A job as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobBody {
    /// Its name, a UUID; later jobs have higher names.
    id: String,
    /// `transform`, `generate`, `ladder`, `vary`, `inpaint` or `upscale`.
    kind: &'static str,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    /// What was ordered, with model, seed and strength filled in.
    order: OrderBody,
    /// Name of the source's file; null for pictures from text alone.
    source_name: Option<String>,
    /// When it was ordered, in milliseconds since 1970.
    created_ms: i64,
    /// When it was last begun.
    started_ms: Option<i64>,
    /// When it was over.
    finished_ms: Option<i64>,
    /// Jobs before it in the queue, 0 for the next; null unless it is queued.
    position: Option<u32>,
    /// Seconds until it is done, where enough was measured to tell.
    estimate_s: Option<f64>,
    /// How far it is; null unless it runs.
    progress: Option<ProgressBody>,
    /// Its pictures so far, in order.
    results: Vec<ResultBody>,
    /// Whether `GET /jobs/{id}/sheet` has a sheet of all results.
    sheet: bool,
    /// What a person should know about the job as a whole.
    warnings: Vec<String>,
    /// Why it failed; null unless it did.
    failure: Option<FailureBody>,
    /// Whether it is kept whatever its age.
    favourite: bool,
    /// How often it was begun.
    attempts: u32,
}

/// What was ordered. Fields that do not belong to the kind are null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderBody {
    prompt: String,
    negative_prompt: String,
    prompt_mode: Option<String>,
    /// LoRAs besides those that the prompt names.
    loras: Vec<LoraBody>,
    source: Option<String>,
    strength: Option<f64>,
    strengths: Option<Vec<f64>>,
    width: Option<u32>,
    height: Option<u32>,
    size: Option<String>,
    fit: Option<String>,
    count: Option<u8>,
    by: Option<u32>,
    with: Option<String>,
    /// What an inpainting changes and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    inpaint: Option<InpaintingBody>,
    model: Option<String>,
    sampler: Option<String>,
    schedule: Option<String>,
    eta: Option<f64>,
    guidance_rescale: Option<f64>,
    guidance_until: Option<f64>,
    cache_interval: Option<usize>,
    token_merging: Option<f64>,
    image_guidance: Option<f64>,
    colours: Option<String>,
    wash: Option<String>,
    clip_skip: Option<usize>,
    noise: Option<String>,
    precision: Option<String>,
    variation_seed: Option<Seed>,
    variation_strength: Option<f64>,
    /// The second pass.
    hires: Option<HiresBody>,
    tiles: Option<String>,
    vae_tiling: Option<String>,
    refiner: Option<String>,
    refiner_at: Option<f64>,
    strength_rule: Option<String>,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
    seed: Option<Seed>,
}

/// How far a running job is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressBody {
    /// The picture in the making, counted from 1.
    picture: usize,
    /// Pictures in all.
    pictures: usize,
    /// Steps of this picture that are done.
    step: usize,
    /// Steps of this picture; 0 before the first is done.
    steps: usize,
}

/// One picture of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultBody {
    /// Which one, counted from 0.
    index: usize,
    seed: Seed,
    /// Seed of the variation, where there is one.
    variation_seed: Option<Seed>,
    /// 1 for pictures from text alone.
    strength: f64,
    width: u32,
    height: u32,
    /// How alike it and the source are; null for pictures from text alone.
    fidelity: Option<FidelityBody>,
    warnings: Vec<String>,
    /// What it gives reason to say.
    advice: Vec<AdviceBody>,
    /// How the texts were read that had a say: parts and their weights, what each says at which steps, pieces, windows, tokens.
    /// Absent in pages of the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    prompts: Option<Vec<PromptRecord>>,
    /// What an inpainting painted: share of the picture, pixels that were kept and checked, the seam in figures, what the model saw.
    #[schema(value_type = Option<Object>)]
    inpaint: Option<PaintedRecord>,
    /// Everything that is needed to make it again, as the picture itself carries it.
    #[schema(value_type = Object)]
    recipe: Recipe,
}

/// How alike source and result are, 0 to 1.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FidelityBody {
    overall: f64,
    structure: f64,
    colour: f64,
}

/// Why a job failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureBody {
    /// A stable name for programs.
    code: String,
    /// A sentence for people.
    message: String,
}

/// A page of the history, latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageBody {
    pub(crate) jobs: Vec<JobBody>,
    /// For `before` of the next page; null on the last.
    pub(crate) next: Option<String>,
}

/// An event of a job's stream.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "describes the stream, whose events are written field by field"
)]
pub(crate) struct EventBody {
    /// Which one, such as `step`.
    event: String,
    /// What it says, a JSON document.
    data: String,
}

/// Event `queued`.
#[derive(Debug, Serialize)]
pub(crate) struct QueuedBody {
    position: Option<u32>,
    estimate_s: Option<f64>,
}

/// Event `step`.
#[derive(Debug, Serialize)]
pub(crate) struct StepBody {
    picture: usize,
    pictures: usize,
    step: usize,
    steps: usize,
    sigma: f64,
    seconds: f64,
    left_s: f64,
}

impl From<&Job> for JobBody {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.order.kind.kind().name(),
            state: job.state.name(),
            order: OrderBody::from(&job.order),
            source_name: job.source_name.clone(),
            created_ms: job.created_ms,
            started_ms: job.started_ms,
            finished_ms: job.finished_ms,
            position: job.position,
            estimate_s: job.estimate_s,
            progress: job.progress.map(ProgressBody::from),
            results: job.results.iter().map(ResultBody::from).collect(),
            sheet: job.sheet,
            warnings: job.warnings.clone(),
            failure: job.failure.as_ref().map(|failure| FailureBody {
                code: failure.code.clone(),
                message: failure.message.clone(),
            }),
            favourite: job.favourite,
            attempts: job.attempts,
        }
    }
}

impl JobBody {
    /// A job in a page of the history: without how its texts were read, which may be much for each of a hundred.
    pub(crate) fn listed(job: &Job) -> Self {
        let mut body = Self::from(job);
        for result in &mut body.results {
            result.prompts = None;
        }
        body
    }
}

impl From<&Order> for OrderBody {
    fn from(order: &Order) -> Self {
        let mut body = Self {
            prompt: order.prompt.clone(),
            negative_prompt: order.negative_prompt.clone(),
            // Orders of versions that knew no other were read letter by letter.
            prompt_mode: Some(order.prompt_mode.as_deref().unwrap_or("plain").to_owned()),
            loras: order.loras.iter().map(LoraBody::from).collect(),
            source: order.kind.source().map(str::to_owned),
            strength: None,
            strengths: None,
            width: None,
            height: None,
            size: None,
            fit: None,
            count: None,
            by: None,
            with: None,
            inpaint: None,
            model: order.model.clone(),
            sampler: order.sampler.clone(),
            schedule: order.sampling.schedule.clone(),
            eta: order.sampling.eta,
            guidance_rescale: order.sampling.guidance_rescale,
            guidance_until: order.sampling.guidance_until,
            cache_interval: order.sampling.cache_interval,
            token_merging: order.sampling.token_merging,
            image_guidance: order.sampling.image_guidance,
            colours: order.sampling.colours.clone(),
            wash: order.sampling.wash.clone(),
            clip_skip: order.sampling.clip_skip,
            noise: order.sampling.noise.clone(),
            precision: order.sampling.precision.clone(),
            variation_seed: order.sampling.variation_seed.map(Seed),
            variation_strength: order.sampling.variation_strength,
            hires: order.sampling.hires.as_ref().map(HiresBody::from),
            tiles: order.sampling.tiles.clone(),
            vae_tiling: order.sampling.vae_tiling.clone(),
            refiner: order.sampling.refiner.clone(),
            refiner_at: order.sampling.refiner_at,
            strength_rule: order.strength_rule.clone(),
            steps: order.steps,
            guidance_scale: order.guidance_scale,
            seed: order.seed.map(Seed),
        };
        match &order.kind {
            Kind::Transform {
                strength,
                size,
                fit,
                count,
                ..
            }
            | Kind::Vary {
                strength,
                size,
                fit,
                count,
                ..
            } => {
                body.strength = *strength;
                (body.size, body.fit) = (size.clone(), fit.clone());
                body.count = Some(*count);
            }
            Kind::Generate {
                width,
                height,
                count,
            } => {
                (body.width, body.height) = (Some(*width), Some(*height));
                body.count = Some(*count);
            }
            Kind::Inpaint {
                strength,
                count,
                painting,
                ..
            } => {
                body.strength = *strength;
                body.inpaint = Some(InpaintingBody::from(&**painting));
                body.count = Some(*count);
            }
            Kind::Upscale {
                by, with, strength, ..
            } => {
                body.strength = *strength;
                (body.by, body.with) = (Some(*by), with.clone());
                body.count = Some(1);
            }
            Kind::Ladder {
                strengths,
                size,
                fit,
                ..
            } => {
                body.strengths = Some(strengths.clone());
                (body.size, body.fit) = (size.clone(), fit.clone());
            }
        }
        body
    }
}

impl From<Progress> for ProgressBody {
    fn from(progress: Progress) -> Self {
        Self {
            picture: progress.picture,
            pictures: progress.pictures,
            step: progress.step,
            steps: progress.steps,
        }
    }
}

impl From<&JobResult> for ResultBody {
    fn from(result: &JobResult) -> Self {
        Self {
            index: result.index,
            seed: Seed(result.seed),
            variation_seed: result.recipe.variation.map(|to| Seed(to.seed)),
            strength: result.strength,
            width: result.width,
            height: result.height,
            fidelity: result.fidelity.map(|fidelity| FidelityBody {
                overall: fidelity.overall,
                structure: fidelity.structure,
                colour: fidelity.colour,
            }),
            warnings: result.warnings.clone(),
            advice: result.advice.iter().map(AdviceBody::from).collect(),
            prompts: Some(result.prompts.clone()),
            inpaint: result.painted,
            recipe: result.recipe.clone(),
        }
    }
}

impl From<&Job> for QueuedBody {
    fn from(job: &Job) -> Self {
        Self {
            position: job.position,
            estimate_s: job.estimate_s,
        }
    }
}

impl From<StepDone> for StepBody {
    fn from(done: StepDone) -> Self {
        Self {
            picture: done.picture,
            pictures: done.pictures,
            step: done.step,
            steps: done.steps,
            sigma: done.sigma,
            seconds: done.seconds,
            left_s: done.left_s,
        }
    }
}
