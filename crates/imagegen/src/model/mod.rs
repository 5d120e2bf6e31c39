//! A model: its networks on an engine, its settings, its text encoder.

mod files;
mod info;
mod latents;
mod memory;
mod scheduler;
mod words;

pub use files::ModelSource;
pub use info::{Memory, ModelInfo, NetworkInfo, ScheduleInfo};
pub(crate) use latents::LatentsFile;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use imagegen_engine::cpu::Level;
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::{
    ClipText, ClipTextConfig, TextEncoding, TextStates, Tokenizer, UNet, UNetConfig, UNetInput,
};
use imagegen_picture::advice::{Measures, Tokens};
use imagegen_pipeline::{BoxedError, LatentCodec, Network, Sampler, TrainingSchedule};

use crate::recipe::ModelMark;
use crate::run::Prepared;
use crate::{Error, Warning};
use files::ModelFiles;
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
}

type Encoding = TextEncoding<<CpuBackend as Backend>::Tensor>;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(crate) mark: ModelMark,
    pub(crate) latents: LatentsFile,
    engine: CpuBackend,
    tokenizer: Tokenizer,
    text: ClipText<CpuBackend>,
    unet: UNet<CpuBackend>,
    scheduler: SchedulerFile,
    words: Option<PromptWords>,
    /// The last few texts that were encoded.
    encoded: Mutex<VecDeque<(String, Arc<Encoding>)>>,
    /// The source of the last run.
    pub(crate) prepared: Mutex<Option<Prepared>>,
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
        let latents = LatentsFile::parse(&files.text("latents.json")?)?;
        let fail = |cause| Error::Model {
            model: files.name().to_owned(),
            cause,
        };
        let tokenizer = files.tokenizer()?;
        let (text_file, unet_file) = (
            "text_encoder/model.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
        );
        let config = files.text("text_encoder/config.json")?;
        let config = ClipTextConfig::parse("text_encoder/config.json", &config).map_err(fail)?;
        let text_weights = files.weights(text_file)?;
        let text = ClipText::load(&engine, config, &text_weights).map_err(fail)?;
        let config = files.text("unet/config.json")?;
        let config = UNetConfig::parse("unet/config.json", &config).map_err(fail)?;
        check_wiring(&config, &latents, text.config().hidden_size)?;
        let unet_weights = files.weights(unet_file)?;
        let unet = UNet::load(&engine, config, &unet_weights).map_err(fail)?;
        Ok(Self {
            mark: ModelMark {
                name: files.name().to_owned(),
                sha256: files.hash()?,
            },
            latents,
            tokenizer,
            text,
            unet,
            scheduler: SchedulerFile::parse(&files.text("scheduler/scheduler_config.json")?)?,
            words: PromptWords::parse(files.optional_text("prompt_words.json")?.as_deref())?,
            engine,
            encoded: Mutex::default(),
            prepared: Mutex::default(),
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
        info::native_side(self.latents.pixels(), self.latents.codec.grid() as u32)
    }

    /// What holds where a request says nothing.
    pub fn defaults(&self) -> Defaults {
        defaults(&self.latents, &self.scheduler)
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
        let tokens = self
            .tokenizer
            .encode(prompt)
            .map_err(|cause| self.fail(cause))?;
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
        let tokens = self
            .tokenizer
            .encode(text)
            .map_err(|cause| self.fail(cause))?;
        Ok(Tokens {
            count: tokens.used.len() + tokens.dropped,
            limit: self.text.config().max_positions.saturating_sub(MARKS),
        })
    }

    /// Encodes a text, or finds it among the last few.
    pub(crate) fn encode(&self, text: &str) -> Result<Arc<Encoding>, Error> {
        const KEPT: usize = 8;
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = encoded.iter().find(|(known, _)| known == text) {
            return Ok(Arc::clone(found));
        }
        let tokens = self
            .tokenizer
            .encode(text)
            .map_err(|cause| self.fail(cause))?;
        let new = self
            .text
            .encode(&self.engine, &tokens.ids, TextStates::LAST)
            .map_err(|cause| self.fail(cause))?;
        let new = Arc::new(new);
        encoded.push_front((text.to_owned(), Arc::clone(&new)));
        encoded.truncate(KEPT);
        Ok(new)
    }

    /// What it computes with.
    pub(crate) fn engine(&self) -> &CpuBackend {
        &self.engine
    }

    /// The network bound to an encoded text.
    pub(crate) fn network(&self, text: Arc<Encoding>) -> BoundUNet<'_> {
        BoundUNet { model: self, text }
    }

    fn fail(&self, cause: imagegen_model::Error) -> Error {
        Error::Model {
            model: self.mark.name.clone(),
            cause,
        }
    }
}

/// What a model's files say about a request that says nothing.
fn defaults(latents: &LatentsFile, scheduler: &SchedulerFile) -> Defaults {
    let defaults = latents.defaults;
    Defaults {
        steps: defaults.steps,
        guidance_scale: defaults.guidance_scale,
        strength: defaults.strength,
        sampler: scheduler.sampler(),
    }
}

/// Fails unless channels of network, latents and text fit each other.
fn check_wiring(unet: &UNetConfig, latents: &LatentsFile, hidden: usize) -> Result<(), Error> {
    let channels = latents.codec.channels();
    let inputs = channels * if latents.conditioning.is_some() { 2 } else { 1 };
    let wiring = [
        ("in_channels", unet.in_channels, inputs),
        ("out_channels", unet.out_channels, channels),
        ("cross_attention_dim", unet.cross_attention_dim, hidden),
        (
            "projection_class_embeddings_input_dim",
            unet.class_inputs.unwrap_or(hidden),
            hidden,
        ),
    ];
    for (field, got, expected) in wiring {
        if got != expected {
            let subject = format!("unet/config.json field \"{field}\"");
            let expected = format!("{expected} for these latents and this text encoder");
            return Err(Error::setting(subject, got, expected));
        }
    }
    Ok(())
}

/// The UNet with a text bound to it.
pub(crate) struct BoundUNet<'a> {
    model: &'a Model,
    text: Arc<Encoding>,
}

impl Network for BoundUNet<'_> {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let Model { engine, unet, .. } = self.model;
        let sample = engine.upload(input);
        let class_labels = unet.config().class_inputs.map(|_| &self.text.pooled);
        let input = UNetInput {
            sample: &sample,
            timesteps: &[timestep],
            text: &self.text.hidden,
            class_labels,
            added: None,
            guidance: None,
        };
        Ok(engine.download(&unet.run(engine, &input)?))
    }
}
