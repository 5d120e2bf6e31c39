//! Networks and tokenizer against diffusers and transformers, on small random weights.
//! The references and the scripts that made them: `tools/reference/README.md`.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use imagegen_conformance::weights::Listed;
use imagegen_engine::cpu::{CpuTensor, Level};
use imagegen_engine::{Backend, CpuBackend, DeviceTensor, Tensor};
use imagegen_model::{
    AddedInput, Autoencoder, AutoencoderConfig, ClipText, ClipTextConfig, Posterior, TextStates,
    Tokenizer, UNet, UNetConfig, UNetInput, Weights,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn reference(name: &str) -> Vec<u8> {
    let path = root().join("conformance/reference").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(reference(name)).unwrap()
}

/// The largest difference of `got` to `want`, over the largest number of `want`.
///
/// torch's own f32 results are 1e-6 to 5e-6 off the float64 references by this measure (recorded in
/// the files' metadata as `f32_error`).
fn off(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0f32, |size, v| size.max(v.abs()));
    let most = got
        .iter()
        .zip(want)
        .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    most / size
}

/// The largest difference as [`off`] has it. Prints it and the root of the mean square, over the largest
/// number too, for `docs/models.md`.
fn measured(name: &str, got: &[f32], want: &[f32]) -> f32 {
    let most = off(got, want);
    let size = want.iter().fold(0f32, |size, v| size.max(v.abs()));
    let squares = got
        .iter()
        .zip(want)
        .map(|(a, b)| f64::from((a - b) / size).powi(2));
    let rms = (squares.sum::<f64>() / want.len() as f64).sqrt();
    println!("| {name} | {most:.1e} | {rms:.1e} |");
    most
}

/// A tensor of integers or f32 numbers.
fn numbers(file: &[u8], name: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    match tensor.dtype() {
        safetensors::Dtype::I64 => {
            let (chunks, _) = tensor.data().as_chunks();
            chunks
                .iter()
                .map(|chunk| i64::from_le_bytes(*chunk) as f64)
                .collect()
        }
        _ => {
            let (chunks, _) = tensor.data().as_chunks();
            chunks
                .iter()
                .map(|chunk| f64::from(f32::from_le_bytes(*chunk)))
                .collect()
        }
    }
}

/// Twice what torch's f32 shows at worst.
const NETWORK_F32: f32 = 1e-5;

fn engine() -> CpuBackend {
    CpuBackend::new(Level::best(), 2).unwrap()
}

fn unet_case(name: &str) {
    let engine = engine();
    let bytes = reference(&format!("unet_{name}.safetensors"));
    let all = Weights::parse(name, Arc::new(bytes.clone())).unwrap();
    let config =
        UNetConfig::parse("config.json", &text(&format!("unet_{name}.config.json"))).unwrap();
    let unet = UNet::load(&engine, config, &all.under("weights.")).unwrap();
    let sample = engine.upload(&all.tensor("sample").unwrap().nchw_to_nhwc().unwrap());
    let states = engine.upload(&all.tensor("encoder_hidden_states").unwrap());
    let labels = all
        .tensor("class_labels")
        .ok()
        .map(|labels| engine.upload(&labels));
    let timesteps = numbers(&bytes, "timestep");
    let input = UNetInput {
        sample: &sample,
        timesteps: &timesteps,
        text: &states,
        class_labels: labels.as_ref(),
        added: None,
        guidance: None,
        token_merging: 0.0,
    };
    let compare = |what: &str, output: &CpuTensor, want: &Tensor| {
        let got = engine.download(output).nhwc_to_nchw().unwrap();
        assert_eq!(got.shape(), want.shape());
        let error = measured(&format!("unet {name}{what}"), got.data(), want.data());
        assert!(error < NETWORK_F32, "{name}{what} is {error:e} off");
    };
    let want = all.tensor("output").unwrap();
    compare("", &unet.run(&engine, &input).unwrap(), &want);
    assert!(off(&vec![0.0; want.data().len()], want.data()) > NETWORK_F32);

    // With half of the tokens of the finest attention.
    let half = UNetInput {
        token_merging: 0.5,
        ..input
    };
    let bytes = reference(&format!("token_merging_{name}.safetensors"));
    let all = Weights::parse(name, Arc::new(bytes)).unwrap();
    let merged = all.tensor("output").unwrap();
    compare(
        ", tokens merged",
        &unet.run(&engine, &half).unwrap(),
        &merged,
    );
    assert!(off(want.data(), merged.data()) > 1e-2, "{name} is unmoved");
    let most = UNetInput {
        token_merging: 0.8,
        ..input
    };
    let error = unet.run(&engine, &most).unwrap_err().to_string();
    assert!(error.contains("token merging ratio is 0.8"), "{error}");

    // A second step with what the deep layers made at the first.
    let (whole, deep) = unet.run_keeping(&engine, &input).unwrap();
    let same = unet.run_shallow(&engine, &input, &deep).unwrap();
    assert_eq!(engine.download(&same), engine.download(&whole));
    let bytes = reference(&format!("deep_cache_{name}.safetensors"));
    let all = Weights::parse(name, Arc::new(bytes.clone())).unwrap();
    let sample = engine.upload(&all.tensor("sample").unwrap().nchw_to_nhwc().unwrap());
    let timesteps = numbers(&bytes, "timestep");
    let later = UNetInput {
        sample: &sample,
        timesteps: &timesteps,
        ..input
    };
    let shallow = unet.run_shallow(&engine, &later, &deep).unwrap();
    let want = all.tensor("output").unwrap();
    compare(", deep layers kept", &shallow, &want);
    let whole = engine.download(&unet.run(&engine, &later).unwrap());
    let moved = off(whole.nhwc_to_nchw().unwrap().data(), want.data());
    assert!(moved > 1e-3, "{name}: the whole network gives the same");
    let share = unet.shallow_share();
    assert!(share > 0.01 && share < 0.6, "{name}: {share}");

    let narrow = Tensor::new(
        [sample.shape()[0], 2, 2, sample.shape()[3]],
        vec![0.5; sample.shape()[0] * 4 * sample.shape()[3]],
    );
    let narrow = engine.upload(&narrow.unwrap());
    let other = UNetInput {
        sample: &narrow,
        ..later
    };
    assert!(unet.run_shallow(&engine, &other, &deep).is_err());
}

#[test]
fn unet_with_class_embedding_and_source_channels() {
    unet_case("starter");
}

#[test]
fn unet_of_sd1_kind_with_odd_sizes_and_two_timesteps() {
    unet_case("sd1");
}

#[test]
fn unet_of_sd2_kind_with_linear_projection_and_fractional_timestep() {
    unet_case("sd2");
}

/// As [`unet_case`], for networks whose weights the formula gives.
fn formula_unet_case(name: &str) {
    let engine = engine();
    let listed = Listed::read(&format!("unet_{name}"));
    let weights = Weights::parse(name, Arc::new(listed.safetensors(Dtype::F32))).unwrap();
    let config = UNetConfig::parse("config.json", &listed.config).unwrap();
    let unet = UNet::load(&engine, config, &weights).unwrap();
    let bytes = reference(&format!("unet_{name}.safetensors"));
    let all = Weights::parse(name, Arc::new(bytes.clone())).unwrap();
    let given = |name: &str| all.shape(name).map(|_| numbers(&bytes, name));
    let sample = engine.upload(&all.tensor("sample").unwrap().nchw_to_nhwc().unwrap());
    let text = engine.upload(&all.tensor("encoder_hidden_states").unwrap());
    let pooled = all.tensor("text_embeds").ok();
    let pooled = pooled.map(|pooled| engine.upload(&pooled));
    let (time_ids, guidance) = (given("time_ids"), given("guidance"));
    let added = pooled.as_ref().zip(time_ids.as_ref());
    let input = UNetInput {
        sample: &sample,
        timesteps: &given("timestep").unwrap(),
        text: &text,
        class_labels: None,
        added: added.map(|(pooled, numbers)| AddedInput { pooled, numbers }),
        guidance: guidance.as_deref(),
        token_merging: 0.0,
    };
    let got = engine.download(&unet.run(&engine, &input).unwrap());
    let got = got.nhwc_to_nchw().unwrap();
    let want = all.tensor("output").unwrap();
    assert_eq!(got.shape(), want.shape());
    let error = measured(&format!("unet {name}"), got.data(), want.data());
    assert!(error < NETWORK_F32, "{name} is {error:e} off");
    // What the network hears may not be left out, and nothing else may be said to it.
    let flipped = UNetInput {
        guidance: match input.guidance {
            Some(_) => None,
            None => Some(&[7.5]),
        },
        ..input
    };
    let error = unet.run(&engine, &flipped).unwrap_err().to_string();
    assert!(error.starts_with("guidance scale is "), "{error}");
}

#[test]
fn unet_of_sdxl_kind_with_added_numbers() {
    formula_unet_case("sdxl");
}

#[test]
fn unet_of_sdxls_refiner() {
    formula_unet_case("refiner");
}

#[test]
fn unet_with_a_mask_among_its_channels() {
    formula_unet_case("inpainting");
}

#[test]
fn unet_with_source_channels() {
    formula_unet_case("pix2pix");
}

#[test]
fn unet_that_hears_the_guidance_scale() {
    formula_unet_case("lcm");
}

#[test]
fn pooled_text_must_fit_the_model() {
    let engine = engine();
    let listed = Listed::read("unet_sdxl");
    let weights = Weights::parse("x", Arc::new(listed.safetensors(Dtype::F32))).unwrap();
    let config = UNetConfig::parse("config.json", &listed.config).unwrap();
    let unet = UNet::load(&engine, config, &weights).unwrap();
    let tensor = |shape: &[usize]| engine.upload(&Tensor::zeros(shape));
    let (sample, text) = (tensor(&[1, 8, 8, 4]), tensor(&[1, 77, 20]));
    for (pooled, numbers, said) in [
        (
            15,
            6,
            "channels of the pooled text is 15, expected 50 less a multiple of 6",
        ),
        (
            14,
            5,
            "number of numbers about the pictures is 5, expected 6",
        ),
    ] {
        let pooled = tensor(&[1, pooled]);
        let input = UNetInput {
            sample: &sample,
            timesteps: &[1.0],
            text: &text,
            class_labels: None,
            added: Some(AddedInput {
                pooled: &pooled,
                numbers: &vec![0.0; numbers],
            }),
            guidance: None,
            token_merging: 0.0,
        };
        let error = unet.run(&engine, &input).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn class_labels_must_fit_the_model() {
    let engine = engine();
    let all = Weights::parse("x", Arc::new(reference("unet_starter.safetensors"))).unwrap();
    let config = UNetConfig::parse("c", &text("unet_starter.config.json")).unwrap();
    let unet = UNet::load(&engine, config, &all.under("weights.")).unwrap();
    let sample = engine.upload(&Tensor::zeros([1, 16, 24, 24]));
    let states = engine.upload(&all.tensor("encoder_hidden_states").unwrap());
    let input = UNetInput {
        sample: &sample,
        timesteps: &[1.0],
        text: &states,
        class_labels: None,
        added: None,
        guidance: None,
        token_merging: 0.0,
    };
    let error = unet.run(&engine, &input).unwrap_err().to_string();
    assert_eq!(
        error,
        "class labels is absent, expected given for this model"
    );
}

#[test]
fn a_spare_and_a_missing_tensor_are_named() {
    let engine = engine();
    let all = Weights::parse(
        "unet.safetensors",
        Arc::new(reference("unet_sd1.safetensors")),
    );
    let all = all.unwrap();
    let config = text("unet_sd1.config.json");
    let load = |config: &str, weights: &Weights| {
        UNet::load(&engine, UNetConfig::parse("c", config).unwrap(), weights).unwrap_err()
    };
    let fewer = config.replace("\"layers_per_block\": 2", "\"layers_per_block\": 1");
    assert_ne!(fewer, config);
    let error = load(&fewer, &all.under("weights.")).to_string();
    assert!(
        error.contains("tensor \"up_blocks") && error.contains("has shape"),
        "{error}"
    );
    let error = load(&config, &all).to_string();
    assert_eq!(
        error,
        format!(
            "unet.safetensors lacks {} tensors this network needs, the first is \
             \"time_embedding.linear_1.weight\"",
            all.under("weights.").names().count()
        )
    );
    let renamed = Weights::parse("x", Arc::new(with_spare_tensor())).unwrap();
    let error = load(&config, &renamed.under("weights.")).to_string();
    assert_eq!(
        error,
        "x has 1 tensors this network does not use, the first is \"spare.weight\""
    );
}

/// The reference file with one more tensor.
fn with_spare_tensor() -> Vec<u8> {
    let bytes = reference("unet_sd1.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let one = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]);
    let mut all = tensors.tensors();
    all.push(("weights.spare.weight".to_owned(), one.unwrap()));
    safetensors::serialize(all, None).unwrap()
}

fn clip_case(name: &str) {
    let engine = engine();
    let bytes = reference(&format!("clip_text_{name}.safetensors"));
    let ids: Vec<u32> = numbers(&bytes, "input_ids")
        .into_iter()
        .map(|id| id as u32)
        .collect();
    let all = Weights::parse(name, Arc::new(bytes.clone())).unwrap();
    let config = ClipTextConfig::parse(
        "config.json",
        &text(&format!("clip_text_{name}.config.json")),
    );
    let encoder = ClipText::load(&engine, config.unwrap(), &all.under("weights.")).unwrap();
    let (hidden, pooled) = (
        all.tensor("last_hidden_state").unwrap(),
        all.tensor("pooler_output").unwrap(),
    );
    for (index, ids) in ids.chunks_exact(77).enumerate() {
        let got = encoder.encode(&engine, ids, TextStates::LAST).unwrap();
        assert_eq!(got.hidden.shape(), [1, 77, hidden.shape()[2]]);
        for (got, want) in [(&got.hidden, &hidden), (&got.pooled, &pooled)] {
            let got = engine.download(got);
            let want = &want.data()[index * got.data().len()..][..got.data().len()];
            let error = measured(&format!("clip {name} prompt {index}"), got.data(), want);
            assert!(
                error < NETWORK_F32,
                "{name} prompt {index} is {error:e} off"
            );
        }
    }
}

#[test]
fn clip_text_with_quick_gelu() {
    clip_case("quick_gelu");
}

#[test]
fn clip_text_of_a_configuration_with_the_old_eos_id() {
    clip_case("legacy_eos");
}

#[test]
fn clip_text_pools_at_the_end_token_below_added_ones() {
    clip_case("added_tokens");
}

fn autoencoder_case(name: &str) {
    let engine = engine();
    let listed = Listed::read(&format!("autoencoder_{name}"));
    let weights = Weights::parse(name, Arc::new(listed.safetensors(Dtype::F32))).unwrap();
    let config = AutoencoderConfig::parse("config.json", &listed.config).unwrap();
    let network = Autoencoder::load(&engine, config, &weights).unwrap();
    let bytes = reference(&format!("autoencoder_{name}.safetensors"));
    let all = Weights::parse(name, Arc::new(bytes)).unwrap();
    let picture = |name: &str| all.tensor(name).unwrap().nchw_to_nhwc().unwrap();
    let check = |what: &str, got: &Tensor, want: &Tensor| {
        assert_eq!(got.shape(), want.shape(), "{name} {what}");
        let error = measured(
            &format!("autoencoder {name} {what}"),
            got.data(),
            want.data(),
        );
        assert!(error < NETWORK_F32, "{name} {what} is {error:e} off");
    };
    let got = network.encode(&engine, &picture("pixels")).unwrap();
    check("mean", &got.mean, &picture("mean"));
    match &got.log_variance {
        Some(got) => check("log_variance", got, &picture("log_variance")),
        None => assert!(all.shape("log_variance").is_none()),
    }
    assert_eq!(network.config().has_posterior(), got.log_variance.is_some());
    let got = network.decode(&engine, &picture("latents")).unwrap();
    check("decoded", &got, &picture("decoded"));
}

#[test]
fn autoencoder_of_stable_diffusion() {
    autoencoder_case("kl");
}

#[test]
fn autoencoder_without_the_parts_it_may_lack() {
    autoencoder_case("bare");
}

#[test]
fn autoencoder_for_quick_pictures() {
    autoencoder_case("tiny");
}

#[test]
fn older_names_of_an_autoencoders_attention_are_known() {
    let engine = engine();
    let mut listed = Listed::read("autoencoder_kl");
    let load = |listed: &Listed| {
        let weights = Weights::parse("vae", Arc::new(listed.safetensors(Dtype::F32))).unwrap();
        let config = AutoencoderConfig::parse("config.json", &listed.config).unwrap();
        Autoencoder::load(&engine, config, &weights)
    };
    load(&listed).unwrap();
    for tensor in &mut listed.tensors {
        for (new, old) in [
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ] {
            tensor.name = tensor.name.replace(new, old);
        }
    }
    load(&listed).unwrap();
    listed
        .tensors
        .retain(|tensor| tensor.name != "encoder.mid_block.attentions.0.query.weight");
    let error = load(&listed).unwrap_err().to_string();
    assert_eq!(
        error,
        "vae lacks 2 tensors this network needs, the first is \
         \"encoder.mid_block.attentions.0.to_q.weight\""
    );
}

#[test]
fn a_posterior_is_drawn_from_with_noise() {
    let tensor = |numbers: &[f32]| Tensor::new([1, 1, 2, 1], numbers.to_vec()).unwrap();
    let posterior = Posterior {
        mean: tensor(&[1.0, -2.0]),
        log_variance: Some(tensor(&[0.0, -2.0])),
    };
    let drawn = posterior.sample(&tensor(&[0.5, 2.0])).unwrap();
    assert_eq!(drawn.data(), [1.5, -2.0 + 2.0 * (-1f32).exp()]);
    let error = posterior.sample(&Tensor::zeros([1, 2, 1, 1])).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("noise has shape [1, 2, 1, 1]")
    );
}

#[test]
fn clip_text_with_a_projection_and_layers_left_out() {
    let engine = engine();
    let listed = Listed::read("clip_text_projection");
    let weights = Weights::parse("x", Arc::new(listed.safetensors(Dtype::F32))).unwrap();
    let config = ClipTextConfig::parse("config.json", &listed.config).unwrap();
    let encoder = ClipText::load(&engine, config, &weights).unwrap();
    let bytes = reference("clip_text_projection.safetensors");
    let all = Weights::parse("x", Arc::new(bytes.clone())).unwrap();
    let ids = numbers(&bytes, "input_ids").into_iter().map(|id| id as u32);
    let states = |skip, normalised| TextStates { skip, normalised };
    for (index, ids) in ids.collect::<Vec<_>>().chunks_exact(77).enumerate() {
        for (wanted, name) in [
            (TextStates::LAST, "last_hidden_state"),
            (states(1, false), "hidden.1"),
            (states(2, false), "hidden.2"),
            (states(4, false), "hidden.4"),
            (states(1, true), "normed.1"),
            (states(4, true), "normed.4"),
        ] {
            let encoding = encoder.encode(&engine, ids, wanted).unwrap();
            for (got, name) in [(&encoding.hidden, name), (&encoding.pooled, "text_embeds")] {
                let (got, want) = (engine.download(got), all.tensor(name).unwrap());
                let want = &want.data()[index * got.data().len()..][..got.data().len()];
                let error = measured(&format!("clip {name} prompt {index}"), got.data(), want);
                assert!(error < NETWORK_F32, "{name} {index} is {error:e} off");
            }
        }
        let error = encoder.encode(&engine, ids, states(5, true)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "number of text layers left out is 5, expected 0 to 4"
        );
    }
}

fn tokenizer() -> Tokenizer {
    Tokenizer::parse(
        &text("tokenizer/vocab.json"),
        &text("tokenizer/merges.txt"),
        &text("tokenizer/tokenizer_config.json"),
        Some(&text("tokenizer/special_tokens_map.json")),
    )
    .unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

#[test]
fn tokenizer_agrees_with_transformers() {
    let (tokenizer, cases) = (tokenizer(), text("tokenizer_cases.json"));
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let list = cases["cases"].as_array().unwrap();
    assert!(list.len() > 400);
    for case in list {
        let text = case["text"].as_str().unwrap();
        let want = ids(case);
        assert_eq!(
            tokenizer.ids(text).unwrap(),
            want[1..want.len() - 1],
            "{text:?}"
        );
    }
    for case in cases["truncated"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let (tokens, want) = (tokenizer.encode(text).unwrap(), ids(case));
        assert_eq!(tokens.ids[..want.len()], want, "{text:?}");
        assert_eq!(tokens.ids.len(), 77);
        assert_eq!(
            tokens.used.len() + tokens.dropped,
            tokenizer.ids(text).unwrap().len()
        );
    }
}

#[test]
fn clips_own_tokenizer_agrees_with_transformers() {
    let tokenizer = Tokenizer::clip("!").unwrap();
    let cases: Value = serde_json::from_str(&text("tokenizer_clip_cases.json")).unwrap();
    let list = cases["cases"].as_array().unwrap();
    assert!(list.len() > 3000);
    for case in list {
        let text = case[0].as_str().unwrap();
        let want: Vec<u64> = case[1]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap())
            .collect();
        let got: Vec<u64> = tokenizer
            .ids(text)
            .unwrap()
            .into_iter()
            .map(u64::from)
            .collect();
        assert_eq!(got, want, "{text:?}");
    }
    let tokens = tokenizer.encode("a cat").unwrap();
    assert_eq!(tokens.ids[..5], [49406, 320, 2368, 49407, 0]);
    assert_eq!(tokens.ids.len(), 77);
    let error = Tokenizer::clip("<none>").unwrap_err().to_string();
    assert!(error.contains("lacks the token <none>"), "{error}");
}

#[test]
fn special_tokens_of_their_own_file_count_where_the_configuration_is_older() {
    let (vocab, merges) = (text("tokenizer/vocab.json"), text("tokenizer/merges.txt"));
    let pad = |config: &str| {
        let map = Some(r#"{"pad_token": {"content": "!"}}"#);
        let tokenizer = Tokenizer::parse(&vocab, &merges, config, map).unwrap();
        *tokenizer.encode("").unwrap().ids.last().unwrap()
    };
    let end = pad(r#"{"added_tokens_decoder": {}}"#);
    assert_eq!(pad(r#"{"pad_token": "<|endoftext|>"}"#), 0);
    assert_ne!(end, 0);
}

#[test]
fn a_damaged_tokenizer_is_named() {
    let bad = |vocab: &str, merges: &str| {
        Tokenizer::parse(vocab, merges, "{}", None)
            .unwrap_err()
            .to_string()
    };
    assert!(bad("[]", "").starts_with("vocab.json is not a valid tokenizer"));
    assert!(bad("{\"a\": 0}", "").contains("lacks the token <|startoftext|>"));
    let vocab = r#"{"a": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}"#;
    assert!(bad(vocab, "#version\n").contains("holds no merges"));
    assert!(bad(vocab, "#version\nab\n").contains("line 2 is \"ab\", expected two parts"));
}
