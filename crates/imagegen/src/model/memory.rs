//! Memory of a run, found by running the networks on shapes alone: a backend whose tensors hold no
//! numbers and count the bytes that real ones would take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use imagegen_engine::cpu::{Conv2dShape, kept_bytes};
use imagegen_engine::{
    Activation, AttentionMask, Backend, ConvCall, DeviceTensor, Error, GroupNorm, LinearCall,
    Match, Resize, Tensor, TokenGrid, TokenMerges, Weight,
};

/// Bytes of an f32.
const NUMBER: u64 = 4;

/// Counts instead of computing.
#[derive(Debug)]
pub(super) struct Meter {
    tally: Arc<Tally>,
    threads: usize,
}

#[derive(Debug, Default)]
struct Tally {
    weights: AtomicU64,
    transformed: AtomicU64,
    live: AtomicU64,
    peak: AtomicU64,
}

/// A tensor's shape, and its bytes in the tally until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    shape: Vec<usize>,
    _loan: Arc<Loan>,
}

#[derive(Debug)]
struct Loan {
    bytes: u64,
    tally: Arc<Tally>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.tally.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl DeviceTensor for Outline {
    fn shape(&self) -> &[usize] {
        &self.shape
    }
}

/// Sizes of a layer's weights.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    outputs: usize,
    inputs: usize,
    kernel: [usize; 2],
    /// Whether the weights that its algorithm makes of its weights have been counted.
    transformed: Arc<AtomicBool>,
}

impl Meter {
    /// Counts what `threads` threads take.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            tally: Arc::default(),
            threads,
        }
    }

    /// Bytes of all weights.
    pub(super) fn weights(&self) -> u64 {
        self.tally.weights.load(Ordering::Relaxed)
    }

    /// Bytes of what algorithms made of the weights in the runs so far, if all of it were kept.
    pub(super) fn transformed(&self) -> u64 {
        self.tally.transformed.load(Ordering::Relaxed)
    }

    /// Bytes of the tensors that are alive.
    pub(super) fn live(&self) -> u64 {
        self.tally.live.load(Ordering::Relaxed)
    }

    /// Most bytes of tensors that were alive at one time.
    pub(super) fn peak(&self) -> u64 {
        self.tally.peak.load(Ordering::Relaxed)
    }

    /// Looks for the peak anew.
    pub(super) fn restart(&self) {
        self.tally.peak.store(self.live(), Ordering::Relaxed);
    }

    pub(super) fn outline(&self, shape: impl Into<Vec<usize>>) -> Outline {
        let shape = shape.into();
        Outline {
            _loan: Arc::new(self.lend(&shape)),
            shape,
        }
    }

    /// What the CPU's algorithm for a convolution takes while it runs, and once for all.
    fn algorithm(&self, layer: &Layer, output: [usize; 2], stride: usize) -> Loan {
        let shape = Conv2dShape {
            inputs: layer.inputs,
            outputs: layer.outputs,
            kernel: layer.kernel,
            output,
            stride,
        };
        let extra = shape.extra();
        if extra.weights > 0 && !layer.transformed.swap(true, Ordering::Relaxed) {
            let bytes = extra.weights as u64 * NUMBER;
            self.tally.transformed.fetch_add(bytes, Ordering::Relaxed);
        }
        self.lend(&[self.threads * extra.per_thread + extra.per_call])
    }

    fn lend(&self, shape: &[usize]) -> Loan {
        let bytes = shape.iter().map(|&side| side as u64).product::<u64>() * NUMBER;
        let live = self.tally.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.tally.peak.fetch_max(live, Ordering::Relaxed);
        Loan {
            bytes,
            tally: Arc::clone(&self.tally),
        }
    }

    fn weigh(&self, weight: &Weight<'_>, bias: Option<&Tensor>) {
        let biases = bias.map_or(0, |bias| bias.data().len()) as u64 * NUMBER;
        let bytes = kept_bytes(weight) as u64 + biases;
        self.tally.weights.fetch_add(bytes, Ordering::Relaxed);
    }

    fn layer<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<&Tensor>,
        gated: bool,
    ) -> Result<Layer, Error> {
        let weight = weight.into();
        self.weigh(&weight, bias);
        let (outputs, inputs, kernel) = match *weight.shape() {
            [outputs, inputs] => (outputs, inputs, [1, 1]),
            [outputs, inputs, height, width] => (outputs, inputs, [height, width]),
            _ => {
                return Err(Error::shape(
                    "weight",
                    weight.shape(),
                    "[O, I] or [O, I, kh, kw]",
                ));
            }
        };
        Ok(Layer {
            outputs: if gated { outputs / 2 } else { outputs },
            inputs,
            kernel,
            transformed: Arc::default(),
        })
    }

    /// An output like `input` with another last axis.
    fn with_last(&self, input: &Outline, last: usize) -> Result<Outline, Error> {
        let mut shape = input.shape.clone();
        let end = shape.last_mut();
        *end.ok_or_else(|| Error::shape("input", &[], "[.., C]"))? = last;
        Ok(self.outline(shape))
    }
}

/// The size of the last axis.
fn last(tensor: &Outline) -> usize {
    tensor.shape.last().copied().unwrap_or(0)
}

fn nhwc(tensor: &Outline) -> Result<[usize; 4], Error> {
    let shape = tensor.shape.as_slice();
    <[usize; 4]>::try_from(shape).map_err(|_| Error::shape("input", shape, "[N, H, W, C]"))
}

impl Backend for Meter {
    type Tensor = Outline;
    type Conv2d = Layer;
    type Linear = Layer;
    type Norm = ();
    /// Width of its rows.
    type Table = usize;

    fn upload(&self, tensor: &Tensor) -> Outline {
        self.outline(tensor.shape())
    }

    fn download(&self, tensor: &Outline) -> Tensor {
        Tensor::zeros(tensor.shape.clone())
    }

    fn conv2d_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Layer, Error> {
        self.layer(weight, bias.as_ref(), false)
    }

    fn linear_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Layer, Error> {
        self.layer(weight, bias.as_ref(), false)
    }

    fn gated_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Layer, Error> {
        self.layer(weight, bias.as_ref(), true)
    }

    fn table<'w>(&self, weight: impl Into<Weight<'w>>) -> Result<usize, Error> {
        let weight = weight.into();
        self.weigh(&weight, None);
        Ok(weight.shape().last().copied().unwrap_or(0))
    }

    fn norm_weights(&self, weight: Tensor, bias: Tensor) -> Result<(), Error> {
        let numbers = weight.data().len() + bias.data().len();
        let bytes = numbers as u64 * NUMBER;
        self.tally.weights.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn conv2d(
        &self,
        input: &Outline,
        layer: &Layer,
        call: ConvCall<'_, Self>,
    ) -> Result<Outline, Error> {
        let [n, h, w, _] = nhwc(input)?;
        let [h, w] = call.enlarge_to.unwrap_or([h, w]);
        let padding = call.padding;
        let bordered = [
            h + padding.top + padding.bottom,
            w + padding.left + padding.right,
        ];
        let side = |axis: usize| {
            let free = bordered[axis].checked_sub(layer.kernel[axis]);
            let free = free.ok_or_else(|| {
                Error::shape(
                    "conv2d input",
                    &input.shape,
                    "sides of at least the kernel's",
                )
            })?;
            Ok::<_, Error>(free / call.stride.max(1) + 1)
        };
        let output = [side(0)?, side(1)?];
        let _working = self.algorithm(layer, output, call.stride);
        Ok(self.outline([n, output[0], output[1], layer.outputs]))
    }

    fn linear(
        &self,
        input: &Outline,
        layer: &Layer,
        _: LinearCall<'_, Self>,
    ) -> Result<Outline, Error> {
        self.with_last(input, layer.outputs)
    }

    fn geglu(&self, input: &Outline, layer: &Layer) -> Result<Outline, Error> {
        self.with_last(input, layer.outputs)
    }

    fn attention(
        &self,
        query: &Outline,
        key: &Outline,
        value: &Outline,
        _: usize,
        _: AttentionMask<'_>,
    ) -> Result<Outline, Error> {
        // Keys and values are packed for the kernels.
        let _packed = [self.lend(&key.shape), self.lend(&value.shape)];
        Ok(self.outline(query.shape.clone()))
    }

    /// Of sources that are all alike: how many tokens are merged is known without looking.
    fn match_tokens(&self, input: &Outline, grid: TokenGrid) -> Result<TokenMerges, Error> {
        let pictures = input.shape.first().copied().unwrap_or(0);
        let alike = vec![Match::default(); pictures * grid.sources().count()];
        TokenMerges::new(grid, &alike)
    }

    fn merge_tokens(&self, input: &Outline, merges: &TokenMerges) -> Result<Outline, Error> {
        let [pictures, tokens] = merges.merged_shape();
        Ok(self.outline([pictures, tokens, last(input)]))
    }

    fn part_tokens(&self, input: &Outline, merges: &TokenMerges) -> Result<Outline, Error> {
        let [pictures, tokens] = merges.whole_shape();
        Ok(self.outline([pictures, tokens, last(input)]))
    }

    fn group_norm(&self, input: &Outline, _: GroupNorm<'_, Self>) -> Result<Outline, Error> {
        Ok(self.outline(input.shape.clone()))
    }

    fn group_moments(&self, input: &Outline, groups: usize) -> Result<Outline, Error> {
        let [n, ..] = nhwc(input)?;
        Ok(self.outline([n, groups, 2]))
    }

    fn layer_norm(&self, input: &Outline, (): &(), _: f32) -> Result<Outline, Error> {
        Ok(self.outline(input.shape.clone()))
    }

    fn activate(&self, input: &Outline, _: Activation) -> Result<Outline, Error> {
        Ok(self.outline(input.shape.clone()))
    }

    fn prelu(&self, input: &Outline, _: &Outline) -> Result<Outline, Error> {
        Ok(self.outline(input.shape.clone()))
    }

    fn add(&self, left: &Outline, _: &Outline) -> Result<Outline, Error> {
        Ok(self.outline(left.shape.clone()))
    }

    fn scale(&self, input: &Outline, _: f32) -> Result<Outline, Error> {
        Ok(self.outline(input.shape.clone()))
    }

    fn concat(&self, left: &Outline, right: &Outline) -> Result<Outline, Error> {
        self.with_last(left, last(left) + last(right))
    }

    fn split(&self, input: &Outline, at: usize) -> Result<(Outline, Outline), Error> {
        Ok((
            self.with_last(input, at)?,
            self.with_last(input, last(input).saturating_sub(at))?,
        ))
    }

    fn resize(&self, input: &Outline, [h, w]: [usize; 2], _: Resize) -> Result<Outline, Error> {
        let [n, _, _, c] = nhwc(input)?;
        Ok(self.outline([n, h, w, c]))
    }

    fn space_to_depth(&self, input: &Outline, patch: usize) -> Result<Outline, Error> {
        let [n, h, w, c] = nhwc(input)?;
        Ok(self.outline([n, h / patch, w / patch, c * patch * patch]))
    }

    fn depth_to_space(&self, input: &Outline, patch: usize) -> Result<Outline, Error> {
        let [n, h, w, c] = nhwc(input)?;
        Ok(self.outline([n, h * patch, w * patch, c / (patch * patch)]))
    }

    fn embedding(&self, &width: &usize, ids: &[u32], rows: usize) -> Result<Outline, Error> {
        Ok(self.outline([rows, ids.len() / rows.max(1), width]))
    }

    fn reshape(&self, input: &Outline, shape: &[usize]) -> Result<Outline, Error> {
        Ok(Outline {
            shape: shape.to_vec(),
            _loan: Arc::clone(&input._loan),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_what_lives_at_one_time() {
        let meter = Meter::new(1);
        let one = meter.outline([10]);
        let clone = one.clone();
        drop(one);
        let two = meter.outline([5, 5]);
        assert_eq!(meter.peak(), (10 + 25) * NUMBER);
        drop((clone, two));
        let _three = meter.outline([30]);
        assert_eq!(
            meter.peak(),
            (10 + 25) * NUMBER,
            "nothing else lives beside it"
        );
    }

    #[test]
    fn transformed_weights_count_once_and_spectra_for_each_thread() {
        let meter = Meter::new(2);
        let count = 64 * 64 * 9;
        let weight = |number: f32| Tensor::new([64, 64, 3, 3], vec![number; count]).unwrap();
        meter.conv2d_weights(weight(0.1), None).unwrap();
        assert_eq!(meter.weights(), count as u64 * 4);
        let layer = meter.conv2d_weights(weight(0.5), None).unwrap();
        let plain = count as u64 * (4 + 2);
        assert_eq!(meter.weights(), plain);
        let run = |side: usize, stride| {
            let input = meter.outline([1, side, side, 64]);
            let call = ConvCall {
                stride,
                padding: imagegen_engine::Padding::all(1),
                ..ConvCall::default()
            };
            meter.conv2d(&input, &layer, call).unwrap()
        };
        let output = run(32, 2);
        assert_eq!(output.shape(), [1, 16, 16, 64]);
        assert_eq!(meter.transformed(), 0, "stride 2 is direct");
        run(32, 1);
        run(32, 1);
        assert_eq!(meter.transformed(), 64 * 64 * 36 * NUMBER);
        assert_eq!(meter.weights(), plain);
        // 8 tiles across, 4 rows of tiles in a piece, whose channels lie 80 numbers apart, and their products, beside the
        // filters of the call, input and outputs.
        let (spectra, filters) = (2 * 36 * 32 * (80 + 64), 64 * 64 * 36);
        let numbers = 2 * 32 * 32 * 64 + spectra + filters + 16 * 16 * 64;
        assert_eq!(meter.peak(), numbers * NUMBER);
    }
}
