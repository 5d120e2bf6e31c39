//! A second pass over a picture from text, as it is ordered, and the pass that comes of it.

use imagegen::{Between, Strength};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::named::read;

/// A second pass over a picture from text, enlarged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hires {
    /// By what each side is multiplied, above 1, up to 4.
    pub by: f64,
    /// How far it moves away from the enlarged picture, above 0, up to 1. Stored orders always have it.
    pub strength: Option<f64>,
    /// Steps of its full schedule, 1 to 1000; the first pass's where absent.
    pub steps: Option<usize>,
    /// What enlarges: `lanczos`, `realesr-animevideov3` or `latent`. Stored orders always have it.
    pub with: Option<String>,
}

impl Hires {
    /// Names what it does where that is left open.
    pub(crate) fn fill_in(&mut self) {
        self.strength.get_or_insert(imagegen::Hires::STRENGTH);
        self.with
            .get_or_insert_with(|| Between::default().name().to_owned());
    }

    /// The library's pass.
    ///
    /// Fails with [`Error::Value`] by the name of the field.
    pub(crate) fn pass(&self) -> Result<imagegen::Hires, Error> {
        if !(self.by > 1.0 && self.by <= 4.0) {
            return Err(Error::value("hires.by", self.by, "above 1, up to 4"));
        }
        let strength = self.strength.unwrap_or(imagegen::Hires::STRENGTH);
        let strength = Strength::new(strength).ok().filter(|it| it.get() > 0.0);
        let strength = strength.ok_or_else(|| {
            let got = self.strength.unwrap_or_default();
            Error::value("hires.strength", got, "above 0, up to 1")
        })?;
        if let Some(steps) = self.steps
            && !(1..=1000).contains(&steps)
        {
            return Err(Error::value("hires.steps", steps, "1 to 1000"));
        }
        let names = Between::ALL.map(Between::name).join(", ");
        let with = read("hires.with", self.with.as_deref(), &names)?;
        Ok(imagegen::Hires {
            by: self.by,
            strength,
            steps: self.steps,
            with: with.unwrap_or_default(),
        })
    }
}
