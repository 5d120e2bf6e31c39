//! LoRAs: small files that change layers of a model by products of two thin matrices.
//!
//! [`Lora::read`] checks a file by itself, [`Lora::fit`] finds the layers of a model that it means, and
//! [`Changes`] are what [`UNet::changed`](crate::UNet::changed) and
//! [`ClipText::changed`](crate::ClipText::changed) make a changed copy of.

mod changes;
mod names;

pub use changes::Changes;
pub use names::Network;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, LayerShapes, Weights};
use names::{Layers, Role};

/// A LoRA file, checked by itself.
#[derive(Debug)]
pub struct Lora {
    weights: Weights,
    modules: Vec<Module>,
    /// Tensors that are no part of a module.
    strange: Vec<String>,
}

/// What a LoRA has for one layer.
#[derive(Debug)]
struct Module {
    /// As the file has it.
    name: String,
    /// Where it belongs, and its flattened name there.
    place: Option<(Network, String)>,
    up: String,
    down: String,
    mid: Option<String>,
    /// alpha / rank.
    scale: f64,
    /// Tensors of the file that make it up.
    tensors: usize,
    /// Shape of the weights it changes.
    shape: Vec<usize>,
}

/// Names of a module's tensors.
#[derive(Default)]
struct Found {
    up: Option<String>,
    down: Option<String>,
    mid: Option<String>,
    alpha: Option<String>,
}

impl Found {
    fn slot(&mut self, role: Role) -> &mut Option<String> {
        match role {
            Role::Up => &mut self.up,
            Role::Down => &mut self.down,
            Role::Mid => &mut self.mid,
            Role::Alpha => &mut self.alpha,
        }
    }

    fn count(&self) -> usize {
        let all = [&self.up, &self.down, &self.mid, &self.alpha];
        all.into_iter().flatten().count()
    }
}

/// A network of a model, for a LoRA to find its layers in.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Which one.
    pub network: Network,
    /// Its layers, as [`UNet::layers`](crate::UNet::layers) gives them.
    pub layers: &'a LayerShapes,
}

/// Where a LoRA's modules belong in a model.
#[derive(Debug)]
pub struct Fit<'a> {
    lora: &'a Lora,
    /// Network, layer and module.
    matched: Vec<(Network, String, &'a Module)>,
    /// Tensors that belong nowhere, and the first module or tensor of them.
    unused: Option<(usize, String)>,
}

impl Lora {
    /// Reads a file's names, shapes and numbers.
    ///
    /// Fails with [`Error::Unsupported`] where it is no LoRA or one of another kind (LoHa, LoKr, DoRA),
    /// with [`Error::Missing`] or [`Error::Shape`] where a module is not whole, and with
    /// [`Error::NotFinite`].
    pub fn read(weights: Weights) -> Result<Self, Error> {
        let mut found = BTreeMap::<String, Found>::new();
        let mut strange = Vec::new();
        for tensor in weights.names() {
            if let Some(kind) = names::other_kind(tensor) {
                return Err(Error::Unsupported {
                    subject: weights.file().to_owned(),
                    got: format!("{kind} (tensor \"{tensor}\")"),
                    expected: "a LoRA of up and down matrices alone".to_owned(),
                });
            }
            match names::split(tensor) {
                Some((module, role)) => {
                    let found = found.entry(module.to_owned()).or_default();
                    *found.slot(role) = Some(tensor.to_owned());
                }
                None => strange.push(tensor.to_owned()),
            }
        }
        if found.is_empty() {
            let count = strange.len();
            let first = strange.first().map_or("", String::as_str);
            return Err(Error::Unsupported {
                subject: weights.file().to_owned(),
                got: format!("a file of {count} tensors such as \"{first}\""),
                expected: "a LoRA, whose tensors end in .lora_down.weight and .lora_up.weight or \
                           .lora_A.weight and .lora_B.weight"
                    .to_owned(),
            });
        }
        check_finite(&weights)?;
        let alphas = Alphas::read(&weights)?;
        let modules = found
            .into_iter()
            .map(|(name, found)| module(&weights, name, found, &alphas))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            weights,
            modules,
            strange,
        })
    }

    /// The name the file was given.
    pub fn file(&self) -> &str {
        self.weights.file()
    }

    /// The models it seems made for, where its sizes tell.
    pub fn family(&self) -> Option<&'static str> {
        family_of(&self.weights)
    }

    /// Finds the layers that its modules change in a model of `targets`.
    ///
    /// Fails with [`Error::LoraShape`] where a layer has other sizes, so that the LoRA is of another
    /// family, and with [`Error::LoraUnused`] where there is no layer for any of its modules.
    pub fn fit(&self, targets: &[Target<'_>]) -> Result<Fit<'_>, Error> {
        let networks: Vec<_> = targets
            .iter()
            .map(|target| (target, Layers::of(target.layers)))
            .collect();
        let mut matched = Vec::new();
        let mut unused: Option<(usize, String)> = None;
        let mut pass_over = |tensors: usize, name: &str| {
            let (count, _) = unused.get_or_insert_with(|| (0, name.to_owned()));
            *count += tensors;
        };
        for module in &self.modules {
            let layer = module.place.as_ref().and_then(|(network, flat)| {
                let meant = networks
                    .iter()
                    .find(|(target, _)| target.network == *network);
                let (target, layers) = meant?;
                let layer = layers.find(*network, flat)?;
                Some((*network, layer, &target.layers[layer]))
            });
            match layer {
                None => pass_over(module.tensors, &module.name),
                Some((_, _, shape)) if trimmed(shape) != trimmed(&module.shape) => {
                    return Err(Error::LoraShape {
                        file: self.file().to_owned(),
                        module: module.name.clone(),
                        shapes: Box::new((module.shape.clone(), shape.clone())),
                        family: self.family(),
                    });
                }
                Some((network, layer, _)) => matched.push((network, layer.to_owned(), module)),
            }
        }
        if matched.is_empty() {
            return Err(Error::LoraUnused {
                file: self.file().to_owned(),
                count: self.modules.len(),
                first: self.modules[0].name.clone(),
                family: self.family(),
            });
        }
        for tensor in &self.strange {
            pass_over(1, tensor);
        }
        Ok(Fit {
            lora: self,
            matched,
            unused,
        })
    }
}

impl<'a> Fit<'a> {
    /// How many tensors belong to nothing in the model, and the first module or tensor of them.
    pub fn unused(&self) -> Option<(usize, &str)> {
        let (count, first) = self.unused.as_ref()?;
        Some((*count, first))
    }

    /// Adds what the LoRA changes of `network` at `weight` to `changes`. A weight of 0 changes nothing.
    pub fn add_to(&self, changes: &mut Changes<'a>, network: Network, weight: f64) {
        if weight == 0.0 {
            return;
        }
        for (of, layer, module) in &self.matched {
            if *of == network {
                changes.add(layer, self.lora, module, weight);
            }
        }
    }
}

/// Whether a file has a part of a LoRA, by its names.
pub fn is_lora(weights: &Weights) -> bool {
    let part = |name| matches!(names::split(name), Some((_, Role::Down | Role::Up)));
    weights.names().any(part)
}

/// The models that a file of a LoRA seems made for, where its names and shapes tell.
pub fn family_of(weights: &Weights) -> Option<&'static str> {
    let parts = || {
        let split = |name| Some((name, names::split(name)?));
        weights.names().filter_map(split)
    };
    let named = |marks: [&str; 2]| {
        parts().any(|(_, (module, _))| marks.iter().any(|mark| module.contains(mark)))
    };
    if named(["double_blocks", "single_transformer_blocks"]) {
        return Some("Flux");
    }
    if named(["joint_blocks", "transformer_transformer_blocks"]) {
        return Some("Stable Diffusion 3");
    }
    let heard = parts().find_map(|(name, (module, role))| {
        let (_, flat) = names::place(module)?;
        let reads = flat.ends_with("attn2_to_k") || flat.ends_with("attn2_to_v");
        let reads = reads && role == Role::Down;
        reads.then(|| weights.shape(name)?.get(1).copied())?
    });
    let second = |module| matches!(names::place(module), Some((Network::SecondText, _)));
    match heard {
        Some(768) => Some("Stable Diffusion 1"),
        Some(1024) => Some("Stable Diffusion 2"),
        Some(1280) => Some("the refiner of SDXL"),
        Some(2048) => Some("SDXL"),
        _ if parts().any(|(_, (module, _))| second(module)) => Some("SDXL"),
        _ => None,
    }
}

/// A shape without the ones at its end: a linear layer is a convolution of 1x1.
fn trimmed(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().rev().take_while(|&&side| side == 1).count();
    &shape[..(shape.len() - ones).max(2.min(shape.len()))]
}

fn check_finite(weights: &Weights) -> Result<(), Error> {
    for name in weights.names() {
        if names::split(name).is_none_or(|(_, role)| role == Role::Alpha) {
            continue;
        }
        if !weights.tensor(name)?.data().iter().all(|v| v.is_finite()) {
            return Err(Error::NotFinite {
                file: weights.file().to_owned(),
                tensor: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// A module of its tensors, its sizes checked.
fn module(weights: &Weights, name: String, found: Found, alphas: &Alphas) -> Result<Module, Error> {
    let tensors = found.count();
    let lacks = |end: &str| Error::Missing {
        file: weights.file().to_owned(),
        count: 1,
        tensor: format!("{name}{end}"),
    };
    let up = found.up.ok_or_else(|| lacks(".lora_up.weight"))?;
    let down = found.down.ok_or_else(|| lacks(".lora_down.weight"))?;
    let shape = |tensor: &str| weights.shape(tensor).unwrap_or_default().to_vec();
    let (ups, downs) = (shape(&up), shape(&down));
    let wrong = |tensor: &str, got: &[usize], expected: Vec<usize>| Error::Shape {
        tensor: tensor.to_owned(),
        got: got.to_vec(),
        expected,
    };
    let sides = |shape: &[usize]| matches!(shape.len(), 2 | 4) && !shape.contains(&0);
    if !sides(&downs) {
        return Err(wrong(&down, &downs, vec![4, 320]));
    }
    let (rank, rest) = (downs[0], &downs[1..]);
    let (inner, tail) = match &found.mid {
        None => (rank, rest.to_vec()),
        Some(mid) => {
            let mids = shape(mid);
            let fits = mids.len() == 4 && !mids.contains(&0) && mids[1] == rank;
            if !fits || trimmed(&downs).len() > 2 {
                return Err(wrong(mid, &mids, vec![rank, rank, 3, 3]));
            }
            (mids[0], [&downs[1..2], &mids[2..]].concat())
        }
    };
    if !sides(&ups) || trimmed(&ups).len() > 2 || ups[1] != inner {
        let outputs = ups.first().copied().unwrap_or(0);
        return Err(wrong(&up, &ups, vec![outputs, inner]));
    }
    let scale = match &found.alpha {
        Some(alpha) => weights.number(alpha)? / rank as f64,
        None => alphas.scale(&name, rank),
    };
    if !scale.is_finite() {
        return Err(Error::NotFinite {
            file: weights.file().to_owned(),
            tensor: found.alpha.unwrap_or(up),
        });
    }
    Ok(Module {
        place: names::place(&name),
        shape: [&ups[..1], &tail].concat(),
        name,
        up,
        down,
        mid: found.mid,
        scale,
        tensors,
    })
}

/// The note in which diffusers says what PEFT was told.
const NOTE: &str = "lora_adapter_metadata";

/// Alphas that stand in a file's header rather than in tensors.
struct Alphas(Map<String, Value>);

impl Alphas {
    fn read(weights: &Weights) -> Result<Self, Error> {
        let Some(note) = weights.note(NOTE) else {
            return Ok(Self(Map::new()));
        };
        let fields: Map<String, Value> =
            serde_json::from_str(&note).map_err(|error| Error::Config {
                file: format!("\"{NOTE}\" of {}", weights.file()),
                problem: error.to_string(),
            })?;
        Ok(Self(fields))
    }

    /// alpha / rank of a module; 1 where nothing is said. PEFT's variant `rslora` divides by the root of
    /// the rank.
    fn scale(&self, module: &str, rank: usize) -> f64 {
        let Some((network, layer)) = module.split_once('.') else {
            return 1.0;
        };
        let field = |name: &str| self.0.get(&format!("{network}.{name}"));
        let patterns = field("alpha_pattern").and_then(Value::as_object);
        let by_pattern = patterns.and_then(|patterns| {
            let meant = |key: &str| layer == key || layer.ends_with(&format!(".{key}"));
            patterns.iter().find(|(key, _)| meant(key))?.1.as_f64()
        });
        let alpha = by_pattern.or_else(|| field("lora_alpha")?.as_f64());
        let roots = field("use_rslora").and_then(Value::as_bool) == Some(true);
        let by = if roots {
            libm::sqrt(rank as f64)
        } else {
            rank as f64
        };
        alpha.map_or(1.0, |alpha| alpha / by)
    }
}
