//! LoRAs and embeddings that orders may name.

use imagegen::files::Shelved;
use imagegen_jobs::OrderedLora;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A LoRA in an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoraBody {
    /// Its name, as `GET /loras` has it.
    name: String,
    /// How much of it; 1 is what it was trained for.
    #[serde(default = "whole")]
    #[schema(minimum = -10, maximum = 10)]
    weight: f64,
}

fn whole() -> f64 {
    1.0
}

impl From<&LoraBody> for OrderedLora {
    fn from(body: &LoraBody) -> Self {
        Self {
            name: body.name.clone(),
            weight: body.weight,
        }
    }
}

impl From<&OrderedLora> for LoraBody {
    fn from(lora: &OrderedLora) -> Self {
        Self {
            name: lora.name.clone(),
            weight: lora.weight,
        }
    }
}

/// A file that orders may name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShelvedBody {
    /// What orders call it.
    name: String,
    /// The models it seems made for; null where its sizes do not tell.
    family: Option<&'static str>,
    /// Bytes of its file.
    bytes: u64,
}

impl From<Shelved> for ShelvedBody {
    fn from(file: Shelved) -> Self {
        Self {
            name: file.name,
            family: file.family,
            bytes: file.bytes,
        }
    }
}
