//! Words to values: each parser says what was got and what was expected.

use std::str::FromStr;

use imagegen::{
    Area, Enlarge, Enlarger, Expand, Intent, Level, MaskedContent, NoiseKind, Precision,
    PredictionType, PromptMode, Rect, Region, Sampler, Size, Spacing, Strength, StrengthRule,
    Wanted,
};
use imagegen_picture::mask::ColourKey;

/// Most rungs of a ladder.
const MOST_STRENGTHS: usize = 16;

pub(super) fn strength(text: &str) -> Result<Strength, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number from 0 to 1".to_owned())?;
    Strength::new(number).map_err(|error| error.to_string())
}

/// By how much a picture is enlarged.
pub(super) fn factor(text: &str) -> Result<u32, String> {
    let by = text.parse().map_err(|_| "expected 2 or 4".to_owned())?;
    let enlarge = Enlarge::new(by, Enlarger::default());
    enlarge.map(Enlarge::by).map_err(|error| error.to_string())
}

/// What enlarges a picture.
pub(super) fn enlarger(text: &str) -> Result<Enlarger, String> {
    text.parse()
        .map_err(|error: imagegen::Error| error.to_string())
}

/// Strengths of a ladder, as they were written or spread over a range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strengths(pub(crate) Vec<Strength>);

/// Reads `0.35,0.5,0.65` or `0.2..0.8:5`.
pub(super) fn strengths(text: &str) -> Result<Strengths, String> {
    let strengths = match text.split_once("..") {
        Some((first, rest)) => spread(first, rest)?,
        None => text
            .split(',')
            .map(|part| strength(part.trim()))
            .collect::<Result<_, _>>()?,
    };
    if strengths.len() > MOST_STRENGTHS {
        let got = strengths.len();
        return Err(format!(
            "{got} strengths, expected at most {MOST_STRENGTHS}"
        ));
    }
    for (index, strength) in strengths.iter().enumerate() {
        if strengths[..index].contains(strength) {
            return Err(format!("strength {strength} is named twice"));
        }
    }
    Ok(Strengths(strengths))
}

/// `count` strengths from `first` to the end of the range, both included, to four digits.
fn spread(first: &str, rest: &str) -> Result<Vec<Strength>, String> {
    let form = || "expected FIRST..LAST:COUNT, such as 0.2..0.8:5".to_owned();
    let (last, count) = rest.split_once(':').ok_or_else(form)?;
    let (first, last) = (strength(first.trim())?.get(), strength(last.trim())?.get());
    let count: usize = count.trim().parse().map_err(|_| form())?;
    if !(2..=MOST_STRENGTHS).contains(&count) {
        return Err(format!("count is {count}, expected 2 to {MOST_STRENGTHS}"));
    }
    let step = (last - first) / (count - 1) as f64;
    let at = |index: usize| (first + step * index as f64).clamp(0.0, 1.0);
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    (0..count)
        .map(|index| Strength::new(rounded(at(index))).map_err(|error| error.to_string()))
        .collect()
}

pub(super) fn guidance(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number from 0 to 100".to_owned())?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("guidance is {number}, expected 0 to 100"))
    }
}

/// A sampler, and the schedule that its name ends with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedSampler {
    pub(crate) sampler: Sampler,
    pub(crate) schedule: Option<Spacing>,
}

pub(super) fn sampler(text: &str) -> Result<NamedSampler, String> {
    let (sampler, schedule) =
        Sampler::parse_with_spacing(text).map_err(|error| error.to_string())?;
    Ok(NamedSampler { sampler, schedule })
}

pub(super) fn schedule(text: &str) -> Result<Spacing, String> {
    Spacing::parse(text).map_err(|error| error.to_string())
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("it is {number}, expected 0 to 1"))
    }
}

pub(super) fn noise(text: &str) -> Result<NoiseKind, String> {
    text.parse()
        .map_err(|error: imagegen::RunError| error.to_string())
}

pub(super) fn precision(text: &str) -> Result<Precision, String> {
    let names = Precision::ALL.map(Precision::name).join(" or ");
    text.parse().map_err(|_| format!("expected {names}"))
}

pub(super) fn prompt_mode(text: &str) -> Result<PromptMode, String> {
    text.parse()
        .map_err(|error: imagegen::Error| error.to_string())
}

pub(super) fn rule(text: &str) -> Result<StrengthRule, String> {
    StrengthRule::from_str(text).map_err(|error| error.to_string())
}

pub(super) fn prediction(text: &str) -> Result<PredictionType, String> {
    text.parse::<PredictionType>()
        .map_err(|error| error.to_string())
}

/// A name that a model of the user's own can have: one part of a path, and none of this program's.
pub(crate) fn model_name(text: &str) -> Result<String, String> {
    let odd = |c: char| "/\\:".contains(c) || c.is_control();
    let sound = !text.trim().is_empty() && !text.starts_with('.') && !text.contains(odd);
    match sound && !imagegen::ModelSource::NAMES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "name is {text:?}, expected one without slashes, colons and a dot at its start, and not starter"
        )),
    }
}

pub(super) fn level(text: &str) -> Result<Level, String> {
    text.parse::<Level>().map_err(|error| error.to_string())
}

pub(super) fn intent(text: &str) -> Result<Intent, String> {
    text.parse::<Intent>().map_err(|error| error.to_string())
}

pub(super) fn content(text: &str) -> Result<MaskedContent, String> {
    text.parse::<MaskedContent>()
        .map_err(|error| error.to_string())
}

pub(super) fn area(text: &str) -> Result<Area, String> {
    text.parse::<Area>().map_err(|error| error.to_string())
}

pub(super) fn expand(text: &str) -> Result<Expand, String> {
    text.parse::<Expand>().map_err(|error| error.to_string())
}

pub(super) fn region(text: &str) -> Result<Region, String> {
    text.parse::<Region>().map_err(|error| error.to_string())
}

pub(super) fn colour_key(text: &str) -> Result<ColourKey, String> {
    text.parse()
}

/// Reads `x,y,w,h`; whether it is inside a picture is known later.
pub(super) fn rect(text: &str) -> Result<Rect, String> {
    let numbers: Option<Vec<u32>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    match numbers.as_deref() {
        Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Rect {
            x,
            y,
            size: Size::new(width, height),
        }),
        _ => Err(format!(
            "box is {text}, expected X,Y,W,H in pixels with W and H of at least 1"
        )),
    }
}

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=16384).contains(side))
}

pub(super) fn exact_size(text: &str) -> Result<(u32, u32), String> {
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| format!("size is {text}, expected WxH with sides from 1 to 16384"))
}

pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    if let Some(longest) = side(text) {
        return Ok(Wanted::Longest(longest));
    }
    let (width, height) = exact_size(text).map_err(|error| error + ", or the longest side")?;
    Ok(Wanted::Exact(width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(wanted("640").unwrap(), Wanted::Longest(640));
        assert_eq!(wanted("640x480").unwrap(), Wanted::Exact(640, 480));
        for bad in ["", "0", "0x5", "-4", "axb", "640x", "99999x5", "1e3"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn boxes_are_read() {
        let read = rect("1, 2,3,4").unwrap();
        assert_eq!((read.x, read.y, read.size), (1, 2, Size::new(3, 4)));
        for bad in [
            "",
            "1,2,3",
            "1,2,0,4",
            "1,2,3,4,5",
            "-1,2,3,4",
            "a,b,c,d",
            "1.5,2,3,4",
        ] {
            assert!(rect(bad).unwrap_err().contains("expected X,Y,W,H"), "{bad}");
        }
    }

    #[test]
    fn strengths_outside_the_range_are_refused() {
        for bad in ["NaN", "-0.1", "1.01", "inf", "half"] {
            assert!(strength(bad).is_err(), "{bad}");
        }
        assert_eq!(strength("0.5").unwrap().get(), 0.5);
    }

    #[test]
    fn ladders_are_lists_or_ranges() {
        let read = |text| -> Vec<f64> {
            strengths(text)
                .unwrap()
                .0
                .iter()
                .map(|strength| strength.get())
                .collect()
        };
        assert_eq!(read("0.35, 0.5,0.65"), [0.35, 0.5, 0.65]);
        assert_eq!(read("0.2..0.8:5"), [0.2, 0.35, 0.5, 0.65, 0.8]);
        assert_eq!(read("0..1:4"), [0.0, 0.3333, 0.6667, 1.0]);
        assert_eq!(read("1..0:2"), [1.0, 0.0]);
        for bad in [
            "",
            "0.5,",
            "0.5,0.5",
            "0.2..0.8",
            "0.2..0.8:1",
            "0.2..0.8:17",
            "0.2..1.8:5",
            "0.5..0.5:2",
            "0.2..0.8:x",
            "0..NaN:3",
        ] {
            assert!(strengths(bad).is_err(), "{bad}");
        }
    }
}
