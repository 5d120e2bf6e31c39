//! A model: its networks on an engine, its settings, its text encoder.

mod files;
mod info;
mod latents;
mod memory;
mod native;
mod networks;
mod parts;
mod scheduler;
mod words;

pub use files::ModelSource;
pub use info::{CodecKind, Memory, ModelInfo, NetworkInfo, ScheduleInfo, Sees};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use imagegen_engine::cpu::Level;
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::{AddedInput, TextEncoding, UNetInput};
use imagegen_picture::advice::{Measures, Tokens};
use imagegen_pipeline::{
    BoxedError, Conditioning, Network, Prompt, Sampler, Spacing, TrainingSchedule,
};

use crate::inpaint::LastMask;
use crate::recipe::ModelMark;
use crate::run::Prepared;
use crate::{Error, Warning};
use files::ModelFiles;
use native::Native;
use networks::{BoundCodec, Networks};
use parts::Parts;
use scheduler::SchedulerFile;
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

type Encoding = TextEncoding<<CpuBackend as Backend>::Tensor>;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(crate) mark: ModelMark,
    engine: CpuBackend,
    networks: Networks<CpuBackend>,
    native: Native,
    scheduler: SchedulerFile,
    words: Option<PromptWords>,
    zeros_for_no_prompt: bool,
    /// The last few texts that were encoded.
    encoded: Mutex<VecDeque<(String, Arc<Encoding>)>>,
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
    /// Fails with [`Error::UnknownModel`], [`Error::MissingFile`], [`Error::Setting`] or
    /// [`Error::Model`], each naming the file and the field or tensor.
    pub fn load(source: &ModelSource, cpu: Cpu) -> Result<Self, Error> {
        let engine = CpuBackend::new(cpu.level, cpu.threads)?;
        let files = ModelFiles::open(source)?;
        let parts = Parts::read(&files, source)?;
        let networks = Networks::load(&engine, &files, &parts)?;
        Ok(Self {
            mark: ModelMark {
                name: files.name().to_owned(),
                sha256: files.hash()?,
            },
            engine,
            networks,
            native: parts.native(&files)?,
            scheduler: parts.scheduler,
            words: parts.words,
            zeros_for_no_prompt: parts.zeros_for_no_prompt,
            encoded: Mutex::default(),
            prepared: Mutex::default(),
            masked: Mutex::default(),
            measured: Mutex::default(),
        })
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
            level: self.engine.level(),
            threads: self.engine.threads(),
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

    /// Between pixels and latents.
    pub(crate) fn codec(&self) -> BoundCodec<'_, CpuBackend> {
        self.networks.codec.on(&self.engine)
    }

    /// Whether its network hears the guidance scale, and so runs once a step without a negative
    /// prompt.
    pub(crate) fn hears_guidance(&self) -> bool {
        self.networks.unet.config().guidance_channels.is_some()
    }

    /// What to know about any run of this model on this machine.
    pub(crate) fn standing_warnings(&self, sampler_asked: bool) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Some(named) = self.scheduler.replaced().filter(|_| !sampler_asked) {
            let used = self.scheduler.sampler().name();
            warnings.push(Warning::SamplerReplaced {
                named: named.to_owned(),
                used,
            });
        }
        if self.engine.level() == Level::Portable && cfg!(target_arch = "x86_64") {
            warnings.push(Warning::SlowCpu);
        }
        warnings
    }

    /// The training schedule with the settings that hold for `sampler`.
    pub(crate) fn training(&self, sampler: Sampler) -> Result<TrainingSchedule, Error> {
        Ok(TrainingSchedule::new(self.scheduler.config(sampler)?)?)
    }

    /// What a person should know about a prompt.
    pub(crate) fn prompt_warnings(
        &self,
        which: &'static str,
        prompt: &str,
    ) -> Result<Vec<Warning>, Error> {
        let tokenizer = self.networks.texts.tokenizer();
        let tokens = tokenizer.encode(prompt).map_err(|cause| self.fail(cause))?;
        let mut warnings = Vec::new();
        if tokens.dropped > 0 {
            let limit = tokens.used.len();
            warnings.push(Warning::PromptCut {
                which,
                dropped: tokens.dropped,
                limit,
            });
        }
        if let Some(words) = self.words.as_ref().filter(|_| which == "prompt")
            && !prompt.trim().is_empty()
            && !words.knows_any(prompt)
        {
            warnings.push(Warning::NoKnownWord {
                styles: words.styles.clone(),
            });
        }
        Ok(warnings)
    }

    /// How long a text is, and how much of it is read; start and end marks are not counted.
    pub(crate) fn tokens(&self, text: &str) -> Result<Tokens, Error> {
        const MARKS: usize = 2;
        let texts = &self.networks.texts;
        let tokens = texts.tokenizer().encode(text);
        let tokens = tokens.map_err(|cause| self.fail(cause))?;
        Ok(Tokens {
            count: tokens.used.len() + tokens.dropped,
            limit: texts.max_tokens().saturating_sub(MARKS),
        })
    }

    /// Encodes a text, or finds it among the last few.
    pub(crate) fn encode(&self, text: &str) -> Result<Arc<Encoding>, Error> {
        const KEPT: usize = 8;
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = encoded.iter().find(|(known, _)| known == text) {
            return Ok(Arc::clone(found));
        }
        let new = self.networks.texts.encode(&self.engine, text);
        let new = new.map_err(|cause| self.fail(cause))?;
        let new = Arc::new(new);
        encoded.push_front((text.to_owned(), Arc::clone(&new)));
        encoded.truncate(KEPT);
        Ok(new)
    }

    /// What it computes with.
    pub(crate) fn engine(&self) -> &CpuBackend {
        &self.engine
    }

    /// The network bound to what it hears.
    pub(crate) fn network(&self, heard: &Heard<'_>) -> Result<BoundUNet<'_>, Error> {
        let none = heard.which == Prompt::Negative && heard.text.is_empty();
        let pooled_text = self.networks.unet.config().added.is_some();
        let text = match none && self.zeros_for_no_prompt && pooled_text {
            true => Arc::new(self.networks.texts.nothing(&self.engine)),
            false => self.encode(heard.text)?,
        };
        Ok(BoundUNet {
            model: self,
            which: heard.which,
            text,
            guidance: self.hears_guidance().then_some([heard.guidance_scale]),
        })
    }

    /// The numbers that the network hears about a picture of `[height, width]` pixels, if any.
    fn numbers(&self, which: Prompt, [height, width]: [f64; 2]) -> Option<Vec<f64>> {
        let unet = self.networks.unet.config();
        let count = unet.added?.numbers(self.networks.texts.pooled())?;
        let mut numbers = vec![height, width, 0.0, 0.0];
        numbers.extend(match count {
            // A refiner hears a score in place of the target's size.
            5 => vec![match which {
                Prompt::Positive => GOOD,
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

/// What a network hears in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    /// Which text it is.
    pub(crate) which: Prompt,
    /// The text.
    pub(crate) text: &'a str,
    /// Weight of the prompt over the negative prompt.
    pub(crate) guidance_scale: f64,
}

/// The UNet with what it hears bound to it.
pub(crate) struct BoundUNet<'a> {
    model: &'a Model,
    which: Prompt,
    text: Arc<Encoding>,
    guidance: Option<[f64; 1]>,
}

impl Network for BoundUNet<'_> {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let Networks { unet, codec, .. } = &self.model.networks;
        let engine = &self.model.engine;
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
        };
        Ok(engine.download(&unet.run(engine, &input)?))
    }
}
