//! `latents.json`: how a model's latents are made of pixels, how it wants to see its source, and its
//! defaults. Fields that only describe are for readers and not read.

use imagegen_pipeline::{Conditioning, ConditioningRule, LatentCodec, PatchLatents, Relation};
use serde::Deserialize;

use super::native::Native;
use crate::Error;

#[derive(Deserialize)]
struct File {
    kind: String,
    patch_size: usize,
    channels: usize,
    pixel_range: [f64; 2],
    scaling_factor: f64,
    size_multiple: usize,
    defaults: Native,
    source_conditioning: Option<Fading>,
    #[serde(default)]
    output_relative_to_source: bool,
    #[serde(default)]
    colour_mixing: bool,
}

#[derive(Deserialize)]
struct Fading {
    low_pass_by_strength: Vec<(f64, usize)>,
    above: usize,
    #[serde(default)]
    change_by_strength: Vec<(f64, f64)>,
}

/// The parsed file.
#[derive(Debug)]
pub(super) struct LatentsFile {
    pub(super) codec: PatchLatents,
    pub(super) conditioning: Option<Conditioning>,
    pub(super) native: Native,
}

impl LatentsFile {
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        let file: File = serde_json::from_str(json)
            .map_err(|error| Error::setting("latents.json", error, "a description of latents"))?;
        let wrong = |field: &str, got: &dyn ToString, expected: &str| {
            Error::setting(
                format!("latents.json field \"{field}\""),
                got.to_string(),
                expected,
            )
        };
        if file.kind != "space_to_depth" {
            return Err(wrong("kind", &file.kind, "space_to_depth"));
        }
        if file.pixel_range != [-1.0, 1.0] {
            return Err(wrong(
                "pixel_range",
                &format!("{:?}", file.pixel_range),
                "[-1, 1]",
            ));
        }
        let codec = PatchLatents::new(file.patch_size, file.scaling_factor, file.size_multiple)?;
        if file.channels != codec.channels() {
            let expected = format!("{} for the patch size", codec.channels());
            return Err(wrong("channels", &file.channels, &expected));
        }
        let defaults = file.defaults;
        if !(1..=1000).contains(&defaults.steps) {
            return Err(wrong("defaults.steps", &defaults.steps, "1 to 1000"));
        }
        if !(0.0..=1.0).contains(&defaults.strength) {
            return Err(wrong("defaults.strength", &defaults.strength, "0 to 1"));
        }
        let relation = match (file.output_relative_to_source, file.colour_mixing) {
            (false, false) => Relation::Apart,
            (true, false) => Relation::Added,
            (true, true) => Relation::Mixed,
            (false, true) => {
                let expected = "false where the output is not relative to the source";
                return Err(wrong("colour_mixing", &true, expected));
            }
        };
        if let Some(rule) = &file.source_conditioning {
            let points = &rule.change_by_strength;
            if !is_by_strength(points, 4.0) {
                let expected = "rising strengths of 0 to 1, each with a share of 0 to 4";
                return Err(wrong(
                    "source_conditioning.change_by_strength",
                    &format!("{points:?}"),
                    expected,
                ));
            }
            if !points.is_empty() && relation == Relation::Apart {
                let expected = "none where the output is not relative to the source";
                return Err(wrong(
                    "source_conditioning.change_by_strength",
                    &format!("{points:?}"),
                    expected,
                ));
            }
        }
        let conditioning = file.source_conditioning.map(|rule| {
            Conditioning::Faded(ConditioningRule {
                low_pass_by_strength: rule.low_pass_by_strength,
                above: rule.above,
                relation,
                change_by_strength: rule.change_by_strength,
            })
        });
        Ok(Self {
            codec,
            conditioning,
            native: defaults,
        })
    }
}

/// Whether strengths of 0 to 1 rise from point to point, each with a number of 0 to `most`.
pub(super) fn is_by_strength(points: &[(f64, f64)], most: f64) -> bool {
    let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let sound = |&(strength, number): &(f64, f64)| {
        (0.0..=1.0).contains(&strength) && (0.0..=most).contains(&number)
    };
    rising && points.iter().all(sound)
}
