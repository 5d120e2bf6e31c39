//! Sheets of ladders and variations: the source at their head, then results, each under what tells it
//! from the others and its fidelity.

use imagegen_picture::metadata::DigitalSource;
use imagegen_picture::{Encoded, Filter, Format, Metadata, Picture, encode};

use super::{CELL, Cell, contact_sheet};
use crate::shrink::shrunk;
use crate::{Error, Recipe};

/// A source and its results, to be seen side by side.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Pictures as they are shown, with their captions.
    cells: Vec<(Picture, Vec<String>)>,
}

impl Sheet {
    /// A sheet with the source at its head, framed as the results are
    /// ([`Model::framed_source`](crate::Model::framed_source)).
    pub fn of(framed_source: &Picture) -> Self {
        let mut sheet = Self { cells: Vec::new() };
        sheet.add(framed_source, vec!["source".to_owned()]);
        sheet
    }

    /// Adds a result under its strength.
    pub fn add_rung(&mut self, picture: &Picture, recipe: &Recipe) {
        self.add_result(picture, format!("strength {}", recipe.strength), recipe);
    }

    /// Adds a result under its seed.
    pub fn add_variation(&mut self, picture: &Picture, recipe: &Recipe) {
        self.add_result(picture, format!("seed {}", recipe.row_seed()), recipe);
    }

    fn add_result(&mut self, picture: &Picture, title: String, recipe: &Recipe) {
        let mut caption = vec![title];
        caption.extend(
            recipe
                .fidelity
                .map(|fidelity| format!("fidelity {:.2}", fidelity.overall)),
        );
        self.add(picture, caption);
    }

    fn add(&mut self, picture: &Picture, caption: Vec<String>) {
        // Shrunk at once: a sheet of many large results stays small.
        let shown = shrunk(picture, CELL, Filter::Lanczos3);
        self.cells.push((shown, caption));
    }

    /// The sheet as a file that says it was made with a trained model's help.
    ///
    /// Fails with [`Error::Encode`].
    pub fn encode(&self, format: Format) -> Result<Encoded, Error> {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|(picture, caption)| Cell {
                picture,
                caption: caption.clone(),
            })
            .collect();
        let metadata = Metadata {
            source: Some(DigitalSource::CompositeWithTrained),
            ..Metadata::default()
        };
        Ok(encode(&contact_sheet(&cells)?, format, &metadata)?)
    }
}
