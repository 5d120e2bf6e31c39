//! The text encoders of a model: weighted words to hidden states, window by window.

use std::sync::Arc;

use imagegen_engine::{Backend, Tensor};
use imagegen_model::{ClipText, Error, TextEncoding, TextStates, TextToken, Tokenizer};
use imagegen_prompt::{Chunk, Chunks, Piece, Unit, chunks};

use crate::embeddings::{Stretch, cut};
use crate::{Embedding, PromptMode};

/// Most windows of a text; each adds to what the network reads at every step.
const MOST_WINDOWS: usize = 16;

/// Text encoders, each with its tokenizer.
#[derive(Debug)]
pub(super) struct Texts<B: Backend> {
    pub(super) towers: Vec<(ClipText<B>, Arc<Tokenizer>)>,
    pub(super) states: TextStates,
    /// Words that stand for vectors.
    pub(super) embeddings: Vec<Arc<Embedding>>,
}

/// What stands in a window: a token, or a vector of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Id(u32),
    Vector { embedding: usize, row: usize },
}

/// How long a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Length {
    pub(super) windows: usize,
    /// Tokens that are read.
    pub(super) used: usize,
    /// Tokens that are not.
    pub(super) dropped: usize,
    /// Most tokens that are read of a text without `BREAK`.
    pub(super) limit: usize,
}

impl<B: Backend> Texts<B> {
    /// Channels of the joined hidden states.
    pub(super) fn hidden(&self) -> usize {
        let sizes = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().hidden_size);
        sizes.sum()
    }

    /// Channels of the pooled text, which is the last tower's.
    pub(super) fn pooled(&self) -> usize {
        let last = self.towers.last();
        last.map_or(0, |(tower, _)| tower.config().pooled_size())
    }

    /// Most last layers that can be left out besides those that the model leaves out.
    pub(super) fn most_left_out(&self) -> usize {
        let layers = self.towers.iter().map(|(tower, _)| tower.config().layers);
        layers.min().unwrap_or(0).saturating_sub(self.states.skip)
    }

    /// Most tokens of a window, both ends included.
    pub(super) fn max_tokens(&self) -> usize {
        let positions = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().max_positions);
        positions.min().unwrap_or(0)
    }

    /// Makes a word stand for vectors.
    ///
    /// Fails where they are not for these encoders, are more than a window holds, or the word stands for others.
    pub(super) fn learn(&mut self, embedding: Embedding) -> Result<(), crate::Error> {
        let widths: Vec<usize> = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().hidden_size)
            .collect();
        let fits = embedding.inversion.fit(&widths);
        fits.map_err(|cause| crate::Error::Embedding { cause })?;
        let (name, vectors) = (&embedding.name, embedding.inversion.vectors());
        let rooms = self.towers.iter().map(|(_, tokenizer)| tokenizer.room());
        let room = rooms.min().unwrap_or(0);
        if vectors > room {
            let subject = format!("the number of vectors of embedding {name:?}");
            return Err(crate::Error::setting(
                subject,
                vectors,
                format!("at most {room}"),
            ));
        }
        let same = |known: &&Arc<Embedding>| known.name.eq_ignore_ascii_case(name);
        if let Some(known) = self.embeddings.iter().find(same) {
            let got = format!("that of another file, {}", known.sha256);
            let subject = format!("the name of embedding {name:?}");
            return Err(crate::Error::setting(subject, got, "a name for each"));
        }
        self.embeddings.push(Arc::new(embedding));
        Ok(())
    }

    /// Whether an embedding is for these encoders and fits into a window.
    pub(super) fn takes(&self, embedding: &Embedding) -> bool {
        let widths = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().hidden_size);
        let rooms = self.towers.iter().map(|(_, tokenizer)| tokenizer.room());
        let fits = embedding.inversion.widths().into_iter().eq(widths);
        fits && embedding.inversion.vectors() <= rooms.min().unwrap_or(0)
    }

    /// How long a text is, as a person is told; all towers take the same number of tokens.
    pub(super) fn length(
        &self,
        mode: PromptMode,
        pieces: &[Piece],
        embeddings: &[Arc<Embedding>],
    ) -> Result<Length, Error> {
        let cut = self.windows(0, mode, pieces, embeddings)?;
        let room = self.towers[0].1.room();
        Ok(Length {
            windows: cut.chunks.len(),
            used: cut.chunks.iter().map(|window| window.tokens.len()).sum(),
            dropped: cut.dropped,
            limit: most_windows(mode) * room,
        })
    }

    /// Encodes weighted words: the towers' hidden states side by side, those of windows one after the other,
    /// `[1, windows * tokens, hidden]`; the last tower's pooled text of the first window. `left_out` more layers
    /// are left out than the model leaves out, but for pooled texts.
    pub(super) fn encode(
        &self,
        engine: &B,
        (mode, left_out): (PromptMode, usize),
        pieces: &[Piece],
        embeddings: &[Arc<Embedding>],
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let states = TextStates {
            skip: self.states.skip + left_out,
            ..self.states
        };
        let towers = 0..self.towers.len();
        let cuts = towers.map(|tower| self.windows(tower, mode, pieces, embeddings));
        let cuts: Vec<_> = cuts.collect::<Result<_, _>>()?;
        let longest = cuts.iter().map(|cut| cut.chunks.len()).max().unwrap_or(1);
        let mut joined: Option<TextEncoding<B::Tensor>> = None;
        for (tower, cut) in cuts.into_iter().enumerate() {
            let mut windows = cut.chunks;
            windows.resize(longest, Chunk { tokens: Vec::new() });
            let new = self.encode_windows(engine, tower, &windows, (states, embeddings))?;
            joined = Some(match joined {
                None => new,
                Some(before) => TextEncoding {
                    hidden: engine.concat(&before.hidden, &new.hidden)?,
                    pooled: new.pooled,
                },
            });
        }
        Ok(joined.expect("a model has a text encoder"))
    }

    /// What one tower says of each window.
    fn encode_windows(
        &self,
        engine: &B,
        tower: usize,
        windows: &[Chunk<Slot>],
        (states, embeddings): (TextStates, &[Arc<Embedding>]),
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let (encoder, tokenizer) = &self.towers[tower];
        let mut first: Option<TextEncoding<B::Tensor>> = None;
        let mut row: Vec<f32> = Vec::new();
        for window in windows {
            let slots: Vec<Slot> = window.tokens.iter().map(|(slot, _)| *slot).collect();
            let tokens = self.tokens((tower, tokenizer), &slots, embeddings)?;
            let mut encoding = encoder.encode_tokens(engine, &tokens, states)?;
            let weights = window.tokens.iter().map(|(_, weight)| *weight as f32);
            let weights: Vec<f32> = weights.collect();
            if weights.iter().any(|weight| *weight != 1.0) {
                let mut hidden = engine.download(&encoding.hidden);
                weigh(&mut hidden, &weights);
                encoding.hidden = engine.upload(&hidden);
            }
            if windows.len() > 1 {
                row.extend(engine.download(&encoding.hidden).data());
            }
            first.get_or_insert(encoding);
        }
        let mut encoding = first.expect("a text has a window");
        if windows.len() > 1 {
            let width = encoder.config().hidden_size;
            let hidden = Tensor::new([1, row.len() / width, width], row)?;
            encoding.hidden = engine.upload(&hidden);
        }
        Ok(encoding)
    }

    /// Tokens of a window for one tower, ends and padding included.
    fn tokens<'e>(
        &self,
        (tower, tokenizer): (usize, &Tokenizer),
        slots: &[Slot],
        embeddings: &'e [Arc<Embedding>],
    ) -> Result<Vec<TextToken<'e>>, Error> {
        let id = |slot: &Slot| match slot {
            Slot::Id(id) => *id,
            Slot::Vector { .. } => 0,
        };
        let ids: Vec<u32> = slots.iter().map(id).collect();
        let framed = tokenizer.framed(&ids);
        let mut tokens: Vec<_> = framed.into_iter().map(TextToken::Id).collect();
        let widths: Vec<usize> = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().hidden_size)
            .collect();
        for (token, slot) in tokens.iter_mut().skip(1).zip(slots) {
            if let Slot::Vector { embedding, row } = *slot {
                let vectors = &embeddings[embedding].inversion.fit(&widths)?[tower];
                let width = widths[tower];
                *token = TextToken::Vector(&vectors.data()[row * width..][..width]);
            }
        }
        Ok(tokens)
    }

    /// The windows of a text for one tower. In plain mode there is one, and it ends with its last token whatever
    /// commas there are.
    fn windows(
        &self,
        tower: usize,
        mode: PromptMode,
        pieces: &[Piece],
        embeddings: &[Arc<Embedding>],
    ) -> Result<Chunks<Slot>, Error> {
        let tokenizer = &self.towers[tower].1;
        let comma = tokenizer.comma().filter(|_| mode == PromptMode::A1111);
        // Those for other text encoders are words.
        let fit = embeddings.iter().enumerate();
        let (places, names): (Vec<usize>, Vec<&str>) = fit
            .filter(|(_, known)| self.takes(known))
            .map(|(place, known)| (place, known.name.as_str()))
            .unzip();
        let mut units = Vec::new();
        for piece in pieces {
            let Piece::Text { text, weight } = piece else {
                units.push(Unit::Break);
                continue;
            };
            let weight = *weight;
            for stretch in cut(text, &names) {
                match stretch {
                    Stretch::Words(words) => {
                        let token = |id| Unit::Token {
                            token: Slot::Id(id),
                            weight,
                            comma: Some(id) == comma,
                        };
                        units.extend(tokenizer.ids(words)?.into_iter().map(token));
                    }
                    Stretch::Name(name) => {
                        let embedding = places[name];
                        let vectors = embeddings[embedding].inversion.vectors();
                        let vector = |row| Slot::Vector { embedding, row };
                        units.push(Unit::Whole {
                            tokens: (0..vectors).map(vector).collect(),
                            weight,
                        });
                    }
                }
            }
        }
        Ok(chunks(units, tokenizer.room(), most_windows(mode)))
    }

    /// Zeros of an encoding's shapes: what some models were trained to take for no text.
    pub(super) fn nothing(&self, engine: &B) -> TextEncoding<B::Tensor> {
        let hidden = [1, self.max_tokens(), self.hidden()];
        TextEncoding {
            hidden: engine.upload(&Tensor::zeros(hidden)),
            pooled: engine.upload(&Tensor::zeros([1, self.pooled()])),
        }
    }
}

fn most_windows(mode: PromptMode) -> usize {
    match mode {
        PromptMode::A1111 => MOST_WINDOWS,
        PromptMode::Plain => 1,
    }
}

/// Multiplies the hidden states `[1, tokens, hidden]` of a window by the weights of its tokens, the first of which
/// follows the start; ends and padding weigh 1. Then all of them are multiplied so that their mean is what it was:
/// AUTOMATIC1111's emphasis "Original". Where no number does that, they are left as they are.
fn weigh(hidden: &mut Tensor, weights: &[f32]) {
    let width = hidden.shape().last().copied().unwrap_or(1).max(1);
    let before = mean(hidden.data());
    let states = hidden.data_mut().chunks_exact_mut(width).skip(1);
    for (state, weight) in states.zip(weights) {
        state.iter_mut().for_each(|value| *value *= weight);
    }
    let ratio = (before / mean(hidden.data())) as f32;
    if ratio.is_finite() {
        hidden
            .data_mut()
            .iter_mut()
            .for_each(|value| *value *= ratio);
    }
}

fn mean(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&number| f64::from(number)).sum::<f64>() / numbers.len() as f64
}
