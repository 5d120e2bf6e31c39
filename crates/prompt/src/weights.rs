//! Weights: brackets to a number for each letter, by AUTOMATIC1111's forgiving rule.
//!
//! `(` multiplies by 1.1 up to its `)`, `[` divides by 1.1 up to its `]`, `(a:1.2)` multiplies by 1.2. The two
//! kinds do not know of each other. What is not closed reaches to the end, what was not opened is a letter.

use crate::marks::{Bracket, Kind, Mark};

/// Weights lie within this of 0, on both sides; beyond it they are bounded.
pub const MOST_WEIGHT: f64 = 10.0;

/// What an opening bracket without a number multiplies by.
const ROUND: f64 = 1.1;
const SQUARE: f64 = 1.0 / 1.1;

/// Products stay within this and its inverse, so that no bracket makes a number that is none.
const MOST_PRODUCT: f64 = 1e30;

/// A stretch of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Words with one weight.
    Text {
        /// The words, as they are to be read.
        text: String,
        /// What their hidden states are multiplied by, within [`MOST_WEIGHT`] of 0.
        weight: f64,
    },
    /// The window ends here.
    Break,
}

/// What is to be said of the brackets of a row of marks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    pub(crate) unclosed: usize,
    pub(crate) unopened: usize,
    /// Pieces whose weight was bounded, and the first such weight.
    pub(crate) bounded: usize,
    pub(crate) first_bounded: Option<f64>,
    /// Weights that are no plain numbers: how many, and the first with what it is read as.
    pub(crate) odd: usize,
    pub(crate) first_odd: Option<(String, f64)>,
}

/// A plain number: digits with at most one point, a sign, an exponent.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    if !text.chars().all(plain) || !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The weight that stands between a colon and a closing bracket, and whether it is written oddly.
fn weight(text: &str) -> Option<(f64, bool)> {
    let text = text.trim();
    if let Some(number) = number(text) {
        return Some((number, false));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "nan" => Some((1.0, true)),
        "inf" | "infinity" => Some((sign * f64::INFINITY, false)),
        // A comma in place of the point, as much of the world writes it.
        _ if unsigned.matches(',').count() == 1 => {
            let pointed = number(&text.replace(',', "."))?;
            Some((pointed, true))
        }
        _ => None,
    }
}

/// The weighted pieces of marks, given by their places in `order`.
pub(crate) fn pieces(marks: &[Mark], order: &[usize], text: &str) -> (Vec<Piece>, Tally) {
    let mut tally = Tally::default();
    let acts = acts(marks, order, text, &mut tally);
    let mut pieces = Vec::new();
    let mut products = [vec![1.0f64], vec![1.0f64]];
    for (&place, act) in order.iter().zip(acts) {
        match act {
            Act::Silent => {}
            Act::Break => pieces.push(Piece::Break),
            Act::Open(bracket, factor) => {
                let stack = &mut products[bracket as usize];
                let outer = stack.last().copied().unwrap_or(1.0);
                stack.push(within(outer * factor));
            }
            Act::Close(bracket) => {
                products[bracket as usize].pop();
            }
            Act::Letters => {
                let product = products.iter().filter_map(|stack| stack.last()).product();
                add(
                    &mut pieces,
                    &text[marks[place].at.clone()],
                    product,
                    &mut tally,
                );
            }
        }
    }
    (pieces, tally)
}

/// Keeps a product a number that others can be multiplied by.
fn within(product: f64) -> f64 {
    product.clamp(-MOST_PRODUCT, MOST_PRODUCT)
}

fn add(pieces: &mut Vec<Piece>, letters: &str, product: f64, tally: &mut Tally) {
    let bounded = product.clamp(-MOST_WEIGHT, MOST_WEIGHT);
    match pieces.last_mut() {
        Some(Piece::Text { text, weight }) if *weight == bounded => text.push_str(letters),
        _ => {
            if bounded != product {
                tally.bounded += 1;
                tally.first_bounded.get_or_insert(product);
            }
            pieces.push(Piece::Text {
                text: letters.to_owned(),
                weight: bounded,
            });
        }
    }
}

/// What a mark does.
#[derive(Debug, Clone, Copy)]
enum Act {
    Letters,
    Break,
    Open(Bracket, f64),
    Close(Bracket),
    /// A part of a weight that was read already.
    Silent,
}

/// What each mark of `order` does: brackets find their partners here.
fn acts(marks: &[Mark], order: &[usize], text: &str, tally: &mut Tally) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::with_capacity(order.len());
    let mut open: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    while let Some(&place) = order.get(acts.len()) {
        let at = acts.len();
        let act = match marks[place].kind {
            Kind::Open(Bracket::Round) => Act::Open(Bracket::Round, ROUND),
            Kind::Open(Bracket::Square) => Act::Open(Bracket::Square, SQUARE),
            Kind::Close(bracket) => match open[bracket as usize].pop() {
                Some(_) => Act::Close(bracket),
                None => {
                    tally.unopened += 1;
                    Act::Letters
                }
            },
            Kind::Colon => {
                let number = stated(marks, &order[at + 1..], text, tally);
                let opened = number.and_then(|_| open[Bracket::Round as usize].pop());
                if let (Some(number), Some(opened)) = (number, opened) {
                    acts[opened] = Act::Open(Bracket::Round, within(number));
                    acts.extend([Act::Silent, Act::Silent, Act::Close(Bracket::Round)]);
                    continue;
                }
                Act::Letters
            }
            Kind::Break => Act::Break,
            Kind::Text | Kind::Bar | Kind::And => Act::Letters,
        };
        if let Act::Open(bracket, _) = act {
            open[bracket as usize].push(at);
        }
        acts.push(act);
    }
    tally.unclosed = open.iter().map(Vec::len).sum();
    acts
}

/// The weight that follows a colon, where a closing bracket follows it in turn.
fn stated(marks: &[Mark], after: &[usize], text: &str, tally: &mut Tally) -> Option<f64> {
    let [number, close, ..] = after else {
        return None;
    };
    let (number, close) = (&marks[*number], &marks[*close]);
    if number.kind != Kind::Text || close.kind != Kind::Close(Bracket::Round) {
        return None;
    }
    let written = text[number.at.clone()].trim();
    let (number, odd) = weight(written)?;
    if odd {
        tally.odd += 1;
        let first = || (written.to_owned(), number);
        tally.first_odd.get_or_insert_with(first);
    }
    Some(number)
}
