//! The CPU backend: f32 kernels for AVX-512, AVX2 and everything else, with one arithmetic.
//!
//! Every sum has one fixed order (see the `simd` module), so results do not depend on the instruction set,
//! on the number of threads or on how work was cut. Operations split their output into pieces; a
//! piece is one call of a kernel at the backend's [`Level`].

mod attention;
mod conv2d;
mod kept;
mod layout;
mod linear;
mod math;
mod memory;
mod merging;
mod norm;
mod numbers;
mod pages;
mod precision;
mod simd;
mod table;

pub use conv2d::{CpuConv2d, Extra as Conv2dExtra, Shape as Conv2dShape};
pub use linear::CpuLinear;
pub use memory::{CpuTensor, buffer_bytes};
pub use norm::CpuNorm;
pub use numbers::kept_bytes;
pub use precision::Precision;
pub use simd::Level;
pub use table::CpuTable;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::backend::{ConvCall, GroupNorm, LinearCall};
use crate::{
    Activation, AttentionMask, Backend, DeviceTensor, Error, Resize, Tensor, TokenGrid,
    TokenMerges, Weight,
};
use attention::Mask;
use kept::Budget;
use layout::Patches;
use memory::{Buffer, Recycler};
use norm::{LayerNormPiece, MOMENT_BLOCK, Moments};
use simd::{Bfloats, Kernel, LANES, Lanes, Rect, Singles, rectangles};

/// Networks on the CPU.
#[derive(Debug)]
pub struct CpuBackend {
    level: Level,
    precision: Precision,
    pool: Arc<rayon::ThreadPool>,
    recycler: Arc<Recycler>,
    budget: Budget,
}

impl CpuBackend {
    /// Bytes of transformed weights that a backend keeps where nothing else is said: 1 GiB.
    pub const KEPT: usize = 1 << 30;

    /// A backend at `level` with `threads` threads (at least 1).
    ///
    /// Fails with [`Error::Value`] when this CPU lacks the level or threads cannot be started.
    pub fn new(level: Level, threads: usize) -> Result<Self, Error> {
        if !level.is_available() {
            let names: Vec<_> = Level::available().into_iter().map(Level::name).collect();
            return Err(Error::value(
                "cpu level",
                level,
                names.join(" or ") + " on this machine",
            ));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|index| format!("engine-{index}"))
            .build()
            .map_err(|error| Error::value("threads", threads, format!("a number ({error})")))?;
        Ok(Self {
            level,
            precision: Precision::F32,
            pool: Arc::new(pool),
            recycler: Arc::default(),
            budget: Budget::new(Self::KEPT),
        })
    }

    /// The same, but for `bytes` of transformed weights at most that are kept between calls. More are faster, as far as
    /// there are layers to use them; results are the same. For a backend that has not run yet.
    pub fn keeping(self, bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes),
            ..self
        }
    }

    /// This backend at another precision: with the same threads, buffers and kept weights. Tensors and weights of one
    /// are those of the other.
    #[must_use]
    pub fn at(&self, precision: Precision) -> Self {
        Self {
            level: self.level,
            precision,
            pool: Arc::clone(&self.pool),
            recycler: Arc::clone(&self.recycler),
            budget: self.budget.clone(),
        }
    }

    /// In what it multiplies.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// In what a layer is multiplied.
    fn precision_of(&self, exact: bool) -> Precision {
        match exact {
            true => Precision::F32,
            false => self.precision,
        }
    }

    /// The instruction set in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The number of threads in use.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Bytes that it holds between calls, to use them again: buffers of tensors that are gone, and transformed weights.
    pub fn held_bytes(&self) -> usize {
        self.recycler.idle_bytes() + self.budget.kept()
    }

    /// Lets go of the buffers of tensors that are gone. For the end of a row of calls, when others may need the memory;
    /// results are the same.
    pub fn rest(&self) {
        self.recycler.rest();
    }

    fn buffer(&self, len: usize) -> Buffer {
        self.recycler.take(len)
    }

    /// Runs `work` on every piece, on all threads.
    fn each<P: Send>(&self, pieces: Vec<P>, work: impl Fn(P) + Sync) {
        self.pool
            .install(|| pieces.into_par_iter().with_max_len(1).for_each(&work));
    }

    /// Pieces of work enough that no thread waits long for another one.
    fn pieces_wanted(&self) -> usize {
        const PER_THREAD: usize = 4;
        PER_THREAD * self.threads()
    }

    /// How many of `outputs` columns, in panels of `width`, each of so many pieces of rows takes at a time. They are only cut
    /// where rows are few: each piece lays out its rows anew. Any number gives the same results.
    fn columns_per_piece(&self, outputs: usize, width: usize, row_pieces: usize) -> usize {
        const LEAST_PANELS: usize = 2;
        let panels = outputs.div_ceil(width).max(1);
        let parts = self.pieces_wanted().div_ceil(row_pieces.max(1)).min(panels);
        panels.div_ceil(parts).max(LEAST_PANELS) * width
    }

    /// Fills an output of `shape` row block by row block; `work` gets the index of its first row
    /// and the rows, each as long as the last axis.
    fn by_rows(
        &self,
        shape: &[usize],
        rows_per_piece: usize,
        work: impl Fn(usize, &mut [f32]) + Sync,
    ) -> CpuTensor {
        let row = shape.last().copied().unwrap_or(1).max(1);
        let mut buffer = self.buffer(shape.iter().product());
        let pieces = buffer
            .as_mut_slice()
            .chunks_mut(row * rows_per_piece)
            .enumerate()
            .collect();
        self.each(pieces, |(index, rows)| work(index * rows_per_piece, rows));
        CpuTensor::new(shape, buffer)
    }

    /// Scale and shift per picture and channel that a group normalisation comes down to, `[N, C]`.
    fn group_scales(
        &self,
        input: &CpuTensor,
        norm: GroupNorm<'_, Self>,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let [n, _, _, channels] = nhwc("group_norm input", input)?;
        if norm.weights.weight.len() != channels {
            let expected = format!("[N, H, W, {}]", norm.weights.weight.len());
            return Err(Error::shape("group_norm input", input.shape(), expected));
        }
        check_groups(channels, norm.groups)?;
        let moments = match norm.moments {
            None => self.moments(input, norm.groups)?,
            Some(moments) => {
                check_same("group_norm moments", Some(moments), &[n, norm.groups, 2])?;
                let pairs = moments.data().chunks_exact(2);
                pairs.map(|pair| (pair[0].into(), pair[1].into())).collect()
            }
        };
        let (mut scale, mut shift) = (Vec::with_capacity(n * channels), vec![]);
        let size = channels / norm.groups;
        for picture in moments.chunks_exact(norm.groups) {
            for (group, (mean, variance)) in picture.iter().enumerate() {
                let factor = 1.0 / (variance + f64::from(norm.eps)).sqrt();
                for c in group * size..(group + 1) * size {
                    let by = f64::from(norm.weights.weight[c]) * factor;
                    scale.push(by as f32);
                    shift.push((f64::from(norm.weights.bias[c]) - mean * by) as f32);
                }
            }
        }
        Ok((scale, shift))
    }

    /// Mean and variance of each group of each picture, `[N, groups]`.
    fn moments(&self, input: &CpuTensor, groups: usize) -> Result<Vec<(f64, f64)>, Error> {
        let [n, h, w, channels] = nhwc("group_norm input", input)?;
        check_groups(channels, groups)?;
        let pixels = h * w;
        let blocks = pixels.div_ceil(MOMENT_BLOCK);
        let mut moments = self.buffer(n * blocks * 2 * channels);
        let pieces = moments
            .as_mut_slice()
            .chunks_mut(2 * channels)
            .enumerate()
            .collect();
        self.each(pieces, |(index, out): (usize, &mut [f32])| {
            let (picture, block) = (index / blocks, index % blocks);
            let first = picture * pixels + block * MOMENT_BLOCK;
            let count = MOMENT_BLOCK.min(pixels - block * MOMENT_BLOCK);
            let input = &input.data()[first * channels..][..count * channels];
            self.level.run(Moments {
                input,
                channels,
                out,
            });
        });
        let size = channels / groups;
        let pictures = moments.as_slice().chunks_exact(blocks * 2 * channels);
        let joined = pictures.flat_map(|picture| {
            let members = (0..groups).map(move |group| group * size..(group + 1) * size);
            members.map(move |members| norm::join_moments(picture, pixels, channels, members))
        });
        Ok(joined.collect())
    }

    fn map<K: Map + Sync>(&self, input: &CpuTensor, map: K) -> CpuTensor {
        let flat = [input.data().len()];
        self.by_rows(&[flat[0], 1], 1 << 14, |first, out| {
            let input = &input.data()[first..first + out.len()];
            self.level.run(MapPiece {
                input,
                map: &map,
                out,
            });
        })
        .with_shape(input.shape())
    }

    fn patches(
        &self,
        input: &CpuTensor,
        sizes: [usize; 5],
        way: Patches,
        shape: [usize; 4],
    ) -> CpuTensor {
        let [n, h, w, channels, patch] = sizes;
        let mut buffer = self.buffer(input.data().len());
        let size = (input.data().len() / n.max(1)).max(1);
        let pictures = input.data().chunks_exact(size);
        let pieces = pictures
            .zip(buffer.as_mut_slice().chunks_exact_mut(size))
            .collect();
        self.each(pieces, |(input, out)| {
            layout::patches(input, [h, w, channels, patch], way, out);
        });
        CpuTensor::new(shape, buffer)
    }
}

/// `range` cut into blocks of `size`.
fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size.max(1))
        .map(move |first| first..(first + size).min(end))
}

/// Fails unless `groups` groups can be made of so many channels.
fn check_groups(channels: usize, groups: usize) -> Result<(), Error> {
    if groups == 0 || !channels.is_multiple_of(groups) {
        let expected = format!("a divisor of {channels} channels");
        return Err(Error::value("group_norm groups", groups, expected));
    }
    Ok(())
}

/// Fails where a tensor holds no numbers.
fn check_filled(subject: &str, tensor: &CpuTensor) -> Result<(), Error> {
    if tensor.data().is_empty() {
        return Err(Error::shape(subject, tensor.shape(), "sizes above 0"));
    }
    Ok(())
}

fn nhwc(subject: &str, tensor: &CpuTensor) -> Result<[usize; 4], Error> {
    check_filled(subject, tensor)?;
    <[usize; 4]>::try_from(tensor.shape())
        .map_err(|_| Error::shape(subject, tensor.shape(), "[N, H, W, C]"))
}

fn check_same(subject: &str, tensor: Option<&CpuTensor>, shape: &[usize]) -> Result<(), Error> {
    match tensor {
        Some(tensor) if tensor.shape() != shape => {
            Err(Error::shape(subject, tensor.shape(), format!("{shape:?}")))
        }
        _ => Ok(()),
    }
}

/// An elementwise function of one tensor.
trait Map {
    fn apply<L: Lanes>(&self, lanes: L, x: L::V) -> L::V;
}

struct Activate(Activation);

impl Map for Activate {
    #[inline(always)]
    fn apply<L: Lanes>(&self, lanes: L, x: L::V) -> L::V {
        math::activate(lanes, x, self.0)
    }
}

struct Scale(f32);

impl Map for Scale {
    #[inline(always)]
    fn apply<L: Lanes>(&self, lanes: L, x: L::V) -> L::V {
        lanes.mul(x, lanes.splat(self.0))
    }
}

struct MapPiece<'a, K> {
    input: &'a [f32],
    map: &'a K,
    out: &'a mut [f32],
}

impl<K: Map> Kernel for MapPiece<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        for (from, to) in self.input.chunks(LANES).zip(self.out.chunks_mut(LANES)) {
            lanes.store_part(self.map.apply(lanes, lanes.load_part(from)), to);
        }
    }
}

/// Normalises rows of pixels that were copied to `out`.
struct NormPiece<'a> {
    out: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Option<Activation>,
}

impl Kernel for NormPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        for pixel in self.out.chunks_exact_mut(self.scale.len()) {
            conv2d::normalize(lanes, pixel, self.scale, self.shift, self.activation);
        }
    }
}

impl Backend for CpuBackend {
    type Tensor = CpuTensor;
    type Conv2d = CpuConv2d;
    type Linear = CpuLinear;
    type Norm = CpuNorm;
    type Table = CpuTable;

    fn upload(&self, tensor: &Tensor) -> CpuTensor {
        let mut buffer = self.buffer(tensor.data().len());
        buffer.as_mut_slice().copy_from_slice(tensor.data());
        CpuTensor::new(tensor.shape(), buffer)
    }

    fn download(&self, tensor: &CpuTensor) -> Tensor {
        Tensor::new(tensor.shape(), tensor.data().to_vec()).expect("a tensor's own shape fits it")
    }

    fn conv2d_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<CpuConv2d, Error> {
        CpuConv2d::pack(self, &weight.into(), bias.as_ref())
    }

    fn linear_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<CpuLinear, Error> {
        CpuLinear::pack(self, &weight.into(), bias.as_ref(), false)
    }

    fn gated_weights<'w>(
        &self,
        weight: impl Into<Weight<'w>>,
        bias: Option<Tensor>,
    ) -> Result<CpuLinear, Error> {
        CpuLinear::pack(self, &weight.into(), bias.as_ref(), true)
    }

    fn table<'w>(&self, weight: impl Into<Weight<'w>>) -> Result<CpuTable, Error> {
        CpuTable::pack(self, &weight.into())
    }

    fn exact_conv2d(&self, mut weights: CpuConv2d) -> CpuConv2d {
        weights.exact = true;
        weights
    }

    fn exact_linear(&self, mut weights: CpuLinear) -> CpuLinear {
        weights.exact = true;
        weights
    }

    fn norm_weights(&self, weight: Tensor, bias: Tensor) -> Result<CpuNorm, Error> {
        let &[channels] = weight.shape() else {
            return Err(Error::shape("norm weight", weight.shape(), "[C]"));
        };
        linear::check_sizes("norm weight", weight.shape())?;
        linear::check_bias("norm bias", Some(&bias), channels)?;
        Ok(CpuNorm {
            weight: weight.into_data(),
            bias: bias.into_data(),
        })
    }

    fn conv2d(
        &self,
        input: &CpuTensor,
        weights: &CpuConv2d,
        call: ConvCall<'_, Self>,
    ) -> Result<CpuTensor, Error> {
        self.run_conv2d(input, weights, call)
    }

    fn linear(
        &self,
        input: &CpuTensor,
        weights: &CpuLinear,
        call: LinearCall<'_, Self>,
    ) -> Result<CpuTensor, Error> {
        if weights.gates.is_some() {
            return Err(Error::value(
                "linear weights",
                "gated",
                "plain ones (use geglu)",
            ));
        }
        self.run_linear(input, weights, call.activation, call.residual)
    }

    fn geglu(&self, input: &CpuTensor, weights: &CpuLinear) -> Result<CpuTensor, Error> {
        if weights.gates.is_none() {
            return Err(Error::value("geglu weights", "plain", "gated ones"));
        }
        self.run_linear(input, weights, None, None)
    }

    fn attention(
        &self,
        query: &CpuTensor,
        key: &CpuTensor,
        value: &CpuTensor,
        heads: usize,
        mask: AttentionMask<'_>,
    ) -> Result<CpuTensor, Error> {
        let (&[n, queries, width], &[key_n, keys, key_width]) = (query.shape(), key.shape()) else {
            return Err(Error::shape(
                "attention query",
                query.shape(),
                "[N, S, heads * d]",
            ));
        };
        if key_n != n || key_width != width || keys == 0 {
            let expected = format!("[{n}, T, {width}]");
            return Err(Error::shape("attention key", key.shape(), expected));
        }
        check_filled("attention query", query)?;
        check_same("attention value", Some(value), key.shape())?;
        if heads == 0 || width % heads != 0 {
            let expected = format!("a divisor of {width} channels");
            return Err(Error::value("attention heads", heads, expected));
        }
        let mask = match mask {
            AttentionMask::None => Mask::None,
            AttentionMask::Causal => Mask::Causal,
            AttentionMask::Keys(seen) if seen.len() == n * keys => {
                if seen
                    .chunks_exact(keys)
                    .any(|picture| !picture.contains(&true))
                {
                    let expected = "at least one key for each picture";
                    return Err(Error::value("attention mask", "without any key", expected));
                }
                Mask::Keys(seen)
            }
            AttentionMask::Keys(seen) => {
                let expected = format!("{} keys", n * keys);
                return Err(Error::value("attention mask", seen.len(), expected));
            }
        };
        let geometry = attention::Geometry {
            queries,
            keys,
            heads,
            depth: width / heads,
        };
        let tensors = [query, key, value];
        Ok(match self.precision {
            Precision::F32 | Precision::Int8 => self.attend::<Singles>(n, geometry, tensors, mask),
            Precision::Bf16 => self.attend::<Bfloats>(n, geometry, tensors, mask),
        })
    }

    fn match_tokens(&self, input: &CpuTensor, grid: TokenGrid) -> Result<TokenMerges, Error> {
        self.matched(input, grid)
    }

    fn merge_tokens(&self, input: &CpuTensor, merges: &TokenMerges) -> Result<CpuTensor, Error> {
        self.merged(input, merges)
    }

    fn part_tokens(&self, input: &CpuTensor, merges: &TokenMerges) -> Result<CpuTensor, Error> {
        self.parted(input, merges)
    }

    fn group_norm(&self, input: &CpuTensor, norm: GroupNorm<'_, Self>) -> Result<CpuTensor, Error> {
        let (scale, shift) = self.group_scales(input, norm)?;
        let [_, h, w, channels] = nhwc("group_norm input", input)?;
        let shape = [input.data().len() / channels, channels];
        // A piece never crosses a picture: it is a divisor-free block of one picture's rows.
        let out = self.by_rows(&shape, w, |first, out| {
            let picture = first / (h * w) * channels;
            out.copy_from_slice(&input.data()[first * channels..][..out.len()]);
            let (scale, shift) = (&scale[picture..][..channels], &shift[picture..][..channels]);
            self.level.run(NormPiece {
                out,
                scale,
                shift,
                activation: norm.activation,
            });
        });
        Ok(out.with_shape(input.shape()))
    }

    fn group_moments(&self, input: &CpuTensor, groups: usize) -> Result<CpuTensor, Error> {
        let moments = self.moments(input, groups)?;
        let mut buffer = self.buffer(2 * moments.len());
        let pairs = buffer.as_mut_slice().chunks_exact_mut(2);
        for (pair, (mean, variance)) in pairs.zip(&moments) {
            pair.copy_from_slice(&[*mean as f32, *variance as f32]);
        }
        let shape = [moments.len() / groups, groups, 2];
        Ok(CpuTensor::new(shape, buffer))
    }

    fn layer_norm(
        &self,
        input: &CpuTensor,
        weights: &CpuNorm,
        eps: f32,
    ) -> Result<CpuTensor, Error> {
        let channels = weights.weight.len();
        check_filled("layer_norm input", input)?;
        if input.shape().last() != Some(&channels) {
            let expected = format!("[.., {channels}]");
            return Err(Error::shape("layer_norm input", input.shape(), expected));
        }
        let mut buffer = self.buffer(input.data().len());
        let rows = blocks(0..input.data().len() / channels, 64);
        let pieces = rectangles(buffer.as_mut_slice(), channels, rows, channels);
        self.each(pieces, |out: Rect<'_>| {
            self.level.run(LayerNormPiece {
                input: input.data(),
                norm: weights,
                eps,
                out,
            });
        });
        Ok(CpuTensor::new(input.shape(), buffer))
    }

    fn activate(&self, input: &CpuTensor, activation: Activation) -> Result<CpuTensor, Error> {
        Ok(self.map(input, Activate(activation)))
    }

    fn prelu(&self, input: &CpuTensor, slopes: &CpuTensor) -> Result<CpuTensor, Error> {
        check_filled("prelu input", input)?;
        let Some(&channels) = input.shape().last() else {
            return Err(Error::shape("prelu input", input.shape(), "[.., C]"));
        };
        check_same("prelu slopes", Some(slopes), &[channels])?;
        Ok(self.by_rows(input.shape(), 1 << 10, |first, out| {
            let input = &input.data()[first * channels..][..out.len()];
            let pixels = out.chunks_exact_mut(channels);
            for (out, input) in pixels.zip(input.chunks_exact(channels)) {
                for ((out, &x), &slope) in out.iter_mut().zip(input).zip(slopes.data()) {
                    // Below and not "not above", so that a NaN stays one.
                    *out = if x < 0.0 { slope * x } else { x };
                }
            }
        }))
    }

    fn add(&self, left: &CpuTensor, right: &CpuTensor) -> Result<CpuTensor, Error> {
        check_same("add right", Some(right), left.shape())?;
        let flat = [left.data().len(), 1];
        let out = self.by_rows(&flat, 1 << 14, |first, out| {
            let range = first..first + out.len();
            let pairs = left.data()[range.clone()].iter().zip(&right.data()[range]);
            for (out, (left, right)) in out.iter_mut().zip(pairs) {
                *out = left + right;
            }
        });
        Ok(out.with_shape(left.shape()))
    }

    fn scale(&self, input: &CpuTensor, factor: f32) -> Result<CpuTensor, Error> {
        Ok(self.map(input, Scale(factor)))
    }

    fn concat(&self, left: &CpuTensor, right: &CpuTensor) -> Result<CpuTensor, Error> {
        check_filled("concat left", left)?;
        check_filled("concat right", right)?;
        let (Some((&a, outer)), Some((&b, other))) =
            (left.shape().split_last(), right.shape().split_last())
        else {
            return Err(Error::shape("concat left", left.shape(), "[.., C]"));
        };
        if outer != other {
            let expected = format!("{outer:?} and channels");
            return Err(Error::shape("concat right", right.shape(), expected));
        }
        let shape: Vec<_> = outer.iter().copied().chain([a + b]).collect();
        Ok(self.by_rows(&shape, 256, |first, out| {
            let rows = out.len() / (a + b);
            let left = &left.data()[first * a..(first + rows) * a];
            let right = &right.data()[first * b..(first + rows) * b];
            layout::concat(left, right, [a, b], out);
        }))
    }

    fn split(&self, input: &CpuTensor, at: usize) -> Result<(CpuTensor, CpuTensor), Error> {
        check_filled("split input", input)?;
        let Some((&width, outer)) = input
            .shape()
            .split_last()
            .filter(|(w, _)| (1..**w).contains(&at))
        else {
            let expected = format!("[.., C] with more than {at} channels");
            return Err(Error::shape("split input", input.shape(), expected));
        };
        let part = |start: usize, count: usize| {
            let shape: Vec<_> = outer.iter().copied().chain([count]).collect();
            self.by_rows(&shape, 256, |first, out| {
                let rows = out.len() / count;
                let input = &input.data()[first * width..(first + rows) * width];
                layout::columns(input, width, start, count, out);
            })
        };
        Ok((part(0, at), part(at, width - at)))
    }

    fn resize(&self, input: &CpuTensor, size: [usize; 2], how: Resize) -> Result<CpuTensor, Error> {
        let [n, h, w, channels] = nhwc("resize input", input)?;
        if size.contains(&0) {
            return Err(Error::value(
                "resize",
                format!("{h}x{w} to {size:?}"),
                "sizes above 0",
            ));
        }
        let out = self.by_rows(&[n * size[0], size[1] * channels], 1, |row, out| {
            let (picture, y) = (row / size[0], row % size[0]);
            let input = &input.data()[picture * h * w * channels..][..h * w * channels];
            layout::resize_row(input, [h, w], channels, size, how, y, out);
        });
        Ok(out.with_shape([n, size[0], size[1], channels]))
    }

    fn space_to_depth(&self, input: &CpuTensor, patch: usize) -> Result<CpuTensor, Error> {
        let [n, h, w, channels] = nhwc("space_to_depth input", input)?;
        if patch == 0 || h % patch != 0 || w % patch != 0 {
            let expected = format!("[N, H, W, C] with H and W multiples of {patch}");
            return Err(Error::shape(
                "space_to_depth input",
                input.shape(),
                expected,
            ));
        }
        let shape = [n, h / patch, w / patch, channels * patch * patch];
        let sizes = [n, h / patch, w / patch, channels, patch];
        Ok(self.patches(input, sizes, Patches::ToDepth, shape))
    }

    fn depth_to_space(&self, input: &CpuTensor, patch: usize) -> Result<CpuTensor, Error> {
        let [n, h, w, depth] = nhwc("depth_to_space input", input)?;
        let square = patch.checked_mul(patch).filter(|&square| square > 0);
        let Some(channels) = square
            .filter(|&s| depth.is_multiple_of(s))
            .map(|s| depth / s)
        else {
            let expected = format!("[N, H, W, C * {patch} * {patch}]");
            return Err(Error::shape(
                "depth_to_space input",
                input.shape(),
                expected,
            ));
        };
        let shape = [n, h * patch, w * patch, channels];
        Ok(self.patches(input, [n, h, w, channels, patch], Patches::ToSpace, shape))
    }

    fn embedding(&self, table: &CpuTable, ids: &[u32], rows: usize) -> Result<CpuTensor, Error> {
        let [count, width] = table.shape;
        if rows == 0 || !ids.len().is_multiple_of(rows) {
            let expected = format!("a multiple of {rows} rows");
            return Err(Error::value("embedding ids", ids.len(), expected));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= count) {
            return Err(Error::value("embedding id", id, format!("below {count}")));
        }
        let mut buffer = self.buffer(ids.len() * width);
        for (&id, row) in ids
            .iter()
            .zip(buffer.as_mut_slice().chunks_exact_mut(width))
        {
            table.numbers.copy(id as usize * width, row);
        }
        Ok(CpuTensor::new([rows, ids.len() / rows, width], buffer))
    }

    fn reshape(&self, input: &CpuTensor, shape: &[usize]) -> Result<CpuTensor, Error> {
        let count = shape
            .iter()
            .try_fold(1usize, |count, &side| count.checked_mul(side));
        if count != Some(input.data().len()) {
            let expected = format!("as many numbers as {shape:?}");
            return Err(Error::shape("reshape input", input.shape(), expected));
        }
        Ok(input.with_shape(shape))
    }
}
