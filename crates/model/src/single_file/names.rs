//! Tensor names of the LDM layout, in which Stable Diffusion was first published, and what diffusers
//! and transformers call the same tensors.

use crate::weights::Cut;

/// Tensors that a name stands for; none for a name that is not known.
pub(super) type Names = Vec<(String, Cut)>;

fn whole(name: String) -> Names {
    vec![(name, Cut::Whole)]
}

/// A number and what follows the dot behind it.
fn number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// Parts of a residual block of the UNet.
fn unet_resnet(part: &str) -> Option<String> {
    const PARTS: [(&str, &str); 6] = [
        ("in_layers.0.", "norm1."),
        ("in_layers.2.", "conv1."),
        ("emb_layers.1.", "time_emb_proj."),
        ("out_layers.0.", "norm2."),
        ("out_layers.3.", "conv2."),
        ("skip_connection.", "conv_shortcut."),
    ];
    swapped(part, &PARTS)
}

/// `text` with the first prefix of `pairs` that it has put for its partner.
fn swapped(text: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(from, to)| {
        let rest = text.strip_prefix(from)?;
        Some(format!("{to}{rest}"))
    })
}

/// A tensor of the UNet, without the prefix of its network. `resnets` are those of a level on the way
/// down.
pub(super) fn unet(name: &str, resnets: usize) -> Names {
    unet_name(name, resnets).map_or(Vec::new(), whole)
}

fn unet_name(name: &str, resnets: usize) -> Option<String> {
    const ENDS: [(&str, &str); 8] = [
        ("time_embed.0.", "time_embedding.linear_1."),
        ("time_embed.2.", "time_embedding.linear_2."),
        ("time_embed.cond_proj.", "time_embedding.cond_proj."),
        ("label_emb.0.0.", "add_embedding.linear_1."),
        ("label_emb.0.2.", "add_embedding.linear_2."),
        ("input_blocks.0.0.", "conv_in."),
        ("out.0.", "conv_norm_out."),
        ("out.2.", "conv_out."),
    ];
    if let Some(name) = swapped(name, &ENDS) {
        return Some(name);
    }
    if let Some(rest) = name.strip_prefix("middle_block.") {
        let (part, rest) = number(rest)?;
        return Some(match part {
            0 => format!("mid_block.resnets.0.{}", unet_resnet(rest)?),
            1 => format!("mid_block.attentions.0.{rest}"),
            2 => format!("mid_block.resnets.1.{}", unet_resnet(rest)?),
            _ => return None,
        });
    }
    if let Some(rest) = name.strip_prefix("input_blocks.") {
        let (place, rest) = number(rest)?;
        let (part, rest) = number(rest)?;
        let place = place.checked_sub(1)?;
        let (level, index) = (place / (resnets + 1), place % (resnets + 1));
        let block = format!("down_blocks.{level}");
        return Some(match (part, rest.strip_prefix("op.")) {
            (0, Some(rest)) => format!("{block}.downsamplers.0.conv.{rest}"),
            (0, None) => format!("{block}.resnets.{index}.{}", unet_resnet(rest)?),
            (1, None) => format!("{block}.attentions.{index}.{rest}"),
            _ => return None,
        });
    }
    let (place, rest) = number(name.strip_prefix("output_blocks.")?)?;
    let (part, rest) = number(rest)?;
    let (level, index) = (place / (resnets + 1), place % (resnets + 1));
    let block = format!("up_blocks.{level}");
    Some(match (part, rest.strip_prefix("conv.")) {
        (1 | 2, Some(rest)) => format!("{block}.upsamplers.0.conv.{rest}"),
        (0, None) => format!("{block}.resnets.{index}.{}", unet_resnet(rest)?),
        (1, None) => format!("{block}.attentions.{index}.{rest}"),
        _ => return None,
    })
}

/// A tensor of the autoencoder, without the prefix of its network. `levels` are its levels.
pub(super) fn autoencoder(name: &str, levels: usize) -> Names {
    let Some((half, part)) = name.split_once('.') else {
        return Vec::new();
    };
    match half {
        "quant_conv" | "post_quant_conv" => whole(name.to_owned()),
        "encoder" | "decoder" => coder(part, levels)
            .map(|(name, cut)| vec![(format!("{half}.{name}"), cut)])
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn coder(part: &str, levels: usize) -> Option<(String, Cut)> {
    const ENDS: [(&str, &str); 5] = [
        ("conv_in.", "conv_in."),
        ("conv_out.", "conv_out."),
        ("norm_out.", "conv_norm_out."),
        ("mid.block_1.", "mid_block.resnets.0."),
        ("mid.block_2.", "mid_block.resnets.1."),
    ];
    const ATTENTION: [(&str, &str); 5] = [
        ("norm.", "group_norm."),
        ("q.", "to_q."),
        ("k.", "to_k."),
        ("v.", "to_v."),
        ("proj_out.", "to_out.0."),
    ];
    let plain = |name: String| Some((name.replace("nin_shortcut.", "conv_shortcut."), Cut::Whole));
    if let Some(name) = swapped(part, &ENDS) {
        return plain(name);
    }
    if let Some(rest) = part.strip_prefix("mid.attn_1.") {
        let name = swapped(rest, &ATTENTION)?;
        return Some((format!("mid_block.attentions.0.{name}"), Cut::Matrix));
    }
    let (kind, rest) = part.split_once('.')?;
    let (level, rest) = number(rest)?;
    let (block, sampler) = match kind {
        "down" => (format!("down_blocks.{level}"), "downsample"),
        // Counted from the finest level, where diffusers counts in the order of the run.
        "up" => (
            format!("up_blocks.{}", (levels - 1).checked_sub(level)?),
            "upsample",
        ),
        _ => return None,
    };
    match rest
        .strip_prefix(sampler)
        .and_then(|rest| rest.strip_prefix(".conv."))
    {
        Some(rest) => plain(format!("{block}.{sampler}rs.0.conv.{rest}")),
        None => plain(format!("{block}.resnets.{}", rest.strip_prefix("block.")?)),
    }
}

/// A tensor of OpenCLIP's text tower, without the prefix of its network.
pub(super) fn open_clip(name: &str) -> Names {
    const ENDS: [(&str, &str); 2] = [
        ("token_embedding.", "text_model.embeddings.token_embedding."),
        ("ln_final.", "text_model.final_layer_norm."),
    ];
    const PARTS: [(&str, &str); 5] = [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("attn.out_proj.", "self_attn.out_proj."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
    ];
    match name {
        "positional_embedding" => {
            return whole("text_model.embeddings.position_embedding.weight".to_owned());
        }
        // Held for a product from the left.
        "text_projection" => return vec![("text_projection.weight".to_owned(), Cut::Transpose)],
        _ => {}
    }
    if let Some(name) = swapped(name, &ENDS) {
        return whole(name);
    }
    let block = name.strip_prefix("transformer.resblocks.").and_then(number);
    let Some((layer, part)) = block else {
        return Vec::new();
    };
    let layer = format!("text_model.encoder.layers.{layer}");
    if let Some(kind) = part.strip_prefix("attn.in_proj_") {
        let names = ["q_proj", "k_proj", "v_proj"].into_iter().enumerate();
        return names
            .map(|(third, name)| {
                (
                    format!("{layer}.self_attn.{name}.{kind}"),
                    Cut::Third(third),
                )
            })
            .collect();
    }
    swapped(part, &PARTS).map_or(Vec::new(), |part| whole(format!("{layer}.{part}")))
}
