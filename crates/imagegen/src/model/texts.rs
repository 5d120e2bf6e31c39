//! The text encoders of a model: weighted words to hidden states, window by window.

use std::sync::Arc;

use imagegen_engine::{Backend, Tensor};
use imagegen_model::{ClipText, Error, TextEncoding, TextStates, Tokenizer};
use imagegen_prompt::{Chunk, Chunks, Piece, Unit, chunks};

use crate::PromptMode;

/// Most windows of a text; each adds to what the network reads at every step.
const MOST_WINDOWS: usize = 16;

/// Text encoders, each with its tokenizer.
#[derive(Debug)]
pub(super) struct Texts<B: Backend> {
    pub(super) towers: Vec<(ClipText<B>, Arc<Tokenizer>)>,
    pub(super) states: TextStates,
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

    /// Most tokens of a window, both ends included.
    pub(super) fn max_tokens(&self) -> usize {
        let positions = self
            .towers
            .iter()
            .map(|(tower, _)| tower.config().max_positions);
        positions.min().unwrap_or(0)
    }

    /// How long a text is, as a person is told; all towers take the same number of tokens.
    pub(super) fn length(&self, mode: PromptMode, pieces: &[Piece]) -> Result<Length, Error> {
        let tokenizer = &self.towers[0].1;
        let cut = windows(tokenizer, mode, pieces)?;
        Ok(Length {
            windows: cut.chunks.len(),
            used: cut.chunks.iter().map(|window| window.tokens.len()).sum(),
            dropped: cut.dropped,
            limit: most_windows(mode) * tokenizer.room(),
        })
    }

    /// Encodes weighted words: the towers' hidden states side by side, those of windows one after the other,
    /// `[1, windows * tokens, hidden]`; the last tower's pooled text of the first window.
    pub(super) fn encode(
        &self,
        engine: &B,
        mode: PromptMode,
        pieces: &[Piece],
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let cuts = self
            .towers
            .iter()
            .map(|(_, tokenizer)| windows(tokenizer, mode, pieces));
        let cuts: Vec<_> = cuts.collect::<Result<_, _>>()?;
        let longest = cuts.iter().map(|cut| cut.chunks.len()).max().unwrap_or(1);
        let mut joined: Option<TextEncoding<B::Tensor>> = None;
        for (tower, cut) in cuts.into_iter().enumerate() {
            let mut windows = cut.chunks;
            windows.resize(longest, Chunk { tokens: Vec::new() });
            let new = self.encode_windows(engine, tower, &windows)?;
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
        windows: &[Chunk<u32>],
    ) -> Result<TextEncoding<B::Tensor>, Error> {
        let (tower, tokenizer) = &self.towers[tower];
        let mut first: Option<TextEncoding<B::Tensor>> = None;
        let mut row: Vec<f32> = Vec::new();
        for window in windows {
            let ids: Vec<u32> = window.tokens.iter().map(|(id, _)| *id).collect();
            let mut encoding = tower.encode(engine, &tokenizer.framed(&ids), self.states)?;
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
            let width = tower.config().hidden_size;
            let hidden = Tensor::new([1, row.len() / width, width], row)?;
            encoding.hidden = engine.upload(&hidden);
        }
        Ok(encoding)
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

/// The windows of a text. In plain mode there is one, and it ends with its last token whatever commas there are.
fn windows(
    tokenizer: &Tokenizer,
    mode: PromptMode,
    pieces: &[Piece],
) -> Result<Chunks<u32>, Error> {
    let comma = tokenizer.comma().filter(|_| mode == PromptMode::A1111);
    let mut units = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Break => units.push(Unit::Break),
            Piece::Text { text, weight } => {
                let token = |id| Unit::Token {
                    token: id,
                    weight: *weight,
                    comma: Some(id) == comma,
                };
                units.extend(tokenizer.ids(text)?.into_iter().map(token));
            }
        }
    }
    Ok(chunks(units, tokenizer.room(), most_windows(mode)))
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
