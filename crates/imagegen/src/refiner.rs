//! Two models at work on one picture: one begins it, a refiner ends it on the same latents.

use std::sync::Arc;

use imagegen_pipeline::{Conditioning, Plan};

use crate::recipe::RefinerMark;
use crate::{Error, Model, Settings};

/// A model that runs the last steps of a request.
#[derive(Debug, Clone)]
pub struct RefinerUse(Arc<Model>);

impl RefinerUse {
    /// Share of the noise levels that is left to the model before the refiner where none is named, as SDXL's authors and
    /// diffusers' documentation have it.
    pub const AT: f64 = 0.8;

    /// Lets `model` run them. Whether it can is known with the model before it.
    pub fn new(model: Arc<Model>) -> Self {
        Self(model)
    }
}

/// The same files, read the same way.
impl PartialEq for RefinerUse {
    fn eq(&self, other: &Self) -> bool {
        self.0.mark == other.0.mark
    }
}

/// A refiner, and when it takes over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refined<'m> {
    pub(crate) model: &'m Model,
    /// Above 0, below 1.
    pub(crate) at: f64,
}

impl Refined<'_> {
    pub(crate) fn mark(self) -> RefinerMark {
        RefinerMark {
            name: self.model.mark.name.clone(),
            sha256: self.model.mark.sha256.clone(),
            at: self.at,
        }
    }
}

/// The settings without a refiner.
pub(crate) fn alone(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.refiner = None;
    settings.sampling.refiner_at = Some(1.0);
    settings
}

impl Model {
    /// Lets `refiner` run the last steps of what [`Model::generate`] and [`Model::transform`] make from now on, from 0.8
    /// of the noise levels where [`crate::Sampling::refiner_at`] does not say. Pictures are decoded by this model.
    ///
    /// Fails with [`Error::Setting`] unless both work on the same latents, and the refiner sees nothing of a source or
    /// what this model sees.
    pub fn refine_with(&mut self, refiner: Arc<Self>) -> Result<(), Error> {
        self.check_refiner(&refiner)?;
        self.refiner = Some(refiner);
        Ok(())
    }

    /// Fails as [`Model::refine_with`].
    fn check_refiner(&self, refiner: &Self) -> Result<(), Error> {
        let (ours, theirs) = (self.latent_space(), refiner.latent_space());
        if ours != theirs {
            let words = |(channels, downscale, scaling)| {
                format!("{channels} channels, {downscale} pixels a side, times {scaling}")
            };
            let subject = format!("the refiner {}'s latents", refiner.name());
            return Err(Error::setting(subject, words(theirs), words(ours)));
        }
        let seen = refiner.conditioning();
        let masked = seen == Some(&Conditioning::Masked);
        if masked || (seen.is_some() && seen != self.conditioning()) {
            let subject = format!("what the refiner {} sees of a source", refiner.name());
            let expected = "nothing, or what the model before it sees";
            return Err(Error::setting(subject, "other channels", expected));
        }
        Ok(())
    }

    /// The refiner that `settings` name, or its own.
    pub(crate) fn refiner_of<'m>(&'m self, settings: &'m Settings) -> Option<&'m Self> {
        let named = settings.refiner.as_ref().map(|named| &*named.0);
        named.or(self.refiner.as_deref())
    }

    /// Name and SHA-256 of its refiner, if it has one.
    pub fn refiner(&self) -> Option<(&str, &str)> {
        let refiner = self.refiner.as_deref();
        refiner.map(|refiner| (refiner.name(), refiner.sha256()))
    }

    /// The refiner of a request, where one has a say.
    pub(crate) fn refined<'m>(
        &'m self,
        settings: &'m Settings,
    ) -> Result<Option<Refined<'m>>, Error> {
        if let Some(RefinerUse(model)) = &settings.refiner {
            self.check_refiner(model)?;
        }
        let at = settings.sampling.refiner_at;
        if let Some(at) = at.filter(|at| !(*at > 0.0 && *at <= 1.0)) {
            let expected = "above 0, up to 1";
            return Err(Error::setting("the refiner's start", at, expected));
        }
        match (self.refiner_of(settings), at) {
            (_, Some(1.0)) | (None, None) => Ok(None),
            (Some(model), at) => Ok(Some(Refined {
                model,
                at: at.unwrap_or(RefinerUse::AT),
            })),
            (None, Some(at)) => {
                let expected = format!("a model that takes over at {at}");
                Err(Error::setting("refiner", "none", expected))
            }
        }
    }

    /// Fails where a refiner or windows are asked for that cannot have a say: parts are repainted by one model, at a
    /// size it works at.
    pub(crate) fn runs_alone(&self, settings: &Settings) -> Result<(), Error> {
        if settings.tiled() {
            let expected =
                "off where a part is repainted; the model sees that part at its own size";
            return Err(Error::setting("tiles", "on", expected));
        }
        if let Some(RefinerUse(model)) = &settings.refiner {
            let expected = "none where a part is repainted, which one model does";
            return Err(Error::setting("refiner", model.name(), expected));
        }
        match settings.sampling.refiner_at {
            None | Some(1.0) => Ok(()),
            Some(at) => {
                let expected = "1 where a part is repainted, which one model does";
                Err(Error::setting("the refiner's start", at, expected))
            }
        }
    }

    /// Steps of a plan, with those of the refiner.
    pub(crate) fn runs(&self, plan: &Plan, refined: Option<Refined<'_>>) -> Result<usize, Error> {
        match refined.filter(|_| plan.runs > 0) {
            None => Ok(plan.runs),
            Some(Refined { model, at }) => {
                let training = model.training(plan.sampler)?;
                Ok(plan.hand_over(&training, at)?.runs())
            }
        }
    }
}
