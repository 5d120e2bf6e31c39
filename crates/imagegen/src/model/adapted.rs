//! Networks that LoRAs changed, for a run: copies of a model's own that share with them what is not changed.

use std::sync::{Arc, Mutex, PoisonError};

use imagegen_model::UNet;
use imagegen_model::lora::{Changes, Network, Target};

use super::files::{ModelFiles, Stamp};
use super::parts::Parts;
use super::texts::Texts;
use super::{Encoded, Engine, Model, ModelChoice};
use crate::{Error, LoraUse, Warning};

/// A model's UNet and text encoders with LoRAs in them.
#[derive(Debug)]
pub(crate) struct Adapted {
    loras: Vec<LoraUse>,
    pub(super) unet: UNet<Engine>,
    pub(super) texts: Texts<Engine>,
    /// The last few texts that these encoders encoded.
    pub(super) encoded: Mutex<Encoded>,
}

/// Where a model's own weights are read again when LoRAs change them.
#[derive(Debug)]
pub(super) struct Origin {
    choice: ModelChoice,
    /// The files as they were when the model was loaded.
    stamps: Vec<Stamp>,
}

impl Origin {
    pub(super) fn of(choice: ModelChoice, files: &ModelFiles) -> Self {
        Self {
            choice,
            stamps: files.stamps(),
        }
    }

    /// Reads the parts again. Fails with [`Error::Setting`] where a file is not what it was.
    fn parts(&self) -> Result<(ModelFiles, Parts), Error> {
        let files = ModelFiles::open(&self.choice.source)?;
        let parts = Parts::read(&files, &self.choice)?;
        if files.stamps() != self.stamps {
            let subject = format!("a file of model {}", files.name());
            let expected = "as it was then; load the model again";
            return Err(Error::setting(
                subject,
                "another one than when it was loaded",
                expected,
            ));
        }
        Ok((files, parts))
    }
}

impl Model {
    /// What LoRAs change, as they look for their layers.
    fn targets(&self) -> Vec<Target<'_>> {
        let unet = Target {
            network: Network::UNet,
            layers: self.networks.unet.layers(),
        };
        let towers = self.networks.texts.towers.iter().enumerate();
        let texts = towers.map(|(index, (tower, _))| Target {
            network: self.tower(index),
            layers: tower.layers(),
        });
        [unet].into_iter().chain(texts).collect()
    }

    /// Which text encoder stands at a place. A refiner has the second alone.
    fn tower(&self, index: usize) -> Network {
        let alone = self.networks.texts.towers.len() == 1;
        let pooled = self.networks.unet.config().added.is_some();
        match index {
            0 if alone && pooled => Network::SecondText,
            0 => Network::Text,
            _ => Network::SecondText,
        }
    }

    /// What is to be said of LoRAs in this model.
    ///
    /// Fails with [`Error::Lora`] for one that is for another.
    pub(crate) fn fit_loras(&self, loras: &[LoraUse]) -> Result<Vec<Warning>, Error> {
        let targets = match loras {
            [] => return Ok(Vec::new()),
            _ => self.targets(),
        };
        let mut warnings = Vec::new();
        for LoraUse { lora, .. } in loras {
            let fit = lora.fit(&targets)?;
            warnings.extend(fit.unused().map(|(count, first)| Warning::LoraUnused {
                name: lora.name.clone(),
                count,
                first: first.to_owned(),
            }));
        }
        Ok(warnings)
    }

    /// The networks with `loras` in them, each of which is named once; `None` for none of them. Those of the last run
    /// are kept for the next one, no others.
    ///
    /// Fails with [`Error::Lora`], and with [`Error::Setting`] where the model's files are not what they were.
    pub(crate) fn adapted(&self, loras: &[LoraUse]) -> Result<Option<Arc<Adapted>>, Error> {
        let mut last = self.adapted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(adapted) = last.as_ref().filter(|adapted| adapted.loras == loras) {
            return Ok(Some(Arc::clone(adapted)));
        }
        *last = None; // first of all, so that there is room
        if !loras.is_empty() {
            *last = Some(Arc::new(self.adapt(loras)?));
        }
        Ok(last.clone())
    }

    fn adapt(&self, loras: &[LoraUse]) -> Result<Adapted, Error> {
        let failed = |cause| Error::Lora { cause };
        let (_files, parts) = self.origin.parts()?;
        let targets = self.targets();
        let fits = loras.iter().map(|used| used.lora.fit(&targets));
        let fits: Vec<_> = fits.collect::<Result<_, _>>()?;
        let changes = |network| {
            let mut changes = Changes::default();
            for (fit, used) in fits.iter().zip(loras) {
                fit.add_to(&mut changes, network, used.weight);
            }
            changes
        };
        let (own, engine) = (&self.networks, self.engine());
        let weights = &parts.unet.weights;
        let unet = own.unet.changed(engine, weights, &changes(Network::UNet));
        let mut towers = Vec::new();
        for (index, ((tower, tokenizer), text)) in
            own.texts.towers.iter().zip(&parts.texts).enumerate()
        {
            let changes = changes(self.tower(index));
            let tower = tower.changed(engine, &text.part.weights, &changes);
            towers.push((tower.map_err(failed)?, Arc::clone(tokenizer)));
        }
        Ok(Adapted {
            loras: loras.to_vec(),
            unet: unet.map_err(failed)?,
            texts: Texts {
                towers,
                states: own.texts.states,
                embeddings: own.texts.embeddings.clone(),
            },
            encoded: Mutex::default(),
        })
    }
}
