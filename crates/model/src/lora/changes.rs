//! What LoRAs make of a layer's weights: `W + sum of weight * alpha / rank * up * down`, in f32, in the
//! order in which the LoRAs are given.

use std::collections::BTreeMap;

use imagegen_engine::{Backend, LinearCall, Tensor};

use super::{Lora, Module};
use crate::Error;

/// The changes of one network, by layer.
#[derive(Debug, Default)]
pub struct Changes<'a>(BTreeMap<String, Vec<Change<'a>>>);

/// One LoRA's part of a layer's change.
#[derive(Debug)]
struct Change<'a> {
    lora: &'a Lora,
    module: &'a Module,
    scale: f32,
}

impl<'a> Changes<'a> {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what `module` of `lora` changes of `layer` at `weight`.
    pub(super) fn add(&mut self, layer: &str, lora: &'a Lora, module: &'a Module, weight: f64) {
        let changes = self.0.entry(layer.to_owned()).or_default();
        changes.push(Change {
            lora,
            module,
            scale: (weight * module.scale) as f32,
        });
    }

    /// Whether `layer` is changed.
    pub(crate) fn touch(&self, layer: &str) -> bool {
        self.0.contains_key(layer)
    }

    /// The weights of `layer`, changed.
    ///
    /// Fails with [`Error::NotFinite`] where numbers grow too large for f32.
    pub(crate) fn apply<B: Backend>(
        &self,
        engine: &B,
        layer: &str,
        mut weight: Tensor,
    ) -> Result<Tensor, Error> {
        for change in self.0.get(layer).into_iter().flatten() {
            let product = change.product(engine)?;
            for (number, add) in weight.data_mut().iter_mut().zip(product.data()) {
                *number += change.scale * add;
            }
            if !weight.data().iter().all(|number| number.is_finite()) {
                return Err(Error::NotFinite {
                    file: change.lora.file().to_owned(),
                    tensor: change.module.up.clone(),
                });
            }
        }
        Ok(weight)
    }
}

impl Change<'_> {
    /// `up * down`, as many numbers as the layer's weights and in their order.
    fn product<B: Backend>(&self, engine: &B) -> Result<Tensor, Error> {
        let tensor = |name: &str| self.lora.weights.tensor(name);
        let up = matrix(tensor(&self.module.up)?)?; // [O, rank]
        let down = tensor(&self.module.down)?;
        let Some(mid) = &self.module.mid else {
            return times(engine, &up, &matrix(down)?);
        };
        // A convolution in three: mid [r, s, kh, kw] between down [s, I, 1, 1] and up [O, r, 1, 1].
        let (mid, down) = (tensor(mid)?, matrix(down)?); // [s, I]
        let (rows, inner) = (mid.shape()[0], mid.shape()[1]);
        let taps: usize = mid.shape()[2..].iter().product();
        let inputs = down.shape()[1];
        let by_tap = permuted(&mid, rows, inner, taps); // [r, taps, s]
        let by_tap = Tensor::new([rows * taps, inner], by_tap)?;
        let joined = times(engine, &by_tap, &down)?; // [r, taps, I]
        let joined = permuted(&joined, rows, taps, inputs); // [r, I, taps]
        times(engine, &up, &Tensor::new([rows, inputs * taps], joined)?)
    }
}

/// `[first, ..]` as a matrix.
fn matrix(tensor: Tensor) -> Result<Tensor, Error> {
    let rows = tensor.shape()[0];
    let columns: usize = tensor.shape()[1..].iter().product();
    Ok(Tensor::new([rows, columns], tensor.into_data())?)
}

/// The numbers of `[a, b, c]` as `[a, c, b]`.
fn permuted(tensor: &Tensor, a: usize, b: usize, c: usize) -> Vec<f32> {
    let numbers = tensor.data();
    let mut turned = Vec::with_capacity(numbers.len());
    for i in 0..a {
        for k in 0..c {
            turned.extend((0..b).map(|j| numbers[(i * b + j) * c + k]));
        }
    }
    turned
}

/// `left` `[m, r]` times `right` `[r, n]` by the engine's linear layer, so in its fixed order.
fn times<B: Backend>(engine: &B, left: &Tensor, right: &Tensor) -> Result<Tensor, Error> {
    let (rank, columns) = (right.shape()[0], right.shape()[1]);
    let turned = Tensor::new([columns, rank], permuted(right, 1, rank, columns))?;
    let layer = engine.linear_weights(turned, None)?;
    let product = engine.linear(&engine.upload(left), &layer, LinearCall::default())?;
    Ok(engine.download(&product))
}
