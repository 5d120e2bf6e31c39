//! Models that orders may name.

use std::collections::BTreeMap;

use imagegen::{CodecKind, Colours, Sampler, Spacing};
use imagegen_jobs::ModelEntry;
use serde::Serialize;
use utoipa::ToSchema;

/// A model that orders may name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelBody {
    name: String,
    /// What it is, such as `Stable Diffusion 1, for inpainting`.
    kind: String,
    /// Bytes of its files.
    bytes: u64,
    /// Whether it is taken where an order names none.
    is_default: bool,
    /// Whether it is in memory.
    loaded: bool,
    /// SHA-256 over its files; null of models that were found in folders.
    sha256: Option<String>,
    /// What holds where an order says nothing.
    defaults: DefaultsBody,
    /// Side in pixels of the square it works at.
    native_side: u32,
    /// Names of the samplers that can be asked for.
    samplers: Vec<&'static str>,
    /// Share of fresh noise that each sampler takes by itself; those that are missing have no such choice.
    #[schema(value_type = BTreeMap<String, f64>)]
    eta: BTreeMap<&'static str, f64>,
    /// Names of the schedules that can be asked for.
    schedules: Vec<&'static str>,
    /// What can be done about colours; empty where its latents lose none.
    colours: Vec<&'static str>,
    /// Whether it puts colours under the lines of drawings, unless an order's `wash` is `off`.
    washes: bool,
    /// Styles worth naming in a prompt; empty for models that know language at large.
    styles: Vec<String>,
    /// Numbers in its weights.
    parameters: u64,
    /// Most that `clip_skip` can be.
    clip_skip: usize,
    /// Tokens it reads of a prompt.
    prompt_tokens: usize,
    /// Models here that can be its `refiner`: they work on the same latents.
    refiners: Vec<String>,
}

/// What holds where an order says nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefaultsBody {
    steps: usize,
    guidance_scale: f64,
    strength: f64,
    sampler: &'static str,
    schedule: &'static str,
    /// Weight of the source; null for models that are not told how to edit it.
    image_guidance: Option<f64>,
}

impl ModelBody {
    /// `entry` among `all` models.
    pub(crate) fn of(entry: &ModelEntry, all: &[ModelEntry]) -> Self {
        let info = &entry.info;
        let refines = |other: &&ModelEntry| other.name != entry.name && other.info.may_refine(info);
        let parameters = info.networks.iter().map(|network| network.parameters);
        Self {
            name: entry.name.clone(),
            kind: info.kind.to_string(),
            bytes: info.files.iter().map(|(_, bytes)| bytes).sum(),
            is_default: entry.is_default,
            loaded: entry.loaded,
            sha256: info.sha256.clone(),
            defaults: DefaultsBody {
                steps: info.defaults.steps,
                guidance_scale: info.defaults.guidance_scale,
                strength: info.defaults.strength,
                sampler: info.defaults.sampler.name(),
                schedule: info.defaults.schedule.name(),
                image_guidance: info.image_guidance,
            },
            native_side: info.native_side,
            samplers: Sampler::ALL.iter().map(|sampler| sampler.name()).collect(),
            eta: Sampler::ALL
                .iter()
                .filter_map(|sampler| Some((sampler.name(), sampler.eta()?)))
                .collect(),
            schedules: Spacing::ALL.iter().map(|spacing| spacing.name()).collect(),
            colours: match info.codec {
                CodecKind::Patches => Vec::new(),
                CodecKind::Autoencoder => Colours::ALL.map(Colours::name).to_vec(),
            },
            washes: info.washes(),
            styles: info.styles.clone(),
            parameters: parameters.sum(),
            clip_skip: info.clip_skip,
            prompt_tokens: info.prompt_tokens,
            refiners: all
                .iter()
                .filter(refines)
                .map(|other| other.name.clone())
                .collect(),
        }
    }
}
