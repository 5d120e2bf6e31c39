//! Inpainting with any model: what the mask keeps is held at the source's latents through the whole loop,
//! grey parts up to the step from which they may change. Networks made for inpainting see the mask and keep the
//! rest themselves.

use imagegen_engine::Tensor;

use crate::colours::{Shift, without};
use crate::elementwise::{add_scaled, scaled};
use crate::img2img::{decoded, ended, facts, finite, guided, latents_shape};
use crate::noise::encoded;
use crate::{
    Conditioning, Denoiser, Error, LatentCodec, Networks, Noise, NoiseLevel, Outcome, Plan,
    Progress, Settings, Stage, Start, Strength, StrengthRule, low_pass,
};

/// What the loop starts from under the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskedContent {
    /// The source itself.
    #[default]
    Original,
    /// The source with what is fully covered filled smoothly from around it.
    Fill,
    /// The same, filled with patches of what is around it.
    Patches,
    /// Noise in place of latents.
    Noise,
    /// Latents of 0.
    Nothing,
}

impl MaskedContent {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Original,
        Self::Fill,
        Self::Patches,
        Self::Noise,
        Self::Nothing,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Fill => "fill",
            Self::Patches => "patches",
            Self::Noise => "noise",
            Self::Nothing => "nothing",
        }
    }
}

impl std::str::FromStr for MaskedContent {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|content| content.name() == name);
        let expected = "original, fill, patches, noise or nothing";
        found.ok_or_else(|| Error::value("masked content", format!("{name:?}"), expected))
    }
}

/// An inpainting request.
#[derive(Debug, Clone, Copy)]
pub struct Inpaint<'a> {
    /// Pixels `[1, H, W, 3]` in -1..1, sides multiples of the codec's grid.
    pub source: &'a Tensor,
    /// The source with what the mask covers fully filled from around it, in the way that `content` names where
    /// it names one, so that it tells nothing of what was there; of the source's shape.
    pub filled: &'a Tensor,
    /// How much of each pixel may change, `[1, H, W, 1]`, 0 kept to 1 repainted.
    pub mask: &'a Tensor,
    /// What the loop starts from under the mask. At strength 1 it makes no difference: noise alone.
    pub content: MaskedContent,
    /// How far what is covered fully moves away from the source; covered by half, half as far.
    pub strength: Strength,
    /// The rest.
    pub settings: Settings,
}

/// Repaints what the mask covers.
///
/// A cell of latents is covered as much as any of its pixels. What is not covered keeps the source's
/// latents; the network sees them with the noise of each level, as in diffusers, and what is covered by
/// share `c` joins in for the last `c` of the steps that run, so that change grows with coverage
/// (differential diffusion). At strength 1 what is covered fully is read by nothing: latents and
/// conditioning come from `filled`. Strength 0 returns the source.
///
/// A network made for inpainting is shown the mask, 1 in every cell that is covered at all, and the latents of
/// the picture with all that is covered blanked to mid grey. It keeps the rest by itself, as in diffusers; only
/// grey parts are held until their steps come.
///
/// Noise is drawn in this order: the codec's posterior sample (not by networks made for inpainting at strength
/// 1), the start, the posterior of the masked picture (by those networks, and under rule `diffusers`, where that
/// library draws it for nothing), masked content that is noise, each step that uses some. Fails as [`img2img`](crate::img2img), and with [`Error::Value`] for
/// coverage outside 0 to 1. A refiner has no say here.
pub fn inpaint(
    request: &Inpaint<'_>,
    networks: &mut Networks<'_, '_>,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let settings = &request.settings;
    let plan = Plan::img2img(networks.training, settings.plan_request(request.strength))?;
    if plan.start == Start::Nothing {
        return Ok(Outcome {
            pixels: request.source.clone(),
            latents: None,
            facts: facts(&plan, None),
        });
    }
    let size = request.check()?;
    let shape = latents_shape(size, networks.codec)?;
    let mut cells = cells(request.mask, networks.codec.downscale())?;
    let mut low_pass = None;
    let mut channels = match networks.conditioning {
        None | Some(Conditioning::Masked) => None,
        Some(Conditioning::Instructed) => Some(request.source_channels(1, networks.codec)?),
        Some(Conditioning::Faded(rule)) => {
            let factor = *low_pass.insert(rule.factor(plan.strength));
            Some(request.source_channels(factor, networks.codec)?)
        }
    };
    let sees_mask = networks.conditioning == Some(&Conditioning::Masked);
    let mut noise = settings.run_noise();
    let mut latents = request.latents(&cells, (shape, sees_mask), networks.codec, &mut noise)?;
    if let Some(masked) = latents.masked.take() {
        channels = Some(mask_channels(&cells, &masked)?);
        // What is not covered at all is kept by the network.
        let covered = |cell: &mut f32| *cell = if *cell > 0.0 { *cell } else { 1.0 };
        cells.iter_mut().for_each(covered);
    }
    let source = (request.read(), &latents.known);
    let shift = Shift::measure(source, (settings.colours, plan.strength), networks.codec)?;
    let (known, noised) = (latents.known.clone(), request.start(&plan, &latents)?);
    let mut denoiser = Masked {
        inner: guided(
            settings,
            plan.runs,
            (channels, plan.strength),
            networks.wiring(),
        )?,
        known: latents.known,
        noise: latents.noise,
        cells,
        sigmas: plan
            .schedule
            .levels()
            .iter()
            .map(|level| level.sigma)
            .collect(),
        // In diffusers the first step at strength 1 sees noise alone.
        blind: settings.rule == StrengthRule::Diffusers && request.is_whole(),
    };
    let noised = plan
        .sampler
        .run(&mut denoiser, noised, &plan.schedule, &mut noise, progress)?;
    let never = denoiser.held(plan.runs.saturating_sub(1));
    let latents = replace(ended(noised, plan.schedule.final_sigma()), &known, &never);
    let pixels = without(shift.as_ref(), decoded(&latents, networks.codec)?)?;
    let pixels = match networks.finish {
        None => pixels,
        Some(_) => {
            let seen = (Some(request.read()), low_pass);
            let finished = networks.finished(pixels.clone(), seen, plan.strength)?;
            request.covered(pixels, &finished)
        }
    };
    Ok(Outcome {
        pixels,
        latents: Some(latents),
        facts: facts(&plan, low_pass),
    })
}

/// Latents that a run starts from.
struct Latents {
    /// Of the source, or of the filled one where that is what counts.
    known: Tensor,
    /// With the masked content.
    start: Tensor,
    /// Of the first level.
    noise: Tensor,
    /// Of the picture with what is covered blanked, where the network sees it.
    masked: Option<Tensor>,
}

impl Inpaint<'_> {
    /// Whether what is covered is made from noise alone.
    fn is_whole(&self) -> bool {
        self.strength.get() == 1.0
    }

    /// The picture whose latents and channels are read.
    fn read(&self) -> &Tensor {
        match self.content {
            MaskedContent::Original if !self.is_whole() => self.source,
            _ => self.filled,
        }
    }

    /// Height and width. Fails unless all three tensors fit each other and coverage is within 0 to 1.
    fn check(&self) -> Result<[usize; 2], Error> {
        let [n, h, w, colours] = self.source.nhwc("source")?;
        let wrong = |subject: &str, tensor: &Tensor, expected: String| {
            Err(imagegen_engine::Error::shape(subject, tensor.shape(), expected).into())
        };
        if n != 1 || colours != 3 {
            return wrong("source", self.source, "[1, H, W, 3]".to_owned());
        }
        if self.filled.shape() != self.source.shape() {
            return wrong("filled source", self.filled, format!("[1, {h}, {w}, 3]"));
        }
        if self.mask.shape() != [1, h, w, 1] {
            return wrong("mask", self.mask, format!("[1, {h}, {w}, 1]"));
        }
        let outside = self.mask.data().iter().find(|c| !(0.0..=1.0).contains(*c));
        match outside {
            Some(coverage) => Err(Error::value("mask coverage", coverage, "0 to 1")),
            None => Ok([h, w]),
        }
    }

    /// What the network sees of the picture: all of what is kept, and of what is covered no more than the
    /// strength allows, at strength 1 nothing.
    fn source_channels(&self, factor: usize, codec: &mut dyn LatentCodec) -> Result<Tensor, Error> {
        let sharp = self.read();
        let pixels = self.covered(sharp.clone(), &low_pass(sharp, factor)?);
        let channels = codec
            .condition(&pixels)
            .map_err(Error::failed(Stage::Condition))?;
        finite(channels, Stage::Condition)
    }

    /// `pixels`, as far as they are covered on the way to those of `changed`.
    fn covered(&self, mut pixels: Tensor, changed: &Tensor) -> Tensor {
        let both = pixels
            .data_mut()
            .chunks_exact_mut(3)
            .zip(changed.data().chunks_exact(3));
        for ((pixel, changed), &coverage) in both.zip(self.mask.data()) {
            for (value, &changed) in pixel.iter_mut().zip(changed) {
                *value += coverage * (changed - *value);
            }
        }
        pixels
    }

    /// The source with everything blanked to mid grey that is covered at all.
    fn blanked(&self) -> Tensor {
        let mut pixels = self.source.clone();
        let colours = pixels.data_mut().chunks_exact_mut(3);
        for (colour, &coverage) in colours.zip(self.mask.data()) {
            if coverage > 0.0 {
                colour.fill(0.0);
            }
        }
        pixels
    }

    fn latents(
        &self,
        cells: &[f32],
        (shape, sees_mask): ([usize; 4], bool),
        codec: &mut dyn LatentCodec,
        noise: &mut dyn Noise,
    ) -> Result<Latents, Error> {
        let rule = self.settings.rule;
        let mut encode =
            |pixels: &Tensor, noise: &mut dyn Noise| encoded(pixels, rule, codec, noise);
        // At strength 1 a network that sees the mask needs the source's latents for grey parts alone.
        let early = !(sees_mask && self.is_whole());
        let known = early.then(|| encode(self.read(), noise)).transpose()?;
        let first = noise.initial(shape);
        let masked = match sees_mask {
            true => Some(encode(&self.blanked(), noise)?),
            false => {
                if rule == StrengthRule::Diffusers {
                    encode(self.filled, noise)?;
                }
                None
            }
        };
        let known = match known {
            Some(known) => known,
            None if cells.iter().any(|&cell| cell > 0.0 && cell < 1.0) => {
                encode(self.read(), noise)?
            }
            None => Tensor::zeros(shape),
        };
        let mut start = known.clone();
        let content = match self.content {
            MaskedContent::Original | MaskedContent::Fill | MaskedContent::Patches => None,
            MaskedContent::Noise => Some(noise.normal(shape)),
            MaskedContent::Nothing => Some(Tensor::zeros(shape)),
        };
        if let Some(content) = content {
            let channels = shape[3];
            let numbers = start.data_mut().chunks_exact_mut(channels);
            for ((place, content), &cell) in numbers
                .zip(content.data().chunks_exact(channels))
                .zip(cells)
            {
                for (value, &content) in place.iter_mut().zip(content) {
                    *value += cell * (content - *value);
                }
            }
        }
        Ok(Latents {
            known,
            start,
            noise: first,
            masked,
        })
    }

    /// Latents at the first level.
    fn start(&self, plan: &Plan, latents: &Latents) -> Result<Tensor, Error> {
        if self.is_whole() {
            let scale = plan.schedule.pure_noise_scale();
            return Ok(scaled(latents.noise.clone(), scale));
        }
        Ok(add_scaled(
            &latents.start,
            &latents.noise,
            plan.start_sigma(),
        )?)
    }
}

/// The coverage of each cell of latents: the largest of its pixels.
fn cells(mask: &Tensor, side: usize) -> Result<Vec<f32>, Error> {
    let [_, h, w, _] = mask.nhwc("mask")?;
    let mut cells = vec![0f32; (h / side) * (w / side)];
    for (index, &coverage) in mask.data().iter().enumerate() {
        let (row, column) = (index / w / side, index % w / side);
        let cell = &mut cells[row * (w / side) + column];
        *cell = cell.max(coverage);
    }
    Ok(cells)
}

/// The channels that a network made for inpainting sees besides noised latents: the mask, then the latents of
/// what it leaves, `[1, h, w, 1 + C]`.
fn mask_channels(cells: &[f32], masked: &Tensor) -> Result<Tensor, Error> {
    let [_, h, w, channels] = masked.nhwc("masked latents")?;
    let mut data = Vec::with_capacity(h * w * (1 + channels));
    for (&cell, latents) in cells.iter().zip(masked.data().chunks_exact(channels)) {
        data.push(f32::from(cell > 0.0));
        data.extend_from_slice(latents);
    }
    Ok(Tensor::new([1, h, w, 1 + channels], data)?)
}

/// `latents` with those of `known` in the cells that are `held`.
fn replace(mut latents: Tensor, known: &Tensor, held: &[bool]) -> Tensor {
    let channels = known.data().len() / held.len().max(1);
    let places = latents.data_mut().chunks_exact_mut(channels.max(1));
    for ((place, known), &held) in places
        .zip(known.data().chunks_exact(channels.max(1)))
        .zip(held)
    {
        if held {
            place.copy_from_slice(known);
        }
    }
    latents
}

/// Shows a denoiser the source where it is kept, and keeps it in the estimate.
struct Masked<D> {
    inner: D,
    /// Clean latents.
    known: Tensor,
    /// The noise that goes with them at every level.
    noise: Tensor,
    /// Coverage of each cell, 0 to 1.
    cells: Vec<f32>,
    /// Levels of the steps, descending.
    sigmas: Vec<f64>,
    /// Whether the first step does not see what is kept.
    blind: bool,
}

impl<D> Masked<D> {
    /// Which cells are still held at a step, counted from 0: those whose share of the steps has not begun.
    fn held(&self, step: usize) -> Vec<bool> {
        let gone = step as f32 / self.sigmas.len() as f32;
        self.cells.iter().map(|&cell| cell < 1.0 - gone).collect()
    }

    /// The step that a level belongs to: the last that starts at or above it, since samplers of higher
    /// order ask between two levels.
    fn step(&self, sigma: f64) -> usize {
        self.sigmas
            .iter()
            .rposition(|&from| from >= sigma)
            .unwrap_or(0)
    }
}

impl<D: Denoiser> Denoiser for Masked<D> {
    fn begin_step(&mut self, step: usize) {
        self.inner.begin_step(step);
    }

    fn denoise(&mut self, noised: &Tensor, level: NoiseLevel) -> Result<Tensor, Error> {
        let step = self.step(level.sigma);
        let held = self.held(step);
        let seen = match self.blind && step == 0 {
            true => noised.clone(),
            false => {
                let known = add_scaled(&self.known, &self.noise, level.sigma)?;
                replace(noised.clone(), &known, &held)
            }
        };
        let denoised = self.inner.denoise(&seen, level)?;
        Ok(replace(denoised, &self.known, &held))
    }
}
