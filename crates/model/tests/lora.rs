//! LoRAs against diffusers and PEFT on tiny random networks (`tools/reference/lora.py`), and what is
//! refused.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use imagegen_conformance::weights::{Listed, pack, reference};
use imagegen_engine::cpu::Level;
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::lora::{Changes, Lora, Network, Target};
use imagegen_model::{
    AddedInput, ClipText, ClipTextConfig, Error, TextStates, UNet, UNetConfig, UNetInput, Weights,
};
use safetensors::Dtype;
use serde_json::Value;

/// The weight of every reference.
const WEIGHT: f64 = 0.8;

/// Twice what torch's f32 shows at worst on networks of this size.
const NETWORK_F32: f32 = 1e-5;

fn engine() -> CpuBackend {
    CpuBackend::new(Level::best(), 2).unwrap()
}

fn weights(name: &str, bytes: Vec<u8>) -> Weights {
    Weights::parse(name, Arc::new(bytes)).unwrap()
}

/// A network with what it is made of.
struct Loaded<N> {
    network: N,
    weights: Weights,
}

/// A tiny model.
struct Parts {
    engine: CpuBackend,
    unet: Loaded<UNet<CpuBackend>>,
    texts: Vec<(Network, Loaded<ClipText<CpuBackend>>)>,
    kind: &'static str,
}

impl Parts {
    fn load(kind: &'static str) -> Self {
        let engine = engine();
        let file: Value =
            serde_json::from_slice(&reference(&format!("pipeline_{kind}.json"))).unwrap();
        let part = |name: &str| {
            let listed = Listed::of(&file["parts"][name]);
            let bytes = listed.safetensors(Dtype::F16);
            (listed.config, weights(name, bytes))
        };
        let (config, unet) = part("unet");
        let config = UNetConfig::parse("config.json", &config).unwrap();
        let unet = Loaded {
            network: UNet::load(&engine, config, &unet).unwrap(),
            weights: unet,
        };
        let towers = [
            (Network::Text, "text_encoder"),
            (Network::SecondText, "text_encoder_2"),
        ];
        let texts = towers
            .into_iter()
            .filter(|(_, name)| file["parts"].get(*name).is_some())
            .map(|(network, name)| {
                let (config, weights) = part(name);
                let config = ClipTextConfig::parse("config.json", &config).unwrap();
                let tower = ClipText::load(&engine, config, &weights).unwrap();
                let loaded = Loaded {
                    network: tower,
                    weights,
                };
                (network, loaded)
            })
            .collect();
        Self {
            engine,
            unet,
            texts,
            kind,
        }
    }

    fn targets(&self) -> Vec<Target<'_>> {
        let unet = Target {
            network: Network::UNet,
            layers: self.unet.network.layers(),
        };
        let texts = self.texts.iter().map(|(network, text)| Target {
            network: *network,
            layers: text.network.layers(),
        });
        [unet].into_iter().chain(texts).collect()
    }

    /// The numbers of every network with LoRAs at weights.
    fn run(&self, loras: &[(&Lora, f64)]) -> Vec<(&'static str, Vec<f32>)> {
        let given = weights("lora", reference("lora.safetensors"));
        let changes = |network| {
            let mut changes = Changes::default();
            for (lora, weight) in loras {
                let fit = lora.fit(&self.targets()).unwrap();
                fit.add_to(&mut changes, network, *weight);
            }
            changes
        };
        let named = |name: &str| given.tensor(&format!("{}.{name}", self.kind)).unwrap();
        let engine = &self.engine;
        let sample = engine.upload(&named("sample").nchw_to_nhwc().unwrap());
        let states = engine.upload(&named("states"));
        let pooled = (self.kind == "sdxl").then(|| engine.upload(&named("added")));
        let input = UNetInput {
            sample: &sample,
            timesteps: &[333.0],
            text: &states,
            class_labels: None,
            added: pooled.as_ref().map(|pooled| AddedInput {
                pooled,
                numbers: &[64.0, 96.0, 0.0, 0.0, 64.0, 96.0],
            }),
            guidance: None,
            token_merging: 0.0,
        };
        let Loaded { network, weights } = &self.unet;
        let unet = network
            .changed(engine, weights, &changes(Network::UNet))
            .unwrap();
        let said = engine.download(&unet.run(engine, &input).unwrap());
        let mut results = vec![("unet", said.nhwc_to_nchw().unwrap().into_data())];
        let size = self.texts[0].1.network.config().vocab_size as u32;
        let ids: Vec<u32> = (0..77).map(|place| (7 * place + 3) % size).collect();
        let wanted = match self.kind {
            "sdxl" => TextStates {
                skip: 1,
                normalised: false,
            },
            _ => TextStates::LAST,
        };
        for (place, name) in self.texts.iter().zip(["text_encoder", "text_encoder_2"]) {
            let (network, loaded) = place;
            let changes = changes(*network);
            let tower = loaded.network.changed(engine, &loaded.weights, &changes);
            let said = tower.unwrap().encode(engine, &ids, wanted).unwrap().hidden;
            results.push((name, engine.download(&said).into_data()));
        }
        results
    }
}

fn lora(case: &str) -> Lora {
    let name = format!("lora_{case}.safetensors");
    Lora::read(weights(&name, reference(&name))).unwrap()
}

fn off(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0f32, |size, v| size.max(v.abs()));
    let pairs = got.iter().zip(want);
    pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs())) / size
}

fn agrees(case: &str, kind: &'static str) {
    let parts = Parts::load(kind);
    let lora = lora(case);
    let want = weights("lora", reference("lora.safetensors"));
    let plain = parts.run(&[]);
    for ((name, got), (_, plain)) in parts.run(&[(&lora, WEIGHT)]).iter().zip(&plain) {
        let want = want.tensor(&format!("{case}.{name}")).unwrap();
        let off_by = off(got, want.data());
        println!("| LoRA {case}, {name} | {off_by:.1e} |");
        assert!(off_by < NETWORK_F32, "{case} {name} is {off_by:e} off");
        // Without the LoRA the network says something else, but for what the file leaves alone.
        let alone = case == "sd_mid" && *name != "unet";
        assert_eq!(
            off(plain, want.data()) > 100.0 * NETWORK_F32,
            !alone,
            "{case} {name}"
        );
    }
    let fit = lora.fit(&parts.targets()).unwrap();
    assert_eq!(fit.unused(), None, "{case}");
}

#[test]
fn kohya_names_with_alphas_give_what_diffusers_gives() {
    agrees("sd_kohya", "sd");
}

#[test]
fn peft_names_without_alphas_give_what_diffusers_gives() {
    agrees("sd_peft", "sd");
}

#[test]
fn kohya_names_in_the_ldm_layout_and_two_text_encoders_give_what_diffusers_gives() {
    agrees("sdxl_kohya", "sdxl");
}

#[test]
fn convolutions_in_three_parts_follow_their_definition() {
    agrees("sd_mid", "sd");
}

#[test]
fn mixed_ranks_and_alphas_are_each_their_own_and_1_where_there_is_none() {
    agrees("sd_mixed", "sd");
}

#[test]
fn ten_switches_leave_no_trace() {
    let parts = Parts::load("sd");
    let (one, two) = (lora("sd_kohya"), lora("sd_peft"));
    let plain = parts.run(&[]);
    let first = parts.run(&[(&one, 1.3), (&two, -1.0)]);
    assert_ne!(plain, first);
    for _ in 0..10 {
        assert_ne!(parts.run(&[(&two, 0.5)]), plain);
        assert_eq!(parts.run(&[(&one, 0.0)]), plain);
        assert_eq!(parts.run(&[(&one, 1.3), (&two, -1.0)]), first);
    }
    assert_eq!(parts.run(&[]), plain);
}

/// Named tensors as a LoRA file.
fn file(tensors: &[(&str, &[usize])]) -> Weights {
    let tensors = tensors.iter().map(|(name, shape)| {
        let count = shape.iter().product();
        ((*name).to_owned(), shape.to_vec(), vec![0.5; count])
    });
    weights("x.safetensors", pack(tensors, Dtype::F32))
}

/// A module's two matrices.
fn module(name: &str, outputs: usize, inputs: usize) -> Vec<(String, Vec<usize>)> {
    vec![
        (format!("{name}.lora_down.weight"), vec![2, inputs]),
        (format!("{name}.lora_up.weight"), vec![outputs, 2]),
    ]
}

fn of_modules(modules: &[Vec<(String, Vec<usize>)>]) -> Lora {
    let all: Vec<_> = modules.iter().flatten().collect();
    let tensors: Vec<_> = all
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    Lora::read(file(&tensors)).unwrap()
}

const KEY: &str = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";

#[test]
fn loras_of_another_family_are_refused_with_the_family_they_seem_made_for() {
    let parts = Parts::load("sd");
    for (inputs, family) in [
        (768, "Stable Diffusion 1"),
        (1024, "Stable Diffusion 2"),
        (2048, "SDXL"),
    ] {
        let lora = of_modules(&[module(KEY, 320, inputs)]);
        let error = lora.fit(&parts.targets()).unwrap_err();
        let Error::LoraShape { shapes, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(**shapes, (vec![320, inputs], vec![16, 24]));
        let end = format!("it seems made for {family}");
        assert!(error.to_string().ends_with(&end), "{error}");
    }
}

#[test]
fn what_matches_nothing_is_counted_and_a_file_of_it_refused() {
    let parts = Parts::load("sd");
    let strange = ["lora_prior_x", "lora_prior_y", "lora_prior_z"];
    let strange = strange.map(|name| module(name, 4, 4));
    let known = module(KEY, 16, 24);
    let [x, y, z] = strange.clone();
    let lora = of_modules(&[known, x, y, z]);
    let fit = lora.fit(&parts.targets()).unwrap();
    assert_eq!(fit.unused(), Some((6, "lora_prior_x")));
    let error = of_modules(&strange).fit(&parts.targets()).unwrap_err();
    assert!(
        matches!(&error, Error::LoraUnused { count: 3, first, family: None, .. } if first == "lora_prior_x"),
        "{error}"
    );
    let second = of_modules(&[module("lora_te2_text_model_encoder_layers_0_mlp_fc1", 4, 4)]);
    let error = second.fit(&parts.targets()).unwrap_err().to_string();
    assert!(error.ends_with("it seems made for SDXL"), "{error}");
}

#[test]
fn files_that_are_no_whole_lora_are_refused_by_name() {
    let read = |tensors: &[(&str, &[usize])]| Lora::read(file(tensors)).unwrap_err().to_string();
    for (tensor, kind) in [
        ("lora_unet_x.hada_w1_a", "a LoHa"),
        ("lora_unet_x.lokr_w1", "a LoKr"),
        ("lora_unet_x.dora_scale", "a DoRA"),
        ("base_model.model.x.lora_A.weight", "a PEFT adapter"),
    ] {
        let error = read(&[(tensor, &[2, 2])]);
        assert!(error.contains(kind) && error.contains(tensor), "{error}");
    }
    let error = read(&[("conv_in.weight", &[2, 2])]);
    assert!(
        error.contains("\"conv_in.weight\", expected a LoRA"),
        "{error}"
    );
    let error = read(&[("a.lora_up.weight", &[2, 2])]);
    assert_eq!(error, "x.safetensors lacks tensor \"a.lora_down.weight\"");
    let error = read(&[
        ("a.lora_down.weight", &[3, 8]),
        ("a.lora_up.weight", &[8, 2]),
    ]);
    assert!(
        error.contains("\"a.lora_up.weight\" has shape [8, 2], expected [8, 3]"),
        "{error}"
    );
    let tensors = [
        (
            "a.lora_down.weight".to_owned(),
            vec![1, 2],
            vec![1.0, f32::NAN],
        ),
        ("a.lora_up.weight".to_owned(), vec![2, 1], vec![1.0; 2]),
    ];
    let error = Lora::read(weights("x.safetensors", pack(tensors, Dtype::F32))).unwrap_err();
    assert!(
        matches!(&error, Error::NotFinite { tensor, .. } if tensor == "a.lora_down.weight"),
        "{error}"
    );
}

#[test]
fn weights_that_grow_too_large_are_named() {
    let parts = Parts::load("sd");
    let lora = of_modules(&[module(KEY, 16, 24)]);
    let fit = lora.fit(&parts.targets()).unwrap();
    let mut changes = Changes::default();
    fit.add_to(&mut changes, Network::UNet, 1e39);
    let Loaded { network, weights } = &parts.unet;
    let error = network
        .changed(&parts.engine, weights, &changes)
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
}

#[test]
fn alphas_in_the_header_are_read() {
    let build = |note: &str| {
        let header = format!(
            r#"{{"__metadata__":{{"lora_adapter_metadata":{}}},
            "unet.mid_block.attentions.0.proj_in.lora_A.weight":{{"dtype":"F32","shape":[2,24,1,1],"data_offsets":[0,192]}},
            "unet.mid_block.attentions.0.proj_in.lora_B.weight":{{"dtype":"F32","shape":[24,2,1,1],"data_offsets":[192,384]}}}}"#,
            Value::from(note)
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        let numbers = Tensor::new([96], vec![0.125; 96]).unwrap();
        bytes.extend(numbers.data().iter().flat_map(|v| v.to_le_bytes()));
        Lora::read(weights("x", bytes))
    };
    let parts = Parts::load("sd");
    let unet = |lora: &Lora, weight| parts.run(&[(lora, weight)]).swap_remove(0).1;
    let plain = build("{}").unwrap();
    // alpha 4 over rank 2 is twice the weight, as is a pattern over another alpha.
    let double = build(r#"{"unet.r":2,"unet.lora_alpha":4}"#).unwrap();
    let pattern = r#"{"unet.lora_alpha":9,"unet.alpha_pattern":{"attentions.0.proj_in":4}}"#;
    let pattern = build(pattern).unwrap();
    assert_eq!(unet(&double, 0.5), unet(&plain, 1.0));
    assert_eq!(unet(&pattern, 0.5), unet(&plain, 1.0));
    assert_ne!(unet(&double, 1.0), unet(&plain, 1.0));
    assert!(build("{").is_err());
}
