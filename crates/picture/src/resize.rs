//! Resampling in gamma space: two passes of fixed-point sums, horizontal first, rounded to 8 bit between
//! them. Widths, weights and rounding are Pillow's, so results equal its `resize` and every CPU gives the
//! same bytes. Colours beside holes come from visible pixels only.

use crate::{Picture, Size};

/// Weights are whole multiples of 2^-22: 8-bit samples and overshoot leave a 32-bit sum no overflow.
const PRECISION: u32 = 22;

/// How neighbours are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Windowed sinc over three lobes: sharpest, for photographs.
    #[default]
    Lanczos3,
    /// Cubic with a = −0.5: less ringing.
    Bicubic,
    /// Linear: never overshoots, for masks and alpha.
    Bilinear,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Lanczos3 => 3.0,
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Lanczos3 if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((x - 5.0) * x + 8.0) * x * -0.5 + 2.0,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    libm::sin(x) / x
}

/// The picture at `size`. A copy where that is its size. Alpha is resized linearly; where some pixel is
/// not opaque, colours are weighed by alpha, so hidden colours do not bleed into visible ones.
///
/// Panics where a side of `size` is 0.
pub fn resize(picture: &Picture, size: Size, filter: Filter) -> Picture {
    let from = picture.size();
    if from == size {
        return picture.clone();
    }
    let rgb = scale::<3>(picture.rgb(), from, size, filter);
    let Some(alpha) = picture.alpha() else {
        return Picture::from_planes(size, rgb, None);
    };
    let resized = resize_plane(alpha, from, size, Filter::Bilinear);
    let rgb = match picture.is_transparent() {
        true => visible(picture.rgb(), alpha, rgb, from, size, filter),
        false => rgb,
    };
    Picture::from_planes(size, rgb, Some(resized))
}

/// One plane `[H, W]` of size `from` at size `to`.
///
/// Panics where the plane is not of size `from` or a side of `to` is 0.
pub fn resize_plane(plane: &[u8], from: Size, to: Size, filter: Filter) -> Vec<u8> {
    scale::<1>(plane, from, to, filter)
}

/// The weights of one output sample: from `start` on.
struct Taps<W> {
    start: usize,
    weights: Vec<W>,
}

/// Normalised weights for `to` samples out of `from`.
fn taps(from: u32, to: u32, filter: Filter) -> Vec<Taps<f64>> {
    let ratio = f64::from(from) / f64::from(to);
    let stretch = ratio.max(1.0);
    let support = filter.support() * stretch;
    (0..to)
        .map(|i| {
            let centre = (f64::from(i) + 0.5) * ratio;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from as usize);
            let weight = |j| filter.weight((j as f64 - centre + 0.5) * (1.0 / stretch));
            let mut weights: Vec<f64> = (start..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            Taps { start, weights }
        })
        .collect()
}

fn fixed(taps: Vec<Taps<f64>>) -> Vec<Taps<i32>> {
    let one = f64::from(1 << PRECISION);
    let fix = |taps: Taps<f64>| Taps {
        start: taps.start,
        // Half away from zero.
        weights: taps
            .weights
            .iter()
            .map(|w| (w * one + 0.5f64.copysign(*w)) as i32)
            .collect(),
    };
    taps.into_iter().map(fix).collect()
}

fn scale<const CHANNELS: usize>(samples: &[u8], from: Size, to: Size, filter: Filter) -> Vec<u8> {
    assert!(
        to.width > 0 && to.height > 0,
        "target size {to} has no pixels"
    );
    assert_eq!(
        samples.len(),
        from.len() * CHANNELS,
        "plane is not of size {from}"
    );
    let wide = match from.width == to.width {
        true => samples.to_vec(),
        false => across::<CHANNELS>(
            samples,
            from.width,
            &fixed(taps(from.width, to.width, filter)),
        ),
    };
    match from.height == to.height {
        true => wide,
        false => down(
            &wide,
            to.width as usize * CHANNELS,
            &fixed(taps(from.height, to.height, filter)),
        ),
    }
}

const HALF: i32 = 1 << (PRECISION - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn across<const CHANNELS: usize>(samples: &[u8], width: u32, taps: &[Taps<i32>]) -> Vec<u8> {
    let row_length = width as usize * CHANNELS;
    let mut out = Vec::with_capacity(samples.len() / width as usize * taps.len());
    for row in samples.chunks_exact(row_length) {
        for taps in taps {
            let mut sums = [HALF; CHANNELS];
            let pixels = row[taps.start * CHANNELS..].chunks_exact(CHANNELS);
            for (pixel, &weight) in pixels.zip(&taps.weights) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(sample) * weight;
                }
            }
            out.extend(sums.map(clip));
        }
    }
    out
}

fn down(samples: &[u8], row_length: usize, taps: &[Taps<i32>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(row_length * taps.len());
    let mut sums = vec![0; row_length];
    for taps in taps {
        sums.fill(HALF);
        let rows = samples[taps.start * row_length..].chunks_exact(row_length);
        for (row, &weight) in rows.zip(&taps.weights) {
            for (sum, &sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(sample) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| clip(sum)));
    }
    out
}

/// Colours weighed by alpha: sums of weight · alpha · colour over sums of weight · alpha, in f64 and in
/// one order. Where nothing visible weighs in, `hidden` stays.
fn visible(
    rgb: &[u8],
    alpha: &[u8],
    hidden: Vec<u8>,
    from: Size,
    to: Size,
    filter: Filter,
) -> Vec<u8> {
    let columns = taps(from.width, to.width, filter);
    let rows = taps(from.height, to.height, filter);
    // [H of source, W of target, 4]: alpha · colour and alpha.
    let mut wide = Vec::with_capacity(from.height as usize * to.width as usize);
    for y in 0..from.height as usize {
        let at = y * from.width as usize;
        for taps in &columns {
            let mut sums = [0.0; 4];
            for (i, &weight) in taps.weights.iter().enumerate() {
                let pixel = at + taps.start + i;
                let share = weight * f64::from(alpha[pixel]);
                for channel in 0..3 {
                    sums[channel] += share * f64::from(rgb[pixel * 3 + channel]);
                }
                sums[3] += share;
            }
            wide.push(sums);
        }
    }
    let width = to.width as usize;
    let mut out = hidden;
    for (y, taps) in rows.iter().enumerate() {
        for x in 0..width {
            let mut sums = [0.0; 4];
            for (i, &weight) in taps.weights.iter().enumerate() {
                let cell = &wide[(taps.start + i) * width + x];
                for (sum, &value) in sums.iter_mut().zip(cell) {
                    *sum += weight * value;
                }
            }
            // Below half a level of alpha the quotient is mostly ringing.
            if sums[3] >= 0.5 {
                let pixel = &mut out[(y * width + x) * 3..][..3];
                for (value, sum) in pixel.iter_mut().zip(sums) {
                    *value = (sum / sums[3] + 0.5) as u8;
                }
            }
        }
    }
    out
}
