//! A UNet's sizes, from its `config.json`.

use serde_json::json;

use crate::Error;
use crate::config::ConfigFile;

/// One resolution of a UNet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    pub(crate) channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub(crate) resnets: usize,
    pub(crate) attention_down: bool,
    pub(crate) attention_up: bool,
    pub(crate) heads: usize,
    /// Transformer blocks after each residual block.
    pub(crate) depth: usize,
}

/// Sizes of what SDXL's networks hear beside text and time: a pooled text and a few numbers about the
/// picture, together in one embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedSizes {
    /// Channels of each number's sinusoids.
    pub number_channels: usize,
    /// Channels of the pooled text and all numbers' sinusoids.
    pub inputs: usize,
}

impl AddedSizes {
    /// How many numbers the network hears beside a pooled text of `pooled` channels; `None` where
    /// that does not come out even.
    pub fn numbers(&self, pooled: usize) -> Option<usize> {
        let rest = self.inputs.checked_sub(pooled)?;
        (rest % self.number_channels == 0).then_some(rest / self.number_channels)
    }
}

/// Sizes of a UNet. Absent fields take the defaults of diffusers' `UNet2DConditionModel`.
#[derive(Debug, Clone, PartialEq)]
pub struct UNetConfig {
    /// Channels of the input: latents and whatever else the model is told.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channels of the text's hidden states.
    pub cross_attention_dim: usize,
    /// Inputs of the class embedding, for models that have one (`class_embed_type` `projection`).
    pub class_inputs: Option<usize>,
    /// What the network hears beside text and time, for those that do (`addition_embed_type`
    /// `text_time`).
    pub added: Option<AddedSizes>,
    /// Channels of the embedding of the guidance scale, for networks that hear it instead of being
    /// run twice (`time_cond_proj_dim`).
    pub guidance_channels: Option<usize>,
    /// Side of the latents the model was trained at.
    pub sample_size: Option<usize>,
    /// Finest first.
    pub(crate) levels: Vec<Level>,
    pub(crate) mid_attention: bool,
    pub(crate) norm_groups: usize,
    pub(crate) norm_eps: f32,
    pub(crate) flip_sin_to_cos: bool,
    pub(crate) freq_shift: f64,
    pub(crate) linear_projection: bool,
}

impl UNetConfig {
    /// The finest level that has attention; `None` where no level has.
    pub(crate) fn finest_attention(&self) -> Option<usize> {
        let deepest = self.levels.len() - 1;
        self.levels.iter().enumerate().position(|(index, level)| {
            let mid = index == deepest && self.mid_attention;
            level.attention_down || level.attention_up || mid
        })
    }

    /// Reads a `config.json`; `file` is its name in errors.
    ///
    /// Fails with [`Error::Unsupported`] naming the first field this build does not run.
    pub fn parse(file: &str, json: &str) -> Result<Self, Error> {
        let config = ConfigFile::parse(file, json)?;
        refuse_what_is_not_run(&config)?;
        let channels = match config.get("block_out_channels") {
            None => vec![320, 640, 1280, 1280],
            Some(list) => {
                let count = list.as_array().map_or(0, Vec::len);
                config.sizes("block_out_channels", count.max(1), None)?
            }
        };
        let count = channels.len();
        let down = block_kinds(
            &config,
            "down_block_types",
            count,
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        )?;
        let mut up = block_kinds(
            &config,
            "up_block_types",
            count,
            "CrossAttnUpBlock2D",
            "UpBlock2D",
        )?;
        up.reverse();
        let resnets = config.sizes("layers_per_block", count, Some(2))?;
        let depths = config.sizes("transformer_layers_per_block", count, Some(1))?;
        // `attention_head_dim` holds the number of heads; the name is a mistake diffusers kept.
        let heads_field = if config.get("num_attention_heads").is_some() {
            "num_attention_heads"
        } else {
            "attention_head_dim"
        };
        let heads = config.sizes(heads_field, count, Some(8))?;
        let levels: Vec<_> = (0..count)
            .map(|i| Level {
                channels: channels[i],
                resnets: resnets[i],
                attention_down: down[i],
                attention_up: up[i],
                heads: heads[i],
                depth: depths[i],
            })
            .collect();
        let norm_groups = config.size("norm_num_groups", Some(32))?;
        for level in &levels {
            if level.channels % norm_groups != 0 {
                let expected = format!("a divisor of the {} channels of a block", level.channels);
                return Err(config.wrong("norm_num_groups", expected));
            }
            if level.channels % level.heads != 0 {
                let expected = format!("a divisor of the {} channels of a block", level.channels);
                return Err(config.wrong(heads_field, expected));
            }
        }
        Ok(Self {
            in_channels: config.size("in_channels", Some(4))?,
            out_channels: config.size("out_channels", Some(4))?,
            cross_attention_dim: config.size("cross_attention_dim", Some(1280))?,
            class_inputs: class_inputs(&config)?,
            added: added(&config)?,
            guidance_channels: match config.get("time_cond_proj_dim") {
                None => None,
                Some(_) => Some(config.size("time_cond_proj_dim", None)?),
            },
            sample_size: config
                .get("sample_size")
                .and_then(|v| v.as_u64())
                .map(|v| v as usize),
            levels,
            mid_attention: mid_attention(&config)?,
            norm_groups,
            norm_eps: config.number("norm_eps", 1e-5)? as f32,
            flip_sin_to_cos: config.flag("flip_sin_to_cos", true)?,
            freq_shift: config.number("freq_shift", 0.0)?,
            linear_projection: config.flag("use_linear_projection", false)?,
        })
    }

    /// How much smaller the latents get on the way down; any size works, multiples are exact.
    pub fn downscale(&self) -> usize {
        1 << (self.levels.len() - 1)
    }

    /// Channels of the time embedding.
    pub(crate) fn time_channels(&self) -> usize {
        4 * self.levels[0].channels
    }
}

/// Whether each block has attention.
fn block_kinds(
    config: &ConfigFile,
    field: &str,
    count: usize,
    with: &str,
    without: &str,
) -> Result<Vec<bool>, Error> {
    let kinds = config.texts(field)?;
    let known = kinds.iter().all(|kind| kind == with || kind == without);
    if kinds.len() != count || !known {
        return Err(config.wrong(field, format!("{count} of \"{with}\" and \"{without}\"")));
    }
    Ok(kinds.iter().map(|kind| kind == with).collect())
}

fn mid_attention(config: &ConfigFile) -> Result<bool, Error> {
    match config
        .text("mid_block_type", "UNetMidBlock2DCrossAttn")?
        .as_str()
    {
        "UNetMidBlock2DCrossAttn" => Ok(true),
        "UNetMidBlock2D" => Ok(false),
        _ => {
            let expected = "\"UNetMidBlock2DCrossAttn\" or \"UNetMidBlock2D\"";
            Err(config.wrong("mid_block_type", expected))
        }
    }
}

fn class_inputs(config: &ConfigFile) -> Result<Option<usize>, Error> {
    match config.text("class_embed_type", "")?.as_str() {
        "" => Ok(None),
        "projection" => config
            .size("projection_class_embeddings_input_dim", None)
            .map(Some),
        _ => Err(config.wrong("class_embed_type", "\"projection\" or absent")),
    }
}

fn added(config: &ConfigFile) -> Result<Option<AddedSizes>, Error> {
    match config.text("addition_embed_type", "")?.as_str() {
        "" => Ok(None),
        "text_time" => Ok(Some(AddedSizes {
            number_channels: config.size("addition_time_embed_dim", None)?,
            inputs: config.size("projection_class_embeddings_input_dim", None)?,
        })),
        _ => Err(config.wrong("addition_embed_type", "\"text_time\" or absent")),
    }
}

/// Fields of `UNet2DConditionModel` that change the network, each with the one value that is run.
fn refuse_what_is_not_run(config: &ConfigFile) -> Result<(), Error> {
    config.only(&[
        ("_class_name", json!("UNet2DConditionModel")),
        ("act_fn", json!("silu")),
        ("attention_type", json!("default")),
        ("center_input_sample", json!(false)),
        ("class_embeddings_concat", json!(false)),
        ("conv_in_kernel", json!(3)),
        ("conv_out_kernel", json!(3)),
        ("cross_attention_norm", json!("absent")),
        ("downsample_padding", json!(1)),
        ("dual_cross_attention", json!(false)),
        ("encoder_hid_dim", json!("absent")),
        ("encoder_hid_dim_type", json!("absent")),
        ("mid_block_only_cross_attention", json!(false)),
        ("num_class_embeds", json!("absent")),
        ("only_cross_attention", json!(false)),
        ("resnet_out_scale_factor", json!(1.0)),
        ("resnet_skip_time_act", json!(false)),
        ("resnet_time_scale_shift", json!("default")),
        ("reverse_transformer_layers_per_block", json!("absent")),
        ("time_embedding_act_fn", json!("absent")),
        ("time_embedding_dim", json!("absent")),
        ("time_embedding_type", json!("positional")),
        ("timestep_post_act", json!("absent")),
    ])?;
    // A scale of 1 is written as 1 or 1.0.
    if config.number("mid_block_scale_factor", 1.0)? != 1.0 {
        return Err(config.wrong("mid_block_scale_factor", "1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_part_is_named() {
        let json = r#"{"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"],
            "block_out_channels": [32], "encoder_hid_dim": 4}"#;
        let error = UNetConfig::parse("unet/config.json", json)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "unet/config.json field \"encoder_hid_dim\" is 4, expected \"absent\""
        );
    }

    #[test]
    fn heads_must_divide_the_channels() {
        let json = r#"{"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"],
            "block_out_channels": [32], "attention_head_dim": 5}"#;
        let error = UNetConfig::parse("c", json).unwrap_err().to_string();
        assert!(
            error.contains("attention_head_dim") && error.contains("32 channels"),
            "{error}"
        );
    }
}
