//! CLIP's tokenizer: prompts to token ids, as transformers' fast tokenizer gives them.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::{Lowercase, NFC, NormalizerWrapper, Sequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::Error;
use crate::config::ConfigFile;

/// Words of CLIP: contractions, runs of letters, single digits, runs of anything else. From
/// OpenAI's CLIP.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Merges of CLIP's vocabulary, the commonest first. MIT, OpenAI; see `clip/NOTICE`.
const CLIP_MERGES: &str = include_str!("../clip/merges.txt");

/// A tokenizer and the ids around a prompt.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    length: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.inner.get_vocab_size(true))
    }
}

/// A prompt as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start, prompt, end, padding: as many as the model takes.
    pub ids: Vec<u32>,
    /// The prompt's own ids that were used.
    pub used: Vec<u32>,
    /// How many of the prompt's ids did not fit.
    pub dropped: usize,
}

impl Tokenizer {
    /// Makes a tokenizer from the contents of `vocab.json`, `merges.txt` and
    /// `tokenizer_config.json`, and `special_tokens_map.json` where there is one: it counts for
    /// configurations written before transformers kept added tokens in them.
    ///
    /// Fails with [`Error::Tokenizer`] or [`Error::Config`] naming the file.
    pub fn parse(
        vocab: &str,
        merges: &str,
        config: &str,
        special_tokens: Option<&str>,
    ) -> Result<Self, Error> {
        let mut config = ConfigFile::parse("tokenizer_config.json", config)?;
        if let Some(map) = special_tokens
            && config.get("added_tokens_decoder").is_none()
        {
            config.overlay(ConfigFile::parse("special_tokens_map.json", map)?);
        }
        let vocab: HashMap<String, u32> = serde_json::from_str(vocab)
            .map_err(|error| invalid("vocab.json", error.to_string()))?;
        let merges = parse_merges(merges).map_err(|problem| invalid("merges.txt", problem))?;
        Self::build(vocab, merges, &config)
    }

    /// The tokenizer of OpenAI's CLIP, which files without one of their own were trained with. A text
    /// is filled up with the token `pad`.
    ///
    /// Fails with [`Error::Tokenizer`] where there is no such token.
    pub fn clip(pad: &str) -> Result<Self, Error> {
        let merges = parse_merges(CLIP_MERGES).map_err(|problem| invalid("merges.txt", problem))?;
        let letters: Vec<String> = byte_letters().map(String::from).collect();
        let ends = letters.iter().map(|letter| format!("{letter}</w>"));
        let words = merges.iter().map(|(left, right)| format!("{left}{right}"));
        let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
        let tokens = letters
            .iter()
            .cloned()
            .chain(ends)
            .chain(words)
            .chain(special);
        let vocab = tokens.zip(0..).collect();
        let config = serde_json::json!({ "pad_token": pad }).to_string();
        Self::build(
            vocab,
            merges,
            &ConfigFile::parse("tokenizer_config.json", &config)?,
        )
    }

    fn build(
        vocab: HashMap<String, u32>,
        merges: Vec<(String, String)>,
        config: &ConfigFile,
    ) -> Result<Self, Error> {
        let special = |name: &str, default: &str| {
            let token = special_token(config, name, default);
            match vocab.get(&token) {
                Some(&id) => Ok((token, id)),
                None => Err(invalid("vocab.json", format!("it lacks the token {token}"))),
            }
        };
        let (start, start_id) = special("bos_token", "<|startoftext|>")?;
        let (end, end_id) = special("eos_token", "<|endoftext|>")?;
        let (unknown, _) = special("unk_token", "<|endoftext|>")?;
        let (_, pad) = special("pad_token", "<|endoftext|>")?;
        if merges.is_empty() {
            return Err(invalid("merges.txt", "it holds no merges".to_owned()));
        }
        let model = BPE::builder()
            .vocab_and_merges(
                vocab
                    .into_iter()
                    .collect::<tokenizers::models::bpe::Vocab>(),
                merges,
            )
            .unk_token(unknown.clone())
            .end_of_word_suffix("</w>".to_owned())
            .build()
            .map_err(|error| invalid("merges.txt", error.to_string()))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        let split = |error: tokenizers::Error| invalid("word pattern", error.to_string());
        inner.with_normalizer(Some(normalizer().map_err(split)?));
        inner.with_pre_tokenizer(Some(pre_tokenizer().map_err(split)?));
        // Normalised, so that they are found in lower-cased text, as the reference does.
        let tokens: Vec<_> = [start, end]
            .map(|token| AddedToken::from(token, true).normalized(true))
            .into_iter()
            .collect();
        inner.add_special_tokens(&tokens);
        // transformers writes 1e30 for "not known".
        let length = match config.number("model_max_length", 77.0)? {
            unknown if unknown > 1e6 => 77,
            _ => config.size("model_max_length", Some(77))?.min(1 << 16),
        };
        Ok(Self {
            inner,
            start: start_id,
            end: end_id,
            pad,
            length,
        })
    }

    /// The ids of `text` alone: no ends, no padding, nothing cut.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::Tokenizer {
                file: "prompt".to_owned(),
                problem: error.to_string(),
            })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of `text` between start and end, cut or padded to the length the model takes.
    pub fn encode(&self, text: &str) -> Result<Tokens, Error> {
        let mut used = self.ids(text)?;
        let dropped = used.len().saturating_sub(self.room());
        used.truncate(self.room());
        let ids = self.framed(&used);
        Ok(Tokens { ids, used, dropped })
    }

    /// Most ids that stand between start and end.
    pub fn room(&self) -> usize {
        self.length.saturating_sub(2)
    }

    /// `used`, at most [`Self::room`] ids, between start and end, padded to the length the model takes.
    pub fn framed(&self, used: &[u32]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.length);
        ids.push(self.start);
        ids.extend(used);
        ids.push(self.end);
        ids.resize(self.length.max(ids.len()), self.pad);
        ids
    }

    /// The id of a comma, where it is a token of its own.
    pub fn comma(&self) -> Option<u32> {
        self.inner.token_to_id(",</w>")
    }

    /// The text of one id, with the mark of a word's end taken off.
    pub fn word(&self, id: u32) -> Option<String> {
        self.inner
            .id_to_token(id)
            .map(|token| token.trim_end_matches("</w>").to_owned())
    }
}

fn invalid(file: &str, problem: String) -> Error {
    Error::Tokenizer {
        file: file.to_owned(),
        problem,
    }
}

/// The letters that stand for bytes, in the order of their ids: printable bytes as themselves, then the
/// others as letters from U+0100 on.
fn byte_letters() -> impl Iterator<Item = char> {
    let printable = |byte: &u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..256u32).filter(move |byte| !printable(byte)).count() as u32;
    let codes = (0..256)
        .filter(printable)
        .chain((0..others).map(|n| 256 + n));
    codes.filter_map(char::from_u32)
}

/// A special token's text: a string, or an object with `content`.
fn special_token(config: &ConfigFile, name: &str, default: &str) -> String {
    let value = config.get(name);
    let text = value.and_then(|v| v.as_str().or_else(|| v.get("content")?.as_str()));
    text.unwrap_or(default).to_owned()
}

fn parse_merges(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().enumerate();
    lines
        .skip_while(|(index, line)| *index == 0 && line.starts_with("#version"))
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            line.split_once(' ')
                .map(|(left, right)| (left.to_owned(), right.to_owned()))
                .ok_or_else(|| format!("line {} is {line:?}, expected two parts", index + 1))
        })
        .collect()
}

fn normalizer() -> Result<NormalizerWrapper, tokenizers::Error> {
    let blanks = tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned());
    Ok(Sequence::new(vec![
        NFC.into(),
        Replace::new(blanks, " ")?.into(),
        Lowercase.into(),
    ])
    .into())
}

fn pre_tokenizer() -> Result<PreTokenizerWrapper, tokenizers::Error> {
    let pattern = SplitPattern::Regex(WORDS.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::new(false, true, true);
    Ok(PreSequence::new(vec![split.into(), bytes.into()]).into())
}
