//! Configurations from the shapes of tensors, under diffusers' and transformers' names. What shapes do
//! not tell is constant in all models of the layout.

use serde_json::{Value, json};

use crate::{Error, Weights};

/// Groups of every group normalisation.
const GROUPS: usize = 32;
/// Channels of an attention head, where heads are not counted.
const HEAD: usize = 64;
/// Heads of networks whose transformers are entered through convolutions.
const HEADS: usize = 8;
/// Channels of the sinusoids of each number about the picture.
const NUMBER_CHANNELS: usize = 256;

/// One side of a tensor. Fails with [`Error::Missing`] where there is no such tensor or side.
fn side(weights: &Weights, name: &str, axis: usize) -> Result<usize, Error> {
    let shape = weights.shape(name);
    let side = shape.and_then(|shape| shape.get(axis).copied());
    side.filter(|&side| side > 0).ok_or_else(|| Error::Missing {
        file: weights.file().to_owned(),
        count: 1,
        tensor: name.to_owned(),
    })
}

/// How many of `name(0)`, `name(1)`, ... there are.
fn count(weights: &Weights, name: impl Fn(usize) -> String) -> usize {
    (0..)
        .take_while(|&index| weights.shape(&name(index)).is_some())
        .count()
}

/// Heads of `HEAD` channels, at least one.
fn heads(channels: usize) -> usize {
    (channels / HEAD).max(1)
}

/// The configuration of a UNet.
pub(super) fn unet(weights: &Weights) -> Result<Value, Error> {
    let conv =
        |block: usize, index: usize| format!("down_blocks.{block}.resnets.{index}.conv1.weight");
    let levels = count(weights, |block| conv(block, 0));
    let block = |place: &str, level: usize, index: usize| {
        format!("{place}_blocks.{level}.attentions.{index}.transformer_blocks")
    };
    let depth = |place: &str| {
        count(weights, |index| {
            format!("{place}.{index}.attn2.to_k.weight")
        })
    };
    let (mut channels, mut depths, mut down, mut up) = (vec![], vec![], vec![], vec![]);
    let middle = depth("mid_block.attentions.0.transformer_blocks");
    for level in 0..levels {
        channels.push(side(weights, &conv(level, 0), 0)?);
        let (below, above) = (
            depth(&block("down", level, 0)),
            depth(&block("up", levels - 1 - level, 0)),
        );
        down.push(if below > 0 {
            "CrossAttnDownBlock2D"
        } else {
            "DownBlock2D"
        });
        up.push(if above > 0 {
            "CrossAttnUpBlock2D"
        } else {
            "UpBlock2D"
        });
        // The middle block has the coarsest level's depth.
        let last = if level + 1 == levels { middle } else { 0 };
        depths.push(below.max(above).max(last).max(1));
    }
    up.reverse();
    let entry = (0..levels).find_map(|level| {
        let place = format!("down_blocks.{level}.attentions.0");
        weights
            .shape(&format!("{place}.proj_in.weight"))
            .map(|shape| (place, shape.len()))
    });
    let (place, axes) = entry.unwrap_or(("mid_block.attentions.0".to_owned(), 4));
    let linear = axes == 2;
    let heads: Vec<usize> = channels
        .iter()
        .map(|&channels| if linear { heads(channels) } else { HEADS })
        .collect();
    let mut config = json!({
        "_class_name": "UNet2DConditionModel",
        "in_channels": side(weights, "conv_in.weight", 1)?,
        "out_channels": side(weights, "conv_out.weight", 0)?,
        "block_out_channels": channels,
        "down_block_types": down,
        "up_block_types": up,
        "mid_block_type": if middle > 0 { "UNetMidBlock2DCrossAttn" } else { "UNetMidBlock2D" },
        "layers_per_block": count(weights, |index| conv(0, index)),
        "transformer_layers_per_block": depths,
        "attention_head_dim": heads,
        "cross_attention_dim":
            side(weights, &format!("{place}.transformer_blocks.0.attn2.to_k.weight"), 1)?,
        "use_linear_projection": linear,
        "norm_num_groups": GROUPS,
    });
    let optional = |name: &str| side(weights, name, 1).ok();
    if let Some(inputs) = optional("add_embedding.linear_1.weight") {
        config["addition_embed_type"] = json!("text_time");
        config["addition_time_embed_dim"] = json!(NUMBER_CHANNELS);
        config["projection_class_embeddings_input_dim"] = json!(inputs);
    }
    if let Some(channels) = optional("time_embedding.cond_proj.weight") {
        config["time_cond_proj_dim"] = json!(channels);
    }
    Ok(config)
}

/// The configuration of an autoencoder whose latents are scaled by `scaling_factor`.
pub(super) fn autoencoder(weights: &Weights, scaling_factor: f64) -> Result<Value, Error> {
    let conv = |block: usize, index: usize| {
        format!("encoder.down_blocks.{block}.resnets.{index}.conv1.weight")
    };
    let levels = count(weights, |block| conv(block, 0));
    let channels: Result<Vec<_>, _> = (0..levels)
        .map(|level| side(weights, &conv(level, 0), 0))
        .collect();
    let attention = "encoder.mid_block.attentions.0.group_norm.weight";
    Ok(json!({
        "_class_name": "AutoencoderKL",
        "latent_channels": side(weights, "decoder.conv_in.weight", 1)?,
        "block_out_channels": channels?,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "layers_per_block": count(weights, |index| conv(0, index)).max(1),
        "norm_num_groups": GROUPS,
        "scaling_factor": scaling_factor,
        "mid_block_add_attention": weights.shape(attention).is_some(),
        "use_quant_conv": weights.shape("quant_conv.weight").is_some(),
        "use_post_quant_conv": weights.shape("post_quant_conv.weight").is_some(),
    }))
}

/// What differs between the two kinds of text towers beside their shapes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tower {
    /// `quick_gelu` for OpenAI's, `gelu` for OpenCLIP's.
    pub(super) activation: &'static str,
    /// Whether its pooled vector is projected.
    pub(super) projected: bool,
    /// Whether the model was trained without the last layer.
    pub(super) without_last: bool,
}

/// The configuration of a text tower.
pub(super) fn text(weights: &Weights, tower: Tower) -> Result<Value, Error> {
    let fc1 = |layer: usize| format!("text_model.encoder.layers.{layer}.mlp.fc1.weight");
    let tokens = "text_model.embeddings.token_embedding.weight";
    let hidden = side(weights, tokens, 1)?;
    let layers = count(weights, fc1).saturating_sub(usize::from(tower.without_last));
    let mut config = json!({
        "model_type": "clip_text_model",
        "architectures": ["CLIPTextModel"],
        "vocab_size": side(weights, tokens, 0)?,
        "hidden_size": hidden,
        "max_position_embeddings":
            side(weights, "text_model.embeddings.position_embedding.weight", 0)?,
        "intermediate_size": side(weights, &fc1(0), 0)?,
        "num_hidden_layers": layers,
        "num_attention_heads": heads(hidden),
        "hidden_act": tower.activation,
        // The end token has the highest id.
        "eos_token_id": 2,
    });
    if tower.projected {
        config["architectures"] = json!(["CLIPTextModelWithProjection"]);
        config["projection_dim"] = json!(side(weights, "text_projection.weight", 0)?);
    }
    Ok(config)
}
