//! Names and texts from outside, made fit for a terminal.

use std::fmt::Write as _;

/// `text` with every character that a terminal would act on written out: control characters, line breaks
/// and marks that turn the direction of writing.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if acts(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", c as u32); // writing to a string cannot fail
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Whether a terminal does something else with a character than draw it.
pub(crate) fn acts(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(shown("夜 é a\u{301} 🎨.png"), "夜 é a\u{301} 🎨.png");
        assert_eq!(
            shown("\u{1b}[31mred\u{7}\n\r\t\u{7f}\u{9b}2J"),
            "\\u{1b}[31mred\\u{7}\\n\\r\\t\\u{7f}\\u{9b}2J"
        );
        assert_eq!(shown("a\u{202e}gnp.b\u{2066}"), "a\\u{202e}gnp.b\\u{2066}");
    }
}
