//! Pigment: washes as watercolours have them, flat within soft outlines, with darker rims, clouds of pigment and the
//! grain of paper, light where the paper shows.
//!
//! Flattened along and across the lines, after Kyprianidis and Döllner 2008 (image abstraction by structure adaptive
//! filtering); tones in soft steps, after Winnemöller, Olsen and Gooch 2006; the pigment's density after Bousseau et al.
//! 2006. The numbers were chosen by looking and by style progress (`train/style_progress.py`).

use imagegen_engine::Tensor;

use super::lines::{COLOURS, Walk, blurred, lines_of, sampled, tone};
use crate::Error;

/// How often colours are averaged along lines, and then across them.
const ROUNDS: usize = 2;
/// Pixels to either side that are averaged.
const AROUND: usize = 4;
/// The deviation, in pixels, of their weights.
const NEARNESS: f64 = 2.2;
/// How far apart two colours in -1..1 are that are not averaged at all.
const LIKENESS: f32 = 0.3;
/// Pixels by which outlines wander.
const WOBBLE: f64 = 2.0;
/// Steps of tones.
const TONES: f64 = 8.0;
/// How far noise moves a tone, in steps.
const TONE_NOISE: f64 = 0.35;
/// How steep steps are.
const STEEPNESS: f64 = 3.0;
/// What colours gain beside their tone.
const SATURATION: f64 = 1.15;
/// Pigment on edges, by the size of tones' gradient, up to a limit, of tones blurred by so many pixels.
const EDGES: (f64, f64, f64) = (8.0, 0.12, 0.8);
/// Pigment on the dark side of edges, by how much darker a place is than its surroundings, up to a limit, of tones blurred
/// by so many pixels.
const RIMS: (f64, f64, f64) = (1.5, 0.1, 3.0);
/// Pigment that clouds and the paper's grain hold.
const CLOUDS: f64 = 0.5;
const GRAIN: f64 = 0.12;
/// How far white goes into lights, and the tone from which on.
const LIFT: (f64, f64) = (0.2, 0.35);

/// Fields of noise: the spacing of their lattices in pixels, and their shares.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Every lattice is another one.
    first: u32,
    lattices: &'static [(u32, f64)],
}

const ASIDE_X: Field = Field {
    first: 0,
    lattices: &[(11, 1.0)],
};
const ASIDE_Y: Field = Field {
    first: 1,
    lattices: &[(11, 1.0)],
};
const TONE: Field = Field {
    first: 2,
    lattices: &[(40, 0.5), (15, 0.5)],
};
const CLOUD: Field = Field {
    first: 4,
    lattices: &[(64, 0.6), (23, 0.4)],
};
const PAPER: Field = Field {
    first: 6,
    lattices: &[(2, 1.0), (3, 1.0)],
};

impl Field {
    /// The noise at a pixel.
    fn at(self, y: usize, x: usize) -> f64 {
        let lattices = self.lattices.iter().zip(self.first..);
        lattices
            .map(|(&(spacing, share), lattice)| share * noise([y, x], spacing, lattice))
            .sum()
    }
}

/// Noise in -1..1 at a pixel, between the points of a lattice.
fn noise(pixel: [usize; 2], spacing: u32, lattice: u32) -> f64 {
    let pixel = pixel.map(|place| place as u32);
    let [top, left] = pixel.map(|place| place / spacing);
    let [down, across] = pixel.map(|place| {
        let share = f64::from(place % spacing) / f64::from(spacing);
        share * share * (3.0 - 2.0 * share)
    });
    let row = |y: u32| {
        let (from, to) = (point(y, left, lattice), point(y, left + 1, lattice));
        from + across * (to - from)
    };
    let (upper, lower) = (row(top), row(top + 1));
    upper + down * (lower - upper)
}

/// The noise of a lattice's point: its place, hashed.
fn point(y: u32, x: u32, lattice: u32) -> f64 {
    let bits = y
        .wrapping_mul(374_761_393)
        .wrapping_add(x.wrapping_mul(668_265_263))
        .wrapping_add(lattice.wrapping_mul(1_442_695_041));
    let bits = (bits ^ (bits >> 13)).wrapping_mul(1_274_126_177);
    f64::from((bits ^ (bits >> 16)) & 0xFFFF) / 65535.0 * 2.0 - 1.0
}

/// `pixels` `[1, H, W, 3]` in -1..1, a share of the way to washes of pigment whose outlines follow the lines of `guide`
/// of the same shape, or their own. All of it from a share of 1 on.
///
/// Fails for pixels of another shape, and unless `guide` has the same.
pub fn pigmented(mut pixels: Tensor, guide: Option<&Tensor>, share: f64) -> Result<Tensor, Error> {
    if share <= 0.0 {
        return Ok(pixels);
    }
    let (lines, size) = lines_of(&pixels, guide)?;
    let mut flat = pixels.data().to_vec();
    for _ in 0..ROUNDS {
        flat = flattened(&flat, &lines, size, Way::Along);
        flat = flattened(&flat, &lines, size, Way::Across);
    }
    drop(lines);
    let painted = painted(&washes(&flat, size), size);
    let share = share.min(1.0);
    for (value, new) in pixels.data_mut().iter_mut().zip(painted) {
        *value += (share * (2.0 * f64::from(new) - 1.0 - f64::from(*value))) as f32;
    }
    Ok(pixels)
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Along,
    Across,
}

/// Means of each pixel and those to either side of it, weighed by how near and how like it they are.
fn flattened(pixels: &[f32], lines: &[[f32; 2]], [h, w]: [usize; 2], way: Way) -> Vec<f32> {
    let near: [f32; AROUND] = std::array::from_fn(|step| {
        let apart = (step + 1) as f64 / NEARNESS;
        libm::exp(-apart * apart / 2.0) as f32
    });
    let (bottom, right) = ((h - 1) as f32, (w - 1) as f32);
    let mut means = Vec::with_capacity(pixels.len());
    for index in 0..h * w {
        let own: [f32; COLOURS] = std::array::from_fn(|c| pixels[index * COLOURS + c]);
        let (mut sum, mut weights) = (own, 1.0);
        let mut add = |place: [f32; 2], near: f32| {
            let colours = sampled(pixels, [h, w], place);
            let squares = colours.iter().zip(own).map(|(a, b)| (a - b) * (a - b));
            let like = (1.0 - squares.sum::<f32>() / (LIKENESS * LIKENESS)).max(0.0);
            let weight = near * like * like;
            weights += weight;
            for (sum, value) in sum.iter_mut().zip(colours) {
                *sum += weight * value;
            }
        };
        for side in [1.0, -1.0] {
            match way {
                Way::Along => {
                    for (place, &near) in Walk::new(lines, [h, w], index, side).zip(&near) {
                        add(place, near);
                    }
                }
                Way::Across => {
                    let [dx, dy] = lines[index];
                    let (y, x) = ((index / w) as f32, (index % w) as f32);
                    for (step, &near) in near.iter().enumerate() {
                        let aside = side * (step + 1) as f32;
                        let place = [
                            (y + aside * dx).clamp(0.0, bottom),
                            (x - aside * dy).clamp(0.0, right),
                        ];
                        add(place, near);
                    }
                }
            }
        }
        means.extend(sum.map(|sum| sum / weights));
    }
    means
}

/// Colours in 0..1 of flat pixels in -1..1: with wandering outlines, tones in steps, a little more colourful.
fn washes(flat: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let (bottom, right) = ((h - 1) as f64, (w - 1) as f64);
    let whole = libm::tanh(STEEPNESS);
    let mut washes = Vec::with_capacity(flat.len());
    for y in 0..h {
        for x in 0..w {
            let place = [
                (y as f64 + WOBBLE * ASIDE_Y.at(y, x)).clamp(0.0, bottom),
                (x as f64 + WOBBLE * ASIDE_X.at(y, x)).clamp(0.0, right),
            ];
            let colours = sampled(flat, [h, w], place.map(|part| part as f32));
            let colours = colours.map(|value| (f64::from(value) + 1.0) / 2.0);
            let tone = tone(colours);
            let steps = TONES * tone + TONE_NOISE * TONE.at(y, x);
            let (below, part) = (steps.floor(), steps - steps.floor());
            let bend = libm::tanh(2.0 * STEEPNESS * (part - 0.5)) / whole;
            let even = (below + (1.0 + bend) / 2.0) / TONES;
            washes.extend(
                colours.map(|colour| (even + SATURATION * (colour - tone)).clamp(0.0, 1.0) as f32),
            );
        }
    }
    washes
}

/// Washes of colours in 0..1 with their pigment: rims, clouds, grain, and paper in the lights.
fn painted(washes: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let tones: Vec<f32> = washes
        .chunks_exact(COLOURS)
        .map(|colours| tone(std::array::from_fn(|c| f64::from(colours[c]))) as f32)
        .collect();
    let (edge, edge_limit, edge_blur) = EDGES;
    let (rim, rim_limit, rim_blur) = RIMS;
    let (lift, lift_from) = LIFT;
    let near = blurred(&tones, [h, w, 1], edge_blur);
    let around = blurred(&tones, [h, w, 1], rim_blur);
    let mut painted = Vec::with_capacity(washes.len());
    for y in 0..h {
        let [above, below] = [y.saturating_sub(1), (y + 1).min(h - 1)];
        for x in 0..w {
            let index = y * w + x;
            let [before, behind] = [x.saturating_sub(1), (x + 1).min(w - 1)];
            let apart = |a: usize, b: usize| f64::from(near[a]) - f64::from(near[b]);
            let (across, down) = (
                apart(y * w + behind, y * w + before),
                apart(below * w + x, above * w + x),
            );
            let edges = ((across * across + down * down).sqrt() / 2.0).min(edge_limit);
            let rims = f64::from(around[index]) - f64::from(near[index]);
            let pigment = edge * edges
                + rim * rims.clamp(0.0, rim_limit)
                + CLOUDS * CLOUD.at(y, x)
                + GRAIN * PAPER.at(y, x);
            let white = (f64::from(tones[index]) - lift_from) / (1.0 - lift_from);
            for colour in &washes[index * COLOURS..][..COLOURS] {
                let colour = f64::from(*colour);
                let lifted = colour + lift * (1.0 - colour) * white.max(0.0);
                let thick = lifted - (lifted - lifted * lifted) * pigment;
                painted.push(thick.clamp(0.0, 1.0) as f32);
            }
        }
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::picture;
    use super::*;

    fn spread(
        pixels: &Tensor,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> f32 {
        let [_, _, w, _] = pixels.nhwc("picture").unwrap();
        let at = |y: usize, x: usize| pixels.data()[(y * w + x) * COLOURS];
        let values: Vec<f32> = rows
            .flat_map(|y| columns.clone().map(move |x| (y, x)))
            .map(|(y, x)| at(y, x))
            .collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f32>()
            / values.len() as f32
    }

    #[test]
    fn noise_is_that_of_the_points_and_smooth_between_them() {
        for lattice in 0..8 {
            let exact = noise([22, 33], 11, lattice);
            assert_eq!(exact, point(2, 3, lattice));
            assert!((noise([22, 34], 11, lattice) - exact).abs() < 0.1);
        }
        let points: Vec<f64> = (0..400).map(|at| point(at / 20, at % 20, 3)).collect();
        let mean = points.iter().sum::<f64>() / 400.0;
        assert!(
            mean.abs() < 0.1 && points.iter().all(|point| point.abs() <= 1.0),
            "{mean}"
        );
        assert_ne!(point(1, 2, 0), point(1, 2, 1));
    }

    #[test]
    fn noise_is_flattened_and_edges_stay() {
        let noisy = picture([48, 64], |y, x| {
            let side = if x < 32 { -0.5 } else { 0.5 };
            side + 0.1 * (((y * 7 + x * 5) % 3) as f32 - 1.0)
        });
        let (lines, size) = lines_of(&noisy, None).unwrap();
        let flat = flattened(noisy.data(), &lines, size, Way::Along);
        let flat = flattened(&flat, &lines, size, Way::Across);
        let flat = Tensor::new([1, 48, 64, 3], flat).unwrap();
        assert!(spread(&flat, 8..40, 4..28) < 0.2 * spread(&noisy, 8..40, 4..28));
        let at = |x: usize| flat.data()[(24 * 64 + x) * COLOURS];
        assert!(at(34) - at(29) > 0.8, "{} {}", at(29), at(34));
    }

    #[test]
    fn rims_are_darker_lights_lighter_and_a_share_goes_part_of_the_way() {
        let two = picture([96, 96], |_, x| if x < 48 { -0.6 } else { 0.7 });
        let whole = pigmented(two.clone(), None, 1.0).unwrap();
        let column = |x: usize| {
            (8..88)
                .map(|y| whole.data()[(y * 96 + x) * COLOURS])
                .sum::<f32>()
                / 80.0
        };
        let (inside, rim) = (column(20), (40..48).map(column).fold(f32::MAX, f32::min));
        assert!(rim < inside - 0.1, "{rim} {inside}");
        assert!(column(76) > 0.7, "{}", column(76));
        let half = pigmented(two.clone(), None, 0.5).unwrap();
        for ((from, to), got) in two.data().iter().zip(whole.data()).zip(half.data()) {
            assert!((got - (from + to) / 2.0).abs() < 1e-6);
        }
        assert_eq!(pigmented(two.clone(), None, 0.0).unwrap(), two);
        assert_eq!(pigmented(two, None, 3.0).unwrap(), whole);
    }

    #[test]
    fn guides_of_other_shapes_are_refused() {
        let guide = picture([16, 32], |_, _| 0.0);
        let error = pigmented(picture([16, 16], |_, _| 0.0), Some(&guide), 1.0).unwrap_err();
        assert!(error.to_string().contains("guide"), "{error}");
    }
}
