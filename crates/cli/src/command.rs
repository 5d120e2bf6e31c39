//! A command line that makes one picture again, quoted for a POSIX shell.

use std::path::Path;

use imagegen::{ModelSource, NoiseKind, Precision, PromptMode, Recipe, StrengthRule};

use crate::arguments::{FitName, ModelChoice, Prompted, Shaping};
use crate::shown::acts;

/// The `transform` that makes the picture of `recipe` from `source` as `output`. Spells out everything
/// that was asked for, by whatever way, so that it needs no configuration.
pub(crate) fn transform(
    source: &Path,
    recipe: &Recipe,
    asked: (&Prompted, &Shaping, &ModelChoice),
    output: &Path,
) -> String {
    let (prompted, shaping, model) = asked;
    let mut words = vec![
        "imagegen".to_owned(),
        "transform".to_owned(),
        operand(source),
    ];
    let mut option = |name: &str, value: &str| {
        // A value that looks like an option is taken for one unless it is joined to its name.
        if value.starts_with('-') {
            words.push(format!("{name}={value}"));
        } else {
            words.extend([name.to_owned(), value.to_owned()]);
        }
    };
    option("--prompt", &recipe.prompt);
    if !recipe.negative_prompt.is_empty() {
        option("--negative", &recipe.negative_prompt);
    }
    if prompted.mode.prompt_mode != PromptMode::default() {
        option("--prompt-mode", prompted.mode.prompt_mode.name());
    }
    option("--strength", &recipe.strength.to_string());
    option("--seed", &recipe.seed.to_string());
    if let Some(skip) = recipe.clip_skip {
        option("--clip-skip", &skip.to_string());
    }
    if prompted.precision != Precision::default() {
        option("--precision", prompted.precision.name());
    }
    if prompted.noise != NoiseKind::default() {
        option("--noise", prompted.noise.name());
    }
    if let Some(to) = recipe.variation {
        option("--variation-seed", &to.seed.to_string());
        option("--variation-strength", &to.strength.to_string());
    }
    if prompted.steps.steps.is_some() {
        option("--steps", &recipe.steps.to_string());
    }
    if prompted.guidance.is_some() {
        option("--guidance", &recipe.guidance_scale.to_string());
    }
    if prompted.sampler.is_some() {
        option("--sampler", &recipe.sampler);
    }
    if let Some(schedule) = prompted.sampling().schedule {
        option("--schedule", schedule.name());
    }
    if let Some(eta) = prompted.eta {
        option("--eta", &eta.to_string());
    }
    if let Some(share) = prompted.guidance_rescale {
        option("--guidance-rescale", &share.to_string());
    }
    if let Some(share) = prompted.guidance_until {
        option("--guidance-until", &share.to_string());
    }
    if let Some(steps) = prompted.cache_interval {
        option("--cache-interval", &steps.to_string());
    }
    if let Some(share) = prompted.token_merging {
        option("--token-merging", &share.to_string());
    }
    if let Some(weight) = prompted.image_guidance {
        option("--image-guidance", &weight.to_string());
    }
    if let Some(colours) = prompted.colours {
        option("--colours", colours.name());
    }
    if let Some(wash) = prompted.wash {
        option("--wash", wash.name());
    }
    if let Some(tiles) = prompted.tiles {
        option("--tiles", tiles.name());
    }
    if let Some(tiling) = prompted.vae_tiling {
        option("--vae-tiling", tiling.name());
    }
    if let Some(at) = prompted.refiner_at {
        option("--refiner-at", &at.to_string());
    }
    let rule = shaping.rule.strength_rule;
    if rule != StrengthRule::default() {
        option("--strength-rule", rule.name());
    }
    if let Some(size) = shaping.size {
        option("--size", &size.to_string());
    }
    if shaping.fit != FitName::Keep {
        option("--fit", recipe.fit.as_deref().unwrap_or_default());
    }
    if ModelSource::NAMES.first() != Some(&model.named.model.as_str()) {
        option("--model", &model.named.model);
        for folder in &model.named.folders.models_dir {
            option("--models-dir", &folder.to_string_lossy());
        }
    }
    if let Some(vae) = &model.named.over.vae {
        option("--vae", &vae.to_string_lossy());
    }
    if let Some(kind) = model.named.over.prediction {
        option("--prediction", kind.name());
    }
    for embedding in &model.embedding {
        option("--embedding", embedding);
    }
    if let Some(refiner) = &model.refiner {
        option("--refiner", refiner);
    }
    for lora in &model.lora {
        option("--lora", lora);
    }
    let shelves = &model.shelves;
    for (name, folder) in [
        ("--loras-dir", &shelves.loras_dir),
        ("--embeddings-dir", &shelves.embeddings_dir),
    ] {
        if let Some(folder) = folder {
            option(name, &folder.to_string_lossy());
        }
    }
    option("--output", &output.to_string_lossy());
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// A path that cannot be taken for an option.
fn operand(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') && text != crate::output::STANDARD {
        format!("./{text}")
    } else {
        text.into_owned()
    }
}

/// A word as a POSIX shell reads it back. What a terminal would act on is spelled by `printf`.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = "'".to_owned();
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => quoted.push_str(r"'\''"),
            c if !acts(c) => quoted.push(c),
            c => {
                let mut run = String::from(c);
                while let Some(more) = chars.next_if(|c| acts(*c)) {
                    run.push(more);
                }
                // A shell drops line breaks at the end of what it substitutes.
                if run.ends_with('\n') {
                    run.extend(chars.next());
                }
                push_run(&mut quoted, &run);
            }
        }
    }
    quoted.push('\'');
    quoted
}

/// Bytes as `printf` spells them, between two quoted parts; line breaks at the end stand as they are.
fn push_run(quoted: &mut String, run: &str) {
    let spelled = run.trim_end_matches('\n');
    let octal = spelled.bytes().map(|byte| format!("\\{byte:03o}"));
    let octal: String = octal.collect();
    if !octal.is_empty() {
        quoted.push_str(&format!("'\"$(printf '{octal}')\"'"));
    }
    quoted.push_str(&run[spelled.len()..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell() {
        let words = [
            "plain-1.5",
            "",
            "two words",
            "it's",
            "$HOME `x` \"y\" \\ \n!",
            "夜",
            "*",
            "a;b",
            "\u{1b}[31m\r\tred's \u{9b}2J \u{202e}",
            "\n\nlines\n\r\n'end'\n\n",
        ];
        for word in words {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh")
                .args(["-c", &line])
                .output();
            // Where there is no POSIX shell there is nothing to ask.
            let Ok(output) = output else { return };
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
            assert!(
                !line.trim_end_matches(['\n', '\'']).contains(acts),
                "{line:?}"
            );
        }
        assert_eq!(quoted("plain-1.5"), "plain-1.5");
    }

    #[test]
    fn names_that_look_like_options_are_told_apart() {
        assert_eq!(operand(Path::new("-s.png")), "./-s.png");
        assert_eq!(operand(Path::new("a.png")), "a.png");
        assert_eq!(operand(Path::new("-")), "-");
    }
}
