//! Which model is asked for, and what is decided about it over its own files.

use std::path::PathBuf;

use imagegen_pipeline::PredictionType;

use super::ModelSource;

/// A model, and what holds in place of what its files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// The model.
    pub source: ModelSource,
    /// An autoencoder in place of the model's own: a safetensors file under the names of either layout, or a
    /// folder in the diffusers layout.
    pub vae: Option<PathBuf>,
    /// What the network's output means, whatever the files say. Noise (`epsilon`) also turns a schedule of zero
    /// terminal signal off: at that end noise tells nothing of the picture.
    pub prediction: Option<PredictionType>,
}

impl From<ModelSource> for ModelChoice {
    fn from(source: ModelSource) -> Self {
        Self {
            source,
            vae: None,
            prediction: None,
        }
    }
}

impl From<&ModelSource> for ModelChoice {
    fn from(source: &ModelSource) -> Self {
        source.clone().into()
    }
}

impl From<&ModelChoice> for ModelChoice {
    fn from(choice: &ModelChoice) -> Self {
        choice.clone()
    }
}
