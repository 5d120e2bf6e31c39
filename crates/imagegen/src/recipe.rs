//! How a picture was made, as it is written into the picture: no clock, no paths.

use imagegen_engine::cpu::Precision;
use imagegen_picture::fidelity::Fidelity;
use imagegen_picture::metadata::{self, A1111Fields, DigitalSource, a1111_parameters};
use imagegen_picture::{EncodeError, Format, Metadata, Size};
use imagegen_pipeline::{Sampler, Variation};
use serde::{Deserialize, Serialize};

use crate::{EmbeddingMark, Enlarge, Error, HiresMark, InpaintMark, LoraMark, PROGRAM, Source};

/// Everything that decides a picture's pixels. Read strictly: a field this program does not know may
/// decide them too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Program and version.
    pub program: String,
    /// The arithmetic: `f32`, or `bf16` or `int8` for networks that multiply in that. Each gives the same pixels on every CPU.
    pub arithmetic: String,
    /// What to make.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// The grammar both were read by; absent where they were taken as they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_mode: Option<String>,
    /// Textual inversions that words of them stood for; absent where none did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<EmbeddingMark>,
    /// LoRAs that changed the model; absent where none did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraMark>,
    /// Which layer of the text encoders was read, 2 the one before the model's own; absent for the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<usize>,
    /// How far to move away from the source; 1 for text-to-image.
    pub strength: f64,
    /// What strength means.
    pub strength_rule: String,
    /// Steps of the full schedule.
    pub steps: usize,
    /// The algorithm.
    pub sampler: String,
    /// How noise levels were laid out; absent where the model's own way was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Share of fresh noise; absent where the sampler's own was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Share of the guided output that was brought back to the prompt's own spread; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_rescale: Option<f64>,
    /// Share of the steps that was guided; absent where all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_until: Option<f64>,
    /// Every how many steps the whole network ran; absent where it was every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_interval: Option<usize>,
    /// Share of the tokens that were merged for self-attention; absent where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_merging: Option<f64>,
    /// Weight of the source over no source; absent where the model is not instructed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_guidance: Option<f64>,
    /// What is done about colours that the autoencoder shifts, where strength leaves something to do; absent for
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colours: Option<String>,
    /// `off` where the model was kept from putting colours under the lines of drawings; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wash: Option<String>,
    /// What of the autoencoder's latents of the source was taken, `mean`; absent where they were drawn, or are all it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<String>,
    /// Weight of the prompt over the negative prompt.
    pub guidance_scale: f64,
    /// Whose random numbers seeds stand for; absent for torch's on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
    /// Seed of all noise; text above 2^53, so that no reader rounds it.
    #[serde(with = "seed")]
    pub seed: u64,
    /// Another seed, whose noise the run started from in part; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<VariationMark>,
    /// Width and height of the result.
    pub size: [u32; 2],
    /// Width and height the model worked at.
    pub work_size: [u32; 2],
    /// The second pass, over the enlarged picture; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hires: Option<HiresMark>,
    /// Side, in pixels, of the windows in which the network saw the picture; absent where it saw it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<u32>,
    /// Side, in pixels, of the tiles in which the autoencoder saw the picture; absent where it saw it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae_tiles: Option<u32>,
    /// What the source was enlarged by before all else; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<EnlargeMark>,
    /// The size asked for: `source`, `640` (longest side) or `640x480`; absent for text-to-image.
    pub wanted: Option<String>,
    /// How the source was brought to the wanted shape; absent for text-to-image.
    pub fit: Option<String>,
    /// The model.
    pub model: ModelMark,
    /// The model that ran the last steps; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<RefinerMark>,
    /// The source; absent for text-to-image.
    pub source: Option<SourceMark>,
    /// How a part was repainted; absent where the whole picture was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inpaint: Option<InpaintMark>,
    /// How alike source and result are; known after the run, decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<FidelityMark>,
}

/// By how much a source was enlarged, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnlargeMark {
    /// By what each side was multiplied.
    pub by: u32,
    /// The enlarger's name.
    pub with: String,
}

impl From<Enlarge> for EnlargeMark {
    fn from(enlarge: Enlarge) -> Self {
        Self {
            by: enlarge.by(),
            with: enlarge.with().name().to_owned(),
        }
    }
}

/// Another seed, and how far from the first seed's noise to its own a run started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariationMark {
    /// The seed; text above 2^53.
    #[serde(with = "seed")]
    pub seed: u64,
    /// Above 0, up to 1.
    pub strength: f64,
}

impl From<Variation> for VariationMark {
    fn from(variation: Variation) -> Self {
        Self {
            seed: variation.seed,
            strength: variation.strength(),
        }
    }
}

/// How alike source and result are, 0 to 1, in four digits; see [`imagegen_picture::fidelity`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FidelityMark {
    /// Structure and colour in one figure.
    pub overall: f64,
    /// Forms and light.
    pub structure: f64,
    /// Colour of areas.
    pub colour: f64,
}

impl From<Fidelity> for FidelityMark {
    fn from(fidelity: Fidelity) -> Self {
        let rounded = |figure: f64| (figure * 1e4).round() / 1e4;
        Self {
            overall: rounded(fidelity.overall),
            structure: rounded(fidelity.structure),
            colour: rounded(fidelity.colour),
        }
    }
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMark {
    /// Its name.
    pub name: String,
    /// SHA-256 over its files.
    pub sha256: String,
    /// The autoencoder that took the place of its own; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae: Option<SourceMark>,
    /// What its output was taken for, whatever its files say; absent where they decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
}

/// Which refiner, and when it took over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinerMark {
    /// Its name.
    pub name: String,
    /// SHA-256 over its files.
    pub sha256: String,
    /// Share of the noise levels that was left to the model before it.
    pub at: f64,
}

/// Which source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMark {
    /// The file's base name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl SourceMark {
    pub(crate) fn of(source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            sha256: source.sha256.clone(),
        }
    }
}

impl Recipe {
    /// The seed that tells the picture from others of its row: that of the variation where there is one.
    pub fn row_seed(&self) -> u64 {
        self.variation.map_or(self.seed, |variation| variation.seed)
    }

    /// Our own document, for making the picture again.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a recipe holds only texts and finite numbers")
    }

    /// Reads the recipe out of a picture file of ours.
    ///
    /// Fails with [`Error::NoRecipe`] where the file `name` has none, and with [`Error::Setting`] where
    /// its document is none this program knows.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let json = metadata::read(bytes).json.ok_or_else(|| Error::NoRecipe {
            name: name.to_owned(),
        })?;
        serde_json::from_str(&json).map_err(|error| {
            let subject = format!("the recipe in {name}");
            Error::setting(subject, error, format!("one that {PROGRAM} knows"))
        })
    }

    /// What a picture file says about its making.
    pub fn metadata(&self) -> Metadata {
        let source = match self.source {
            Some(_) => DigitalSource::CompositeWithTrained,
            None => DigitalSource::Trained,
        };
        let [width, height] = self.size;
        Metadata {
            parameters: Some(self.a1111(Size::new(width, height))),
            json: Some(self.json()),
            source: Some(source),
            ..Metadata::default()
        }
    }

    /// Checks, before a run, that its result can be written as `format`.
    ///
    /// Fails with [`Error::Encode`] where the texts or the size are too much for it.
    pub fn check(&self, format: Format) -> Result<(), Error> {
        // The longest figures, for those that are not known yet.
        let figure = 0.1234;
        let mut recipe = self.clone();
        recipe.fidelity = self.source.as_ref().map(|_| FidelityMark {
            overall: figure,
            structure: figure,
            colour: figure,
        });
        let [width, height] = self.size;
        let (name, limit) = format.limit();
        if width.max(height) > limit {
            return Err(Error::Encode(EncodeError::TooLarge {
                format: name,
                size: Size::new(width, height),
                limit,
            }));
        }
        metadata::check(&recipe.metadata(), format).map_err(EncodeError::from)?;
        Ok(())
    }

    /// The text other tools read (AUTOMATIC1111's `parameters`).
    pub fn a1111(&self, size: Size) -> String {
        let sampler = Sampler::parse(&self.sampler);
        let name = sampler
            .ok()
            .and_then(|s| s.names().get(1).copied())
            .unwrap_or("unknown");
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut extra = vec![named("Strength rule", &self.strength_rule)];
        if self.prompt_mode.is_none() {
            extra.push(named("Prompt mode", "plain"));
        }
        if !self.embeddings.is_empty() {
            let short = |mark: &EmbeddingMark| format!("{}: {:.12}", mark.name, mark.sha256);
            let hashes: Vec<_> = self.embeddings.iter().map(short).collect();
            extra.push(named("TI hashes", &hashes.join(", ")));
        }
        if !self.loras.is_empty() {
            let short = |mark: &LoraMark| format!("{}: {}", mark.name, mark.short_hash);
            let hashes: Vec<_> = self.loras.iter().map(short).collect();
            extra.push(named("Lora hashes", &hashes.join(", ")));
        }
        if let Some(skip) = self.clip_skip {
            extra.push(named("Clip skip", &skip.to_string()));
        }
        if let Some(hires) = &self.hires {
            extra.push(named("Hires upscale", &hires.by.to_string()));
            extra.push(named("Hires steps", &hires.steps.to_string()));
            extra.push(named("Hires upscaler", &hires.with));
            extra.push(named("Hires strength", &hires.strength.to_string()));
        }
        if let Some(EnlargeMark { by, with }) = &self.enlarge {
            extra.push(named("Upscale by", &by.to_string()));
            extra.push(named("Upscaler", with));
        }
        if let Some(schedule) = &self.schedule {
            extra.push(named("Schedule type", schedule_type(schedule)));
        }
        if let Some(eta) = self.eta {
            extra.push(named("Eta", &eta.to_string()));
        }
        if let Some(share) = self.guidance_rescale {
            extra.push(named("CFG Rescale phi", &share.to_string()));
        }
        if let Some(share) = self.guidance_until {
            extra.push(named("Guidance until", &share.to_string()));
        }
        if let Some(steps) = self.cache_interval {
            extra.push(named("Cache interval", &steps.to_string()));
        }
        if let Some(share) = self.token_merging {
            extra.push(named("Token merging ratio", &share.to_string()));
        }
        if let Some(weight) = self.image_guidance {
            extra.push(named("Image CFG scale", &weight.to_string()));
        }
        if let Some(RefinerMark { name, sha256, at }) = &self.refiner {
            extra.push(named("Refiner", &format!("{name} [{sha256:.10}]")));
            extra.push(named("Refiner switch at", &at.to_string()));
        }
        if let Some(vae) = &self.model.vae {
            extra.push(named("VAE", &vae.name));
            extra.push(named("VAE hash", &format!("{:.10}", vae.sha256)));
        }
        if let Some(kind) = &self.model.prediction {
            extra.push(named("Prediction type", kind));
        }
        let noise = self.noise.as_deref().unwrap_or("cpu");
        extra.push(named("RNG", &noise.to_uppercase()));
        if self.arithmetic != Precision::F32.name() {
            extra.push(named("Precision", &self.arithmetic));
        }
        if let Some(VariationMark { seed, strength }) = self.variation {
            extra.push(named("Variation seed", &seed.to_string()));
            extra.push(named("Variation seed strength", &strength.to_string()));
        }
        a1111_parameters(&A1111Fields {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            steps: u32::try_from(self.steps).unwrap_or(u32::MAX),
            sampler: name.to_owned(),
            cfg_scale: self.guidance_scale,
            seed: self.seed,
            size,
            model_hash: Some(self.model.sha256.chars().take(10).collect()),
            model: Some(self.model.name.clone()),
            denoising_strength: self.source.is_some().then_some(self.strength),
            version: PROGRAM.to_owned(),
            extra,
        })
    }
}

/// The name that AUTOMATIC1111 has for a schedule; our own where it has none.
fn schedule_type(name: &str) -> &str {
    match name {
        "karras" => "Karras",
        "exponential" => "Exponential",
        "polyexponential" => "Polyexponential",
        "sgm_uniform" => "SGM Uniform",
        "simple" => "Simple",
        "beta" => "Beta",
        own => own,
    }
}

/// A number up to 2^53, text above.
pub(crate) mod seed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const EXACT: u64 = 1 << 53;

    pub(crate) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *seed <= EXACT {
            serializer.serialize_u64(*seed)
        } else {
            serializer.serialize_str(&seed.to_string())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(from)? {
            Either::Number(seed) => Ok(seed),
            Either::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use imagegen_picture::{Picture, encode};

    use super::*;

    fn recipe(seed: u64) -> Recipe {
        Recipe {
            program: PROGRAM.into(),
            arithmetic: "f32".into(),
            prompt: "a \"quoted\"\nNegative prompt: x\nSteps: 5".into(),
            negative_prompt: String::new(),
            prompt_mode: Some("a1111".into()),
            embeddings: Vec::new(),
            loras: Vec::new(),
            clip_skip: None,
            strength: 0.5,
            strength_rule: "share".into(),
            steps: 10,
            sampler: "ddim".into(),
            schedule: None,
            eta: None,
            guidance_rescale: None,
            guidance_until: None,
            cache_interval: None,
            token_merging: None,
            image_guidance: None,
            colours: None,
            wash: None,
            encoded: None,
            guidance_scale: 1.5,
            noise: None,
            seed,
            variation: None,
            size: [64, 32],
            work_size: [64, 32],
            hires: None,
            tiles: None,
            vae_tiles: None,
            enlarge: None,
            wanted: Some("source".into()),
            fit: Some("keep".into()),
            model: ModelMark {
                name: "m".into(),
                sha256: "ab".repeat(32),
                vae: None,
                prediction: None,
            },
            refiner: None,
            source: Some(SourceMark {
                name: "s.png".into(),
                sha256: "cd".repeat(32),
            }),
            inpaint: None,
            fidelity: Some(FidelityMark {
                overall: 0.7123,
                structure: 0.8,
                colour: 0.5,
            }),
        }
    }

    #[test]
    fn documents_come_back_with_every_seed() {
        for seed in [0, 1 << 53, (1 << 53) + 1, u64::MAX] {
            let written = recipe(seed).json();
            assert_eq!(written.contains(&format!("\"{seed}\"")), seed > 1 << 53);
            assert_eq!(
                serde_json::from_str::<Recipe>(&written).unwrap(),
                recipe(seed)
            );
        }
    }

    #[test]
    fn what_does_not_fit_a_format_is_known_before_the_run() {
        let mut long = recipe(7);
        long.prompt = "word ".repeat(10_000);
        assert!(long.check(Format::Png).is_ok() && long.check(Format::WebP).is_ok());
        let error = long.check(Format::JPEG).unwrap_err().to_string();
        assert!(error.contains("in JPEG; PNG has room for it"), "{error}");
        let mut wide = recipe(7);
        wide.size = [16_385, 16];
        assert!(wide.check(Format::JPEG).is_ok());
        let error = wide.check(Format::WebP).unwrap_err().to_string();
        assert!(
            error.contains("16385x16, expected at most 16384"),
            "{error}"
        );
    }

    #[test]
    fn recipes_are_read_strictly() {
        let picture = Picture::filled(Size::new(4, 4), [9; 3]).unwrap();
        let file = |json: String| {
            let metadata = Metadata {
                json: Some(json),
                ..Metadata::default()
            };
            encode(&picture, Format::Png, &metadata).unwrap().bytes
        };
        assert_eq!(
            Recipe::read("a.png", &file(recipe(7).json())).unwrap(),
            recipe(7)
        );
        let newer = recipe(7).json().replacen('{', "{\"mask\": 1, ", 1);
        let error = Recipe::read("a.png", &file(newer)).unwrap_err().to_string();
        assert!(
            error.starts_with("the recipe in a.png is unknown field `mask`"),
            "{error}"
        );
        let plain = encode(&picture, Format::Png, &Metadata::default()).unwrap();
        let error = Recipe::read("b.png", &plain.bytes).unwrap_err();
        assert!(
            matches!(&error, Error::NoRecipe { name } if name == "b.png"),
            "{error}"
        );
    }

    #[test]
    fn a_prompt_cannot_forge_the_settings_line() {
        let text = recipe(7).a1111(Size::new(64, 32));
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("Steps: 10, Sampler: DDIM, CFG scale: 1.5, Seed: 7"),
            "{last}"
        );
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
