//! Pixels: bytes to pictures within limits, pictures to the model's grid and back, pictures to bytes
//! that carry how they were made.
//!
//! Bytes in, bytes out. Knows nothing of paths, clocks, networks, models or diffusion. Every step gives
//! the same bytes on every CPU: codecs run their portable path, sums are integers or have one order, and
//! powers come from `libm`.
//!
//! Start at [`decode`], go on with [`plan`] and [`FitPlan`], end at [`encode`].

pub mod advice;
mod alpha;
mod colour;
mod container;
mod decode;
mod encode;
mod exif;
pub mod fidelity;
mod fill;
mod fit;
pub mod mask;
pub mod metadata;
mod orient;
mod paste;
mod patches;
mod picture;
mod resize;
mod seam;
mod sniff;
mod unit;

pub use alpha::{WHITE, flatten};
pub use decode::{
    ColourKind, DecodeError, Decoded, Facts, Fault, Limits, SourceFormat, Warning, decode,
};
pub use encode::{EncodeError, EncodeWarning, Encoded, Format, UnknownExtension, encode};
pub use fill::fill;
pub use fit::{Fit, FitError, FitPlan, FitRequest, Rect, Wanted, plan};
pub use metadata::{Carried, Metadata};
pub use orient::Orientation;
pub use paste::{Kept, Paste, kept, paste};
pub use patches::{fill_with_patches, patched_from};
pub use picture::{Picture, PictureError, Size};
pub use resize::{Filter, resize, resize_plane};
pub use seam::{Seam, seam};
pub use sniff::LooksLike;
pub use unit::{NotANumber, from_unit, to_unit};
