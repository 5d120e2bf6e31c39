//! Networks whose weights a formula gives, as `tools/reference/formula_weights.py` has it: a list of
//! tensors instead of a file of weights. Test data alone.

use std::fs;
use std::path::PathBuf;

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
