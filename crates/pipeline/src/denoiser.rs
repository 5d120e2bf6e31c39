//! Denoisers: (noised, level) to the clean estimate. What the network predicts, how its input is
//! scaled, guidance and source conditioning all live here; samplers see none of it.

use imagegen_engine::Tensor;

use crate::elementwise::{scaled, zip};
use crate::schedule::variance_of_noised;
use crate::{BoxedError, Error, NoiseLevel, PredictionType, Relation, Stage};

/// Maps noised latents to the clean estimate, in the space where noised = clean + sigma * noise.
pub trait Denoiser {
    /// The clean estimate of `noised` `[N, H, W, C]` at `level`, same shape, not clipped.
    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error>;

    /// Says that a step begins, counted from 0: every call up to the next one belongs to it, however many
    /// a sampler makes. What wraps a denoiser passes it on.
    fn begin_step(&mut self, _step: usize) {}
}

impl<D: Denoiser + ?Sized> Denoiser for Box<D> {
    fn begin_step(&mut self, step: usize) {
        (**self).begin_step(step);
    }

    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        (**self).denoise(noised, level)
    }
}

/// A trained network with its prompt bound to it.
pub trait Network {
    /// The network's output for `input` `[N, H, W, C]`, whose noised channels are scaled to variance 1
    /// (divided by sqrt(1 + sigma^2)), at a `timestep` of the training scale that may be fractional.
    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError>;

    /// Says that a step begins, as [`Denoiser::begin_step`]: a prompt may change from step to step.
    fn begin_step(&mut self, _step: usize) {}
}

impl<T: Network + ?Sized> Network for Box<T> {
    fn begin_step(&mut self, step: usize) {
        (**self).begin_step(step);
    }

    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        (**self).predict(input, timestep)
    }
}

/// A network of the discrete-time kind as a denoiser: hides the input scale and the prediction type.
#[derive(Debug)]
pub struct Discrete<T> {
    network: T,
    prediction: PredictionType,
}

impl<T: Network> Discrete<T> {
    /// Wraps `network`, whose output means `prediction`.
    pub fn new(network: T, prediction: PredictionType) -> Self {
        Self {
            network,
            prediction,
        }
    }
}

impl<T: Network> Denoiser for Discrete<T> {
    fn begin_step(&mut self, step: usize) {
        self.network.begin_step(step);
    }

    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let variance = variance_of_noised(level.sigma);
        let input = scaled(noised.clone(), 1.0 / variance.sqrt());
        let output = self
            .network
            .predict(&input, level.timestep)
            .map_err(Error::failed(Stage::Network))?;
        let skip = skip(self.prediction, level.sigma);
        let out = match self.prediction {
            PredictionType::Epsilon => -level.sigma,
            PredictionType::VPrediction => -level.sigma / variance.sqrt(),
            PredictionType::Sample => 1.0,
        };
        let (skip, out) = (skip as f32, out as f32);
        let denoised = match self.prediction {
            PredictionType::Sample => zip("network output", noised, &output, |_, output| output),
            PredictionType::Epsilon | PredictionType::VPrediction => {
                zip("network output", noised, &output, |noised, output| {
                    skip * noised + out * output
                })
            }
        };
        Ok(denoised?)
    }
}

/// The noised latents' weight in the clean estimate; the rest is the network's output times a number.
fn skip(prediction: PredictionType, sigma: f64) -> f64 {
    match prediction {
        PredictionType::Epsilon => 1.0,
        PredictionType::VPrediction => 1.0 / variance_of_noised(sigma),
        PredictionType::Sample => 0.0,
    }
}

/// A network that also sees the source: its channels follow the noised ones in the input.
///
/// This is the wiring of InstructPix2Pix. Networks whose files say that their output is relative to
/// the source get the source channels added to it here, their colours mixed where they say so.
#[derive(Debug)]
pub struct SourceConditioned<T> {
    network: T,
    source: Tensor,
    relation: Relation,
    change: f64,
}

impl<T: Network> SourceConditioned<T> {
    /// Wraps `network`, whose output has the channels of `relation`; `source` is `[N, H, W, C]`, zeros where there is no
    /// source.
    pub fn new(network: T, source: Tensor, relation: Relation) -> Self {
        Self {
            network,
            source,
            relation,
            change: 1.0,
        }
    }

    /// Goes that share of the way from the source channels to the network's estimate; above 1 further than it says. For
    /// outputs that are relative to the source.
    pub fn changing(self, change: f64) -> Self {
        Self { change, ..self }
    }
}

impl<T: Network> Network for SourceConditioned<T> {
    fn begin_step(&mut self, step: usize) {
        self.network.begin_step(step);
    }

    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let output = self
            .network
            .predict(&concat_channels(input, &self.source)?, timestep)?;
        let estimate = match self.relation {
            Relation::Apart => return Ok(output),
            Relation::Added => zip("network output", &self.source, &output, |source, output| {
                output + source
            })?,
            Relation::Mixed => mixed(&self.source, &output)?,
        };
        if self.change == 1.0 {
            return Ok(estimate);
        }
        let change = self.change as f32;
        let gone = |source: f32, estimate: f32| source + change * (estimate - source);
        Ok(zip("network output", &self.source, &estimate, gone)?)
    }
}

/// Three colours in, three out.
const COLOURS: usize = 3;

/// `source` with its colours mixed patch by patch, plus what `output` adds to it; see [`Relation::Mixed`].
///
/// The matrices are added to the identity; each is row by row, a row for a new colour, and in it a factor for each old one.
fn mixed(source: &Tensor, output: &Tensor) -> Result<Tensor, imagegen_engine::Error> {
    let [n, h, w, channels] = source.nhwc("source channels")?;
    let outputs = Relation::Mixed.channels(channels);
    if output.shape() != [n, h, w, outputs] || !channels.is_multiple_of(COLOURS) {
        let expected = format!("[{n}, {h}, {w}, {outputs}]");
        return Err(imagegen_engine::Error::shape(
            "network output",
            output.shape(),
            expected,
        ));
    }
    let size = channels / COLOURS;
    let mut data = Vec::with_capacity(source.data().len());
    let places = source.data().chunks_exact(channels.max(1));
    for (patch, output) in places.zip(output.data().chunks_exact(outputs)) {
        let colours: [&[f32]; COLOURS] = std::array::from_fn(|c| &patch[c * size..][..size]);
        let means = colours.map(|colour| colour.iter().sum::<f32>() / size as f32);
        let (added, mixing) = output.split_at(channels);
        let (of_mean, of_detail) = mixing.split_at(COLOURS * COLOURS);
        for new in 0..COLOURS {
            let row = |matrix: &[f32]| -> [f32; COLOURS] {
                std::array::from_fn(|old| matrix[new * COLOURS + old])
            };
            let (of_mean, of_detail) = (row(of_mean), row(of_detail));
            let mean: f32 = (0..COLOURS).map(|old| of_mean[old] * means[old]).sum();
            for pixel in 0..size {
                let detail = |old: usize| of_detail[old] * (colours[old][pixel] - means[old]);
                let more = mean + (0..COLOURS).map(detail).sum::<f32>();
                data.push(colours[new][pixel] + added[new * size + pixel] + more);
            }
        }
    }
    Tensor::new(source.shape(), data)
}

/// Channels of `a`, then those of `b`, both `[N, H, W, C]`.
fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor, imagegen_engine::Error> {
    let [n, h, w, a_channels] = a.nhwc("network input")?;
    let [b_n, b_h, b_w, b_channels] = b.nhwc("source channels")?;
    if [n, h, w] != [b_n, b_h, b_w] {
        let expected = format!("[{n}, {h}, {w}, C]");
        return Err(imagegen_engine::Error::shape(
            "source channels",
            b.shape(),
            expected,
        ));
    }
    let mut data = Vec::with_capacity(a.data().len() + b.data().len());
    for place in 0..n * h * w {
        data.extend_from_slice(&a.data()[place * a_channels..][..a_channels]);
        data.extend_from_slice(&b.data()[place * b_channels..][..b_channels]);
    }
    Tensor::new([n, h, w, a_channels + b_channels], data)
}

/// Guidance: the estimate for the prompt, pushed away from the one for the negative prompt.
///
/// `uncond + guidance_scale * (cond - uncond)`; a prompt of several parts has the sum of each part's
/// `weight * (cond - uncond)` in place of the difference. Where the sum leaves one part alone, that runs alone,
/// and at scale 0 only `uncond`; the result is then exactly theirs. Guidance by the source adds
/// `(image_guidance - 1) * (uncond - blind)`, where `blind` is the estimate without text and source
/// (Brooks et al. 2023, equation 3).
#[derive(Debug)]
pub struct Guided<D> {
    /// The parts of the prompt, each with its weight.
    conds: Vec<(f64, D)>,
    uncond: Option<D>,
    guidance_scale: f64,
    blind: Option<(D, f64)>,
    rescale: f64,
    prediction: PredictionType,
    /// Steps that are guided, from the first.
    guided_steps: usize,
    /// The step that is under way.
    step: usize,
}

/// Whether guidance at a scale asks for the prompt's estimates.
pub(crate) fn needs_cond(guidance_scale: f64) -> bool {
    guidance_scale != 0.0
}

/// Whether guidance at a scale asks for the negative prompt's estimate, for a prompt of parts with these
/// weights: not where one part alone is left of the sum.
pub fn needs_uncond(weights: &[f64], guidance_scale: f64) -> bool {
    !matches!(weights, [weight] if weight * guidance_scale == 1.0)
}

impl<D: Denoiser> Guided<D> {
    /// Joins the parts of a prompt, each with its weight, and the negative prompt. There may be no parts at
    /// scale 0, and no negative prompt where [`needs_uncond`] says so.
    ///
    /// Fails with [`Error::Value`] if the scale is not finite or needs a denoiser that is missing.
    pub fn new(
        conds: Vec<(f64, D)>,
        uncond: Option<D>,
        guidance_scale: f64,
    ) -> Result<Self, Error> {
        let weights: Vec<f64> = conds.iter().map(|(weight, _)| *weight).collect();
        let expected = if !guidance_scale.is_finite() {
            "a finite number"
        } else if conds.is_empty() && needs_cond(guidance_scale) {
            "0 where there is no prompt"
        } else if uncond.is_none() && needs_uncond(&weights, guidance_scale) {
            "1 where there is no negative prompt"
        } else {
            return Ok(Self {
                conds,
                uncond,
                guidance_scale,
                blind: None,
                rescale: 0.0,
                prediction: PredictionType::Sample,
                guided_steps: usize::MAX,
                step: 0,
            });
        };
        Err(Error::value("guidance_scale", guidance_scale, expected))
    }

    /// Pushes the estimate away from that of `blind`, which hears the negative prompt and sees no source.
    /// 1 changes nothing.
    ///
    /// Fails with [`Error::Value`] unless the weight is finite and there is a denoiser for the negative prompt.
    pub fn guided_by_source(mut self, blind: D, image_guidance: f64) -> Result<Self, Error> {
        let expected = match &self.uncond {
            _ if !image_guidance.is_finite() => "a finite number",
            None => "1 where there is no negative prompt",
            Some(_) => {
                self.blind = Some((blind, image_guidance)).filter(|_| image_guidance != 1.0);
                return Ok(self);
            }
        };
        Err(Error::value("image_guidance", image_guidance, expected))
    }

    /// Guides the first steps alone, `steps` of them; the others are as at scale 1, and without guidance by the
    /// source.
    pub fn guided_for(mut self, steps: usize) -> Self {
        self.guided_steps = steps;
        self
    }

    /// The scale at the step that is under way.
    fn scale(&self) -> f64 {
        match self.is_free() {
            true => 1.0,
            false => self.guidance_scale,
        }
    }

    /// Whether the step that is under way is not guided any more.
    fn is_free(&self) -> bool {
        self.step >= self.guided_steps
    }

    /// Brings a `share` of the guided output back to the spread of the prompt's own (Lin et al. 2024,
    /// section 3.4), where the output means `prediction`. 0 changes nothing. Where only one of the two
    /// denoisers runs, there is nothing to bring back.
    ///
    /// Fails with [`Error::Value`] outside 0 to 1.
    pub fn rescaled(mut self, share: f64, prediction: PredictionType) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::value("guidance_rescale", share, "0 to 1"));
        }
        (self.rescale, self.prediction) = (share, prediction);
        Ok(self)
    }

    /// `guided` with its output's spread brought back to that of `cond`'s.
    ///
    /// An estimate is `skip * noised` plus the output times a number, so the output is scaled, and its
    /// spread measured, without the number.
    fn rescale(
        &self,
        guided: Tensor,
        (cond, noised): (&Tensor, &Tensor),
        level: NoiseLevel,
    ) -> Result<Tensor, Error> {
        let skip = skip(self.prediction, level.sigma) as f32;
        let output = |estimate: &Tensor| {
            zip("estimate", noised, estimate, |noised, estimate| {
                estimate - skip * noised
            })
        };
        let (own, pushed) = (spreads(&output(cond)?)?, spreads(&output(&guided)?)?);
        let pictures = guided.data().len() / own.len().max(1);
        let mut rescaled = guided;
        let all = rescaled.data_mut().chunks_exact_mut(pictures.max(1));
        let all = all.zip(noised.data().chunks_exact(pictures.max(1)));
        for ((picture, noised), (own, pushed)) in all.zip(own.into_iter().zip(pushed)) {
            let ratio = if pushed > 0.0 { own / pushed } else { 1.0 };
            let factor = (self.rescale * ratio + (1.0 - self.rescale)) as f32;
            for (value, noised) in picture.iter_mut().zip(noised) {
                *value = factor * (*value - skip * noised) + skip * noised;
            }
        }
        Ok(rescaled)
    }
}

/// Standard deviation of each picture of `[N, H, W, C]`.
fn spreads(tensor: &Tensor) -> Result<Vec<f64>, Error> {
    let [n, h, w, c] = tensor.nhwc("network output")?;
    let numbers = (h * w * c).max(1);
    let spread = |picture: &[f32]| {
        let count = numbers as f64;
        let mean = picture.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let squares = picture.iter().map(|&v| (f64::from(v) - mean).powi(2));
        (squares.sum::<f64>() / count).sqrt()
    };
    Ok((tensor.data().chunks_exact(numbers).take(n).map(spread)).collect())
}

impl<D: Denoiser> Denoiser for Guided<D> {
    fn begin_step(&mut self, step: usize) {
        self.step = step;
        let conds = self.conds.iter_mut().map(|(_, cond)| cond);
        let blind = self.blind.iter_mut().map(|(blind, _)| blind);
        let all = conds.chain(&mut self.uncond).chain(blind);
        all.for_each(|denoiser| denoiser.begin_step(step));
    }

    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let (scale, free) = (self.scale(), self.is_free());
        let alone = !needs_uncond(&self.weights(), scale);
        let blind = self.blind.as_mut().filter(|_| !free);
        let uncond = match &mut self.uncond {
            Some(uncond) if !alone || blind.is_some() => Some(uncond.denoise(noised, level)?),
            _ => None,
        };
        let denoise = |(_, cond): &mut (f64, D)| cond.denoise(noised, level);
        let conds = self.conds.iter_mut();
        let conds = conds.filter(|_| needs_cond(scale));
        let mut conds: Vec<Tensor> = conds.map(denoise).collect::<Result<_, _>>()?;
        let push = match (blind, &uncond) {
            (Some((blind, weight)), Some(uncond)) => {
                let (blind, weight) = (blind.denoise(noised, level)?, (*weight - 1.0) as f32);
                let push = |blind: f32, uncond: f32| weight * (uncond - blind);
                Some(zip("estimate without source", &blind, uncond, push)?)
            }
            _ => None,
        };
        let estimate = match uncond {
            None => conds.swap_remove(0),
            Some(_) if alone => conds.swap_remove(0),
            Some(uncond) if conds.is_empty() => uncond,
            Some(uncond) => self.guide(conds, &uncond, (noised, level))?,
        };
        match push {
            Some(push) => Ok(zip("estimate", &push, &estimate, |push, estimate| {
                estimate + push
            })?),
            None => Ok(estimate),
        }
    }
}

impl<D: Denoiser> Guided<D> {
    fn weights(&self) -> Vec<f64> {
        self.conds.iter().map(|(weight, _)| *weight).collect()
    }

    /// The parts' estimates against that of the negative prompt, rescaled where that is asked for.
    fn guide(
        &self,
        mut conds: Vec<Tensor>,
        uncond: &Tensor,
        (noised, level): (&Tensor, NoiseLevel),
    ) -> Result<Tensor, Error> {
        let weights = self.weights();
        let guided = pushed(uncond, conds.iter().zip(&weights), self.scale())?;
        if self.rescale == 0.0 {
            return Ok(guided);
        }
        let own = match weights.as_slice() {
            [1.0] => conds.swap_remove(0),
            _ => pushed(uncond, conds.iter().zip(&weights), 1.0)?,
        };
        self.rescale(guided, (&own, noised), level)
    }
}

/// `uncond` and the weighted ways from it to each of `conds`, times `scale`.
fn pushed<'a>(
    uncond: &Tensor,
    conds: impl Iterator<Item = (&'a Tensor, &'a f64)>,
    scale: f64,
) -> Result<Tensor, imagegen_engine::Error> {
    let mut sum = uncond.clone();
    for (cond, weight) in conds {
        let factor = (scale * weight) as f32;
        let way = zip("cond estimate", uncond, cond, |uncond, cond| {
            factor * (cond - uncond)
        })?;
        sum = zip("cond estimate", &sum, &way, |sum, way| sum + way)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with a function of (input, timestep) and counts its calls.
    struct Fixed<F>(F, usize);

    impl<F: Fn(&Tensor, f64) -> Tensor> Network for Fixed<F> {
        fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
            self.1 += 1;
            Ok((self.0)(input, timestep))
        }
    }

    #[derive(Debug)]
    struct Always(f32, usize);

    impl Denoiser for &mut Always {
        fn denoise(&mut self, noised: &Tensor, _: NoiseLevel) -> Result<Tensor, Error> {
            self.1 += 1;
            Ok(Tensor::new(
                noised.shape(),
                vec![self.0; noised.data().len()],
            )?)
        }
    }

    const LEVEL: NoiseLevel = NoiseLevel {
        sigma: 3.0,
        timestep: 400.5,
    };

    fn tensor(channels: usize, data: &[f32]) -> Tensor {
        Tensor::new([1, 1, data.len() / channels, channels], data.to_vec()).unwrap()
    }

    /// f32 rounding of three operations on numbers up to 10.
    fn assert_close(got: &Tensor, want: &[f32]) {
        for (got, want) in got.data().iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got}, expected {want}");
        }
    }

    #[test]
    fn every_prediction_type_finds_the_same_clean_latents() {
        let (clean, noise) = ([0.5, -1.5], [1.25, 0.75]);
        let noised = tensor(2, &[0.5 + 3.0 * 1.25, -1.5 + 3.0 * 0.75]);
        let root = 10f32.sqrt();
        let velocity = [0, 1].map(|i| noise[i] / root - 3.0 / root * clean[i]);
        for (prediction, output) in [
            (PredictionType::Sample, clean),
            (PredictionType::Epsilon, noise),
            (PredictionType::VPrediction, velocity),
        ] {
            let input = [noised.data()[0] / root, noised.data()[1] / root];
            let network = Fixed(
                move |got: &Tensor, timestep| {
                    assert_close(got, &input);
                    assert_eq!(timestep, 400.5);
                    tensor(2, &output)
                },
                0,
            );
            let denoised = Discrete::new(network, prediction)
                .denoise(&noised, LEVEL)
                .unwrap();
            assert_close(&denoised, &clean);
        }
    }

    #[test]
    fn source_channels_follow_the_noised_ones_and_are_added_where_relative() {
        let source = tensor(2, &[10.0, 20.0, 30.0, 40.0]);
        let input = tensor(1, &[1.0, 2.0]);
        let echo = Fixed(
            |input: &Tensor, _| {
                assert_eq!(input.shape(), [1, 1, 2, 3]);
                assert_eq!(input.data(), [1.0, 10.0, 20.0, 2.0, 30.0, 40.0]);
                tensor(2, &[0.5, 0.5, -0.5, -0.5])
            },
            0,
        );
        let mut absolute = SourceConditioned::new(echo, source.clone(), Relation::Apart);
        assert_eq!(
            absolute.predict(&input, 0.0).unwrap().data(),
            [0.5, 0.5, -0.5, -0.5]
        );
        let mut relative = SourceConditioned::new(absolute.network, source, Relation::Added);
        assert_eq!(
            relative.predict(&input, 0.0).unwrap().data(),
            [10.5, 20.5, 29.5, 39.5]
        );
    }

    // `denoised` of train/model.py on the same numbers in float64.
    #[test]
    fn colours_of_the_source_are_mixed_as_the_output_says() {
        let wave = |channels: usize, number: fn(f64) -> f64| {
            // A row of two patches; the formula counts channel by channel.
            let places = (0..2).flat_map(|place| (0..channels).map(move |c| 2 * c + place));
            let data = places.map(|k| number(k as f64) as f32).collect();
            Tensor::new([1, 1, 2, channels], data).unwrap()
        };
        let source = wave(48, |k| (0.7 * k).sin());
        let output = wave(66, |k| 0.3 * (0.4 * k).cos());
        let got = mixed(&source, &output).unwrap();
        for (at, want) in [
            (0, 0.177_126),
            (1, 1.166_345),
            (15, 1.156_037),
            (16, 0.046_928),
            (31, -0.410_689),
            (47, 0.617_677),
            (48, 0.835_267),
            (63, 0.656_218),
            (95, -0.054_011),
        ] {
            let got = got.data()[at];
            assert!((got - want).abs() < 2e-6, "{at}: {got}, {want}");
        }
        let network = Fixed(move |_: &Tensor, _| output.clone(), 0);
        let conditioned = SourceConditioned::new(network, source.clone(), Relation::Mixed);
        let part = conditioned.changing(0.25).predict(&source, 0.0).unwrap();
        for (at, (part, all)) in part.data().iter().zip(got.data()).enumerate() {
            let source = source.data()[at];
            assert!(
                (part - (source + 0.25 * (all - source))).abs() < 1e-6,
                "{at}"
            );
        }
        let still = mixed(&source, &Tensor::zeros([1, 1, 2, 66])).unwrap();
        assert_eq!(still, source);
        let error = mixed(&source, &Tensor::zeros([1, 1, 2, 48])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "network output has shape [1, 1, 2, 48], expected [1, 1, 2, 66]"
        );
    }

    #[test]
    fn guidance_is_exact_at_0_and_1_and_runs_only_what_it_needs() {
        let noised = tensor(1, &[0.0; 3]);
        for (scale, want, cond_runs, uncond_runs) in [
            (0.0, 0.1, 0, 1),
            (1.0, 0.7, 1, 0),
            (2.5, 0.1 + 2.5 * (0.7 - 0.1), 1, 1),
        ] {
            let (mut cond, mut uncond) = (Always(0.7, 0), Always(0.1, 0));
            let mut guided = Guided::new(vec![(1.0, &mut cond)], Some(&mut uncond), scale).unwrap();
            assert_eq!(guided.denoise(&noised, LEVEL).unwrap().data(), [want; 3]);
            assert_eq!((cond.1, uncond.1), (cond_runs, uncond_runs));
        }
    }

    #[test]
    fn guidance_by_the_source_runs_only_what_it_needs() {
        let noised = tensor(1, &[0.0; 3]);
        for (scale, weight, want, runs) in [
            (2.5, 1.0, 0.1 + 2.5 * 0.6, [1, 1, 0]),
            (2.5, 1.5, 0.1 + 2.5 * 0.6 + 0.5 * 0.4, [1, 1, 1]),
            (1.0, 2.0, 0.7 + 0.4, [1, 1, 1]),
            (0.0, 2.0, 0.1 + 0.4, [0, 1, 1]),
        ] {
            let [mut cond, mut uncond, mut blind] = [0.7, 0.1, -0.3].map(|v| Always(v, 0));
            let guided = Guided::new(vec![(1.0, &mut cond)], Some(&mut uncond), scale).unwrap();
            let mut guided = guided.guided_by_source(&mut blind, weight).unwrap();
            assert_close(&guided.denoise(&noised, LEVEL).unwrap(), &[want; 3]);
            assert_eq!([cond.1, uncond.1, blind.1], runs);
        }
        let (mut only, mut blind) = (Always(0.7, 0), Always(0.1, 0));
        let guided = Guided::new(vec![(1.0, &mut only)], None, 1.0).unwrap();
        let error = guided.guided_by_source(&mut blind, 2.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "image_guidance is 2, expected 1 where there is no negative prompt"
        );
    }

    #[test]
    fn parts_of_a_prompt_are_summed_as_ways_from_the_negative_prompt() {
        let noised = tensor(1, &[0.0; 3]);
        let (a, b, u) = (0.7, -0.4, 0.1);
        for (weights, scale, want, uncond_runs) in [
            ([1.0, 1.0], 2.0, u + 2.0 * ((a - u) + (b - u)), 1),
            (
                [1.5, -0.5],
                3.0,
                u + 3.0 * (1.5 * (a - u) - 0.5 * (b - u)),
                1,
            ),
            // The negative prompt has a share at scale 1 too.
            ([1.0, 1.0], 1.0, a + b - u, 1),
            ([1.0, 1.0], 0.0, u, 1),
        ] {
            let (mut one, mut two, mut uncond) = (Always(a, 0), Always(b, 0), Always(u, 0));
            let conds = vec![(weights[0], &mut one), (weights[1], &mut two)];
            let mut guided = Guided::new(conds, Some(&mut uncond), scale).unwrap();
            assert_close(&guided.denoise(&noised, LEVEL).unwrap(), &[want; 3]);
            assert_eq!(uncond.1, uncond_runs);
            assert_eq!(one.1, usize::from(scale != 0.0));
        }
        let (mut one, mut two) = (Always(a, 0), Always(b, 0));
        assert!(Guided::new(vec![(1.0, &mut one), (1.0, &mut two)], None, 1.0).is_err());
    }

    // diffusers 0.39, rescale_noise_cfg with guidance_rescale 0.7 on outputs cond and
    // uncond + 2.5 * (cond - uncond), float64.
    #[test]
    fn guidance_is_brought_back_to_the_spread_of_the_prompt() {
        let (cond, uncond) = ([0.4f32, -1.0, 0.7, 0.1], [0.1f32, -0.2, 0.3, 0.2]);
        let want = [0.538_802, -1.394_546, 0.824_05, -0.031_694];
        struct Output([f32; 4]);
        impl Network for Output {
            fn predict(&mut self, input: &Tensor, _: f64) -> Result<Tensor, BoxedError> {
                Ok(Tensor::new(input.shape(), self.0.to_vec())?)
            }
        }
        let noised = tensor(1, &[2.0, -1.0, 0.5, 3.0]);
        for prediction in [
            PredictionType::Epsilon,
            PredictionType::VPrediction,
            PredictionType::Sample,
        ] {
            let denoiser = |output| Discrete::new(Output(output), prediction);
            let mut guided = Guided::new(vec![(1.0, denoiser(cond))], Some(denoiser(uncond)), 2.5)
                .unwrap()
                .rescaled(0.7, prediction)
                .unwrap();
            let got = guided.denoise(&noised, LEVEL).unwrap();
            let want = denoiser(want).denoise(&noised, LEVEL).unwrap();
            assert_close(&got, want.data());
        }
    }

    #[test]
    fn after_the_guided_share_of_the_steps_the_prompt_is_asked_alone() {
        for steps in [0, 3, 5] {
            let (mut cond, mut uncond, mut blind) =
                (Always(3.0, 0), Always(1.0, 0), Always(0.5, 0));
            let mut guided = Guided::new(vec![(1.0, &mut cond)], Some(&mut uncond), 2.0)
                .and_then(|guided| guided.guided_by_source(&mut blind, 3.0))
                .unwrap()
                .guided_for(steps);
            for step in 0..5 {
                guided.begin_step(step);
                // 1 + 2 (3 - 1) + 2 (1 - 0.5), or the prompt's own.
                let want = if step < steps { 6.0 } else { 3.0 };
                let got = guided.denoise(&tensor(1, &[9.0]), LEVEL).unwrap();
                assert_eq!(got.data(), [want], "{steps} guided, step {step}");
            }
            assert_eq!((cond.1, uncond.1, blind.1), (5, steps, steps));
        }
        // Parts of a prompt are still weighed against the negative one.
        let (mut one, mut two, mut uncond) = (Always(3.0, 0), Always(2.0, 0), Always(1.0, 0));
        let parts = vec![(1.0, &mut one), (0.5, &mut two)];
        let mut guided = Guided::new(parts, Some(&mut uncond), 2.0).unwrap();
        guided = guided.guided_for(0);
        let got = guided.denoise(&tensor(1, &[9.0]), LEVEL).unwrap();
        assert_eq!(got.data(), [3.5]);
    }

    #[test]
    fn a_rescale_outside_its_range_is_refused() {
        for share in [f64::NAN, -0.1, 1.1] {
            let mut only = Always(0.0, 0);
            let guided = Guided::new(vec![(1.0, &mut only)], None, 1.0).unwrap();
            let error = guided.rescaled(share, PredictionType::Sample).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("guidance_rescale is {share}, expected 0 to 1")
            );
        }
    }

    #[test]
    fn guidance_without_its_denoiser_is_refused() {
        let mut only = Always(0.0, 0);
        let error = Guided::new(vec![(1.0, &mut only)], None, 3.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "guidance_scale is 3, expected 1 where there is no negative prompt"
        );
        assert!(Guided::new(vec![], Some(&mut only), 1.0).is_err());
        assert!(Guided::new(vec![(1.0, &mut only)], None, f64::NAN).is_err());
    }

    #[test]
    fn an_output_of_another_shape_is_refused() {
        let network = Fixed(|_: &Tensor, _| tensor(1, &[0.0; 2]), 0);
        let mut denoiser = Discrete::new(network, PredictionType::Epsilon);
        let error = denoiser.denoise(&tensor(1, &[0.0; 3]), LEVEL).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("network output has shape [1, 1, 2, 1]")
        );
    }
}
