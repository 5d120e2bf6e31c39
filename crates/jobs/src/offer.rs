//! What orders may name.

use imagegen::ModelChoice;
use imagegen::files::Shelves;

use crate::Offered;

/// Models, LoRAs and embeddings that orders may name.
#[derive(Debug, Default)]
pub struct Offer {
    /// Models, the default one first.
    pub models: Offered,
    /// Folders of LoRAs and embeddings.
    pub shelves: Shelves,
}

impl From<Offered> for Offer {
    fn from(models: Offered) -> Self {
        Self {
            models,
            ..Self::default()
        }
    }
}

impl From<Vec<ModelChoice>> for Offer {
    fn from(named: Vec<ModelChoice>) -> Self {
        Offered::from(named).into()
    }
}
