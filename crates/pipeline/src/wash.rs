//! The wash: colours put under a line drawing before it is transformed, since a network that was taught on
//! photographs takes white paper for what it shows.
//!
//! Which colours, a network says for each cell of a coarse grid, by the lines in it and by the text (as in Zhang,
//! Isola and Efros, "Colorful Image Colorization", 2016: shares of a palette, averaged at a temperature). They flow
//! as far as lines let them, and the drawing is multiplied onto them.

use imagegen_engine::Tensor;

use crate::conditioning::{between, enlarged};
use crate::finish::{LUMA, on_lines, picture_size};
use crate::img2img::finite;
use crate::{BoxedError, Error, Factors, Noise, Stage, Strength};

/// Cells of a grid, about.
const CELLS: f64 = 1024.0;
/// Sides of grids are multiples of it.
const MULTIPLE: f64 = 4.0;
/// Least and most cells of a side.
const SIDES: [usize; 2] = [4, 128];
/// Lines are seen so much finer than colours, each way.
const CUT: usize = 4;
/// How often colours go on to their neighbours.
const FLOWS: usize = 48;
/// The darkness at which a line stops colours is 1 over this.
const BARRIER: f64 = 3.0;
/// How far below the paper's a tone still counts as blank.
const BLANK: f64 = 0.06;
/// Blocks that no line fills: so many would fit along the side of a square as large as the picture, each of four pixels at least.
const BLOCKS: f64 = 64.0;
/// Levels of tones among which the paper's is found, and the tenths of all tones that it is not below.
const LEVELS: usize = 256;
const NOT_BELOW: usize = 9;
const COLOURS: usize = 3;

/// How a model wants drawings washed, read from its files.
#[derive(Debug, Clone, PartialEq)]
pub struct WashRule {
    /// Colours, red, green and blue from 0 to 1; at least one.
    pub palette: Vec<[f64; COLOURS]>,
    /// What logits are divided by; above 0. The less, the more one colour wins over all others.
    pub temperature: f64,
    /// Deviation, in logits, of what the seed adds to each colour.
    pub spread: f64,
    /// How far a drawing is washed.
    pub share_by_strength: Factors,
}

/// What says which colours a drawing has: the network's input, `[1, h, w, WashRule::CHANNELS]`, to logits
/// `[1, h, w, colours of the palette]`.
pub type WashNetwork<'a> = dyn Fn(&Tensor) -> Result<Tensor, BoxedError> + 'a;

/// The wash of a run.
#[derive(Clone, Copy)]
pub struct Wash<'r> {
    /// The model's rule.
    pub rule: &'r WashRule,
    /// Its network, bound to the prompt.
    pub network: &'r WashNetwork<'r>,
}

impl std::fmt::Debug for Wash<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wash")
            .field("rule", self.rule)
            .finish_non_exhaustive()
    }
}

impl WashRule {
    /// Channels of the network's input: how dark the parts of a cell are, row by row, 0 to 1, then how far down the cell
    /// is, 0 to 1.
    pub const CHANNELS: usize = CUT * CUT + 1;

    /// Sides of the grid on which the network sees a picture of `[height, width]` pixels.
    pub fn grid([height, width]: [usize; 2]) -> [usize; 2] {
        let scale = libm::sqrt(CELLS / (height as f64 * width as f64));
        [height, width].map(|side| {
            let cells = libm::floor(side as f64 * scale / MULTIPLE + 0.5) * MULTIPLE;
            (cells as usize).clamp(SIDES[0], SIDES[1])
        })
    }
}

impl Wash<'_> {
    /// A picture `[1, H, W, 3]` in -1..1 with colours under its lines, as far as it is a drawing and the strength wants
    /// it; `None` where it stays as it is. Draws a number for each colour of the palette.
    ///
    /// Fails for pictures of another shape, and with [`Error::Failed`] or [`Error::NotFinite`] where the network fails.
    pub fn laid(
        &self,
        picture: &Tensor,
        strength: Strength,
        noise: &mut dyn Noise,
    ) -> Result<Option<Tensor>, Error> {
        let by_strength = on_lines(&self.rule.share_by_strength, strength.get()).unwrap_or(1.0);
        if by_strength <= 0.0 {
            return Ok(None);
        }
        let Some(drawing) = Drawing::of(picture)? else {
            return Ok(None);
        };
        let share = by_strength * drawing.share;
        let grid = WashRule::grid(drawing.size);
        let dark = drawing.darkness(grid);
        let logits = (self.network)(&network_input(&dark, grid)?);
        let logits = finite(logits.map_err(Error::failed(Stage::Wash))?, Stage::Wash)?;
        let palette = self.rule.palette.len();
        let [h, w] = grid;
        if logits.shape() != [1, h, w, palette] {
            let expected = format!("{:?}", [1, h, w, palette]);
            return Err(imagegen_engine::Error::shape("logits", logits.shape(), expected).into());
        }
        // As rows, so that a variation goes from one seed's to the other's as a whole.
        let preference = noise.initial([1, palette, 1, 1]);
        let colours = self.rule.colours(logits.data(), preference.data());
        let flowed = flowed(&colours, &dark, grid);
        Ok(Some(drawing.over(picture, &flowed, grid, share)?))
    }
}

impl WashRule {
    /// The colour of each cell, from 0 to 1.
    fn colours(&self, logits: &[f32], preference: &[f32]) -> Vec<[f64; COLOURS]> {
        let colour = |logits: &[f32]| {
            let leaning = logits.iter().zip(preference).map(|(&logit, &more)| {
                (f64::from(logit) + self.spread * f64::from(more)) / self.temperature
            });
            let leaning: Vec<f64> = leaning.collect();
            let most = leaning.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            let mut mean = [0.0; COLOURS];
            for (value, colour) in leaning.into_iter().zip(&self.palette) {
                let weight = libm::exp(value - most);
                sum += weight;
                for (mean, part) in mean.iter_mut().zip(colour) {
                    *mean += weight * part;
                }
            }
            mean.map(|part| part / sum)
        };
        logits
            .chunks_exact(self.palette.len())
            .map(colour)
            .collect()
    }
}

/// A picture seen as lines on paper.
struct Drawing {
    size: [usize; 2],
    /// Tones, 0 to 1.
    tones: Vec<f64>,
    /// The tone of the paper.
    paper: f64,
    /// How far it is a drawing on blank paper, above 0, up to 1.
    share: f64,
}

impl Drawing {
    /// `None` for a picture that is no drawing at all.
    fn of(picture: &Tensor) -> Result<Option<Self>, Error> {
        let size = picture_size(picture)?;
        let unit = |value: f32| (f64::from(value) + 1.0) / 2.0;
        let pixels = picture.data().chunks_exact(COLOURS);
        let pixels = pixels.map(|pixel| [unit(pixel[0]), unit(pixel[1]), unit(pixel[2])]);
        let count = (size[0] * size[1]) as f64;
        let range = |[red, green, blue]: [f64; COLOURS]| {
            red.max(green).max(blue) - red.min(green).min(blue)
        };
        let grey = rising(pixels.clone().map(range).sum::<f64>() / count, 0.08, 0.04);
        if grey <= 0.0 {
            return Ok(None); // nearly all photographs
        }
        let tone = |parts: [f64; COLOURS]| {
            parts
                .iter()
                .zip(LUMA)
                .map(|(part, weight)| part * weight)
                .sum()
        };
        let tones: Vec<f64> = pixels.map(tone).collect();
        let paper = paper(&tones);
        let inked: Vec<bool> = tones.iter().map(|&tone| tone <= paper - BLANK).collect();
        let ink = inked.iter().filter(|&&inked| inked).count() as f64 / count;
        let blank = 1.0 - ink;
        let share = grey
            * rising(paper, 0.75, 0.85)
            * rising(blank, 0.35, 0.5)
            * rising(blank, 0.999, 0.995)
            * rising(solid(&inked, size) / ink.max(1e-9), 0.5, 0.25);
        let drawing = Self {
            size,
            tones,
            paper,
            share,
        };
        Ok((share > 0.0).then_some(drawing))
    }

    /// A tone over the paper's, 0 to 1.
    fn light(&self, tone: f64) -> f64 {
        (tone / self.paper.max(1.0 / 255.0)).clamp(0.0, 1.0)
    }

    /// How dark the parts of cells are, 0 to 1, row by row of the picture.
    fn darkness(&self, grid: [usize; 2]) -> Vec<f64> {
        let dark: Vec<f64> = self
            .tones
            .iter()
            .map(|&tone| 1.0 - self.light(tone))
            .collect();
        means(&dark, self.size, grid.map(|side| side * CUT))
    }

    /// The picture, a share of the way to its lines over `colours` of parts of cells.
    fn over(
        &self,
        picture: &Tensor,
        colours: &[[f64; COLOURS]],
        grid: [usize; 2],
        share: f64,
    ) -> Result<Tensor, Error> {
        let [h, w] = self.size;
        let parts = grid.map(|side| side * CUT);
        let rows = enlarged(h, parts[0], h as f64 / parts[0] as f64);
        let columns = enlarged(w, parts[1], w as f64 / parts[1] as f64);
        let mut washed = picture.clone();
        for (index, pixel) in washed.data_mut().chunks_exact_mut(COLOURS).enumerate() {
            let (row, column) = (&rows[index / w], &columns[index % w]);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let under = between(row, column, |y, x| colours[y * parts[1] + x][channel]);
                let before = f64::from(*value);
                // Coloured lines keep their colour.
                let light = self.light((before + 1.0) / 2.0);
                *value = (before + share * (2.0 * under * light - 1.0 - before)) as f32;
            }
        }
        Ok(washed)
    }
}

/// 0 at `start`, 1 at `end`, straight between.
fn rising(value: f64, start: f64, end: f64) -> f64 {
    ((value - start) / (end - start)).clamp(0.0, 1.0)
}

/// The share of whole blocks that are inked all over: lines are thin, a thing photographed on white is not.
fn solid(inked: &[bool], [h, w]: [usize; 2]) -> f64 {
    let side = libm::floor(libm::sqrt(h as f64 * w as f64) / BLOCKS + 0.5).max(4.0) as usize;
    let (down, across) = (h / side, w / side);
    let full = |block: &usize| {
        let (top, left) = (block / across * side, block % across * side);
        (top..top + side).all(|y| inked[y * w + left..][..side].iter().all(|&inked| inked))
    };
    let count = (0..down * across).filter(full).count();
    count as f64 / ((down * across) as f64).max(1.0)
}

/// The least level that nine tenths of the tones do not exceed.
fn paper(tones: &[f64]) -> f64 {
    let top = (LEVELS - 1) as f64;
    let mut counts = [0usize; LEVELS];
    for tone in tones {
        counts[libm::floor(tone.clamp(0.0, 1.0) * top + 0.5) as usize] += 1;
    }
    let mut below = 0;
    let found = counts.iter().position(|count| {
        below += count;
        below * 10 >= NOT_BELOW * tones.len()
    });
    found.unwrap_or(0) as f64 / top
}

/// A plane `[h, w]` averaged over cells, whose edges may lie within pixels.
fn means(plane: &[f64], [h, w]: [usize; 2], [down, across]: [usize; 2]) -> Vec<f64> {
    let (rows, columns) = (covers(h, down), covers(w, across));
    let mut thin = vec![0.0; h * across];
    for (row, thin) in plane.chunks_exact(w).zip(thin.chunks_exact_mut(across)) {
        for (mean, cover) in thin.iter_mut().zip(&columns) {
            *mean = cover.iter().map(|&(pixel, share)| share * row[pixel]).sum();
        }
    }
    let mut means = vec![0.0; down * across];
    for (row, cover) in means.chunks_exact_mut(across).zip(&rows) {
        for &(pixel, share) in cover {
            for (mean, value) in row.iter_mut().zip(&thin[pixel * across..]) {
                *mean += share * value;
            }
        }
    }
    means
}

/// For each of `cells` over a side of `pixels`: the pixels it covers, and each one's share of it.
fn covers(pixels: usize, cells: usize) -> Vec<Vec<(usize, f64)>> {
    let wide = pixels as f64 / cells as f64;
    let cover = |cell: usize| {
        let (start, end) = (cell as f64 * wide, (cell + 1) as f64 * wide);
        let reached = (libm::ceil(end) as usize).min(pixels);
        let share = |pixel: usize| {
            let within = end.min((pixel + 1) as f64) - start.max(pixel as f64);
            (pixel, within.max(0.0) / wide)
        };
        (libm::floor(start) as usize..reached).map(share).collect()
    };
    (0..cells).map(cover).collect()
}

/// What the network sees of how dark the parts of cells are.
fn network_input(dark: &[f64], [h, w]: [usize; 2]) -> Result<Tensor, Error> {
    let mut input = Vec::with_capacity(h * w * WashRule::CHANNELS);
    for row in 0..h {
        for column in 0..w {
            for part in 0..CUT * CUT {
                let (y, x) = (row * CUT + part / CUT, column * CUT + part % CUT);
                input.push(dark[y * w * CUT + x] as f32);
            }
            input.push(((row as f64 + 0.5) / h as f64) as f32);
        }
    }
    Ok(Tensor::new([1, h, w, WashRule::CHANNELS], input)?)
}

/// Colours of the parts of cells: those of cells, gone on as far as lines let them.
fn flowed(colours: &[[f64; COLOURS]], dark: &[f64], grid: [usize; 2]) -> Vec<[f64; COLOURS]> {
    let [h, w] = grid.map(|side| side * CUT);
    let rows = enlarged(h, grid[0], CUT as f64);
    let columns = enlarged(w, grid[1], CUT as f64);
    let lines = means(dark, [h, w], grid);
    // Colours times trust, and trust: their quotient is a mean by trust.
    let state = (0..h * w).map(|place| {
        let (y, x) = (place / w, place % w);
        // Cells full of lines say little of their colour.
        let blank = 1.0 - lines[y / CUT * grid[1] + x / CUT];
        let trust = blank * blank * blank * blank;
        let mut four = [trust; COLOURS + 1];
        for (channel, value) in four[..COLOURS].iter_mut().enumerate() {
            let at = |y: usize, x: usize| colours[y * grid[1] + x][channel];
            *value *= between(&rows[y], &columns[x], at);
        }
        four
    });
    let mut state: Vec<[f64; COLOURS + 1]> = state.collect();
    let free: Vec<f64> = dark
        .iter()
        .map(|dark| (1.0 - BARRIER * dark).clamp(0.0, 1.0))
        .collect();
    let mut next = state.clone();
    for _ in 0..FLOWS {
        for (place, mixed) in next.iter_mut().enumerate() {
            let (y, x) = (place / w, place % w);
            let neighbours = [
                (y > 0).then(|| place - w),
                (y + 1 < h).then(|| place + w),
                (x > 0).then(|| place - 1),
                (x + 1 < w).then(|| place + 1),
            ];
            let (mut sum, mut total) = (state[place], 1.0);
            for neighbour in neighbours.into_iter().flatten() {
                let weight = free[place] * free[neighbour];
                total += weight;
                for (sum, value) in sum.iter_mut().zip(&state[neighbour]) {
                    *sum += weight * value;
                }
            }
            *mixed = sum.map(|sum| sum / total);
        }
        std::mem::swap(&mut state, &mut next);
    }
    let quotient =
        |[r, g, b, trust]: [f64; COLOURS + 1]| [r, g, b].map(|part| part / trust.max(1e-6));
    state.into_iter().map(quotient).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseKind;

    const RED: [f64; COLOURS] = [0.9, 0.1, 0.1];
    const BLUE: [f64; COLOURS] = [0.1, 0.2, 0.9];

    fn picture([h, w]: [usize; 2], pixel: impl Fn(usize, usize) -> [f32; COLOURS]) -> Tensor {
        let pixels = (0..h * w).flat_map(|place| pixel(place / w, place % w));
        Tensor::new([1, h, w, COLOURS], pixels.collect()).unwrap()
    }

    /// White paper with a thick line down the middle and one across the top.
    fn drawing() -> Tensor {
        picture([96, 128], |y, x| match (62..66).contains(&x) || y == 8 {
            true => [-0.9; COLOURS],
            false => [0.96; COLOURS],
        })
    }

    fn rule(spread: f64) -> WashRule {
        WashRule {
            palette: vec![RED, BLUE],
            temperature: 0.1,
            spread,
            share_by_strength: vec![(0.2, 0.0), (0.6, 1.0)],
        }
    }

    /// Red to the left, blue to the right, as it says of every cell.
    fn halves(seen: &Tensor) -> Result<Tensor, BoxedError> {
        let [_, h, w, channels] = seen.nhwc("lines")?;
        assert_eq!(channels, WashRule::CHANNELS);
        let logits = (0..h * w).flat_map(|place| match place % w < w / 2 {
            true => [3.0, 0.0],
            false => [0.0, 3.0],
        });
        Ok(Tensor::new([1, h, w, 2], logits.collect())?)
    }

    fn laid(
        picture: &Tensor,
        strength: f64,
        rule: &WashRule,
        network: &WashNetwork<'_>,
    ) -> Result<Option<Tensor>, Error> {
        let strength = Strength::new(strength).unwrap();
        let mut noise = crate::RunNoise::new(NoiseKind::Cpu, 3, None);
        Wash { rule, network }.laid(picture, strength, &mut noise)
    }

    #[test]
    fn drawings_get_colours_up_to_their_lines_and_keep_them() {
        let drawing = drawing();
        let washed = laid(&drawing, 0.7, &rule(0.0), &halves).unwrap().unwrap();
        let at = |y: usize, x: usize| {
            let place = (y * 128 + x) * COLOURS;
            [0, 1, 2].map(|part| f64::from(washed.data()[place + part] + 1.0) / 2.0)
        };
        for (place, want) in [
            ([40, 20], RED),
            ([90, 58], RED),
            ([40, 69], BLUE),
            ([90, 120], BLUE),
        ] {
            let [y, x] = place;
            for (got, want) in at(y, x).into_iter().zip(want) {
                assert!((got - want).abs() < 0.03, "{place:?}: {got} {want}");
            }
        }
        assert!(
            at(40, 64).iter().all(|&part| part < 0.06),
            "the line is kept"
        );
        // Half of the way at half of the strengths between.
        let half = laid(&drawing, 0.4, &rule(0.0), &halves).unwrap().unwrap();
        for ((half, whole), none) in half.data().iter().zip(washed.data()).zip(drawing.data()) {
            assert!((half - 0.5 * (whole + none)).abs() < 1e-5);
        }
        assert!(laid(&drawing, 0.2, &rule(0.0), &halves).unwrap().is_none());
    }

    #[test]
    fn the_seed_leans_towards_colours() {
        let even = |seen: &Tensor| {
            let [_, h, w, _] = seen.nhwc("lines")?;
            Ok(Tensor::zeros([1, h, w, 2]))
        };
        let mean = |spread| {
            let washed = laid(&drawing(), 0.7, &rule(spread), &even)
                .unwrap()
                .unwrap();
            let reds = washed.data().iter().step_by(COLOURS);
            reds.map(|&red| f64::from(red)).sum::<f64>() / (96 * 128) as f64
        };
        assert!(
            (mean(0.0) - mean(1.0)).abs() > 0.3,
            "{} {}",
            mean(0.0),
            mean(1.0)
        );
    }

    #[test]
    fn what_is_no_drawing_stays_as_it_is() {
        let never = |_: &Tensor| -> Result<Tensor, BoxedError> { panic!("asked") };
        let size = [64, 96];
        let grey = |tone: f32| [tone; COLOURS];
        for (name, picture) in [
            ("blank paper", picture(size, |_, _| grey(0.9))),
            (
                "a night",
                picture(size, |y, _| grey(if y == 9 { 0.3 } else { -0.8 })),
            ),
            (
                "a thing on white",
                picture(size, |y, x| grey(if y > 30 && x > 40 { 0.2 } else { 0.96 })),
            ),
            (
                "tones",
                picture(size, |y, x| grey((y + x) as f32 / 80.0 - 1.0)),
            ),
            (
                "a colour",
                picture(
                    size,
                    |y, _| if y == 9 { grey(-0.9) } else { [0.95, 0.9, 0.5] },
                ),
            ),
        ] {
            assert!(
                laid(&picture, 0.9, &rule(0.5), &never).unwrap().is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn grids_have_the_pictures_shape() {
        assert_eq!(WashRule::grid([512, 512]), [32, 32]);
        assert_eq!(WashRule::grid([64, 64]), [32, 32]);
        assert_eq!(WashRule::grid([512, 768]), [28, 40]);
        assert_eq!(WashRule::grid([16, 4096]), [4, 128]);
    }

    #[test]
    fn networks_that_fail_are_named() {
        let failed = |network: &WashNetwork<'_>| {
            let laid = laid(&drawing(), 0.7, &rule(0.0), network);
            laid.unwrap_err().to_string()
        };
        let refused = failed(&|_| Err("no".into()));
        assert!(
            refused.contains("network for colours under a drawing"),
            "{refused}"
        );
        let other = failed(&|_| Ok(Tensor::zeros([1, 4, 4, 2])));
        assert!(other.contains("logits"), "{other}");
        let endless = failed(&|_| Ok(Tensor::new([1, 1, 1, 1], vec![f32::NAN])?));
        assert!(endless.contains("colours under a drawing"), "{endless}");
    }
}
