//! Advice before a run: joins `picture`'s adviser with what only a model knows, its native side, its
//! steps and its faces.

use std::sync::PoisonError;

use imagegen_picture::advice::limits::FACE_STRENGTH;
use imagegen_picture::advice::{
    Advice, FacesFound, Measures, RequestFacts, measure, of_request, of_source,
};

use crate::prompts::ReadPrompt;
use crate::run::planned_runs;
use crate::{Error, Face, Model, Source, Transform, faces};

/// When to look for faces, which takes a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookForFaces {
    /// Whatever the strength.
    Always,
    /// At strengths that distort faces.
    WhereTheyMatter,
}

/// What is to be known before a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Figures of the source.
    pub measures: Measures,
    /// Faces in the source, largest first; `None` where nobody looked.
    pub faces: Option<Vec<Face>>,
    /// Steps that will run.
    pub runs: usize,
    /// What is worth saying, most important first: about the source, then about the request.
    pub advice: Vec<Advice>,
}

impl Model {
    /// Looks at the source and the request, without running anything.
    ///
    /// Fails where the request cannot be carried out, as [`Model::transform`] does.
    pub fn forecast(&self, request: &Transform<'_>, look: LookForFaces) -> Result<Forecast, Error> {
        let (runs, settings, texts) = planned_runs(self, request)?;
        let strength = request.strength.get();
        let looks = look == LookForFaces::Always || (FACE_STRENGTH..1.0).contains(&strength);
        let picture = request.source.picture();
        let found = looks.then(|| faces(picture, self.cpu())).transpose()?;
        let largest = |faces: &Vec<Face>| faces.first().map_or(0.0, |face| f64::from(face.share));
        let tokens = |text: &Option<ReadPrompt>| {
            let tokens = text.as_ref().map(|text| self.tokens(text));
            tokens.transpose()
        };
        let measures = self.measured(request.source);
        let mut advice = of_source(&measures, request.source.decoded.facts.orientation);
        advice.extend(of_request(&RequestFacts {
            strength,
            steps: settings.steps,
            runs,
            faces: FacesFound {
                count: found.as_ref().map_or(0, Vec::len),
                largest: found.as_ref().map_or(0.0, largest),
            },
            prompt: tokens(&texts.prompt)?,
            negative_prompt: tokens(&texts.negative)?,
        }));
        Ok(Forecast {
            measures,
            faces: found,
            runs,
            advice,
        })
    }

    /// Figures of a source. Taken once for a row of runs on one source.
    fn measured(&self, source: &Source) -> Measures {
        let mut last = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((sha256, known)) if *sha256 == source.sha256 => *known,
            _ => {
                let measures = measure(source.picture(), self.native_side());
                *last = Some((source.sha256.clone(), measures));
                measures
            }
        }
    }
}
