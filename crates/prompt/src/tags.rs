//! `<lora:name:weight>`: names of files that change the networks, written into a prompt and no part of it.

use crate::Error;
use crate::weights::number;

/// A LoRA file that a prompt names.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// Its name, without folder and extension.
    pub name: String,
    /// How much of it is used; 1 where the prompt does not say.
    pub weight: f64,
}

/// A tag at the beginning of a text.
pub(crate) struct Tag {
    pub(crate) lora: Lora,
    /// Its bytes, brackets included.
    pub(crate) length: usize,
}

impl Tag {
    /// The tag that `text` begins with; `None` where it begins with other text.
    ///
    /// Fails for a tag whose kind is known and whose rest is not.
    pub(crate) fn read(text: &str) -> Result<Option<Self>, Error> {
        let kinds = ["<lora:", "<lyco:", "<hypernet:"];
        let begins = |kind: &&str| {
            let head = text.as_bytes().get(..kind.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(kind.as_bytes()))
        };
        let Some(kind) = kinds.into_iter().find(begins) else {
            return Ok(None);
        };
        let Some(end) = text.find('>') else {
            let tag = text.lines().next().unwrap_or_default();
            let tag = tag.chars().take(64).collect();
            return Err(Error::Lora { tag });
        };
        let tag = &text[..=end];
        if kind == "<hypernet:" {
            let tag = tag.to_owned();
            return Err(Error::Hypernetwork { tag });
        }
        let refused = || Error::Lora {
            tag: tag.to_owned(),
        };
        let mut fields = text[kind.len()..end].split(':').map(str::trim);
        let name = fields.next().filter(|name| !name.is_empty());
        let weight = match fields.next() {
            None => 1.0,
            Some(weight) => number(weight).ok_or_else(refused)?,
        };
        if fields.next().is_some() {
            return Err(refused());
        }
        let name = name.ok_or_else(refused)?.to_owned();
        Ok(Some(Self {
            lora: Lora { name, weight },
            length: tag.len(),
        }))
    }
}
