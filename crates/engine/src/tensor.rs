//! Tensors on the host: a shape and its numbers. What files hold, seeds draw and samplers step on.
//! Backends have tensors of their own; see [`crate::Backend`].

use crate::Error;

/// A dense row-major f32 tensor in host memory.
///
/// Pictures and latents are `[N, H, W, C]`, weights keep the order of their file
/// (`[O, I, kh, kw]` for convolutions, `[O, I]` for linear layers).
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// Wraps `data`. Fails with [`Error::Shape`] unless its length is the product of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, Error> {
        let shape = shape.into();
        if shape.iter().product::<usize>() != data.len() {
            return Err(Error::shape(
                "tensor",
                &shape,
                format!("{} numbers", data.len()),
            ));
        }
        Ok(Self { shape, data })
    }

    /// All zeros.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let data = vec![0.0; shape.iter().product()];
        Self { shape, data }
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The numbers, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Gives the numbers away.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The four sizes of an `[N, H, W, C]` tensor, or [`Error::Shape`] naming `subject`.
    pub fn nhwc(&self, subject: &str) -> Result<[usize; 4], Error> {
        <[usize; 4]>::try_from(self.shape.as_slice())
            .map_err(|_| Error::shape(subject, &self.shape, "[N, H, W, C]"))
    }

    /// `[N, C, H, W]` to `[N, H, W, C]`: torch's order to ours.
    pub fn nchw_to_nhwc(&self) -> Result<Self, Error> {
        let &[n, c, h, w] = self.shape.as_slice() else {
            return Err(Error::shape(
                "nchw_to_nhwc input",
                &self.shape,
                "[N, C, H, W]",
            ));
        };
        let data = move_channels(&self.data, n, c, h * w);
        Ok(Self {
            shape: vec![n, h, w, c],
            data,
        })
    }

    /// `[N, H, W, C]` to `[N, C, H, W]`: our order to torch's.
    pub fn nhwc_to_nchw(&self) -> Result<Self, Error> {
        let [n, h, w, c] = self.nhwc("nhwc_to_nchw input")?;
        let data = move_channels(&self.data, n, h * w, c);
        Ok(Self {
            shape: vec![n, c, h, w],
            data,
        })
    }

    /// Whether no number is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|v| v.is_finite())
    }
}

/// Transposes each of `n` matrices `[rows, cols]`.
fn move_channels(data: &[f32], n: usize, rows: usize, cols: usize) -> Vec<f32> {
    let mut moved = vec![0.0; data.len()];
    let size = rows * cols;
    for (from, to) in data
        .chunks_exact(size.max(1))
        .zip(moved.chunks_exact_mut(size.max(1)))
    {
        for r in 0..rows {
            for c in 0..cols {
                to[c * rows + r] = from[r * cols + c];
            }
        }
    }
    debug_assert_eq!(moved.len(), n * size);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_inverse() {
        let tensor = Tensor::new([2, 3, 2, 5], (0..60).map(|v| v as f32).collect()).unwrap();
        let moved = tensor.nchw_to_nhwc().unwrap();
        assert_eq!(moved.shape(), [2, 2, 5, 3]);
        // n 1, c 2, y 1, x 4
        assert_eq!(moved.data()[(3 * 5 + 4) * 3 + 2], 59.0);
        assert_eq!(moved.nhwc_to_nchw().unwrap(), tensor);
    }

    #[test]
    fn length_must_match_the_shape() {
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor has shape [2, 3], expected 5 numbers"
        );
    }
}
