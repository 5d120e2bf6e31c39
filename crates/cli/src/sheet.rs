//! The file of a sheet of ladders and variations.

use std::path::PathBuf;

use anyhow::Result;
use imagegen::{Recipe, Sheet, files};
use serde_json::{Map, Value, json};

use crate::output::Output;
use crate::report;
use crate::session::Session;
use crate::shown::shown;

/// Writes a sheet under the name that `recipe` has in `output` and says so. Gives what the JSON document
/// says of it.
pub(crate) fn write(
    sheet: &Sheet,
    session: &Session<'_>,
    recipe: &Recipe,
    output: &Output,
) -> Result<Map<String, Value>> {
    let path = save(sheet, recipe, output)?;
    let name = shown(&path.display().to_string());
    session.tell(format_args!("wrote {name}, the sheet"));
    let sheet = json!(path.to_string_lossy());
    Ok(Map::from_iter([("sheet".to_owned(), sheet)]))
}

fn save(sheet: &Sheet, recipe: &Recipe, output: &Output) -> Result<PathBuf> {
    let encoded = sheet.encode(output.format())?;
    let place = output.member(recipe, told_apart(output));
    let Some((path, existing)) = place else {
        report::print_bytes(&encoded.bytes)?;
        return Ok(PathBuf::from(crate::output::STANDARD));
    };
    Ok(files::write_whole(&path, &encoded.bytes, existing)?)
}

/// The tail of a sheet's name: beside pictures named after source, prompt and seed it needs one.
fn told_apart(output: &Output) -> &'static str {
    match output {
        Output::Named { .. } => "-sheet",
        Output::File { .. } | Output::Standard { .. } => "",
    }
}
