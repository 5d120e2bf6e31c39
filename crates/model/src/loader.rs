//! Weights to layers: a place in the name tree that knows which tensors were taken.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use imagegen_engine::{Backend, Tensor, Weight};

use crate::lora::Changes;
use crate::{Error, Weights};

/// Shapes of the weights of a network's layers, by the layers' places in its name tree.
pub type LayerShapes = BTreeMap<String, Vec<usize>>;

/// A layer's weights on the engine.
#[derive(Debug)]
enum Layer<B: Backend> {
    Conv2d(B::Conv2d),
    Linear(B::Linear),
    Norm(B::Norm),
    Table(B::Table),
}

impl<B: Backend> Layer<B> {
    fn conv2d(&self) -> Option<&B::Conv2d> {
        match self {
            Self::Conv2d(layer) => Some(layer),
            _ => None,
        }
    }

    fn linear(&self) -> Option<&B::Linear> {
        match self {
            Self::Linear(layer) => Some(layer),
            _ => None,
        }
    }

    fn norm(&self) -> Option<&B::Norm> {
        match self {
            Self::Norm(layer) => Some(layer),
            _ => None,
        }
    }

    fn table(&self) -> Option<&B::Table> {
        match self {
            Self::Table(layer) => Some(layer),
            _ => None,
        }
    }
}

/// The layers of a network by their places in its name tree, for a changed copy that shares the rest.
#[derive(Debug)]
pub(crate) struct Layers<B: Backend> {
    made: BTreeMap<String, Layer<B>>,
    /// Of convolutions and linear layers.
    pub(crate) shapes: LayerShapes,
}

impl<B: Backend> Default for Layers<B> {
    fn default() -> Self {
        Self {
            made: BTreeMap::new(),
            shapes: LayerShapes::new(),
        }
    }
}

/// The network that another one is a changed copy of, and what is changed.
pub(crate) struct Base<'a, B: Backend> {
    pub(crate) layers: &'a Layers<B>,
    pub(crate) changes: &'a Changes<'a>,
}

/// Takes tensors out of one file for one network.
pub(crate) struct Loader<'a, B: Backend> {
    pub(crate) engine: &'a B,
    weights: &'a Weights,
    base: Option<Base<'a, B>>,
    made: RefCell<Layers<B>>,
    used: RefCell<BTreeSet<String>>,
    /// The first tensor that was not there, and how many were not.
    missing: RefCell<(Option<String>, usize)>,
}

impl<'a, B: Backend> Loader<'a, B> {
    pub(crate) fn new(engine: &'a B, weights: &'a Weights) -> Self {
        Self {
            engine,
            weights,
            base: None,
            made: RefCell::default(),
            used: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// For a changed copy of `base`, which was made of the same weights: what is not changed is shared
    /// with it and not read.
    pub(crate) fn over(engine: &'a B, weights: &'a Weights, base: Base<'a, B>) -> Self {
        Self {
            base: Some(base),
            ..Self::new(engine, weights)
        }
    }

    /// The top of the name tree.
    pub(crate) fn root(&self) -> Place<'_, 'a, B> {
        Place {
            loader: self,
            path: String::new(),
        }
    }

    /// Gives all layers.
    ///
    /// Fails with [`Error::Missing`] when tensors were not there, and with [`Error::Spare`] when a
    /// tensor was not taken and `known` does not know its name.
    pub(crate) fn finish(&self, known: impl Fn(&str) -> bool) -> Result<Layers<B>, Error> {
        if let (Some(tensor), count) = self.missing.take() {
            return Err(Error::Missing {
                file: self.weights.file().to_owned(),
                count,
                tensor,
            });
        }
        if self.base.is_some() {
            return Ok(self.made.take()); // what is shared was not read here
        }
        let used = self.used.borrow();
        let mut spare = self
            .weights
            .names()
            .filter(|name| !used.contains(*name) && !known(name))
            .peekable();
        let Some(first) = spare.peek().map(|name| (*name).to_owned()) else {
            return Ok(self.made.take());
        };
        Err(Error::Spare {
            file: self.weights.file().to_owned(),
            count: spare.count(),
            first,
        })
    }

    /// The layer at `path` of the network that this one is a copy of, unless it is changed.
    fn shared(&self, path: &str) -> Option<&Layer<B>> {
        let base = self.base.as_ref()?;
        base.layers
            .made
            .get(path)
            .filter(|_| !base.changes.touch(path))
    }
}

/// A prefix of tensor names, such as `down_blocks.0.resnets.1`.
pub(crate) struct Place<'l, 'a, B: Backend> {
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
        Ok(self.saved(name, shape)?.into_tensor())
    }

    /// As [`Place::tensor`], at the precision of the file.
    fn saved(&self, name: &str, shape: &[usize]) -> Result<Weight<'a>, Error> {
        let path = self.at(name).path;
        match self.loader.weights.shape(&path) {
            Some(got) if got != shape => Err(Error::Shape {
                tensor: path,
                got: got.to_vec(),
                expected: shape.to_vec(),
            }),
            Some(_) => {
                let weight = self.loader.weights.weight(&path)?;
                self.loader.used.borrow_mut().insert(path);
                match &self.loader.base {
                    Some(base) if name == "weight" => {
                        let weight = weight.into_tensor();
                        let changed = base.changes.apply(self.engine(), &self.path, weight)?;
                        Ok(changed.into())
                    }
                    _ => Ok(weight),
                }
            }
            None => {
                let mut missing = self.loader.missing.borrow_mut();
                missing.0.get_or_insert(path);
                missing.1 += 1;
                Ok(Tensor::zeros(shape).into())
            }
        }
    }

    /// The layer here: the one of the network that this is a copy of, or made by `make`.
    fn layer<T: Clone>(
        &self,
        wrap: fn(T) -> Layer<B>,
        unwrap: fn(&Layer<B>) -> Option<&T>,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let layer = match self.loader.shared(&self.path).and_then(unwrap) {
            Some(shared) => shared.clone(),
            None => make()?,
        };
        let mut made = self.loader.made.borrow_mut();
        made.made.insert(self.path.clone(), wrap(layer.clone()));
        Ok(layer)
    }

    fn note_shape(&self, shape: &[usize]) {
        let mut made = self.loader.made.borrow_mut();
        made.shapes.insert(self.path.clone(), shape.to_vec());
    }

    fn bias(&self, outputs: usize, bias: Bias) -> Result<Option<Tensor>, Error> {
        match bias {
            Bias::Present => self.tensor("bias", &[outputs]).map(Some),
            Bias::Absent => Ok(None),
        }
    }

    fn conv2d_layer(&self, shape: [usize; 4], bias: Bias) -> Result<B::Conv2d, Error> {
        self.note_shape(&shape);
        self.layer(Layer::Conv2d, Layer::conv2d, || {
            let weight = self.saved("weight", &shape)?;
            let bias = self.bias(shape[0], bias)?;
            Ok(self.engine().conv2d_weights(weight, bias)?)
        })
    }

    fn linear_layer(&self, shape: [usize; 2], bias: Bias, pack: Pack) -> Result<B::Linear, Error> {
        self.note_shape(&shape);
        self.layer(Layer::Linear, Layer::linear, || {
            let weight = self.saved("weight", &shape)?;
            let bias = self.bias(shape[0], bias)?;
            Ok(match pack {
                Pack::Plain => self.engine().linear_weights(weight, bias),
                Pack::Gated => self.engine().gated_weights(weight, bias),
            }?)
        })
    }

    /// A convolution with bias, `kernel` by `kernel`.
    pub(crate) fn conv2d(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<B::Conv2d, Error> {
        self.conv2d_layer([outputs, inputs, kernel, kernel], Bias::Present)
    }

    /// A convolution with bias that is sensitive to rounding, `kernel` by `kernel`.
    pub(crate) fn exact_conv2d(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<B::Conv2d, Error> {
        let layer = self.conv2d(inputs, outputs, kernel)?;
        Ok(self.engine().exact_conv2d(layer))
    }

    /// A linear layer with bias that is sensitive to rounding.
    pub(crate) fn exact_linear(&self, inputs: usize, outputs: usize) -> Result<B::Linear, Error> {
        Ok(self.engine().exact_linear(self.linear(inputs, outputs)?))
    }

    /// A convolution without bias, `kernel` by `kernel`.
    pub(crate) fn conv2d_without_bias(
        &self,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<B::Conv2d, Error> {
        self.conv2d_layer([outputs, inputs, kernel, kernel], Bias::Absent)
    }

    /// A linear layer with bias.
    pub(crate) fn linear(&self, inputs: usize, outputs: usize) -> Result<B::Linear, Error> {
        self.linear_layer([outputs, inputs], Bias::Present, Pack::Plain)
    }

    /// A linear layer without bias.
    pub(crate) fn linear_without_bias(
        &self,
        inputs: usize,
        outputs: usize,
    ) -> Result<B::Linear, Error> {
        self.linear_layer([outputs, inputs], Bias::Absent, Pack::Plain)
    }

    /// A gated layer for [`Backend::geglu`].
    pub(crate) fn gated(&self, inputs: usize, outputs: usize) -> Result<B::Linear, Error> {
        self.linear_layer([2 * outputs, inputs], Bias::Present, Pack::Gated)
    }

    /// Scale and shift of a normalisation.
    pub(crate) fn norm(&self, channels: usize) -> Result<B::Norm, Error> {
        self.layer(Layer::Norm, Layer::norm, || {
            let weight = self.tensor("weight", &[channels])?;
            let bias = self.tensor("bias", &[channels])?;
            Ok(self.engine().norm_weights(weight, bias)?)
        })
    }

    /// A table of `rows` embeddings.
    pub(crate) fn table(&self, rows: usize, width: usize) -> Result<B::Table, Error> {
        self.layer(Layer::Table, Layer::table, || {
            let table = self.saved("weight", &[rows, width])?;
            Ok(self.engine().table(table)?)
        })
    }
}

/// How a linear layer is packed.
#[derive(Debug, Clone, Copy)]
enum Pack {
    Plain,
    Gated,
}

/// Whether a layer has one.
#[derive(Debug, Clone, Copy)]
enum Bias {
    Present,
    Absent,
}
