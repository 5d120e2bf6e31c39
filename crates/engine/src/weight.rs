//! A layer's weights on their way from a file to a backend, at the precision they were saved in.

use half::{bf16, f16};

use crate::{Error, Tensor};

/// A shape and its numbers, row-major, borrowed from a file where they stand in one.
///
/// What a backend packs: numbers that lose nothing by it are kept at 16 bits, so they are not widened on the way.
#[derive(Debug, Clone)]
pub struct Weight<'a> {
    shape: Vec<usize>,
    numbers: Saved<'a>,
}

/// Numbers as they were saved; bytes are little endian.
#[derive(Debug, Clone)]
pub enum Saved<'a> {
    /// In memory already.
    Tensor(Vec<f32>),
    /// IEEE single precision.
    F32(&'a [[u8; 4]]),
    /// IEEE half precision.
    F16(&'a [[u8; 2]]),
    /// The upper half of single precision.
    Bf16(&'a [[u8; 2]]),
}

impl Saved<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Tensor(numbers) => numbers.len(),
            Self::F32(bytes) => bytes.len(),
            Self::F16(bytes) | Self::Bf16(bytes) => bytes.len(),
        }
    }
}

impl<'a> Weight<'a> {
    /// Fails with [`Error::Shape`] unless there are as many numbers as `shape` says.
    pub fn new(shape: impl Into<Vec<usize>>, numbers: Saved<'a>) -> Result<Self, Error> {
        let shape = shape.into();
        if shape.iter().product::<usize>() != numbers.len() {
            let expected = format!("{} numbers", numbers.len());
            return Err(Error::shape("weight", &shape, expected));
        }
        Ok(Self { shape, numbers })
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers as they were saved.
    pub fn numbers(&self) -> &Saved<'a> {
        &self.numbers
    }

    /// The numbers as f32.
    pub fn into_tensor(self) -> Tensor {
        let numbers = match self.numbers {
            Saved::Tensor(numbers) => numbers,
            Saved::F32(bytes) => bytes.iter().copied().map(f32::from_le_bytes).collect(),
            Saved::F16(bytes) => {
                let halves = bytes.iter().copied().map(f16::from_le_bytes);
                halves.map(f16::to_f32).collect()
            }
            Saved::Bf16(bytes) => {
                let halves = bytes.iter().copied().map(bf16::from_le_bytes);
                halves.map(bf16::to_f32).collect()
            }
        };
        Tensor::new(self.shape, numbers).expect("the numbers were counted when this was made")
    }
}

impl From<Tensor> for Weight<'_> {
    fn from(tensor: Tensor) -> Self {
        Self {
            shape: tensor.shape().to_vec(),
            numbers: Saved::Tensor(tensor.into_data()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_precision_are_the_same() {
        let numbers = [0.5, -1.25, 96.0];
        let single = numbers.map(f32::to_le_bytes);
        let half = numbers.map(|number| f16::from_f32(number).to_le_bytes());
        let brain = numbers.map(|number| bf16::from_f32(number).to_le_bytes());
        for saved in [
            Saved::Tensor(numbers.to_vec()),
            Saved::F32(&single),
            Saved::F16(&half),
            Saved::Bf16(&brain),
        ] {
            let weight = Weight::new([3, 1], saved).unwrap();
            let tensor = weight.into_tensor();
            assert_eq!(
                (tensor.shape(), tensor.data()),
                ([3, 1].as_slice(), numbers.as_slice())
            );
        }
        let error = Weight::new([2, 2], Saved::F16(&half)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "weight has shape [2, 2], expected 3 numbers"
        );
    }
}
