//! What holds of every text, whatever its brackets.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use imagegen_prompt::{MOST_WEIGHT, Piece, Role, Unit, chunks, parse};
use proptest::prelude::*;

/// Texts made of what the grammar is made of.
fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "(", ")", "[", "]", ":", "|", "\\", "\"", " ", "cat", "AND", "BREAK", "0.5", "4", "1,5",
        "nan", "<", ">", "é", ",", ":1.2)", ":0.5]", "[a|", "[a:b:2]",
    ]);
    prop::collection::vec(parts, 0..60).prop_map(|parts| parts.concat())
}

fn letters(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.clone(),
        Piece::Break => String::new(),
    };
    pieces.iter().map(text).collect()
}

proptest! {
    #[test]
    fn any_text_is_read_within_the_range(text in texts(), steps in 0usize..12) {
        let Ok(prompt) = parse(&text, Role::Positive) else {
            return Ok(()); // too many parts, or a tag
        };
        for part in &prompt.parts {
            let schedule = part.schedule(steps).unwrap();
            prop_assert_eq!(schedule.steps.len(), steps);
            prop_assert!(schedule.steps.iter().all(|step| *step < schedule.readings.len()));
            for piece in schedule.readings.iter().flatten() {
                if let Piece::Text { weight, .. } = piece {
                    prop_assert!(weight.abs() <= MOST_WEIGHT);
                }
            }
        }
    }

    #[test]
    fn text_without_grammar_is_itself(text in "[a-zäA-Z0-9 ,.!?\n'-]{0,80}") {
        let keywords = ["AND", "BREAK"];
        prop_assume!(!keywords.iter().any(|keyword| text.contains(keyword)));
        let prompt = parse(&text, Role::Positive).unwrap();
        prop_assert_eq!(&prompt.warnings, &[]);
        let schedule = prompt.parts[0].schedule(3).unwrap();
        prop_assert_eq!(&schedule.warnings, &[]);
        let whole = Piece::Text { text: text.clone(), weight: 1.0 };
        let want = if text.is_empty() { vec![] } else { vec![whole] };
        prop_assert_eq!(&schedule.readings, &[want]);
    }

    #[test]
    fn escaping_makes_text_of_anything(text in texts()) {
        let text = text.replace("AND", "and").replace("BREAK", "break");
        let special = |c: char| if "()[]\\:|<>\"".contains(c) { format!("\\{c}") } else { c.into() };
        let escaped: String = text.chars().map(special).collect();
        let prompt = parse(&escaped, Role::Positive).unwrap();
        let schedule = prompt.parts[0].schedule(2).unwrap();
        prop_assert_eq!(letters(&schedule.readings[0]), text);
        prop_assert_eq!(&schedule.warnings, &[]);
    }

    #[test]
    fn chunks_keep_every_token_in_order(
        tokens in prop::collection::vec((0u32..9, 0usize..4), 0..400),
        length in 3usize..80,
    ) {
        let unit = |&(token, more): &(u32, usize)| match token {
            0 => Unit::Break,
            1 => Unit::Whole { tokens: vec![1; more.min(length)], weight: 2.0 },
            token => Unit::Token { token, weight: 1.0, comma: token == 2 },
        };
        let units: Vec<_> = tokens.iter().map(unit).collect();
        let want: Vec<u32> = units
            .iter()
            .flat_map(|unit| match unit {
                Unit::Break => vec![],
                Unit::Whole { tokens, .. } => tokens.clone(),
                Unit::Token { token, .. } => vec![*token],
            })
            .collect();
        let cut = chunks(units, length, usize::MAX);
        prop_assert!(cut.chunks.iter().all(|chunk| chunk.tokens.len() <= length));
        let got: Vec<u32> = cut.chunks.iter().flat_map(|chunk| &chunk.tokens).map(|(token, _)| *token).collect();
        prop_assert_eq!(got, want);
        prop_assert_eq!(cut.dropped, 0);
    }
}

/// Steps that reading takes are counted by its result's size alone: a minute would not be enough for what grows
/// with the square of 200,000.
#[test]
fn any_brackets_are_read_in_linear_time() {
    let many = 200_000;
    for text in [
        "(".repeat(many),
        ")".repeat(many),
        "[".repeat(many),
        "[(".repeat(many),
        "([)]".repeat(many),
        "[a:".repeat(many),
        "[a|".repeat(many),
        "(a:1.2".repeat(many),
        "\"".repeat(many),
        "<".repeat(many),
        "BREAK ".repeat(many),
        "\\".repeat(many),
        "[a:b:0.5]".repeat(many),
        "[".repeat(many) + &":0.5]".repeat(many),
        "(".repeat(many) + "a" + &":1.1)".repeat(many),
    ] {
        let prompt = parse(&text, Role::Positive).unwrap();
        let schedule = prompt.parts[0].schedule(4).unwrap();
        assert_eq!(schedule.steps.len(), 4);
    }
}

#[test]
fn a_full_chunk_ends_at_a_comma_that_is_near() {
    let token = |token: u32| Unit::Token {
        token,
        weight: 1.0,
        comma: token == 0,
    };
    let lengths = |commas: &[u32], count: u32| -> Vec<usize> {
        let tokens =
            (1..=count).map(|place| token(if commas.contains(&place) { 0 } else { place }));
        let cut = chunks(tokens, 75, 16).chunks;
        cut.iter().map(|chunk| chunk.tokens.len()).collect()
    };
    assert_eq!(lengths(&[], 75), [75]);
    assert_eq!(lengths(&[], 76), [75, 1]);
    assert_eq!(lengths(&[60], 75), [75]);
    assert_eq!(lengths(&[60], 80), [60, 20]);
    assert_eq!(lengths(&[56], 80), [56, 24]); // 20 tokens back from the 76th
    assert_eq!(lengths(&[55], 80), [75, 5]);
    assert_eq!(lengths(&[40, 76], 80), [75, 5]); // a comma never begins the search
    assert_eq!(lengths(&[60, 70], 80), [70, 10]);
}

#[test]
fn what_lies_behind_the_last_chunk_is_counted() {
    let tokens = (0..100u32).map(|token| Unit::Token {
        token,
        weight: 1.0,
        comma: false,
    });
    let cut = chunks(tokens, 10, 3);
    assert_eq!((cut.chunks.len(), cut.dropped), (3, 70));
    assert_eq!(
        chunks(std::iter::empty::<Unit<u32>>(), 10, 3).chunks.len(),
        1
    );
}
