//! Making a picture again from its recipe, and comparing two pictures.

use std::sync::Arc;

use imagegen_picture::{Fit, Picture, Wanted};
use imagegen_pipeline::{Colours, NoiseKind, Sampler, Spacing, Strength, StrengthRule, Variation};

use crate::loras;
use crate::recipe::{EnlargeMark, Recipe, VariationMark};
use crate::{
    Enlarge, Error, Generate, HiresMark, Lora, LoraMark, LoraUse, PromptMode, Request, Sampling,
    Settings, Source, Tiles, Transform, VaeTiling, Washing,
};

impl Recipe {
    /// The request that makes the picture again, from `source` and mask picture where it was made from some.
    ///
    /// Fails with [`Error::Setting`] where a field has a value this program does not know or `source` or
    /// `mask` is not the recorded one.
    pub fn request<'a>(
        &self,
        source: Option<&'a Source>,
        mask: Option<&'a Source>,
    ) -> Result<Request<'a>, Error> {
        let settings = Settings {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            prompt_mode: match &self.prompt_mode {
                Some(name) => name.parse()?,
                None => PromptMode::Plain,
            },
            loras: Vec::new(),
            loras_settled: true,
            embeddings: Vec::new(),
            refiner: None,
            steps: Some(self.steps),
            guidance_scale: Some(self.guidance_scale),
            seed: self.seed,
            sampler: Some(Sampler::parse(&self.sampler)?),
            sampling: Sampling {
                schedule: Some(match &self.schedule {
                    Some(name) => Spacing::parse(name)?,
                    None => Spacing::Model,
                }),
                eta: self.eta,
                guidance_rescale: self.guidance_rescale,
                guidance_until: self.guidance_until,
                cache_interval: self.cache_interval,
                token_merging: self.token_merging,
                image_guidance: self.image_guidance,
                colours: Some(match &self.colours {
                    Some(name) => name.parse::<Colours>()?,
                    None => Colours::Decoded,
                }),
                wash: Some(match &self.wash {
                    Some(name) => name.parse::<Washing>()?,
                    None => Washing::On,
                }),
                tiles: self.tiles.map(|_| Tiles::On),
                hires: self.hires.as_ref().map(HiresMark::hires).transpose()?,
                vae_tiling: Some(match self.vae_tiles {
                    Some(_) => VaeTiling::On,
                    None => VaeTiling::Off,
                }),
                refiner_at: Some(self.refiner.as_ref().map_or(1.0, |refiner| refiner.at)),
                clip_skip: self.clip_skip,
                noise: match &self.noise {
                    Some(name) => name.parse::<NoiseKind>()?,
                    None => NoiseKind::Cpu,
                },
                precision: match self.arithmetic.parse() {
                    Ok(precision) => precision,
                    Err(_) => {
                        return Err(wrong("arithmetic", &self.arithmetic, "f32, bf16 or int8"));
                    }
                },
                variation: self
                    .variation
                    .map(|VariationMark { seed, strength }| Variation::new(seed, strength))
                    .transpose()?,
            },
            rule: self.strength_rule.parse::<StrengthRule>()?,
        };
        let hash = |hash: Option<&str>| hash.unwrap_or("none").to_owned();
        let recorded = self.source.as_ref().map(|source| source.sha256.as_str());
        let given = source.map(|source| source.sha256.as_str());
        if recorded != given {
            return Err(Error::setting("source sha256", hash(given), hash(recorded)));
        }
        if let (Some(mark), Some(source)) = (&self.inpaint, source) {
            let strength = Strength::new(self.strength)?;
            let request = mark.request(source, mask, strength, settings)?;
            return Ok(Request::Inpaint(request));
        }
        let first = self.hires.as_ref().map_or(self.size, |hires| hires.size);
        Ok(match source {
            None => Request::Generate(Generate {
                width: first[0],
                height: first[1],
                settings,
            }),
            Some(source) => Request::Transform(Transform {
                source,
                enlarge: self.enlarge()?,
                strength: Strength::new(self.strength)?,
                size: self.wanted_size()?,
                fit: self.fit_kind()?,
                settings,
            }),
        })
    }

    /// The LoRAs that the picture was made with, among those `given`, for [`Settings::loras`]; [`Recipe::request`] leaves
    /// them out.
    ///
    /// Fails with [`Error::NoLora`] for the first that is missing.
    pub fn loras(&self, given: &[Arc<Lora>]) -> Result<Vec<LoraUse>, Error> {
        loras::found(&self.loras, given)
    }

    fn enlarge(&self) -> Result<Option<Enlarge>, Error> {
        let mark = self.enlarge.as_ref();
        let enlarge = mark.map(|EnlargeMark { by, with }| Enlarge::new(*by, with.parse()?));
        enlarge.transpose()
    }

    fn wanted_size(&self) -> Result<Wanted, Error> {
        let text = self.wanted.as_deref().unwrap_or("absent");
        parse_wanted(text).ok_or_else(|| wrong("wanted", text, WANTED))
    }

    fn fit_kind(&self) -> Result<Fit, Error> {
        let name = self.fit.as_deref().unwrap_or("absent");
        parse_fit(name).ok_or_else(|| wrong("fit", name, FITS))
    }

    /// Fails with [`Error::Setting`] at the first field in which `again`, the plan of a repetition,
    /// departs from this recipe. Names of files and models and the program's version may differ.
    pub fn check_repetition(&self, again: &Self) -> Result<(), Error> {
        let vae = |recipe: &Self| recipe.model.vae.as_ref().map(|vae| vae.sha256.clone());
        let prediction = |recipe: &Self| recipe.model.prediction.clone();
        for (field, was, is) in [
            ("model.vae.sha256", vae(self), vae(again)),
            ("model.prediction", prediction(self), prediction(again)),
        ] {
            if was != is {
                let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
                return Err(wrong(field, &text(is), &text(was)));
            }
        }
        let model = (&self.model.sha256, &again.model.sha256);
        if model.0 != model.1 {
            let expected = format!("{}, the model named {}", model.0, self.model.name);
            return Err(Error::setting("model sha256", model.1, expected));
        }
        let refiner = |recipe: &Self| {
            let mark = recipe.refiner.as_ref();
            mark.map_or_else(|| "none".to_owned(), |refiner| refiner.sha256.clone())
        };
        let side =
            |side: Option<u32>| side.map_or_else(|| "none".to_owned(), |side| side.to_string());
        let of = |recipe: &Self, side: fn(&HiresMark) -> Option<u32>| {
            recipe.hires.as_ref().and_then(side)
        };
        for (field, was, is) in [
            ("tiles", self.tiles, again.tiles),
            ("vae_tiles", self.vae_tiles, again.vae_tiles),
            (
                "hires: tiles",
                of(self, |mark| mark.tiles),
                of(again, |mark| mark.tiles),
            ),
            (
                "hires: vae_tiles",
                of(self, |mark| mark.vae_tiles),
                of(again, |mark| mark.vae_tiles),
            ),
        ] {
            if was != is {
                let mut expected = side(was);
                if field == "tiles" && was.is_none() && self.enlarge.is_some() {
                    expected += ", as where it was made: an older version ran it window by window, which this one does not";
                }
                return Err(wrong(field, &side(is), &expected));
            }
        }
        let encoded = |recipe: &Self| recipe.encoded.clone();
        match (encoded(self), encoded(again)) {
            (was, is) if was == is => {}
            (None, Some(is)) => {
                let expected = "drawn: an older version drew latents under this rule of strength, which this one does not";
                return Err(wrong("encoded", &is, expected));
            }
            (was, is) => {
                let text = |encoded: Option<String>| encoded.unwrap_or_else(|| "drawn".to_owned());
                return Err(wrong("encoded", &text(is), &text(was)));
            }
        }
        let refiners = (refiner(self), refiner(again));
        if refiners.0 != refiners.1 {
            return Err(wrong("refiner sha256", &refiners.1, &refiners.0));
        }
        let pairs = [
            ("arithmetic", &self.arithmetic, &again.arithmetic),
            ("sampler", &self.sampler, &again.sampler),
        ];
        for (field, was, is) in pairs {
            if was != is {
                return Err(wrong(field, is, was));
            }
        }
        for mark in &self.embeddings {
            let known = again
                .embeddings
                .iter()
                .find(|known| known.name.eq_ignore_ascii_case(&mark.name));
            let is = known.map_or("none", |known| known.sha256.as_str());
            if is != mark.sha256 {
                let field = format!("embeddings: {} sha256", mark.name);
                return Err(wrong(&field, is, &mark.sha256));
            }
        }
        let spare = again.embeddings.iter().find(|known| {
            let mut marks = self.embeddings.iter();
            !marks.any(|mark| mark.name.eq_ignore_ascii_case(&known.name))
        });
        if let Some(known) = spare {
            let field = format!("embeddings: {} sha256", known.name);
            return Err(wrong(&field, &known.sha256, "none"));
        }
        check_loras(&self.loras, &again.loras)?;
        if let (Some(was), Some(is)) = (&self.inpaint, &again.inpaint) {
            let (was, is) = (&was.mask.sha256, &is.mask.sha256);
            if was != is {
                return Err(wrong("mask sha256", is, was));
            }
        }
        let text = |[width, height]: [u32; 2]| format!("{width}x{height}");
        for (field, was, is) in [
            ("size", self.size, again.size),
            ("work_size", self.work_size, again.work_size),
        ] {
            if was != is {
                return Err(wrong(field, &text(is), &text(was)));
            }
        }
        Ok(())
    }
}

/// Fails unless the same LoRAs weigh the same.
fn check_loras(was: &[LoraMark], is: &[LoraMark]) -> Result<(), Error> {
    let weight = |marks: &[LoraMark], sha256: &str| {
        let mark = marks.iter().find(|mark| mark.sha256 == sha256);
        mark.map_or_else(|| "none".to_owned(), |mark| mark.weight.to_string())
    };
    for mark in was.iter().chain(is) {
        let (was, is) = (weight(was, &mark.sha256), weight(is, &mark.sha256));
        if was != is {
            let field = format!("loras: {} (sha256 {}) weight", mark.name, mark.sha256);
            return Err(wrong(&field, &is, &was));
        }
    }
    Ok(())
}

/// What [`parse_wanted`] reads.
const WANTED: &str = "source, a side or WxH";
/// What [`parse_fit`] reads.
const FITS: &str = "keep, crop, pad or stretch";

/// Reads a size as recipes carry it: `source`, `640` (longest side) or `640x480`.
pub fn parse_wanted(text: &str) -> Option<Wanted> {
    if text == "source" {
        return Some(Wanted::Source);
    }
    let exact = || {
        let (width, height) = text.split_once('x')?;
        Some(Wanted::Exact(width.parse().ok()?, height.parse().ok()?))
    };
    text.parse().ok().map(Wanted::Longest).or_else(exact)
}

/// Reads the name of a way to fit: `keep`, `crop`, `pad` or `stretch`.
pub fn parse_fit(name: &str) -> Option<Fit> {
    Fit::ALL.into_iter().find(|fit| fit.name() == name)
}

fn wrong(field: &str, got: &str, expected: &str) -> Error {
    Error::setting(format!("recipe field \"{field}\""), got, expected)
}

/// How far two pictures of one size agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// Pixels of either.
    pub pixels: u64,
    /// Pixels that are not the same.
    pub differing: u64,
    /// Largest difference of a value, 0 to 255.
    pub largest: u8,
}

impl Agreement {
    /// Compares colours and alpha; a picture without alpha is opaque. `None` where sizes differ.
    pub fn of(one: &Picture, two: &Picture) -> Option<Self> {
        if one.size() != two.size() {
            return None;
        }
        let alpha = |picture: &Picture, index: usize| picture.alpha().map_or(255, |a| a[index]);
        let colours = one.rgb().chunks_exact(3).zip(two.rgb().chunks_exact(3));
        let mut agreement = Self {
            pixels: one.size().pixels(),
            differing: 0,
            largest: 0,
        };
        for (index, (left, right)) in colours.enumerate() {
            let colour = left.iter().zip(right).map(|(a, b)| a.abs_diff(*b)).max();
            let alpha = alpha(one, index).abs_diff(alpha(two, index));
            let most = colour.unwrap_or(0).max(alpha);
            agreement.differing += u64::from(most > 0);
            agreement.largest = agreement.largest.max(most);
        }
        Some(agreement)
    }

    /// Whether every pixel is the same.
    pub fn is_whole(self) -> bool {
        self.differing == 0
    }
}

#[cfg(test)]
mod tests {
    use imagegen_picture::Size;

    use super::*;

    #[test]
    fn every_difference_is_counted() {
        let size = Size::new(2, 2);
        let one = Picture::filled(size, [10, 20, 30]).unwrap();
        let same = one.clone().with_alpha(Some(vec![255; 4])).unwrap();
        assert!(Agreement::of(&one, &same).unwrap().is_whole());
        let mut rgb = one.rgb().to_vec();
        rgb[5] = 90;
        let other = Picture::new(size, rgb, Some(vec![255, 255, 254, 255])).unwrap();
        let found = Agreement::of(&one, &other).unwrap();
        assert_eq!((found.pixels, found.differing, found.largest), (4, 2, 60));
        assert!(!found.is_whole());
        let wide = Picture::filled(Size::new(4, 1), [10, 20, 30]).unwrap();
        assert_eq!(Agreement::of(&one, &wide), None);
    }
}
