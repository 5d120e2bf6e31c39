//! A network of full size against diffusers or transformers:
//!
//! `cargo run --release -p imagegen-model --example full_size -- FOLDER`, after
//! `tools/reference/full_size.py NAME FOLDER`. Prints rows of the table in `docs/models.md`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use imagegen_engine::cpu::Level;
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::{
    AddedInput, Autoencoder, AutoencoderConfig, ClipText, ClipTextConfig, TextStates, UNet,
    UNetConfig, UNetInput, Weights,
};
use safetensors::SafeTensors;

type Outputs = Vec<(&'static str, Tensor)>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder")?;
    let folder = Path::new(&folder);
    let config = fs::read_to_string(folder.join("config.json"))?;
    let open = |name: &str| -> Result<Weights, Box<dyn Error>> {
        Ok(Weights::parse(
            name,
            Arc::new(fs::read(folder.join(name))?),
        )?)
    };
    let (weights, case) = (open("weights.safetensors")?, open("case.safetensors")?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let engine = CpuBackend::new(Level::best(), threads)?;
    let outputs = if case.shape("pixels").is_some() {
        autoencoder(&engine, &config, &weights, &case)?
    } else if case.shape("sample").is_some() {
        unet(&engine, &config, &weights, &case)?
    } else {
        let bytes = fs::read(folder.join("case.safetensors"))?;
        text(&engine, &config, &weights, &ids(&bytes)?)?
    };
    for (name, got) in outputs {
        let want = case.tensor(name)?;
        let want = match got.shape().len() {
            4 => want.nchw_to_nhwc()?,
            _ => want,
        };
        let size = want.data().iter().fold(0f32, |size, v| size.max(v.abs()));
        let off = got
            .data()
            .iter()
            .zip(want.data())
            .map(|(a, b)| f64::from((a - b) / size));
        let most = off.clone().fold(0f64, |most, v| most.max(v.abs()));
        let rms = (off.map(|v| v * v).sum::<f64>() / want.data().len() as f64).sqrt();
        println!("| {} {name} | {most:.1e} | {rms:.1e} |", folder.display());
    }
    Ok(())
}

fn unet(
    engine: &CpuBackend,
    config: &str,
    weights: &Weights,
    case: &Weights,
) -> Result<Outputs, Box<dyn Error>> {
    let unet = UNet::load(engine, UNetConfig::parse("config.json", config)?, weights)?;
    let sample = engine.upload(&case.tensor("sample")?.nchw_to_nhwc()?);
    let text = engine.upload(&case.tensor("encoder_hidden_states")?);
    let added = match case.shape("time_ids") {
        Some(_) => {
            let numbers = case.tensor("time_ids")?.into_data();
            let numbers: Vec<_> = numbers.into_iter().map(f64::from).collect();
            Some((engine.upload(&case.tensor("text_embeds")?), numbers))
        }
        None => None,
    };
    let input = UNetInput {
        sample: &sample,
        timesteps: &[481.0],
        text: &text,
        class_labels: None,
        added: added
            .as_ref()
            .map(|(pooled, numbers)| AddedInput { pooled, numbers }),
        guidance: None,
        token_merging: 0.0,
    };
    let start = Instant::now();
    let output = engine.download(&unet.run(engine, &input)?);
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(vec![("output", output)])
}

fn autoencoder(
    engine: &CpuBackend,
    config: &str,
    weights: &Weights,
    case: &Weights,
) -> Result<Outputs, Box<dyn Error>> {
    let config = AutoencoderConfig::parse("config.json", config)?;
    let network = Autoencoder::load(engine, config, weights)?;
    let start = Instant::now();
    let posterior = network.encode(engine, &case.tensor("pixels")?.nchw_to_nhwc()?)?;
    let decoded = network.decode(engine, &case.tensor("latents")?.nchw_to_nhwc()?)?;
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    let log_variance = posterior.log_variance.ok_or("no distribution")?;
    Ok(vec![
        ("mean", posterior.mean),
        ("log_variance", log_variance),
        ("decoded", decoded),
    ])
}

/// The token ids, which are no weights.
fn ids(case: &[u8]) -> Result<Vec<u32>, Box<dyn Error>> {
    let tensors = SafeTensors::deserialize(case)?;
    let (chunks, _) = tensors.tensor("input_ids")?.data().as_chunks();
    Ok(chunks
        .iter()
        .map(|chunk| i64::from_le_bytes(*chunk) as u32)
        .collect())
}

fn text(
    engine: &CpuBackend,
    config: &str,
    weights: &Weights,
    ids: &[u32],
) -> Result<Outputs, Box<dyn Error>> {
    let config = ClipTextConfig::parse("config.json", config)?;
    let tower = ClipText::load(engine, config, weights)?;
    let start = Instant::now();
    let encoding = tower.encode(engine, ids, TextStates::LAST)?;
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    let pooled = engine.download(&encoding.pooled);
    Ok(vec![
        ("last_hidden_state", engine.download(&encoding.hidden)),
        ("pooler_output", pooled),
    ])
}
