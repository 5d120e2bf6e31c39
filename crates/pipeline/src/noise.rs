//! Where random numbers come from: injected, so that tests and other generators can take its place.

use std::str::FromStr;

use imagegen_engine::Tensor;
use imagegen_engine::random::{Generator, Philox};

use crate::img2img::finite;
use crate::{Error, LatentCodec, Stage, StrengthRule};

/// A source of standard normal noise. Drawn from only when the numbers are used.
pub trait Noise {
    /// The next noise of `shape` `[N, H, W, C]`.
    fn normal(&mut self, shape: [usize; 4]) -> Tensor;

    /// The next noise, where a run starts from it.
    fn initial(&mut self, shape: [usize; 4]) -> Tensor {
        self.normal(shape)
    }
}

impl Noise for Generator {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        self.normal_nhwc(shape)
    }
}

impl Noise for Philox {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        self.normal_nhwc(shape)
    }
}

/// Whose random numbers a seed stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoiseKind {
    /// torch's on the CPU, which reads the low 32 bits of a seed.
    #[default]
    Cpu,
    /// torch's on CUDA, which reads all 64 bits.
    Nv,
}

impl NoiseKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Nv];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Nv => "nv",
        }
    }

    /// The numbers of a seed, from the first on.
    fn stream(self, seed: u64) -> Stream {
        match self {
            Self::Cpu => Stream::Cpu(Box::new(Generator::new(seed))),
            Self::Nv => Stream::Nv(Philox::new(seed)),
        }
    }
}

impl FromStr for NoiseKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::value("noise", format!("{name:?}"), "cpu or nv"))
    }
}

/// A second seed whose noise a run starts from in part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variation {
    /// The seed.
    pub seed: u64,
    /// How far from the first seed's noise to this one's.
    strength: f64,
}

impl Variation {
    /// Goes `strength` of the way to the noise of `seed`: 0 stays at the first seed's, 1 arrives.
    ///
    /// Fails with [`Error::Value`] outside 0 to 1.
    pub fn new(seed: u64, strength: f64) -> Result<Self, Error> {
        if (0.0..=1.0).contains(&strength) {
            return Ok(Self { seed, strength });
        }
        Err(Error::value("variation strength", strength, "0 to 1"))
    }

    /// How far, 0 to 1.
    pub fn strength(self) -> f64 {
        self.strength
    }

    /// The same way towards the noise of another seed.
    pub fn towards(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// What a seed draws.
#[derive(Debug)]
enum Stream {
    Cpu(Box<Generator>),
    Nv(Philox),
}

impl Stream {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        match self {
            Self::Cpu(generator) => generator.normal_nhwc(shape),
            Self::Nv(generator) => generator.normal_nhwc(shape),
        }
    }
}

/// All noise of a run.
///
/// A variation concerns the initial noise alone: its seed's stream is drawn from as often as the run's own up to there, so
/// that each brings what a run of its own would start from, and not after.
#[derive(Debug)]
pub struct RunNoise {
    stream: Stream,
    variation: Option<(Stream, f64)>,
}

impl RunNoise {
    /// The noise of `seed`, in part that of a variation.
    pub fn new(kind: NoiseKind, seed: u64, variation: Option<Variation>) -> Self {
        let variation = variation.filter(|variation| variation.strength > 0.0);
        Self {
            stream: kind.stream(seed),
            variation: variation.map(|to| (kind.stream(to.seed), to.strength)),
        }
    }
}

impl Noise for RunNoise {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        if let Some((stream, _)) = &mut self.variation {
            stream.normal(shape);
        }
        self.stream.normal(shape)
    }

    fn initial(&mut self, shape: [usize; 4]) -> Tensor {
        let own = self.stream.normal(shape);
        match self.variation.take() {
            Some((mut stream, strength)) => between(&own, &stream.normal(shape), strength),
            None => own,
        }
    }
}

/// No noise: what draws from a distribution gets its mean. For what another program draws from no seed.
pub(crate) struct Mean;

impl Noise for Mean {
    fn normal(&mut self, shape: [usize; 4]) -> Tensor {
        Tensor::zeros(shape)
    }
}

/// Latents of `pixels`, drawn from the codec's posterior; under rule `a1111` its mean, since AUTOMATIC1111's draw hangs on what it
/// did before and on no seed.
pub(crate) fn encoded(
    pixels: &Tensor,
    rule: StrengthRule,
    codec: &mut dyn LatentCodec,
    noise: &mut dyn Noise,
) -> Result<Tensor, Error> {
    let latents = match rule {
        StrengthRule::A1111 => codec.encode(pixels, &mut Mean),
        _ => codec.encode(pixels, noise),
    };
    let latents = latents.map_err(Error::failed(Stage::Encode))?;
    finite(latents, Stage::Encode)
}

/// Mean cosine between columns from which two noises count as one: AUTOMATIC1111's.
const ALIKE: f64 = 0.9995;

/// Noise `share` of the way from `low` to `high`, both `[N, H, W, C]`, on the sphere: each column of each channel by itself, as
/// AUTOMATIC1111 has it, so that its spread stays. On a straight line where both are nearly the same.
fn between(low: &Tensor, high: &Tensor, share: f64) -> Tensor {
    if share >= 1.0 {
        return high.clone();
    }
    let shape = low.shape();
    let (rows, across) = (shape[1], shape[2] * shape[3]);
    let picture = rows * across;
    let cosines: Vec<f64> = (0..low.data().len() / rows)
        .map(|column| {
            let first = column / across * picture + column % across;
            let places = (0..rows).map(|row| first + row * across);
            let sums = places.fold([0.0; 3], |[dot, own, other], place| {
                let [l, h] = [low, high].map(|noise| f64::from(noise.data()[place]));
                [dot + l * h, own + l * l, other + h * h]
            });
            let [dot, own, other] = sums;
            dot / libm::sqrt(own * other)
        })
        .collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    // A column whose noises point the same way, or straight away from each other, has no arc.
    let shares = |cosine: f64| {
        let angle = libm::acos(cosine.clamp(-1.0, 1.0));
        let sine = libm::sin(angle);
        if mean > ALIKE || sine.is_nan() || sine < 1e-6 {
            return [1.0 - share, share];
        }
        [1.0 - share, share].map(|share| libm::sin(share * angle) / sine)
    };
    let shares: Vec<[f64; 2]> = cosines.into_iter().map(shares).collect();
    let mut made = low.clone();
    for (place, (value, &other)) in made.data_mut().iter_mut().zip(high.data()).enumerate() {
        let column = place / picture * across + place % across;
        let [own, towards] = shares[column];
        *value = (own * f64::from(*value) + towards * f64::from(other)) as f32;
    }
    made
}
