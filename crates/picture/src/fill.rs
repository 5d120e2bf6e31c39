//! Filling: values known in some places spread smoothly over the rest. Means over ever larger blocks on
//! the way up, laid over each other from coarse to fine on the way down (pull and push, after Gortler et
//! al. 1996). f32 in one fixed order.

use crate::mask::Mask;
use crate::{Picture, Size};

/// Values of `CHANNELS` channels where they are known, each with how well.
#[derive(Clone)]
pub(crate) struct Known<const CHANNELS: usize> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<[f32; CHANNELS]>,
    /// 0 unknown to 1 known.
    pub(crate) weights: Vec<f32>,
}

impl<const CHANNELS: usize> Known<CHANNELS> {
    /// The values with what is not known taken from around it; `empty` where nothing is known at all.
    pub(crate) fn spread(&self, empty: [f32; CHANNELS]) -> Vec<[f32; CHANNELS]> {
        if self.width == 1 && self.height == 1 {
            return vec![mix(empty, self.values[0], self.weights[0].min(1.0))];
        }
        let half = self.halved();
        let coarse = half.spread(empty);
        let mut out = enlarged(&coarse, half.width, [self.width, self.height]);
        for ((out, &value), &weight) in out.iter_mut().zip(&self.values).zip(&self.weights) {
            *out = mix(*out, value, weight.min(1.0));
        }
        out
    }

    /// Weighed means of 2x2 values. A mean of known values alone is known.
    pub(crate) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut values = Vec::with_capacity(width * height);
        let mut weights = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut all) = ([0.0; CHANNELS], 0.0);
                for row in 2 * y..(2 * y + 2).min(self.height) {
                    for column in 2 * x..(2 * x + 2).min(self.width) {
                        let index = row * self.width + column;
                        let weight = self.weights[index];
                        all += weight;
                        for (sum, value) in sum.iter_mut().zip(self.values[index]) {
                            *sum += weight * value;
                        }
                    }
                }
                values.push(if all > 0.0 {
                    sum.map(|sum| sum / all)
                } else {
                    sum
                });
                weights.push(all.min(1.0));
            }
        }
        Self {
            width,
            height,
            values,
            weights,
        }
    }
}

/// Values in rows of `half` at twice the resolution, `width` by `height`, linearly.
pub(crate) fn enlarged<const CHANNELS: usize>(
    values: &[[f32; CHANNELS]],
    half: usize,
    [width, height]: [usize; 2],
) -> Vec<[f32; CHANNELS]> {
    let (across, down) = (between(width), between(height));
    let mut out = Vec::with_capacity(width * height);
    for rows in &down {
        for columns in &across {
            let at = |row: usize, column: usize| values[row * half + column];
            let line = |row| mix(at(row, columns.low), at(row, columns.high), columns.share);
            out.push(mix(line(rows.low), line(rows.high), rows.share));
        }
    }
    out
}

/// Exactly `from` at 0 and `to` at 1.
fn mix<const CHANNELS: usize>(
    from: [f32; CHANNELS],
    to: [f32; CHANNELS],
    share: f32,
) -> [f32; CHANNELS] {
    match share {
        1.0 => to,
        share => std::array::from_fn(|i| from[i] + share * (to[i] - from[i])),
    }
}

/// Where a value lies between two of half the resolution.
struct Between {
    low: usize,
    high: usize,
    share: f32,
}

/// For each of `length` values, its place among `ceil(length / 2)` of twice the size.
fn between(length: usize) -> Vec<Between> {
    let half = length.div_ceil(2);
    let place = |at: usize| {
        let place = ((at as f32 + 0.5) / 2.0 - 0.5).clamp(0.0, (half - 1) as f32);
        let low = place as usize;
        Between {
            low,
            high: (low + 1).min(half - 1),
            share: place - low as f32,
        }
    };
    (0..length).map(place).collect()
}

/// The picture with what `mask` covers fully filled smoothly from around it; nothing of what was there is
/// read. Grey where the mask is full. Alpha stays.
///
/// Panics where the mask is not of the picture's size.
pub fn fill(picture: &Picture, mask: &Mask) -> Picture {
    let Size { width, height } = picture.size();
    assert_eq!(
        mask.size(),
        picture.size(),
        "mask and picture differ in size"
    );
    let covered = mask.coverage();
    if !covered.contains(&255) {
        return picture.clone();
    }
    let pixels = picture.rgb().chunks_exact(3);
    let known = Known {
        width: width as usize,
        height: height as usize,
        values: pixels
            .zip(covered)
            .map(|(rgb, &c)| match c {
                255 => [0.0; 3],
                _ => [rgb[0], rgb[1], rgb[2]].map(f32::from),
            })
            .collect(),
        weights: covered
            .iter()
            .map(|&c| if c == 255 { 0.0 } else { 1.0 })
            .collect(),
    };
    let filled = known.spread([127.5; 3]);
    let mut rgb = picture.rgb().to_vec();
    for ((pixel, value), &coverage) in rgb.chunks_exact_mut(3).zip(filled).zip(covered) {
        if coverage == 255 {
            for (channel, value) in pixel.iter_mut().zip(value) {
                *channel = value.round() as u8;
            }
        }
    }
    let alpha = picture.alpha().map(<[u8]>::to_vec);
    Picture::from_planes(picture.size(), rgb, alpha)
}
