//! Blur, without a sharp picture to compare with: Zhuo and Sim, "Defocus map estimation from a single
//! image", 2011. An edge is blurred once more by a known amount; how much weaker its gradient gets tells
//! how wide it was. The figure is that of the sharpest strong edges, so a soft background or a smooth
//! subject does not make a picture blurred.

use crate::fidelity::plane::{Plane, gaussian};

/// Sigma in pixels of the second blur.
const AGAIN: f64 = 1.0;
/// Taps of its kernel: four sigmas on both sides.
const TAPS: usize = 9;

/// Gradients in levels a pixel under this are no edges but shading and rounding.
const FAINTEST: f64 = 1.0;
/// The strongest share of edges that is looked at.
const STRONG: f64 = 0.1;
/// Fewer edge pixels than this tell nothing.
const FEWEST: usize = 16;
/// The spread that this share of strong edges is under: the sharp ones among them.
const SHARPEST: f64 = 0.25;
/// Spread that stands for anything wider.
pub(super) const WIDEST: f64 = 10.0;

/// Spread of the sharpest strong edges of a luma plane 0..255, in pixels, 0 to [`WIDEST`]. None where
/// there are too few edges.
pub(super) fn edge_spread(luma: &Plane) -> Option<f64> {
    let kernel = gaussian(TAPS, AGAIN);
    let again = luma.bordered(TAPS / 2).filter_inside(&kernel, &kernel);
    let (gradients, weaker) = (Gradients::of(luma), Gradients::of(&again));
    let mut edges: Vec<(f64, f64)> = gradients
        .crests()
        .into_iter()
        .map(|at| (gradients.squares[at].sqrt(), weaker.squares[at].sqrt()))
        .collect();
    if edges.len() < FEWEST {
        return None;
    }
    edges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let strong = ((edges.len() as f64 * STRONG) as usize).max(FEWEST);
    let mut spreads: Vec<f64> = edges[..strong].iter().map(spread).collect();
    spreads.sort_by(f64::total_cmp);
    Some(spreads[(spreads.len() as f64 * SHARPEST) as usize])
}

/// Sigma of an edge whose gradient falls from `strong` to `weak` when blurred by [`AGAIN`].
fn spread(&(strong, weak): &(f64, f64)) -> f64 {
    let ratio = strong / weak;
    if ratio <= 1.0 {
        return WIDEST;
    }
    (AGAIN / (ratio * ratio - 1.0).sqrt()).min(WIDEST)
}

/// Central differences inside a plane, in levels a pixel.
struct Gradients {
    width: usize,
    height: usize,
    across: Vec<f64>,
    down: Vec<f64>,
    squares: Vec<f64>,
}

impl Gradients {
    fn of(plane: &Plane) -> Self {
        let padded = plane.bordered(1);
        let mut across = Vec::with_capacity(plane.values.len());
        let mut down = Vec::with_capacity(plane.values.len());
        for y in 1..=plane.height {
            for x in 1..=plane.width {
                across.push((padded.at(x + 1, y) - padded.at(x - 1, y)) * 0.5);
                down.push((padded.at(x, y + 1) - padded.at(x, y - 1)) * 0.5);
            }
        }
        let squares = across.iter().zip(&down).map(|(a, b)| a * a + b * b);
        Self {
            width: plane.width,
            height: plane.height,
            squares: squares.collect(),
            across,
            down,
        }
    }

    /// Places where the gradient is largest across its edge, borders left out.
    fn crests(&self) -> Vec<usize> {
        let mut crests = Vec::new();
        for y in 1..self.height.saturating_sub(1) {
            for x in 1..self.width.saturating_sub(1) {
                let at = y * self.width + x;
                let step = match self.across[at].abs() >= self.down[at].abs() {
                    true => 1,
                    false => self.width,
                };
                let square = self.squares[at];
                if square >= FAINTEST * FAINTEST
                    && square >= self.squares[at - step]
                    && square > self.squares[at + step]
                {
                    crests.push(at);
                }
            }
        }
        crests
    }
}
