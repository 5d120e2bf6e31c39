//! A picture from text in two passes: at the size its model works at, then again over that picture, enlarged.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use imagegen_engine::{Backend, Resize};
use imagegen_picture::{
    Filter, Fit, FitPlan, FitRequest, Picture, Size, WHITE, Wanted, flatten, plan, resize,
};
use imagegen_pipeline::{Img2Img, LatentCodec, Plan, StepRecord, Strength, img2img, latents2img};
use serde::{Deserialize, Serialize};

use crate::prompts::ReadTexts;
use crate::run::{MIN_SIDE, sides, to_picture, unit_tensor};
use crate::{Enlarge, Enlarger, Error, Generate, Model, Settings, Stage, Warning, Watcher};

/// Most pixels of the second pass's result.
const PIXELS: u64 = 16 << 20;

/// What enlarges the first pass's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Its pixels are enlarged, and encoded again.
    Pixels(Enlarger),
    /// Its latents are enlarged, bilinearly: softer, and needs a strength of 0.5 or more to become sharp.
    Latents,
}

impl Between {
    /// Every kind.
    pub const ALL: [Self; 3] = [
        Self::Pixels(Enlarger::Lanczos),
        Self::Pixels(Enlarger::Network),
        Self::Latents,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pixels(enlarger) => enlarger.name(),
            Self::Latents => "latent",
        }
    }
}

impl Default for Between {
    fn default() -> Self {
        Self::Pixels(Enlarger::Lanczos)
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Between {
    type Err = Error;

    /// Fails with [`Error::Setting`] for a name that is none.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::setting("what enlarges", name, format!("one of {names}"))
        })
    }
}

/// A second pass over a picture from text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hires {
    /// By what each side is multiplied, above 1, up to 4.
    pub by: f64,
    /// How far the second pass moves away from the enlarged picture, above 0.
    pub strength: Strength,
    /// Steps of its full schedule, 1 to 1000; those of the first pass where it does not say.
    pub steps: Option<usize>,
    /// What enlarges.
    pub with: Between,
}

/// A second pass, as recipes carry it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiresMark {
    /// By what each side was multiplied.
    pub by: f64,
    /// How far it moved away from the enlarged picture.
    pub strength: f64,
    /// Steps of its full schedule.
    pub steps: usize,
    /// What enlarged.
    pub with: String,
    /// Width and height of the first pass's picture.
    pub size: [u32; 2],
    /// Width and height the model worked at in the second pass.
    pub work_size: [u32; 2],
    /// Side, in pixels, of the windows in which the network saw it; absent where it saw it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<u32>,
    /// Side, in pixels, of the tiles in which the autoencoder saw it; absent where it saw it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae_tiles: Option<u32>,
}

impl HiresMark {
    /// What makes the same again.
    pub(crate) fn hires(&self) -> Result<Hires, Error> {
        Ok(Hires {
            by: self.by,
            strength: Strength::new(self.strength)?,
            steps: Some(self.steps),
            with: self.with.parse()?,
        })
    }
}

/// A second pass with nothing left to decide.
pub(crate) struct PlannedHires {
    hires: Hires,
    pub(crate) pipeline: imagegen_pipeline::Settings,
    /// Of the enlarged picture.
    fit: FitPlan,
    pub(crate) texts: ReadTexts,
    pub(crate) runs: usize,
    pub(crate) mark: HiresMark,
}

impl PlannedHires {
    /// Size of the picture.
    pub(crate) fn size(&self) -> Size {
        self.fit.result_size()
    }
}

/// A watcher that hears of both passes' steps as of one row.
pub(crate) struct Counted<'a> {
    pub(crate) inner: &'a mut dyn Watcher,
    pub(crate) before: usize,
    pub(crate) of: usize,
}

impl Watcher for Counted<'_> {
    fn stage(&mut self, stage: Stage) {
        self.inner.stage(stage);
    }

    fn warning(&mut self, warning: &Warning) {
        self.inner.warning(warning);
    }

    fn window(&mut self, window: usize, windows: usize) -> ControlFlow<()> {
        self.inner.window(window, windows)
    }

    fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
        self.inner.step(&StepRecord {
            step: self.before + record.step,
            steps: self.of,
            ..*record
        })
    }
}

impl Model {
    /// The second pass that `request` asks for, with what its first pass resolved.
    pub(crate) fn plan_hires(
        &self,
        request: &Generate,
        first: &imagegen_pipeline::Settings,
    ) -> Result<Option<PlannedHires>, Error> {
        let Some(hires) = request.settings.sampling.hires else {
            return Ok(None);
        };
        let size = hires.size(Size::new(request.width, request.height))?;
        let steps = hires.steps.unwrap_or(first.steps);
        if !(1..=1000).contains(&steps) {
            return Err(Error::setting(
                "steps of the second pass",
                steps,
                "1 to 1000",
            ));
        }
        let fit = plan(&FitRequest {
            source: size,
            wanted: Wanted::Source,
            fit: Fit::Keep,
            grid: self.grid(),
            budget_pixels: u64::MAX,
            min_side: MIN_SIDE,
        })?;
        let pipeline = imagegen_pipeline::Settings {
            steps,
            windows: self.windows(fit.work_size())?,
            ..*first
        };
        let training = self.training(pipeline.sampler)?;
        let planned = Plan::img2img(&training, pipeline.plan_request(hires.strength))?;
        let runs = self.runs(&planned, self.refined(&request.settings)?)?;
        Ok(Some(PlannedHires {
            texts: self.read_texts(&request.settings, &pipeline, runs)?,
            runs,
            mark: HiresMark {
                by: hires.by,
                strength: hires.strength.get(),
                steps,
                with: hires.with.name().to_owned(),
                size: [request.width, request.height],
                work_size: sides(fit.work_size()),
                tiles: pipeline.windows.map(|windows| self.window_side(windows)),
                vae_tiles: self.vae_tiles(&request.settings, fit.work_size()),
            },
            hires,
            pipeline,
            fit,
        }))
    }

    /// Runs a second pass over `picture`, whose `latents` the first pass ended with.
    pub(crate) fn second_pass(
        &self,
        second: &PlannedHires,
        (picture, latents): (&Picture, &imagegen_engine::Tensor),
        settings: &Settings,
        watcher: &mut dyn Watcher,
    ) -> Result<(Picture, imagegen_pipeline::Facts), Error> {
        let enlarged = self.enlarged_for(second, picture, watcher)?;
        let work = second.fit.work_size();
        let source = unit_tensor(&second.fit.to_work(&flatten(&enlarged, WHITE)))?;
        let latents = match second.hires.with {
            Between::Pixels(_) => None,
            Between::Latents => {
                let cell = self.codec().downscale();
                let size = [work.height, work.width].map(|side| side as usize / cell);
                let engine = self.engine();
                let larger = engine.resize(&engine.upload(latents), size, Resize::Bilinear)?;
                Some(engine.download(&larger))
            }
        };
        let mut aids = self.aids(settings)?;
        aids.washes = false; // what came of the text has its colours
        let run = self.carry_out(
            (&second.texts, aids),
            (second.pipeline, second.runs),
            watcher,
            |settings, networks, progress| {
                let request = Img2Img {
                    source: &source,
                    strength: second.hires.strength,
                    settings,
                };
                match &latents {
                    None => img2img(&request, networks, progress),
                    Some(latents) => latents2img(latents, &request, networks, progress),
                }
            },
        )?;
        let picture = second.fit.from_work(&to_picture(&run.pixels, work)?);
        Ok((picture, run.facts))
    }

    /// The first pass's picture at the second one's size.
    fn enlarged_for(
        &self,
        second: &PlannedHires,
        picture: &Picture,
        watcher: &mut dyn Watcher,
    ) -> Result<Picture, Error> {
        let size = second.fit.result_size();
        let Between::Pixels(Enlarger::Network) = second.hires.with else {
            return Ok(resize(picture, size, Filter::Lanczos3));
        };
        watcher.stage(Stage::Enlarge);
        // It enlarges twice or four times; what is too much is taken back.
        let by = if second.hires.by > 2.0 { 4 } else { 2 };
        let mut at = (0, 0);
        let mut progress = |window, windows| {
            at = (window, windows);
            watcher.window(window, windows)
        };
        let enlarge = Enlarge::new(by, Enlarger::Network)?;
        let enlarged = enlarge.carry_out(self.engine(), picture, &mut progress)?;
        let (step, steps) = at;
        let enlarged = enlarged.ok_or(imagegen_pipeline::Error::Cancelled { step, steps })?;
        Ok(match enlarged.size() == size {
            true => enlarged,
            false => resize(&enlarged, size, Filter::Lanczos3),
        })
    }
}

impl Hires {
    /// Strength of a second pass where nobody says: it keeps the composition and draws detail.
    pub const STRENGTH: f64 = 0.5;

    /// The size that `size` comes to. Fails with [`Error::Setting`] for factors and strengths out of range and results
    /// that are too large.
    fn size(self, size: Size) -> Result<Size, Error> {
        if !(self.by > 1.0 && self.by <= 4.0) {
            return Err(Error::setting(
                "the second pass's factor",
                self.by,
                "above 1, up to 4",
            ));
        }
        if self.strength.get() == 0.0 {
            let name = "the second pass's strength";
            return Err(Error::setting(name, self.strength, "above 0, up to 1"));
        }
        let side = |side: u32| (f64::from(side) * self.by).round() as u32;
        let larger = Size::new(side(size.width), side(size.height));
        if larger.pixels() > PIXELS {
            let expected = format!("at most {PIXELS} pixels");
            return Err(Error::setting("the second pass's size", larger, expected));
        }
        Ok(larger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for between in Between::ALL {
            assert_eq!(between.name().parse::<Between>().unwrap(), between);
        }
        let error = "esrgan".parse::<Between>().unwrap_err().to_string();
        assert!(
            error.ends_with("expected one of lanczos, realesr-animevideov3, latent"),
            "{error}"
        );
    }
}
