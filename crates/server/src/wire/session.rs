//! Who is asking, and what may be asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Limits;

/// Most pictures of a transform or a generation.
const COUNT: u8 = 8;

/// Who is asking, and what may be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// Whether anything but this needs a key.
    pub(crate) key_required: bool,
    /// Whether this request came with a valid key or session, or needs none.
    pub(crate) signed_in: bool,
    /// What the key is called.
    pub(crate) name: Option<String>,
    /// The program's version.
    pub(crate) version: &'static str,
    pub(crate) limits: LimitsBody,
}

/// What may be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    /// Longest picture file, in bytes.
    picture_bytes: u64,
    /// Most pixels of a picture.
    pixels: u64,
    /// Most pictures of a transform or a generation.
    count: u8,
}

impl From<&Limits> for LimitsBody {
    fn from(limits: &Limits) -> Self {
        Self {
            picture_bytes: limits.picture_bytes,
            pixels: limits.pixels,
            count: COUNT,
        }
    }
}

/// Signing in with a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The key, as `imagegen keys add` printed it.
    pub(crate) key: String,
}
