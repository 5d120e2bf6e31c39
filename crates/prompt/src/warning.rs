//! What a person should know of how a prompt was read.

use std::fmt;

use crate::weights::{MOST_WEIGHT, Tally};

/// Something about a prompt that was read otherwise than one may think.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Brackets without a partner.
    Unbalanced {
        /// Opened and not closed: they reach to the end.
        unclosed: usize,
        /// Closed and not opened: letters like others.
        unopened: usize,
    },
    /// Weights that were brought within the range.
    Bounded {
        /// How many.
        count: usize,
        /// The first of them, as it came out.
        first: f64,
    },
    /// Weights that are no plain numbers.
    OddWeight {
        /// How many.
        count: usize,
        /// The first, as it is written.
        written: String,
        /// What that is read as.
        read: f64,
    },
    /// A keyword where it may have been meant as text, or that parts nothing.
    Keyword {
        /// `AND` or `BREAK`.
        keyword: &'static str,
        /// How many times.
        count: usize,
    },
    /// `AND` in a negative prompt, which has no parts.
    AndIsText,
    /// Sides of `AND` without text, which were left out.
    EmptyParts {
        /// How many.
        count: usize,
    },
    /// Edits whose second side never comes.
    NeverSwitches {
        /// How many.
        edits: usize,
        /// Steps that run.
        steps: usize,
    },
    /// Edits whose first side is gone before the first step.
    SwitchesAtOnce {
        /// How many.
        edits: usize,
        /// Steps that run.
        steps: usize,
    },
}

/// `1 bracket`, `2 brackets`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbalanced { unclosed, unopened } => write!(
                f,
                "has {} without a partner: {unclosed} not closed, which reach to its end, and {unopened} not \
                 opened, which are letters; \\( and \\) are always letters",
                counted(unclosed + unopened, "bracket")
            ),
            Self::Bounded { count, first } => write!(
                f,
                "has {} outside -{MOST_WEIGHT} to {MOST_WEIGHT}, the first {first}; each is bounded",
                counted(*count, "weight")
            ),
            Self::OddWeight {
                count,
                written,
                read,
            } => write!(
                f,
                "has {} that is no plain number, the first {written:?}, read as {read}; write it as 1.2",
                counted(*count, "weight")
            ),
            Self::Keyword { keyword, count } => write!(
                f,
                "has {keyword} as a separator in {} where it may be meant as text or parts nothing; in straight \
                 double quotes or small letters it is text",
                counted(*count, "place")
            ),
            Self::AndIsText => {
                f.write_str("has AND, which is a separator in the prompt alone; here it is text")
            }
            Self::EmptyParts { count } => write!(
                f,
                "has {} of AND without text, left out",
                counted(*count, "side")
            ),
            Self::NeverSwitches { edits, steps } => write!(
                f,
                "has {} whose second side never comes in the {} that run",
                counted(*edits, "edit"),
                counted(*steps, "step")
            ),
            Self::SwitchesAtOnce { edits, steps } => write!(
                f,
                "has {} whose first side is gone before the first of the {} that run",
                counted(*edits, "edit"),
                counted(*steps, "step")
            ),
        }
    }
}

impl Tally {
    /// Takes the worse of two readings.
    pub(crate) fn widen(&mut self, other: Self) {
        self.unclosed = self.unclosed.max(other.unclosed);
        self.unopened = self.unopened.max(other.unopened);
        self.bounded = self.bounded.max(other.bounded);
        self.first_bounded = self.first_bounded.or(other.first_bounded);
        self.odd = self.odd.max(other.odd);
        self.first_odd = self.first_odd.take().or(other.first_odd);
    }

    pub(crate) fn warnings(self) -> Vec<Warning> {
        let (unclosed, unopened) = (self.unclosed, self.unopened);
        let unbalanced =
            (unclosed + unopened > 0).then_some(Warning::Unbalanced { unclosed, unopened });
        let bounded = self.first_bounded.map(|first| Warning::Bounded {
            count: self.bounded,
            first,
        });
        let odd = self.first_odd.map(|(written, read)| Warning::OddWeight {
            count: self.odd,
            written,
            read,
        });
        [unbalanced, bounded, odd].into_iter().flatten().collect()
    }
}
