//! What every backend is held to: cases with float64 references, and the checks that run them.
//!
//! A case is a small value (shapes, options, a seed) with a reference in plain loops that nobody
//! optimises and a way to run it on any [`imagegen_engine::Backend`]. [`suite`] lists them,
//! [`check`] runs them and words what failed, [`tolerance`] says how close is close. The runners
//! are in `tests/`, one per backend. Knows nothing of models or
//! pictures. [`weights`] makes the weights of test networks.

pub mod cases;
pub mod check;
pub mod nan;
pub mod noise;
pub mod nothing;
pub mod reference;
pub mod refusals;
pub mod suite;
pub mod tolerance;
pub mod weights;
