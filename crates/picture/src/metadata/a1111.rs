//! The text that AUTOMATIC1111 and tools around it read: prompt, negative prompt, one line of settings.
//!
//! The text is a copy for other tools; our own JSON is exact. So that no prompt can pass for settings,
//! prompts are changed in the copy:
//! - line breaks (of every kind Unicode knows) and other control characters become one space, so prompt
//!   and negative prompt are one line each and the last line is always ours;
//! - the colon behind a word that readers look for (`Negative prompt:`, `Steps:`) becomes the full-width
//!   colon `：`, since some readers look for it anywhere.

use std::fmt::Write as _;

use crate::Size;

/// The settings that the text names.
#[derive(Clone, Debug, PartialEq)]
pub struct A1111Fields {
    /// The prompt, as the person wrote it.
    pub prompt: String,
    /// The negative prompt; left out where empty.
    pub negative_prompt: String,
    /// Steps asked for.
    pub steps: u32,
    /// Sampler, by the name other tools know.
    pub sampler: String,
    /// Guidance scale.
    pub cfg_scale: f64,
    /// Seed, never rounded.
    pub seed: u64,
    /// Size of the result.
    pub size: Size,
    /// Model hash, as other tools shorten it.
    pub model_hash: Option<String>,
    /// Model name.
    pub model: Option<String>,
    /// Strength; absent for text-to-image.
    pub denoising_strength: Option<f64>,
    /// Program and version, such as `imagegen 0.1.0`.
    pub version: String,
    /// Further settings, written in order behind the denoising strength. A name keeps its letters, digits,
    /// spaces, `-`, `_` and `/`, which are all that readers accept.
    pub extra: Vec<(String, String)>,
}

/// Builds the text. Its last line holds the settings, and only the settings.
pub fn a1111_parameters(fields: &A1111Fields) -> String {
    let mut text = plain(&fields.prompt);
    if !fields.negative_prompt.is_empty() {
        text += "\nNegative prompt: ";
        text += &plain(&fields.negative_prompt);
    }
    text.push('\n');
    text + &settings(fields)
}

fn settings(fields: &A1111Fields) -> String {
    let mut line = format!("Steps: {}", fields.steps);
    let mut push = |name: &str, value: &str| {
        let _ = write!(line, ", {name}: {}", quoted(value)); // writing to a string cannot fail
    };
    push("Sampler", &fields.sampler);
    push("CFG scale", &fields.cfg_scale.to_string());
    push("Seed", &fields.seed.to_string());
    push("Size", &fields.size.to_string());
    if let Some(hash) = &fields.model_hash {
        push("Model hash", hash);
    }
    if let Some(model) = &fields.model {
        push("Model", model);
    }
    if let Some(strength) = fields.denoising_strength {
        push("Denoising strength", &strength.to_string());
    }
    for (name, value) in &fields.extra {
        let name: String = name.chars().filter(|&c| is_name(c)).collect();
        push(&name, value);
    }
    push("Version", &fields.version);
    line
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '/')
}

fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A prompt as one line that readers cannot take for anything else.
fn plain(prompt: &str) -> String {
    let mut line = String::with_capacity(prompt.len());
    let mut broken = false;
    for c in prompt.chars() {
        let breaks = breaks_line(c);
        if !breaks {
            line.push(c);
        } else if !broken {
            line.push(' ');
        }
        broken = breaks;
    }
    let line = line.trim();
    ["negative prompt:", "steps:"]
        .iter()
        .fold(line.into(), |line, key| disarm(line, key))
}

/// Widens the colon of each `key` (lower case, ASCII) in `line`.
fn disarm(line: String, key: &str) -> String {
    let lower = line.to_ascii_lowercase(); // keeps every byte's place
    let mut out = String::with_capacity(line.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(key) {
        let colon = at + key.len() - 1;
        out += &line[done..colon];
        out.push('：');
        done = colon + 1;
    }
    out + &line[done..]
}

/// A value as readers expect it: as it is, or as a JSON string where it could be taken for more.
fn quoted(value: &str) -> String {
    let bare = |c: char| !matches!(c, ',' | ':' | '"' | '\\') && !breaks_line(c);
    if !value.is_empty() && value.chars().all(bare) && value.trim() == value {
        return value.into();
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if breaks_line(c) => {
                let _ = write!(out, "\\u{:04x}", c as u32); // writing to a string cannot fail
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
