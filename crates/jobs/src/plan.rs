//! From an order's texts to requests that a model can carry out. Every value is checked here, by the name
//! of its field.

use std::sync::Arc;

use imagegen::files::Shelves;
use imagegen::{
    Enlarge, Enlarger, Fit, Format, Generate, LoraUse, Model, PromptMode, RefinerUse, Request,
    Sampler, Settings, Source, Strength, StrengthRule, Transform, Variety, Wanted, parse_fit,
    parse_wanted,
};

use crate::named::{quoted, read};
use crate::{Error, Kind, Order, OrderedLora};

/// Longest prompt or negative prompt, in bytes; models read far less.
const TEXT_BYTES: usize = 8192;
/// Fields of an inpainting that the library checks.
const EDGES: [&str; 6] = ["mask", "expand", "padding", "wide", "band", "ring"];
/// Most LoRAs of an order, those of its prompt not counted.
const MOST_LORAS: usize = 16;
/// Longest side that can be asked for, in pixels.
const SIDE: u32 = 16_384;

/// The order with model, seed and strength filled in, so that it means the same after a restart.
pub(crate) fn filled_in(
    order: &Order,
    (name, model): (&str, &Model),
    draw: impl Fn() -> u64,
) -> Order {
    let mut order = order.clone();
    order.model = Some(name.to_owned());
    order.seed.get_or_insert_with(&draw);
    order.sampling.fill_in(draw());
    let mode = PromptMode::default().name();
    order.prompt_mode.get_or_insert_with(|| mode.to_owned());
    let detail = Enlarge::strength(&order.prompt);
    match &mut order.kind {
        Kind::Upscale { with, strength, .. } => {
            with.get_or_insert_with(|| Enlarger::default().name().to_owned());
            strength.get_or_insert(detail);
        }
        Kind::Inpaint {
            strength, painting, ..
        } => {
            // A name of no intent is refused with the order.
            let intent = painting.intent().unwrap_or_default();
            strength.get_or_insert(intent.strength());
        }
        Kind::Transform { strength, .. } | Kind::Vary { strength, .. } => {
            strength.get_or_insert(model.defaults().strength);
        }
        Kind::Generate { .. } | Kind::Ladder { .. } => {}
    }
    order
}

/// Every request that an order may need, in the order they are carried out: for variations also those of
/// the seeds that replace near-duplicates.
///
/// `order` must be filled in, `source` be given for all kinds but pictures from text alone, and `mask` and `refiner` where
/// the order names one. Fails with [`Error::Value`].
pub(crate) fn requests<'a>(
    order: &Order,
    source: Option<&'a Source>,
    mask: Option<&'a Source>,
    (shelves, refiner): (&Shelves, Option<&Arc<Model>>),
) -> Result<Vec<Request<'a>>, Error> {
    let mut settings = settings(order, shelves)?;
    settings.refiner = refiner.cloned().map(RefinerUse::new);
    let settings = settings;
    let counted = |count: u8| 0..u64::from(count);
    let from = |(strength, size, fit): (f64, &Option<String>, &Option<String>)| {
        Ok::<_, Error>(Transform {
            source: source.ok_or_else(|| Error::value("source", "none", "a source"))?,
            enlarge: None,
            strength: self::strength(strength)?,
            size: wanted(size.as_deref())?,
            fit: self::fit(fit.as_deref())?,
            settings: settings.clone(),
        })
    };
    let with_seeds = |template: Transform<'a>, seeds: &mut dyn Iterator<Item = u64>| {
        let request = |by| {
            Request::Transform(Transform {
                settings: settings.counted(by),
                ..template.clone()
            })
        };
        seeds.map(request).collect()
    };
    match &order.kind {
        Kind::Transform {
            strength,
            size,
            fit,
            count,
            ..
        } => {
            in_range("count", *count, 1..=8)?;
            let template = from((given(*strength)?, size, fit))?;
            Ok(with_seeds(template, &mut counted(*count)))
        }
        Kind::Generate {
            width,
            height,
            count,
        } => {
            in_range("count", *count, 1..=8)?;
            in_range("width", *width, 1..=SIDE)?;
            in_range("height", *height, 1..=SIDE)?;
            let request = |by| {
                Request::Generate(Generate {
                    width: *width,
                    height: *height,
                    settings: settings.counted(by),
                })
            };
            Ok(counted(*count).map(request).collect())
        }
        Kind::Ladder {
            strengths,
            size,
            fit,
            ..
        } => {
            check_strengths(strengths)?;
            let rung = |&strength: &f64| Ok(Request::Transform(from((strength, size, fit))?));
            strengths.iter().map(rung).collect()
        }
        Kind::Inpaint {
            strength,
            count,
            painting,
            ..
        } => {
            in_range("count", *count, 1..=8)?;
            let source = source.ok_or_else(|| Error::value("source", "none", "a source"))?;
            let strength = self::strength(given(*strength)?)?;
            let request = |by| {
                let settings = settings.counted(by);
                let request = painting.request(source, mask, strength, settings)?;
                Ok(Request::Inpaint(request))
            };
            counted(*count).map(request).collect()
        }
        Kind::Upscale {
            by, with, strength, ..
        } => {
            let strength = given(*strength)?;
            if strength > 0.0 && settings.prompt.trim().is_empty() {
                let expected = "a prompt, or strength 0";
                return Err(Error::value("prompt", "empty", expected));
            }
            let enlarge = enlarge(*by, with.as_deref())?;
            Ok(vec![Request::Transform(Transform {
                enlarge: Some(enlarge),
                ..from((strength, &None, &None))?
            })])
        }
        Kind::Vary {
            strength,
            count,
            size,
            fit,
            ..
        } => {
            in_range("count", *count, 2..=16)?;
            let template = from((given(*strength)?, size, fit))?;
            let mut seeds = Variety::new(usize::from(*count)).seeds(0);
            Ok(with_seeds(template, &mut seeds))
        }
    }
}

/// Checks that `model` can carry out what was ordered and that its results can be kept. Gives how much work
/// it is: network calls times pixels.
///
/// Fails with [`Error::Library`] or [`Error::Value`].
pub(crate) fn work(
    model: &Model,
    order: &Order,
    requests: &[Request<'_>],
    most_pixels: u64,
) -> Result<f64, Error> {
    let mut work = 0.0;
    // The further seeds of variations need no check of their own, and may not be run.
    for request in requests.iter().take(order.kind.pictures()) {
        let field = match request {
            Request::Generate(request) if request.settings.sampling.hires.is_some() => "hires",
            Request::Generate(_) => "width",
            Request::Transform(request) if request.enlarge.is_some() => "by",
            Request::Transform(_) => "size",
            Request::Inpaint(_) => "expand",
        };
        let recipe = model.plan(request).map_err(|error| match error {
            imagegen::Error::Setting {
                subject,
                got,
                expected,
            } if subject == "size" => match request {
                // The first pass is too large already.
                Request::Generate(_) => Error::value("width", got, expected),
                _ => Error::value(field, got, expected),
            },
            imagegen::Error::Setting {
                subject,
                got,
                expected,
            } if subject == "the second pass's size" => Error::value(field, got, expected),
            imagegen::Error::Setting {
                subject,
                got,
                expected,
            } if matches!(request, Request::Inpaint(_)) && EDGES.contains(&subject.as_str()) => {
                let field = EDGES.into_iter().find(|field| *field == subject);
                Error::value(field.unwrap_or("mask"), got, expected)
            }
            other => other.into(),
        })?;
        recipe.check(Format::Png)?;
        let [width, height] = recipe.size;
        if u64::from(width) * u64::from(height) > most_pixels {
            let expected = format!("at most {most_pixels} pixels");
            return Err(Error::value(field, format!("{width}x{height}"), expected));
        }
        work += model.work(request)?.amount();
    }
    Ok(work)
}

fn settings(order: &Order, shelves: &Shelves) -> Result<Settings, Error> {
    for (field, text) in [
        ("prompt", &order.prompt),
        ("negative_prompt", &order.negative_prompt),
    ] {
        if text.len() > TEXT_BYTES {
            let got = format!("{} bytes long", text.len());
            return Err(Error::value(field, got, format!("at most {TEXT_BYTES}")));
        }
    }
    if let Some(steps) = order.steps {
        in_range("steps", steps, 1..=1000)?;
    }
    if let Some(scale) = order.guidance_scale
        && !(0.0..=100.0).contains(&scale)
    {
        return Err(Error::value("guidance_scale", scale, "0 to 100"));
    }
    let mode = read(
        "prompt_mode",
        order.prompt_mode.as_deref(),
        "a1111 or plain",
    )?;
    let samplers: Vec<_> = Sampler::ALL.iter().map(|sampler| sampler.name()).collect();
    let sampler = order.sampler.as_deref();
    let rule = order.strength_rule.as_deref();
    let rules = "share, exact, diffusers or a1111";
    let mut settings = Settings {
        prompt: order.prompt.clone(),
        negative_prompt: order.negative_prompt.clone(),
        prompt_mode: mode.unwrap_or(PromptMode::Plain),
        steps: order.steps,
        guidance_scale: order.guidance_scale,
        seed: order
            .seed
            .ok_or_else(|| Error::value("seed", "none", "a seed"))?,
        sampler: read("sampler", sampler, &samplers.join(", "))?,
        sampling: order.sampling.choices()?,
        loras: loras(&order.loras, shelves)?,
        loras_settled: false,
        embeddings: Vec::new(),
        refiner: None,
        rule: read("strength_rule", rule, rules)?.unwrap_or(StrengthRule::Share),
    };
    shelves.fill(&mut settings)?;
    Ok(settings)
}

/// The LoRAs that an order names.
fn loras(ordered: &[OrderedLora], shelves: &Shelves) -> Result<Vec<LoraUse>, Error> {
    if ordered.len() > MOST_LORAS {
        let got = format!("a list of {}", ordered.len());
        let expected = format!("at most {MOST_LORAS}");
        return Err(Error::value("loras", got, expected));
    }
    let find = |OrderedLora { name, weight }: &OrderedLora| {
        in_range("loras", *weight, -10.0..=10.0)?;
        let Some(shelf) = &shelves.loras else {
            let expected = "none: the service has no LoRAs";
            return Err(Error::value("loras", quoted(name), expected));
        };
        let lora = shelf.get(name).map_err(Error::Lora)?;
        Ok(LoraUse {
            lora,
            weight: *weight,
        })
    };
    // What weighs nothing has to have a name all the same.
    ordered.iter().map(find).collect()
}

fn in_range<T: PartialOrd + ToString>(
    field: &'static str,
    got: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<(), Error> {
    if range.contains(&got) {
        return Ok(());
    }
    let expected = format!(
        "{} to {}",
        range.start().to_string(),
        range.end().to_string()
    );
    Err(Error::value(field, got, expected))
}

fn given(strength: Option<f64>) -> Result<f64, Error> {
    strength.ok_or_else(|| Error::value("strength", "none", "0 to 1"))
}

fn strength(strength: f64) -> Result<Strength, Error> {
    Strength::new(strength).map_err(|_| Error::value("strength", strength, "0 to 1"))
}

fn check_strengths(strengths: &[f64]) -> Result<(), Error> {
    let field = "strengths";
    if !(2..=8).contains(&strengths.len()) {
        return Err(Error::value(
            field,
            format!("{} numbers", strengths.len()),
            "2 to 8",
        ));
    }
    for (index, strength) in strengths.iter().enumerate() {
        if !(0.0..=1.0).contains(strength) {
            return Err(Error::value(field, strength, "0 to 1 each"));
        }
        if strengths[..index].contains(strength) {
            return Err(Error::value(
                field,
                format!("{strength} twice"),
                "different ones",
            ));
        }
    }
    Ok(())
}

fn enlarge(by: u32, with: Option<&str>) -> Result<Enlarge, Error> {
    let with = match with {
        None => Enlarger::default(),
        Some(name) => name.parse().map_err(|_| {
            let names = Enlarger::ALL.map(Enlarger::name).join(" or ");
            Error::value("with", quoted(name), names)
        })?,
    };
    Enlarge::new(by, with).map_err(|_| Error::value("by", by, "2 or 4"))
}

fn wanted(size: Option<&str>) -> Result<Wanted, Error> {
    let Some(text) = size else {
        return Ok(Wanted::Source);
    };
    let fits = |side: u32| (1..=SIDE).contains(&side);
    let wanted = parse_wanted(text).filter(|wanted| match *wanted {
        Wanted::Source => true,
        Wanted::Longest(side) => fits(side),
        Wanted::Exact(width, height) => fits(width) && fits(height),
    });
    wanted.ok_or_else(|| {
        let expected = format!("source, a side or WxH, with sides from 1 to {SIDE}");
        Error::value("size", quoted(text), expected)
    })
}

fn fit(name: Option<&str>) -> Result<Fit, Error> {
    let Some(name) = name else {
        return Ok(Fit::default());
    };
    parse_fit(name).ok_or_else(|| Error::value("fit", quoted(name), "keep, crop, pad or stretch"))
}
