//! Colours of a region as a mixture of Gaussians, as in GrabCut (Rother, Kolmogorov, Blake 2004): each
//! pixel belongs to one component.

use crate::fidelity::Lab;

/// Components of a mixture.
const COMPONENTS: usize = 5;
/// Rounds of assigning pixels to components.
const ROUNDS: usize = 4;
/// Added to each variance: a region of one colour has no other spread than rounding.
const LEAST_VARIANCE: f64 = 1.0;

pub(super) type Colour = [f64; 3];

pub(super) fn colour(lab: Lab) -> Colour {
    [lab.l, lab.a, lab.b]
}

/// One Gaussian.
struct Component {
    mean: Colour,
    inverse: [[f64; 3]; 3],
    /// Minus the logarithm of weight over the root of the determinant.
    base: f64,
}

/// What a region's colours are like.
pub(super) struct Mixture(Vec<Component>);

impl Mixture {
    /// Fits a mixture to `colours`, at least one. The same for the same colours in the same order.
    pub(super) fn fit(colours: &[Colour]) -> Self {
        let mut means = far_apart(colours);
        let mut groups = assigned(colours, |colour| nearest(&means, colour));
        let mut mixture = Self::of(colours, &groups, means.len());
        for _ in 0..ROUNDS {
            means = mixture.0.iter().map(|component| component.mean).collect();
            groups = assigned(colours, |colour| nearest(&means, colour));
            mixture = Self::of(colours, &groups, means.len());
        }
        mixture
    }

    fn of(colours: &[Colour], groups: &[usize], count: usize) -> Self {
        let components = (0..count).filter_map(|group| {
            let members = colours.iter().zip(groups).filter(|&(_, &of)| of == group);
            component(members.map(|(colour, _)| colour), colours.len())
        });
        Self(components.collect())
    }

    /// How unlikely a colour is: minus the logarithm of the most likely component's density.
    pub(super) fn cost(&self, colour: &Colour) -> f64 {
        let costs = self.0.iter().map(|component| component.cost(colour));
        costs.fold(f64::INFINITY, f64::min)
    }
}

impl Component {
    fn cost(&self, colour: &Colour) -> f64 {
        let off = [0, 1, 2].map(|i| colour[i] - self.mean[i]);
        let mut square = 0.0;
        for (row, across) in self.inverse.iter().zip(off) {
            square += across * (row[0] * off[0] + row[1] * off[1] + row[2] * off[2]);
        }
        self.base + 0.5 * square
    }
}

fn component<'a>(
    members: impl Iterator<Item = &'a Colour> + Clone,
    all: usize,
) -> Option<Component> {
    let count = members.clone().count();
    if count == 0 {
        return None;
    }
    let number = count as f64;
    let mut mean = [0.0; 3];
    for colour in members.clone() {
        (0..3).for_each(|i| mean[i] += colour[i]);
    }
    mean = mean.map(|sum| sum / number);
    let mut spread = [[0.0; 3]; 3];
    for colour in members {
        for i in 0..3 {
            for j in 0..3 {
                spread[i][j] += (colour[i] - mean[i]) * (colour[j] - mean[j]);
            }
        }
    }
    for (i, row) in spread.iter_mut().enumerate() {
        row.iter_mut().for_each(|sum| *sum /= number);
        row[i] += LEAST_VARIANCE;
    }
    let (inverse, determinant) = inverted(&spread);
    let weight = number / all as f64;
    Some(Component {
        mean,
        inverse,
        base: 0.5 * libm::log(determinant) - libm::log(weight),
    })
}

/// Inverse and determinant of a symmetric matrix whose determinant is above 0.
fn inverted(m: &[[f64; 3]; 3]) -> ([[f64; 3]; 3], f64) {
    let minor = |i: usize, j: usize| {
        let (a, b) = ((i + 1) % 3, (i + 2) % 3);
        let (c, d) = ((j + 1) % 3, (j + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant = (0..3).map(|j| m[0][j] * minor(0, j)).sum::<f64>();
    let inverse = [0, 1, 2].map(|i| [0, 1, 2].map(|j| minor(j, i) / determinant));
    (inverse, determinant)
}

/// Up to [`COMPONENTS`] colours: the first, then each time the one farthest from all chosen.
fn far_apart(colours: &[Colour]) -> Vec<Colour> {
    let mut means = vec![colours[0]];
    let mut gaps: Vec<f64> = colours.iter().map(|c| square(c, &colours[0])).collect();
    while means.len() < COMPONENTS {
        let mut widest = 0;
        for (index, &gap) in gaps.iter().enumerate() {
            if gap > gaps[widest] {
                widest = index;
            }
        }
        if gaps[widest] == 0.0 {
            break;
        }
        means.push(colours[widest]);
        for (gap, colour) in gaps.iter_mut().zip(colours) {
            *gap = gap.min(square(colour, &colours[widest]));
        }
    }
    means
}

fn assigned(colours: &[Colour], group: impl Fn(&Colour) -> usize) -> Vec<usize> {
    colours.iter().map(group).collect()
}

fn nearest(means: &[Colour], colour: &Colour) -> usize {
    let mut best = 0;
    for (index, mean) in means.iter().enumerate() {
        if square(mean, colour) < square(&means[best], colour) {
            best = index;
        }
    }
    best
}

pub(super) fn square(a: &Colour, b: &Colour) -> f64 {
    (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum()
}
