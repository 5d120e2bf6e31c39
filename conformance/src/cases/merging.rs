//! Tokens that are matched, merged and parted.

use imagegen_engine::{Backend, Error, Tensor, TokenGrid};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference};
use crate::tolerance::Tolerance;

/// `match_tokens` of one input, `merge_tokens` of another by it, and `part_tokens` of what comes out.
#[derive(Debug, Clone)]
pub struct Merging {
    /// `[N, h, w, C]`.
    pub shape: [usize; 4],
    /// Share of the tokens that is to be merged.
    pub ratio: f64,
}

impl Merging {
    fn tokens(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// What is matched, and what is merged.
    fn parts(&self) -> [Tensor; 2] {
        let mut noise = Noise::new(16);
        let shape = [self.shape[0], self.tokens(), self.shape[3]];
        [
            noise.tensor(shape, 1.0, 0.25),
            noise.tensor(shape, 1.0, 0.0),
        ]
    }

    /// The token that each token of a picture is merged into, itself for those that are not.
    fn into(&self, input: &[f32]) -> Vec<usize> {
        let [_, h, w, channels] = self.shape;
        let token = |index: usize| &input[index * channels..][..channels];
        let dot = |a: usize, b: usize| {
            let pairs = token(a).iter().zip(token(b));
            pairs
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
        };
        let is_target = |index: usize| {
            let (y, x) = (index / w, index % w);
            y % 2 == 0 && x % 2 == 0 && y + 1 < h && x + 1 < w
        };
        let (targets, sources): (Vec<_>, Vec<_>) = (0..h * w).partition(|&i| is_target(i));
        let mut best: Vec<(f64, usize, usize)> = Vec::new();
        for &source in &sources {
            let cosine = |target: usize| {
                dot(source, target) / (dot(source, source) * dot(target, target)).sqrt()
            };
            let like = targets.iter().map(|&target| (cosine(target), target));
            if let Some((cosine, target)) = like.max_by(|a, b| a.0.total_cmp(&b.0)) {
                best.push((cosine, source, target));
            }
        }
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut into: Vec<_> = (0..h * w).collect();
        let merged = ((h * w) as f64 * self.ratio) as usize;
        for &(_, source, target) in best.iter().take(merged) {
            into[source] = target;
        }
        into
    }
}

impl Call for Merging {
    fn reference(&self) -> Vec<Reference> {
        let ([n, _, _, channels], tokens) = (self.shape, self.tokens());
        let [seen, input] = self.parts();
        let (mut merged, mut parted) = (Vec::new(), Vec::new());
        for picture in 0..n {
            let numbers = picture * tokens * channels..(picture + 1) * tokens * channels;
            let into = self.into(&seen.data()[numbers.clone()]);
            let input = &input.data()[numbers];
            let mean = |token: usize, channel: usize| {
                let members = (0..tokens).filter(|&member| into[member] == token);
                let numbers =
                    members.map(|member| Estimate::exact(input[member * channels + channel]));
                let count = numbers.clone().count();
                let sum = numbers
                    .reduce(Estimate::plus)
                    .expect("a token is in itself");
                sum.over(Estimate::exact(count as f32))
            };
            for token in 0..tokens {
                let means = |token: usize| (0..channels).map(move |channel| mean(token, channel));
                if into[token] == token {
                    merged.extend(means(token));
                }
                parted.extend(means(into[token]));
            }
        }
        let left = merged.len() / (n * channels);
        vec![
            Reference::new([n, left, channels], merged),
            Reference::new([n, tokens, channels], parted),
        ]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [_, h, w, _] = self.shape;
        let [seen, input] = self.parts().map(|tensor| backend.upload(&tensor));
        let merges = backend.match_tokens(&seen, TokenGrid::new([h, w], self.ratio)?)?;
        let merged = backend.merge_tokens(&input, &merges)?;
        let parted = backend.part_tokens(&merged, &merges)?;
        Ok(vec![backend.download(&merged), backend.download(&parted)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::DOT
    }

    fn work(&self) -> usize {
        self.shape[0] * self.tokens() * self.tokens() * self.shape[3]
    }
}
