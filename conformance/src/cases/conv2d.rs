//! Convolutions with everything that is fused into them.

use imagegen_engine::cpu::Precision;
use imagegen_engine::{Activation, Backend, ConvCall, Error, GroupNorm, Padding, Tensor};

use super::Call;
use super::norm::group_moments;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference, Rounding, Sum, activate_if, normalise};
use crate::tolerance::Tolerance;

/// How much more a rounding of transformed factors may do than one of the factors themselves: F(4x4, 3x3) was measured
/// at 5 times in the root mean square.
const TRANSFORMED: f64 = 8.0;

/// A group normalisation of the input.
#[derive(Debug, Clone, Copy)]
pub struct InputNorm {
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the normalised input.
    pub activation: Option<Activation>,
}

/// One call of `conv2d`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// Numbers of everything.
    pub seed: u64,
    /// Pictures.
    pub batch: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Of the input and of the output.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step between output pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Height and width the input is enlarged to.
    pub enlarge_to: Option<[usize; 2]>,
    /// Normalisation of the input.
    pub norm: Option<InputNorm>,
    /// With a bias.
    pub bias: bool,
    /// With a bias per picture.
    pub channel_bias: bool,
    /// Of the output.
    pub activation: Option<Activation>,
    /// With a residual.
    pub residual: bool,
    /// Mean of the input.
    pub offset: f32,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self {
            seed: 1,
            batch: 1,
            size: [5, 7],
            channels: [16, 16],
            kernel: [3, 3],
            stride: 1,
            padding: Padding::all(1),
            enlarge_to: None,
            norm: None,
            bias: true,
            channel_bias: false,
            activation: None,
            residual: false,
            offset: 0.0,
        }
    }
}

/// The tensors of a case.
struct Parts {
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    /// Scale and shift.
    norm: [Tensor; 2],
    channel_bias: Option<Tensor>,
    residual: Option<Tensor>,
}

impl Conv2d {
    /// Height and width the kernel slides over, before padding.
    fn enlarged(&self) -> [usize; 2] {
        self.enlarge_to.unwrap_or(self.size)
    }

    /// Height and width of the output.
    pub fn output_size(&self) -> [usize; 2] {
        let [h, w] = self.enlarged();
        let padded = [
            h + self.padding.top + self.padding.bottom,
            w + self.padding.left + self.padding.right,
        ];
        [0, 1].map(|axis| (padded[axis] - self.kernel[axis]) / self.stride + 1)
    }

    fn parts(&self) -> Parts {
        let mut noise = Noise::new(self.seed);
        let (n, [h, w], [i, o], [kh, kw]) = (self.batch, self.size, self.channels, self.kernel);
        let [out_h, out_w] = self.output_size();
        // Outputs then have a variance near 1, where activations bend.
        let scale = 1.0 / ((i * kh * kw) as f32).sqrt();
        Parts {
            input: noise.tensor([n, h, w, i], 1.0, self.offset),
            weight: noise.weights([o, i, kh, kw], scale),
            bias: self.bias.then(|| noise.tensor([o], 1.0, 0.0)),
            norm: [noise.tensor([i], 0.3, 1.0), noise.tensor([i], 0.3, 0.0)],
            channel_bias: self.channel_bias.then(|| noise.tensor([n, o], 1.0, 0.0)),
            residual: self
                .residual
                .then(|| noise.tensor([n, out_h, out_w, o], 1.0, 0.0)),
        }
    }

    /// The input as the kernel sees it: normalised where asked.
    fn normalised(&self, parts: &Parts) -> Vec<Estimate> {
        let [h, w] = self.size;
        let channels = self.channels[0];
        let data = parts.input.data();
        let Some(norm) = self.norm else {
            return data.iter().map(|&value| Estimate::exact(value)).collect();
        };
        let moments = group_moments(&parts.input, norm.groups);
        let per_group = channels / norm.groups;
        let mut out = Vec::with_capacity(data.len());
        for (index, &value) in data.iter().enumerate() {
            let (picture, channel) = (index / (h * w * channels), index % channels);
            let moments = moments[picture * norm.groups + channel / per_group];
            let [scale, shift] = [&parts.norm[0], &parts.norm[1]].map(|t| t.data()[channel]);
            out.push(activate_if(
                normalise(value, moments, norm.eps, scale, shift),
                norm.activation,
            ));
        }
        out
    }
}

impl Call for Conv2d {
    fn reference(&self) -> Vec<Reference> {
        self.reference_at(Precision::F32)
    }

    fn reference_at(&self, precision: Precision) -> Vec<Reference> {
        let parts = self.parts();
        let mut input = self.normalised(&parts);
        // Windows of more than a pixel are measured as a whole; none of them by more than all there is.
        let together = match self.kernel {
            [1, 1] => self.channels[0],
            _ => input.len(),
        };
        for numbers in input.chunks_mut(together) {
            let values = numbers.iter().map(|number| number.value);
            let rounding = Rounding::of_activations(precision, values);
            for number in numbers {
                *number = number.rounded(rounding);
            }
        }
        let per_output = parts.weight.data().len() / self.channels[1];
        let weights: Vec<Estimate> = parts
            .weight
            .data()
            .chunks(per_output)
            .flat_map(|weights| {
                let values = weights.iter().copied().map(f64::from);
                let rounding = Rounding::of_weights(precision, values);
                weights
                    .iter()
                    .map(move |&weight| Estimate::exact(weight).rounded(rounding))
            })
            .collect();
        let ([h, w], [big_h, big_w]) = (self.size, self.enlarged());
        let ([out_h, out_w], [inputs, outputs], [kh, kw]) =
            (self.output_size(), self.channels, self.kernel);
        let mut numbers = Vec::with_capacity(self.batch * out_h * out_w * outputs);
        // n picture, y/x output pixel, o output channel, dy/dx kernel offset, i input channel
        for n in 0..self.batch {
            for (y, x) in (0..out_h).flat_map(|y| (0..out_w).map(move |x| (y, x))) {
                for o in 0..outputs {
                    let mut sum = Sum::default();
                    if let Some(bias) = &parts.bias {
                        sum.add(Estimate::exact(bias.data()[o]));
                    }
                    for (dy, dx) in (0..kh).flat_map(|dy| (0..kw).map(move |dx| (dy, dx))) {
                        let (Some(from_y), Some(from_x)) = (
                            (y * self.stride + dy).checked_sub(self.padding.top),
                            (x * self.stride + dx).checked_sub(self.padding.left),
                        ) else {
                            continue;
                        };
                        if from_y >= big_h || from_x >= big_w {
                            continue;
                        }
                        let pixel = (n * h + from_y * h / big_h) * w + from_x * w / big_w;
                        for i in 0..inputs {
                            let weight = weights[((o * inputs + i) * kh + dy) * kw + dx];
                            sum.add_product(input[pixel * inputs + i], weight);
                        }
                    }
                    let mut value = sum.total();
                    if let Some(bias) = &parts.channel_bias {
                        value = value.plus(Estimate::exact(bias.data()[n * outputs + o]));
                    }
                    value = activate_if(value, self.activation);
                    if let Some(residual) = &parts.residual {
                        value = value.plus(Estimate::exact(residual.data()[numbers.len()]));
                    }
                    numbers.push(value);
                }
            }
        }
        if self.tolerance() == Tolerance::WINOGRAD {
            // An output shares the roundings of its tile: size is that of the largest output.
            let largest = numbers.iter().map(|number| number.size);
            let mut largest = largest.fold(0.0, f64::max);
            if precision == Precision::Bf16 {
                largest *= TRANSFORMED;
            }
            numbers.iter_mut().for_each(|number| number.size = largest);
        }
        vec![Reference::new([self.batch, out_h, out_w, outputs], numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let parts = self.parts();
        let weights = backend.conv2d_weights(parts.weight, parts.bias)?;
        let [scale, shift] = parts.norm;
        let norm_weights = backend.norm_weights(scale, shift)?;
        let channel_bias = parts.channel_bias.map(|bias| backend.upload(&bias));
        let residual = parts.residual.map(|residual| backend.upload(&residual));
        let call = || ConvCall {
            stride: self.stride,
            padding: self.padding,
            enlarge_to: self.enlarge_to,
            norm: self.norm.map(|norm| GroupNorm {
                weights: &norm_weights,
                groups: norm.groups,
                eps: norm.eps,
                activation: norm.activation,
                moments: None,
            }),
            channel_bias: channel_bias.as_ref(),
            activation: self.activation,
            residual: residual.as_ref(),
        };
        let input = backend.upload(&parts.input);
        let first = backend.download(&backend.conv2d(&input, &weights, call())?);
        // A backend may keep what it made of the weights: no call may tell.
        let bits = |tensor: &Tensor| {
            tensor
                .data()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<_>>()
        };
        for count in 2..4 {
            let again = backend.download(&backend.conv2d(&input, &weights, call())?);
            if bits(&again) != bits(&first) {
                let got = format!("other bits at call {count}");
                return Err(Error::value("conv2d", got, "those of the first call"));
            }
        }
        Ok(vec![first])
    }

    fn tolerance(&self) -> Tolerance {
        if self.kernel == [3, 3] && self.stride == 1 && self.channels.iter().all(|&c| c >= 32) {
            Tolerance::WINOGRAD
        } else {
            Tolerance::DOT
        }
    }

    fn work(&self) -> usize {
        let [out_h, out_w] = self.output_size();
        let sizes = [self.batch, out_h, out_w]
            .into_iter()
            .chain(self.channels)
            .chain(self.kernel);
        sizes.product()
    }
}
