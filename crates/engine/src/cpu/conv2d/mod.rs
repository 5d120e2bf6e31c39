//! Convolution: checks, packed weights, and which algorithm a shape takes.
//!
//! 3x3 convolutions over many pixels and channels are [`winograd`], all others [`direct`]; of these, such as have a few
//! outputs, and kernels of one pixel, are cut other ways, which change no bit ([`few`], [`points`]). The choice, and with it
//! the arithmetic, depends on shapes alone.

mod direct;
mod few;
mod points;
mod source;
mod winograd;

use super::kept::{Kept, Panels};
use super::linear::{PanelOrder, TileWidth, check_bias, check_sizes, finish_row};
use super::memory::Recycler;
use super::numbers::Numbers;
use super::simd::{
    Bfloats, Bytes, Factors, Fast, Kernel, Lanes, Rect, Rounded, Singles, rectangles,
};
use super::{CpuBackend, CpuTensor, Precision, blocks, check_same, nhwc};
use crate::backend::ConvCall;
use crate::{Activation, DeviceTensor, Error, Padding, Tensor, Weight};
use direct::{DirectPiece, Rooms};
use few::FewPiece;
use points::PointsPiece;
use source::{Prologue, Source};
use std::ops::Range;
use std::sync::Arc;

use winograd::{PanelPiece, WinogradPiece};

pub(super) use source::normalize;

/// Input channels summed in one go. Part of the arithmetic of the direct algorithm: do not change
/// it lightly.
const CHANNEL_BLOCK: usize = 256;

/// Pieces of rows that are enough for a few threads to have work.
const ENOUGH_PIECES: usize = 8;

/// Packed weights of one convolution: `[panel][channel block][ky][kx][channel][width]`. Clones share
/// their numbers.
#[derive(Debug, Clone)]
pub struct CpuConv2d {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    width: usize,
    numbers: Numbers,
    /// `[panels * width]`.
    bias: Vec<f32>,
    /// Whether it is multiplied in f32 at every precision.
    pub(super) exact: bool,
    /// One for each precision.
    kept: Arc<[Kept; Precision::ALL.len()]>,
}

impl CpuConv2d {
    pub(super) fn pack(
        engine: &CpuBackend,
        weight: &Weight<'_>,
        bias: Option<&Tensor>,
    ) -> Result<Self, Error> {
        let &[outputs, inputs, kh, kw] = weight.shape() else {
            return Err(Error::shape(
                "conv2d weight",
                weight.shape(),
                "[O, I, kh, kw]",
            ));
        };
        if !(1..=7).contains(&kh) || !(1..=7).contains(&kw) {
            let expected = "[O, I, kh, kw] with kh and kw 1 to 7";
            return Err(Error::shape("conv2d weight", weight.shape(), expected));
        }
        check_sizes("conv2d weight", weight.shape())?;
        check_bias("conv2d bias", bias, outputs)?;
        let width = engine.level.run(TileWidth);
        let order = PanelOrder {
            first: 0,
            outputs,
            inputs,
            taps: kh * kw,
            block: CHANNEL_BLOCK,
            width,
        };
        let mut padded = vec![0.0; outputs.next_multiple_of(width)];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(bias.data());
        }
        Ok(Self {
            inputs,
            outputs,
            kernel: [kh, kw],
            width,
            numbers: Numbers::pack(engine, weight, &order),
            bias: padded,
            exact: false,
            kept: Arc::default(),
        })
    }

    /// Where the weights of one panel for the channels from `block` on are, in [`Self::numbers`].
    fn place(&self, panel: usize, block: usize) -> Range<usize> {
        let taps = self.kernel[0] * self.kernel[1];
        let start = (panel * self.inputs + block) * taps * self.width;
        let depth = CHANNEL_BLOCK.min(self.inputs - block);
        start..start + depth * taps * self.width
    }

    /// Room that [`Self::panel`] needs for blocks of `depth` channels.
    fn room(&self, depth: usize) -> usize {
        self.numbers
            .room(self.kernel[0] * self.kernel[1] * depth * self.width)
    }

    /// The weights of one panel for the channels from `block` on.
    #[inline(always)]
    fn panel<'a, L: Lanes>(
        &'a self,
        lanes: L,
        panel: usize,
        block: usize,
        room: &'a mut [f32],
    ) -> &'a [f32] {
        self.numbers.read(lanes, self.place(panel, block), room)
    }

    /// Items of a panel's weights for `depth` channels, as [`Factors::right`] gives them.
    fn panel_items<P: Factors>(&self, depth: usize) -> usize {
        P::right_len([self.kernel[0] * self.kernel[1], depth, self.width])
    }

    /// Items of a panel's weights for all channels, block by block.
    fn whole_panel_items<P: Factors>(&self) -> usize {
        let (blocks, rest) = (self.inputs / CHANNEL_BLOCK, self.inputs % CHANNEL_BLOCK);
        let last = if rest == 0 {
            0
        } else {
            self.panel_items::<P>(rest)
        };
        blocks * self.panel_items::<P>(CHANNEL_BLOCK) + last
    }

    /// The items of one panel for the channels from `block` on; of `ready` ones where they are.
    #[inline(always)]
    fn items<'a, P: Factors, L: Lanes>(
        &'a self,
        lanes: L,
        panel: usize,
        block: usize,
        ready: Option<&'a [P::Item]>,
        rooms: &'a mut Rooms<'_, P::Item>,
    ) -> &'a [P::Item] {
        let depth = CHANNEL_BLOCK.min(self.inputs - block);
        if let Some(ready) = ready {
            let before = block / CHANNEL_BLOCK * self.panel_items::<P>(CHANNEL_BLOCK);
            let start = panel * self.whole_panel_items::<P>() + before;
            return &ready[start..][..self.panel_items::<P>(depth)];
        }
        let numbers = self.panel(lanes, panel, block, rooms.numbers);
        let sizes = [self.kernel[0] * self.kernel[1], depth, L::WIDTH];
        P::right(lanes, numbers, sizes, rooms.items)
    }
}

/// One panel that is made ready.
struct ReadyPanel<'a, P: Factors> {
    weights: &'a CpuConv2d,
    panel: usize,
    memory: &'a Arc<Recycler>,
    out: &'a mut [P::Item],
}

impl<P: Factors> Kernel for ReadyPanel<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let weights = self.weights;
        let depth = CHANNEL_BLOCK.min(weights.inputs);
        let mut numbers = self.memory.take(weights.room(depth));
        let blocks = (0..weights.inputs).step_by(CHANNEL_BLOCK);
        let outs = self.out.chunks_mut(weights.panel_items::<P>(CHANNEL_BLOCK));
        for (block, out) in blocks.zip(outs) {
            let mut rooms = Rooms {
                numbers: numbers.as_mut_slice(),
                items: out,
            };
            weights.items::<P, L>(lanes, self.panel, block, None, &mut rooms);
        }
    }
}

/// What the choice of an algorithm depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// 1 or 2.
    pub stride: usize,
}

/// Numbers (f32) that a convolution needs beside its tensors and its weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extra {
    /// Transformed weights, where they are kept.
    pub weights: usize,
    /// The same for the time of a call, where they are not.
    pub per_call: usize,
    /// What each thread needs of Winograd's algorithm while it works. The others copy a few rows of their input, some
    /// megabytes at most, and count as 0.
    pub per_thread: usize,
}

impl Shape {
    /// What a convolution of this shape takes beyond what anyone sees.
    pub fn extra(&self) -> Extra {
        if !winograd::suits(self) {
            return Extra::default();
        }
        Extra {
            weights: winograd::transformed_len(self),
            per_call: match winograd::transformed_len(self) {
                numbers if winograd::makes(numbers) => numbers,
                _ => 0,
            },
            per_thread: winograd::piece_len(self),
        }
    }
}

/// Sizes of one convolution call.
#[derive(Clone, Copy)]
struct Geometry {
    /// Input as stored, `[h, w]`.
    stored: [usize; 2],
    /// Input as convolved: enlarged, not yet padded.
    enlarged: [usize; 2],
    output: [usize; 2],
    padding: Padding,
    stride: usize,
}

impl Geometry {
    /// Fails where the call does not fit its tensors.
    fn new(
        [h, w, channels]: [usize; 3],
        input: &CpuTensor,
        weights: &CpuConv2d,
        call: &ConvCall<'_, CpuBackend>,
    ) -> Result<Self, Error> {
        if channels != weights.inputs {
            let expected = format!("[N, H, W, {}]", weights.inputs);
            return Err(Error::shape("conv2d input", input.shape(), expected));
        }
        if !(1..=2).contains(&call.stride) {
            return Err(Error::value("conv2d stride", call.stride, "1 or 2"));
        }
        let enlarged = call.enlarge_to.unwrap_or([h, w]);
        let padding = call.padding;
        let bordered = [
            enlarged[0] + padding.top + padding.bottom,
            enlarged[1] + padding.left + padding.right,
        ];
        let kernel = weights.kernel;
        if h * w == 0 || bordered[0] < kernel[0] || bordered[1] < kernel[1] {
            let expected = format!("[N, H, W, C] no smaller than the {kernel:?} kernel");
            return Err(Error::shape("conv2d input", input.shape(), expected));
        }
        Ok(Self {
            stored: [h, w],
            enlarged,
            output: [0, 1].map(|i| (bordered[i] - kernel[i]) / call.stride + 1),
            padding,
            stride: call.stride,
        })
    }

    fn bordered_width(&self) -> usize {
        self.enlarged[1] + self.padding.left + self.padding.right
    }

    /// The pixels of so many pictures, cut into blocks of `rows` rows.
    fn row_blocks(&self, pictures: usize, rows: usize) -> Vec<Range<usize>> {
        let [height, width] = self.output;
        (0..pictures)
            .flat_map(|picture| {
                let first = picture * height * width;
                blocks(first..first + height * width, rows * width)
            })
            .collect()
    }

    /// The picture, the first row in it and the number of rows that `pixels` are.
    fn place(&self, pixels: &Range<usize>) -> (usize, usize, usize) {
        let [height, width] = self.output;
        let row = pixels.start / width;
        (row / height, row % height, pixels.len() / width)
    }
}

/// What follows the product, in this order.
#[derive(Clone, Copy)]
struct Epilogue<'a> {
    /// `[N, O]`.
    channel_bias: Option<&'a [f32]>,
    activation: Option<Activation>,
    /// `[N, H', W', O]`.
    residual: Option<&'a [f32]>,
}

impl Epilogue<'_> {
    /// Finishes the `out.len()` channels from `col` on of one pixel.
    #[inline(always)]
    fn finish<L: Lanes>(
        &self,
        lanes: L,
        sums: &[f32],
        [picture, pixel, col]: [usize; 3],
        outputs: usize,
        out: &mut [f32],
    ) {
        let bias = self
            .channel_bias
            .map(|all| &all[picture * outputs + col..][..out.len()]);
        let residual = self
            .residual
            .map(|all| &all[pixel * outputs + col..][..out.len()]);
        finish_row(lanes, sums, bias, self.activation, residual, out);
    }
}

impl CpuBackend {
    pub(super) fn run_conv2d(
        &self,
        input: &CpuTensor,
        weights: &CpuConv2d,
        call: ConvCall<'_, Self>,
    ) -> Result<CpuTensor, Error> {
        let [n, h, w, channels] = nhwc("conv2d input", input)?;
        let geometry = Geometry::new([h, w, channels], input, weights, &call)?;
        let [height, width] = geometry.output;
        let shape = [n, height, width, weights.outputs];
        check_same("conv2d residual", call.residual, &shape)?;
        let per_picture = [n, weights.outputs];
        check_same("conv2d channel_bias", call.channel_bias, &per_picture)?;
        let scales = call
            .norm
            .map(|norm| self.group_scales(input, norm))
            .transpose()?;
        let prologue = scales
            .as_ref()
            .zip(call.norm)
            .map(|((scale, shift), norm)| Prologue {
                scale,
                shift,
                activation: norm.activation,
            });
        let source = Source {
            input: input.data(),
            channels,
            geometry,
            prologue,
        };
        let epilogue = Epilogue {
            channel_bias: call.channel_bias.map(CpuTensor::data),
            activation: call.activation,
            residual: call.residual.map(CpuTensor::data),
        };
        let takes = Shape {
            inputs: weights.inputs,
            outputs: weights.outputs,
            kernel: weights.kernel,
            output: geometry.output,
            stride: geometry.stride,
        };
        let mut buffer = self.buffer(shape.iter().product());
        let work = Work {
            source,
            weights,
            epilogue,
            pictures: n,
        };
        let out = buffer.as_mut_slice();
        match (self.precision_of(weights.exact), winograd::suits(&takes)) {
            (Precision::F32, true) => self.convolve_by_winograd::<Singles>(work, out),
            (Precision::Bf16, true) => self.convolve_by_winograd::<Bfloats>(work, out),
            (Precision::F32, false) if few::suits(&takes) => self.convolve_to_few(work, out),
            (Precision::F32, false) if points::suits(&takes) => self.convolve_points(work, out),
            (Precision::F32, false) => self.convolve_directly::<Singles>(work, out),
            (Precision::Bf16, false) => self.convolve_directly::<Bfloats>(work, out),
            (Precision::Int8, _) => self.convolve_directly::<Bytes>(work, out),
        }
        Ok(CpuTensor::new(shape, buffer))
    }

    /// The output in pieces of so many image rows, and of some channels where those are few.
    fn pieces<'a>(&self, work: &Work<'_>, rows: usize, out: &'a mut [f32]) -> Vec<Rect<'a>> {
        let weights = work.weights;
        let rows = work.source.geometry.row_blocks(work.pictures, rows);
        let cols = self.columns_per_piece(weights.outputs, weights.width, rows.len());
        rectangles(out, weights.outputs, rows, cols)
    }

    fn convolve_by_winograd<P: Rounded>(&self, work: Work<'_>, out: &mut [f32]) {
        let weights = work.weights;
        let filters = self.filters::<P>(weights);
        let filters = filters.as_ref().map(|panels| panels.items::<P>());
        let cut = winograd::Cut::of::<P>(work.source.geometry.output);
        self.each(self.pieces(&work, cut.rows(), out), |out| {
            self.level.run(WinogradPiece::<P> {
                source: work.source,
                weights,
                cut,
                filters,
                epilogue: work.epilogue,
                memory: &self.recycler,
                out,
            });
        });
    }

    fn convolve_directly<P: Factors>(&self, work: Work<'_>, out: &mut [f32]) {
        let weights = work.weights;
        let ready = self.ready_panels::<P>(weights);
        let ready = ready.as_ref().map(|panels| panels.items::<P>());
        let rows = direct::rows_per_piece::<P>(&work.source.geometry, weights);
        self.each(self.pieces(&work, rows, out), |out| {
            self.level.run(DirectPiece::<P> {
                source: work.source,
                weights,
                ready,
                epilogue: work.epilogue,
                memory: &self.recycler,
                out,
            });
        });
    }

    fn convolve_to_few(&self, work: Work<'_>, out: &mut [f32]) {
        self.each(self.pieces(&work, few::ROWS_PER_PIECE, out), |out| {
            self.level.run(FewPiece {
                source: work.source,
                weights: work.weights,
                epilogue: work.epilogue,
                memory: &self.recycler,
                out,
            });
        });
    }

    fn convolve_points(&self, work: Work<'_>, out: &mut [f32]) {
        let rows = points::rows_per_piece(&work.source.geometry);
        self.each(self.pieces(&work, rows, out), |out| {
            self.level.run(PointsPiece {
                source: work.source,
                weights: work.weights,
                epilogue: work.epilogue,
                memory: &self.recycler,
                out,
            });
        });
    }

    /// The transformed weights, where they are kept or few enough to be made for a call.
    fn filters<'a, P: Rounded>(&self, weights: &'a CpuConv2d) -> Option<Panels<'a>> {
        let len = winograd::panel_len::<P>(weights);
        let sizes = [weights.outputs.div_ceil(weights.width), len];
        let make = |panel: usize, out: &mut [P::Item]| {
            self.level.run(PanelPiece::<P> {
                weights,
                panel,
                memory: &self.recycler,
                out,
            });
        };
        let kept = self.kept_of(weights);
        match winograd::makes(sizes[0] * sizes[1]) {
            true => Some(self.panels::<P>(kept, sizes, make)),
            false => self.kept_panels::<P>(kept, sizes, make),
        }
    }

    /// All panels, of a product that measures: other panels are as good as ready.
    fn ready_panels<'a, P: Factors>(&self, weights: &'a CpuConv2d) -> Option<Panels<'a>> {
        let count = weights.outputs.div_ceil(weights.width);
        let sizes = [count, weights.whole_panel_items::<P>()];
        P::MEASURED.then(|| {
            self.panels::<P>(self.kept_of(weights), sizes, |panel, out| {
                self.level.run(ReadyPanel::<P> {
                    weights,
                    panel,
                    memory: &self.recycler,
                    out,
                });
            })
        })
    }

    /// What is kept of weights at the precision they are multiplied in.
    fn kept_of<'a>(&self, weights: &'a CpuConv2d) -> &'a Kept {
        &weights.kept[self.precision_of(weights.exact) as usize]
    }
}

/// One convolution, whatever its precision.
#[derive(Clone, Copy)]
struct Work<'a> {
    source: Source<'a>,
    weights: &'a CpuConv2d,
    epilogue: Epilogue<'a>,
    pictures: usize,
}
