//! CLIP's text encoder (`CLIPTextModel` and `CLIPTextModelWithProjection` of transformers): token ids
//! to hidden states and a pooled vector.

use imagegen_engine::{Activation, AttentionMask, Backend, LinearCall, Tensor};
use serde_json::json;

use crate::config::ConfigFile;
use crate::loader::{Base, LayerShapes, Layers, Loader, Place};
use crate::lora::Changes;
use crate::{Error, Weights};

/// The class of encoders whose pooled vector is projected.
const PROJECTED: &str = "CLIPTextModelWithProjection";

/// Which hidden state is the pooled vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// At the first token with this id.
    FirstToken(u32),
    /// At the highest token id: configurations with `eos_token_id` 2, written before transformers
    /// read the field.
    HighestId,
}

/// Sizes of a text encoder, from its `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipTextConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Channels of the hidden states.
    pub hidden_size: usize,
    /// Tokens of a prompt, ends included.
    pub max_positions: usize,
    intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    heads: usize,
    activation: Activation,
    eps: f32,
    pooling: Pooling,
    /// Channels of the pooled vector, where a projection follows it.
    projection: Option<usize>,
}

impl ClipTextConfig {
    /// Reads a `config.json`; `file` is its name in errors. Absent fields take the defaults of
    /// transformers' `CLIPTextConfig`.
    pub fn parse(file: &str, json: &str) -> Result<Self, Error> {
        let config = ConfigFile::parse(file, json)?;
        config.only(&[("model_type", json!("clip_text_model"))])?;
        let activation = match config.text("hidden_act", "quick_gelu")?.as_str() {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            _ => return Err(config.wrong("hidden_act", "\"quick_gelu\" or \"gelu\"")),
        };
        let pooling = match config.size("eos_token_id", Some(49407))? {
            2 => Pooling::HighestId,
            id => Pooling::FirstToken(id as u32),
        };
        let projected = match config.get("architectures") {
            Some(_) => config
                .texts("architectures")?
                .contains(&PROJECTED.to_owned()),
            None => false,
        };
        let parsed = Self {
            vocab_size: config.size("vocab_size", Some(49408))?,
            hidden_size: config.size("hidden_size", Some(512))?,
            max_positions: config.size("max_position_embeddings", Some(77))?,
            intermediate_size: config.size("intermediate_size", Some(2048))?,
            layers: config.size("num_hidden_layers", Some(12))?,
            heads: config.size("num_attention_heads", Some(8))?,
            activation,
            eps: config.number("layer_norm_eps", 1e-5)? as f32,
            pooling,
            projection: match projected {
                true => Some(config.size("projection_dim", Some(512))?),
                false => None,
            },
        };
        if !parsed.hidden_size.is_multiple_of(parsed.heads) {
            let expected = format!("a divisor of the hidden size {}", parsed.hidden_size);
            return Err(config.wrong("num_attention_heads", expected));
        }
        Ok(parsed)
    }

    /// Channels of the pooled vector.
    pub fn pooled_size(&self) -> usize {
        self.projection.unwrap_or(self.hidden_size)
    }
}

/// Which hidden states stand for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextStates {
    /// Last layers that are left out: "clip skip" less one in the words of most programs.
    pub skip: usize,
    /// Whether the final normalisation follows.
    pub normalised: bool,
}

impl TextStates {
    /// What the last layer gives, normalised: what Stable Diffusion 1 and 2 read.
    pub const LAST: Self = Self {
        skip: 0,
        normalised: true,
    };
}

/// What a text encoder says of one prompt.
#[derive(Debug, Clone)]
pub struct TextEncoding<T> {
    /// The hidden states that were asked for, `[1, tokens, hidden]`.
    pub hidden: T,
    /// The vector that stands for the whole prompt: the last layer's normalised state at the end
    /// token, projected where the encoder has a projection, `[1, pooled]`. No layer is left out for
    /// it.
    pub pooled: T,
}

/// A token of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TextToken<'a> {
    /// One of the vocabulary.
    Id(u32),
    /// A vector in the place of a token's, of the encoder's width.
    Vector(&'a [f32]),
}

/// A text encoder with its weights.
#[derive(Debug)]
pub struct ClipText<B: Backend> {
    config: ClipTextConfig,
    tokens: B::Table,
    positions: B::Table,
    layers: Vec<Layer<B>>,
    final_norm: B::Norm,
    projection: Option<B::Linear>,
    named: Layers<B>,
}

#[derive(Debug)]
struct Layer<B: Backend> {
    attention_norm: B::Norm,
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    out: B::Linear,
    mlp_norm: B::Norm,
    widen: B::Linear,
    narrow: B::Linear,
}

impl<B: Backend> Layer<B> {
    fn load(config: &ClipTextConfig, place: &Place<'_, '_, B>) -> Result<Self, Error> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let attention = place.at("self_attn");
        Ok(Self {
            attention_norm: place.at("layer_norm1").norm(hidden)?,
            query: attention.at("q_proj").linear(hidden, hidden)?,
            key: attention.at("k_proj").linear(hidden, hidden)?,
            value: attention.at("v_proj").linear(hidden, hidden)?,
            out: attention.at("out_proj").linear(hidden, hidden)?,
            mlp_norm: place.at("layer_norm2").norm(hidden)?,
            widen: place.at("mlp.fc1").linear(hidden, wide)?,
            narrow: place.at("mlp.fc2").linear(wide, hidden)?,
        })
    }

    fn run(
        &self,
        engine: &B,
        config: &ClipTextConfig,
        input: &B::Tensor,
    ) -> Result<B::Tensor, Error> {
        let normed = engine.layer_norm(input, &self.attention_norm, config.eps)?;
        let project = |weights| engine.linear(&normed, weights, LinearCall::default());
        let (query, key) = (project(&self.query)?, project(&self.key)?);
        let value = project(&self.value)?;
        let mixed = engine.attention(&query, &key, &value, config.heads, AttentionMask::Causal)?;
        let call = LinearCall {
            residual: Some(input),
            ..LinearCall::default()
        };
        let attended = engine.linear(&mixed, &self.out, call)?;
        let normed = engine.layer_norm(&attended, &self.mlp_norm, config.eps)?;
        let call = LinearCall {
            activation: Some(config.activation),
            ..LinearCall::default()
        };
        let wide = engine.linear(&normed, &self.widen, call)?;
        let call = LinearCall {
            residual: Some(&attended),
            ..LinearCall::default()
        };
        Ok(engine.linear(&wide, &self.narrow, call)?)
    }
}

impl<B: Backend> ClipText<B> {
    /// Takes the weights of a `text_encoder` folder.
    ///
    /// Fails with [`Error::Missing`], [`Error::Shape`] or [`Error::Spare`] unless the tensors are
    /// those of the configuration.
    pub fn load(engine: &B, config: ClipTextConfig, weights: &Weights) -> Result<Self, Error> {
        Self::build(&Loader::new(engine, weights), config)
    }

    /// A copy with `changes`; what they leave alone is shared. `weights` are those it was loaded from.
    ///
    /// Fails as [`ClipText::load`], and with [`Error::NotFinite`] where numbers grow too large.
    pub fn changed(
        &self,
        engine: &B,
        weights: &Weights,
        changes: &Changes<'_>,
    ) -> Result<Self, Error> {
        let layers = &self.named;
        let loader = Loader::over(engine, weights, Base { layers, changes });
        Self::build(&loader, self.config.clone())
    }

    /// Shapes of the weights that LoRAs can change.
    pub fn layers(&self) -> &LayerShapes {
        &self.named.shapes
    }

    fn build(loader: &Loader<'_, B>, config: ClipTextConfig) -> Result<Self, Error> {
        let root = loader.root().at("text_model");
        let embeddings = root.at("embeddings");
        let hidden = config.hidden_size;
        let table = |name, rows| embeddings.at(name).table(rows, hidden);
        let mut encoder = Self {
            tokens: table("token_embedding", config.vocab_size)?,
            positions: table("position_embedding", config.max_positions)?,
            layers: (0..config.layers)
                .map(|index| Layer::load(&config, &root.at("encoder.layers").at(index)))
                .collect::<Result<_, _>>()?,
            final_norm: root.at("final_layer_norm").norm(hidden)?,
            projection: config
                .projection
                .map(|width| {
                    let place = loader.root().at("text_projection");
                    place.linear_without_bias(hidden, width)
                })
                .transpose()?,
            named: Layers::default(),
            config,
        };
        // Older files carry the buffer 0..77 as a tensor.
        encoder.named = loader.finish(|name| name.ends_with("position_ids"))?;
        Ok(encoder)
    }

    /// The sizes.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Encodes one prompt of at most `max_positions` token ids, ends and padding included.
    ///
    /// Fails with [`Error::Unsupported`] for more ids, or where more layers are left out than there
    /// are.
    pub fn encode(
        &self,
        engine: &B,
        ids: &[u32],
        wanted: TextStates,
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let tokens: Vec<_> = ids.iter().map(|&id| TextToken::Id(id)).collect();
        self.encode_tokens(engine, &tokens, wanted)
    }

    /// Encodes one prompt as [`Self::encode`]. Vectors never stand for the end of a text.
    ///
    /// Fails also with [`Error::Unsupported`] for a vector of another width than the encoder's.
    pub fn encode_tokens(
        &self,
        engine: &B,
        tokens: &[TextToken<'_>],
        wanted: TextStates,
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let id = |token: &TextToken<'_>| match token {
            TextToken::Id(id) => *id,
            TextToken::Vector(_) => 0,
        };
        let ids: Vec<u32> = tokens.iter().map(id).collect();
        let ids = ids.as_slice();
        if ids.is_empty() || ids.len() > self.config.max_positions {
            return Err(Error::Unsupported {
                subject: "number of tokens".to_owned(),
                got: ids.len().to_string(),
                expected: format!("1 to {}", self.config.max_positions),
            });
        }
        let Some(read) = self.layers.len().checked_sub(wanted.skip) else {
            return Err(Error::Unsupported {
                subject: "number of text layers left out".to_owned(),
                got: wanted.skip.to_string(),
                expected: format!("0 to {}", self.layers.len()),
            });
        };
        engine.enter("text encoder");
        let tokens = self.embedded(engine, tokens, ids)?;
        let places: Vec<u32> = (0..ids.len() as u32).collect();
        let mut states = engine.add(&tokens, &engine.embedding(&self.positions, &places, 1)?)?;
        let mut hidden = states.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            states = layer.run(engine, &self.config, &states)?;
            if index + 1 == read {
                hidden = states.clone();
            }
        }
        let norm = |states| engine.layer_norm(states, &self.final_norm, self.config.eps);
        let last = norm(&states)?;
        let hidden = match wanted {
            TextStates::LAST => last.clone(),
            TextStates {
                normalised: true, ..
            } => norm(&hidden)?,
            TextStates { .. } => hidden,
        };
        let pooled = self.pool(engine, &last, ids)?;
        let pooled = match &self.projection {
            Some(weights) => engine.linear(&pooled, weights, LinearCall::default())?,
            None => pooled,
        };
        Ok(TextEncoding { hidden, pooled })
    }

    /// The vectors of tokens, `[1, tokens, hidden]`.
    fn embedded(
        &self,
        engine: &B,
        tokens: &[TextToken<'_>],
        ids: &[u32],
    ) -> Result<B::Tensor, Error> {
        let known = engine.embedding(&self.tokens, ids, 1)?;
        if tokens.iter().all(|token| matches!(token, TextToken::Id(_))) {
            return Ok(known);
        }
        let width = self.config.hidden_size;
        let mut all = engine.download(&known);
        for (row, token) in all.data_mut().chunks_exact_mut(width).zip(tokens) {
            match token {
                TextToken::Id(_) => {}
                TextToken::Vector(vector) if vector.len() == width => row.copy_from_slice(vector),
                TextToken::Vector(vector) => {
                    return Err(Error::Unsupported {
                        subject: "a vector in the place of a token".to_owned(),
                        got: format!("{} numbers long", vector.len()),
                        expected: width.to_string(),
                    });
                }
            }
        }
        Ok(engine.upload(&all))
    }

    fn pool(&self, engine: &B, hidden: &B::Tensor, ids: &[u32]) -> Result<B::Tensor, Error> {
        let place = match self.config.pooling {
            // transformers takes place 0 where the token is absent
            Pooling::FirstToken(id) => ids.iter().position(|&token| token == id).unwrap_or(0),
            Pooling::HighestId => {
                let highest = ids.iter().max();
                ids.iter()
                    .position(|token| Some(token) == highest)
                    .unwrap_or(0)
            }
        };
        let width = self.config.hidden_size;
        let all = engine.download(hidden);
        let row = all.data()[place * width..(place + 1) * width].to_vec();
        Ok(engine.upload(&Tensor::new([1, width], row)?))
    }
}
