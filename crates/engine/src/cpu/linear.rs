//! Linear layers: rows of activations times packed panels of weights.

use std::marker::PhantomData;
use std::sync::Arc;

use super::kept::{self, Kept};
use super::math::{activate, gelu};
use super::memory::{Buffer, Recycler};
use super::numbers::{Numbers, Order};
use super::simd::{
    Bfloats, Bytes, Factors, Fast, Group, Kernel, LANES, Lanes, Left, LeftRoom, ROWS_MAX, Ready,
    Rect, Singles, Spread, TILE_MAX, Tile, rectangles,
};
use super::{CpuBackend, CpuTensor, Precision, blocks, check_filled, check_same};
use crate::backend::LinearCall;
use crate::{Activation, DeviceTensor, Error, Tensor, Weight};

/// A matrix `[O, I]` in panels of a level's tile width: `[panel][I][width]`, columns beyond `O`
/// zero. Clones share their numbers.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) width: usize,
    numbers: Numbers,
    /// `[panels * width]`, zero where there is no bias.
    bias: Vec<f32>,
    /// Panels as [`Factors::right`] gives them, of a product that measures.
    kept: Arc<Kept>,
}

impl Panels {
    /// Packs rows `first..first + outputs` of `weight` `[_, inputs]`.
    fn pack(
        engine: &CpuBackend,
        weight: &Weight<'_>,
        bias: Option<&[f32]>,
        first: usize,
        outputs: usize,
    ) -> Self {
        let inputs: usize = weight.shape()[1..].iter().product();
        let width = engine.level.run(TileWidth);
        let order = PanelOrder {
            first,
            outputs,
            inputs,
            taps: 1,
            block: inputs,
            width,
        };
        let mut padded = vec![0.0; outputs.next_multiple_of(width)];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(&bias[first..first + outputs]);
        }
        Self {
            inputs,
            outputs,
            width,
            numbers: Numbers::pack(engine, weight, &order),
            bias: padded,
            kept: Arc::default(),
        }
    }

    /// Numbers of one panel.
    fn len(&self) -> usize {
        self.width * self.inputs
    }

    /// Items of one panel, in blocks.
    fn items<P: Factors>(&self) -> usize {
        let block = P::block(self.inputs);
        self.inputs / block * P::right_len([1, block, self.width])
    }

    /// Room for [`Self::panel`]; none where panels are ready.
    fn room<P: Factors>(&self, memory: &Arc<Recycler>, ready: Option<&[P::Item]>) -> Room {
        let unless_ready = |len: usize| if ready.is_some() { 0 } else { len };
        Room {
            numbers: memory.take(unless_ready(self.numbers.room(self.len()))),
            items: memory.take(unless_ready(self.items::<P>())),
        }
    }

    /// One panel; of `ready` ones where they are.
    #[inline(always)]
    fn panel<'a, P: Factors, L: Lanes>(
        &'a self,
        lanes: L,
        index: usize,
        ready: Option<&'a [P::Item]>,
        room: &'a mut Room,
    ) -> Panel<'a, P> {
        let items = self.items::<P>();
        let bias = &self.bias[index * self.width..][..self.width];
        if let Some(ready) = ready {
            let items = &ready[index * items..][..items];
            return Panel { items, bias };
        }
        let room_items = &mut P::items(room.items.as_mut_slice())[..items];
        let first = index * self.len();
        let range = first..first + self.len();
        let numbers = self.numbers.read(lanes, range, room.numbers.as_mut_slice());
        let block = P::block(self.inputs);
        let sizes = [1, block, L::WIDTH];
        if block == self.inputs || P::READY == Ready::AsItIs {
            let items = P::right(lanes, numbers, sizes, room_items);
            return Panel { items, bias };
        }
        let blocks = numbers.chunks_exact(block * L::WIDTH);
        let rooms = room_items.chunks_exact_mut(P::right_len(sizes));
        for (block, room) in blocks.zip(rooms) {
            P::right(lanes, block, sizes, room);
        }
        Panel {
            items: room_items,
            bias,
        }
    }

    /// All panels for a call of so many pieces of rows, where it takes longer for each piece to make its own.
    fn ready<P: Factors>(&self, engine: &CpuBackend, pieces: usize) -> Option<kept::Panels<'_>> {
        // More pieces than that read a panel often enough for it to be written.
        const FEW_PIECES: usize = 3;
        let sizes = [self.outputs.div_ceil(self.width), self.items::<P>()];
        let make = |index: usize, out: &mut [P::Item]| {
            engine.level.run(ReadyPanel::<P> {
                panels: self,
                index,
                memory: &engine.recycler,
                out,
            });
        };
        match P::READY {
            Ready::AsItIs => None,
            Ready::Made if pieces <= FEW_PIECES => None,
            Ready::Made => Some(engine.made_panels::<P>(sizes, make)),
            Ready::Kept => Some(engine.panels::<P>(&self.kept, sizes, make)),
        }
    }
}

/// One panel that is made ready.
struct ReadyPanel<'a, P: Factors> {
    panels: &'a Panels,
    index: usize,
    memory: &'a Arc<Recycler>,
    out: &'a mut [P::Item],
}

impl<P: Factors> Kernel for ReadyPanel<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let mut room = self.panels.room::<P>(self.memory, None);
        let panel = self
            .panels
            .panel::<P, L>(lanes, self.index, None, &mut room);
        self.out.copy_from_slice(panel.items);
    }
}

/// From `[O, I, taps]` to `[panel][block of I][tap][I in the block][width]`, columns beyond the last output zero.
pub(super) struct PanelOrder {
    /// The first output that is taken, and how many are.
    pub(super) first: usize,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) taps: usize,
    /// Inputs of a block.
    pub(super) block: usize,
    pub(super) width: usize,
}

impl Order for PanelOrder {
    fn len(&self) -> usize {
        self.outputs.div_ceil(self.width) * self.piece()
    }

    /// A panel.
    fn piece(&self) -> usize {
        self.inputs * self.taps * self.width
    }

    #[inline(always)]
    fn write<E: Copy, T>(
        &self,
        panel: usize,
        numbers: &[E],
        narrow: impl Fn(E) -> T,
        out: &mut [T],
    ) {
        let (taps, width) = (self.taps, self.width);
        // Inputs of all of a panel's outputs that are moved at a time, so that what is written stays near.
        let few = (256 / taps).max(1);
        let used = width.min(self.outputs - panel * width);
        for block in (0..self.inputs).step_by(self.block) {
            let depth = self.block.min(self.inputs - block);
            let out = &mut out[block * taps * width..][..depth * taps * width];
            for near in (0..depth).step_by(few) {
                let count = few.min(depth - near);
                for o in 0..used {
                    let row = (self.first + panel * width + o) * self.inputs + block + near;
                    let row = &numbers[row * taps..][..count * taps];
                    for tap in 0..taps {
                        let out = &mut out[(tap * depth + near) * width..][..count * width];
                        let inputs = row[tap..].iter().step_by(taps);
                        for (out, &number) in out[o..].iter_mut().step_by(width).zip(inputs) {
                            *out = narrow(number);
                        }
                    }
                }
            }
        }
    }
}

/// Where a panel is widened, and where it is rounded.
struct Room {
    numbers: Buffer,
    items: Buffer,
}

/// A few columns of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a, P: Factors> {
    /// `[blocks][items in a block, and what more there is][width]`.
    pub(super) items: &'a [P::Item],
    /// `[width]`.
    pub(super) bias: &'a [f32],
}

/// Packed weights of one linear layer.
#[derive(Debug, Clone)]
pub struct CpuLinear {
    pub(super) values: Panels,
    /// The second half of a gated layer.
    pub(super) gates: Option<Panels>,
    /// Whether it is multiplied in f32 at every precision.
    pub(super) exact: bool,
}

/// Panels of a layer that are ready, where they need to be.
pub(super) struct ReadyPanels<'a> {
    values: Option<kept::Panels<'a>>,
    gates: Option<kept::Panels<'a>>,
}

impl CpuLinear {
    pub(super) fn ready<P: Factors>(&self, engine: &CpuBackend, pieces: usize) -> ReadyPanels<'_> {
        let gates = self.gates.as_ref();
        ReadyPanels {
            values: self.values.ready::<P>(engine, pieces),
            gates: gates.and_then(|gates| gates.ready::<P>(engine, pieces)),
        }
    }

    pub(super) fn pack(
        engine: &CpuBackend,
        weight: &Weight<'_>,
        bias: Option<&Tensor>,
        gated: bool,
    ) -> Result<Self, Error> {
        let &[outputs, _] = weight.shape() else {
            return Err(Error::shape("linear weight", weight.shape(), "[O, I]"));
        };
        check_sizes("linear weight", weight.shape())?;
        check_bias("linear bias", bias, outputs)?;
        let bias = bias.map(Tensor::data);
        let pack = |first, count| Panels::pack(engine, weight, bias, first, count);
        if !gated {
            return Ok(Self {
                values: pack(0, outputs),
                gates: None,
                exact: false,
            });
        }
        if outputs % 2 != 0 {
            return Err(Error::shape("gated weight", weight.shape(), "[2 O, I]"));
        }
        let half = outputs / 2;
        Ok(Self {
            values: pack(0, half),
            gates: Some(pack(half, half)),
            exact: false,
        })
    }
}

/// Fails where weights have a size of 0.
pub(super) fn check_sizes(subject: &str, shape: &[usize]) -> Result<(), Error> {
    if shape.contains(&0) {
        return Err(Error::shape(subject, shape, "sizes above 0"));
    }
    Ok(())
}

/// Fails unless `bias` is absent or `[outputs]`.
pub(super) fn check_bias(
    subject: &str,
    bias: Option<&Tensor>,
    outputs: usize,
) -> Result<(), Error> {
    match bias {
        Some(bias) if bias.shape() != [outputs] => {
            Err(Error::shape(subject, bias.shape(), format!("[{outputs}]")))
        }
        _ => Ok(()),
    }
}

/// The number of columns of a level's register tile.
pub(super) struct TileWidth;

impl Kernel for TileWidth {
    type Output = usize;
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> usize {
        L::WIDTH
    }
}

/// Rows that a piece takes of so many: about 84, in whole tiles. The last one takes what is left.
pub(super) fn rows_per_piece(rows: usize) -> usize {
    // Their activations stay in the second-level cache.
    const ROWS: usize = 84;
    let pieces = ((rows + ROWS / 2) / ROWS).max(1);
    rows.div_ceil(pieces).next_multiple_of(ROWS_MAX)
}

impl CpuBackend {
    pub(super) fn run_linear(
        &self,
        input: &CpuTensor,
        weights: &CpuLinear,
        activation: Option<Activation>,
        residual: Option<&CpuTensor>,
    ) -> Result<CpuTensor, Error> {
        let panels = &weights.values;
        let subject = if weights.gates.is_some() {
            "geglu input"
        } else {
            "linear input"
        };
        check_filled(subject, input)?;
        let mut shape = input.shape().to_vec();
        match shape.last_mut() {
            Some(last) if *last == panels.inputs => *last = panels.outputs,
            _ => {
                let expected = format!("[.., {}]", panels.inputs);
                return Err(Error::shape(subject, input.shape(), expected));
            }
        }
        let rows = shape.iter().product::<usize>() / panels.outputs.max(1);
        check_same("linear residual", residual, &shape)?;
        let mut buffer = self.buffer(shape.iter().product());
        let blocks: Vec<_> = blocks(0..rows, rows_per_piece(rows)).collect();
        let row_pieces = blocks.len();
        let cols = self.columns_per_piece(panels.outputs, panels.width, row_pieces);
        let pieces = rectangles(buffer.as_mut_slice(), panels.outputs, blocks, cols);
        let call = LinearCall {
            activation,
            residual,
        };
        let work = LinearWork {
            input,
            weights,
            call,
            row_pieces,
        };
        match self.precision_of(weights.exact) {
            Precision::F32 => self.linear_pieces::<Singles>(work, pieces),
            Precision::Bf16 => self.linear_pieces::<Bfloats>(work, pieces),
            Precision::Int8 if Bytes::can_sum(Bytes::block(panels.inputs)) => {
                self.linear_pieces::<Bytes>(work, pieces);
            }
            Precision::Int8 => self.linear_pieces::<Singles>(work, pieces),
        }
        Ok(CpuTensor::new(shape, buffer))
    }

    fn linear_pieces<P: Factors>(&self, work: LinearWork<'_>, pieces: Vec<Rect<'_>>) {
        let LinearWork {
            input,
            weights,
            call,
            row_pieces,
        } = work;
        let ready = weights.ready::<P>(self, row_pieces);
        self.each(pieces, |out| {
            self.level.run(LinearPiece::<P> {
                product: PhantomData,
                input: input.data(),
                weights,
                ready: &ready,
                activation: call.activation,
                residual: call.residual.map(CpuTensor::data),
                memory: &self.recycler,
                out,
            });
        });
    }
}

/// One linear layer, whatever its precision.
struct LinearWork<'a> {
    input: &'a CpuTensor,
    weights: &'a CpuLinear,
    call: LinearCall<'a, CpuBackend>,
    /// Pieces of rows that it is cut into.
    row_pieces: usize,
}

/// One rectangle of a linear layer's output.
pub(super) struct LinearPiece<'a, P> {
    pub(super) product: PhantomData<P>,
    /// `[rows, I]`.
    pub(super) input: &'a [f32],
    pub(super) weights: &'a CpuLinear,
    pub(super) ready: &'a ReadyPanels<'a>,
    pub(super) activation: Option<Activation>,
    /// `[rows, O]`.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Columns start at a multiple of the panel width.
    pub(super) out: Rect<'a>,
}

impl<P: Factors> Kernel for LinearPiece<'_, P> {
    const FAST: Fast = P::FAST;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let weights = self.weights;
        let ready = [&self.ready.values, &self.ready.gates];
        let [values_ready, gates_ready] =
            ready.map(|panels| panels.as_ref().map(|panels| panels.items::<P>()));
        let (depth, width) = (weights.values.inputs, L::WIDTH);
        let cols = self.out.cols();
        let rows = self.out.rows();
        let (mut sums, mut gate) = ([0.0; TILE_MAX], [0.0; TILE_MAX]);
        let mut values_room = weights.values.room::<P>(self.memory, values_ready);
        let mut gates_room = weights
            .gates
            .as_ref()
            .map(|gates| gates.room::<P>(self.memory, gates_ready));
        // A row of blocks is as many rows of one block.
        let block = P::block(depth);
        let blocks = depth / block;
        let laid = P::laid(block);
        let as_it_is = blocks == 1 && laid == block;
        let spread = match as_it_is {
            true => 0,
            false => rows.len() * blocks * laid,
        };
        let mut spread = self.memory.take(spread);
        let mut rounded = self.memory.take(P::left_len(rows.len() * blocks, block));
        let measured = if P::MEASURED { rows.len() * blocks } else { 0 };
        let mut ranges = self.memory.take(2 * measured);
        let input = &self.input[rows.start * depth..rows.end * depth];
        let room = LeftRoom {
            items: P::items(rounded.as_mut_slice()),
            ranges: ranges.as_mut_slice(),
        };
        let input = match as_it_is {
            true => input,
            false => {
                lay_out(input, [blocks, block, laid], spread.as_mut_slice());
                spread.as_slice()
            }
        };
        let input = P::left(lanes, input, block, Spread::Row, room);
        for first_col in cols.clone().step_by(width) {
            let index = first_col / width;
            let values = weights
                .values
                .panel::<P, L>(lanes, index, values_ready, &mut values_room);
            let gates = weights.gates.as_ref().zip(gates_room.as_mut());
            let gates =
                gates.map(|(gates, room)| gates.panel::<P, L>(lanes, index, gates_ready, room));
            for first in rows.clone().step_by(L::ROWS) {
                let count = L::ROWS.min(rows.end - first);
                let from = first - rows.start;
                let left = Rows {
                    first: from,
                    count,
                    all: rows.len(),
                    block,
                    blocks,
                };
                product(lanes, values, left, input, &mut sums);
                if let Some(gates) = gates {
                    product(lanes, gates, left, input, &mut gate);
                    multiply_by_gelu(lanes, &mut sums[..count * width], &gate);
                }
                let used = width.min(cols.end - first_col);
                for r in 0..count {
                    let row = first + r;
                    let sums = &mut sums[r * width..][..width];
                    let residual = self
                        .residual
                        .map(|all| &all[row * weights.values.outputs + first_col..][..used]);
                    let out = &mut self.out.row(row)[first_col - cols.start..][..used];
                    finish_row(lanes, sums, None, self.activation, residual, out);
                }
            }
        }
    }
}

/// A few rows of the left factor.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) first: usize,
    pub(super) count: usize,
    /// How many there are.
    pub(super) all: usize,
    /// Numbers of a block, and blocks of a row.
    pub(super) block: usize,
    pub(super) blocks: usize,
}

/// Lays rows of `blocks` blocks out, all first blocks before all second ones, each `laid` numbers behind the one before.
fn lay_out(input: &[f32], [blocks, block, laid]: [usize; 3], out: &mut [f32]) {
    let rows = input.len() / (blocks * block);
    for (index, part) in input.chunks_exact(block).enumerate() {
        let (row, block) = (index / blocks, index % blocks);
        out[(block * rows + row) * laid..][..part.len()].copy_from_slice(part);
    }
}

/// Bias plus a few rows times one panel.
#[inline(always)]
pub(super) fn product<P: Factors, L: Lanes>(
    lanes: L,
    panel: Panel<'_, P>,
    rows: Rows,
    left: Left<'_, P::Item>,
    sums: &mut [f32],
) {
    for row in sums[..rows.count * L::WIDTH].chunks_exact_mut(L::WIDTH) {
        row.copy_from_slice(panel.bias);
    }
    let items = P::items_in(rows.block);
    let stride = P::stride(rows.block);
    let parts = panel.items.chunks_exact(panel.items.len() / rows.blocks);
    for (block, part) in parts.enumerate() {
        let first = block * rows.all + rows.first;
        let tile = Tile {
            rows: rows.count,
            a: &left.items[first * stride..],
            stride,
            positions: &[0],
            depth: items,
            panel: part,
            pitch: L::WIDTH,
            fresh: false,
        };
        let ranges = left.ranges.from(first, 1);
        P::multiply(lanes, &tile, ranges, sums);
    }
}

#[inline(always)]
fn multiply_by_gelu<L: Lanes>(lanes: L, values: &mut [f32], gates: &[f32]) {
    for (value, gate) in values
        .chunks_exact_mut(LANES)
        .zip(gates.chunks_exact(LANES))
    {
        let value: &mut Group = value.try_into().expect("chunks are sixteen numbers");
        let gate: &Group = gate.try_into().expect("chunks are sixteen numbers");
        let product = lanes.mul(lanes.load(value), gelu(lanes, lanes.load(gate)));
        lanes.store(product, value);
    }
}

/// Adds `bias`, activates, adds `residual` and writes `out.len()` of the finished sums.
/// `bias` and `residual` are as long as `out` where given.
#[inline(always)]
pub(super) fn finish_row<L: Lanes>(
    lanes: L,
    sums: &[f32],
    bias: Option<&[f32]>,
    activation: Option<Activation>,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    let end = out.len();
    let (groups, rest) = out.as_chunks_mut();
    let first = groups.len() * LANES;
    for (index, (sums, out)) in sums.as_chunks().0.iter().zip(groups).enumerate() {
        let at = index * LANES;
        let mut v = lanes.load(sums);
        if let Some(bias) = bias {
            v = lanes.add(v, lanes.load(group(bias, at)));
        }
        if let Some(activation) = activation {
            v = activate(lanes, v, activation);
        }
        if let Some(residual) = residual {
            v = lanes.add(v, lanes.load(group(residual, at)));
        }
        lanes.store(v, out);
    }
    if !rest.is_empty() {
        let mut v = lanes.load_part(&sums[first..end]);
        if let Some(bias) = bias {
            v = lanes.add(v, lanes.load_part(&bias[first..end]));
        }
        if let Some(activation) = activation {
            v = activate(lanes, v, activation);
        }
        if let Some(residual) = residual {
            v = lanes.add(v, lanes.load_part(&residual[first..end]));
        }
        lanes.store_part(v, rest);
    }
}

/// The sixteen numbers from `at` on.
#[inline(always)]
fn group(numbers: &[f32], at: usize) -> &Group {
    let group = numbers[at..].first_chunk();
    group.expect("as long as the output")
}
