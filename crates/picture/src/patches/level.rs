//! A picture at one resolution, and which of its patches may be taken.

use crate::fill::{Known, enlarged};
use crate::mask::{Mask, depth};
use crate::{Picture, Size};

/// Pixels a side of a patch. A row of them fills 32 bytes.
pub(super) const SIDE: usize = 8;
/// Halvings of the picture over which busyness is averaged.
const BUSY_HALVINGS: usize = 3;
/// By how much it counts beside a colour.
const BUSY_WEIGHT: f32 = 3.0;

/// What a pixel is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Patches may be made of it.
    Source,
    /// It stays, but patches are not made of it: part of it is to go.
    Kept,
    /// To be filled.
    Unknown,
}

impl Use {
    pub(super) fn of(coverage: u8) -> Self {
        match coverage {
            0 => Self::Source,
            255 => Self::Unknown,
            _ => Self::Kept,
        }
    }
}

/// A picture at one resolution. Patches are named by the index of their upper left pixel and lie inside it.
pub(super) struct Level {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Red, green, blue, and how busy the surround is.
    pub(super) pixels: Vec<[u8; 4]>,
    pub(super) uses: Vec<Use>,
    /// How deep each pixel lies in what is unknown, in pixels.
    pub(super) depths: Vec<f32>,
    /// Patches that may be taken, ascending.
    pub(super) sources: Vec<u32>,
    /// Whether a patch may be taken, by its name.
    pub(super) is_source: Vec<bool>,
    /// Patches that hold unknown pixels, ascending.
    pub(super) targets: Vec<u32>,
}

impl Level {
    pub(super) fn new(known: &Known<4>, uses: Vec<Use>) -> Self {
        let (width, height) = (known.width, known.height);
        let covered = counts(width, height, &uses, |used| used != Use::Source);
        let is_source: Vec<bool> = covered.iter().map(|count| *count == Some(0)).collect();
        let unknown = counts(width, height, &uses, |used| used == Use::Unknown);
        let named = |holds: &dyn Fn(usize) -> bool| {
            let names = (0..uses.len()).filter(|&name| holds(name));
            names.map(|name| name as u32).collect()
        };
        let size = Size::new(width as u32, height as u32);
        let coverage = uses.iter().map(|used| u8::from(*used == Use::Unknown));
        Self {
            width,
            height,
            pixels: known
                .values
                .iter()
                .map(|value| value.map(|value| value.round() as u8))
                .collect(),
            sources: named(&|name| is_source[name]),
            targets: named(&|name| unknown[name].is_some_and(|count| count > 0)),
            depths: depth(&Mask::new(size, coverage.collect())),
            is_source,
            uses,
        }
    }

    /// The level at half its resolution, with the colours of `known`. A pixel that shows any unknown one is
    /// unknown.
    pub(super) fn halved(&self, known: &Known<4>) -> Self {
        let mut uses = vec![Use::Source; known.width * known.height];
        for (index, &used) in self.uses.iter().enumerate() {
            let (y, x) = (index / self.width, index % self.width);
            let half = &mut uses[y / 2 * known.width + x / 2];
            *half = used.max(*half);
        }
        Self::new(known, uses)
    }
}

/// For each patch how many of its pixels are such; `None` for names whose patch is not inside.
fn counts(
    width: usize,
    height: usize,
    uses: &[Use],
    is_such: impl Fn(Use) -> bool,
) -> Vec<Option<u32>> {
    let mut counts = vec![None; uses.len()];
    if width < SIDE || height < SIDE {
        return counts;
    }
    // In columns of a patch's height first.
    let mut columns = vec![0u32; width];
    for y in 0..height {
        for x in 0..width {
            columns[x] += u32::from(is_such(uses[y * width + x]));
            if y >= SIDE {
                columns[x] -= u32::from(is_such(uses[(y - SIDE) * width + x]));
            }
        }
        if y + 1 < SIDE {
            continue;
        }
        let top = y + 1 - SIDE;
        let mut count: u32 = columns[..SIDE - 1].iter().sum();
        for left in 0..=width - SIDE {
            count += columns[left + SIDE - 1];
            counts[top * width + left] = Some(count);
            count -= columns[left];
        }
    }
    counts
}

/// How busy the surround of each pixel is, 0 to 255: differences of neighbours that are known, averaged
/// over blocks, spread over what is not known.
pub(super) fn busyness(picture: &Picture, uses: &[Use]) -> Vec<f32> {
    let (width, height) = (
        picture.size().width as usize,
        picture.size().height as usize,
    );
    let rgb = picture.rgb();
    let mut known = Known {
        width,
        height,
        values: vec![[0.0]; width * height],
        weights: vec![0.0; width * height],
    };
    for y in 0..height - 1 {
        for x in 0..width - 1 {
            let here = y * width + x;
            let others = [here + 1, here + width];
            if [here, others[0], others[1]]
                .iter()
                .any(|&place| uses[place] != Use::Source)
            {
                continue;
            }
            let step = |to: usize, c: usize| rgb[to * 3 + c].abs_diff(rgb[here * 3 + c]);
            let sum: u32 = (0..3)
                .flat_map(|c| others.map(|to| u32::from(step(to, c))))
                .sum();
            known.values[here] = [(sum as f32 * BUSY_WEIGHT / 6.0).min(255.0)];
            known.weights[here] = 1.0;
        }
    }
    let mut sizes = Vec::new();
    for _ in 0..BUSY_HALVINGS {
        sizes.push([known.width, known.height]);
        known = known.halved();
    }
    let mut values = known.spread([0.0]);
    let mut half = known.width;
    for size in sizes.into_iter().rev() {
        values = enlarged(&values, half, size);
        half = size[0];
    }
    values.into_iter().map(|[value]| value).collect()
}
