//! Where random numbers come from: injected, so that tests and other generators can take its place.

use imagegen_engine::{Tensor, random::Generator};

/// A source of standard normal noise. Drawn from only when the numbers are used.
pub trait Noise {
    /// The next noise of `shape` `[N, H, W, C]`.
    fn normal(&mut self, shape: [usize; 4]) -> Tensor;
}

impl Noise for Generator {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        self.normal_nhwc(shape)
    }
}
