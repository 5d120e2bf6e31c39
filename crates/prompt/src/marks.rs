//! A text as a row of marks: brackets, keywords and what is between them. Nothing is matched here.

use std::ops::Range;

use crate::Error;
use crate::tags::{Lora, Tag};

/// Round or square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bracket {
    Round,
    Square,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters like others, a character that was escaped among them.
    Text,
    Open(Bracket),
    Close(Bracket),
    Colon,
    Bar,
    And,
    Break,
}

/// A stretch of the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
}

/// Keywords, as whole words in capitals.
const KEYWORDS: [(&str, Kind); 2] = [("AND", Kind::And), ("BREAK", Kind::Break)];

/// What a backslash takes its meaning from; before anything else it is a letter.
const ESCAPED: &str = r#"()[]\:|<>""#;

/// Whether a character can be inside a word: a keyword never touches one.
fn joins(c: char) -> bool {
    c.is_alphanumeric() || "_-'\u{2019}".contains(c)
}

/// The marks of a text, and the LoRA files it names.
pub(crate) fn read(text: &str) -> Result<(Vec<Mark>, Vec<Lora>), Error> {
    let mut reader = Reader {
        text,
        marks: Vec::new(),
        loras: Vec::new(),
        quoted: 0..0,
    };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at = reader.take(at, c)?;
    }
    Ok((reader.marks, reader.loras))
}

struct Reader<'a> {
    text: &'a str,
    marks: Vec<Mark>,
    loras: Vec<Lora>,
    /// The last stretch in straight double quotes.
    quoted: Range<usize>,
}

impl Reader<'_> {
    /// Takes what begins with `c`; gives where it ends.
    fn take(&mut self, at: usize, c: char) -> Result<usize, Error> {
        let after = at + c.len_utf8();
        let single = match c {
            '(' => Kind::Open(Bracket::Round),
            ')' => Kind::Close(Bracket::Round),
            '[' => Kind::Open(Bracket::Square),
            ']' => Kind::Close(Bracket::Square),
            ':' => Kind::Colon,
            '|' => Kind::Bar,
            '\\' => {
                let next = self.text[after..].chars().next();
                let Some(next) = next.filter(|next| ESCAPED.contains(*next)) else {
                    return Ok(self.text_to(at, after));
                };
                let end = after + next.len_utf8();
                self.mark(Kind::Text, after..end);
                return Ok(end);
            }
            '<' => return self.tag(at, after),
            '"' => {
                self.quote(at, after);
                return Ok(self.text_to(at, after));
            }
            c if joins(c) => return Ok(self.word(at)),
            _ => return Ok(self.text_to(at, after)),
        };
        self.mark(single, at..after);
        Ok(after)
    }

    fn mark(&mut self, kind: Kind, at: Range<usize>) {
        self.marks.push(Mark { kind, at });
    }

    /// Text from `at` on, joined to text that ends there.
    fn text_to(&mut self, at: usize, end: usize) -> usize {
        match self.marks.last_mut() {
            Some(last) if last.kind == Kind::Text && last.at.end == at => last.at.end = end,
            _ => self.mark(Kind::Text, at..end),
        }
        end
    }

    fn word(&mut self, at: usize) -> usize {
        let length = self.text[at..].find(|c| !joins(c));
        let end = length.map_or(self.text.len(), |length| at + length);
        let word = &self.text[at..end];
        let keyword = KEYWORDS.into_iter().find(|(name, _)| *name == word);
        match keyword.filter(|_| !self.quoted.contains(&at)) {
            Some((_, kind)) => self.mark(kind, at..end),
            None => return self.text_to(at, end),
        }
        end
    }

    /// A quote begins a quotation where no word ends (`5" wide` does not) and another quote follows.
    fn quote(&mut self, at: usize, after: usize) {
        let before = self.text[..at].chars().next_back();
        if at < self.quoted.end || before.is_some_and(char::is_alphanumeric) {
            return;
        }
        if let Some(length) = self.text[after..].find('"') {
            self.quoted = after..after + length + 1;
        }
    }

    /// A tag that is no text names a LoRA file; anything else in angle brackets is text.
    fn tag(&mut self, at: usize, after: usize) -> Result<usize, Error> {
        match Tag::read(&self.text[at..])? {
            Some(Tag { lora, length }) => {
                self.loras.push(lora);
                Ok(at + length)
            }
            None => Ok(self.text_to(at, after)),
        }
    }
}
