//! What a model's files can have wrong with them: always the subject, what was got, what was
//! expected.

fn lacking(count: usize, first: &str) -> String {
    match count {
        1 => format!("tensor \"{first}\""),
        _ => format!("{count} tensors this network needs, the first is \"{first}\""),
    }
}

fn seems(family: Option<&str>) -> String {
    family.map_or(String::new(), |family| {
        format!("; it seems made for {family}")
    })
}

/// A model could not be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is no safetensors file.
    #[error("{file} is {got}, expected a safetensors file")]
    NotSafetensors {
        /// Which file.
        file: String,
        /// What it seems to be.
        got: String,
    },
    /// A safetensors file contradicts itself.
    #[error("{file}: {problem}")]
    Damaged {
        /// Which file.
        file: String,
        /// What contradicts what.
        problem: String,
    },
    /// A tensor the network needs is not there.
    #[error("{file} lacks {}", lacking(*count, tensor))]
    Missing {
        /// Which file.
        file: String,
        /// How many.
        count: usize,
        /// Full name of the first that was looked for.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor \"{tensor}\" has shape {got:?}, expected {expected:?}")]
    Shape {
        /// Its full name.
        tensor: String,
        /// As stored.
        got: Vec<usize>,
        /// As the configuration wants it.
        expected: Vec<usize>,
    },
    /// Tensors nothing in the network uses.
    #[error("{file} has {count} tensors this network does not use, the first is \"{first}\"")]
    Spare {
        /// Which file.
        file: String,
        /// How many.
        count: usize,
        /// The first of them by name.
        first: String,
    },
    /// Numbers that are NaN or infinite.
    #[error("{file}: tensor \"{tensor}\" has numbers that are not finite")]
    NotFinite {
        /// Which file.
        file: String,
        /// The first tensor that has some.
        tensor: String,
    },
    /// A LoRA changes a layer of other sizes than the model's.
    #[error(
        "{file} does not fit this model: \"{module}\" changes a layer of shape {:?}, expected {:?}{}",
        shapes.0, shapes.1, seems(*family)
    )]
    LoraShape {
        /// Which file.
        file: String,
        /// Its module.
        module: String,
        /// Shape of what it changes, and of the model's layer.
        shapes: Box<(Vec<usize>, Vec<usize>)>,
        /// What it seems made for.
        family: Option<&'static str>,
    },
    /// A LoRA changes nothing of the model.
    #[error(
        "{file} does not fit this model: none of its {count} modules is a layer here, the first is \"{first}\"{}",
        seems(*family)
    )]
    LoraUnused {
        /// Which file.
        file: String,
        /// How many modules it has.
        count: usize,
        /// The first of them by name.
        first: String,
        /// What it seems made for.
        family: Option<&'static str>,
    },
    /// A configuration file is no JSON of the expected form.
    #[error("{file} is not a valid configuration: {problem}")]
    Config {
        /// Which file.
        file: String,
        /// What is wrong, with the place.
        problem: String,
    },
    /// A configuration asks for something this build does not run.
    #[error("{subject} is {got}, expected {expected}")]
    Unsupported {
        /// File and field.
        subject: String,
        /// What it says.
        got: String,
        /// What this build runs.
        expected: String,
    },
    /// The tokenizer's files do not make a tokenizer.
    #[error("{file} is not a valid tokenizer: {problem}")]
    Tokenizer {
        /// Which file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The engine refused an operation.
    #[error(transparent)]
    Engine(#[from] imagegen_engine::Error),
}
