//! Agreement of edges: the gradient similarity of Xue, Zhang, Mou and Bovik, "Gradient magnitude
//! similarity deviation", 2014 (half resolution, Prewitt, constant 170), with two changes. The scalar
//! product of the gradients stands in for the product of their magnitudes, so that direction counts; and
//! pixels weigh by the larger gradient, as FSIM (Zhang et al. 2011) weighs by phase congruency, so that
//! flat areas, which always agree, don't hide what became of the edges.

use super::plane::Plane;

/// Of the paper, for luma 0..255: gradients well under its root, 13, count as flat.
const C: f64 = 170.0;

/// Agreement of the gradients of two luma planes of one size, 0 to 1; 1 where both are flat.
pub(super) fn agreement(one: &Plane, other: &Plane) -> f64 {
    let (one, other) = (one.half(), other.half());
    let (gradients, others) = (gradients(&one), gradients(&other));
    let mut weights = 0.0;
    let mut sum = 0.0;
    for (&[ax, ay], &[bx, by]) in gradients.iter().zip(&others) {
        let (a, b) = (ax * ax + ay * ay, bx * bx + by * by);
        let weight = a.max(b).sqrt();
        // Opposed edges disagree; they are not worse than none.
        let alike = ((2.0 * (ax * bx + ay * by) + C) / (a + b + C)).max(0.0);
        weights += weight;
        sum += weight * alike;
    }
    if weights == 0.0 {
        return 1.0;
    }
    (sum / weights).min(1.0)
}

/// Prewitt's means of three differences, across and down, borders repeated.
fn gradients(plane: &Plane) -> Vec<[f64; 2]> {
    let padded = plane.bordered(1);
    let mut out = Vec::with_capacity(plane.values.len());
    for y in 0..plane.height {
        for x in 0..plane.width {
            let column = |x| padded.at(x, y) + padded.at(x, y + 1) + padded.at(x, y + 2);
            let row = |y| padded.at(x, y) + padded.at(x + 1, y) + padded.at(x + 2, y);
            out.push([
                (column(x + 2) - column(x)) / 3.0,
                (row(y + 2) - row(y)) / 3.0,
            ]);
        }
    }
    out
}
