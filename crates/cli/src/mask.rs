//! `imagegen mask`: the mask that options make of a source, to look at or to edit.

use std::process::ExitCode;

use anyhow::Result;
use imagegen::{Format, MadeMask, MaskRequest, PROGRAM, Rect, Source, files};
use imagegen_picture::mask::Mask;
use imagegen_picture::{Metadata, encode};
use serde_json::json;

use crate::arguments::{MaskArguments, MaskOptions};
use crate::output::{Amount, Output, STANDARD};
use crate::report::{self, Usage, say};
use crate::session::{cpu, read_source};
use crate::shown::shown;

pub(crate) fn run(arguments: &MaskArguments) -> Result<ExitCode> {
    let amount = Amount {
        sources: std::slice::from_ref(&arguments.source),
        results: 1,
        json: arguments.machine.json,
    };
    let output = Output::plan(&arguments.target, amount)?;
    if !arguments.over && matches!(output.format(), Format::Jpeg { .. }) {
        let fault = "JPEG would change the mask, expected png or webp, or --over";
        return Err(Usage(fault.to_owned()).into());
    }
    let (source, drawn) = read(&arguments.source, &arguments.mask, &output)?;
    let request = arguments.mask.request(drawn.as_ref());
    let made = request.make(&source, cpu(&arguments.machine.compute))?;
    for warning in &made.warnings {
        report::warning(Some(&source.name), warning);
    }
    let picture = match arguments.over {
        true => made.mask.over(source.picture()),
        false => made.mask.picture(),
    };
    let encoded = encode(&picture, output.format(), &Metadata::default())?;
    let stem = files::default_stem(Some(&source.name), "mask");
    output.open()?;
    let path = output.write_bytes(&encoded.bytes, output.named(&stem))?;
    if !arguments.machine.quiet {
        let name = match path.as_os_str() == STANDARD {
            true => "standard output".to_owned(),
            false => shown(&path.display().to_string()),
        };
        say!("wrote {name} {}", covers(&made.mask));
    }
    if arguments.machine.json {
        let document = document(&path.to_string_lossy(), &source, &request, &made);
        report::print(&format!("{document:#}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The source and the mask picture, where one is named.
///
/// Fails where both are standard input and where the result would replace the mask picture.
pub(crate) fn read(
    path: &std::path::Path,
    options: &MaskOptions,
    output: &Output,
) -> Result<(Source, Option<Source>)> {
    if let Some(mask) = &options.mask {
        if [path, mask].iter().all(|path| path.as_os_str() == STANDARD) {
            let fault = "standard input (-) is named as source and as mask";
            return Err(Usage(fault.to_owned()).into());
        }
        output.spare(mask, "mask")?;
    }
    Ok((read_source(path)?, options.picture(read_source)?))
}

/// How much a mask covers, for people.
pub(crate) fn covers(mask: &Mask) -> String {
    let share = mask.share() * 100.0;
    match mask.bounds() {
        Some(Rect { x, y, size }) => format!(
            "{}: covers {share:.1} % of the picture, inside {x},{y},{},{}",
            mask.size(),
            size.width,
            size.height
        ),
        None => format!("{}: covers nothing", mask.size()),
    }
}

fn document(
    file: &str,
    source: &Source,
    request: &MaskRequest<'_>,
    made: &MadeMask,
) -> serde_json::Value {
    let mask = &made.mask;
    let bounds = mask
        .bounds()
        .map(|Rect { x, y, size }| [x, y, size.width, size.height]);
    let warnings: Vec<_> = made.warnings.iter().map(ToString::to_string).collect();
    let touched = mask
        .coverage()
        .iter()
        .filter(|&&coverage| coverage > 0)
        .count();
    json!({
        "program": PROGRAM,
        "file": file,
        "source": {"name": source.name, "sha256": source.sha256},
        "mask": request.picture.map(|mask| json!({"name": mask.name, "sha256": mask.sha256})),
        "size": [mask.size().width, mask.size().height],
        "share": mask.share(),
        "pixels": touched,
        "bounds": bounds,
        "warnings": warnings,
    })
}
