//! Advice: what is worth saying about a source, a request and a result, each with the figure that was
//! measured, the threshold it passed and what would help. Thresholds and their reasons: `docs/advice.md`.
//!
//! Knows nothing of files, models, networks or terminals: faces, tokens and steps come from the caller.
//! Start at [`measure`] and [`of_source`]; [`of_request`] before a run, [`of_result`] after it.

mod bars;
mod blocking;
mod blur;
mod figures;
mod kinds;
pub mod limits;
mod measures;
mod noise;
mod request;
mod result;
mod source;
mod words;

pub use bars::Bars;
pub use kinds::{Advice, Severity, Suggestion, Text};
pub use measures::{Measures, measure};
pub use request::{FacesFound, RequestFacts, Tokens, of_request};
pub use result::of_result;
pub use source::of_source;
