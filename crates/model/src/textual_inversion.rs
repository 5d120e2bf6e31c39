//! Textual inversion: learned vectors that a word of a prompt stands for, from a safetensors file.

use imagegen_engine::Tensor;

use crate::{Error, Weights};

/// Names of the vectors for SDXL's two text encoders, in the encoders' order.
const TOWERS: [&str; 2] = ["clip_l", "clip_g"];

/// Learned vectors, for one text encoder or for two.
#[derive(Debug, Clone)]
pub struct TextualInversion {
    file: String,
    /// For each text encoder `[vectors, width]`.
    towers: Vec<Tensor>,
}

impl TextualInversion {
    /// Takes the vectors of a file: `clip_l` and `clip_g` for SDXL, else the only tensor, whatever its name
    /// (`emb_params` in AUTOMATIC1111's files, the word itself in diffusers'). One vector may be a
    /// row of a matrix or stand alone.
    ///
    /// Fails with [`Error::Unsupported`] for other tensors and for vectors that are no finite numbers.
    pub fn read(weights: &Weights) -> Result<Self, Error> {
        let names: Vec<&str> = weights.names().collect();
        let names = match names.as_slice() {
            [only] => vec![*only],
            names if names.len() == 2 && TOWERS.iter().all(|tower| names.contains(tower)) => {
                TOWERS.to_vec()
            }
            names => {
                return Err(Error::Unsupported {
                    subject: weights.file().to_owned(),
                    got: format!(
                        "a file of {} tensors, the first {:?}",
                        names.len(),
                        names[0]
                    ),
                    expected: "one of a textual inversion: one tensor, or clip_l and clip_g"
                        .to_owned(),
                });
            }
        };
        let towers: Vec<Tensor> = names
            .into_iter()
            .map(|name| vectors(weights, name))
            .collect::<Result<_, _>>()?;
        let counts: Vec<usize> = towers.iter().map(|tower| tower.shape()[0]).collect();
        if counts.iter().any(|count| *count != counts[0]) {
            return Err(Error::Unsupported {
                subject: weights.file().to_owned(),
                got: format!("of {} and {} vectors", counts[0], counts[1]),
                expected: "as many for each text encoder".to_owned(),
            });
        }
        Ok(Self {
            file: weights.file().to_owned(),
            towers,
        })
    }

    /// How many tokens it takes the place of.
    pub fn vectors(&self) -> usize {
        self.towers[0].shape()[0]
    }

    /// Widths of its vectors, for each text encoder.
    pub fn widths(&self) -> Vec<usize> {
        self.towers.iter().map(|tower| tower.shape()[1]).collect()
    }

    /// The vectors for each of a model's text encoders, whose widths these are, in their order.
    ///
    /// Fails with [`Error::Unsupported`] where it was made for other encoders.
    pub fn fit(&self, widths: &[usize]) -> Result<&[Tensor], Error> {
        let own = self.widths();
        if own == widths {
            return Ok(&self.towers);
        }
        let words = |widths: &[usize]| {
            let widths: Vec<_> = widths.iter().map(usize::to_string).collect();
            widths.join(" and ")
        };
        Err(Error::Unsupported {
            subject: self.file.clone(),
            got: format!("a textual inversion of width {}", words(&own)),
            expected: format!("{}, which this model's text encoders have", words(widths)),
        })
    }
}

/// A tensor as vectors `[vectors, width]`.
fn vectors(weights: &Weights, name: &str) -> Result<Tensor, Error> {
    let tensor = weights.tensor(name)?;
    let wrong = |got: String, expected: &str| Error::Unsupported {
        subject: format!("tensor {name:?} of {}", weights.file()),
        got,
        expected: expected.to_owned(),
    };
    if !tensor.is_finite() {
        let got = "not all of finite numbers".to_owned();
        return Err(wrong(got, "finite ones"));
    }
    match *tensor.shape() {
        [width] if width > 0 => Ok(Tensor::new([1, width], tensor.into_data())?),
        [count, width] if count > 0 && width > 0 => Ok(tensor),
        ref shape => Err(wrong(format!("of shape {shape:?}"), "[vectors, width]")),
    }
}
