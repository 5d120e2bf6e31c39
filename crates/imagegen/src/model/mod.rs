//! A model: its networks on an engine, its settings, its text encoder.

mod adapted;
mod cache;
mod catalogue;
mod choice;
mod files;
mod finish;
mod footprint;
mod info;
mod kind;
mod latents;
mod mark;
mod memory;
mod native;
mod networks;
mod parts;
mod scheduler;
mod texts;
mod vae;
mod vae_tiling;
mod wash;
mod words;

pub(crate) use adapted::Adapted;
pub(crate) use cache::Cache;
pub use catalogue::{Catalogue, FoundAutoencoder, FoundModel, Listing, ModelFolders, Unusable};
pub use choice::ModelChoice;
pub use files::ModelSource;
pub use info::{CodecKind, LatentsInfo, Memory, ModelInfo, NetworkInfo, ScheduleInfo};
pub use kind::{Family, ModelKind, Sees};
pub use vae_tiling::VaeTiling;

use std::collections::VecDeque;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use imagegen_engine::cpu::{Level, Precision};
use imagegen_engine::profile::{Operation, Profiled};
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::{AddedInput, TextEncoding, UNetInput};
use imagegen_picture::advice::{Measures, Tokens};
use imagegen_pipeline::{
    BoxedError, Conditioning, Finish, LatentCodec, Network, Prompt, Sampler, Spacing,
    TrainingSchedule, WashRule,
};
use imagegen_prompt::Piece;

use crate::embeddings;
use crate::inpaint::LastMask;
use crate::prompts::{Embeddings, PromptFacts, ReadPart, ReadPrompt, ReadTexts};
use crate::recipe::ModelMark;
use crate::refiner::Refined;
use crate::run::Prepared;
use crate::{Embedding, EmbeddingMark, Error, PromptMode, Request, Room, Settings, Size, Warning};
use adapted::Origin;
use files::ModelFiles;
use footprint::{Beside, Footprint};
use mark::Unmarked;
use native::Native;
pub(crate) use networks::BoundCodec;
use networks::Networks;
use parts::Parts;
use scheduler::SchedulerFile;
use texts::Length;
use words::PromptWords;

/// Which CPU kernels run, and on how many threads.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// The instruction set; results do not depend on it.
    pub level: Level,
    /// Threads, at least 1; results do not depend on it.
    pub threads: usize,
}

/// What a model's files say about a request that says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Steps of the full schedule.
    pub steps: usize,
    /// Weight of the prompt over the negative prompt.
    pub guidance_scale: f64,
    /// How far to move away from the source, 0 to 1.
    pub strength: f64,
    /// The algorithm.
    pub sampler: Sampler,
    /// How noise levels are laid out.
    pub schedule: Spacing,
}

/// Texts that were encoded, the newest first.
type Encoded = VecDeque<(Said, Arc<Encoding>)>;

/// What networks run on.
pub(crate) type Engine = Profiled<CpuBackend>;

type Encoding = TextEncoding<<CpuBackend as Backend>::Tensor>;

/// What decides an encoding: weighted words, how they are cut, how many layers are left out, and what words stand for.
type Said = (PromptMode, Vec<Piece>, usize, Embeddings);

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(crate) mark: ModelMark,
    /// One for each precision, in the order of [`Precision::ALL`].
    engines: [Engine; Precision::ALL.len()],
    networks: Networks<Engine>,
    footprint: Footprint,
    native: Native,
    scheduler: SchedulerFile,
    words: Option<PromptWords>,
    zeros_for_no_prompt: bool,
    /// The model that takes over in the middle of a run, if there is one.
    pub(crate) refiner: Option<Arc<Self>>,
    /// The last few texts that were encoded.
    encoded: Mutex<Encoded>,
    origin: Origin,
    /// The networks of the last run, where LoRAs changed them.
    adapted: Mutex<Option<Arc<Adapted>>>,
    /// The source of the last run.
    pub(crate) prepared: Mutex<Option<Prepared>>,
    /// The last mask that was made.
    pub(crate) masked: Mutex<LastMask>,
    /// The figures of the last source that was looked at, by its hash.
    pub(crate) measured: Mutex<Option<(String, Measures)>>,
}

impl Model {
    /// Loads a model for `cpu`.
    ///
    /// Fails with [`Error::UnknownModel`], [`Error::MissingFile`], [`Error::Setting`], [`Error::Vae`] or
    /// [`Error::Model`], each naming the file and the field or tensor.
    pub fn load(choice: impl Into<ModelChoice>, cpu: Cpu) -> Result<Self, Error> {
        Self::load_in(choice, cpu, Room::Any)
    }

    /// As [`Model::load`], and fails with [`Error::Memory`] before it reads weights where these and the smallest run
    /// surely take more memory than there is.
    pub fn load_in(choice: impl Into<ModelChoice>, cpu: Cpu, room: Room) -> Result<Self, Error> {
        let choice = choice.into();
        let engine = CpuBackend::new(cpu.level, cpu.threads)?;
        let files = ModelFiles::open(&choice.source)?;
        let mut parts = Parts::read(&files, &choice)?;
        let footprint = Footprint::of(&files, &mut parts, cpu.threads)?;
        footprint.check_load(room)?;
        let native = parts.native(&files)?;
        let side = info::native_side(native.pixels, footprint.grid());
        let engine = Profiled::new(engine.keeping(footprint.spare(side, room)?));
        let mark = Unmarked::of(&parts, &files, &choice)?.begin();
        let networks = Networks::load(&engine, &files, &parts)?;
        Ok(Self {
            mark: mark.finish(),
            engines: Precision::ALL.map(|precision| engine.beside(engine.inner().at(precision))),
            networks,
            footprint,
            native,
            scheduler: parts.scheduler,
            words: parts.words,
            zeros_for_no_prompt: parts.zeros_for_no_prompt,
            refiner: None,
            encoded: Mutex::default(),
            origin: Origin::of(choice, &files),
            adapted: Mutex::default(),
            prepared: Mutex::default(),
            masked: Mutex::default(),
            measured: Mutex::default(),
        })
    }

    /// Makes words of prompts stand for learned vectors, in this model, from now on.
    ///
    /// Fails with [`Error::Embedding`] where one was made for other text encoders, and with
    /// [`Error::Setting`] where it has more vectors than a window or a name that is taken.
    pub fn learn(&mut self, embeddings: Vec<Embedding>) -> Result<(), Error> {
        let encoded = self.encoded.get_mut();
        encoded.unwrap_or_else(PoisonError::into_inner).clear();
        *self
            .adapted
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner) = None;
        embeddings
            .into_iter()
            .try_for_each(|embedding| self.networks.texts.learn(embedding))
    }

    /// The textual inversions that words of texts stand for, for this model or for the one that takes over.
    pub(crate) fn embeddings_in(
        &self,
        texts: &ReadTexts,
        refined: Option<Refined<'_>>,
    ) -> Vec<EmbeddingMark> {
        let models = || iter::once(self).chain(refined.map(|refined| refined.model));
        let takes = |embedding: &&Arc<Embedding>| {
            models().any(|model| model.networks.texts.takes(embedding))
        };
        let fit: Vec<_> = texts.embeddings.iter().filter(takes).cloned().collect();
        let said = texts.iter().flat_map(ReadPrompt::stretches);
        embeddings::used(&fit, said)
    }

    /// What is to be said of embeddings that texts name and that are for other text encoders than this model's or those of
    /// the one that takes over.
    pub(crate) fn unfit_embeddings(
        &self,
        texts: &ReadTexts,
        refined: Option<Refined<'_>>,
    ) -> Vec<Warning> {
        let refiner = refined.map(|refined| (refined.model, "the refiner"));
        let unfit = |(model, reader): (&Self, &'static str)| {
            let other = |embedding: &&Arc<Embedding>| !model.networks.texts.takes(embedding);
            let unfit: Vec<_> = texts.embeddings.iter().filter(other).cloned().collect();
            let said = texts.iter().flat_map(ReadPrompt::stretches);
            let named = embeddings::used(&unfit, said).into_iter();
            named.map(move |mark| Warning::EmbeddingUnfit {
                name: mark.name,
                reader,
            })
        };
        let models = iter::once((self, "this model")).chain(refiner);
        models.flat_map(unfit).collect()
    }

    /// Embeddings that texts of a request may name: those that were learned, then those of the request that are called
    /// otherwise.
    pub(crate) fn embeddings(&self, settings: &Settings) -> Embeddings {
        let mut all = self.networks.texts.embeddings.clone();
        for embedding in &settings.embeddings {
            let same = |known: &Arc<Embedding>| known.name.eq_ignore_ascii_case(&embedding.name);
            if !all.iter().any(same) {
                all.push(Arc::clone(embedding));
            }
        }
        all.into()
    }

    /// Bytes that it and its refiner hold between runs, for the next one: no request takes less for another before it.
    pub fn held_bytes(&self) -> u64 {
        self.held_with(self.refiner.as_deref())
    }

    fn held_with(&self, refiner: Option<&Self>) -> u64 {
        let held = |model: &Self| model.engine().inner().held_bytes() as u64;
        held(self) + refiner.map_or(0, held)
    }

    /// Does `work`, and says what each operation of its networks and of its refiner's took in it: by network, the longest
    /// first. Results are the same.
    pub fn profiled<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Operation>) {
        let refiner = self.refiner.as_deref();
        self.engine().start("");
        if let Some(refiner) = refiner {
            refiner.engine().start("refiner's ");
        }
        let done = work();
        let mut operations = self.engine().stop();
        if let Some(refiner) = refiner {
            operations.extend(refiner.engine().stop());
        }
        (done, operations)
    }

    /// Fails with [`Error::Memory`] where carrying out a request surely takes more memory than there is: what fits
    /// is named. What was loaded is taken as given, and what earlier runs left behind as free.
    ///
    /// Fails also where the request cannot be carried out, as [`Model::plan`] does.
    pub fn check_room(&self, request: &Request<'_>, room: Room) -> Result<(), Error> {
        if room == Room::Any || self.work(request)?.runs == 0 {
            return Ok(()); // without a step networks see nothing
        }
        let recipe = self.plan(request)?;
        let refiner = recipe.refiner.as_ref();
        let refiner = refiner.and_then(|_| self.refiner_of(request.settings()));
        let beside = Beside {
            weights: refiner.map_or(0, |refiner| refiner.footprint.weights()),
            held: self.held_with(refiner),
        };
        // Enlarged pictures are always seen in windows.
        let enlarged = recipe.enlarge.as_ref().map(|_| self.native_side());
        let window = recipe.tiles.or(enlarged);
        let second = recipe.hires.as_ref();
        let second = second.map(|second| (second.work_size, second.tiles));
        for (size, window) in iter::once((recipe.work_size, window)).chain(second) {
            let window = window.unwrap_or(u32::MAX);
            self.footprint.check_run(size, window, room, beside)?;
            if let Some(refiner) = refiner {
                // The other way round it runs beside this one.
                let beside = Beside {
                    weights: self.footprint.weights(),
                    ..beside
                };
                refiner.footprint.check_steps(size, window, room, beside)?;
            }
        }
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.mark.name
    }

    /// SHA-256 over its files, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.mark.sha256
    }

    /// The instruction set and the threads it runs on.
    pub fn cpu(&self) -> Cpu {
        Cpu {
            level: self.engine().inner().level(),
            threads: self.engine().inner().threads(),
        }
    }

    /// Side, in pixels, of the square it works at.
    pub fn native_side(&self) -> u32 {
        info::native_side(self.native.pixels, self.grid())
    }

    /// What holds where a request says nothing.
    pub fn defaults(&self) -> Defaults {
        defaults(self.native, &self.scheduler)
    }

    /// Sides it works at are multiples of this, in pixels.
    pub(crate) fn grid(&self) -> u32 {
        self.networks.codec.grid() as u32
    }

    /// Most pixels it works at.
    pub(crate) fn native_pixels(&self) -> u64 {
        self.native.pixels
    }

    /// What its network is shown of the source, where it sees any of it.
    pub(crate) fn conditioning(&self) -> Option<&Conditioning> {
        self.networks.conditioning.as_ref()
    }

    /// Whether its network sees the source at every strength and can be guided by it.
    pub(crate) fn is_instructed(&self) -> bool {
        self.conditioning() == Some(&Conditioning::Instructed)
    }

    /// Most that a request's `clip_skip` can be; a refiner hears the same texts.
    pub(crate) fn most_clip_skip(&self, settings: &Settings) -> usize {
        let most = |model: &Self| model.networks.texts.most_left_out() + 1;
        let refiner = self.refiner_of(settings).map_or(usize::MAX, most);
        most(self).min(refiner)
    }

    /// Weight of the source over no source where none is named; `None` where it is not instructed.
    pub(crate) fn image_guidance_default(&self) -> Option<f64> {
        self.networks.image_guidance()
    }

    /// What its latents are: channels, pixels per latent each way, what they are multiplied by.
    pub(crate) fn latent_space(&self) -> (usize, usize, f64) {
        let codec = &self.networks.codec;
        let scaling = codec.scaling(self.networks.unet.config());
        (codec.channels(), codec.downscale(), scaling)
    }

    /// Between pixels and latents.
    pub(crate) fn codec(&self) -> BoundCodec<'_, Engine> {
        self.networks.codec.on(self.engine())
    }

    /// The same for a run, with what is asked for of its tiles.
    pub(crate) fn codec_of(&self, settings: &Settings) -> BoundCodec<'_, Engine> {
        let tiling = settings.sampling.vae_tiling.unwrap_or_default();
        let side = VaeTiling::side(self.native_side());
        let engine = self.engine_at(settings.sampling.precision);
        self.networks.codec.on(engine).tiled(tiling, side)
    }

    /// Side, in pixels, of the tiles in which a picture of `size` is encoded and decoded; `None` where it is whole.
    pub(crate) fn vae_tiles(&self, settings: &Settings, size: Size) -> Option<u32> {
        let codec = self.codec_of(settings);
        let window = codec.window([size.height as usize, size.width as usize]);
        window.map(|cells| (cells * codec.downscale()) as u32)
    }

    /// Whether its network hears the guidance scale, and so runs once a step without a negative
    /// prompt.
    pub(crate) fn hears_guidance(&self) -> bool {
        self.networks.unet.config().guidance_channels.is_some()
    }

    /// What to know about any run of this model on this machine.
    pub(crate) fn standing_warnings(
        &self,
        sampler_asked: bool,
        precision: Precision,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Some(named) = self.scheduler.replaced().filter(|_| !sampler_asked) {
            let used = self.scheduler.sampler().name();
            warnings.push(Warning::SamplerReplaced {
                named: named.to_owned(),
                used,
            });
        }
        if self.engine().inner().level() == Level::Portable && cfg!(target_arch = "x86_64") {
            warnings.push(Warning::SlowCpu);
        }
        if !precision.is_fast_at(self.engine().inner().level()) {
            warnings.push(Warning::SlowPrecision { precision });
        }
        warnings
    }

    /// The training schedule with the settings that hold for `sampler`.
    pub(crate) fn training(&self, sampler: Sampler) -> Result<TrainingSchedule, Error> {
        Ok(TrainingSchedule::new(self.scheduler.config(sampler)?)?)
    }

    /// What a person should know about a prompt.
    pub(crate) fn prompt_warnings(&self, prompt: &ReadPrompt) -> Result<Vec<Warning>, Error> {
        let mut warnings: Vec<_> = prompt.warnings().collect();
        let which = prompt.which;
        let length = self.longest(prompt)?;
        if length.dropped > 0 {
            let (dropped, limit) = (length.dropped, length.used);
            warnings.push(Warning::PromptCut {
                which,
                dropped,
                limit,
            });
        }
        let said = prompt.words();
        if let Some(words) = self.words.as_ref().filter(|_| which == "prompt")
            && !said.trim().is_empty()
            && !words.knows_any(&said)
        {
            warnings.push(Warning::NoKnownWord {
                styles: words.styles.clone(),
            });
        }
        Ok(warnings)
    }

    /// The length of what a prompt says at its longest.
    fn longest(&self, prompt: &ReadPrompt) -> Result<Length, Error> {
        let mut longest = Length::default();
        for pieces in prompt.readings() {
            let length = self.length(prompt, pieces)?;
            let whole = |length: &Length| length.used + length.dropped;
            if longest.limit == 0 || whole(&length) > whole(&longest) {
                longest = length;
            }
        }
        Ok(longest)
    }

    fn length(&self, prompt: &ReadPrompt, pieces: &[Piece]) -> Result<Length, Error> {
        let texts = &self.networks.texts;
        let length = texts.length(prompt.mode, pieces, &prompt.embeddings);
        length.map_err(|cause| self.fail(cause))
    }

    /// How long a text is, and how much of it is read; start and end marks are not counted.
    pub(crate) fn tokens(&self, prompt: &ReadPrompt) -> Result<Tokens, Error> {
        let length = self.longest(prompt)?;
        Ok(Tokens {
            count: length.used + length.dropped,
            limit: length.limit,
        })
    }

    /// How a prompt was read, for the record.
    pub(crate) fn prompt_facts(&self, prompt: &ReadPrompt) -> Result<PromptFacts, Error> {
        prompt.facts(|pieces| {
            let length = self.length(prompt, pieces)?;
            Ok((length.windows, length.used))
        })
    }

    /// Encodes weighted words, or finds them among the last few.
    fn encode(
        &self,
        prompt: &ReadPrompt,
        pieces: &[Piece],
        adapted: Option<&Adapted>,
    ) -> Result<Arc<Encoding>, Error> {
        const KEPT: usize = 8;
        let (texts, encoded) = match adapted {
            Some(adapted) => (&adapted.texts, &adapted.encoded),
            None => (&self.networks.texts, &self.encoded),
        };
        let mut encoded = encoded.lock().unwrap_or_else(PoisonError::into_inner);
        let (mode, left_out) = (prompt.mode, prompt.left_out);
        let said = (
            mode,
            pieces.to_vec(),
            left_out,
            Arc::clone(&prompt.embeddings),
        );
        if let Some((_, found)) = encoded.iter().find(|(known, _)| *known == said) {
            return Ok(Arc::clone(found));
        }
        let how = (mode, left_out);
        let new = texts.encode(self.engine(), how, pieces, &prompt.embeddings);
        let new = Arc::new(new.map_err(|cause| self.fail(cause))?);
        encoded.push_front((said, Arc::clone(&new)));
        encoded.truncate(KEPT);
        Ok(new)
    }

    /// What the network hears of each part of a prompt.
    pub(crate) fn hear(
        &self,
        prompt: &ReadPrompt,
        adapted: Option<&Adapted>,
    ) -> Result<Vec<Heard>, Error> {
        let pooled_text = self.networks.unet.config().added.is_some();
        let negative = prompt.which != "prompt";
        if negative && prompt.is_none && self.zeros_for_no_prompt && pooled_text {
            return Ok(vec![Heard {
                encodings: vec![Arc::new(self.networks.texts.nothing(self.engine()))],
                steps: Vec::new(),
            }]);
        }
        let part = |part: &ReadPart| {
            let readings = part.schedule.readings.iter();
            let encodings = readings.map(|pieces| self.encode(prompt, pieces, adapted));
            Ok(Heard {
                encodings: encodings.collect::<Result<_, Error>>()?,
                steps: part.schedule.steps.clone(),
            })
        };
        prompt.parts.iter().map(part).collect()
    }

    /// The finish that a prompt wants of whose parts it heard what `heard` holds, each with its part's weight; `None`
    /// for models that finish nothing.
    pub(crate) fn finish(&self, heard: &[Heard], weights: &[f64]) -> Option<Finish> {
        let wanted = self.networks.finish.as_ref()?;
        let part = |(heard, &weight): (&Heard, &f64)| {
            (weight, self.engine().download(&heard.last().pooled))
        };
        let parts: Vec<_> = heard.iter().zip(weights).map(part).collect();
        Some(wanted.wanted(&parts))
    }

    /// How drawings are washed; `None` for models that wash none.
    pub(crate) fn wash_rule(&self) -> Option<&WashRule> {
        self.networks.wash.as_ref().map(|wash| &wash.rule)
    }

    /// Logits of the colours under `lines`, for a `prompt` of whose parts it heard what `heard` holds, each with its
    /// part's weight.
    pub(crate) fn wash_logits(
        &self,
        lines: &Tensor,
        (prompt, adapted): (Option<&ReadPrompt>, Option<&Adapted>),
        (heard, weights): (&[Heard], &[f64]),
    ) -> Result<Tensor, BoxedError> {
        let wash = self.networks.wash.as_ref().ok_or("there is no wash")?;
        let prompt = prompt.ok_or("there is no prompt")?;
        let none = self.encode(prompt, &[], adapted)?;
        let parts = heard.iter().zip(weights);
        let texts: Vec<_> = parts
            .map(|(heard, &weight)| (weight, heard.last()))
            .collect();
        Ok(wash.logits(self.engine(), lines, &texts, &none)?)
    }

    /// About what share of a call's work is left where deep layers are left out.
    pub(crate) fn shallow_share(&self) -> f64 {
        self.networks.unet.shallow_share()
    }

    /// What it computes with, in f32.
    pub(crate) fn engine(&self) -> &Engine {
        self.engine_at(Precision::F32)
    }

    /// The same at a precision.
    pub(crate) fn engine_at(&self, precision: Precision) -> &Engine {
        &self.engines[precision as usize]
    }

    /// The network bound to what it hears of a prompt.
    pub(crate) fn network(
        &self,
        which: Prompt,
        heard: Heard,
        guidance_scale: f64,
        adapted: Option<Arc<Adapted>>,
    ) -> BoundUNet<'_> {
        BoundUNet {
            model: self,
            adapted,
            which,
            text: Arc::clone(&heard.encodings[0]),
            heard,
            guidance: self.hears_guidance().then_some([guidance_scale]),
            engine: self.engine(),
            cache: Cache::default(),
            token_merging: 0.0,
        }
    }

    /// The numbers that the network hears about a picture of `[height, width]` pixels, if any.
    fn numbers(&self, which: Prompt, [height, width]: [f64; 2]) -> Option<Vec<f64>> {
        let unet = self.networks.unet.config();
        let count = unet.added?.numbers(self.networks.texts.pooled())?;
        let mut numbers = vec![height, width, 0.0, 0.0];
        numbers.extend(match count {
            // A refiner hears a score in place of the target's size.
            5 => vec![match which {
                Prompt::Positive(_) => GOOD,
                Prompt::Negative => BAD,
            }],
            _ => vec![height, width],
        });
        Some(numbers)
    }

    fn fail(&self, cause: imagegen_model::Error) -> Error {
        Error::Model {
            model: self.mark.name.clone(),
            cause,
        }
    }
}

/// What a model's files say about a request that says nothing.
fn defaults(native: Native, scheduler: &SchedulerFile) -> Defaults {
    Defaults {
        steps: native.steps,
        guidance_scale: native.guidance_scale,
        strength: native.strength,
        sampler: scheduler.sampler(),
        schedule: scheduler.spacing(),
    }
}

/// Aesthetic scores a refiner hears for what is wished and what is not, as in diffusers' pipelines.
const GOOD: f64 = 6.0;
const BAD: f64 = 2.5;

/// What a network hears of a text in the course of a run.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// At least one.
    encodings: Vec<Arc<Encoding>>,
    /// Which of them holds at each step; the first where it does not say.
    steps: Vec<usize>,
}

impl Heard {
    /// What holds at the last step, which is what the result should look like.
    fn last(&self) -> &Encoding {
        &self.encodings[self.steps.last().copied().unwrap_or(0)]
    }
}

/// The UNet with what it hears bound to it.
pub(crate) struct BoundUNet<'a> {
    model: &'a Model,
    adapted: Option<Arc<Adapted>>,
    which: Prompt,
    heard: Heard,
    /// What it hears at this step.
    text: Arc<Encoding>,
    guidance: Option<[f64; 1]>,
    pub(crate) engine: &'a Engine,
    pub(crate) cache: Cache,
    /// Share of the tokens that are merged.
    pub(crate) token_merging: f64,
}

impl Network for BoundUNet<'_> {
    fn begin_step(&mut self, step: usize) {
        let said = self.heard.steps.get(step).copied().unwrap_or(0);
        self.text = Arc::clone(&self.heard.encodings[said]);
        self.cache.begin_step(step);
    }

    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let Networks { unet, codec, .. } = &self.model.networks;
        let unet = match &self.adapted {
            Some(adapted) => &adapted.unet,
            None => unet,
        };
        let engine = self.engine;
        let [_, height, width, _] = input.nhwc("network input")?;
        let pixels = [height, width].map(|side| (side * codec.downscale()) as f64);
        let numbers = self.model.numbers(self.which, pixels);
        let sample = engine.upload(input);
        let pooled = &self.text.pooled;
        let input = UNetInput {
            sample: &sample,
            timesteps: &[timestep],
            text: &self.text.hidden,
            class_labels: unet.config().class_inputs.map(|_| pooled),
            added: numbers
                .as_ref()
                .map(|numbers| AddedInput { pooled, numbers }),
            guidance: self.guidance.as_ref().map(|scale| scale.as_slice()),
            token_merging: self.token_merging,
        };
        Ok(engine.download(&self.cache.run(unet, engine, &input)?))
    }
}
