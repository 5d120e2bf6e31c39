//! A second pass over a picture from text, in requests and in answers.

use imagegen_jobs::Hires;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A second pass over the picture, enlarged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HiresBody {
    /// By what each side is multiplied, above 1.
    #[schema(exclusive_minimum = 1, maximum = 4, example = 2)]
    by: f64,
    /// How far it moves away from the enlarged picture, above 0; 0.5 where absent.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    strength: Option<f64>,
    /// Steps of its full schedule; those of the first pass where absent.
    #[schema(minimum = 1, maximum = 1000)]
    steps: Option<usize>,
    /// What enlarges: `lanczos` (where absent), `realesr-animevideov3` or `latent`.
    with: Option<String>,
}

impl From<&HiresBody> for Hires {
    fn from(body: &HiresBody) -> Self {
        Self {
            by: body.by,
            strength: body.strength,
            steps: body.steps,
            with: body.with.clone(),
        }
    }
}

impl From<&Hires> for HiresBody {
    fn from(hires: &Hires) -> Self {
        Self {
            by: hires.by,
            strength: hires.strength,
            steps: hires.steps,
            with: hires.with.clone(),
        }
    }
}
