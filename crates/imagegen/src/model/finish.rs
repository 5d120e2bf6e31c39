//! `finish.json`: how results are finished, and how far, which two layers over the pooled text say. Fields that only
//! describe are for readers and not read.

use imagegen_engine::Tensor;
use imagegen_pipeline::{Factors, Finish, FinishRule, Grade, Reach};
use serde::Deserialize;

use super::latents::is_by_strength;
use crate::Error;

/// The most pixels that strokes may reach.
const REACH: f64 = 16.0;
/// The largest weight and bias.
const MOST: f64 = 1e6;
/// The largest side of a cell.
const SIDE: usize = 64;
/// What is weighed beside grades: strokes, cells, smoothing and pigment.
const WEIGHED: usize = 4;
/// The most grades.
const GRADES: usize = 64;
/// The largest number of a grade, and its smallest exponent.
const GRADE: (f64, f64) = (16.0, 1e-3);

#[derive(Deserialize)]
struct File {
    weave: Option<Weave>,
    strokes: Along,
    cells: Cells,
    smoothing: Along,
    pigment: Weighed,
    grading: Grading,
    hidden: Layer,
    out: Layer,
}

/// What repeats from patch to patch.
#[derive(Deserialize)]
struct Weave {
    patch: usize,
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

#[derive(Deserialize)]
struct Weighed {
    #[serde(default)]
    weight_by_strength: Factors,
}

#[derive(Deserialize)]
struct Grading {
    grades: Vec<GradeFile>,
    #[serde(default)]
    weight_by_strength: Factors,
}

#[derive(Deserialize)]
struct GradeFile {
    name: String,
    matrix: [[f64; 3]; 3],
    offset: [f64; 3],
    gamma: f64,
}

impl GradeFile {
    fn is_sane(&self) -> bool {
        let (most, least) = GRADE;
        let mut numbers = self.matrix.iter().flatten().chain(&self.offset);
        numbers.all(|number| number.abs() <= most) && (least..=most).contains(&self.gamma)
    }
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
            weave,
            strokes,
            cells,
            smoothing,
            pigment,
            grading,
            hidden,
            out,
        } = file;
        let patch = weave.map(|weave| weave.patch);
        for (name, along) in [("strokes", &strokes), ("smoothing", &smoothing)] {
            if !(0.0..=REACH).contains(&along.reach) {
                let (field, got) = (format!("{name}.reach"), along.reach.to_string());
                return Err(wrong(&field, got, &format!("0 to {REACH}")));
            }
        }
        for (field, side) in [
            ("cells.side", cells.side),
            ("weave.patch", patch.unwrap_or(1)),
        ] {
            if !(1..=SIDE).contains(&side) {
                return Err(wrong(field, side.to_string(), &format!("1 to {SIDE}")));
            }
        }
        for (name, factors) in [
            ("strokes", &strokes.weight_by_strength),
            ("cells", &cells.weight_by_strength),
            ("smoothing", &smoothing.weight_by_strength),
            ("pigment", &pigment.weight_by_strength),
            ("grading", &grading.weight_by_strength),
        ] {
            if !is_by_strength(factors, 2.0) {
                return Err(wrong(
                    &format!("{name}.weight_by_strength"),
                    format!("{factors:?}"),
                    "rising strengths of 0 to 1, each with a factor of 0 to 2",
                ));
            }
        }
        if grading.grades.len() > GRADES {
            let (got, expected) = (grading.grades.len().to_string(), format!("up to {GRADES}"));
            return Err(wrong("grading.grades", got, &expected));
        }
        if let Some(grade) = grading.grades.iter().find(|grade| !grade.is_sane()) {
            let (most, least) = GRADE;
            let expected = format!("numbers up to {most}, a gamma from {least} on");
            return Err(wrong(
                "grading.grades",
                format!("{:?}", grade.name),
                &expected,
            ));
        }
        check_layers(&hidden, &out, WEIGHED + grading.grades.len())?;
        let grade = |grade: GradeFile| Grade {
            matrix: grade.matrix,
            offset: grade.offset,
            gamma: grade.gamma,
        };
        let along = |along: Along| Reach {
            pixels: along.reach,
            factors: along.weight_by_strength,
        };
        Ok(Some(Self {
            rule: FinishRule {
                patch,
                strokes: along(strokes),
                smoothing: along(smoothing),
                cell: cells.side,
                cells: cells.weight_by_strength,
                pigment: pigment.weight_by_strength,
                grades: grading.grades.into_iter().map(grade).collect(),
                grading: grading.weight_by_strength,
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
        let mut weights = vec![0.0; WEIGHED + self.rule.grades.len()];
        for (weight, pooled) in parts {
            let text: Vec<f64> = pooled.data().iter().copied().map(f64::from).collect();
            let silu = |value: f64| value / (1.0 + libm::exp(-value));
            let hidden: Vec<f64> = self.hidden.of(&text).into_iter().map(silu).collect();
            for (sum, wanted) in weights.iter_mut().zip(self.out.of(&hidden)) {
                *sum += weight * wanted.clamp(0.0, 1.0);
            }
        }
        let mut weights = weights.into_iter().map(|weight| weight.clamp(0.0, 1.0));
        let mut next = || weights.next().unwrap_or_default();
        let [strokes, cells, smoothing, pigment] = [next(), next(), next(), next()];
        Finish {
            rule: self.rule.clone(),
            strokes,
            cells,
            smoothing,
            pigment,
            grades: weights.collect(),
        }
    }
}

fn wrong(field: &str, got: String, expected: &str) -> Error {
    Error::setting(format!("finish.json field \"{field}\""), got, expected)
}

/// Fails unless the layers fit each other and have so many outputs.
fn check_layers(hidden: &Layer, out: &Layer, outputs: usize) -> Result<(), Error> {
    let units = hidden.biases.len();
    for (field, layer, shape) in [
        ("hidden", hidden, [units, channels(hidden)]),
        ("out", out, [outputs, units]),
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
    Ok(())
}

fn channels(hidden: &Layer) -> usize {
    hidden.weights.first().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hidden unit over two channels: strokes take it doubled, cells with the sign turned, smoothing and pigment not at
    /// all, the grade as it is.
    const LAYERS: &str = r#""hidden": {"weights": [[1.0, -1.0]], "biases": [0.5]},
        "out": {"weights": [[2.0], [-1.0], [0.0], [0.0], [1.0]], "biases": [-0.25, 0.0, 0.125, 0.75, 0.0]}"#;
    const RULES: [&str; 6] = [
        r#""weave": {"patch": 4}"#,
        r#""strokes": {"reach": 4, "weight_by_strength": [[0.0, 0.0], [0.5, 1.0]]}"#,
        r#""cells": {"side": 8}"#,
        r#""smoothing": {"reach": 0.5}"#,
        r#""pigment": {}"#,
        r#""grading": {"grades": [{"name": "soft", "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            "offset": [0.5, 0, 0], "gamma": 2}]}"#,
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
            let grade = wanted.grades[0];
            [
                wanted.strokes,
                wanted.cells,
                wanted.smoothing,
                wanted.pigment,
                grade,
            ]
        };
        // silu(0.5) = 0.5 / (1 + e^-0.5) = 0.311230.
        let [strokes, cells, smoothing, pigment, grade] = weights(&[(1.0, text([0.0, 0.0]))]);
        assert!((strokes - 0.372459).abs() < 1e-6, "{strokes}");
        assert!((grade - 0.311230).abs() < 1e-6, "{grade}");
        assert_eq!([cells, smoothing, pigment], [0.0, 0.125, 0.75]);
        assert_eq!(weights(&[(1.0, text([9.0, 0.0]))])[..2], [1.0, 0.0]);
        // silu(-0.5) = -0.188770.
        let [strokes, cells, ..] = weights(&[(1.0, text([0.0, 1.0]))]);
        assert!(strokes == 0.0 && (cells - 0.188770).abs() < 1e-6, "{cells}");
        assert_eq!(weights(&[]), [0.0; 5]);
        // Parts that are weighed against each other.
        let two = [(0.5, text([9.0, 0.0])), (-0.25, text([8.0, 0.0]))];
        assert_eq!(weights(&two), [0.25, 0.0, 0.03125, 0.1875, 0.25]);
        assert!(TextFinish::parse(None).unwrap().is_none());
    }

    #[test]
    fn files_that_make_no_sense_are_refused() {
        let reach = "\"strokes.reach\" is 40, expected 0 to 16";
        let shape = "\"out\" is another shape, expected 5 rows of 1 weights";
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
                "\"patch\": 4",
                "\"patch\": 65",
                "\"weave.patch\" is 65, expected 1 to 64",
            ),
            (
                "\"pigment\": {}",
                "\"pigment\": {\"weight_by_strength\": [[0.5, 3.0]]}",
                "\"pigment.weight_by_strength\"",
            ),
            (
                "\"gamma\": 2",
                "\"gamma\": 0",
                "\"grading.grades\" is \"soft\", expected numbers up to 16",
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
