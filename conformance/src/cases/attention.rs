//! Attention.

use imagegen_engine::cpu::Precision;
use imagegen_engine::{AttentionMask, Backend, Error, Tensor};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference, Rounding, Sum};
use crate::tolerance::Tolerance;

/// Which keys count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mask {
    /// All.
    None,
    /// Key `j` for query `i` when `j <= i`.
    Causal,
    /// Of picture `n` the keys from `n` on whose place is a multiple of `n + 2`, and the last one:
    /// another choice for each picture.
    Scattered,
    /// All but the first so many: with a block's length, a whole block counts for nothing.
    From(usize),
    /// The first so many.
    Until(usize),
}

/// One call of `attention`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Numbers of everything.
    pub seed: u64,
    /// Pictures.
    pub batch: usize,
    /// Of query, and of key and value.
    pub lengths: [usize; 2],
    /// Heads.
    pub heads: usize,
    /// Channels of one head.
    pub head_size: usize,
    /// Which keys count.
    pub mask: Mask,
    /// Standard deviation of the scores: at 20 the largest are near 60 and softmax has one winner.
    pub score_scale: f32,
    /// Mean of the keys: shifts all scores of a query alike, which softmax must not see.
    pub key_offset: f32,
    /// Mean of the values.
    pub value_offset: f32,
}

impl Default for Attention {
    fn default() -> Self {
        Self {
            seed: 6,
            batch: 1,
            lengths: [5, 7],
            heads: 2,
            head_size: 8,
            mask: Mask::None,
            score_scale: 1.0,
            key_offset: 0.0,
            value_offset: 0.0,
        }
    }
}

impl Attention {
    /// Query, key, value.
    fn parts(&self) -> [Tensor; 3] {
        let mut noise = Noise::new(self.seed);
        let channels = self.heads * self.head_size;
        let [queries, keys] = self.lengths.map(|length| [self.batch, length, channels]);
        [
            noise.tensor(queries, self.score_scale, 0.0),
            noise.tensor(keys, 1.0, self.key_offset),
            noise.tensor(keys, 1.0, self.value_offset),
        ]
    }

    /// Whether key `j` of picture `n` counts, whatever the query.
    fn key_counts(&self, n: usize, j: usize) -> bool {
        match self.mask {
            Mask::None | Mask::Causal => true,
            Mask::Scattered => (j >= n && j.is_multiple_of(n + 2)) || j + 1 == self.lengths[1],
            Mask::From(first) => j >= first,
            Mask::Until(end) => j < end,
        }
    }

    /// One head of one query: its `head_size` outputs. `keys` and `values` hold the rows of this
    /// head that the query sees.
    fn one_query(
        &self,
        precision: Precision,
        query: &[f32],
        keys: &[&[f32]],
        values: &[&[f32]],
    ) -> Vec<Estimate> {
        let rounding = match precision {
            Precision::F32 | Precision::Int8 => Rounding::None,
            Precision::Bf16 => Rounding::Bfloat,
        };
        let factor = |number: f32| Estimate::exact(number).rounded(rounding);
        let root = (self.head_size as f64).sqrt();
        let scores: Vec<Estimate> = keys
            .iter()
            .map(|key| {
                let mut sum = Sum::default();
                for (&q, &k) in query.iter().zip(*key) {
                    sum.add_product(factor(q), factor(k));
                }
                let sum = sum.total();
                let value = sum.value / root;
                Estimate {
                    value,
                    size: (sum.size / root).hypot(value),
                }
            })
            .collect();
        let top = scores
            .iter()
            .map(|score| score.value)
            .fold(f64::NEG_INFINITY, f64::max);
        let mut total = Sum::default();
        let mut weights = Vec::with_capacity(scores.len());
        for score in &scores {
            // An absolute error of the exponent is a relative one of exp, which adds 2 of its own.
            let below = score.value - top;
            let value = below.exp();
            let size = value * score.size.hypot(below).hypot(2.0);
            weights.push(Estimate { value, size });
            total.add(Estimate { value, size });
        }
        (0..self.head_size)
            .map(|c| {
                let mut sum = Sum::default();
                for (weight, value) in weights.iter().zip(values) {
                    sum.add_product(weight.rounded(rounding), factor(value[c]));
                }
                sum.total().over(total.total())
            })
            .collect()
    }
}

impl Call for Attention {
    fn reference(&self) -> Vec<Reference> {
        self.reference_at(Precision::F32)
    }

    fn reference_at(&self, precision: Precision) -> Vec<Reference> {
        let [query, key, value] = self.parts();
        let ([queries, keys], size) = (self.lengths, self.head_size);
        let channels = self.heads * size;
        let mut numbers = Vec::new();
        for n in 0..self.batch {
            for (i, head) in (0..queries).flat_map(|i| (0..self.heads).map(move |h| (i, h))) {
                let seen: Vec<usize> = (0..keys)
                    .filter(|&j| self.key_counts(n, j))
                    .filter(|&j| self.mask != Mask::Causal || j <= i)
                    .map(|j| (n * keys + j) * channels + head * size)
                    .collect();
                let rows = |tensor: &'_ Tensor| -> Vec<Vec<f32>> {
                    seen.iter()
                        .map(|&at| tensor.data()[at..][..size].to_vec())
                        .collect()
                };
                let (key_rows, value_rows) = (rows(&key), rows(&value));
                let key_rows: Vec<&[f32]> = key_rows.iter().map(Vec::as_slice).collect();
                let value_rows: Vec<&[f32]> = value_rows.iter().map(Vec::as_slice).collect();
                let at = (n * queries + i) * channels + head * size;
                numbers.extend(self.one_query(
                    precision,
                    &query.data()[at..][..size],
                    &key_rows,
                    &value_rows,
                ));
            }
        }
        vec![Reference::new([self.batch, queries, channels], numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [query, key, value] = self.parts().map(|tensor| backend.upload(&tensor));
        let keys: Vec<bool> = (0..self.batch)
            .flat_map(|n| (0..self.lengths[1]).map(move |j| (n, j)))
            .map(|(n, j)| self.key_counts(n, j))
            .collect();
        let mask = match self.mask {
            Mask::None => AttentionMask::None,
            Mask::Causal => AttentionMask::Causal,
            _ => AttentionMask::Keys(&keys),
        };
        let out = backend.attention(&query, &key, &value, self.heads, mask)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::ATTENTION
    }

    fn work(&self) -> usize {
        2 * self.batch * self.lengths[0] * self.lengths[1] * self.heads * self.head_size
    }
}
