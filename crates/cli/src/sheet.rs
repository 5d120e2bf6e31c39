//! What ladders and variations share: a source, pictures that are kept for a sheet, the sheet's file.

use std::path::PathBuf;

use anyhow::Result;
use imagegen::{Cell, Facts, Picture, Recipe, contact_sheet, files};
use imagegen_picture::metadata::DigitalSource;
use imagegen_picture::{Metadata, encode};

use crate::output::Output;
use crate::report;

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

    /// Writes the sheet under the name that `recipe` has in `output`, with `tail`. Gives its path.
    pub(crate) fn write(self, recipe: &Recipe, output: &Output, tail: &str) -> Result<PathBuf> {
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
        let place = output.member(recipe, tail);
        let Some((path, existing)) = place else {
            report::print_bytes(&encoded.bytes)?;
            return Ok(PathBuf::from(crate::output::STANDARD));
        };
        Ok(files::write_whole(&path, &encoded.bytes, existing)?)
    }
}

/// The tail of a sheet's name: beside pictures named after source, prompt and seed it needs one.
pub(crate) fn told_apart(output: &Output) -> &'static str {
    match output {
        Output::Named { .. } => "-sheet",
        Output::File { .. } | Output::Standard { .. } => "",
    }
}
