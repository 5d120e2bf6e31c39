//! Advice about a request, before it runs, from facts that others found.

use super::limits::*;
use super::{Advice, Text};

/// Faces found in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FacesFound {
    /// How many.
    pub count: usize,
    /// Share of the picture that the largest covers, 0 to 1; 0 where there is none.
    pub largest: f64,
}

/// Length of a text as the model counts it, start and end marks left out of both numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens the text has.
    pub count: usize,
    /// Tokens the model reads, 75 for CLIP.
    pub limit: usize,
}

/// What a request is going to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestFacts {
    /// Strength, 0 to 1.
    pub strength: f64,
    /// Steps of the full schedule.
    pub steps: usize,
    /// Steps that really run; 0 at strength 0.
    pub runs: usize,
    /// Faces in the source; the default where nobody looked.
    pub faces: FacesFound,
    /// Length of the prompt, where it is known.
    pub prompt: Option<Tokens>,
    /// Length of the negative prompt, where it is known and used.
    pub negative_prompt: Option<Tokens>,
}

/// What is to be said about a request. Nothing about one of strength 0, which runs nothing; nothing about
/// faces at strength 1, which keeps nothing of the source.
pub fn of_request(facts: &RequestFacts) -> Vec<Advice> {
    let strength = facts.strength;
    let mut said = Vec::new();
    if strength <= 0.0 {
        return said;
    }
    if facts.faces.count > 0 && (FACE_STRENGTH..1.0).contains(&strength) {
        said.push(Advice::FacesAtRisk {
            count: facts.faces.count,
            largest: facts.faces.largest,
            strength,
        });
    }
    if facts.runs < FEWEST_RUNS {
        said.push(Advice::FewSteps {
            runs: facts.runs,
            steps: facts.steps,
            strength,
        });
    }
    let texts = [
        (Text::Prompt, facts.prompt),
        (Text::NegativePrompt, facts.negative_prompt),
    ];
    for (text, tokens) in texts {
        if let Some(Tokens { count, limit }) = tokens.filter(|tokens| tokens.count > tokens.limit) {
            said.push(Advice::TextLong {
                text,
                tokens: count,
                limit,
            });
        }
    }
    said
}
