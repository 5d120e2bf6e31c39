//! Requests for pictures.

use imagegen_jobs::{Hires, Inpainting, Kind, Order, OrderedLora, Sampling};
use serde::Deserialize;
use utoipa::ToSchema;

use super::inpainting::InpaintingBody;
use super::{HiresBody, LoraBody, Seed};

/// Strengths of a ladder where none are named.
const RUNGS: [f64; 3] = [0.35, 0.5, 0.65];

/// A kind of request: its own fields, those that all kinds have, and the groups of fields that it names after them.
macro_rules! request {
    // A group moves its fields to those of the kind, and what they say into the order.
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] prompt $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// What to make, in words.
                #[schema(example = "oil painting, impressionist style, warm palette")]
                prompt: String,
            ]
            [$($fill,)*] $($rest)*
        }
    };
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] detail $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// What to draw in detail, in words; the picture is only enlarged where absent.
                #[serde(default)]
                prompt: String,
            ]
            [$($fill,)*] $($rest)*
        }
    };
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] strength_rule $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// What strength means: `share` (where absent), `exact`, `diffusers` or `a1111`.
                strength_rule: Option<String>,
            ]
            [$($fill,)* |request, order| order.strength_rule.clone_from(&request.strength_rule),] $($rest)*
        }
    };
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] tiles $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// What is done about pictures larger than the model works at: `off` (where absent), or `on`: they are worked on
                /// at their own size, in windows.
                tiles: Option<String>,
            ]
            [$($fill,)* |request, order| order.sampling.tiles.clone_from(&request.tiles),] $($rest)*
        }
    };
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] hires $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// A second pass over the picture, enlarged; none where absent.
                hires: Option<HiresBody>,
            ]
            [$($fill,)* |request, order| order.sampling.hires = request.hires.as_ref().map(Hires::from),] $($rest)*
        }
    };
    (@ $kind:tt [$($fields:tt)*] [$($fill:expr,)*] refiner $($rest:ident)*) => {
        request! {
            @ $kind
            [
                $($fields)*
                /// The model that runs the last steps on the same latents, by its name; none where absent. `GET /models` says which
                /// models can.
                refiner: Option<String>,
                /// Share of the noise levels that is left to the model before it, above 0; 0.8 where absent, 1 leaves the refiner out.
                #[schema(exclusive_minimum = 0, maximum = 1)]
                refiner_at: Option<f64>,
            ]
            [
                $($fill,)*
                |request, order| {
                    order.sampling.refiner.clone_from(&request.refiner);
                    order.sampling.refiner_at = request.refiner_at;
                },
            ]
            $($rest)*
        }
    };
    (@ [$(#[$about:meta])* $name:ident] [$($fields:tt)*] [$($fill:expr,)*]) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($fields)*
            /// What to keep away from, in words.
            #[serde(default)]
            negative_prompt: String,
            /// What brackets and keywords in both mean: `a1111` (where absent) or `plain`.
            prompt_mode: Option<String>,
            /// LoRAs that change the model, besides those that the prompt names; their names are those of `GET /loras`.
            #[serde(default)]
            loras: Vec<LoraBody>,
            /// Steps of the full schedule; the model's own where absent.
            #[schema(minimum = 1, maximum = 1000)]
            steps: Option<usize>,
            /// Weight of the prompt over the negative prompt; the model's own where absent.
            #[schema(minimum = 0, maximum = 100)]
            guidance_scale: Option<f64>,
            /// Seed of the first picture; drawn where absent.
            seed: Option<Seed>,
            /// The algorithm, by a name that the model lists; the model's own where absent.
            sampler: Option<String>,
            /// How noise levels are laid out, by a name that the model lists; the model's own where absent.
            schedule: Option<String>,
            /// Share of fresh noise in each step, with samplers that have such a choice; the sampler's own where
            /// absent.
            #[schema(minimum = 0, maximum = 1)]
            eta: Option<f64>,
            /// Share of guidance's contrast to take back; 0 where absent.
            #[schema(minimum = 0, maximum = 1)]
            guidance_rescale: Option<f64>,
            /// Share of the steps to guide, from the first; the others are as at guidance 1, in half the time. 1 where absent.
            #[schema(exclusive_minimum = 0, maximum = 1)]
            guidance_until: Option<f64>,
            /// Every how many steps the whole network runs; those between take over what its deep layers made. 1 where absent.
            #[schema(minimum = 1, maximum = 100)]
            cache_interval: Option<usize>,
            /// Share of the tokens that self-attention does without, each standing for others like it: faster and a little off. 0 where
            /// absent.
            #[schema(minimum = 0, maximum = 0.75)]
            token_merging: Option<f64>,
            /// Weight of the source, with models that edit as told; the model's own where absent.
            #[schema(minimum = 0, maximum = 100)]
            image_guidance: Option<f64>,
            /// Colours that a learned autoencoder shifts: `kept` or `decoded`; `kept` where absent, `decoded` under
            /// strength rules `diffusers` and `a1111`.
            colours: Option<String>,
            /// Line drawings, with models that put colours under their lines: `on` (where absent) or `off`.
            wash: Option<String>,
            /// Which layer of the text encoder is read: 1 (where absent) the model's own, 2 the one before it.
            #[schema(minimum = 1)]
            clip_skip: Option<usize>,
            /// Whose random numbers seeds stand for: `cpu` (where absent) or `nv`.
            noise: Option<String>,
            /// In what networks multiply: `f32` (where absent), `bf16` or `int8`, which are faster on CPUs that have instructions for them and a little off.
            precision: Option<String>,
            /// Another seed, whose noise pictures start from in part; of several pictures it counts up in place of `seed`.
            /// Drawn where absent and `variation_strength` is above 0.
            variation_seed: Option<Seed>,
            /// How far from the noise of `seed` to that of `variation_seed`.
            #[schema(minimum = 0, maximum = 1)]
            variation_strength: Option<f64>,
            /// Whether a learned autoencoder looks at the picture in tiles, which saves memory and changes it a little: `auto` (where
            /// absent) beyond 1.5 megapixels, `on` or `off`.
            vae_tiling: Option<String>,
            /// The model, by its name; the default one where absent.
            model: Option<String>,
        }

        impl $name {
            fn sampling(&self) -> Sampling {
                Sampling {
                    schedule: self.schedule.clone(),
                    eta: self.eta,
                    guidance_rescale: self.guidance_rescale,
                    guidance_until: self.guidance_until,
                    cache_interval: self.cache_interval,
                    token_merging: self.token_merging,
                    image_guidance: self.image_guidance,
                    colours: self.colours.clone(),
                    wash: self.wash.clone(),
                    clip_skip: self.clip_skip,
                    noise: self.noise.clone(),
                    precision: self.precision.clone(),
                    variation_seed: self.variation_seed.map(|seed| seed.0),
                    variation_strength: self.variation_strength,
                    vae_tiling: self.vae_tiling.clone(),
                    ..Sampling::default()
                }
            }

            /// The order that this request is, of `kind`.
            fn with(&self, kind: Kind) -> Order {
                let mut order = Order {
                    model: self.model.clone(),
                    prompt: self.prompt.clone(),
                    negative_prompt: self.negative_prompt.clone(),
                    prompt_mode: self.prompt_mode.clone(),
                    loras: self.loras.iter().map(OrderedLora::from).collect(),
                    steps: self.steps,
                    guidance_scale: self.guidance_scale,
                    seed: self.seed.map(|seed| seed.0),
                    sampler: self.sampler.clone(),
                    sampling: self.sampling(),
                    strength_rule: None,
                    kind,
                };
                let fill: &[fn(&Self, &mut Order)] = &[$($fill,)*];
                fill.iter().for_each(|fill| fill(self, &mut order));
                order
            }
        }
    };
    ($(#[$about:meta])* $name:ident: $($group:ident)*; {$($own:tt)*}) => {
        request! { @ [$(#[$about])* $name] [$($own)*] [] $($group)* }
    };
}

request! {
    /// Pictures from a source.
    TransformRequest: prompt strength_rule tiles refiner; {
        /// SHA-256 of the source, as `POST /sources` gave it.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        source: String,
        /// How far to move away from the source: 0 returns it, 1 ignores it. The model's own where absent.
        #[schema(minimum = 0, maximum = 1, example = 0.5)]
        strength: Option<f64>,
        /// Size of the results: `source` (where absent), the longest side in pixels, or `WxH`.
        size: Option<String>,
        /// What to do where `WxH` is not the source's shape: `keep` (where absent), `crop`, `pad` or `stretch`.
        fit: Option<String>,
        /// Pictures, with seeds counted up from the first; 1 where absent.
        #[schema(minimum = 1, maximum = 8)]
        count: Option<u8>,
    }
}

request! {
    /// Pictures from text alone.
    GenerationRequest: prompt strength_rule tiles refiner hires; {
        /// Width in pixels; the model's native side where absent.
        #[schema(minimum = 1, maximum = 16384)]
        width: Option<u32>,
        /// Height in pixels; the model's native side where absent.
        #[schema(minimum = 1, maximum = 16384)]
        height: Option<u32>,
        /// Pictures, with seeds counted up from the first; 1 where absent.
        #[schema(minimum = 1, maximum = 8)]
        count: Option<u8>,
    }
}

request! {
    /// One source at several strengths, and a sheet of them.
    LadderRequest: prompt strength_rule tiles refiner; {
        /// SHA-256 of the source, as `POST /sources` gave it.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        source: String,
        /// 2 to 8 different strengths; 0.35, 0.5 and 0.65 where absent.
        #[schema(min_items = 2, max_items = 8)]
        strengths: Option<Vec<f64>>,
        /// Size of the results: `source` (where absent), the longest side in pixels, or `WxH`.
        size: Option<String>,
        /// What to do where `WxH` is not the source's shape: `keep` (where absent), `crop`, `pad` or `stretch`.
        fit: Option<String>,
    }
}

request! {
    /// One source with several seeds and without near-duplicates, and a sheet of them.
    VariationRequest: prompt strength_rule tiles refiner; {
        /// SHA-256 of the source, as `POST /sources` gave it.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        source: String,
        /// How far to move away from the source: 0 returns it, 1 ignores it. The model's own where absent.
        #[schema(minimum = 0, maximum = 1, example = 0.5)]
        strength: Option<f64>,
        /// Pictures; 4 where absent.
        #[schema(minimum = 2, maximum = 16)]
        count: Option<u8>,
        /// Size of the results: `source` (where absent), the longest side in pixels, or `WxH`.
        size: Option<String>,
        /// What to do where `WxH` is not the source's shape: `keep` (where absent), `crop`, `pad` or `stretch`.
        fit: Option<String>,
    }
}

request! {
    /// A part of a source made anew.
    InpaintRequest: prompt strength_rule; {
        /// SHA-256 of the source, as `POST /sources` gave it.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        source: String,
        /// How far to move away from the source under the mask: 0 returns it, 1 reads nothing of what was there.
        /// The intent's own where absent.
        #[schema(minimum = 0, maximum = 1, example = 0.75)]
        strength: Option<f64>,
        /// What changes and how.
        #[serde(default)]
        inpaint: InpaintingBody,
        /// Pictures, with seeds counted up from the first; 1 where absent.
        #[schema(minimum = 1, maximum = 8)]
        count: Option<u8>,
    }
}

impl InpaintRequest {
    pub(crate) fn order(self) -> Order {
        self.with(Kind::Inpaint {
            source: self.source.clone(),
            strength: self.strength,
            count: self.count.unwrap_or(1),
            painting: Box::new(Inpainting::from(&self.inpaint)),
        })
    }
}

request! {
    /// A source, larger; with a prompt its detail is drawn anew.
    UpscaleRequest: detail refiner; {
        /// SHA-256 of the source, as `POST /sources` gave it.
        #[schema(pattern = "^[0-9a-f]{64}$")]
        source: String,
        /// By what each side is multiplied, 2 or 4; 2 where absent.
        #[schema(minimum = 2, maximum = 4, example = 2)]
        by: Option<u32>,
        /// What enlarges: `realesr-animevideov3` (where absent) or `lanczos`.
        with: Option<String>,
        /// How far the model moves from the enlarged source; 0.2 with a prompt, 0 without, where absent.
        #[schema(minimum = 0, maximum = 1)]
        strength: Option<f64>,
    }
}

impl UpscaleRequest {
    pub(crate) fn order(self) -> Order {
        self.with(Kind::Upscale {
            source: self.source.clone(),
            by: self.by.unwrap_or(2),
            with: self.with.clone(),
            strength: self.strength,
        })
    }
}

impl TransformRequest {
    pub(crate) fn order(self) -> Order {
        self.with(Kind::Transform {
            source: self.source.clone(),
            strength: self.strength,
            size: self.size.clone(),
            fit: self.fit.clone(),
            count: self.count.unwrap_or(1),
        })
    }
}

impl GenerationRequest {
    /// The model that is asked for.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The order, on a square of `native` pixels a side where no size is named.
    pub(crate) fn order(self, native: u32) -> Order {
        self.with(Kind::Generate {
            width: self.width.unwrap_or(native),
            height: self.height.unwrap_or(native),
            count: self.count.unwrap_or(1),
        })
    }
}

impl LadderRequest {
    pub(crate) fn order(self) -> Order {
        self.with(Kind::Ladder {
            source: self.source.clone(),
            strengths: self.strengths.clone().unwrap_or_else(|| RUNGS.to_vec()),
            size: self.size.clone(),
            fit: self.fit.clone(),
        })
    }
}

impl VariationRequest {
    pub(crate) fn order(self) -> Order {
        self.with(Kind::Vary {
            source: self.source.clone(),
            strength: self.strength,
            count: self.count.unwrap_or(4),
            size: self.size.clone(),
            fit: self.fit.clone(),
        })
    }
}
