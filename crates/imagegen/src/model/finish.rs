//! `finish.json`: how results are finished, and how far, which two layers over the pooled text say. Fields that only
//! describe are for readers and not read.

use imagegen_engine::Tensor;
use imagegen_pipeline::{Finish, FinishRule};
use serde::Deserialize;

use crate::Error;

/// The most pixels that strokes may reach.
const REACH: f64 = 16.0;
/// The largest side of a cell.
const CELL: usize = 64;
/// What is weighed: strokes and cells.
const WEIGHED: usize = 2;

#[derive(Deserialize)]
struct File {
    reach: f64,
    cell: usize,
    #[serde(default)]
    weight_by_strength: Vec<(f64, f64)>,
    hidden: Layer,
    out: Layer,
}

/// A linear layer, a row of weights for each of its outputs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Layer {
    weights: Vec<Vec<f64>>,
    biases: Vec<f64>,
}

impl Layer {
    fn of(&self, input: &[f64]) -> Vec<f64> {
        let row = |(row, bias): (&Vec<f64>, &f64)| {
            let terms = row.iter().zip(input);
            terms.map(|(weight, value)| weight * value).sum::<f64>() + bias
        };
        self.weights.iter().zip(&self.biases).map(row).collect()
    }

    fn has_shape(&self, [outputs, inputs]: [usize; 2]) -> bool {
        self.biases.len() == outputs
            && self.weights.len() == outputs
            && self.weights.iter().all(|row| row.len() == inputs)
    }
}

/// What a model's files say of finishing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TextFinish {
    rule: FinishRule,
    hidden: Layer,
    out: Layer,
}

impl TextFinish {
    /// Reads the file, if there is one. Fails with [`Error::Setting`] naming what is wrong.
    pub(super) fn parse(json: Option<&str>) -> Result<Option<Self>, Error> {
        let Some(json) = json else {
            return Ok(None);
        };
        let file: File = serde_json::from_str(json)
            .map_err(|error| Error::setting("finish.json", error, "how results are finished"))?;
        let File {
            reach,
            cell,
            weight_by_strength,
            hidden,
            out,
        } = file;
        let wrong = |field: &str, got: String, expected: &str| {
            Error::setting(format!("finish.json field \"{field}\""), got, expected)
        };
        if !(0.0..=REACH).contains(&reach) {
            let expected = format!("0 to {REACH}");
            return Err(wrong("reach", reach.to_string(), &expected));
        }
        if !(1..=CELL).contains(&cell) {
            let expected = format!("1 to {CELL}");
            return Err(wrong("cell", cell.to_string(), &expected));
        }
        let rising = weight_by_strength
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0);
        let sound = |&(strength, factor): &(f64, f64)| {
            (0.0..=1.0).contains(&strength) && (0.0..=2.0).contains(&factor)
        };
        if !rising || !weight_by_strength.iter().all(sound) {
            return Err(wrong(
                "weight_by_strength",
                format!("{weight_by_strength:?}"),
                "rising strengths of 0 to 1, each with a factor of 0 to 2",
            ));
        }
        let units = hidden.biases.len();
        for (field, layer, shape) in [
            ("hidden", &hidden, [units, channels(&hidden)]),
            ("out", &out, [WEIGHED, units]),
        ] {
            if !layer.has_shape(shape) {
                let [outputs, inputs] = shape;
                let expected = format!("{outputs} rows of {inputs} weights, {outputs} biases");
                return Err(wrong(field, "another shape".to_owned(), &expected));
            }
        }
        Ok(Some(Self {
            rule: FinishRule {
                reach,
                cell,
                weight_by_strength,
            },
            hidden,
            out,
        }))
    }

    /// Channels of the pooled text it is for.
    pub(super) fn channels(&self) -> usize {
        channels(&self.hidden)
    }

    /// The finish that a prompt wants, by the pooled texts of its parts, each with the part's weight.
    pub(super) fn wanted(&self, parts: &[(f64, Tensor)]) -> Finish {
        let mut weights = [0.0; WEIGHED];
        for (weight, pooled) in parts {
            let text: Vec<f64> = pooled.data().iter().copied().map(f64::from).collect();
            let silu = |value: f64| value / (1.0 + libm::exp(-value));
            let hidden: Vec<f64> = self.hidden.of(&text).into_iter().map(silu).collect();
            for (sum, wanted) in weights.iter_mut().zip(self.out.of(&hidden)) {
                *sum += weight * wanted.clamp(0.0, 1.0);
            }
        }
        let [strokes, cells] = weights.map(|weight| weight.clamp(0.0, 1.0));
        Finish {
            rule: self.rule.clone(),
            strokes,
            cells,
        }
    }
}

fn channels(hidden: &Layer) -> usize {
    hidden.weights.first().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hidden unit over two channels: strokes take it doubled, cells with the sign turned.
    const LAYERS: &str = r#""hidden": {"weights": [[1.0, -1.0]], "biases": [0.5]},
        "out": {"weights": [[2.0], [-1.0]], "biases": [-0.25, 0.0]}"#;

    fn parsed(fields: &str) -> Result<TextFinish, Error> {
        let json = format!("{{{fields}}}");
        TextFinish::parse(Some(&json)).map(Option::unwrap)
    }

    fn text(numbers: [f32; 2]) -> Tensor {
        Tensor::new([1, 2], numbers.to_vec()).unwrap()
    }

    #[test]
    fn two_layers_weigh_a_text_within_0_and_1() {
        let finish = parsed(&format!(r#""reach": 4, "cell": 8, {LAYERS}"#)).unwrap();
        assert_eq!(finish.channels(), 2);
        let weights = |parts: &[(f64, Tensor)]| {
            let Finish { strokes, cells, .. } = finish.wanted(parts);
            [strokes, cells]
        };
        // silu(0.5) = 0.5 / (1 + e^-0.5) = 0.311230.
        let [strokes, cells] = weights(&[(1.0, text([0.0, 0.0]))]);
        assert!((strokes - 0.372459).abs() < 1e-6, "{strokes}");
        assert_eq!(cells, 0.0);
        assert_eq!(weights(&[(1.0, text([9.0, 0.0]))]), [1.0, 0.0]);
        // silu(-0.5) = -0.188770.
        let [strokes, cells] = weights(&[(1.0, text([0.0, 1.0]))]);
        assert!(strokes == 0.0 && (cells - 0.188770).abs() < 1e-6, "{cells}");
        assert_eq!(weights(&[]), [0.0, 0.0]);
        // Parts that are weighed against each other.
        let two = [(0.5, text([9.0, 0.0])), (-0.25, text([8.0, 0.0]))];
        assert_eq!(weights(&two), [0.25, 0.0]);
        assert!(TextFinish::parse(None).unwrap().is_none());
    }

    #[test]
    fn files_that_make_no_sense_are_refused() {
        let failed = |fields: &str| parsed(fields).unwrap_err().to_string();
        let error = failed(&format!(r#""reach": 40, "cell": 8, {LAYERS}"#));
        assert!(
            error.contains("\"reach\" is 40, expected 0 to 16"),
            "{error}"
        );
        let error = failed(&format!(r#""reach": 4, "cell": 0, {LAYERS}"#));
        assert!(error.contains("\"cell\" is 0, expected 1 to 64"), "{error}");
        let falling = r#""weight_by_strength": [[0.5, 1.0], [0.25, 1.0]]"#;
        let error = failed(&format!(r#""reach": 4, "cell": 8, {falling}, {LAYERS}"#));
        assert!(error.contains("\"weight_by_strength\""), "{error}");
        let ragged = LAYERS.replace("[[2.0], ", "[[2.0, 1.0], ");
        let error = failed(&format!(r#""reach": 4, "cell": 8, {ragged}"#));
        let named = error.contains("\"out\"") && error.contains("2 rows of 1 weights");
        assert!(named, "{error}");
        assert!(failed(r#""reach": 4"#).contains("finish.json"));
    }
}
