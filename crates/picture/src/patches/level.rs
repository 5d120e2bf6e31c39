//! A picture at one resolution, and which of its patches may be taken.

use crate::Picture;
use crate::fill::{Known, enlarged};

/// Pixels a side of a patch. A row of them fills 32 bytes.
pub(super) const SIDE: usize = 8;
/// Halvings of the picture over which busyness is averaged, and by how much it counts beside colours.
const BUSY_HALVINGS: usize = 3;
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
#[derive(Clone)]
pub(super) struct Level {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Red, green, blue, and how busy the surround is.
    pub(super) pixels: Vec<[u8; 4]>,
    pub(super) uses: Vec<Use>,
    /// Patches that may be taken, ascending.
    pub(super) sources: Vec<u32>,
    /// Whether a patch may be taken, by its name.
    pub(super) is_source: Vec<bool>,
    /// Patches that hold unknown pixels, ascending.
    pub(super) targets: Vec<u32>,
}

impl Level {
    pub(super) fn new<'a>(known: &Known<4>, uses: Vec<Use>) -> Self {
        let (width, height) = (known.width, known.height);
        let is_source = patches(width, height, &uses, |used| used != Use::Source, false);
        let is_target = patches(width, height, &uses, |used| used == Use::Unknown, true);
        let names = |is: &[bool]| {
            let all = is.iter().enumerate().filter(|(_, is)| **is);
            all.map(|(name, _)| name as u32).collect()
        };
        Self {
            width,
            height,
            pixels: known
                .values
                .iter()
                .map(|v| v.map(|v| v.round() as u8))
                .collect(),
            sources: names(&is_source),
            targets: names(&is_target),
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

/// For each patch whether it holds a pixel that `has` accepts, compared with `wanted`; false for names whose
/// patch is not inside.
fn patches(
    width: usize,
    height: usize,
    uses: &[Use],
    has: impl Fn(Use) -> bool,
    wanted: bool,
) -> Vec<bool> {
    let mut is = vec![false; uses.len()];
    if width < SIDE || height < SIDE {
        return is;
    }
    // Counts in columns of a patch's height, then in patches.
    let mut columns = vec![0u32; width];
    for y in 0..height {
        for x in 0..width {
            columns[x] += u32::from(has(uses[y * width + x]));
            if y >= SIDE {
                columns[x] -= u32::from(has(uses[(y - SIDE) * width + x]));
            }
        }
        if y + 1 < SIDE {
            continue;
        }
        let top = y + 1 - SIDE;
        let mut count: u32 = columns[..SIDE - 1].iter().sum();
        for left in 0..=width - SIDE {
            count += columns[left + SIDE - 1];
            is[top * width + left] = (count > 0) == wanted;
            count -= columns[left];
        }
    }
    is
}

/// How busy the surround of each pixel is, 0 to 255: differences of neighbours that are known, averaged
/// over blocks, spread over what is not known.
pub(super) fn busy(picture: &Picture, uses: &[Use]) -> Vec<f32> {
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
