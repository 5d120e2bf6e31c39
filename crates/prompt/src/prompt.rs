//! A whole text: its parts, the files it names, what is to be said of it.

use std::sync::Arc;

use crate::brackets::{Edit, edits};
use crate::marks::{Kind, Mark, read};
use crate::tags::Lora;
use crate::weights::{MOST_WEIGHT, number};
use crate::{Error, Warning};

/// Most parts of a prompt: each costs a call of the network at every step.
pub const MOST_PARTS: usize = 16;

/// Which text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What to make: `AND` parts it.
    Positive,
    /// What to keep away from: one part, `AND` is text.
    Negative,
}

/// A text that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Its parts, at least one.
    pub parts: Vec<Part>,
    /// LoRA files it names, in order.
    pub loras: Vec<Lora>,
    /// What is to be said of it as a whole; [`Part::schedule`] has the rest.
    pub warnings: Vec<Warning>,
}

/// One of the texts that `AND` joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// How much of it there is in the sum of all parts: 1 unless it says otherwise.
    pub weight: f64,
    pub(crate) text: Arc<str>,
    pub(crate) marks: Vec<Mark>,
    /// The edit that begins at each mark, if any.
    pub(crate) edits: Vec<Option<Edit>>,
}

/// Reads a text.
///
/// Fails with [`Error`] for more than [`MOST_PARTS`] parts and for tags that cannot be meant; whatever else
/// is written can be read, and oddities are warnings.
pub fn parse(text: &str, role: Role) -> Result<Prompt, Error> {
    let (marks, loras) = read(text)?;
    let text: Arc<str> = text.into();
    let mut warnings = doubtful(&marks, &text, role);
    let has_and = marks.iter().any(|mark| mark.kind == Kind::And);
    let parts = match role {
        Role::Positive if has_and => split(&marks, &text, &mut warnings),
        _ => {
            warnings.extend(has_and.then_some(Warning::AndIsText));
            vec![Part::new(marks, 1.0, &text)]
        }
    };
    if parts.len() > MOST_PARTS {
        return Err(Error::TooManyParts { got: parts.len() });
    }
    Ok(Prompt {
        parts,
        loras,
        warnings,
    })
}

impl Part {
    fn new(marks: Vec<Mark>, weight: f64, text: &Arc<str>) -> Self {
        Self {
            weight,
            edits: edits(&marks, text),
            marks,
            text: Arc::clone(text),
        }
    }
}

/// The parts between the `AND`s; those without text are left out.
fn split(marks: &[Mark], text: &Arc<str>, warnings: &mut Vec<Warning>) -> Vec<Part> {
    let (mut parts, mut empty, mut bounded) = (Vec::new(), 0, Vec::new());
    for side in marks.split(|mark| mark.kind == Kind::And) {
        let (side, weight) = match side {
            [said @ .., colon, number] if colon.kind == Kind::Colon => {
                match part_weight(number, text) {
                    Some(weight) => (said, weight),
                    None => (side, 1.0),
                }
            }
            _ => (side, 1.0),
        };
        let says =
            |mark: &Mark| mark.kind != Kind::Text || !text[mark.at.clone()].trim().is_empty();
        if !side.iter().any(says) {
            empty += 1;
            continue;
        }
        let within = weight.clamp(-MOST_WEIGHT, MOST_WEIGHT);
        bounded.extend((within != weight).then_some(weight));
        parts.push(Part::new(side.to_vec(), within, text));
    }
    if let Some(&first) = bounded.first() {
        let count = bounded.len();
        warnings.push(Warning::Bounded { count, first });
    }
    if empty > 0 {
        warnings.push(Warning::EmptyParts { count: empty });
    }
    if parts.is_empty() {
        parts.push(Part::new(Vec::new(), 1.0, text));
    }
    parts
}

/// The number at the end of a part.
fn part_weight(mark: &Mark, text: &str) -> Option<f64> {
    (mark.kind == Kind::Text)
        .then(|| number(text[mark.at.clone()].trim()))
        .flatten()
}

/// Keywords beside another word in capitals, as in `TURN IT OFF AND ON`, and a `BREAK` at an end.
fn doubtful(marks: &[Mark], text: &str, role: Role) -> Vec<Warning> {
    let (mut and, mut breaks) = (0, 0);
    for (index, mark) in marks.iter().enumerate() {
        let beside = |place: Option<usize>| match marks.get(place?) {
            Some(mark) if mark.kind == Kind::Text => Some(&text[mark.at.clone()]),
            _ => None,
        };
        let before = beside(index.checked_sub(1)).map(last_word);
        let after = beside(Some(index + 1)).map(first_word);
        let shouted = before.is_some_and(is_shouted) || after.is_some_and(is_shouted);
        match mark.kind {
            Kind::And if role == Role::Positive => and += usize::from(shouted),
            Kind::Break => {
                let blank = |mark: &Mark| text[mark.at.clone()].trim().is_empty();
                let parts_nothing =
                    marks[..index].iter().all(blank) || marks[index + 1..].iter().all(blank);
                breaks += usize::from(shouted || parts_nothing);
            }
            _ => {}
        }
    }
    let keyword = |keyword, count| (count > 0).then_some(Warning::Keyword { keyword, count });
    let both = [keyword("AND", and), keyword("BREAK", breaks)];
    both.into_iter().flatten().collect()
}

fn last_word(text: &str) -> &str {
    text.trim_end()
        .rsplit(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or("")
}

fn first_word(text: &str) -> &str {
    text.trim_start()
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or("")
}

/// Two letters or more, all of them capitals.
fn is_shouted(word: &str) -> bool {
    word.chars().count() > 1 && word.chars().all(char::is_uppercase)
}
