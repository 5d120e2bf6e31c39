//! Operations on one number at a time.

use imagegen_engine::{Activation, Backend, Error, Tensor};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference, activate};
use crate::tolerance::Tolerance;

/// Where an activation is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grid {
    /// -30 to 30 in steps of 1/128, so that every point is an f32.
    Dense,
    /// Both zeros, and ±2^-120 to ±2^13 by factors of 2: where exp stops or does nothing.
    Powers,
    /// So many random numbers: counts that are no multiple of 16.
    Random(usize),
}

/// One call of `activate`.
#[derive(Debug, Clone)]
pub struct Activate {
    /// Which.
    pub activation: Activation,
    /// Of what.
    pub grid: Grid,
}

impl Activate {
    fn input(&self) -> Tensor {
        let numbers: Vec<f32> = match self.grid {
            Grid::Dense => (-3840..=3840).map(|step| step as f32 / 128.0).collect(),
            Grid::Powers => [0.0, -0.0]
                .into_iter()
                .chain((-120..=13).flat_map(|power| [2.0_f32.powi(power), -(2.0_f32.powi(power))]))
                .collect(),
            Grid::Random(count) => Noise::new(7).tensor([count], 3.0, 0.0).into_data(),
        };
        Tensor::new([1, numbers.len()], numbers).expect("one row of all")
    }
}

impl Call for Activate {
    fn reference(&self) -> Vec<Reference> {
        let input = self.input();
        let numbers = input
            .data()
            .iter()
            .map(|&x| activate(Estimate::exact(x), self.activation));
        vec![Reference::new(input.shape(), numbers.collect())]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let out = backend.activate(&backend.upload(&self.input()), self.activation)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::ACTIVATION
    }
}

/// One call of `add`.
#[derive(Debug, Clone)]
pub struct Add {
    /// Of both sides.
    pub shape: Vec<usize>,
}

impl Add {
    fn parts(&self) -> [Tensor; 2] {
        let mut noise = Noise::new(8);
        let mut left = noise.tensor(self.shape.as_slice(), 1.0, 0.0);
        let mut right = noise.tensor(self.shape.as_slice(), 1.0, 100.0);
        // 1.5 - 1.5 is 0, -0 + -0 is -0.
        let last = left.data().len() - 1;
        (left.data_mut()[0], right.data_mut()[0]) = (1.5, -1.5);
        (left.data_mut()[last], right.data_mut()[last]) = (-0.0, -0.0);
        [left, right]
    }
}

impl Call for Add {
    fn reference(&self) -> Vec<Reference> {
        let [left, right] = self.parts();
        let sums = left.data().iter().zip(right.data());
        let sums = sums.map(|(&l, &r)| (f64::from(l) + f64::from(r)) as f32);
        vec![Reference::exact(self.shape.as_slice(), sums)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [left, right] = self.parts().map(|tensor| backend.upload(&tensor));
        Ok(vec![backend.download(&backend.add(&left, &right)?)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `prelu`.
#[derive(Debug, Clone)]
pub struct Prelu {
    /// Of the input; its last axis is that of the slopes.
    pub shape: Vec<usize>,
}

impl Prelu {
    /// Input and slopes; among them both zeros.
    fn parts(&self) -> [Tensor; 2] {
        let mut noise = Noise::new(12);
        let mut input = noise.tensor(self.shape.as_slice(), 1.0, 0.0);
        let last = input.data().len() - 1;
        (input.data_mut()[0], input.data_mut()[last]) = (0.0, -0.0);
        let channels = self.shape.last().copied().unwrap_or(1);
        [input, noise.tensor([channels], 0.5, 0.0)]
    }
}

impl Call for Prelu {
    fn reference(&self) -> Vec<Reference> {
        let [input, slopes] = self.parts();
        let numbers = input.data().iter().zip(slopes.data().iter().cycle());
        let numbers = numbers.map(|(&x, &slope)| match x < 0.0 {
            true => (f64::from(x) * f64::from(slope)) as f32,
            false => x,
        });
        vec![Reference::exact(self.shape.as_slice(), numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [input, slopes] = self.parts().map(|tensor| backend.upload(&tensor));
        Ok(vec![backend.download(&backend.prelu(&input, &slopes)?)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `scale`.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Of the input.
    pub shape: Vec<usize>,
    /// Times this.
    pub factor: f32,
}

impl Scale {
    fn input(&self) -> Tensor {
        Noise::new(9).tensor(self.shape.as_slice(), 1.0, 0.5)
    }
}

impl Call for Scale {
    fn reference(&self) -> Vec<Reference> {
        let input = self.input();
        let products = input
            .data()
            .iter()
            .map(|&x| (f64::from(x) * f64::from(self.factor)) as f32);
        vec![Reference::exact(self.shape.as_slice(), products)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        Ok(vec![backend.download(
            &backend.scale(&backend.upload(&self.input()), self.factor)?,
        )])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
