//! Reading `conformance/reference`, and the network that its runs were made with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use imagegen_pipeline::{
    BetaSchedule, BoxedError, Denoiser, Error, Network, Noise, NoiseLevel, PredictionType, Sampler,
    ScheduleConfig, SchedulerClass, Tensor, TimestepSpacing, TrainingSchedule,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

pub fn reference(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/reference");
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("reference {name}: {e}"))
}

pub fn json(name: &str) -> Value {
    serde_json::from_slice(&reference(name)).expect("reference files are JSON")
}

/// Every f32 tensor of a file, as stored (`[N, C, H, W]`).
pub fn tensors(name: &str) -> BTreeMap<String, Tensor> {
    let bytes = reference(name);
    let file = SafeTensors::deserialize(&bytes).expect("reference files are safetensors");
    let read = |(key, view): (String, safetensors::tensor::TensorView<'_>)| {
        let chunks = view.data().chunks_exact(4);
        let data = chunks
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        (
            key,
            Tensor::new(view.shape(), data).expect("shape and bytes agree"),
        )
    };
    let is_f32 = |(_, view): &(_, safetensors::tensor::TensorView<'_>)| view.dtype() == Dtype::F32;
    file.tensors()
        .into_iter()
        .filter(is_f32)
        .map(read)
        .collect()
}

pub fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
        .iter()
        .map(number)
        .collect()
}

/// What a scheduler file states, over the defaults of `class`.
pub fn config(stated: &Value, class: SchedulerClass) -> ScheduleConfig {
    let mut config = ScheduleConfig::defaults(class);
    let mut clip = (
        config.clip_sample.is_some(),
        config.clip_sample.unwrap_or(1.0),
    );
    for (key, value) in stated.as_object().expect("a configuration is an object") {
        match (key.as_str(), value) {
            ("num_train_timesteps", v) => config.num_train_timesteps = number(v) as usize,
            ("beta_start", v) => config.beta_start = number(v),
            ("beta_end", v) => config.beta_end = number(v),
            ("steps_offset", v) => config.steps_offset = number(v) as usize,
            ("clip_sample_range", v) => clip.1 = number(v),
            ("clip_sample", Value::Bool(v)) => clip.0 = *v,
            ("set_alpha_to_one", Value::Bool(v)) => config.set_alpha_to_one = *v,
            ("rescale_betas_zero_snr", Value::Bool(v)) => config.rescale_betas_zero_snr = *v,
            ("beta_schedule", Value::String(v)) => {
                config.beta_schedule = match v.as_str() {
                    "linear" => BetaSchedule::Linear,
                    "scaled_linear" => BetaSchedule::ScaledLinear,
                    "squaredcos_cap_v2" => BetaSchedule::SquaredcosCapV2,
                    other => panic!("beta schedule {other}"),
                }
            }
            ("timestep_spacing", Value::String(v)) => {
                config.timestep_spacing = match v.as_str() {
                    "leading" => TimestepSpacing::Leading,
                    "linspace" => TimestepSpacing::Linspace,
                    "trailing" => TimestepSpacing::Trailing,
                    other => panic!("spacing {other}"),
                }
            }
            ("prediction_type", Value::String(v)) => {
                config.prediction_type = match v.as_str() {
                    "epsilon" => PredictionType::Epsilon,
                    "v_prediction" => PredictionType::VPrediction,
                    "sample" => PredictionType::Sample,
                    other => panic!("prediction type {other}"),
                }
            }
            (key, value) => panic!("{key}: {value}"),
        }
    }
    config.clip_sample = clip.0.then_some(clip.1);
    config
}

pub fn sampler(scheduler: &Value) -> Sampler {
    Sampler::parse(scheduler.as_str().expect("a class name")).expect("a sampler of ours")
}

pub fn training(stated: &Value, sampler: Sampler) -> TrainingSchedule {
    TrainingSchedule::new(config(stated, sampler.scheduler_class())).expect("sound settings")
}

/// The network of the reference runs: a formula, in f32.
pub struct Formula;

impl Network for Formula {
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let shift = (0.1 * (timestep / 100.0).sin()) as f32;
        let data = input
            .data()
            .iter()
            .map(|v| (0.7 * v + shift).tanh() * 0.9)
            .collect();
        Ok(Tensor::new(input.shape(), data)?)
    }
}

/// Hands out the draws of the reference file in order.
pub struct Stored(pub Vec<Tensor>);

impl Noise for Stored {
    fn normal(&mut self, _: [usize; 4]) -> Tensor {
        self.0.remove(0)
    }
}

/// Picture `i` of a stack `[k, 1, C, H, W]`, as `[1, H, W, C]`.
pub fn slice(stack: &Tensor, i: usize) -> Tensor {
    let shape = &stack.shape()[1..];
    let size: usize = shape.iter().product();
    let data = stack.data()[i * size..][..size].to_vec();
    let picture = Tensor::new(shape, data).expect("as many numbers as the shape");
    picture.nchw_to_nhwc().expect("four sizes")
}

/// Keeps what the sampler holds before each step.
pub struct Trail<'a> {
    pub inner: &'a mut dyn Denoiser,
    pub held: Vec<Tensor>,
    pub levels: Vec<NoiseLevel>,
}

impl Denoiser for Trail<'_> {
    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        self.held.push(noised.clone());
        self.levels.push(level);
        self.inner.denoise(noised, level)
    }
}

pub fn times(tensor: &Tensor, factor: f64) -> Tensor {
    let data = tensor
        .data()
        .iter()
        .map(|v| (factor * f64::from(*v)) as f32)
        .collect();
    Tensor::new(tensor.shape(), data).expect("the shape stays")
}
