//! Networks whose weights a formula gives, as `tools/reference/formula_weights.py` has it: a list of
//! tensors instead of a file of weights. Test data alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::Value;

/// The file `name` of `conformance/reference`.
///
/// # Panics
///
/// Where there is none.
pub fn reference(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reference");
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A network's configuration and the tensors it has.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its `config.json`.
    pub config: String,
    /// Every tensor.
    pub tensors: Vec<ListedTensor>,
}

/// A tensor that the formula gives.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTensor {
    /// Its name in the network.
    pub name: String,
    /// Comes before the name in the seed.
    pub prefix: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    mean: f64,
    spread: f64,
}

impl ListedTensor {
    /// Its numbers: `mean + spread * u`, where u is in -1..1 and depends on name and place alone.
    pub fn numbers(&self) -> Vec<f32> {
        let mut seed = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.prefix.bytes().chain(self.name.bytes()) {
            seed = (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        let count = self.shape.iter().product::<usize>() as u64;
        (1..=count)
            .map(|place| {
                let u = (mixed(seed, place) >> 40) as f64 / f64::from(1 << 23) - 1.0;
                (self.mean + self.spread * u) as f32
            })
            .collect()
    }
}

/// SplitMix64's answer for a counter.
fn mixed(seed: u64, counter: u64) -> u64 {
    let z = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Listed {
    /// Reads `conformance/reference/NAME.json`.
    ///
    /// # Panics
    ///
    /// Where the file is not what the script writes.
    pub fn read(name: &str) -> Self {
        let file = reference(&format!("{name}.json"));
        let file = serde_json::from_slice(&file).expect("the file is JSON");
        Self::of(&file)
    }

    /// Takes `config`, `prefix` and `tensors` of one object.
    ///
    /// # Panics
    ///
    /// Where they are not what the script writes.
    pub fn of(file: &Value) -> Self {
        let prefix = file["prefix"].as_str().unwrap_or_default();
        let number = |value: &Value| value.as_f64().expect("a number");
        let tensor = |(name, facts): (&String, &Value)| ListedTensor {
            name: name.clone(),
            prefix: prefix.to_owned(),
            shape: facts[0]
                .as_array()
                .expect("a shape")
                .iter()
                .map(|side| number(side) as usize)
                .collect(),
            mean: number(&facts[1]),
            spread: number(&facts[2]),
        };
        let tensors = file["tensors"].as_object().expect("tensors by name");
        Self {
            config: file["config"].to_string(),
            tensors: tensors.iter().map(tensor).collect(),
        }
    }

    /// A safetensors file of all tensors, as `F32` or `F16`.
    ///
    /// # Panics
    ///
    /// For other types.
    pub fn safetensors(&self, dtype: Dtype) -> Vec<u8> {
        let tensors = self.tensors.iter();
        pack(
            tensors.map(|tensor| (tensor.name.clone(), tensor.shape.clone(), tensor.numbers())),
            dtype,
        )
    }
}

/// A safetensors file of named tensors, as `F32` or `F16`.
///
/// # Panics
///
/// For other types, and for shapes that do not fit the numbers.
pub fn pack(
    tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    dtype: Dtype,
) -> Vec<u8> {
    let bytes = |numbers: Vec<f32>| -> Vec<u8> {
        match dtype {
            Dtype::F32 => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Dtype::F16 => numbers
                .iter()
                .flat_map(|v| f16::from_f32(*v).to_le_bytes())
                .collect(),
            _ => panic!("{dtype:?} is not written"),
        }
    };
    let stored: Vec<_> = tensors
        .into_iter()
        .map(|(name, shape, numbers)| (name, shape, bytes(numbers)))
        .collect();
    let views = stored.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("shape and numbers agree"))
    });
    serialize(views, None).expect("names differ")
}

/// A tiny model as one file in the LDM layout, `conformance/reference/single_file_KIND.json`.
#[derive(Debug)]
pub struct SingleFile {
    /// What a folder has of it, by the folder's name.
    pub parts: BTreeMap<String, Listed>,
    /// Name, shape and numbers of every tensor of the file.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl SingleFile {
    /// Reads a kind's file.
    ///
    /// # Panics
    ///
    /// Where it is not what the script writes.
    pub fn read(kind: &str) -> Self {
        let file = reference(&format!("single_file_{kind}.json"));
        let file: Value = serde_json::from_slice(&file).expect("the file is JSON");
        let parts = file["parts"].as_object().expect("parts by name").iter();
        let parts: BTreeMap<_, _> = parts
            .map(|(name, part)| (name.clone(), Listed::of(part)))
            .collect();
        let mut tensors = Vec::new();
        for (name, facts) in file["file"].as_object().expect("tensors by name") {
            let text = |value: &Value| value.as_str().expect("a name").to_owned();
            let part = &parts[&text(&facts[0])];
            let names = facts[1].as_array().expect("names").iter().map(text);
            let found: Vec<_> = names
                .map(|name| {
                    let named = |tensor: &&ListedTensor| tensor.name == name;
                    part.tensors.iter().find(named).expect("the part has it")
                })
                .collect();
            let (shape, numbers) = assembled(&found, &text(&facts[2]));
            tensors.push((name.clone(), shape, numbers));
        }
        for name in file["baggage"].as_object().expect("names").keys() {
            tensors.push((name.clone(), vec![1], vec![0.0]));
        }
        Self { parts, tensors }
    }
}

/// A tensor of the file from those of a part.
fn assembled(found: &[&ListedTensor], how: &str) -> (Vec<usize>, Vec<f32>) {
    let (shape, numbers) = (found[0].shape.clone(), found[0].numbers());
    match (how, shape.as_slice()) {
        ("rows", &[rows, ref rest @ ..]) => {
            let all = found.iter().flat_map(|tensor| tensor.numbers()).collect();
            ([&[rows * found.len()], rest].concat(), all)
        }
        ("transposed", &[rows, columns]) => {
            let place = |index: usize| numbers[index % rows * columns + index / rows];
            (
                vec![columns, rows],
                (0..rows * columns).map(place).collect(),
            )
        }
        ("convolution", &[outputs, inputs]) => (vec![outputs, inputs, 1, 1], numbers),
        _ => (shape, numbers),
    }
}

/// Writes the folder of a tiny Stable Diffusion model, `conformance/reference/pipeline_KIND.json`, and
/// gives that file. Tokenizers are the starter's.
///
/// # Panics
///
/// Where files cannot be written, or read.
pub fn write_folder(kind: &str, folder: &Path) -> Value {
    let file = reference(&format!("pipeline_{kind}.json"));
    let file: Value = serde_json::from_slice(&file).expect("the file is JSON");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    let text = |value: &Value| value.to_string().into_bytes();
    write("model_index.json", &text(&file["index"]));
    write("scheduler/scheduler_config.json", &text(&file["scheduler"]));
    let (dtype, variant) = match file["dtype"].as_str() {
        Some("F16") => (Dtype::F16, ".fp16"),
        _ => (Dtype::F32, ""),
    };
    for (name, part) in file["parts"].as_object().expect("parts by name") {
        let stem = match name.starts_with("text_encoder") {
            true => "model",
            false => "diffusion_pytorch_model",
        };
        let weights = Listed::of(part).safetensors(dtype);
        write(&format!("{name}/config.json"), &text(&part["config"]));
        write(&format!("{name}/{stem}{variant}.safetensors"), &weights);
    }
    for (name, pad) in file["pads"].as_object().expect("pads by tokenizer") {
        for part in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
            let bytes = reference(&format!("tokenizer/{part}"));
            write(&format!("{name}/{part}"), &bytes);
        }
        let special = serde_json::json!({ "pad_token": pad });
        write(&format!("{name}/special_tokens_map.json"), &text(&special));
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_that_of_the_script() {
        let tensor = ListedTensor {
            name: "conv_in.weight".to_owned(),
            prefix: "unet.".to_owned(),
            shape: vec![3],
            mean: 1.0,
            spread: 0.5,
        };
        // python -c "from formula_weights import numbers; print(1 + 0.5 * numbers('unet.conv_in.weight', 3))"
        assert_eq!(tensor.numbers(), [0.880_588_05, 0.663_632_45, 1.157_928_5]);
    }
}
