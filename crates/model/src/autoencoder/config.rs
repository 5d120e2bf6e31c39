//! An autoencoder's sizes, from its `config.json`.

use serde_json::json;

use crate::Error;
use crate::config::ConfigFile;

/// Sizes of an autoencoder. The class that the file names decides which kind it is; absent fields
/// take that class's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderConfig {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Latents are multiplied by this before a network sees them.
    pub scaling_factor: f64,
    pub(super) kind: Kind,
}

/// What differs between the kinds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Kl(KlSizes),
    Tiny(TinySizes),
}

/// Sizes of `AutoencoderKL`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KlSizes {
    /// Of each level, finest first.
    pub(super) channels: Vec<usize>,
    /// Residual blocks of a level of the encoder; one more in the decoder.
    pub(super) resnets: usize,
    pub(super) groups: usize,
    pub(super) mid_attention: bool,
    /// Whether a convolution stands between encoder and latents, and between latents and decoder.
    pub(super) quant_conv: bool,
    pub(super) post_quant_conv: bool,
}

/// Sizes of `AutoencoderTiny`. A stage is a convolution and residual blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TinySizes {
    /// Channels and residual blocks of each stage of the encoder, finest first.
    pub(super) encoder: Vec<(usize, usize)>,
    /// Those of the decoder, coarsest first.
    pub(super) decoder: Vec<(usize, usize)>,
}

impl AutoencoderConfig {
    /// Reads a `config.json`; `file` is its name in errors.
    ///
    /// Fails with [`Error::Unsupported`] naming the first field this build does not run.
    pub fn parse(file: &str, json: &str) -> Result<Self, Error> {
        let config = ConfigFile::parse(file, json)?;
        config.only(&[
            ("in_channels", json!(3)),
            ("out_channels", json!(3)),
            ("latents_mean", json!("absent")),
            ("latents_std", json!("absent")),
        ])?;
        if config.number("shift_factor", 0.0)? != 0.0 {
            return Err(config.wrong("shift_factor", "0"));
        }
        let (kind, scaling) = match config.text("_class_name", "AutoencoderKL")?.as_str() {
            "AutoencoderKL" => (Kind::Kl(KlSizes::read(&config)?), 0.18215),
            "AutoencoderTiny" => (Kind::Tiny(TinySizes::read(&config)?), 1.0),
            _ => {
                let expected = "\"AutoencoderKL\" or \"AutoencoderTiny\"";
                return Err(config.wrong("_class_name", expected));
            }
        };
        let scaling_factor = config.number("scaling_factor", scaling)?;
        if scaling_factor <= 0.0 {
            return Err(config.wrong("scaling_factor", "a number above 0"));
        }
        Ok(Self {
            latent_channels: config.size("latent_channels", Some(4))?,
            scaling_factor,
            kind,
        })
    }

    /// Pixels per latent, each way.
    pub fn downscale(&self) -> usize {
        let levels = match &self.kind {
            Kind::Kl(sizes) => sizes.channels.len(),
            Kind::Tiny(sizes) => sizes.encoder.len(),
        };
        1 << (levels - 1)
    }

    /// Whether it gives a distribution of latents to draw from, rather than latents.
    pub fn has_posterior(&self) -> bool {
        matches!(self.kind, Kind::Kl(_))
    }
}

/// Most levels of an autoencoder: as many halve a picture of the largest size to nothing.
const MAX_LEVELS: usize = 16;

/// A list of sizes, as long as it likes within reason.
fn list(config: &ConfigFile, field: &str, default: &[usize]) -> Result<Vec<usize>, Error> {
    let Some(value) = config.get(field) else {
        return Ok(default.to_vec());
    };
    let count = value.as_array().map_or(0, Vec::len);
    if !(1..=MAX_LEVELS).contains(&count) {
        return Err(config.wrong(field, format!("a list of 1 to {MAX_LEVELS} sizes")));
    }
    config.sizes(field, count, None)
}

impl KlSizes {
    fn read(config: &ConfigFile) -> Result<Self, Error> {
        config.only(&[("act_fn", json!("silu"))])?;
        let channels = list(config, "block_out_channels", &[64])?;
        for (field, kind) in [
            ("down_block_types", "DownEncoderBlock2D"),
            ("up_block_types", "UpDecoderBlock2D"),
        ] {
            let kinds = match config.get(field) {
                Some(_) => config.texts(field)?,
                None => vec![kind.to_owned()],
            };
            if kinds.len() != channels.len() || kinds.iter().any(|got| got != kind) {
                return Err(config.wrong(field, format!("{} of \"{kind}\"", channels.len())));
            }
        }
        let groups = config.size("norm_num_groups", Some(32))?;
        if let Some(odd) = channels.iter().find(|&channels| channels % groups != 0) {
            let expected = format!("a divisor of the {odd} channels of a block");
            return Err(config.wrong("norm_num_groups", expected));
        }
        Ok(Self {
            channels,
            resnets: config.size("layers_per_block", Some(1))?,
            groups,
            mid_attention: config.flag("mid_block_add_attention", true)?,
            quant_conv: config.flag("use_quant_conv", true)?,
            post_quant_conv: config.flag("use_post_quant_conv", true)?,
        })
    }
}

impl TinySizes {
    fn read(config: &ConfigFile) -> Result<Self, Error> {
        config.only(&[
            ("act_fn", json!("relu")),
            ("upsample_fn", json!("nearest")),
            ("upsampling_scaling_factor", json!(2)),
        ])?;
        let stages = |channels: &str, blocks: &str, default: &[usize]| {
            let channels = list(config, channels, &[64; 4])?;
            let counts = list(config, blocks, default)?;
            if counts.len() != channels.len() {
                let expected = format!("a list of {} sizes", channels.len());
                return Err(config.wrong(blocks, expected));
            }
            Ok(channels.into_iter().zip(counts).collect::<Vec<_>>())
        };
        let encoder = stages(
            "encoder_block_out_channels",
            "num_encoder_blocks",
            &[1, 3, 3, 3],
        )?;
        let decoder = stages(
            "decoder_block_out_channels",
            "num_decoder_blocks",
            &[3, 3, 3, 1],
        )?;
        // A stage keeps its channels, so all have one count.
        for (field, stages) in [
            ("encoder_block_out_channels", &encoder),
            ("decoder_block_out_channels", &decoder),
        ] {
            if stages.iter().any(|stage| stage.0 != stages[0].0) {
                return Err(config.wrong(field, "a list of equal sizes"));
            }
        }
        if encoder.len() != decoder.len() {
            let expected = format!("a list of {} sizes, as for the encoder", encoder.len());
            return Err(config.wrong("decoder_block_out_channels", expected));
        }
        Ok(Self { encoder, decoder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<AutoencoderConfig, Error> {
        AutoencoderConfig::parse("vae/config.json", json)
    }

    #[test]
    fn absent_fields_take_the_defaults_of_the_class() {
        let kl = parse(r#"{"block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}"#)
        .unwrap();
        assert_eq!((kl.downscale(), kl.scaling_factor), (8, 0.18215));
        assert!(kl.has_posterior());
        let tiny = parse(r#"{"_class_name": "AutoencoderTiny"}"#).unwrap();
        assert_eq!((tiny.downscale(), tiny.scaling_factor), (8, 1.0));
        assert!(!tiny.has_posterior());
    }

    #[test]
    fn what_is_not_run_is_named() {
        for (json, said) in [
            (
                r#"{"_class_name": "VQModel"}"#,
                "\"_class_name\" is \"VQModel\"",
            ),
            (
                r#"{"scaling_factor": 0}"#,
                "\"scaling_factor\" is 0, expected a number above 0",
            ),
            (
                r#"{"shift_factor": 0.1}"#,
                "\"shift_factor\" is 0.1, expected 0",
            ),
            (
                r#"{"norm_num_groups": 7}"#,
                "\"norm_num_groups\" is 7, expected a divisor of the 64 channels",
            ),
            (
                r#"{"block_out_channels": [64, 64]}"#,
                "\"down_block_types\" is absent, expected 2 of",
            ),
            (
                r#"{"block_out_channels": []}"#,
                "\"block_out_channels\" is [], expected a list of 1 to 16 sizes",
            ),
            (
                r#"{"_class_name": "AutoencoderTiny", "act_fn": "gelu"}"#,
                "\"act_fn\" is \"gelu\", expected \"relu\"",
            ),
            (
                r#"{"_class_name": "AutoencoderTiny", "num_encoder_blocks": [1]}"#,
                "\"num_encoder_blocks\" is [1], expected a list of 4 sizes",
            ),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
