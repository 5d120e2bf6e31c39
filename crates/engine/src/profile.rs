//! Where the time of networks goes: a backend around another that times every operation while it is asked to.
//!
//! Results are those of the backend inside. While nobody asks, an operation costs one look at a flag more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{ConvCall, GroupNorm, LinearCall};
use crate::{
    Activation, AttentionMask, Backend, DeviceTensor, Error, Resize, Tensor, TokenGrid,
    TokenMerges, Weight,
};

/// A backend around another.
#[derive(Debug, Default)]
pub struct Profiled<B> {
    inner: B,
    on: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug, Default)]
struct Tally {
    owner: &'static str,
    network: &'static str,
    operations: BTreeMap<(&'static str, String, String), Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    calls: usize,
    time: Duration,
    flop: f64,
}

/// All calls of one operation on one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The network that ran, behind the words of [`Profiled::start`]; empty before the first.
    pub network: String,
    /// What was called, with what is fused into it.
    pub kind: String,
    /// Sizes: pictures as `height x width x channels`, changes of the channels as `in > out`.
    pub shape: String,
    /// How often.
    pub calls: usize,
    /// In all of them.
    pub seconds: f64,
    /// Floating-point operations of the products in all of them, a multiplication and an addition each: those of the
    /// formula, whatever the algorithm saves. 0 for what multiplies nothing by weights or keys.
    pub flop: f64,
}

/// A layer's weights and their sizes.
#[derive(Debug, Clone)]
pub struct Layer<T> {
    packed: T,
    /// `[O, I, ..]`.
    shape: Vec<usize>,
}

impl<T> Layer<T> {
    /// Weights as `pack` packs them.
    fn of<'w>(
        weight: impl Into<Weight<'w>>,
        pack: impl FnOnce(Weight<'w>) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let weight = weight.into();
        Ok(Self {
            shape: weight.shape().to_vec(),
            packed: pack(weight)?,
        })
    }
}

impl<B: Backend> Profiled<B> {
    /// A backend that is not asked to time anything yet.
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            on: Arc::default(),
            tally: Arc::default(),
        }
    }

    /// Another backend that is timed with this one, to one account.
    pub fn beside(&self, inner: B) -> Self {
        Self {
            inner,
            on: Arc::clone(&self.on),
            tally: Arc::clone(&self.tally),
        }
    }

    /// The backend inside.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Begins to time operations, from nothing. Names of networks are put behind `owner`.
    pub fn start(&self, owner: &'static str) {
        *self.tally() = Tally {
            owner,
            ..Tally::default()
        };
        self.on.store(true, Ordering::Relaxed);
    }

    /// Ends it, and gives what took time, by network, the longest first.
    pub fn stop(&self) -> Vec<Operation> {
        self.on.store(false, Ordering::Relaxed);
        let tally = std::mem::take(&mut *self.tally());
        let operation = |((network, kind, shape), sum): (_, Sum)| Operation {
            network: format!("{}{network}", tally.owner),
            kind,
            shape,
            calls: sum.calls,
            seconds: sum.time.as_secs_f64(),
            flop: sum.flop,
        };
        let mut operations: Vec<_> = tally.operations.into_iter().map(operation).collect();
        operations.sort_by(|one, two| {
            let by_network = one.network.cmp(&two.network);
            by_network.then(two.seconds.total_cmp(&one.seconds))
        });
        operations
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `run`, and times it where that is asked for; `what` says what it is.
    fn timed<T>(&self, what: impl FnOnce() -> What, run: impl FnOnce(&B) -> T) -> T {
        if !self.on.load(Ordering::Relaxed) {
            return run(&self.inner);
        }
        let begin = Instant::now();
        let result = run(&self.inner);
        let time = begin.elapsed();
        let What { kind, shape, flop } = what();
        let mut tally = self.tally();
        let network = tally.network;
        let sum = tally.operations.entry((network, kind, shape)).or_default();
        sum.calls += 1;
        sum.time += time;
        sum.flop += flop;
        result
    }

    /// An operation that has no weights.
    fn plain<T>(&self, kind: &str, input: &B::Tensor, run: impl FnOnce(&B) -> T) -> T {
        self.timed(|| What::plain(kind, joined(input.shape())), run)
    }
}

/// What an operation is.
struct What {
    kind: String,
    shape: String,
    flop: f64,
}

impl What {
    /// What multiplies nothing by weights or keys.
    fn plain(kind: &str, shape: String) -> Self {
        Self {
            kind: kind.to_owned(),
            shape,
            flop: 0.0,
        }
    }
}

/// Sizes behind the first one, which counts pictures and is named where there are several.
fn joined(shape: &[usize]) -> String {
    let sizes = match shape {
        [1, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    sizes.join("x")
}

fn product(shape: &[usize]) -> f64 {
    shape.iter().map(|&side| side as f64).product()
}

fn linear<T>(kind: &str, input: &[usize], weights: &Layer<T>, fused: &[(&str, bool)]) -> What {
    What {
        kind: with(kind.to_owned(), fused),
        shape: format!("{} > {}", joined(input), weights.shape[0]),
        flop: 2.0 * product(input) * weights.shape[0] as f64,
    }
}

/// A kind with what is fused into it.
fn with(kind: String, fused: &[(&str, bool)]) -> String {
    let there = fused.iter().filter(|(_, there)| *there);
    there.fold(kind, |kind, (name, _)| kind + " +" + name)
}

impl<B: Backend> Backend for Profiled<B> {
    type Tensor = B::Tensor;
    type Conv2d = Layer<B::Conv2d>;
    type Linear = Layer<B::Linear>;
    type Norm = B::Norm;
    type Table = B::Table;

    fn enter(&self, network: &'static str) {
        if self.on.load(Ordering::Relaxed) {
            self.tally().network = network;
        }
    }

    fn upload(&self, tensor: &Tensor) -> B::Tensor {
        let what = || What::plain("upload", joined(tensor.shape()));
        self.timed(what, |inner| inner.upload(tensor))
    }

    fn download(&self, tensor: &B::Tensor) -> Tensor {
        self.plain("download", tensor, |inner| inner.download(tensor))
    }

    fn conv2d_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Conv2d, Error> {
        Layer::of(weight, |weight| self.inner.conv2d_weights(weight, bias))
    }

    fn linear_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Linear, Error> {
        Layer::of(weight, |weight| self.inner.linear_weights(weight, bias))
    }

    fn gated_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Linear, Error> {
        Layer::of(weight, |weight| self.inner.gated_weights(weight, bias))
    }

    fn table<'w>(&self, weight: impl Into<Weight<'w>>) -> Result<B::Table, Error> {
        self.inner.table(weight)
    }

    fn exact_conv2d(&self, weights: Self::Conv2d) -> Self::Conv2d {
        Layer {
            packed: self.inner.exact_conv2d(weights.packed),
            shape: weights.shape,
        }
    }

    fn exact_linear(&self, weights: Self::Linear) -> Self::Linear {
        Layer {
            packed: self.inner.exact_linear(weights.packed),
            shape: weights.shape,
        }
    }

    fn norm_weights(&self, weight: Tensor, bias: Tensor) -> Result<B::Norm, Error> {
        self.inner.norm_weights(weight, bias)
    }

    fn conv2d(
        &self,
        input: &B::Tensor,
        weights: &Self::Conv2d,
        call: ConvCall<'_, Self>,
    ) -> Result<B::Tensor, Error> {
        let inner_call = ConvCall {
            stride: call.stride,
            padding: call.padding,
            enlarge_to: call.enlarge_to,
            norm: call.norm.map(unwrapped),
            channel_bias: call.channel_bias,
            activation: call.activation,
            residual: call.residual,
        };
        let output = std::cell::OnceCell::new();
        let what = || {
            let kernel = &weights.shape[2..];
            let stride = match call.stride {
                1 => String::new(),
                stride => format!(" /{stride}"),
            };
            let fused = [
                ("norm", call.norm.is_some()),
                ("enlarge", call.enlarge_to.is_some()),
                ("bias", call.channel_bias.is_some()),
                ("residual", call.residual.is_some()),
            ];
            What {
                kind: with(format!("conv2d {}{stride}", joined(kernel)), &fused),
                shape: format!("{} > {}", joined(input.shape()), weights.shape[0]),
                flop: 2.0 * output.get().copied().unwrap_or(0.0) * product(&weights.shape[1..]),
            }
        };
        self.timed(what, |inner| {
            let made = inner.conv2d(input, &weights.packed, inner_call)?;
            output.get_or_init(|| product(made.shape()));
            Ok(made)
        })
    }

    fn linear(
        &self,
        input: &B::Tensor,
        weights: &Self::Linear,
        call: LinearCall<'_, Self>,
    ) -> Result<B::Tensor, Error> {
        let inner_call = LinearCall {
            activation: call.activation,
            residual: call.residual,
        };
        let fused = [
            ("activation", call.activation.is_some()),
            ("residual", call.residual.is_some()),
        ];
        self.timed(
            || linear("linear", input.shape(), weights, &fused),
            |inner| inner.linear(input, &weights.packed, inner_call),
        )
    }

    fn geglu(&self, input: &B::Tensor, weights: &Self::Linear) -> Result<B::Tensor, Error> {
        self.timed(
            || linear("geglu", input.shape(), weights, &[]),
            |inner| inner.geglu(input, &weights.packed),
        )
    }

    fn attention(
        &self,
        query: &B::Tensor,
        key: &B::Tensor,
        value: &B::Tensor,
        heads: usize,
        mask: AttentionMask<'_>,
    ) -> Result<B::Tensor, Error> {
        let what = || {
            let keys = key.shape().get(1).copied().unwrap_or(0);
            What {
                kind: format!("attention of {heads}"),
                shape: format!("{} to {keys}", joined(query.shape())),
                flop: 4.0 * product(query.shape()) * keys as f64,
            }
        };
        self.timed(what, |inner| {
            inner.attention(query, key, value, heads, mask)
        })
    }

    fn match_tokens(&self, input: &B::Tensor, grid: TokenGrid) -> Result<TokenMerges, Error> {
        let what = || {
            let (sources, targets) = (grid.sources().count(), grid.targets().count());
            let pictures_and_channels = product(input.shape()) / grid.tokens() as f64;
            What {
                kind: "match_tokens".to_owned(),
                shape: joined(input.shape()),
                flop: 2.0 * (sources * targets) as f64 * pictures_and_channels,
            }
        };
        self.timed(what, |inner| inner.match_tokens(input, grid))
    }

    fn merge_tokens(&self, input: &B::Tensor, merges: &TokenMerges) -> Result<B::Tensor, Error> {
        self.plain("merge_tokens", input, |inner| {
            inner.merge_tokens(input, merges)
        })
    }

    fn part_tokens(&self, input: &B::Tensor, merges: &TokenMerges) -> Result<B::Tensor, Error> {
        self.plain("part_tokens", input, |inner| {
            inner.part_tokens(input, merges)
        })
    }

    fn group_norm(&self, input: &B::Tensor, norm: GroupNorm<'_, Self>) -> Result<B::Tensor, Error> {
        let norm = unwrapped(norm);
        self.plain("group_norm", input, |inner| inner.group_norm(input, norm))
    }

    fn group_moments(&self, input: &B::Tensor, groups: usize) -> Result<B::Tensor, Error> {
        self.plain("group_moments", input, |inner| {
            inner.group_moments(input, groups)
        })
    }

    fn layer_norm(
        &self,
        input: &B::Tensor,
        weights: &B::Norm,
        eps: f32,
    ) -> Result<B::Tensor, Error> {
        self.plain("layer_norm", input, |inner| {
            inner.layer_norm(input, weights, eps)
        })
    }

    fn activate(&self, input: &B::Tensor, activation: Activation) -> Result<B::Tensor, Error> {
        self.plain("activate", input, |inner| inner.activate(input, activation))
    }

    fn prelu(&self, input: &B::Tensor, slopes: &B::Tensor) -> Result<B::Tensor, Error> {
        self.plain("prelu", input, |inner| inner.prelu(input, slopes))
    }

    fn add(&self, left: &B::Tensor, right: &B::Tensor) -> Result<B::Tensor, Error> {
        self.plain("add", left, |inner| inner.add(left, right))
    }

    fn scale(&self, input: &B::Tensor, factor: f32) -> Result<B::Tensor, Error> {
        self.plain("scale", input, |inner| inner.scale(input, factor))
    }

    fn concat(&self, left: &B::Tensor, right: &B::Tensor) -> Result<B::Tensor, Error> {
        let what = || {
            let shape = format!("{} + {}", joined(left.shape()), last(right.shape()));
            What::plain("concat", shape)
        };
        self.timed(what, |inner| inner.concat(left, right))
    }

    fn split(&self, input: &B::Tensor, at: usize) -> Result<(B::Tensor, B::Tensor), Error> {
        self.plain("split", input, |inner| inner.split(input, at))
    }

    fn resize(&self, input: &B::Tensor, size: [usize; 2], how: Resize) -> Result<B::Tensor, Error> {
        self.plain("resize", input, |inner| inner.resize(input, size, how))
    }

    fn space_to_depth(&self, input: &B::Tensor, patch: usize) -> Result<B::Tensor, Error> {
        self.plain("space_to_depth", input, |inner| {
            inner.space_to_depth(input, patch)
        })
    }

    fn depth_to_space(&self, input: &B::Tensor, patch: usize) -> Result<B::Tensor, Error> {
        self.plain("depth_to_space", input, |inner| {
            inner.depth_to_space(input, patch)
        })
    }

    fn embedding(&self, table: &B::Table, ids: &[u32], rows: usize) -> Result<B::Tensor, Error> {
        let what = || What::plain("embedding", ids.len().to_string());
        self.timed(what, |inner| inner.embedding(table, ids, rows))
    }

    fn reshape(&self, input: &B::Tensor, shape: &[usize]) -> Result<B::Tensor, Error> {
        self.inner.reshape(input, shape) // copies nothing
    }
}

fn last(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(0)
}

/// The same normalisation for the backend inside.
fn unwrapped<'a, B: Backend>(norm: GroupNorm<'a, Profiled<B>>) -> GroupNorm<'a, B> {
    GroupNorm {
        weights: norm.weights,
        groups: norm.groups,
        eps: norm.eps,
        activation: norm.activation,
        moments: norm.moments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CpuBackend;
    use crate::cpu::Level;

    fn noise(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|k| ((k * 37 % 101) as f32 - 50.0) / 64.0);
        Tensor::new(shape, numbers.collect()).unwrap()
    }

    /// A network of a few operations.
    fn run<B: Backend>(engine: &B) -> Vec<f32> {
        engine.enter("network");
        let conv = engine.conv2d_weights(noise(&[8, 4, 3, 3]), None).unwrap();
        let linear = engine.linear_weights(noise(&[6, 8]), None).unwrap();
        let norm = engine.norm_weights(noise(&[4]), noise(&[4])).unwrap();
        let mut state = engine.upload(&noise(&[2, 10, 12, 4]));
        let call = ConvCall {
            padding: crate::Padding::all(1),
            stride: 2,
            norm: Some(GroupNorm {
                weights: &norm,
                groups: 2,
                eps: 1e-5,
                activation: Some(Activation::Silu),
                moments: None,
            }),
            ..ConvCall::default()
        };
        state = engine.conv2d(&state, &conv, call).unwrap();
        for _ in 0..3 {
            state = engine.add(&state, &state).unwrap();
        }
        state = engine.reshape(&state, &[2, 30, 8]).unwrap();
        state = engine
            .attention(&state, &state, &state, 2, AttentionMask::None)
            .unwrap();
        state = engine
            .linear(&state, &linear, LinearCall::default())
            .unwrap();
        engine.download(&state).into_data()
    }

    #[test]
    fn what_is_timed_is_computed_as_without() {
        let backend = || CpuBackend::new(Level::best(), 2).unwrap();
        let plain = run(&backend());
        let engine = Profiled::new(backend());
        assert_eq!(run(&engine), plain, "not asked to time");
        assert!(engine.stop().is_empty());
        engine.start("a ");
        assert_eq!(run(&engine), plain);
        let operations = engine.stop();
        assert!(operations.iter().all(|one| one.network == "a network"));
        assert!(operations.is_sorted_by(|one, two| one.seconds >= two.seconds));
        let find = |kind: &str| {
            let found = operations.iter().find(|one| one.kind == kind);
            found.map(|one| (one.shape.as_str(), one.calls, one.flop))
        };
        let conv = 2.0 * (2 * 5 * 6 * 8) as f64 * (4 * 9) as f64;
        assert_eq!(
            find("conv2d 3x3 /2 +norm"),
            Some(("2x10x12x4 > 8", 1, conv))
        );
        assert_eq!(find("add"), Some(("2x5x6x8", 3, 0.0)));
        let attention = (4 * 2 * 30 * 8 * 30) as f64;
        assert_eq!(find("attention of 2"), Some(("2x30x8 to 30", 1, attention)));
        assert_eq!(
            find("linear"),
            Some(("2x30x8 > 6", 1, (2 * 60 * 8 * 6) as f64))
        );
        assert_eq!(
            operations.len(),
            6,
            "with upload and download: {operations:?}"
        );
        // Nothing of it is left for the next time.
        engine.start("");
        assert!(engine.stop().is_empty());
    }
}
