//! A network of full size, timed for `bench/peers`: it reads orders from stdin and answers on stdout, a JSON object a line each.
//!
//! `cargo run --release -p imagegen-model --example network_speed -- THREADS`, then
//!
//! - `{"do": "prepare", "network": "unet", "folder": FOLDER, "case": FILE, "kept": BYTES}` loads the network of a folder (`config.json` and
//!   one file of weights) and the inputs of a case, which are safetensors named as diffusers names them. Networks are
//!   `unet`, `encode` and `decode` (of an autoencoder) and `text`. `kept` is how much memory transformed weights may take, `way`
//!   the precision, f32 where there is none.
//! - `{"do": "run", "out": FILE or null, "profile": true or null}` runs it once, answers with `seconds`, and writes `output` to the file, NCHW
//!   where it has four axes. With `profile` the answer holds `operations`: of each kind and shape the calls, seconds and GFLOP/s.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use imagegen_engine::cpu::{Level, Precision};
use imagegen_engine::profile::{Operation, Profiled};
use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::{
    AddedInput, Autoencoder, AutoencoderConfig, ClipText, ClipTextConfig, TextStates, UNet,
    UNetConfig, UNetInput, Weights,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

type Engine = Profiled<CpuBackend>;
type CpuTensor = <Engine as Backend>::Tensor;

/// A loaded network with its inputs where it reads them.
enum Work {
    UNet {
        unet: Box<UNet<Engine>>,
        sample: CpuTensor,
        timesteps: Vec<f64>,
        text: CpuTensor,
        added: Option<(CpuTensor, Vec<f64>)>,
    },
    Encode(Box<Autoencoder<Engine>>, Tensor),
    Decode(Box<Autoencoder<Engine>>, Tensor),
    Text(Box<ClipText<Engine>>, Vec<u32>),
}

struct Prepared {
    engine: Engine,
    work: Work,
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).ok_or("name a number of threads")?;
    let threads = threads.parse()?;
    let mut prepared = None;
    for line in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line?)?;
        let start = Instant::now();
        let answer = match order["do"].as_str() {
            Some("prepare") => {
                drop(prepared.take()); // what was there before makes room first
                prepared = Some(prepare(&order, threads)?);
                json!({"seconds": start.elapsed().as_secs_f64(), "level": Level::best().name()})
            }
            Some("run") => {
                let prepared = prepared.as_ref().ok_or("nothing is prepared")?;
                let profiled = order["profile"] == json!(true);
                if profiled {
                    prepared.engine.start("");
                }
                let output = run(prepared)?;
                let seconds = start.elapsed().as_secs_f64();
                let operations = profiled.then(|| prepared.engine.stop());
                if let Some(out) = order["out"].as_str() {
                    write(Path::new(out), &output)?;
                }
                let mut answer = json!({"seconds": seconds});
                if let Some(operations) = operations {
                    answer["operations"] = operations.iter().map(operation).collect();
                }
                answer
            }
            _ => return Err(format!("order {order}, expected one to prepare or to run").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn operation(operation: &Operation) -> Value {
    json!({
        "kind": operation.kind,
        "shape": operation.shape,
        "calls": operation.calls,
        "seconds": operation.seconds,
        "gflops": operation.flop / operation.seconds / 1e9,
    })
}

fn field<'a>(order: &'a Value, name: &str) -> Result<&'a str, String> {
    let value = &order[name];
    value
        .as_str()
        .ok_or_else(|| format!("field {name:?} is {value}, expected text"))
}

/// The one file of weights in a folder.
fn weights_file(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            return Ok(path);
        }
    }
    Err(format!("no file of weights in {}", folder.display()).into())
}

fn prepare(order: &Value, threads: usize) -> Result<Prepared, Box<dyn Error>> {
    let kept = order["kept"]
        .as_u64()
        .map_or(CpuBackend::KEPT, |bytes| bytes as usize);
    let precision = match order["way"].as_str() {
        None | Some("") => Precision::F32,
        Some(way) => way.parse()?,
    };
    let engine = CpuBackend::new(Level::best(), threads)?;
    let engine = Profiled::new(engine.keeping(kept).at(precision));
    let folder = Path::new(field(order, "folder")?);
    let config = fs::read_to_string(folder.join("config.json"))?;
    let bytes = fs::read(weights_file(folder)?)?;
    let weights = Weights::parse("weights", Arc::new(bytes))?;
    let bytes = Arc::new(fs::read(field(order, "case")?)?);
    let case = Weights::parse("case", bytes.clone())?;
    let work = match field(order, "network")? {
        "unet" => unet(&engine, &config, &weights, &case)?,
        "text" => {
            let config = ClipTextConfig::parse("config.json", &config)?;
            let tower = ClipText::load(&engine, config, &weights)?;
            Work::Text(Box::new(tower), ids(&bytes)?)
        }
        network @ ("encode" | "decode") => {
            let config = AutoencoderConfig::parse("config.json", &config)?;
            let autoencoder = Box::new(Autoencoder::load(&engine, config, &weights)?);
            let input = |name: &str| Ok::<_, Box<dyn Error>>(case.tensor(name)?.nchw_to_nhwc()?);
            match network {
                "encode" => Work::Encode(autoencoder, input("pixels")?),
                _ => Work::Decode(autoencoder, input("latents")?),
            }
        }
        other => {
            return Err(format!("network {other:?}, expected unet, encode, decode or text").into());
        }
    };
    Ok(Prepared { engine, work })
}

fn unet(
    engine: &Engine,
    config: &str,
    weights: &Weights,
    case: &Weights,
) -> Result<Work, Box<dyn Error>> {
    let sample = case.tensor("sample")?.nchw_to_nhwc()?;
    let added = match case.shape("time_ids") {
        Some(_) => {
            let numbers = case.tensor("time_ids")?.into_data();
            let pooled = engine.upload(&case.tensor("text_embeds")?);
            Some((pooled, numbers.into_iter().map(f64::from).collect()))
        }
        None => None,
    };
    let timestep = f64::from(case.tensor("timestep")?.data()[0]);
    Ok(Work::UNet {
        unet: Box::new(UNet::load(
            engine,
            UNetConfig::parse("config.json", config)?,
            weights,
        )?),
        timesteps: vec![timestep; sample.shape()[0]],
        sample: engine.upload(&sample),
        text: engine.upload(&case.tensor("encoder_hidden_states")?),
        added,
    })
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

fn run(prepared: &Prepared) -> Result<Tensor, Box<dyn Error>> {
    let engine = &prepared.engine;
    Ok(match &prepared.work {
        Work::UNet {
            unet,
            sample,
            timesteps,
            text,
            added,
        } => {
            let added = added.as_ref();
            let input = UNetInput {
                sample,
                timesteps,
                text,
                class_labels: None,
                added: added.map(|(pooled, numbers)| AddedInput { pooled, numbers }),
                guidance: None,
                token_merging: 0.0,
            };
            engine.download(&unet.run(engine, &input)?)
        }
        Work::Encode(autoencoder, pixels) => autoencoder.encode(engine, pixels)?.mean,
        Work::Decode(autoencoder, latents) => autoencoder.decode(engine, latents)?,
        Work::Text(tower, ids) => {
            engine.download(&tower.encode(engine, ids, TextStates::LAST)?.hidden)
        }
    })
}

fn write(path: &Path, output: &Tensor) -> Result<(), Box<dyn Error>> {
    let output = match output.shape().len() {
        4 => output.nhwc_to_nchw()?,
        _ => output.clone(),
    };
    let bytes: Vec<u8> = output.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, output.shape().to_vec(), &bytes)?;
    safetensors::serialize_to_file(HashMap::from([("output", view)]), None, path)?;
    Ok(())
}
