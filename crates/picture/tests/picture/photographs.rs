//! The example photographs and the ways in which a photograph can be bad.

use imagegen_picture::{Filter, Format, Picture, Size, resize};

use crate::make::{decode, encode};

pub(crate) const PHOTOGRAPHS: [&str; 4] =
    ["cat.jpg", "landscape.jpg", "portrait.jpg", "product.jpg"];

/// An example picture of the project, by file name.
pub(crate) fn example(name: &str) -> Picture {
    let path = format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    decode(&std::fs::read(&path).expect("the project's example pictures")).picture
}

/// All four photographs with their names.
pub(crate) fn photographs() -> impl Iterator<Item = (&'static str, Picture)> {
    PHOTOGRAPHS.into_iter().map(|name| (name, example(name)))
}

/// Every value of `picture` by a function of its place in `[H, W, 3]` and of itself.
fn each(picture: &Picture, mut value: impl FnMut(usize, f64) -> f64) -> Picture {
    let values = picture.rgb().iter().enumerate();
    let rgb = values.map(|(i, &v)| value(i, f64::from(v)).round() as u8);
    Picture::new(picture.size(), rgb.collect(), None).expect("planes of that size")
}

/// `share` of `other` and the rest of `picture`, both of one size.
pub(crate) fn blended(picture: &Picture, other: &Picture, share: f64) -> Picture {
    let other = other.rgb();
    each(picture, |i, v| {
        v * (1.0 - share) + f64::from(other[i]) * share
    })
}

/// `picture` with Gaussian noise of `sigma` levels, the same in all channels, so that luma's has it too.
pub(crate) fn noisy(picture: &Picture, sigma: f64) -> Picture {
    let mut state = 1u64;
    let mut uniform = move || {
        // Knuth's MMIX generator; its high bits are good.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    // Twelve uniform numbers have variance 1.
    let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let mut noise = 0.0;
    each(picture, |i, v| {
        if i % 3 == 0 {
            noise = normal() * sigma;
        }
        v + noise
    })
}

/// `picture` blurred by a Gaussian of `sigma` pixels.
pub(crate) fn blurred(picture: &Picture, sigma: f64) -> Picture {
    let Size { width, height } = picture.size();
    let (width, height) = (width as i64, height as i64);
    let reach = (sigma * 4.0).ceil() as i64;
    let weight = |k: i64| (-0.5 * (k as f64 / sigma).powi(2)).exp();
    let sum: f64 = (-reach..=reach).map(weight).sum();
    let weights: Vec<f64> = (-reach..=reach).map(|k| weight(k) / sum).collect();
    let mut values: Vec<f64> = picture.rgb().iter().map(|&v| f64::from(v)).collect();
    for (stride, side) in [(3, width), (3 * width, height)] {
        let from = std::mem::replace(&mut values, vec![0.0; picture.rgb().len()]);
        for (i, value) in values.iter_mut().enumerate() {
            let i = i as i64;
            let at = i / stride % side;
            for (k, weight) in (-reach..=reach).zip(&weights) {
                let shift = (at + k).clamp(0, side - 1) - at;
                *value += weight * from[(i + shift * stride) as usize];
            }
        }
    }
    each(picture, |i, _| values[i])
}

/// `picture` through a JPEG of `quality` 1 to 100.
pub(crate) fn compressed(picture: &Picture, quality: u8) -> Picture {
    decode(&encode(picture, Format::Jpeg { quality })).picture
}

/// `picture` with its tones pressed together around the middle to `share` of their range.
pub(crate) fn flattened(picture: &Picture, share: f64) -> Picture {
    each(picture, |_, v| 128.0 + (v - 128.0) * share)
}

/// `picture` in warmer light: less blue, a little less green.
pub(crate) fn warmer(picture: &Picture) -> Picture {
    each(picture, |i, v| v * [1.0, 0.9, 0.5][i % 3])
}

/// `picture` with `border` pixels of `colour` at the left and right (first) and above and below (second).
pub(crate) fn framed(picture: &Picture, border: [u32; 2], colour: [u8; 3]) -> Picture {
    let Size { width, height } = picture.size();
    let inside = |at: u32, border: u32, side: u32| (border..border + side).contains(&at);
    crate::make::painted(
        width + border[0] * 2,
        height + border[1] * 2,
        |x, y| match inside(x, border[0], width) && inside(y, border[1], height) {
            true => picture.pixel(x - border[0], y - border[1]),
            false => colour,
        },
    )
}

/// `picture` with its longest side at `side`.
pub(crate) fn sized(picture: &Picture, side: u32) -> Picture {
    let Size { width, height } = picture.size();
    let longest = width.max(height);
    let size = Size::new(width * side / longest, height * side / longest);
    resize(picture, size, Filter::Lanczos3)
}
