//! `prompt_words.json`: the words a small model was taught, so that a prompt without any is noticed.
//! Models that know language at large have no such file.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::Error;

/// What a model was taught.
#[derive(Debug, Deserialize)]
pub(super) struct PromptWords {
    /// Styles worth naming to a person.
    pub(super) styles: Vec<String>,
    words: BTreeSet<String>,
}

impl PromptWords {
    pub(super) fn parse(json: Option<&str>) -> Result<Option<Self>, Error> {
        json.map(serde_json::from_str).transpose().map_err(|error| {
            Error::setting("prompt_words.json", error, "lists \"styles\" and \"words\"")
        })
    }

    /// Whether any word of `prompt` was taught.
    pub(super) fn knows_any(&self, prompt: &str) -> bool {
        let lower = prompt.to_lowercase();
        lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| self.words.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_and_neighbours() {
        let words = r#"{"styles": ["oil painting"], "words": ["oil", "painting"]}"#;
        let words = PromptWords::parse(Some(words)).unwrap().unwrap();
        assert!(words.knows_any("An OIL,painting"));
        assert!(!words.knows_any("boil 3d"));
        assert!(PromptWords::parse(None).unwrap().is_none());
        assert!(PromptWords::parse(Some("{}")).is_err());
    }
}
