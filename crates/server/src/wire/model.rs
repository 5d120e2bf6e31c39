//! Models that orders may name.

use imagegen::Sampler;
use imagegen_jobs::ModelEntry;
use serde::Serialize;
use utoipa::ToSchema;

/// A model that orders may name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelBody {
    name: String,
    /// Whether it is taken where an order names none.
    is_default: bool,
    /// Whether it is in memory.
    loaded: bool,
    /// SHA-256 over its files.
    sha256: String,
    /// What holds where an order says nothing.
    defaults: DefaultsBody,
    /// Side in pixels of the square it works at.
    native_side: u32,
    /// Names of the samplers that can be asked for.
    samplers: Vec<&'static str>,
    /// Styles worth naming in a prompt; empty for models that know language at large.
    styles: Vec<String>,
    /// Numbers in its weights.
    parameters: u64,
    /// Tokens it reads of a prompt.
    prompt_tokens: usize,
}

/// What holds where an order says nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefaultsBody {
    steps: usize,
    guidance_scale: f64,
    strength: f64,
    sampler: &'static str,
}

impl From<&ModelEntry> for ModelBody {
    fn from(entry: &ModelEntry) -> Self {
        let info = &entry.info;
        let parameters = info.networks.iter().map(|network| network.parameters);
        Self {
            name: info.name.clone(),
            is_default: entry.is_default,
            loaded: entry.loaded,
            sha256: info.sha256.clone(),
            defaults: DefaultsBody {
                steps: info.defaults.steps,
                guidance_scale: info.defaults.guidance_scale,
                strength: info.defaults.strength,
                sampler: info.defaults.sampler.name(),
            },
            native_side: info.native_side,
            samplers: Sampler::ALL.iter().map(|sampler| sampler.name()).collect(),
            styles: info.styles.clone(),
            parameters: parameters.sum(),
            prompt_tokens: info.prompt_tokens,
        }
    }
}
