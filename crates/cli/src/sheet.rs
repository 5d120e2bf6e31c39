//! What ladders and variations share: a source, pictures that are kept for a sheet, the sheet's file.

use std::path::PathBuf;

use anyhow::Result;
use imagegen::{Cell, Facts, Picture, Recipe, contact_sheet, files};
use imagegen_picture::metadata::DigitalSource;
use imagegen_picture::{Metadata, encode};
use serde_json::{Map, Value, json};

use crate::output::Output;
use crate::report;
use crate::session::Session;
use crate::shown::shown;

/// Pictures of a sheet, with their captions.
pub(crate) struct Sheet {
    cells: Vec<(Picture, Vec<String>)>,
}

impl Sheet {
    /// A sheet with the source at its head, framed as the results are.
    pub(crate) fn of(framed_source: Picture) -> Self {
        let cells = vec![(framed_source, vec!["source".to_owned()])];
        Self { cells }
    }

    /// Adds a result under a `title` and its fidelity.
    pub(crate) fn add(&mut self, picture: Picture, title: String, facts: &Facts) {
        let mut caption = vec![title];
        caption.extend(
            facts
                .fidelity
                .map(|fidelity| format!("fidelity {:.2}", fidelity.overall)),
        );
        self.cells.push((picture, caption));
    }

    /// Writes the sheet under the name that `recipe` has in `output` and says so. Gives what the JSON
    /// document says of it.
    pub(crate) fn write(
        self,
        session: &Session<'_>,
        recipe: &Recipe,
        output: &Output,
    ) -> Result<Map<String, Value>> {
        let path = self.save(recipe, output)?;
        let name = shown(&path.display().to_string());
        session.tell(format_args!("wrote {name}, the sheet"));
        let sheet = json!(path.to_string_lossy());
        Ok(Map::from_iter([("sheet".to_owned(), sheet)]))
    }

    fn save(self, recipe: &Recipe, output: &Output) -> Result<PathBuf> {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|(picture, caption)| Cell {
                picture,
                caption: caption.clone(),
            })
            .collect();
        let sheet = contact_sheet(&cells)?;
        let metadata = Metadata {
            source: Some(DigitalSource::CompositeWithTrained),
            ..Metadata::default()
        };
        let encoded = encode(&sheet, output.format(), &metadata).map_err(imagegen::Error::from)?;
        let place = output.member(recipe, told_apart(output));
        let Some((path, existing)) = place else {
            report::print_bytes(&encoded.bytes)?;
            return Ok(PathBuf::from(crate::output::STANDARD));
        };
        Ok(files::write_whole(&path, &encoded.bytes, existing)?)
    }
}

/// The tail of a sheet's name: beside pictures named after source, prompt and seed it needs one.
fn told_apart(output: &Output) -> &'static str {
    match output {
        Output::Named { .. } => "-sheet",
        Output::File { .. } | Output::Standard { .. } => "",
    }
}
