//! What is fuzzed, and what must hold for every file.

use std::sync::Arc;

use imagegen_model::Weights;
use imagegen_picture::{
    Carried, Format, Limits, Metadata, Picture, Size, decode, encode, metadata,
};
use imagegen_prompt::{MOST_WEIGHT, Piece, Role, parse};

/// Something that reads bytes from outside.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// What it makes of a file, in words; an error where that is wrong.
    pub(crate) run: fn(&[u8]) -> Result<String, String>,
}

impl Target {
    pub(crate) const ALL: &'static [Self] = &[
        Self {
            name: "decode",
            run: decoded,
        },
        Self {
            name: "metadata",
            run: told,
        },
        Self {
            name: "weights",
            run: weights,
        },
        Self {
            name: "prompt",
            run: prompt,
        },
    ];

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|target| target.name == name)
    }
}

/// Small, so that no file takes long.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    pixels: 1 << 18,
    memory: 32 << 20,
};

/// A picture is within the limits, the size it says, and comes back from a lossless format.
fn decoded(bytes: &[u8]) -> Result<String, String> {
    let decoded = match decode(bytes, &LIMITS) {
        Ok(decoded) => decoded,
        Err(error) => return Ok(error.to_string()),
    };
    let (picture, facts) = (&decoded.picture, &decoded.facts);
    let size = picture.size();
    if size.pixels() > LIMITS.pixels || size != facts.size {
        return Err(format!(
            "the picture is {size}, its facts say {}",
            facts.size
        ));
    }
    let metadata = Metadata {
        carried: Carried::of(facts),
        ..Metadata::default()
    };
    let file = encode(picture, Format::Png, &metadata).map_err(|error| error.to_string())?;
    let again =
        decode(&file.bytes, &Limits::default()).map_err(|error| format!("own file: {error}"))?;
    if again.picture != *picture {
        return Err("the picture does not come back".to_owned());
    }
    carried_back(&metadata.carried, &Carried::of(&again.facts))?;
    let warnings: Vec<_> = decoded.warnings.iter().map(ToString::to_string).collect();
    Ok(format!(
        "{} {:?} {} alpha {} profile {} {:?} {warnings:?}",
        facts.format,
        facts.colour,
        facts.bit_depth,
        picture.alpha().is_some(),
        facts.had_profile,
        facts.orientation,
    ))
}

fn carried_back(want: &Carried, got: &Carried) -> Result<(), String> {
    let near = match (want.dpi, got.dpi) {
        (None, None) => true,
        // PNG counts in whole pixels per metre.
        (Some(want), Some(got)) => (want.0 - got.0).abs() < 0.05 && (want.1 - got.1).abs() < 0.05,
        _ => false,
    };
    match want.exif == got.exif && near {
        true => Ok(()),
        false => Err(format!("carried {want:?}, came back as {got:?}")),
    }
}

/// What a file says of its making comes back from each format that has room for it.
fn told(bytes: &[u8]) -> Result<String, String> {
    let told = metadata::read(bytes);
    let picture = Picture::filled(Size::new(2, 2), [1, 2, 3]).map_err(|error| error.to_string())?;
    for format in [Format::Png, Format::JPEG, Format::WebP] {
        // XML holds no control characters; they come back as JSON's escapes.
        let plain = |text: &String| {
            !text.contains(|c: char| c.is_control() || c > '\u{fffd}' || c == '\u{feff}')
        };
        let whole =
            told.json.as_ref().is_none_or(plain) && told.parameters.as_ref().is_none_or(plain);
        match encode(&picture, format, &told) {
            Ok(file) if whole => {
                let again = metadata::read(&file.bytes);
                if again != told {
                    return Err(format!("{told:?} came back from {format:?} as {again:?}"));
                }
            }
            Ok(_) => {}
            Err(error) if format == Format::JPEG => {
                let _ = error; // too long for a segment
            }
            Err(error) => return Err(format!("{told:?} does not go into {format:?}: {error}")),
        }
    }
    // In words that tell files apart, so that those that say something new are kept.
    let start = |text: &Option<String>| -> Option<String> {
        text.as_ref().map(|text| text.chars().take(12).collect())
    };
    let lines = told
        .parameters
        .as_ref()
        .map(|text| "|".repeat(text.lines().count().min(9)));
    let (parameters, json) = (start(&told.parameters), start(&told.json));
    Ok(format!(
        "{parameters:?} {json:?} {lines:?} {:?}",
        told.source
    ))
}

/// A file that is taken holds every tensor it lists.
fn weights(bytes: &[u8]) -> Result<String, String> {
    let weights = match Weights::parse("f", Arc::new(bytes.to_vec())) {
        Ok(weights) => weights,
        Err(error) => return Ok(error.to_string()),
    };
    let mut answer = String::new();
    for name in weights.names() {
        let count: usize = weights.shape(name).unwrap_or_default().iter().product();
        match weights.tensor(name) {
            Ok(tensor) if tensor.data().len() == count => answer += " numbers",
            Ok(tensor) => {
                return Err(format!(
                    "{name:?}: {} numbers, expected {count}",
                    tensor.data().len()
                ));
            }
            Err(error) => answer += &format!(" {error}"),
        }
    }
    Ok(answer)
}

/// Every part says something at every step, and no weight lies outside of the range.
fn prompt(bytes: &[u8]) -> Result<String, String> {
    const STEPS: usize = 6;
    let text = String::from_utf8_lossy(bytes);
    let prompt = match parse(&text, Role::Positive) {
        Ok(prompt) => prompt,
        Err(error) => return Ok(error.to_string()),
    };
    for part in &prompt.parts {
        // Six steps say six things at most.
        let schedule = part.schedule(STEPS).map_err(|error| error.to_string())?;
        let said = |reading: &usize| *reading < schedule.readings.len();
        if schedule.steps.len() != STEPS || !schedule.steps.iter().all(said) {
            return Err(format!("of {STEPS} steps {:?} are said", schedule.steps));
        }
        for piece in schedule.readings.iter().flatten() {
            match piece {
                Piece::Text { weight, .. } if weight.abs() > MOST_WEIGHT || weight.is_nan() => {
                    return Err(format!("a weight is {weight}"));
                }
                _ => {}
            }
        }
    }
    Ok(format!("{} parts", prompt.parts.len()))
}
