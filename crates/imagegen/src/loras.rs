//! LoRAs in requests: files that change layers of a model for a run.

use std::fmt;
use std::sync::Arc;

use imagegen_model::{Weights, lora};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::request::hex;
use crate::{Error, Warning};

/// Most that a LoRA can weigh, and least with a minus; what is beyond is bounded.
pub(crate) const MOST_WEIGHT: f64 = 10.0;

/// The note in which kohya's trainer says how it called the file.
pub(crate) const TRAINED_AS: &str = "ss_output_name";

/// A LoRA file, checked by itself.
pub struct Lora {
    /// What prompts call it: the file's name without its ending.
    pub name: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The name it was trained under, where the trainer wrote it down.
    trained_as: Option<String>,
    short_hash: String,
    file: lora::Lora,
}

impl fmt::Debug for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lora({}, {})", self.name, self.sha256)
    }
}

/// A LoRA in a request.
#[derive(Debug, Clone)]
pub struct LoraUse {
    /// Which one.
    pub lora: Arc<Lora>,
    /// How much of it, -10 to 10; 1 is what it was trained for, 0 nothing.
    pub weight: f64,
}

impl PartialEq for LoraUse {
    fn eq(&self, other: &Self) -> bool {
        (&self.lora.sha256, self.weight) == (&other.lora.sha256, other.weight)
    }
}

/// Which LoRA, and how much of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraMark {
    /// Its name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// What it weighed.
    pub weight: f64,
    /// The first digits of the SHA-256 of what is behind the file's header, which other programs know it by.
    pub short_hash: String,
}

impl Lora {
    /// Reads a safetensors file; `name` is what prompts call it, `file` its name in errors.
    ///
    /// Fails with [`Error::Lora`] for a file that is none, or one of another kind (LoHa, LoKr, DoRA).
    pub fn read(name: &str, file: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let failed = |cause| Error::Lora { cause };
        let sha256 = hex(&Sha256::digest(&bytes));
        let behind = match bytes.first_chunk::<8>() {
            Some(&length) => u64::from_le_bytes(length).saturating_add(8),
            None => 0,
        };
        let behind = usize::try_from(behind).ok().and_then(|at| bytes.get(at..));
        let mut short_hash = hex(&Sha256::digest(behind.unwrap_or_default()));
        short_hash.truncate(12);
        let weights = Weights::parse(file, Arc::new(bytes)).map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            sha256,
            short_hash,
            trained_as: weights.note(TRAINED_AS),
            file: lora::Lora::read(weights).map_err(failed)?,
        })
    }

    /// Whether prompts can mean it by `name`: its own, the one that it was trained under, or either behind folders'
    /// names. Capitals do not count.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let own = [Some(&self.name), self.trained_as.as_ref()];
        let mut own = own.into_iter().flatten();
        own.any(|own| own.eq_ignore_ascii_case(name))
    }

    /// The models it seems made for, where its sizes tell.
    pub fn family(&self) -> Option<&'static str> {
        self.file.family()
    }

    /// Where it belongs in a model. Fails with [`Error::Lora`] where it is for another.
    pub(crate) fn fit(&self, targets: &[lora::Target<'_>]) -> Result<lora::Fit<'_>, Error> {
        let fit = self.file.fit(targets);
        fit.map_err(|cause| Error::Lora { cause })
    }
}

impl LoraUse {
    /// What a recipe says of it.
    pub(crate) fn mark(&self) -> LoraMark {
        LoraMark {
            name: self.lora.name.clone(),
            sha256: self.lora.sha256.clone(),
            weight: self.weight,
            short_hash: self.lora.short_hash.clone(),
        }
    }
}

/// The LoRAs of a run: each file once, where it was named first, with the sum of its weights. What weighs nothing is
/// not there.
pub(crate) fn settled(named: &[LoraUse]) -> Vec<LoraUse> {
    let mut settled = summed(named);
    for LoraUse { weight, .. } in &mut settled {
        *weight = weight.clamp(-MOST_WEIGHT, MOST_WEIGHT);
    }
    settled.retain(|used| used.weight != 0.0);
    settled
}

/// What is to be said of weights. Fails with [`Error::Setting`] for one that is no number.
pub(crate) fn bounded(named: &[LoraUse]) -> Result<Vec<Warning>, Error> {
    if let Some(LoraUse { lora, weight }) = named.iter().find(|used| !used.weight.is_finite()) {
        let subject = format!("the weight of LoRA {:?}", lora.name);
        let expected = format!("a number from -{MOST_WEIGHT} to {MOST_WEIGHT}");
        return Err(Error::setting(subject, weight, expected));
    }
    let beyond = |used: &LoraUse| {
        (used.weight.abs() > MOST_WEIGHT).then(|| Warning::LoraBounded {
            name: used.lora.name.clone(),
            weight: used.weight,
        })
    };
    Ok(summed(named).iter().filter_map(beyond).collect())
}

fn summed(named: &[LoraUse]) -> Vec<LoraUse> {
    let mut summed: Vec<LoraUse> = Vec::new();
    for used in named {
        let known = summed.iter_mut();
        let mut known = known.filter(|known| known.lora.sha256 == used.lora.sha256);
        match known.next() {
            Some(known) => known.weight += used.weight,
            None => summed.push(used.clone()),
        }
    }
    summed
}

/// Finds the LoRAs that a recipe names among those `given`.
///
/// Fails with [`Error::NoLora`] for the first that is missing.
pub(crate) fn found(marks: &[LoraMark], given: &[Arc<Lora>]) -> Result<Vec<LoraUse>, Error> {
    let find = |mark: &LoraMark| {
        let lora = given.iter().find(|lora| lora.sha256 == mark.sha256);
        let lora = lora.ok_or_else(|| Error::NoLora {
            name: mark.name.clone(),
            sha256: mark.sha256.clone(),
        })?;
        Ok(LoraUse {
            lora: Arc::clone(lora),
            weight: mark.weight,
        })
    };
    marks.iter().map(find).collect()
}
