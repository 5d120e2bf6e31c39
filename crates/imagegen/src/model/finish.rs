//! `finish.json`: how results are finished, and how far, which two layers over the pooled text say. Fields that only
//! describe are for readers and not read.

use imagegen_engine::Tensor;
use imagegen_pipeline::{Factors, Finish, FinishRule};
use serde::Deserialize;

use super::latents::is_by_strength;
use crate::Error;

/// The most pixels that strokes may reach.
const REACH: f64 = 16.0;
/// The largest weight and bias.
const MOST: f64 = 1e6;
/// The largest side of a cell.
const SIDE: usize = 64;
/// What is weighed: strokes, cells and smoothing.
const WEIGHED: usize = 3;

#[derive(Deserialize)]
struct File {
    strokes: Along,
    cells: Cells,
    smoothing: Along,
    hidden: Layer,
    out: Layer,
}

/// What is done along lines.
#[derive(Deserialize)]
struct Along {
    reach: f64,
    #[serde(default)]
    weight_by_strength: Factors,
}

#[derive(Deserialize)]
struct Cells {
    side: usize,
    #[serde(default)]
    weight_by_strength: Factors,
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

    /// Whether sums of its numbers are numbers.
    fn is_sane(&self) -> bool {
        let sane = |number: &f64| number.abs() <= MOST;
        self.weights.iter().flatten().chain(&self.biases).all(sane)
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
            strokes,
            cells,
            smoothing,
            hidden,
            out,
        } = file;
        let wrong = |field: &str, got: String, expected: &str| {
            Error::setting(format!("finish.json field \"{field}\""), got, expected)
        };
        for (name, along) in [("strokes", &strokes), ("smoothing", &smoothing)] {
            if !(0.0..=REACH).contains(&along.reach) {
                let (field, got) = (format!("{name}.reach"), along.reach.to_string());
                return Err(wrong(&field, got, &format!("0 to {REACH}")));
            }
        }
        if !(1..=SIDE).contains(&cells.side) {
            let expected = format!("1 to {SIDE}");
            return Err(wrong("cells.side", cells.side.to_string(), &expected));
        }
        for (name, factors) in [
            ("strokes", &strokes.weight_by_strength),
            ("cells", &cells.weight_by_strength),
            ("smoothing", &smoothing.weight_by_strength),
        ] {
            if !is_by_strength(factors, 2.0) {
                return Err(wrong(
                    &format!("{name}.weight_by_strength"),
                    format!("{factors:?}"),
                    "rising strengths of 0 to 1, each with a factor of 0 to 2",
                ));
            }
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
            if !layer.is_sane() {
                let expected = format!("numbers up to {MOST}");
                return Err(wrong(field, "larger numbers".to_owned(), &expected));
            }
        }
        Ok(Some(Self {
            rule: FinishRule {
                strokes: (strokes.reach, strokes.weight_by_strength),
                cells: (cells.side, cells.weight_by_strength),
                smoothing: (smoothing.reach, smoothing.weight_by_strength),
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
        let [strokes, cells, smoothing] = weights.map(|weight| weight.clamp(0.0, 1.0));
        Finish {
            rule: self.rule.clone(),
            strokes,
            cells,
            smoothing,
        }
    }
}

fn channels(hidden: &Layer) -> usize {
    hidden.weights.first().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hidden unit over two channels: strokes take it doubled, cells with the sign turned, smoothing not at all.
    const LAYERS: &str = r#""hidden": {"weights": [[1.0, -1.0]], "biases": [0.5]},
        "out": {"weights": [[2.0], [-1.0], [0.0]], "biases": [-0.25, 0.0, 0.125]}"#;
    const RULES: [&str; 3] = [
        r#""strokes": {"reach": 4, "weight_by_strength": [[0.0, 0.0], [0.5, 1.0]]}"#,
        r#""cells": {"side": 8}"#,
        r#""smoothing": {"reach": 0.5}"#,
    ];

    /// The file, with `to` in place of `from`.
    fn parsed(from: &str, to: &str) -> Result<TextFinish, Error> {
        let whole = format!("{{{}, {LAYERS}}}", RULES.join(", "));
        assert!(whole.contains(from));
        TextFinish::parse(Some(&whole.replacen(from, to, 1))).map(Option::unwrap)
    }

    fn text(numbers: [f32; 2]) -> Tensor {
        Tensor::new([1, 2], numbers.to_vec()).unwrap()
    }

    #[test]
    fn two_layers_weigh_a_text_within_0_and_1() {
        let finish = parsed("", "").unwrap();
        assert_eq!(finish.channels(), 2);
        let weights = |parts: &[(f64, Tensor)]| {
            let wanted = finish.wanted(parts);
            [wanted.strokes, wanted.cells, wanted.smoothing]
        };
        // silu(0.5) = 0.5 / (1 + e^-0.5) = 0.311230.
        let [strokes, cells, smoothing] = weights(&[(1.0, text([0.0, 0.0]))]);
        assert!((strokes - 0.372459).abs() < 1e-6, "{strokes}");
        assert_eq!([cells, smoothing], [0.0, 0.125]);
        assert_eq!(weights(&[(1.0, text([9.0, 0.0]))])[..2], [1.0, 0.0]);
        // silu(-0.5) = -0.188770.
        let [strokes, cells, _] = weights(&[(1.0, text([0.0, 1.0]))]);
        assert!(strokes == 0.0 && (cells - 0.188770).abs() < 1e-6, "{cells}");
        assert_eq!(weights(&[]), [0.0; 3]);
        // Parts that are weighed against each other.
        let two = [(0.5, text([9.0, 0.0])), (-0.25, text([8.0, 0.0]))];
        assert_eq!(weights(&two), [0.25, 0.0, 0.03125]);
        assert!(TextFinish::parse(None).unwrap().is_none());
    }

    #[test]
    fn files_that_make_no_sense_are_refused() {
        let reach = "\"strokes.reach\" is 40, expected 0 to 16";
        let shape = "\"out\" is another shape, expected 3 rows of 1 weights";
        let cases = [
            ("\"reach\": 4", "\"reach\": 40", reach),
            (
                "\"reach\": 0.5",
                "\"reach\": -1",
                "\"smoothing.reach\" is -1",
            ),
            (
                "\"side\": 8",
                "\"side\": 0",
                "\"cells.side\" is 0, expected 1 to 64",
            ),
            (
                "[[0.0, 0.0], [",
                "[[0.5, 0.0], [",
                "\"strokes.weight_by_strength\"",
            ),
            ("[[2.0], ", "[[2.0, 1.0], ", shape),
            (
                "[[2.0], ",
                "[[2e307], ",
                "\"out\" is larger numbers, expected numbers up to 1000000",
            ),
            ("\"cells\"", "\"cell\"", "finish.json"),
        ];
        for (from, to, want) in cases {
            let error = parsed(from, to).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
