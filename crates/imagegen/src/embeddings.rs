//! Words of a prompt that stand for learned vectors: textual inversion.

use std::collections::BTreeSet;
use std::sync::Arc;

use imagegen_model::{TextualInversion, Weights};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::request::hex;

/// A textual inversion and the word that stands for it.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// The word, as prompts have it: alone or in angle brackets.
    pub name: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    pub(crate) inversion: TextualInversion,
}

impl PartialEq for Embedding {
    fn eq(&self, other: &Self) -> bool {
        self.mark() == other.mark()
    }
}

/// Which textual inversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingMark {
    /// The word.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl Embedding {
    /// Reads a safetensors file; `file` is its name in errors.
    ///
    /// Fails with [`Error::Embedding`] for a file that is none, a pickle among them, and with
    /// [`Error::Setting`] for a name that no prompt could have.
    pub fn read(name: &str, file: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let name = name.trim().trim_start_matches('<').trim_end_matches('>');
        let letters = |c: char| !c.is_control() && !"()[]<>:|\\\"".contains(c);
        if name.is_empty() || !name.chars().all(letters) {
            let expected = "a word without brackets, colons, bars, quotes and backslashes";
            return Err(Error::setting(
                "the name of an embedding",
                format!("{name:?}"),
                expected,
            ));
        }
        let failed = |cause| Error::Embedding { cause };
        let sha256 = hex(&Sha256::digest(&bytes));
        let weights = Weights::parse(file, Arc::new(bytes)).map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            sha256,
            inversion: TextualInversion::read(&weights).map_err(failed)?,
        })
    }

    pub(crate) fn mark(&self) -> EmbeddingMark {
        EmbeddingMark {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
        }
    }
}

/// Widths of a file's vectors, for each text encoder; `None` for a file of something else.
pub(crate) fn widths(weights: &Weights) -> Option<Vec<usize>> {
    Some(TextualInversion::read(weights).ok()?.widths())
}

/// A stretch of a text: words, or the place of a name in the list that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch<'a> {
    Words(&'a str),
    Name(usize),
}

/// Cuts a text at the names it has: whole words, capitals or not, or the same in angle brackets. Of two names at
/// one place the longer one counts.
pub(crate) fn cut<'a>(text: &'a str, names: &[&str]) -> Vec<Stretch<'a>> {
    let mut stretches = Vec::new();
    let (mut begun, mut at, mut before) = (0, 0, None);
    while let Some(c) = text[at..].chars().next() {
        let found = match before {
            Some(before) if joins(before) && c != '<' => None,
            _ => named(&text[at..], names),
        };
        let Some((name, length)) = found else {
            (at, before) = (at + c.len_utf8(), Some(c));
            continue;
        };
        stretches.extend((begun < at).then(|| Stretch::Words(&text[begun..at])));
        stretches.push(Stretch::Name(name));
        at += length;
        (begun, before) = (at, None);
    }
    stretches.extend((begun < at).then(|| Stretch::Words(&text[begun..])));
    stretches
}

/// The longest name that a text begins with, and its bytes.
fn named(text: &str, names: &[&str]) -> Option<(usize, usize)> {
    let begins = |text: &str, name: &str| {
        let head = text.get(..name.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(name))
    };
    let lengths = names.iter().enumerate().filter_map(|(index, name)| {
        if let Some(inside) = text.strip_prefix('<') {
            let closed = begins(inside, name) && inside[name.len()..].starts_with('>');
            return closed.then_some((index, name.len() + 2));
        }
        let whole = begins(text, name) && !text[name.len()..].starts_with(joins);
        whole.then_some((index, name.len()))
    });
    lengths.max_by_key(|(_, length)| *length)
}

/// Whether a character belongs to the word beside it.
fn joins(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The marks of those of `embeddings` whose names are in `texts`, in their order.
pub(crate) fn used<'a>(
    embeddings: &[Arc<Embedding>],
    texts: impl Iterator<Item = &'a str>,
) -> Vec<EmbeddingMark> {
    let names: Vec<&str> = embeddings.iter().map(|known| known.name.as_str()).collect();
    let mut found = BTreeSet::new();
    for text in texts {
        found.extend(
            cut(text, &names)
                .into_iter()
                .filter_map(|stretch| match stretch {
                    Stretch::Name(name) => Some(name),
                    Stretch::Words(_) => None,
                }),
        );
    }
    found
        .into_iter()
        .map(|index| embeddings[index].mark())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_or_stand_in_angle_brackets() {
        let names = ["fur", "fur-2", "my style"];
        let (words, name) = (Stretch::Words, Stretch::Name);
        for (text, want) in [
            (
                "a fur, Fur",
                vec![words("a "), name(0), words(", "), name(0)],
            ),
            ("furry fur_ -fur afur", vec![words("furry fur_ -fur afur")]),
            ("fur-2 fur", vec![name(1), words(" "), name(0)]),
            ("in my style", vec![words("in "), name(2)]),
            (
                "a<fur>b <fur <fur-2>",
                vec![
                    words("a"),
                    name(0),
                    words("b <"),
                    name(0),
                    words(" "),
                    name(1),
                ],
            ),
            ("f\u{fc}r", vec![words("f\u{fc}r")]),
            ("", vec![]),
        ] {
            assert_eq!(cut(text, &names), want, "{text}");
        }
        assert_eq!(cut("fur", &[]), [words("fur")]);
    }
}
