//! Advice about sources, requests and results.

use imagegen::{Face, Forecast};
use imagegen_jobs::AdviceMark;
use imagegen_picture::Size;
use imagegen_picture::advice::{Advice, Measures, Suggestion};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdviceRequest {
    /// SHA-256 of the source.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(crate) source: String,
    /// What is to be made.
    #[serde(default)]
    pub(crate) prompt: String,
    /// What to keep away from.
    #[serde(default)]
    pub(crate) negative_prompt: String,
    /// What brackets and keywords in both mean: `a1111` (where absent) or `plain`.
    pub(crate) prompt_mode: Option<String>,
    /// The strength that is meant; the model's own where absent.
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) strength: Option<f64>,
    /// The steps that are meant; the model's own where absent.
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) steps: Option<usize>,
    /// The model that is meant; the default one where absent.
    pub(crate) model: Option<String>,
}

/// What is to be known before a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ForecastBody {
    measures: MeasuresBody,
    /// Faces in the source, largest first, in its pixels.
    faces: Vec<FaceBody>,
    /// Steps that will run.
    runs: usize,
    /// What is worth saying, most important first.
    advice: Vec<AdviceBody>,
}

/// Figures of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeasuresBody {
    width: u32,
    height: u32,
    /// Side in pixels that the model works at.
    native_side: u32,
    /// Spread of the sharpest edges, in pixels as the model sees them; null where there are none.
    blur: Option<f64>,
    /// Sigma of the noise in levels of 255; null for tiny pictures.
    noise: Option<f64>,
    /// JPEG blocking, 0 to 1; null for tiny pictures.
    blocking: Option<f64>,
    /// Levels between dark and light, 0 to 255.
    contrast: f64,
    /// Longer over shorter side.
    aspect: f64,
    /// Share of pixels that are not fully opaque, 0 to 1.
    clear: f64,
}

/// A face, from forehead to chin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaceBody {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    /// The part of the picture's area it takes, 0 to 1.
    share: f32,
    /// How sure the detector is, 0 to 1.
    score: f32,
}

/// A piece of advice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdviceBody {
    /// A stable name for programs, such as `source-blurred`.
    kind: String,
    /// `note` or `warning`.
    severity: String,
    /// The sentence.
    message: String,
    /// The figure that was measured.
    figure: f64,
    /// The figure's unit; empty for none.
    unit: String,
    /// The strength to take instead, where another one would help.
    suggested: Option<f64>,
    /// What would help; null where nothing a program could do does.
    suggestion: Option<SuggestionBody>,
}

/// What would help.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuggestionBody {
    /// What to do, such as `strength`, `steps`, `crop`.
    action: String,
    /// With what: a number, or a list of them.
    value: Value,
}

impl From<&Advice> for AdviceBody {
    fn from(advice: &Advice) -> Self {
        let suggestion = advice.suggestion();
        let value = match &suggestion {
            Suggestion::Strength(strength) => json!(strength),
            Suggestion::Steps(steps) => json!(steps),
            Suggestion::Shorten(tokens) => json!(tokens),
            Suggestion::Enlarge(to) | Suggestion::Reduce(to) => size(*to),
            Suggestion::Crop(part) => {
                json!([part.x, part.y, part.size.width, part.size.height])
            }
            Suggestion::Denoise(sigma) => json!(sigma),
            Suggestion::Stretch { black, white } => json!([black, white]),
            _ => Value::Null,
        };
        let action = suggestion.name().to_owned();
        Self {
            kind: advice.kind().to_owned(),
            severity: advice.severity().name().to_owned(),
            message: advice.to_string(),
            figure: advice.measured(),
            unit: advice.unit().to_owned(),
            suggested: value.as_f64().filter(|_| action == "strength"),
            suggestion: (!value.is_null()).then_some(SuggestionBody { action, value }),
        }
    }
}

impl From<&AdviceMark> for AdviceBody {
    fn from(mark: &AdviceMark) -> Self {
        Self {
            kind: mark.kind.clone(),
            severity: mark.severity.clone(),
            message: mark.text.clone(),
            figure: mark.figure,
            unit: mark.unit.clone(),
            suggested: mark.suggested,
            suggestion: mark.suggested.map(|strength| SuggestionBody {
                action: "strength".to_owned(),
                value: json!(strength),
            }),
        }
    }
}

fn size(size: Size) -> Value {
    json!([size.width, size.height])
}

impl From<&Forecast> for ForecastBody {
    fn from(forecast: &Forecast) -> Self {
        let faces = forecast.faces.iter().flatten();
        Self {
            measures: MeasuresBody::from(&forecast.measures),
            faces: faces.map(FaceBody::from).collect(),
            runs: forecast.runs,
            advice: forecast.advice.iter().map(AdviceBody::from).collect(),
        }
    }
}

impl From<&Measures> for MeasuresBody {
    fn from(measures: &Measures) -> Self {
        Self {
            width: measures.size.width,
            height: measures.size.height,
            native_side: measures.native_side,
            blur: measures.blur,
            noise: measures.noise,
            blocking: measures.blocking,
            contrast: measures.contrast,
            aspect: measures.aspect,
            clear: measures.clear,
        }
    }
}

impl From<&Face> for FaceBody {
    fn from(face: &Face) -> Self {
        Self {
            x: face.x,
            y: face.y,
            width: face.width,
            height: face.height,
            share: face.share,
            score: face.score,
        }
    }
}
