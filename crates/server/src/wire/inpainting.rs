//! What an inpainting changes, in requests and in answers.

use imagegen_jobs::Inpainting;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What changes and how. What is absent is the intent's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InpaintingBody {
    /// What is wanted: `change` (where absent), `fill`, `replace-background`, `add`, `remove` or `refine`.
    intent: Option<String>,
    /// What the model starts from under the mask: `original`, `fill`, `patches`, `noise` or `nothing`. Where it
    /// is absent and `expand` alone says what changes, `patches`.
    content: Option<String>,
    /// What the model sees: `whole` or `masked`.
    area: Option<String>,
    /// Pixels to add around the picture and paint.
    #[schema(example = "left=128,top=64")]
    expand: Option<String>,
    /// Pixels around the masked part that the model sees.
    #[schema(minimum = 0, maximum = 4096)]
    padding: Option<u32>,
    /// Pixels by which more than the mask is denoised.
    #[schema(minimum = 0, maximum = 1024)]
    wide: Option<u32>,
    /// Pixels inside the edge over which detail changes over.
    #[schema(minimum = 0, maximum = 1024)]
    band: Option<u32>,
    /// Pixels outside the edge on which colours are matched; 0 matches none.
    #[schema(minimum = 0, maximum = 1024)]
    ring: Option<u32>,
    /// SHA-256 of the mask picture, as `POST /sources` gave it: white changes, black stays, grey changes
    /// partly.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    mask: Option<String>,
    /// Bring a mask picture of another size to the source's.
    fit_mask: bool,
    /// Boxes to change: column, row, width, height, in the source's pixels.
    #[schema(max_items = 64)]
    boxes: Vec<[u32; 4]>,
    /// Colours to change.
    #[schema(max_items = 64, example = json!(["#00ff00:24"]))]
    colours: Vec<String>,
    /// Parts to change: `faces`, `subject`, `background` or `transparent`.
    #[schema(max_items = 64)]
    only: Vec<String>,
    /// Parts to keep whatever else is named.
    #[schema(max_items = 64)]
    protect: Vec<String>,
    /// Keep what is named and change the rest.
    invert: bool,
    /// Pixels to grow the mask by; shrinks below 0.
    #[schema(minimum = -1024, maximum = 1024)]
    grow: i32,
    /// Pixels over which the mask's edge is soft.
    #[schema(minimum = 0, maximum = 1024)]
    feather: u32,
}

macro_rules! same_fields {
    ($from:ty, $to:ident) => {
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                let from = from.clone();
                Self {
                    intent: from.intent,
                    content: from.content,
                    area: from.area,
                    expand: from.expand,
                    padding: from.padding,
                    wide: from.wide,
                    band: from.band,
                    ring: from.ring,
                    mask: from.mask,
                    fit_mask: from.fit_mask,
                    boxes: from.boxes,
                    colours: from.colours,
                    only: from.only,
                    protect: from.protect,
                    invert: from.invert,
                    grow: from.grow,
                    feather: from.feather,
                }
            }
        }
    };
}

same_fields!(&InpaintingBody, Inpainting);
same_fields!(&Inpainting, InpaintingBody);
