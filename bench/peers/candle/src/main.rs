//! candle's Stable Diffusion 1.5, timed for `bench/peers`. It speaks as `crates/model/examples/network_speed.rs` does.

use std::collections::HashMap;
use std::error::Error;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_nn::Module;
use candle_transformers::models::stable_diffusion::clip::ClipTextTransformer;
use candle_transformers::models::stable_diffusion::unet_2d::UNet2DConditionModel;
use candle_transformers::models::stable_diffusion::vae::AutoEncoderKL;
use candle_transformers::models::stable_diffusion::{
    StableDiffusionConfig, build_clip_transformer,
};
use serde_json::{Value, json};

enum Work {
    UNet(Box<UNet2DConditionModel>, Tensor, f64, Tensor),
    Encode(Box<AutoEncoderKL>, Tensor),
    Decode(Box<AutoEncoderKL>, Tensor),
    Text(Box<ClipTextTransformer>, Tensor),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut work = None;
    for line in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line?)?;
        let start = Instant::now();
        let answer = match order["do"].as_str() {
            Some("prepare") => {
                drop(work.take());
                work = Some(prepare(&order)?);
                json!({"seconds": start.elapsed().as_secs_f64()})
            }
            Some("run") => {
                let output = run(work.as_ref().ok_or("nothing is prepared")?)?;
                let seconds = start.elapsed().as_secs_f64();
                if let Some(out) = order["out"].as_str() {
                    candle_core::safetensors::save(&HashMap::from([("output", output)]), out)?;
                }
                json!({"seconds": seconds})
            }
            _ => return Err(format!("order {order}, expected one to prepare or to run").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

/// The one file of weights in a folder.
fn weights_file(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            return Ok(path);
        }
    }
    Err(format!("no file of weights in {}", folder.display()).into())
}

fn prepare(order: &Value) -> Result<Work, Box<dyn Error>> {
    let text = |name: &str| order[name].as_str().ok_or(format!("no field {name:?}"));
    let device = Device::Cpu;
    let file = weights_file(Path::new(text("folder")?))?;
    let case = candle_core::safetensors::load(text("case")?, &device)?;
    let input = |name: &str| case.get(name).cloned().ok_or(format!("no tensor {name:?}"));
    let config = StableDiffusionConfig::v1_5(None, None, None);
    let autoencoder = || config.build_vae(&file, &device, DType::F32).map(Box::new);
    Ok(match text("network")? {
        "unet" => {
            let unet = config.build_unet(&file, &device, 4, false, DType::F32)?;
            let timestep = input("timestep")?.to_dtype(DType::F64)?.to_vec1::<f64>()?[0];
            let states = input("encoder_hidden_states")?;
            Work::UNet(Box::new(unet), input("sample")?, timestep, states)
        }
        "encode" => Work::Encode(autoencoder()?, input("pixels")?),
        "decode" => Work::Decode(autoencoder()?, input("latents")?),
        "text" => {
            let tower = build_clip_transformer(&config.clip, &file, &device, DType::F32)?;
            Work::Text(Box::new(tower), input("input_ids")?.to_dtype(DType::U32)?)
        }
        other => return Err(format!("network {other:?} is not in candle").into()),
    })
}

fn run(work: &Work) -> candle_core::Result<Tensor> {
    match work {
        Work::UNet(unet, sample, timestep, states) => unet.forward(sample, *timestep, states),
        // A draw: the mean is not to be had.
        Work::Encode(autoencoder, pixels) => autoencoder.encode(pixels)?.sample(),
        Work::Decode(autoencoder, latents) => autoencoder.decode(latents),
        Work::Text(tower, ids) => tower.forward(ids),
    }
}
