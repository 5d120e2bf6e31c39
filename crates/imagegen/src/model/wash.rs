//! `wash/`: a small network that says which colours lie under a line drawing, and `wash.json`, how they are used. Fields
//! that only describe are for readers and not read.

use imagegen_engine::{Backend, Tensor};
use imagegen_model::single_file::Part;
use imagegen_model::{TextEncoding, UNet, UNetConfig, UNetInput};
use imagegen_pipeline::{Factors, WashRule};
use serde::Deserialize;

use super::files::ModelFiles;
use super::latents::is_by_strength;
use super::parts::part;
use super::texts::Texts;
use crate::Error;

const FILE: &str = "wash/wash.json";
/// Most colours of a palette.
const MOST_COLOURS: usize = 4096;
/// Least and most of a temperature; other numbers have the same end.
const TEMPERATURES: [f64; 2] = [0.01, 100.0];

#[derive(Deserialize)]
struct File {
    palette: Vec<[f64; 3]>,
    temperature: f64,
    spread: f64,
    guidance_scale: f64,
    share_by_strength: Factors,
}

impl File {
    /// The rule, and the weight of the text over no text. Fails with [`Error::Setting`] naming what is wrong.
    fn parse(json: &str) -> Result<(WashRule, f64), Error> {
        let file: Self = serde_json::from_str(json)
            .map_err(|error| Error::setting(FILE, error, "how drawings are washed"))?;
        let wrong = |field: &str, got: String, expected: String| {
            Error::setting(format!("{FILE} field \"{field}\""), got, expected)
        };
        let colours = file.palette.len();
        if !(1..=MOST_COLOURS).contains(&colours) {
            let expected = format!("1 to {MOST_COLOURS} colours");
            return Err(wrong("palette", colours.to_string(), expected));
        }
        let sound = |part: &f64| (0.0..=1.0).contains(part);
        if let Some(colour) = file.palette.iter().find(|colour| !colour.iter().all(sound)) {
            let expected = "colours of three numbers of 0 to 1".to_owned();
            return Err(wrong("palette", format!("{colour:?}"), expected));
        }
        let [least, most] = TEMPERATURES;
        for (field, got, range) in [
            ("temperature", file.temperature, least..=most),
            ("spread", file.spread, 0.0..=most),
            ("guidance_scale", file.guidance_scale, 0.0..=most),
        ] {
            if !range.contains(&got) {
                let expected = format!("{} to {}", range.start(), range.end());
                return Err(wrong(field, got.to_string(), expected));
            }
        }
        let shares = &file.share_by_strength;
        if shares.is_empty() || !is_by_strength(shares, 1.0) {
            return Err(wrong(
                "share_by_strength",
                format!("{:?}", file.share_by_strength),
                "rising strengths of 0 to 1, each with a share of 0 to 1".to_owned(),
            ));
        }
        let rule = WashRule {
            palette: file.palette,
            temperature: file.temperature,
            spread: file.spread,
            share_by_strength: file.share_by_strength,
        };
        Ok((rule, file.guidance_scale))
    }
}

/// What a model's files say of washing.
pub(super) struct WashPart {
    pub(super) network: Part,
    rule: WashRule,
    guidance_scale: f64,
}

impl WashPart {
    /// Reads the folder, if there is one.
    pub(super) fn read(files: &ModelFiles) -> Result<Option<Self>, Error> {
        let Some(json) = files.optional_text(FILE)? else {
            return Ok(None);
        };
        let (rule, guidance_scale) = File::parse(&json)?;
        Ok(Some(Self {
            rule,
            guidance_scale,
            network: part(files, "wash", "diffusion_pytorch_model")?,
        }))
    }
}

/// The network that says colours, and how they are used.
#[derive(Debug)]
pub(super) struct TextWash<B: Backend> {
    unet: UNet<B>,
    pub(super) rule: WashRule,
    /// Weight of the text over no text.
    guidance_scale: f64,
}

impl<B: Backend> TextWash<B> {
    /// Makes the network and checks that it fits palette and text.
    pub(super) fn load(
        engine: &B,
        files: &ModelFiles,
        part: &WashPart,
        texts: &Texts<B>,
    ) -> Result<Self, Error> {
        let fail = |cause| files.fail(cause);
        let config = "wash/config.json";
        let unet = UNetConfig::parse(config, &part.network.config).map_err(fail)?;
        let wiring = [
            ("in_channels", unet.in_channels, WashRule::CHANNELS),
            ("out_channels", unet.out_channels, part.rule.palette.len()),
            (
                "cross_attention_dim",
                unet.cross_attention_dim,
                texts.hidden(),
            ),
            (
                "projection_class_embeddings_input_dim",
                unet.class_inputs.unwrap_or(texts.pooled()),
                texts.pooled(),
            ),
        ];
        for (field, got, expected) in wiring {
            if got != expected {
                let expected = format!("{expected} for its palette and this text encoder");
                return Err(Error::setting(
                    format!("{config} field \"{field}\""),
                    got,
                    expected,
                ));
            }
        }
        for (field, hears) in [
            ("addition_embed_type", unet.added.is_some()),
            ("time_cond_proj_dim", unet.guidance_channels.is_some()),
        ] {
            if hears {
                let subject = format!("{config} field \"{field}\"");
                return Err(Error::setting(subject, "set", "null"));
            }
        }
        Ok(Self {
            unet: UNet::load(engine, unet, &part.network.weights).map_err(fail)?,
            rule: part.rule.clone(),
            guidance_scale: part.guidance_scale,
        })
    }

    /// Logits over the palette, `[1, h, w, colours]`, for what is seen of lines, `[1, h, w, 17]`, and texts, each with its
    /// weight; guided over `none`, the empty text.
    pub(super) fn logits(
        &self,
        engine: &B,
        lines: &Tensor,
        texts: &[(f64, &TextEncoding<B::Tensor>)],
        none: &TextEncoding<B::Tensor>,
    ) -> Result<Tensor, imagegen_model::Error> {
        let scale = self.guidance_scale;
        let rest = 1.0 - scale * texts.iter().map(|(weight, _)| weight).sum::<f64>();
        let mut sum: Option<Tensor> = None;
        let guided = texts.iter().map(|&(weight, text)| (scale * weight, text));
        for (weight, text) in guided.chain([(rest, none)]) {
            if weight == 0.0 {
                continue;
            }
            let mut logits = self.unguided(engine, lines, text)?;
            for (place, logit) in logits.data_mut().iter_mut().enumerate() {
                let before = sum.as_ref().map_or(0.0, |sum| sum.data()[place]);
                *logit = (f64::from(before) + weight * f64::from(*logit)) as f32;
            }
            sum = Some(logits);
        }
        Ok(sum.expect("weights that add up to 1 are not all 0"))
    }

    fn unguided(
        &self,
        engine: &B,
        lines: &Tensor,
        text: &TextEncoding<B::Tensor>,
    ) -> Result<Tensor, imagegen_model::Error> {
        let input = UNetInput {
            sample: &engine.upload(lines),
            timesteps: &[0.0],
            text: &text.hidden,
            class_labels: self.unet.config().class_inputs.map(|_| &text.pooled),
            added: None,
            guidance: None,
            token_merging: 0.0,
        };
        Ok(engine.download(&self.unet.run(engine, &input)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"palette": [[0, 0.5, 1], [1, 1, 1]], "temperature": 0.4, "spread": 0.5, "guidance_scale": 2.0,
        "share_by_strength": [[0.0, 0.0], [0.6, 1.0]]}"#;

    #[test]
    fn files_that_make_no_sense_are_refused() {
        let (rule, guidance_scale) = File::parse(WHOLE).unwrap();
        assert_eq!(rule.palette, [[0.0, 0.5, 1.0], [1.0; 3]]);
        assert_eq!(
            (rule.temperature, rule.spread, guidance_scale),
            (0.4, 0.5, 2.0)
        );
        let cases = [
            (
                "[[0, 0.5, 1], [1, 1, 1]]",
                "[]",
                "\"palette\" is 0, expected 1 to 4096",
            ),
            (
                "[0, 0.5, 1]",
                "[0, 0.5, 2]",
                "\"palette\" is [0.0, 0.5, 2.0]",
            ),
            ("[0, 0.5, 1]", "[0, 0.5]", "wash/wash.json"),
            ("0.4", "0", "\"temperature\" is 0, expected 0.01 to 100"),
            ("\"spread\": 0.5", "\"spread\": -1", "\"spread\" is -1"),
            ("[0.0, 0.0]", "[0.7, 0.0]", "\"share_by_strength\""),
            ("0.6, 1.0", "0.6, 1.5", "each with a share of 0 to 1"),
            (
                "[[0.0, 0.0], [0.6, 1.0]]",
                "[]",
                "\"share_by_strength\" is []",
            ),
        ];
        for (from, to, want) in cases {
            assert!(WHOLE.contains(from));
            let error = File::parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
