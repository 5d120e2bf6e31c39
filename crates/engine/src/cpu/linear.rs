//! Linear layers: rows of activations times packed panels of weights.

use std::sync::Arc;

use super::math::{activate, gelu};
use super::memory::Recycler;
use super::numbers::Numbers;
use super::simd::{Group, Kernel, LANES, Lanes, Level, Rect, TILE_MAX, Tile};
use crate::{Activation, Error, Tensor};

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
}

impl Panels {
    /// Packs rows `first..first + outputs` of `weight` `[_, inputs]`.
    fn pack(
        weight: &[f32],
        bias: Option<&[f32]>,
        inputs: usize,
        first: usize,
        outputs: usize,
        width: usize,
    ) -> Self {
        let panels = outputs.div_ceil(width);
        let mut numbers = vec![0.0; panels * width * inputs];
        for o in 0..outputs {
            let row = &weight[(first + o) * inputs..][..inputs];
            let panel = &mut numbers[o / width * width * inputs..];
            for (k, &value) in row.iter().enumerate() {
                panel[k * width + o % width] = value;
            }
        }
        let mut padded = vec![0.0; panels * width];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(&bias[first..first + outputs]);
        }
        Self {
            inputs,
            outputs,
            width,
            numbers: Numbers::new(numbers),
            bias: padded,
        }
    }

    /// Numbers of one panel.
    fn len(&self) -> usize {
        self.width * self.inputs
    }

    /// One panel; `room` is as long as [`Numbers::room`] asks for.
    #[inline(always)]
    fn panel<'a, L: Lanes>(&'a self, lanes: L, index: usize, room: &'a mut [f32]) -> Panel<'a> {
        let first = index * self.len();
        Panel {
            numbers: self.numbers.read(lanes, first..first + self.len(), room),
            bias: &self.bias[index * self.width..][..self.width],
        }
    }
}

/// A few columns of a matrix, as f32.
#[derive(Clone, Copy)]
struct Panel<'a> {
    /// `[I][width]`.
    numbers: &'a [f32],
    /// `[width]`.
    bias: &'a [f32],
}

/// Packed weights of one linear layer.
#[derive(Debug, Clone)]
pub struct CpuLinear {
    pub(super) values: Panels,
    /// The second half of a gated layer.
    pub(super) gates: Option<Panels>,
}

impl CpuLinear {
    pub(super) fn pack(
        weight: &Tensor,
        bias: Option<&Tensor>,
        gated: bool,
        level: Level,
    ) -> Result<Self, Error> {
        let &[outputs, inputs] = weight.shape() else {
            return Err(Error::shape("linear weight", weight.shape(), "[O, I]"));
        };
        check_sizes("linear weight", weight)?;
        check_bias("linear bias", bias, outputs)?;
        let bias = bias.map(Tensor::data);
        let width = level.run(TileWidth);
        let pack = |first, count| Panels::pack(weight.data(), bias, inputs, first, count, width);
        if !gated {
            return Ok(Self {
                values: pack(0, outputs),
                gates: None,
            });
        }
        if outputs % 2 != 0 {
            return Err(Error::shape("gated weight", weight.shape(), "[2 O, I]"));
        }
        let half = outputs / 2;
        Ok(Self {
            values: pack(0, half),
            gates: Some(pack(half, half)),
        })
    }
}

/// Fails where weights have a size of 0.
pub(super) fn check_sizes(subject: &str, weight: &Tensor) -> Result<(), Error> {
    if weight.data().is_empty() {
        return Err(Error::shape(subject, weight.shape(), "sizes above 0"));
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

/// One rectangle of a linear layer's output.
pub(super) struct LinearPiece<'a> {
    /// `[rows, I]`.
    pub(super) input: &'a [f32],
    pub(super) weights: &'a CpuLinear,
    pub(super) activation: Option<Activation>,
    /// `[rows, O]`.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) memory: &'a Arc<Recycler>,
    /// Columns start at a multiple of the panel width.
    pub(super) out: Rect<'a>,
}

impl Kernel for LinearPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let weights = self.weights;
        let (depth, width) = (weights.values.inputs, L::WIDTH);
        let cols = self.out.cols();
        let rows = self.out.rows();
        let (mut sums, mut gate) = ([0.0; TILE_MAX], [0.0; TILE_MAX]);
        let room = |panels: &Panels| self.memory.take(panels.numbers.room(panels.len()));
        let mut values_room = room(&weights.values);
        let mut gates_room = weights.gates.as_ref().map(room);
        for first_col in cols.clone().step_by(width) {
            let index = first_col / width;
            let values = weights
                .values
                .panel(lanes, index, values_room.as_mut_slice());
            let gates = weights.gates.as_ref().zip(gates_room.as_mut());
            let gates = gates.map(|(gates, room)| gates.panel(lanes, index, room.as_mut_slice()));
            for first in rows.clone().step_by(L::ROWS) {
                let count = L::ROWS.min(rows.end - first);
                let a = &self.input[first * depth..(first + count) * depth];
                product(lanes, values, count, a, depth, &mut sums);
                if let Some(gates) = gates {
                    product(lanes, gates, count, a, depth, &mut gate);
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

/// Bias plus `rows` rows of `a` `[rows, depth]` times one panel.
#[inline(always)]
fn product<L: Lanes>(
    lanes: L,
    panel: Panel<'_>,
    rows: usize,
    a: &[f32],
    depth: usize,
    sums: &mut [f32],
) {
    for row in sums[..rows * L::WIDTH].chunks_exact_mut(L::WIDTH) {
        row.copy_from_slice(panel.bias);
    }
    let tile = Tile {
        rows,
        a,
        stride: depth,
        positions: &[0],
        depth,
        panel: panel.numbers,
        pitch: L::WIDTH,
        fresh: false,
    };
    lanes.multiply(&tile, sums);
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
/// `bias` is as long as `sums` where given.
#[inline(always)]
pub(super) fn finish_row<L: Lanes>(
    lanes: L,
    sums: &[f32],
    bias: Option<&[f32]>,
    activation: Option<Activation>,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    for start in (0..out.len()).step_by(LANES) {
        let used = LANES.min(out.len() - start);
        let mut v = lanes.load_part(&sums[start..start + used]);
        if let Some(bias) = bias {
            v = lanes.add(v, lanes.load_part(&bias[start..start + used]));
        }
        if let Some(activation) = activation {
            v = activate(lanes, v, activation);
        }
        if let Some(residual) = residual {
            v = lanes.add(v, lanes.load_part(&residual[start..start + used]));
        }
        lanes.store_part(v, &mut out[start..start + used]);
    }
}
