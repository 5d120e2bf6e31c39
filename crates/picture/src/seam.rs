//! How visible the edge of a repainted part is: how much brightness and colour step there, against how
//! much they step just outside.

use std::collections::BTreeMap;

use crate::Picture;
use crate::mask::Mask;

/// Pixels along the edge over which steps are averaged with their sign: texture cancels out, a seam does
/// not.
const RUN: usize = 16;
/// Pixels to both sides of the edge in which the largest step is looked for, since a seam may be blurred.
const REACH: usize = 3;
/// Added to both steps, in levels: below it nothing is seen.
const UNSEEN: f64 = 1.5;

/// The edge of a repainted part, in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seam {
    /// Mean step across the edge, in levels of 255.
    pub across: f64,
    /// Mean step of the same kind just outside it, in levels.
    pub outside: f64,
    /// The first over the second: about 1 where nothing is to be seen.
    pub figure: f64,
}

impl Seam {
    /// A figure from which an edge is likely to be seen.
    pub const VISIBLE: f64 = 2.0;

    /// Whether the edge is likely to be seen.
    pub fn is_visible(self) -> bool {
        self.figure > Self::VISIBLE
    }
}

/// Steps with their sign at places of one run, summed: across the edge and outside, by distance.
#[derive(Default)]
struct Run {
    across: [[f64; 3]; REACH],
    outside: [[f64; 3]; REACH],
    count: f64,
}

/// Measures the edge between what `mask` covers and what it keeps; `None` where there is none with enough
/// picture around it.
///
/// Over runs of 16 pixels of the edge, mean steps from one pixel to the next are taken at right angles to
/// it, at the edge and up to two pixels inside, and as far outside; the largest of each counts. Both are
/// averaged over all runs.
///
/// Panics where the mask is not of the picture's size.
pub fn seam(picture: &Picture, mask: &Mask) -> Option<Seam> {
    assert_eq!(
        mask.size(),
        picture.size(),
        "mask and picture differ in size"
    );
    let runs = runs(picture, mask);
    let (mut across, mut outside, mut all) = (0.0, 0.0, 0.0);
    for run in runs.values() {
        let largest = |steps: &[[f64; 3]; REACH]| {
            let step =
                |sums: &[f64; 3]| sums.iter().map(|sum| (sum / run.count).abs()).sum::<f64>() / 3.0;
            steps.iter().map(step).fold(0.0, f64::max)
        };
        across += largest(&run.across) * run.count;
        outside += largest(&run.outside) * run.count;
        all += run.count;
    }
    if all == 0.0 {
        return None;
    }
    let (across, outside) = (across / all, outside / all);
    Some(Seam {
        across,
        outside,
        figure: (across + UNSEEN) / (outside + UNSEEN),
    })
}

fn runs(picture: &Picture, mask: &Mask) -> BTreeMap<(usize, usize, usize), Run> {
    let (width, height) = (mask.size().width as i64, mask.size().height as i64);
    let inside = |x: i64, y: i64| (0..width).contains(&x) && (0..height).contains(&y);
    let index = |x: i64, y: i64| (y * width + x) as usize;
    let covered = |x: i64, y: i64| mask.coverage()[index(x, y)] > 0;
    let rgb = picture.rgb();
    let step = |from: usize, to: usize| {
        [0, 1, 2].map(|c| f64::from(rgb[to * 3 + c]) - f64::from(rgb[from * 3 + c]))
    };
    let mut runs: BTreeMap<_, Run> = BTreeMap::new();
    let bounds = match mask.bounds() {
        Some(bounds) => bounds,
        None => return runs,
    };
    for y in i64::from(bounds.y)..i64::from(bounds.y + bounds.size.height) {
        for x in i64::from(bounds.x)..i64::from(bounds.x + bounds.size.width) {
            if !covered(x, y) {
                continue;
            }
            for (direction, (right, down)) in
                [(1, 0), (-1, 0), (0, 1), (0, -1)].into_iter().enumerate()
            {
                // Places on a line out of the mask: 0 is the last inside, 1 the first outside.
                let at = |place: i64| (x + right * place, y + down * place);
                let reach = REACH as i64;
                let is = |place: i64, wanted: bool| {
                    let (x, y) = at(place);
                    inside(x, y) && covered(x, y) == wanted
                };
                if !(1..=reach + 1).all(|place| is(place, false))
                    || !(1 - reach..=0).all(|place| is(place, true))
                {
                    continue;
                }
                let key = (direction, x as usize / RUN, y as usize / RUN);
                let run = runs.entry(key).or_default();
                run.count += 1.0;
                for away in 0..REACH {
                    let pair = |place: i64| {
                        let ((a, b), (c, d)) = (at(place), at(place + 1));
                        step(index(a, b), index(c, d))
                    };
                    let (across, outside) = (pair(-(away as i64)), pair(1 + away as i64));
                    for channel in 0..3 {
                        run.across[away][channel] += across[channel];
                        run.outside[away][channel] += outside[channel];
                    }
                }
            }
        }
    }
    runs
}
