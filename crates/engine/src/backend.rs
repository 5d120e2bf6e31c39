//! The operations a network is written in. A network is written once, over [`Backend`].
//!
//! Activations are f32. Pictures are `[N, H, W, C]`, token sequences `[N, S, C]`, vectors `[N, C]`;
//! operations that work on the last axis (`linear`, `layer_norm`, `activate`) take any of them.
//! Weights are given once as host tensors and kept by the backend in the layout its kernels like.
//! Nothing here assumes that a backend's tensors are in host memory.

use std::fmt::Debug;

use crate::{Error, Tensor, TokenGrid, TokenMerges, Weight};

/// A tensor that lives where its backend works.
pub trait DeviceTensor: Clone + Debug + Send + Sync {
    /// Sizes, outermost first.
    fn shape(&self) -> &[usize];
}

/// Elementwise functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x * Phi(x)` with the error function.
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x / (1 + exp(-1.702 x))`, as OpenAI's CLIP has it.
    QuickGelu,
    /// `x` above 0, else 0.
    Relu,
}

/// Zeros around a picture before a convolution, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns before.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns after.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub fn all(pixels: usize) -> Self {
        Self {
            top: pixels,
            left: pixels,
            bottom: pixels,
            right: pixels,
        }
    }
}

/// Which keys a query may attend to.
#[derive(Debug, Clone, Copy)]
pub enum AttentionMask<'a> {
    /// All of them.
    None,
    /// Key `j` for query `i` when `j <= i`.
    Causal,
    /// Key `j` where `keys[n * S + j]` is true, for every query of picture `n`.
    Keys(&'a [bool]),
}

/// A group normalisation and what is applied after it.
#[derive(Debug)]
pub struct GroupNorm<'a, B: Backend> {
    /// Scale and shift per channel, from [`Backend::norm_weights`].
    pub weights: &'a B::Norm,
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the normalised values.
    pub activation: Option<Activation>,
    /// Mean and variance of each group, `[N, groups, 2]`, to be taken in place of the input's own; see
    /// [`Backend::group_moments`].
    pub moments: Option<&'a B::Tensor>,
}

impl<B: Backend> Clone for GroupNorm<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for GroupNorm<'_, B> {}

/// Everything around the multiplication of one convolution call, in the order it is applied:
/// normalise the input, enlarge it, pad it, convolve, add bias, add `channel_bias`, activate, add
/// `residual`.
#[derive(Debug)]
pub struct ConvCall<'a, B: Backend> {
    /// Step between output pixels, 1 or 2.
    pub stride: usize,
    /// Zeros around the (normalised, enlarged) input.
    pub padding: Padding,
    /// Size `[h, w]` the input is enlarged to by nearest neighbour, as `floor(y * H / h)`.
    pub enlarge_to: Option<[usize; 2]>,
    /// Normalisation of the input, fused.
    pub norm: Option<GroupNorm<'a, B>>,
    /// `[N, O]`, added to every pixel of its picture.
    pub channel_bias: Option<&'a B::Tensor>,
    /// Applied after the biases.
    pub activation: Option<Activation>,
    /// `[N, H', W', O]`, added last.
    pub residual: Option<&'a B::Tensor>,
}

impl<B: Backend> Default for ConvCall<'_, B> {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: Padding::default(),
            enlarge_to: None,
            norm: None,
            channel_bias: None,
            activation: None,
            residual: None,
        }
    }
}

/// Everything after the multiplication of one linear call: add bias, activate, add `residual`.
#[derive(Debug)]
pub struct LinearCall<'a, B: Backend> {
    /// Applied after the bias.
    pub activation: Option<Activation>,
    /// Of the output's shape, added last.
    pub residual: Option<&'a B::Tensor>,
}

impl<B: Backend> Default for LinearCall<'_, B> {
    fn default() -> Self {
        Self {
            activation: None,
            residual: None,
        }
    }
}

/// How a picture is brought to another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Pixel `floor(y * H / h)`.
    Nearest,
    /// Half-pixel centres, edges repeated, no smoothing when shrinking (torch's
    /// `align_corners=False`).
    Bilinear,
}

/// One place where networks run.
///
/// Every operation checks shapes and fails with [`Error::Shape`] or [`Error::Value`]; none reads
/// or changes anything but its arguments.
pub trait Backend: Debug + Sized {
    /// Activations.
    type Tensor: DeviceTensor;
    /// A convolution's weights and bias, packed. Clones of weights share memory.
    type Conv2d: Clone + Debug + Send + Sync;
    /// A linear layer's weights and bias, packed.
    type Linear: Clone + Debug + Send + Sync;
    /// Scale and shift of a normalisation.
    type Norm: Clone + Debug + Send + Sync;
    /// A table of embeddings. Clones share memory.
    type Table: Clone + Debug + Send + Sync;

    /// Says that `network` runs from here on: for backends that keep account of what runs, nothing to all others.
    fn enter(&self, network: &'static str) {
        let _ = network;
    }

    /// Copies a host tensor in.
    fn upload(&self, tensor: &Tensor) -> Self::Tensor;

    /// Copies a tensor out.
    fn download(&self, tensor: &Self::Tensor) -> Tensor;

    /// Packs `weight` `[O, I, kh, kw]` (`kh`, `kw` 1 to 7) and `bias` `[O]`.
    fn conv2d_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Conv2d, Error>;

    /// Packs `weight` `[O, I]` and `bias` `[O]`.
    fn linear_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Linear, Error>;

    /// Packs a gated layer for [`Backend::geglu`]: `weight` `[2 O, I]` and `bias` `[2 O]`, values
    /// first, gates second.
    fn gated_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<Self::Linear, Error>;

    /// Keeps a table `weight` `[V, C]` for [`Backend::embedding`].
    fn table<'w>(&self, weight: impl Into<Weight<'w>>) -> Result<Self::Table, Error>;

    /// The same weights for a layer that is sensitive to rounding: a backend that rounds factors leaves it exact.
    fn exact_conv2d(&self, weights: Self::Conv2d) -> Self::Conv2d {
        weights
    }

    /// The same of a linear layer.
    fn exact_linear(&self, weights: Self::Linear) -> Self::Linear {
        weights
    }

    /// Keeps the scale `weight` `[C]` and shift `bias` `[C]` of a normalisation.
    fn norm_weights(&self, weight: Tensor, bias: Tensor) -> Result<Self::Norm, Error>;

    /// Convolution of `input` `[N, H, W, I]`; see [`ConvCall`]. Gives `[N, H', W', O]`.
    fn conv2d(
        &self,
        input: &Self::Tensor,
        weights: &Self::Conv2d,
        call: ConvCall<'_, Self>,
    ) -> Result<Self::Tensor, Error>;

    /// `input` `[.., I]` times the weights; see [`LinearCall`]. Gives `[.., O]`.
    fn linear(
        &self,
        input: &Self::Tensor,
        weights: &Self::Linear,
        call: LinearCall<'_, Self>,
    ) -> Result<Self::Tensor, Error>;

    /// `value * gelu(gate)` of a gated layer: `input` `[.., I]` gives `[.., O]`.
    fn geglu(&self, input: &Self::Tensor, weights: &Self::Linear) -> Result<Self::Tensor, Error>;

    /// `softmax(q k^T / sqrt(d)) v` per head. `query` `[N, S, heads * d]`, `key` and `value`
    /// `[N, T, heads * d]`; gives `[N, S, heads * d]`. A query must see at least one key.
    fn attention(
        &self,
        query: &Self::Tensor,
        key: &Self::Tensor,
        value: &Self::Tensor,
        heads: usize,
        mask: AttentionMask<'_>,
    ) -> Result<Self::Tensor, Error>;

    /// Which tokens of `input` `[N, S, C]`, the places of `grid` row by row, are most alike and are to stand for each other:
    /// by the cosine between them, at every precision in f32.
    fn match_tokens(&self, input: &Self::Tensor, grid: TokenGrid) -> Result<TokenMerges, Error>;

    /// Means of the tokens that are merged, and all others: `[N, S, C]` to `[N, S', C]`.
    fn merge_tokens(
        &self,
        input: &Self::Tensor,
        merges: &TokenMerges,
    ) -> Result<Self::Tensor, Error>;

    /// Each token as the one that it was merged into: `[N, S', C]` to `[N, S, C]`.
    fn part_tokens(
        &self,
        input: &Self::Tensor,
        merges: &TokenMerges,
    ) -> Result<Self::Tensor, Error>;

    /// Group normalisation of `input` `[N, H, W, C]`.
    fn group_norm(
        &self,
        input: &Self::Tensor,
        norm: GroupNorm<'_, Self>,
    ) -> Result<Self::Tensor, Error>;

    /// Mean and variance of each of `groups` groups of channels of `input` `[N, H, W, C]`, over all its pixels:
    /// `[N, groups, 2]`. What a group normalisation takes of its input where it is given none.
    fn group_moments(&self, input: &Self::Tensor, groups: usize) -> Result<Self::Tensor, Error>;

    /// Layer normalisation over the last axis.
    fn layer_norm(
        &self,
        input: &Self::Tensor,
        weights: &Self::Norm,
        eps: f32,
    ) -> Result<Self::Tensor, Error>;

    /// An activation by itself.
    fn activate(&self, input: &Self::Tensor, activation: Activation)
    -> Result<Self::Tensor, Error>;

    /// `x` where it is above 0, `slope * x` below: `slopes` `[C]` for `input` `[.., C]` (a parametric ReLU).
    fn prelu(&self, input: &Self::Tensor, slopes: &Self::Tensor) -> Result<Self::Tensor, Error>;

    /// Sum of two tensors of one shape.
    fn add(&self, left: &Self::Tensor, right: &Self::Tensor) -> Result<Self::Tensor, Error>;

    /// Every number times `factor`.
    fn scale(&self, input: &Self::Tensor, factor: f32) -> Result<Self::Tensor, Error>;

    /// Joins `[.., C1]` and `[.., C2]` to `[.., C1 + C2]`.
    fn concat(&self, left: &Self::Tensor, right: &Self::Tensor) -> Result<Self::Tensor, Error>;

    /// Splits `[.., C]` to `[.., at]` and `[.., C - at]`.
    fn split(&self, input: &Self::Tensor, at: usize)
    -> Result<(Self::Tensor, Self::Tensor), Error>;

    /// Brings `[N, H, W, C]` to `size` `[h, w]`.
    fn resize(
        &self,
        input: &Self::Tensor,
        size: [usize; 2],
        how: Resize,
    ) -> Result<Self::Tensor, Error>;

    /// `[N, H, W, C]` to `[N, H/p, W/p, C p p]`, channel `c p p + dy p + dx` as torch's
    /// `pixel_unshuffle`.
    fn space_to_depth(&self, input: &Self::Tensor, patch: usize) -> Result<Self::Tensor, Error>;

    /// The inverse of [`Backend::space_to_depth`].
    fn depth_to_space(&self, input: &Self::Tensor, patch: usize) -> Result<Self::Tensor, Error>;

    /// Rows `ids` of `table` `[V, C]`. `ids` has `rows * S` entries; gives `[rows, S, C]`.
    fn embedding(
        &self,
        table: &Self::Table,
        ids: &[u32],
        rows: usize,
    ) -> Result<Self::Tensor, Error>;

    /// The same numbers under another shape of the same count.
    fn reshape(&self, input: &Self::Tensor, shape: &[usize]) -> Result<Self::Tensor, Error>;
}
