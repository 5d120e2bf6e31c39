//! Which square brackets are edits: those whose inside is balanced and has the form of one.

use std::ops::Range;

use crate::marks::{Bracket, Kind, Mark};
use crate::weights::number;

/// What stands between a pair of square brackets in place of a weight. Ranges count marks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    /// The closing bracket.
    pub(crate) close: usize,
    pub(crate) form: Form,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// `[from:to:when]`, `[to:when]`, `[from::when]`.
    Switch {
        from: Range<usize>,
        to: Range<usize>,
        when: When,
    },
    /// `[a|b]`: one after the other.
    Alternate(Vec<Range<usize>>),
}

/// When an edit switches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    /// After this share of the steps that run.
    Share(f64),
    /// After this many steps.
    Step(f64),
}

/// An opening bracket without its partner yet.
struct Open {
    mark: usize,
    kind: Bracket,
    /// Whether all brackets inside have their partners.
    balanced: bool,
    colons: Vec<usize>,
    bars: Vec<usize>,
}

/// The edits of a row of marks, each at its opening bracket.
///
/// A closing bracket finds the last open one of its kind; what was opened between stays without a partner.
/// Each mark is looked at once, and each opening bracket is taken away once.
pub(crate) fn edits(marks: &[Mark], text: &str) -> Vec<Option<Edit>> {
    let mut edits = vec![None; marks.len()];
    let mut open: Vec<Open> = Vec::new();
    let mut counts = [0usize; 2];
    for (index, mark) in marks.iter().enumerate() {
        match mark.kind {
            Kind::Open(kind) => {
                counts[kind as usize] += 1;
                open.push(Open {
                    mark: index,
                    kind,
                    balanced: true,
                    colons: Vec::new(),
                    bars: Vec::new(),
                });
            }
            Kind::Close(kind) if counts[kind as usize] > 0 => {
                let mut strays = false;
                while let Some(last) = open.pop() {
                    counts[last.kind as usize] -= 1;
                    if last.kind != kind {
                        strays = true;
                        continue;
                    }
                    let balanced = last.balanced && !strays;
                    if kind == Bracket::Square && balanced {
                        edits[last.mark] = last.form(index, marks, text);
                    }
                    if let Some(outer) = open.last_mut() {
                        outer.balanced &= balanced;
                    }
                    break;
                }
            }
            kind => {
                if let Some(last) = open.last_mut() {
                    last.meet(kind, index);
                }
            }
        }
    }
    edits
}

impl Open {
    /// Takes note of a mark directly inside.
    fn meet(&mut self, kind: Kind, index: usize) {
        match kind {
            Kind::Colon => self.colons.push(index),
            Kind::Bar => self.bars.push(index),
            Kind::Close(_) => self.balanced = false,
            Kind::Open(_) | Kind::Text | Kind::And | Kind::Break => {}
        }
    }

    /// The edit that ends at `close`, where it has the form of one.
    fn form(&self, close: usize, marks: &[Mark], text: &str) -> Option<Edit> {
        let first = self.mark + 1;
        let form = match (self.colons.as_slice(), self.bars.as_slice()) {
            ([], bars) if !bars.is_empty() => {
                let begins = std::iter::once(first).chain(bars.iter().map(|bar| bar + 1));
                let ends = bars.iter().copied().chain([close]);
                Form::Alternate(begins.zip(ends).map(|(begin, end)| begin..end).collect())
            }
            ([last], []) => Form::Switch {
                from: first..first,
                to: first..*last,
                when: when(*last, close, marks, text)?,
            },
            ([middle, last], []) => Form::Switch {
                from: first..*middle,
                to: middle + 1..*last,
                when: when(*last, close, marks, text)?,
            },
            _ => return None,
        };
        Some(Edit { close, form })
    }
}

/// The number between a colon and the closing bracket.
fn when(colon: usize, close: usize, marks: &[Mark], text: &str) -> Option<When> {
    let [only] = &marks[colon + 1..close] else {
        return None;
    };
    let written = text[only.at.clone()].trim();
    let number = number(written)?;
    let whole = !written.contains(['.', 'e', 'E']);
    Some(match whole {
        true => When::Step(number),
        false => When::Share(number),
    })
}

impl When {
    /// Steps before the switch, of `steps` that run.
    pub(crate) fn steps(self, steps: usize) -> usize {
        // A share that names a whole step names it in binary too.
        const ROUNDING: f64 = 1e-9;
        let before = match self {
            Self::Share(share) => (share * steps as f64 + ROUNDING).floor(),
            Self::Step(step) => step,
        };
        before.clamp(0.0, steps as f64) as usize
    }

    /// Whether a person meant something to come before the switch.
    pub(crate) fn is_later(self) -> bool {
        let (Self::Share(number) | Self::Step(number)) = self;
        number > 0.0
    }
}
