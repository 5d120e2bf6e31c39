//! What a run did, as documents: how texts were read, what was painted. Decides nothing, unlike a recipe.

use imagegen_picture::Rect;
use imagegen_prompt::Piece;
use serde::{Deserialize, Serialize};

use crate::{Painted, PartFacts, PromptFacts, ReadingFacts};

/// How a text was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// `prompt` or `negative prompt`.
    pub which: String,
    /// The mode: `a1111` or `plain`.
    pub mode: String,
    /// The texts that `AND` joins, one where there is none.
    pub parts: Vec<PartRecord>,
}

/// How a part of a text was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    /// How much of it there is in the sum of all parts.
    pub weight: f64,
    /// What it says in the course of the run, in the order of first use.
    pub readings: Vec<ReadingRecord>,
}

/// What a part says at some of the steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadingRecord {
    /// The first step it is said at, counted from 1.
    pub first_step: usize,
    /// How many steps it is said at.
    pub steps: usize,
    /// Windows it is read in.
    pub windows: usize,
    /// Tokens that are read.
    pub tokens: usize,
    /// Its words; blanks alone are left away.
    pub pieces: Vec<PieceRecord>,
}

/// Words of one weight, or the end of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PieceRecord {
    /// Words and their weight.
    Words {
        /// The words.
        text: String,
        /// Their weight.
        weight: f64,
    },
    /// The keyword `BREAK`.
    Keyword(String),
}

/// What an inpainting painted, and how it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PaintedRecord {
    /// Share of the picture that the mask covers, grey counted in part, 0 to 1.
    pub share: f64,
    /// Pixels outside the mask; each was compared and is the source's, bit for bit.
    pub kept_pixels: u64,
    /// The mask's edge in figures; none where there is nothing to measure.
    pub seam: Option<SeamRecord>,
    /// The part of the picture that the model saw: column, row, width, height.
    pub seen: [u32; 4],
}

/// The edge of a repainted part, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeamRecord {
    /// `across` over `outside`: about 1 where nothing is to be seen.
    pub figure: f64,
    /// Mean step across the edge, in levels of 255.
    pub across: f64,
    /// Mean step of the same kind just outside it.
    pub outside: f64,
}

impl From<&PromptFacts> for PromptRecord {
    fn from(facts: &PromptFacts) -> Self {
        Self {
            which: facts.which.to_owned(),
            mode: facts.mode.name().to_owned(),
            parts: facts.parts.iter().map(PartRecord::from).collect(),
        }
    }
}

impl From<&PartFacts> for PartRecord {
    fn from(facts: &PartFacts) -> Self {
        Self {
            weight: facts.weight,
            readings: facts.readings.iter().map(ReadingRecord::from).collect(),
        }
    }
}

impl From<&ReadingFacts> for ReadingRecord {
    fn from(facts: &ReadingFacts) -> Self {
        let piece = |piece: &Piece| match piece {
            Piece::Break => Some(PieceRecord::Keyword("BREAK".to_owned())),
            Piece::Text { text, .. } if text.trim().is_empty() => None,
            Piece::Text { text, weight } => Some(PieceRecord::Words {
                text: text.trim().to_owned(),
                weight: *weight,
            }),
        };
        Self {
            first_step: facts.first_step,
            steps: facts.steps,
            windows: facts.windows,
            tokens: facts.tokens,
            pieces: facts.pieces.iter().filter_map(piece).collect(),
        }
    }
}

impl From<Painted> for PaintedRecord {
    fn from(painted: Painted) -> Self {
        let Rect { x, y, size } = painted.seen;
        Self {
            share: painted.share,
            kept_pixels: painted.kept,
            seam: painted.seam.map(|seam| SeamRecord {
                figure: seam.figure,
                across: seam.across,
                outside: seam.outside,
            }),
            seen: [x, y, size.width, size.height],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_words_or_a_keyword() {
        let record = ReadingRecord::from(&ReadingFacts {
            first_step: 1,
            steps: 4,
            windows: 2,
            tokens: 3,
            pieces: vec![
                Piece::Text {
                    text: " a lake ".to_owned(),
                    weight: 1.21,
                },
                Piece::Break,
                Piece::Text {
                    text: " ".to_owned(),
                    weight: 1.0,
                },
            ],
        });
        let document = serde_json::to_value(&record).unwrap();
        let pieces = serde_json::json!([{"text": "a lake", "weight": 1.21}, "BREAK"]);
        assert_eq!(document["pieces"], pieces);
        assert_eq!(
            serde_json::from_value::<ReadingRecord>(document).unwrap(),
            record
        );
    }
}
