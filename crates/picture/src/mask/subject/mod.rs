//! The subject of a picture, found from its borders: what is not like the border is the subject.
//!
//! Colours of border and subject are two mixtures; the line between them is the cheapest cut that keeps
//! neighbours of one colour together, in rounds, as in GrabCut. Works where a thing stands before a
//! quieter ground. Fails where the ground is busy or has the subject's colours, where the subject is cut by
//! several edges, and on scenes without one thing; what can be noticed of that is a [`Doubt`].

mod cut;
mod mixture;
mod soften;

use cut::Grid;
use mixture::{Colour, Mixture, colour, square};

use super::Mask;
use crate::fidelity::Lab;
use crate::{Filter, Picture, Size, WHITE, flatten, resize};

/// Longest side of the picture the cut is made on, in pixels.
const SIDE: u32 = 256;
/// Share of the sides that counts as border, at least one pixel.
const BORDER: f64 = 0.03;
/// The middle part of the lower border may be subject: things stand on it, and people are cut by it.
const FOOT: std::ops::Range<f64> = 0.2..0.8;
/// Rounds of fitting colours and cutting.
const ROUNDS: usize = 5;
/// What neighbours of one colour cost when they are told apart, against differences in log likelihood.
const TOGETHER: f64 = 50.0;
/// Costs become whole numbers by this factor.
const UNIT: f64 = 1000.0;
/// Most a pixel's own colour weighs, in log likelihood: no pixel outweighs all its neighbours.
const MOST: f64 = 30.0;
/// Share of the picture below which a subject is doubted: parts of one are found as often.
const LEAST: f64 = 0.1;
/// Parts smaller than this share of the largest one are dropped, and holes of that size filled.
const SPECK: f64 = 0.02;

/// Why what was found may not be the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// Nothing differs enough from the border.
    Nothing,
    /// Hardly anything was found.
    Small,
    /// Nearly everything was found.
    Large,
    /// Subject and ground have much the same colours.
    Alike,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "no subject stands out from the picture's borders",
            Self::Small => "the subject found is small and may be a part of it; look at it with `imagegen mask`",
            Self::Large => {
                "nearly the whole picture was found to be the subject; look at it with `imagegen mask`"
            }
            Self::Alike => {
                "subject and ground have much the same colours, the line between them is uncertain; look at \
                 it with `imagegen mask`"
            }
        })
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// 255 inside, 0 outside, grey on the line between; empty where nothing was found.
    pub mask: Mask,
    /// Why it may be wrong.
    pub doubt: Option<Doubt>,
}

/// Finds the subject of `picture`. The same on every CPU.
pub fn subject(picture: &Picture) -> Subject {
    let flat = flatten(picture, WHITE);
    let size = flat.size();
    let longest = size.width.max(size.height);
    let small = match longest > SIDE {
        true => resize(&flat, size.scaled(SIDE, longest), Filter::Bilinear),
        false => flat.clone(),
    };
    let scene = Scene::of(&small);
    let Some(inside) = scene.separate() else {
        return Subject {
            mask: Mask::empty(size),
            doubt: Some(Doubt::Nothing),
        };
    };
    let doubt = scene.doubt(&inside);
    let labels: Vec<u8> = inside
        .iter()
        .map(|&inside| if inside { 255 } else { 0 })
        .collect();
    Subject {
        mask: soften::to_size(&labels, small.size(), &flat),
        doubt,
    }
}

/// A small picture's colours, and which pixels are surely ground.
struct Scene {
    size: Size,
    colours: Vec<Colour>,
    ground: Vec<bool>,
}

impl Scene {
    fn of(picture: &Picture) -> Self {
        let size = picture.size();
        let pixels = picture.rgb().chunks_exact(3);
        let colours = pixels.map(|rgb| colour(Lab::of_rgb([rgb[0], rgb[1], rgb[2]])));
        let band = |side: u32| ((f64::from(side) * BORDER).round() as u32).max(1);
        let (across, down) = (band(size.width), band(size.height));
        let is_ground = |index: u32| {
            let (x, y) = (index % size.width, index / size.width);
            let along = f64::from(x) / f64::from(size.width);
            let side = x < across || x >= size.width.saturating_sub(across) || y < down;
            side || (y >= size.height.saturating_sub(down) && !FOOT.contains(&along))
        };
        Self {
            size,
            colours: colours.collect(),
            ground: (0..size.len() as u32).map(is_ground).collect(),
        }
    }

    fn those(&self, chosen: impl Fn(usize) -> bool) -> Vec<Colour> {
        let chosen = (0..self.colours.len()).filter(|&index| chosen(index));
        chosen.map(|index| self.colours[index]).collect()
    }

    /// For each pixel whether it is subject; `None` where nothing stands out.
    fn separate(&self) -> Option<Vec<bool>> {
        let border = self.those(|index| self.ground[index]);
        let ground = Mixture::fit(&border);
        // What is less likely than nearly all of the border stands out.
        let mut costs: Vec<f64> = border.iter().map(|colour| ground.cost(colour)).collect();
        costs.sort_by(f64::total_cmp);
        let limit = costs[(costs.len() - 1) * 98 / 100] + 1.0;
        let stands_out =
            |index: usize| !self.ground[index] && ground.cost(&self.colours[index]) > limit;
        let mut inside: Vec<bool> = (0..self.colours.len()).map(stands_out).collect();
        for _ in 0..ROUNDS {
            let found = self.those(|index| inside[index]);
            let rest = self.those(|index| !inside[index]);
            if found.len() * 1000 < self.colours.len() || rest.is_empty() {
                return None;
            }
            let next = self.cut(&Mixture::fit(&found), &Mixture::fit(&rest));
            if next == inside {
                break;
            }
            inside = next;
        }
        self.tidy(&mut inside);
        inside.contains(&true).then_some(inside)
    }

    fn cut(&self, subject: &Mixture, ground: &Mixture) -> Vec<bool> {
        let width = self.size.width as usize;
        let excess = self
            .colours
            .iter()
            .zip(&self.ground)
            .map(|(colour, &is_ground)| {
                if is_ground {
                    return -((MOST * 100.0 * UNIT) as i64);
                }
                let more = (ground.cost(colour) - subject.cost(colour)).clamp(-MOST, MOST);
                (more * UNIT) as i64
            });
        let contrast = self.contrast();
        let link = |a: usize, b: usize| {
            let straight = a.abs_diff(b) == 1 || a.abs_diff(b) == width;
            let gap = square(&self.colours[a], &self.colours[b]);
            let cost = TOGETHER * libm::exp(-gap / contrast);
            let length = if straight {
                1.0
            } else {
                std::f64::consts::SQRT_2
            };
            (cost / length * UNIT) as i64
        };
        Grid::new(width, excess.collect(), link).cut()
    }

    /// Twice the mean square difference of neighbours, above 0.
    fn contrast(&self) -> f64 {
        let width = self.size.width as usize;
        let (mut sum, mut count) = (0.0, 0u64);
        for (row, colours) in self.colours.chunks_exact(width).enumerate() {
            for (x, colour) in colours.iter().enumerate() {
                let beside = colours.get(x + 1);
                let below = self.colours.get((row + 1) * width + x);
                for other in beside.into_iter().chain(below) {
                    sum += square(colour, other);
                    count += 1;
                }
            }
        }
        (2.0 * sum / count.max(1) as f64).max(1e-6)
    }

    /// Drops specks and fills small holes.
    fn tidy(&self, inside: &mut [bool]) {
        let least = |parts: &[usize]| {
            let largest = parts.iter().max().copied().unwrap_or(0);
            (largest as f64 * SPECK).ceil() as usize
        };
        let (of, sizes) = self.parts(inside, true);
        let limit = least(&sizes);
        for (index, part) in of.iter().enumerate() {
            inside[index] = part.is_some_and(|part| sizes[part] >= limit);
        }
        let (of, holes) = self.parts(inside, false);
        for (index, part) in of.iter().enumerate() {
            inside[index] |= part.is_some_and(|part| holes[part] < limit);
        }
    }

    /// Connected parts (by sides) of the pixels that are `wanted`: the part of each, and their sizes.
    fn parts(&self, inside: &[bool], wanted: bool) -> (Vec<Option<usize>>, Vec<usize>) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let mut of = vec![None; inside.len()];
        let mut sizes = Vec::new();
        let mut open = Vec::new();
        for start in 0..inside.len() {
            if inside[start] != wanted || of[start].is_some() {
                continue;
            }
            let part = sizes.len();
            sizes.push(0);
            of[start] = Some(part);
            open.push(start);
            while let Some(node) = open.pop() {
                sizes[part] += 1;
                let (x, y) = (node % width, node / width);
                let left = (x > 0).then(|| node - 1);
                let right = (x + 1 < width).then(|| node + 1);
                let above = (y > 0).then(|| node - width);
                let below = (y + 1 < height).then(|| node + width);
                for next in [left, right, above, below].into_iter().flatten() {
                    if inside[next] == wanted && of[next].is_none() {
                        of[next] = Some(part);
                        open.push(next);
                    }
                }
            }
        }
        (of, sizes)
    }

    fn doubt(&self, inside: &[bool]) -> Option<Doubt> {
        let share = inside.iter().filter(|&&inside| inside).count() as f64 / inside.len() as f64;
        if share < LEAST {
            return Some(Doubt::Small);
        }
        if share > 0.85 {
            return Some(Doubt::Large);
        }
        let found = self.those(|index| inside[index]);
        let rest = self.those(|index| !inside[index]);
        let (subject, ground) = (Mixture::fit(&found), Mixture::fit(&rest));
        let taken = |colours: &[Colour], own: &Mixture, other: &Mixture| {
            let lost = colours
                .iter()
                .filter(|c| other.cost(c) < own.cost(c))
                .count();
            lost as f64 / colours.len() as f64
        };
        let lost = taken(&found, &subject, &ground) + taken(&rest, &ground, &subject);
        (lost > 0.35).then_some(Doubt::Alike)
    }
}
