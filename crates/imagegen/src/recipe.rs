//! How a picture was made, as it is written into the picture: no clock, no paths.

use imagegen_picture::Size;
use imagegen_picture::metadata::{A1111Fields, a1111_parameters};
use imagegen_pipeline::Sampler;
use serde::{Deserialize, Serialize};

use crate::PROGRAM;

/// Everything that decides a picture's pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Program and version.
    pub program: String,
    /// The arithmetic: `f32` gives the same pixels on every CPU.
    pub arithmetic: String,
    /// What to make.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// How far to move away from the source; 1 for text-to-image.
    pub strength: f64,
    /// What strength means.
    pub strength_rule: String,
    /// Steps of the full schedule.
    pub steps: usize,
    /// The algorithm.
    pub sampler: String,
    /// Weight of the prompt over the negative prompt.
    pub guidance_scale: f64,
    /// Seed of all noise; text above 2^53, so that no reader rounds it.
    #[serde(with = "seed")]
    pub seed: u64,
    /// Width and height of the result.
    pub size: [u32; 2],
    /// Width and height the model worked at.
    pub work_size: [u32; 2],
    /// How the source was brought to the wanted shape; absent for text-to-image.
    pub fit: Option<String>,
    /// The model.
    pub model: ModelMark,
    /// The source; absent for text-to-image.
    pub source: Option<SourceMark>,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMark {
    /// Its name.
    pub name: String,
    /// SHA-256 over its files.
    pub sha256: String,
}

/// Which source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMark {
    /// The file's base name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl Recipe {
    /// Our own document, for making the picture again.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a recipe holds only texts and finite numbers")
    }

    /// The text other tools read (AUTOMATIC1111's `parameters`).
    pub fn a1111(&self, size: Size) -> String {
        let sampler = Sampler::parse(&self.sampler);
        let name = sampler
            .ok()
            .and_then(|s| s.names().get(1).copied())
            .unwrap_or("unknown");
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
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
            extra: vec![named("Strength rule", &self.strength_rule)],
        })
    }
}

/// A number up to 2^53, text above.
mod seed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const EXACT: u64 = 1 << 53;

    pub(super) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *seed <= EXACT {
            serializer.serialize_u64(*seed)
        } else {
            serializer.serialize_str(&seed.to_string())
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
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
    use super::*;

    fn recipe(seed: u64) -> Recipe {
        Recipe {
            program: PROGRAM.into(),
            arithmetic: "f32".into(),
            prompt: "a \"quoted\"\nNegative prompt: x\nSteps: 5".into(),
            negative_prompt: String::new(),
            strength: 0.5,
            strength_rule: "share".into(),
            steps: 10,
            sampler: "ddim".into(),
            guidance_scale: 1.5,
            seed,
            size: [64, 32],
            work_size: [64, 32],
            fit: Some("keep".into()),
            model: ModelMark {
                name: "m".into(),
                sha256: "ab".repeat(32),
            },
            source: Some(SourceMark {
                name: "s.png".into(),
                sha256: "cd".repeat(32),
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
