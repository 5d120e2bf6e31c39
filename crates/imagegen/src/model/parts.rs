//! The parts of a model as its files have them, before networks are made of them: from a folder in the
//! diffusers layout, or from one file.

use std::path::Path;
use std::sync::Arc;

use imagegen_engine::Backend;
use imagegen_model::single_file::{Part, SingleFile, read_autoencoder};
use imagegen_model::{AutoencoderConfig, Tokenizer, UNetConfig};
use imagegen_pipeline::PredictionType;
use serde_json::{Map, Value};

use super::files::ModelFiles;
use super::finish::TextFinish;
use super::latents::LatentsFile;
use super::native::Native;
use super::networks::Networks;
use super::scheduler::SchedulerFile;
use super::vae::{Vae, scaling_factor};
use super::wash::WashPart;
use super::words::PromptWords;
use super::{ModelChoice, ModelKind, ModelSource};
use crate::Error;
use crate::files::base_name;

/// Everything a model's files say.
pub(super) struct Parts {
    pub(super) unet: Part,
    /// Text encoders, in the order in which their states are joined.
    pub(super) texts: Vec<Text>,
    pub(super) codec: CodecPart,
    /// The files of the autoencoder that takes the place of the model's own, if one does.
    pub(super) vae: Option<Vae>,
    pub(super) scheduler: SchedulerFile,
    pub(super) words: Option<PromptWords>,
    /// How results are finished, by the text.
    pub(super) finish: Option<TextFinish>,
    /// What puts colours under drawings.
    pub(super) wash: Option<WashPart>,
    /// Whether no negative prompt means zeros in place of an encoded empty text.
    pub(super) zeros_for_no_prompt: bool,
}

/// A text encoder with its tokenizer.
pub(super) struct Text {
    /// The folder it is in, or would be in.
    pub(super) name: &'static str,
    pub(super) part: Part,
    pub(super) tokenizer: Arc<Tokenizer>,
}

/// What makes latents of pixels.
pub(super) enum CodecPart {
    /// Patches of pixels, with the settings of `latents.json`.
    Patches(LatentsFile),
    /// A learned autoencoder.
    Autoencoder(Part),
}

impl Parts {
    /// What holds where a request says nothing, and the size the model works at.
    pub(super) fn native(&self, files: &ModelFiles) -> Result<Native, Error> {
        match &self.codec {
            CodecPart::Patches(latents) => Ok(latents.native),
            CodecPart::Autoencoder(part) => {
                let fail = |cause| files.fail(cause);
                let unet = UNetConfig::parse("unet/config.json", &self.unet.config);
                let codec = AutoencoderConfig::parse("vae/config.json", &part.config);
                Ok(Native::of(&unet.map_err(fail)?, &codec.map_err(fail)?))
            }
        }
    }

    /// Reads a model's files.
    pub(super) fn read(files: &ModelFiles, choice: &ModelChoice) -> Result<Self, Error> {
        match &choice.source {
            ModelSource::File(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                read_file(files, &name, choice)
            }
            _ => read_folder(files, choice),
        }
    }

    /// Least bytes that all weights take.
    pub(super) fn least_bytes(&self) -> u64 {
        let texts = self
            .texts
            .iter()
            .map(|text| text.part.weights.least_bytes());
        let codec = match &self.codec {
            CodecPart::Patches(_) => 0,
            CodecPart::Autoencoder(part) => part.weights.least_bytes(),
        };
        let wash = self.wash.as_ref();
        let wash = wash.map_or(0, |wash| wash.network.weights.least_bytes());
        self.unet.weights.least_bytes() + codec + wash + texts.sum::<u64>()
    }

    /// Whether tensors have their shapes alone from now on.
    pub(super) fn set_outlined(&mut self, outlined: bool) {
        self.unet.weights.set_outlined(outlined);
        for text in &mut self.texts {
            text.part.weights.set_outlined(outlined);
        }
        if let CodecPart::Autoencoder(part) = &mut self.codec {
            part.weights.set_outlined(outlined);
        }
        if let Some(wash) = &mut self.wash {
            wash.network.weights.set_outlined(outlined);
        }
    }

    /// What kind of model it is.
    pub(super) fn kind<B: Backend>(&self, networks: &Networks<B>) -> ModelKind {
        let texts: Vec<_> = self
            .texts
            .iter()
            .map(|text| text.part.config.as_str())
            .collect();
        let patches = matches!(self.codec, CodecPart::Patches(_));
        let (unet, conditioning) = (networks.unet.config(), networks.conditioning.as_ref());
        ModelKind::of(unet, conditioning, &texts, patches)
    }
}

/// Components of a folder that are not run and change no picture by being left out.
const PASSED_OVER: &[&str] = &["feature_extractor", "safety_checker"];
/// Components that are run.
const RUN: &[&str] = &[
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "unet",
    "vae",
    "wash",
];

/// `model_index.json`: what a folder is made of.
pub(super) struct Index(Map<String, Value>);

impl Index {
    pub(super) fn read(files: &ModelFiles) -> Result<Option<Self>, Error> {
        let Some(text) = files.optional_text("model_index.json")? else {
            return Ok(None);
        };
        let fields: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| Error::setting("model_index.json", error, "a JSON object"))?;
        for (name, value) in &fields {
            let component = value
                .as_array()
                .filter(|pair| !pair.iter().all(Value::is_null));
            let known = RUN.contains(&name.as_str()) || PASSED_OVER.contains(&name.as_str());
            if let Some(component) = component.filter(|_| !known) {
                let class = component.last().and_then(Value::as_str).unwrap_or_default();
                return Err(Error::setting(
                    format!("model_index.json field \"{name}\""),
                    format!("a component ({class})"),
                    format!("{} alone", RUN.join(", ")),
                ));
            }
        }
        Ok(Some(Self(fields)))
    }

    pub(super) fn has(&self, component: &str) -> bool {
        let pair = self.0.get(component).and_then(Value::as_array);
        pair.is_some_and(|pair| !pair.iter().all(Value::is_null))
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }
}

fn read_folder(files: &ModelFiles, choice: &ModelChoice) -> Result<Parts, Error> {
    let index = Index::read(files)?;
    // A folder without an index has what is there.
    let has = |component: &str| match &index {
        Some(index) => index.has(component),
        None => files.has(&format!("{component}/config.json")),
    };
    let unet = part(files, "unet", "diffusion_pytorch_model")?;
    let mut vae = None;
    let codec = match (&choice.vae, has("vae")) {
        (Some(path), _) if !files.has("latents.json") => {
            let own = files.optional_text("vae/config.json")?;
            let (found, part) = replacing(files, path, &unet, own.as_deref())?;
            vae = Some(found);
            CodecPart::Autoencoder(part)
        }
        (Some(path), _) => {
            let subject = format!("the autoencoder for model {}", files.name());
            let expected = "none, since its latents are patches of pixels";
            return Err(Error::setting(subject, path.display(), expected));
        }
        (None, true) => CodecPart::Autoencoder(part(files, "vae", "diffusion_pytorch_model")?),
        (None, false) => CodecPart::Patches(LatentsFile::parse(&files.text("latents.json")?)?),
    };
    let second = has("text_encoder_2");
    let mut texts = Vec::new();
    // A refiner has the second alone.
    let mut text = |name, tokenizer| -> Result<(), Error> {
        let tokenizer = Arc::new(files.tokenizer(tokenizer)?);
        let part = part(files, name, "model")?;
        texts.push(Text {
            name,
            part,
            tokenizer,
        });
        Ok(())
    };
    if has("text_encoder") || !second {
        text("text_encoder", "tokenizer")?;
    }
    if second {
        text("text_encoder_2", "tokenizer_2")?;
    }
    let wash = match &codec {
        CodecPart::Patches(_) => WashPart::read(files)?,
        CodecPart::Autoencoder(_) => None, // such models draw by themselves
    };
    Ok(Parts {
        unet,
        texts,
        codec,
        vae,
        scheduler: SchedulerFile::read(
            &files.text("scheduler/scheduler_config.json")?,
            choice.prediction,
        )?,
        words: PromptWords::parse(files.optional_text("prompt_words.json")?.as_deref())?,
        finish: TextFinish::parse(files.optional_text("finish.json")?.as_deref())?,
        wash,
        zeros_for_no_prompt: index
            .is_none_or(|index| index.flag("force_zeros_for_empty_prompt", true)),
    })
}

/// The autoencoder at `path`, for a model whose own has the configuration `own`, if that is known.
fn replacing(
    files: &ModelFiles,
    path: &Path,
    unet: &Part,
    own: Option<&str>,
) -> Result<(Vae, Part), Error> {
    let fail = |cause| files.fail(cause);
    let unet = UNetConfig::parse("unet/config.json", &unet.config).map_err(fail)?;
    let (vae, part) = Vae::read(path, scaling_factor(&unet, own))?;
    let config = AutoencoderConfig::parse("config.json", &part.config);
    let config = config.map_err(|cause| Error::Vae {
        name: base_name(path),
        cause,
    })?;
    if config.latent_channels != unet.out_channels {
        let subject = format!("latents of autoencoder {}", base_name(path));
        let got = format!("of {} channels", config.latent_channels);
        let expected = format!("{} for model {}", unet.out_channels, files.name());
        return Err(Error::setting(subject, got, expected));
    }
    Ok((vae, part))
}

/// Configuration and weights in the folder `name`.
pub(super) fn part(files: &ModelFiles, name: &str, stem: &str) -> Result<Part, Error> {
    Ok(Part {
        config: files.text(&format!("{name}/config.json"))?,
        weights: files.part_weights(name, stem)?,
    })
}

fn read_file(files: &ModelFiles, name: &str, choice: &ModelChoice) -> Result<Parts, Error> {
    let fail = |cause| files.fail(cause);
    let weights = files.weights(name)?;
    let velocity = choice
        .prediction
        .map(|kind| kind == PredictionType::VPrediction);
    let file = SingleFile::read(&weights, velocity).map_err(fail)?;
    // An autoencoder beside the file goes before the one in it, as in other programs; one that is named goes
    // before both.
    let beside = format!("{}.vae.safetensors", files.name());
    let mut vae = None;
    let autoencoder = match &choice.vae {
        Some(path) => {
            let (found, part) = replacing(files, path, &file.unet, None)?;
            vae = Some(found);
            Some(part)
        }
        None if files.has(&beside) => {
            let weights = files.weights(&beside)?;
            Some(read_autoencoder(&weights, file.scaling_factor).map_err(fail)?)
        }
        None => file.autoencoder,
    };
    let autoencoder = autoencoder.ok_or_else(|| Error::MissingFile {
        model: files.name().to_owned(),
        file: beside,
        hint: "the model has no autoencoder in it, so one has to stand beside it or be named"
            .to_owned(),
    })?;
    let zeros_for_no_prompt = file.texts.len() == 2;
    let names = ["text_encoder", "text_encoder_2"];
    let texts = names.into_iter().zip(file.texts).map(|(name, text)| {
        let tokenizer = Tokenizer::clip(text.pad).map_err(fail)?;
        Ok(Text {
            name,
            part: text.part,
            tokenizer: Arc::new(tokenizer),
        })
    });
    Ok(Parts {
        unet: file.unet,
        texts: texts.collect::<Result<_, Error>>()?,
        codec: CodecPart::Autoencoder(autoencoder),
        vae,
        scheduler: SchedulerFile::read(&file.scheduler, choice.prediction)?,
        words: None,
        finish: None,
        wash: None,
        zeros_for_no_prompt,
    })
}
