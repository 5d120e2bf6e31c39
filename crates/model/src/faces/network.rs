//! The network: a strided convolution, 16 residual blocks, two heads on two grids.
//!
//! A block convolves each channel by itself (3 x 3), mixes channels (1 x 1), adds its input and cuts off
//! below zero. Nothing stands between the two convolutions, so each pair is loaded as the one dense 3 x 3
//! convolution it equals: nine times the multiplications, 0.17 G in all, which the engine's dense kernels
//! do in 30 ms on two busy cores. What the engine has no operation for (pooling, rectifying) is done on
//! the host, where activations are 460 KB at most.

use imagegen_engine::{Backend, ConvCall, Padding, Tensor};

use super::RawFaces;
use crate::Error;
use crate::loader::Place;

/// Channels of the stem and its 5 x 5 kernel.
const STEM: (usize, usize) = (24, 5);

/// Channels after each block, and by what it divides the sides.
const BLOCKS: [(usize, usize); 16] = [
    (24, 1),
    (28, 1),
    (32, 2),
    (36, 1),
    (42, 1),
    (48, 2),
    (56, 1),
    (64, 1),
    (72, 1),
    (80, 1),
    (88, 1),
    (96, 2),
    (96, 1),
    (96, 1),
    (96, 1),
    (96, 1),
];

/// Blocks the finer head stands on.
const FINE_AFTER: usize = 11;

/// Numbers of a box: centre, size, six points.
pub(super) const BOX: usize = 16;

#[derive(Debug)]
pub(super) struct Network<B: Backend> {
    stem: B::Conv2d,
    blocks: Vec<B::Conv2d>,
    fine: Head<B>,
    coarse: Head<B>,
}

impl<B: Backend> Network<B> {
    pub(super) fn load(place: &Place<'_, '_, B>) -> Result<Self, Error> {
        let (mut channels, kernel) = STEM;
        let stem = place.at("stem").conv2d(3, channels, kernel)?;
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        let mut fine = None;
        for (index, (outputs, _)) in BLOCKS.into_iter().enumerate() {
            if index == FINE_AFTER {
                fine = Some(Head::load(&place.at("heads.8"), channels, 2)?);
            }
            let block = place.at("blocks").at(index);
            blocks.push(separable(&block, channels, outputs)?);
            channels = outputs;
        }
        Ok(Self {
            stem,
            blocks,
            fine: fine.expect("FINE_AFTER is below the number of blocks"),
            coarse: Head::load(&place.at("heads.16"), channels, 6)?,
        })
    }

    /// `[1, 128, 128, 3]` to the heads' answers.
    pub(super) fn run(&self, engine: &B, pixels: &Tensor) -> Result<RawFaces, Error> {
        let [kernel, stride] = [STEM.1, 2];
        let call = ConvCall {
            stride,
            padding: same(kernel, stride),
            ..ConvCall::default()
        };
        let stem = engine.conv2d(&engine.upload(pixels), &self.stem, call)?;
        let mut hidden = engine.download(&stem);
        rectify(hidden.data_mut());
        let mut answers = None;
        for (index, (block, (_, stride))) in self.blocks.iter().zip(BLOCKS).enumerate() {
            if index == FINE_AFTER {
                answers = Some(self.fine.run(engine, &hidden)?);
            }
            let call = ConvCall {
                stride,
                padding: same(3, stride),
                ..ConvCall::default()
            };
            let convolved = engine.conv2d(&engine.upload(&hidden), block, call)?;
            let mut convolved = engine.download(&convolved);
            add_pooled(&mut convolved, &hidden, stride)?;
            rectify(convolved.data_mut());
            hidden = convolved;
        }
        let (mut scores, mut boxes) = answers.expect("FINE_AFTER is below the number of blocks");
        let coarse = self.coarse.run(engine, &hidden)?;
        scores.extend(coarse.0);
        boxes.extend(coarse.1);
        Ok(RawFaces {
            scores: Tensor::new([scores.len()], scores)?,
            boxes: Tensor::new([boxes.len() / BOX, BOX], boxes)?,
        })
    }
}

/// Scores and boxes of one grid.
#[derive(Debug)]
struct Head<B: Backend> {
    scores: B::Conv2d,
    boxes: B::Conv2d,
}

impl<B: Backend> Head<B> {
    fn load(place: &Place<'_, '_, B>, channels: usize, anchors: usize) -> Result<Self, Error> {
        Ok(Self {
            scores: place.at("scores").conv2d(channels, anchors, 1)?,
            boxes: place.at("boxes").conv2d(channels, anchors * BOX, 1)?,
        })
    }

    /// Scores `[anchors]` and boxes `[anchors, 16]` of the whole grid.
    fn run(&self, engine: &B, hidden: &Tensor) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let hidden = engine.upload(hidden);
        let answer = |weights| engine.conv2d(&hidden, weights, ConvCall::default());
        let [scores, boxes] = [answer(&self.scores)?, answer(&self.boxes)?];
        Ok((
            engine.download(&scores).into_data(),
            engine.download(&boxes).into_data(),
        ))
    }
}

/// Padding after which `kernel` at `stride` leaves an even side divided by `stride`; the odd pixel goes
/// to the end, as TensorFlow has it.
fn same(kernel: usize, stride: usize) -> Padding {
    let all = kernel - stride;
    let before = all / 2;
    Padding {
        top: before,
        left: before,
        bottom: all - before,
        right: all - before,
    }
}

/// The dense convolution that a depthwise 3 x 3 and a pointwise one after it come down to.
fn separable<B: Backend>(
    place: &Place<'_, '_, B>,
    inputs: usize,
    outputs: usize,
) -> Result<B::Conv2d, Error> {
    let (depthwise, pointwise) = (place.at("depthwise"), place.at("pointwise"));
    let kernels = depthwise.tensor("weight", &[inputs, 1, 3, 3])?;
    let shift = depthwise.tensor("bias", &[inputs])?;
    let mix = pointwise.tensor("weight", &[outputs, inputs, 1, 1])?;
    let bias = pointwise.tensor("bias", &[outputs])?;
    let mut weight = Vec::with_capacity(outputs * inputs * 9);
    let mut merged = Vec::with_capacity(outputs);
    for (mix, &bias) in mix.data().chunks_exact(inputs).zip(bias.data()) {
        let mut sum = f64::from(bias);
        for ((&share, kernel), &shift) in mix
            .iter()
            .zip(kernels.data().chunks_exact(9))
            .zip(shift.data())
        {
            weight.extend(kernel.iter().map(|value| share * value));
            sum += f64::from(share) * f64::from(shift);
        }
        merged.push(sum as f32);
    }
    let weight = Tensor::new([outputs, inputs, 3, 3], weight)?;
    let merged = Tensor::new([outputs], merged)?;
    Ok(place.engine().conv2d_weights(weight, Some(merged))?)
}

/// Adds `input` `[1, H, W, I]` to `sum` `[1, H / stride, W / stride, O]`: the largest value of each
/// `stride` by `stride` square, in the first `I` channels.
fn add_pooled(sum: &mut Tensor, input: &Tensor, stride: usize) -> Result<(), Error> {
    let [_, _, width, channels] = input.nhwc("face block input")?;
    let [_, _, columns, outputs] = sum.nhwc("face block output")?;
    for (at, pixel) in sum.data_mut().chunks_exact_mut(outputs).enumerate() {
        // y/x position of the square's first pixel
        let (y, x) = (at / columns * stride, at % columns * stride);
        for (c, value) in pixel[..channels].iter_mut().enumerate() {
            let mut most = f32::NEG_INFINITY;
            for row in y..y + stride {
                for column in x..x + stride {
                    most = most.max(input.data()[(row * width + column) * channels + c]);
                }
            }
            *value += most;
        }
    }
    Ok(())
}

fn rectify(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}
