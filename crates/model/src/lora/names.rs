//! Names of LoRA files: which tensor is which part of which module, and which layer a module is.
//!
//! Two families are read: kohya's (`lora_unet_..._to_q.lora_down.weight`, dots of the layer's name
//! flattened) and those of diffusers and PEFT (`unet....to_q.lora_A.weight`). A UNet's layers may have
//! diffusers' names or those of the LDM layout in both.

use std::collections::BTreeMap;

use crate::LayerShapes;
use crate::single_file::unet_layer;

/// A network that LoRAs change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// The denoising network.
    UNet,
    /// The text encoder, or the first of two.
    Text,
    /// The second text encoder.
    SecondText,
}

/// What a tensor is to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Down,
    Up,
    Mid,
    Alpha,
}

/// Module and role of a tensor; `None` where it is no part of a LoRA.
pub(super) fn split(tensor: &str) -> Option<(&str, Role)> {
    const ENDS: [(&str, Role); 15] = [
        // Before the shorter end of it.
        (".lora.alpha", Role::Alpha),
        (".lora_down.weight", Role::Down),
        (".lora_up.weight", Role::Up),
        (".lora_mid.weight", Role::Mid),
        (".alpha", Role::Alpha),
        (".lora_A.weight", Role::Down),
        (".lora_B.weight", Role::Up),
        (".lora_A.default.weight", Role::Down),
        (".lora_B.default.weight", Role::Up),
        (".lora.down.weight", Role::Down),
        (".lora.up.weight", Role::Up),
        (".lora_linear_layer.down.weight", Role::Down),
        (".lora_linear_layer.up.weight", Role::Up),
        ("_lora.down.weight", Role::Down),
        ("_lora.up.weight", Role::Up),
    ];
    ENDS.iter()
        .find_map(|&(end, role)| Some((tensor.strip_suffix(end)?, role)))
}

/// What a tensor belongs to that is like a LoRA and is none.
pub(super) fn other_kind(tensor: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 13] = [
        (".hada_", "a LoHa"),
        (".lokr_", "a LoKr"),
        (".dora_scale", "a DoRA"),
        (".lora_magnitude_vector", "a DoRA"),
        (".oft_", "an OFT"),
        (".boft_", "a BOFT"),
        (".on_input", "an IA3"),
        (".a1.weight", "a GLoRA"),
        (".glora_", "a GLoRA"),
        (".w_norm", "a LoRA with changed normalisations"),
        (".lora_embedding_", "a LoRA with changed embeddings"),
        (
            "base_model.model.",
            "a PEFT adapter, whose alpha is in a file of its own (save it with diffusers' save_lora_weights)",
        ),
        ("bundle_emb.", "a LoRA with embeddings of its own"),
    ];
    let held = |(mark, _): &&(&str, &str)| match mark.starts_with('.') {
        true => tensor.contains(mark),
        false => tensor.starts_with(mark),
    };
    let difference = tensor.ends_with(".diff") || tensor.ends_with(".diff_b");
    let kind = KINDS.iter().find(held).map(|&(_, kind)| kind);
    kind.or(difference.then_some("a file of whole differences"))
}

/// The network of a module, and its name there with dots flattened.
pub(super) fn place(module: &str) -> Option<(Network, String)> {
    const PREFIXES: [(&str, Network); 8] = [
        ("lora_unet_", Network::UNet),
        ("lora_te_", Network::Text),
        ("lora_te1_", Network::Text),
        ("lora_te2_", Network::SecondText),
        ("unet.", Network::UNet),
        ("text_encoder.", Network::Text),
        ("text_encoder_2.", Network::SecondText),
        ("diffusion_model.", Network::UNet),
    ];
    // Files of one network alone may leave it out.
    const BARE: [(&str, Network); 9] = [
        ("down_blocks.", Network::UNet),
        ("mid_block.", Network::UNet),
        ("up_blocks.", Network::UNet),
        ("time_embedding.", Network::UNet),
        ("add_embedding.", Network::UNet),
        ("input_blocks.", Network::UNet),
        ("middle_block.", Network::UNet),
        ("output_blocks.", Network::UNet),
        ("text_model.", Network::Text),
    ];
    let module = module.strip_prefix("model.").unwrap_or(module);
    let prefixed = PREFIXES
        .iter()
        .find_map(|&(prefix, network)| Some((network, module.strip_prefix(prefix)?)));
    let bare = || {
        let known = BARE.iter().find(|(prefix, _)| module.starts_with(prefix));
        known.map(|&(_, network)| (network, module))
    };
    let (network, name) = prefixed.or_else(bare)?;
    Some((network, name.replace(".processor", "").replace('.', "_")))
}

/// A network's layers by their flattened names.
pub(super) struct Layers<'a> {
    by_flat: BTreeMap<String, &'a str>,
    /// Residual blocks of a level of a UNet on the way down.
    resnets: usize,
}

impl<'a> Layers<'a> {
    pub(super) fn of(shapes: &'a LayerShapes) -> Self {
        let resnet = |index: &usize| {
            let name = format!("down_blocks.0.resnets.{index}.conv1");
            shapes.contains_key(&name)
        };
        Self {
            by_flat: shapes
                .keys()
                .map(|name| (name.replace('.', "_"), name.as_str()))
                .collect(),
            resnets: (0..).take_while(resnet).count(),
        }
    }

    /// The layer that a module's flattened name means.
    pub(super) fn find(&self, network: Network, flat: &str) -> Option<&'a str> {
        let known = |name: &str| self.by_flat.get(name).copied();
        known(flat).or_else(|| match network {
            Network::UNet => {
                // Older files leave out that the projection is the first of two.
                let first = known(&format!("{flat}_0")).filter(|_| flat.ends_with("_to_out"));
                first.or_else(|| known(&self.ldm(flat)?.replace('.', "_")))
            }
            Network::Text | Network::SecondText => known(&older_text(flat)),
        })
    }

    /// The layer that the LDM layout calls by a flattened name.
    fn ldm(&self, flat: &str) -> Option<String> {
        const WHOLE: [&str; 6] = [
            "time_embed_0",
            "time_embed_2",
            "label_emb_0_0",
            "label_emb_0_2",
            "input_blocks_0_0",
            "out_2",
        ];
        if WHOLE.contains(&flat) {
            let dots = flat.replace("_0", ".0").replace("_2", ".2");
            return unet_layer(&dots, self.resnets);
        }
        let (block, counted, rest) = ["input_blocks_", "output_blocks_", "middle_block_"]
            .into_iter()
            .find_map(|block| {
                let rest = flat.strip_prefix(block)?;
                Some((block.trim_end_matches('_'), block != "middle_block_", rest))
            })?;
        let (first, rest) = rest.split_once('_')?;
        let (place, rest) = match counted {
            true => {
                let (second, rest) = rest.split_once('_')?;
                (format!("{first}.{second}"), rest)
            }
            false => (first.to_owned(), rest),
        };
        let part = match rest {
            "in_layers_2" => "in_layers.2",
            "emb_layers_1" => "emb_layers.1",
            "out_layers_3" => "out_layers.3",
            other => other,
        };
        unet_layer(&format!("{block}.{place}.{part}"), self.resnets)
    }
}

/// A text encoder's layer under its present name, for the names that attention had in older files.
fn older_text(flat: &str) -> String {
    const ENDS: [(&str, &str); 4] = [
        ("_self_attn_to_q", "_self_attn_q_proj"),
        ("_self_attn_to_k", "_self_attn_k_proj"),
        ("_self_attn_to_v", "_self_attn_v_proj"),
        ("_self_attn_to_out", "_self_attn_out_proj"),
    ];
    let newer = ENDS
        .iter()
        .find_map(|(old, new)| Some(format!("{}{new}", flat.strip_suffix(old)?)));
    let newer = newer.unwrap_or_else(|| flat.to_owned());
    match newer.starts_with("text_model_") {
        true => newer,
        false => format!("text_model_{newer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_layer_means_it() {
        let layers = [
            "conv_in",
            "conv_out",
            "time_embedding.linear_1",
            "add_embedding.linear_2",
            "down_blocks.0.resnets.0.conv1",
            "down_blocks.0.resnets.1.conv1",
            "down_blocks.0.downsamplers.0.conv",
            "down_blocks.1.resnets.1.time_emb_proj",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
            "mid_block.attentions.0.proj_in",
            "mid_block.resnets.1.conv2",
            "up_blocks.0.attentions.2.transformer_blocks.1.ff.net.0.proj",
            "up_blocks.0.upsamplers.0.conv",
            "up_blocks.1.resnets.0.conv_shortcut",
        ];
        let shapes: LayerShapes = layers.map(|name| (name.to_owned(), vec![1, 1])).into();
        let found = |module: &str| {
            let (network, flat) = place(module)?;
            assert_eq!(network, Network::UNet);
            Layers::of(&shapes).find(network, &flat)
        };
        for name in layers {
            assert_eq!(found(&format!("unet.{name}")), Some(name));
            let flat = name.replace('.', "_");
            assert_eq!(found(&format!("lora_unet_{flat}")), Some(name));
        }
        for (ldm, name) in [
            ("time_embed_0", "time_embedding.linear_1"),
            ("label_emb_0_2", "add_embedding.linear_2"),
            ("input_blocks_0_0", "conv_in"),
            ("out_2", "conv_out"),
            (
                "input_blocks_2_0_in_layers_2",
                "down_blocks.0.resnets.1.conv1",
            ),
            ("input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
            (
                "input_blocks_5_0_emb_layers_1",
                "down_blocks.1.resnets.1.time_emb_proj",
            ),
            (
                "input_blocks_4_1_transformer_blocks_0_attn2_to_out_0",
                "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
            ),
            ("middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
            ("middle_block_2_out_layers_3", "mid_block.resnets.1.conv2"),
            (
                "output_blocks_2_1_transformer_blocks_1_ff_net_0_proj",
                "up_blocks.0.attentions.2.transformer_blocks.1.ff.net.0.proj",
            ),
            ("output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"),
            (
                "output_blocks_3_0_skip_connection",
                "up_blocks.1.resnets.0.conv_shortcut",
            ),
        ] {
            assert_eq!(found(&format!("lora_unet_{ldm}")), Some(name), "{ldm}");
            let dotted = format!("model.diffusion_model.{}", ldm.replace('_', "."));
            assert_eq!(
                place(&dotted).map(|(network, _)| network),
                Some(Network::UNet)
            );
        }
        let old = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out";
        assert_eq!(found(old), Some(layers[8]));
        assert_eq!(found("lora_unet_input_blocks_9_9_x"), None);
        assert_eq!(place("lora_transformer_x"), None);
    }

    #[test]
    fn text_layers_have_older_names_too() {
        let name = "text_model.encoder.layers.3.self_attn.q_proj";
        let shapes: LayerShapes = [(name.to_owned(), vec![1, 1])].into();
        for (module, network) in [
            (
                "lora_te_text_model_encoder_layers_3_self_attn_q_proj",
                Network::Text,
            ),
            (
                "lora_te1_text_model_encoder_layers_3_self_attn_q_proj",
                Network::Text,
            ),
            (
                "lora_te2_text_model_encoder_layers_3_self_attn_q_proj",
                Network::SecondText,
            ),
            (
                "text_encoder_2.text_model.encoder.layers.3.self_attn.q_proj",
                Network::SecondText,
            ),
            (
                "text_encoder.text_model.encoder.layers.3.self_attn.to_q",
                Network::Text,
            ),
            (
                "text_encoder.encoder.layers.3.self_attn.q_proj",
                Network::Text,
            ),
            (
                "text_model.encoder.layers.3.self_attn.q_proj",
                Network::Text,
            ),
        ] {
            let (of, flat) = place(module).unwrap();
            assert_eq!(of, network, "{module}");
            assert_eq!(Layers::of(&shapes).find(of, &flat), Some(name), "{module}");
        }
    }

    #[test]
    fn parts_are_told_from_what_is_like_them() {
        for (tensor, module, role) in [
            ("lora_unet_x.lora_down.weight", "lora_unet_x", Role::Down),
            ("lora_unet_x.alpha", "lora_unet_x", Role::Alpha),
            ("unet.a.to_q.lora_B.weight", "unet.a.to_q", Role::Up),
            (
                "a.processor.to_q_lora.up.weight",
                "a.processor.to_q",
                Role::Up,
            ),
            (
                "a.q_proj.lora_linear_layer.down.weight",
                "a.q_proj",
                Role::Down,
            ),
            ("a.lora_mid.weight", "a", Role::Mid),
            ("a.to_q.lora.alpha", "a.to_q", Role::Alpha),
            (
                "model.diffusion_model.a.lora_down.weight",
                "model.diffusion_model.a",
                Role::Down,
            ),
        ] {
            assert_eq!(split(tensor), Some((module, role)));
            assert_eq!(other_kind(tensor), None, "{tensor}");
        }
        assert_eq!(split("conv_in.weight"), None);
        assert_eq!(other_kind("lora_unet_x.hada_w1_a"), Some("a LoHa"));
        assert_eq!(other_kind("lora_unet_x.lokr_w2"), Some("a LoKr"));
        assert_eq!(other_kind("lora_unet_x.dora_scale"), Some("a DoRA"));
        assert_eq!(other_kind("unet.x.lora_magnitude_vector"), Some("a DoRA"));
        assert_eq!(
            other_kind("lora_unet_x.diff_b"),
            Some("a file of whole differences")
        );
    }
}
