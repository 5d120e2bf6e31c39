//! From which figure on something is said. Why each is what it is, and what good photographs measure:
//! `docs/advice.md`.

/// A source whose shorter side is under this share of the model's native side is tiny.
pub const TINY_SHARE: f64 = 0.5;

/// A source whose longer side is over this many native sides brings no further benefit.
pub const LARGE_SHARE: f64 = 2.0;

/// Spread of the sharpest edges in pixels (sigma, of the picture as the model sees it) from which on a
/// source is blurred.
pub const BLURRED: f64 = 1.0;

/// Sigma of luma noise in levels of 255 from which on a source is noisy.
pub const NOISY: f64 = 5.0;

/// Blocking (0 to 1) from which on the blocks of JPEG show.
pub const BLOCKY: f64 = 0.12;

/// A source reduced this often before the model sees it shows no blocks of 8 pixels any more, and they
/// are not looked for.
pub const BLOCKS_HIDDEN: f64 = 2.0;

/// Levels of 255 between the darkest and the lightest 1 % of pixels under which a source is flat.
pub const FLAT: f64 = 64.0;

/// Longer over shorter side above which a source is long.
pub const LONG: f64 = 2.4;

/// Share of the picture from which on flat bars are worth cutting off.
pub const BARS: f64 = 0.02;

/// Strength from which on faces are distorted.
pub const FACE_STRENGTH: f64 = 0.6;

/// Strength suggested for faces: style shows and likeness holds.
pub const SAFE_FACE_STRENGTH: f64 = 0.5;

/// Steps that have to run.
pub const FEWEST_RUNS: usize = 3;

/// No schedule has more steps than this.
pub const MOST_STEPS: usize = 1000;

/// Strength from which on a result is expected to differ visibly from its source.
pub const VISIBLE_STRENGTH: f64 = 0.3;

/// Overall fidelity from which on a result of [`VISIBLE_STRENGTH`] or more has not changed.
pub const UNCHANGED: f64 = 0.95;

/// Overall fidelity from which on a result of any strength above 0 has not changed.
pub const UNTOUCHED: f64 = 0.999;

/// Strengths suggested where the style did not take.
pub const STYLE_STRENGTHS: [f64; 2] = [0.55, 0.65];

/// Highest strength suggested: beyond it the source decides nothing.
pub const MOST_STRENGTH: f64 = 0.95;

/// Strength from which on a barely visible source is what was asked for.
pub const LOOSE_STRENGTH: f64 = 0.8;

/// Structure (see [`Fidelity`](crate::fidelity::Fidelity)) up to which nothing of the source is left.
pub const UNRECOGNISABLE: f64 = 0.3;

/// Strengths suggested where nothing of the source is left.
pub const KEEPING_STRENGTHS: [f64; 2] = [0.4, 0.5];

/// Mean CIEDE2000 from which on a shift of colours is said.
pub const SHIFTED: f64 = 12.0;
