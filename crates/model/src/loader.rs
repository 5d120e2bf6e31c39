//! Weights to layers: a place in the name tree that knows which tensors were taken.

use std::cell::RefCell;
use std::collections::BTreeSet;

use imagegen_engine::{Backend, Tensor};

use crate::{Error, Weights};

/// Takes tensors out of one file for one network.
pub(crate) struct Loader<'a, B> {
    pub(crate) engine: &'a B,
    weights: &'a Weights,
    used: RefCell<BTreeSet<String>>,
    /// The first tensor that was not there, and how many were not.
    missing: RefCell<(Option<String>, usize)>,
}

impl<'a, B: Backend> Loader<'a, B> {
    pub(crate) fn new(engine: &'a B, weights: &'a Weights) -> Self {
        Self {
            engine,
            weights,
            used: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// The top of the name tree.
    pub(crate) fn root(&self) -> Place<'_, 'a, B> {
        Place {
            loader: self,
            path: String::new(),
        }
    }

    /// Fails with [`Error::Missing`] when tensors were not there, and with [`Error::Spare`] when a tensor was not taken and `known` does not know its name.
    pub(crate) fn finish(&self, known: impl Fn(&str) -> bool) -> Result<(), Error> {
        if let (Some(tensor), count) = self.missing.take() {
            return Err(Error::Missing {
                file: self.weights.file().to_owned(),
                count,
                tensor,
            });
        }
        let used = self.used.borrow();
        let mut spare = self
            .weights
            .names()
            .filter(|name| !used.contains(*name) && !known(name))
            .peekable();
        let Some(first) = spare.peek().map(|name| (*name).to_owned()) else {
            return Ok(());
        };
        Err(Error::Spare {
            file: self.weights.file().to_owned(),
            count: spare.count(),
            first,
        })
    }
}

/// A prefix of tensor names, such as `down_blocks.0.resnets.1`.
pub(crate) struct Place<'l, 'a, B> {
    loader: &'l Loader<'a, B>,
    path: String,
}

impl<'l, 'a, B: Backend> Place<'l, 'a, B> {
    /// The place `name` below this one.
    pub(crate) fn at(&self, name: impl std::fmt::Display) -> Place<'l, 'a, B> {
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        };
        Place {
            loader: self.loader,
            path,
        }
    }

    /// The place `name`, or `older` where the file has the name that older versions of diffusers
    /// gave it.
    pub(crate) fn renamed(&self, name: &str, older: &str) -> Place<'l, 'a, B> {
        let before = self.at(older);
        match self.loader.weights.shape(&before.at("weight").path) {
            Some(_) => before,
            None => self.at(name),
        }
    }

    pub(crate) fn engine(&self) -> &'a B {
        self.loader.engine
    }

    /// Takes tensor `name`, which must have `shape`. Gives zeros where there is none, so that
    /// [`Loader::finish`] can say how many are missing.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let path = self.at(name).path;
        match self.loader.weights.shape(&path) {
            Some(got) if got != shape => Err(Error::Shape {
                tensor: path,
                got: got.to_vec(),
                expected: shape.to_vec(),
            }),
            Some(_) => {
                let tensor = self.loader.weights.tensor(&path)?;
                self.loader.used.borrow_mut().insert(path);
                Ok(tensor)
            }
            None => {
                let mut missing = self.loader.missing.borrow_mut();
                missing.0.get_or_insert(path);
                missing.1 += 1;
                Ok(Tensor::zeros(shape))
            }
        }
    }

    /// A convolution with bias, `kernel` by `kernel`.
    pub(crate) fn conv2d(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<B::Conv2d, Error> {
        let weight = self.tensor("weight", &[outputs, inputs, kernel, kernel])?;
        let bias = self.tensor("bias", &[outputs])?;
        Ok(self.engine().conv2d_weights(weight, Some(bias))?)
    }

    /// A convolution without bias, `kernel` by `kernel`.
    pub(crate) fn conv2d_without_bias(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<B::Conv2d, Error> {
        let weight = self.tensor("weight", &[outputs, inputs, kernel, kernel])?;
        Ok(self.engine().conv2d_weights(weight, None)?)
    }

    /// A linear layer with bias.
    pub(crate) fn linear(&self, inputs: usize, outputs: usize) -> Result<B::Linear, Error> {
        let weight = self.tensor("weight", &[outputs, inputs])?;
        let bias = self.tensor("bias", &[outputs])?;
        Ok(self.engine().linear_weights(weight, Some(bias))?)
    }

    /// A linear layer without bias.
    pub(crate) fn linear_without_bias(
        &self,
        inputs: usize,
        outputs: usize,
    ) -> Result<B::Linear, Error> {
        let weight = self.tensor("weight", &[outputs, inputs])?;
        Ok(self.engine().linear_weights(weight, None)?)
    }

    /// A gated layer for [`Backend::geglu`].
    pub(crate) fn gated(&self, inputs: usize, outputs: usize) -> Result<B::Linear, Error> {
        let weight = self.tensor("weight", &[2 * outputs, inputs])?;
        let bias = self.tensor("bias", &[2 * outputs])?;
        Ok(self.engine().gated_weights(weight, Some(bias))?)
    }

    /// Scale and shift of a normalisation.
    pub(crate) fn norm(&self, channels: usize) -> Result<B::Norm, Error> {
        let weight = self.tensor("weight", &[channels])?;
        Ok(self
            .engine()
            .norm_weights(weight, self.tensor("bias", &[channels])?)?)
    }
}
