//! Single-file models in the LDM layout: Stable Diffusion 1 and 2, SDXL and its refiner, and
//! autoencoders by themselves.
//!
//! What a file holds is told by its keys and shapes. It is handed on as the parts that a folder in
//! the diffusers layout has, each with its configuration, so that one path runs both.

mod names;
mod sizes;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::weights::Cut;
use crate::{Error, Weights};
use names::Names;
use sizes::Tower;

const UNET: &str = "model.diffusion_model.";
const AUTOENCODER: &str = "first_stage_model.";

/// A network of a single file.
#[derive(Debug)]
pub struct Part {
    /// What a folder's `config.json` would say.
    pub config: String,
    /// Its tensors under the names a folder has.
    pub weights: Weights,
}

/// A text encoder of a single file.
#[derive(Debug)]
pub struct TextPart {
    /// Configuration and tensors.
    pub part: Part,
    /// The token a text is filled up with, for CLIP's tokenizer: no such file has its own.
    pub pad: &'static str,
}

/// A model in one file.
#[derive(Debug)]
pub struct SingleFile {
    /// The denoising network.
    pub unet: Part,
    /// One or two text encoders, in the order in which their states are joined.
    pub texts: Vec<TextPart>,
    /// The autoencoder, where it is part of the file.
    pub autoencoder: Option<Part>,
    /// What a folder's `scheduler_config.json` would say.
    pub scheduler: String,
    /// Factor by which the network's latents are scaled.
    pub scaling_factor: f64,
}

/// How a family's files are laid out.
struct Family {
    /// Where each text tower is, and what it is.
    texts: &'static [(&'static str, Layout)],
    scaling_factor: f64,
    /// Class of the scheduler that the family was published with.
    scheduler: &'static str,
    /// Side of the latents it was trained at: networks that predict noise, and velocity.
    sample_sizes: [usize; 2],
}

/// How a text tower's tensors are named.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// transformers' own names.
    Transformers,
    /// OpenCLIP's names; the last layer and the projection are not used.
    OpenClipPenultimate,
    /// OpenCLIP's names, all of it used.
    OpenClip,
}

/// The families, each known by the places of its text towers. The first that fits is meant.
const FAMILIES: [Family; 4] = [
    Family {
        texts: &[
            ("conditioner.embedders.0.transformer.", Layout::Transformers),
            ("conditioner.embedders.1.model.", Layout::OpenClip),
        ],
        scaling_factor: 0.13025,
        scheduler: "EulerDiscreteScheduler",
        sample_sizes: [128, 128],
    },
    Family {
        texts: &[("conditioner.embedders.0.model.", Layout::OpenClip)],
        scaling_factor: 0.13025,
        scheduler: "EulerDiscreteScheduler",
        sample_sizes: [128, 128],
    },
    Family {
        texts: &[("cond_stage_model.model.", Layout::OpenClipPenultimate)],
        scaling_factor: 0.18215,
        scheduler: "DDIMScheduler",
        sample_sizes: [64, 96],
    },
    Family {
        texts: &[("cond_stage_model.transformer.", Layout::Transformers)],
        scaling_factor: 0.18215,
        scheduler: "DDIMScheduler",
        sample_sizes: [64, 64],
    },
];

impl Layout {
    fn tower(self) -> Tower {
        let open = self != Self::Transformers;
        Tower {
            activation: if open { "gelu" } else { "quick_gelu" },
            projected: self == Self::OpenClip,
            without_last: self == Self::OpenClipPenultimate,
        }
    }
}

impl SingleFile {
    /// Finds the networks of a file. `velocity` says whether it predicts that, whatever the file says of it.
    ///
    /// Fails with [`Error::Unsupported`] where the file holds something else, and with
    /// [`Error::Missing`] or [`Error::Spare`] where tensors lack or belong to nothing.
    pub fn read(file: &Weights, velocity: Option<bool>) -> Result<Self, Error> {
        let has = |prefix: &str| file.names().any(|name| name.starts_with(prefix));
        let family = FAMILIES
            .iter()
            .find(|family| family.texts.iter().all(|(prefix, _)| has(prefix)))
            .filter(|_| has(UNET))
            .ok_or_else(|| unknown(file))?;
        let mut taken = Taken::default();
        let unet = unet(file, &mut taken);
        let texts = family
            .texts
            .iter()
            .map(|&(prefix, layout)| text(file, prefix, layout, &mut taken))
            .collect::<Result<Vec<_>, _>>()?;
        let autoencoder = has(AUTOENCODER)
            .then(|| {
                autoencoder(&file.under(AUTOENCODER), family.scaling_factor, |name| {
                    taken.take(format!("{AUTOENCODER}{name}"));
                })
            })
            .transpose()?;
        taken.check(file)?;
        let velocity = match velocity {
            Some(decided) => decided,
            None => predicts_velocity(file, family, &unet)?,
        };
        let mut config = sizes::unet(&unet)?;
        config["sample_size"] = json!(family.sample_sizes[usize::from(velocity)]);
        Ok(Self {
            scheduler: scheduler(file, family, velocity).to_string(),
            unet: Part {
                config: config.to_string(),
                weights: unet,
            },
            texts,
            autoencoder,
            scaling_factor: family.scaling_factor,
        })
    }
}

/// Reads an autoencoder that has a file of its own, under the names of either layout. Latents of the
/// model it is for are scaled by `scaling_factor`.
///
/// Fails as [`SingleFile::read`].
pub fn read_autoencoder(file: &Weights, scaling_factor: f64) -> Result<Part, Error> {
    let has = |prefix: &str| file.names().any(|name| name.starts_with(prefix));
    if has("encoder.down_blocks.") {
        let config = sizes::autoencoder(file, scaling_factor)?.to_string();
        let weights = file.under("");
        return Ok(Part { config, weights });
    }
    if !has("encoder.down.") {
        return Err(Error::Unsupported {
            subject: file.file().to_owned(),
            got: first_names(file),
            expected: "the tensors of an autoencoder".to_owned(),
        });
    }
    let mut taken = Taken::default();
    let part = autoencoder(file, scaling_factor, |name| taken.take(name.to_owned()))?;
    taken.check(file)?;
    Ok(part)
}

/// Names of a file that belong to a network.
#[derive(Default)]
struct Taken(BTreeSet<String>);

impl Taken {
    fn take(&mut self, name: String) {
        self.0.insert(name);
    }

    /// Fails with [`Error::Spare`] for tensors that belong to nothing.
    fn check(&self, file: &Weights) -> Result<(), Error> {
        let spare: Vec<_> = file
            .names()
            .filter(|name| !self.0.contains(*name) && !is_baggage(name))
            // Markers hold no numbers.
            .filter(|name| file.shape(name).is_none_or(|shape| !shape.contains(&0)))
            .collect();
        match spare.first() {
            None => Ok(()),
            Some(first) => Err(Error::Spare {
                file: file.file().to_owned(),
                count: spare.len(),
                first: (*first).to_owned(),
            }),
        }
    }
}

/// What training leaves in files and no network needs: averaged copies, the schedule's tables, the
/// loss, counters, markers.
fn is_baggage(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "betas",
        "cond_stage_model.model.logit_scale",
        "cond_stage_model.model.text_projection",
        "conditioner.embedders.0.model.logit_scale",
        "conditioner.embedders.1.model.logit_scale",
        "denoiser.sigmas",
        "log_one_minus_alphas_cumprod",
        "logvar",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "posterior_variance",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "v_pred",
        "ztsnr",
    ];
    NAMES.contains(&name)
        || name.starts_with("model_ema.")
        || name.starts_with("loss.")
        || name.starts_with("first_stage_model.loss.")
        || name.ends_with("position_ids")
}

/// The first few names of a file, for a person to tell what it is.
fn first_names(file: &Weights) -> String {
    let names: Vec<_> = file.names().take(3).collect();
    let count = file.names().count();
    format!(
        "a file of {count} tensors such as \"{}\"",
        names.join("\", \"")
    )
}

/// What a file is that is no model of a known family.
fn unknown(file: &Weights) -> Error {
    // Prefixes and what has them.
    const OTHERS: [(&str, &str); 8] = [
        ("lora_", "a LoRA, which changes a model and is none"),
        (
            "base_model.model.",
            "a LoRA, which changes a model and is none",
        ),
        (
            "control_model.",
            "a ControlNet, which guides a model and is none",
        ),
        ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
        ("model.diffusion_model.double_blocks.", "Flux"),
        ("double_blocks.", "Flux"),
        ("encoder.down", "an autoencoder by itself"),
        ("down_blocks.", "a denoising network by itself"),
    ];
    let found = OTHERS
        .iter()
        .find(|(prefix, _)| file.names().any(|name| name.starts_with(prefix)));
    Error::Unsupported {
        subject: file.file().to_owned(),
        got: found.map_or_else(|| first_names(file), |(_, what)| (*what).to_owned()),
        expected:
            "a model with UNet and text encoder: Stable Diffusion 1 or 2, SDXL or its refiner"
                .to_owned(),
    }
}

/// What diffusers calls the UNet's layer that the LDM layout calls `name`. `resnets` are those of a level
/// on the way down.
pub(crate) fn unet_layer(name: &str, resnets: usize) -> Option<String> {
    let names = names::unet(&format!("{name}."), resnets);
    let (layer, _) = names.into_iter().next()?;
    Some(layer.strip_suffix('.').map_or(layer.clone(), str::to_owned))
}

/// The UNet's tensors under diffusers' names.
fn unet(file: &Weights, taken: &mut Taken) -> Weights {
    let inner = file.under(UNET);
    // The first block that only halves stands behind the first level's residual blocks.
    let resnets = (1..)
        .take_while(|place| {
            inner
                .shape(&format!("input_blocks.{place}.0.in_layers.0.weight"))
                .is_some()
        })
        .count();
    renamed(
        &inner,
        |name| names::unet(name, resnets),
        |name| {
            taken.take(format!("{UNET}{name}"));
        },
    )
}

fn text(
    file: &Weights,
    prefix: &str,
    layout: Layout,
    taken: &mut Taken,
) -> Result<TextPart, Error> {
    let inner = file.under(prefix);
    let mut take = |name: &str| taken.take(format!("{prefix}{name}"));
    let weights = if layout == Layout::Transformers {
        // Some files leave the first part of the names out.
        let bare = inner
            .names()
            .any(|name| name.starts_with("encoder.layers."));
        let name = |name: &str| {
            let full = if bare {
                format!("text_model.{name}")
            } else {
                name.to_owned()
            };
            vec![(full, Cut::Whole)]
        };
        renamed(&inner, name, take)
    } else {
        renamed(&inner, names::open_clip, &mut take)
    };
    let config = sizes::text(&weights, layout.tower())?;
    let last = format!("text_model.encoder.layers.{}.", config["num_hidden_layers"]);
    let weights = match layout {
        // Read and then not used: the network would not know them.
        Layout::OpenClipPenultimate => weights.renamed(|name| {
            let unused = name.starts_with(&last) || name == "text_projection.weight";
            if unused {
                Vec::new()
            } else {
                vec![(name.to_owned(), Cut::Whole)]
            }
        }),
        Layout::Transformers | Layout::OpenClip => weights,
    };
    let part = Part {
        config: config.to_string(),
        weights,
    };
    let pad = match layout {
        Layout::Transformers => "<|endoftext|>",
        // The token of id 0.
        Layout::OpenClip | Layout::OpenClipPenultimate => "!",
    };
    Ok(TextPart { part, pad })
}

fn autoencoder(
    inner: &Weights,
    scaling_factor: f64,
    take: impl FnMut(&str),
) -> Result<Part, Error> {
    let levels = (0..)
        .take_while(|level| {
            inner
                .shape(&format!("encoder.down.{level}.block.0.conv1.weight"))
                .is_some()
        })
        .count()
        .max(1);
    let weights = renamed(inner, |name| names::autoencoder(name, levels), take);
    Ok(Part {
        config: sizes::autoencoder(&weights, scaling_factor)?.to_string(),
        weights,
    })
}

/// The tensors of a network under other names; `take` hears those that have one.
fn renamed(inner: &Weights, names: impl Fn(&str) -> Names, mut take: impl FnMut(&str)) -> Weights {
    for name in inner.names() {
        if !names(name).is_empty() {
            take(name);
        }
    }
    inner.renamed(names)
}

/// Whether the network predicts velocity rather than noise. A marker says so, or the network itself.
fn predicts_velocity(file: &Weights, family: &Family, unet: &Weights) -> Result<bool, Error> {
    let second = family.texts[0].1 == Layout::OpenClipPenultimate;
    Ok(file.shape("v_pred").is_some() || (second && looks_like_velocity(unet)?))
}

/// The schedule that the families share, and what the network's output means.
fn scheduler(file: &Weights, family: &Family, velocity: bool) -> Value {
    json!({
        "_class_name": family.scheduler,
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "clip_sample": false,
        "set_alpha_to_one": false,
        "prediction_type": if velocity { "v_prediction" } else { "epsilon" },
        "rescale_betas_zero_snr": file.shape("ztsnr").is_some(),
    })
}

/// Whether a Stable Diffusion 2 network predicts velocity. Nothing in its file says so; the published
/// networks that do differ in the spread of one bias.
fn looks_like_velocity(unet: &Weights) -> Result<bool, Error> {
    const BIAS: &str = "down_blocks.0.attentions.0.transformer_blocks.0.norm1.bias";
    const SPREAD: f64 = 0.09;
    if unet.shape(BIAS).is_none() {
        return Ok(false);
    }
    let bias = unet.tensor(BIAS)?;
    let count = bias.data().len() as f64;
    let mean = bias.data().iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let squares = bias.data().iter().map(|&v| (f64::from(v) - mean).powi(2));
    Ok((squares.sum::<f64>() / count).sqrt() > SPREAD)
}
