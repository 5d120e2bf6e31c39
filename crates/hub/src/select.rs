//! Which files of a repository a model is made of.

use crate::Error;
use crate::repository::{RemoteFile, Repository};

/// Parts of a model in the diffusers layout that are run.
const COMPONENTS: &[&str] = &[
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "unet",
    "vae",
    "wash",
];
/// Files beside them that are read where they are there.
const BESIDE: &[&str] = &[
    "model_index.json",
    "latents.json",
    "finish.json",
    "prompt_words.json",
];
/// The variant that is taken where there is no other.
const HALF: &str = "fp16";

/// What is to be had of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One file, which is a model.
    File(RemoteFile),
    /// Files of a folder.
    Folder(Vec<RemoteFile>),
}

impl Choice {
    pub(crate) fn files(&self) -> &[RemoteFile] {
        match self {
            Self::File(file) => std::slice::from_ref(file),
            Self::Folder(files) => files,
        }
    }
}

/// The files that a model is made of: `file` alone where it is named, else a folder in the diffusers layout, an
/// autoencoder, or the one file there is. Of weights those of `variant`, or those without, or those of half precision.
pub(crate) fn choose(
    repository: &Repository,
    files: &[RemoteFile],
    variant: Option<&str>,
    file: Option<&str>,
) -> Result<Choice, Error> {
    let nothing = |got: String, expected: String| Error::Nothing {
        repository: repository.to_string(),
        got,
        expected,
    };
    let has = |path: &str| files.iter().any(|file| file.path == path);
    let weights = || {
        files
            .iter()
            .filter(|file| file.path.ends_with(".safetensors"))
    };
    if let Some(wanted) = file {
        let found = weights().find(|file| file.path == wanted);
        return found.cloned().map(Choice::File).ok_or_else(|| {
            let names: Vec<_> = weights().map(|file| file.path.as_str()).collect();
            nothing(format!("no {wanted}"), format!("one of {}", listed(&names)))
        });
    }
    if has("model_index.json") {
        let mut all: Vec<_> = BESIDE.iter().map(|path| named(files, path)).collect();
        for component in COMPONENTS {
            all.push(
                part(files, &format!("{component}/"), variant).map_err(|got| {
                    nothing(got, format!("them in {}", variant.unwrap_or("safetensors")))
                })?,
            );
        }
        return Ok(Choice::Folder(all.concat()));
    }
    if has("config.json") && weights().any(|file| file.path.starts_with("diffusion_pytorch_model"))
    {
        let part = part(files, "", variant);
        return part
            .map(Choice::Folder)
            .map_err(|got| nothing(got, format!("them in {}", variant.unwrap_or("safetensors"))));
    }
    let loose: Vec<_> = weights().filter(|file| !file.path.contains('/')).collect();
    match loose.as_slice() {
        [one] => Ok(Choice::File((*one).clone())),
        [] => Err(nothing(
            "no safetensors files of a model".to_owned(),
            "model_index.json and its parts, or one .safetensors file".to_owned(),
        )),
        several => {
            let names: Vec<_> = several.iter().map(|file| file.path.as_str()).collect();
            Err(nothing(
                format!("{} models", several.len()),
                format!("one of them to be named with --file: {}", listed(&names)),
            ))
        }
    }
}

fn named(files: &[RemoteFile], path: &str) -> Vec<RemoteFile> {
    files
        .iter()
        .filter(|file| file.path == path)
        .cloned()
        .collect()
}

/// Configuration, vocabulary and weights in one folder. Fails with what lacks.
fn part(
    files: &[RemoteFile],
    folder: &str,
    variant: Option<&str>,
) -> Result<Vec<RemoteFile>, String> {
    let inside = |file: &&RemoteFile| {
        let name = file.path.strip_prefix(folder);
        name.is_some_and(|name| !name.contains('/'))
    };
    let here: Vec<_> = files.iter().filter(inside).collect();
    let of = |variant: Option<&str>| -> Vec<&RemoteFile> {
        let fits = |file: &&&RemoteFile| variant_of(&file.path) == Some(variant);
        here.iter().filter(fits).copied().collect()
    };
    let lacks = |chosen: &[&RemoteFile]| {
        !chosen
            .iter()
            .any(|file| file.path.ends_with(".safetensors"))
    };
    let mut chosen = of(variant);
    if lacks(&chosen) && variant.is_none() {
        chosen = of(Some(HALF));
    }
    let any = here.iter().any(|file| is_weights(&file.path));
    if any && lacks(&chosen) {
        let names: Vec<_> = here
            .iter()
            .filter(|file| is_weights(&file.path))
            .map(|file| file.path.as_str())
            .collect();
        return Err(format!("of weights only {}", listed(&names)));
    }
    let settings = here.iter().filter(|file| is_settings(&file.path)).copied();
    Ok(settings.chain(chosen).cloned().collect())
}

/// Whether a file is small and read: configurations and vocabularies.
fn is_settings(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let read = name.ends_with(".json") || name == "merges.txt";
    read && !name.contains(".index.")
}

fn is_weights(path: &str) -> bool {
    [".safetensors", ".bin", ".ckpt", ".msgpack", ".onnx"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Of which variant a safetensors file or an index of such is; the inner `None` is the plain one.
fn variant_of(path: &str) -> Option<Option<&str>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some(stem) = name.strip_suffix(".safetensors") {
        // `model-00001-of-00002`, `model.fp16`, `model.fp16-00001-of-00002`.
        let whole = stem.split_once("-0").map_or(stem, |(whole, _)| whole);
        return Some(whole.split_once('.').map(|(_, variant)| variant));
    }
    let stem = name.strip_suffix(".json")?;
    let (stem, behind) = stem.split_once(".safetensors.index")?;
    let behind = behind.strip_prefix('.').filter(|behind| !behind.is_empty());
    Some(behind.or(stem.split_once('.').map(|(_, variant)| variant)))
}

/// The first few names.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 8;
    let more = names.len().saturating_sub(MOST);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        paths: &[&str],
        variant: Option<&str>,
        file: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let files: Vec<_> = paths
            .iter()
            .map(|path| RemoteFile {
                path: (*path).to_owned(),
                size: 1,
                sha256: None,
            })
            .collect();
        let choice = choose(&"a/b".parse().unwrap(), &files, variant, file);
        let choice = choice.map_err(|error| error.to_string())?;
        Ok(choice
            .files()
            .iter()
            .map(|file| file.path.clone())
            .collect())
    }

    const FOLDER: &[&str] = &[
        ".gitattributes",
        "README.md",
        "model.ckpt",
        "model.safetensors",
        "model_index.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    #[test]
    fn a_folder_has_what_is_run_in_one_variant() {
        let plain = chosen(FOLDER, None, None).unwrap();
        let weights: Vec<_> = plain
            .iter()
            .filter(|path| path.ends_with(".safetensors"))
            .collect();
        assert_eq!(weights.len(), 4, "{plain:?}");
        assert!(
            plain
                .iter()
                .all(|path| !path.contains("fp16") && !path.starts_with("safety"))
        );
        assert!(plain.contains(&"unet/diffusion_pytorch_model.safetensors.index.json".to_owned()));
        assert!(plain.contains(&"tokenizer/merges.txt".to_owned()));
        let half = chosen(FOLDER, Some("fp16"), None).unwrap();
        let weights = half.iter().filter(|path| path.ends_with(".safetensors"));
        assert!(weights.clone().all(|path| path.contains("fp16")) && weights.count() == 3);
        let error = chosen(FOLDER, Some("bf16"), None).unwrap_err();
        assert!(
            error.contains("of weights only text_encoder/model.fp16.safetensors"),
            "{error}"
        );
        let only: Vec<_> = FOLDER
            .iter()
            .copied()
            .filter(|path| !is_weights(path) || path.contains("fp16"))
            .collect();
        assert_eq!(chosen(&only, None, None).unwrap().len(), half.len());
    }

    #[test]
    fn a_folder_of_a_model_like_the_starter_is_taken_whole() {
        let whole = [
            "finish.json",
            "latents.json",
            "model_index.json",
            "prompt_words.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "wash/config.json",
            "wash/diffusion_pytorch_model.safetensors",
            "wash/wash.json",
        ];
        let more = [whole.as_slice(), &["README.md", "notes.json"]].concat();
        let mut taken = chosen(&more, None, None).unwrap();
        taken.sort();
        assert_eq!(taken, whole);
    }

    #[test]
    fn other_repositories_have_one_file_or_an_autoencoder() {
        let vae = [
            "config.json",
            "diffusion_pytorch_model.safetensors",
            "taesd_encoder.pth",
        ];
        assert_eq!(chosen(&vae, None, None).unwrap(), vae[..2]);
        assert_eq!(
            chosen(&["a.safetensors", "b.txt"], None, None).unwrap(),
            ["a.safetensors"]
        );
        let two = ["a.safetensors", "b.safetensors", "c/d.safetensors"];
        assert!(
            chosen(&two, None, None)
                .unwrap_err()
                .contains("--file: a.safetensors, b.safetensors")
        );
        assert_eq!(
            chosen(&two, None, Some("c/d.safetensors")).unwrap(),
            ["c/d.safetensors"]
        );
        assert!(
            chosen(&two, None, Some("x.safetensors"))
                .unwrap_err()
                .contains("no x.safetensors")
        );
        assert!(
            chosen(&["a.ckpt"], None, None)
                .unwrap_err()
                .contains("no safetensors files")
        );
    }

    #[test]
    fn variants_are_told_by_names() {
        for (name, want) in [
            ("model.safetensors", Some(None)),
            ("model.fp16.safetensors", Some(Some("fp16"))),
            ("a/model-00001-of-00002.safetensors", Some(None)),
            ("model.fp16-00001-of-00002.safetensors", Some(Some("fp16"))),
            ("model.safetensors.index.json", Some(None)),
            ("model.safetensors.index.fp16.json", Some(Some("fp16"))),
            ("model.fp16.safetensors.index.json", Some(Some("fp16"))),
            ("config.json", None),
            ("model.bin", None),
        ] {
            assert_eq!(variant_of(name), want, "{name}");
        }
    }
}
