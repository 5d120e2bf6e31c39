//! Cells of one colour, as pixel art has them.

use imagegen_engine::Tensor;

use super::lines::{COLOURS, picture_size};
use crate::Error;
use crate::conditioning::block_means;

/// `pixels` `[1, H, W, 3]` in -1..1, a share `weight` of the way to cells of `cell` x `cell` pixels of their mean colour, all of
/// it from 1 on. Cells that hang over the edge have the mean with the edge repeated.
///
/// Fails for pixels of another shape, and for cells without a side.
pub fn celled(mut pixels: Tensor, cell: usize, weight: f64) -> Result<Tensor, Error> {
    if weight <= 0.0 {
        return Ok(pixels);
    }
    let [h, w] = picture_size(&pixels)?;
    if cell == 0 {
        return Err(Error::value("side of a cell", cell, "at least 1"));
    }
    let means = block_means(pixels.data(), [h, w, COLOURS], cell);
    let (columns, share) = (w.div_ceil(cell), weight.min(1.0) as f32);
    for (index, pixel) in pixels.data_mut().chunks_exact_mut(COLOURS).enumerate() {
        let place = index / w / cell * columns + index % w / cell;
        for (value, &mean) in pixel.iter_mut().zip(&means[place * COLOURS..]) {
            *value += share * (mean as f32 - *value);
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_mean_colour() {
        let row = |numbers: [f32; 5]| {
            let pixels = numbers.iter().flat_map(|&number| [number; 3]).collect();
            Tensor::new([1, 1, 5, 3], pixels).unwrap()
        };
        let before = row([0.1, 0.3, 0.5, 0.9, 0.4]);
        let at = |weight, want: [f32; 5]| {
            let got = celled(before.clone(), 2, weight).unwrap();
            for (got, want) in got.data().iter().zip(row(want).data()) {
                assert!((got - want).abs() < 1e-6, "{weight}: {got} {want}");
            }
        };
        at(1.0, [0.2, 0.2, 0.7, 0.7, 0.4]);
        at(3.0, [0.2, 0.2, 0.7, 0.7, 0.4]);
        at(0.5, [0.15, 0.25, 0.6, 0.8, 0.4]);
        at(0.0, [0.1, 0.3, 0.5, 0.9, 0.4]);
        let error = celled(before, 0, 1.0).unwrap_err().to_string();
        assert!(error.contains("at least 1"), "{error}");
    }
}
