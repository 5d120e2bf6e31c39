//! The weave: what repeats from patch to patch in a picture that was made of patches of pixels. Detail of a picture
//! does not keep step with patches, so that it all but cancels out where many of them are laid over one another;
//! what is left is the network's.

use imagegen_engine::Tensor;

use super::lines::{COLOURS, blurred, picture_size};
use crate::Error;

/// What a blur of so many pixels' deviation takes away is detail.
const DETAIL_BLUR: f64 = 2.0;
/// Patches about a place that are laid over one another: the deviation of their weights.
const PATCHES_BLUR: f64 = 3.0;
/// Detail counts up to here, so that edges do not leave their mark on patches around them.
const DETAIL_LIMIT: f32 = 0.2;
/// The mean square of detail at which a patch is half calm.
const CALM: f32 = 0.16;

/// `pixels` `[1, H, W, 3]` in -1..1 without what repeats from patch to patch of `patch` pixels a side.
///
/// Fails for pixels of another shape, and unless `patch` divides both sides.
pub fn unwoven(mut pixels: Tensor, patch: usize) -> Result<Tensor, Error> {
    let [h, w] = picture_size(&pixels)?;
    if patch == 0 || h % patch > 0 || w % patch > 0 {
        let expected = format!("a number that divides {h} and {w}");
        return Err(Error::value("side of a patch", patch, expected));
    }
    let [rows, columns] = [h / patch, w / patch];
    let numbers = patch * patch * COLOURS;
    let smooth = blurred(pixels.data(), [h, w, COLOURS], DETAIL_BLUR);
    let mut weights = Vec::with_capacity(rows * columns);
    // Behind the details of a patch, weighed, stands their weight.
    let mut weighed = Vec::with_capacity(rows * columns * (numbers + 1));
    for at in 0..rows * columns {
        let detail = |place| pixels.data()[place] - smooth[place];
        let squares: f32 = places(at, patch, columns)
            .map(|place| detail(place).powi(2))
            .sum();
        let calm = 1.0 / (1.0 + squares / numbers as f32 / CALM);
        weights.push(calm);
        let within = |place| detail(place).clamp(-DETAIL_LIMIT, DETAIL_LIMIT);
        weighed.extend(places(at, patch, columns).map(|place| within(place) * calm * calm));
        weighed.push(calm * calm);
    }
    drop(smooth);
    let summed = blurred(&weighed, [rows, columns, numbers + 1], PATCHES_BLUR);
    for (at, sums) in summed.chunks_exact(numbers + 1).enumerate() {
        let (sums, weight) = (&sums[..numbers], sums[numbers]);
        for colour in 0..COLOURS {
            let of_colour = || sums[colour..].iter().step_by(COLOURS);
            let mean = of_colour().sum::<f32>() / (patch * patch) as f32;
            let own = places(at, patch, columns).skip(colour).step_by(COLOURS);
            for (place, sum) in own.zip(of_colour()) {
                pixels.data_mut()[place] -= (sum - mean) / weight * weights[at];
            }
        }
    }
    Ok(pixels)
}

/// Where the numbers of a patch stand, pixel by pixel, of patches counted row by row.
fn places(at: usize, patch: usize, columns: usize) -> impl Iterator<Item = usize> {
    let (top, left) = (at / columns * patch, at % columns * patch);
    let width = columns * patch;
    (0..patch).flat_map(move |y| {
        let first = ((top + y) * width + left) * COLOURS;
        first..first + patch * COLOURS
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::picture;
    use super::*;

    fn apart(one: &Tensor, other: &Tensor) -> f32 {
        let pairs = one.data().iter().zip(other.data());
        pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>() / one.data().len() as f32
    }

    #[test]
    fn what_keeps_step_with_patches_goes_and_other_detail_stays() {
        let slope = |y: usize, x: usize| (y as f32 + 2.0 * x as f32) / 300.0 - 0.5;
        let grain = |y: usize, x: usize| ((y * 31 + x * 17 + y * x * 7) % 23) as f32 / 230.0;
        let woven = |y: usize, x: usize| {
            if x % 4 == 1 || y % 4 == 2 {
                0.045
            } else {
                -0.035
            }
        };
        let clean = picture([64, 96], slope);
        let with_weave = picture([64, 96], |y, x| slope(y, x) + woven(y, x));
        let mended = unwoven(with_weave.clone(), 4).unwrap();
        let (before, after) = (apart(&with_weave, &clean), apart(&mended, &clean));
        assert!(after < 0.1 * before, "{before} {after}");
        let grainy = picture([64, 96], |y, x| slope(y, x) + grain(y, x));
        let kept = apart(&unwoven(grainy.clone(), 4).unwrap(), &grainy);
        let whole = apart(&grainy, &clean);
        assert!(kept < 0.05 * whole, "{kept} of {whole}");
        assert!(apart(&unwoven(clean.clone(), 4).unwrap(), &clean) < 1e-6);
    }

    #[test]
    fn patches_that_do_not_fit_are_refused() {
        for patch in [0, 5] {
            let error = unwoven(picture([16, 16], |_, _| 0.0), patch).unwrap_err();
            assert!(error.to_string().contains("divides 16 and 16"), "{error}");
        }
    }
}
