//! Tokens that are merged before attention and parted after it.

use super::{CpuBackend, CpuTensor, blocks, check_filled};
use crate::backend::LinearCall;
use crate::merges::Match;
use crate::{Backend, DeviceTensor, Error, TokenGrid, TokenMerges};

/// Sources whose likeness to all targets is in memory at a time.
const SOURCES: usize = 512;

impl CpuBackend {
    pub(super) fn matched(&self, input: &CpuTensor, grid: TokenGrid) -> Result<TokenMerges, Error> {
        let &[pictures, tokens, channels] = input.shape() else {
            return Err(Error::shape("tokens", input.shape(), "[N, S, C]"));
        };
        check_filled("tokens", input)?;
        if tokens != grid.tokens() {
            let expected = format!("[N, {}, C]", grid.tokens());
            return Err(Error::shape("tokens", input.shape(), expected));
        }
        let sources: Vec<_> = grid.sources().collect();
        let targets: Vec<_> = grid.targets().collect();
        let mut matches = vec![Match::default(); pictures * sources.len()];
        if grid.merged() == 0 {
            return TokenMerges::new(grid, &matches);
        }
        let of_picture = matches.chunks_exact_mut(sources.len());
        for (picture, matches) in of_picture.enumerate() {
            let input = &input.data()[picture * tokens * channels..][..tokens * channels];
            let weights = self.download(&self.directions(input, channels, &targets));
            // In f32 at every precision: which tokens are merged is not a matter of rounding.
            let weights = self.exact_linear(self.linear_weights(weights, None)?);
            for range in blocks(0..sources.len(), SOURCES) {
                let part = self.directions(input, channels, &sources[range.clone()]);
                let likeness = self.linear(&part, &weights, LinearCall::default())?;
                let rows = likeness.data().chunks_exact(targets.len());
                self.each(rows.zip(&mut matches[range]).collect(), |(row, found)| {
                    *found = most_alike(row);
                });
            }
        }
        TokenMerges::new(grid, &matches)
    }

    /// Some tokens of a picture at length 1, `[count, C]`; zeros stay zeros.
    fn directions(&self, input: &[f32], channels: usize, tokens: &[usize]) -> CpuTensor {
        self.by_rows(&[tokens.len(), channels], 64, |first, out| {
            let rows = out.chunks_exact_mut(channels);
            for (out, token) in rows.zip(&tokens[first..]) {
                let token = &input[token * channels..][..channels];
                let square = |&number: &f32| f64::from(number) * f64::from(number);
                let length = token.iter().map(square).sum::<f64>().sqrt();
                let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
                for (out, &number) in out.iter_mut().zip(token) {
                    *out = (f64::from(number) * factor) as f32;
                }
            }
        })
    }

    pub(super) fn merged(
        &self,
        input: &CpuTensor,
        merges: &TokenMerges,
    ) -> Result<CpuTensor, Error> {
        let channels = check_tokens("tokens to merge", input, merges.whole_shape())?;
        let [pictures, left] = merges.merged_shape();
        let row = |token: u32| &input.data()[token as usize * channels..][..channels];
        let out = self.by_rows(&[pictures * left, channels], 64, |first, out| {
            for (index, out) in out.chunks_exact_mut(channels).enumerate() {
                let members = merges.members(first + index);
                out.copy_from_slice(row(members[0]));
                for &member in &members[1..] {
                    out.iter_mut()
                        .zip(row(member))
                        .for_each(|(out, x)| *out += x);
                }
                if members.len() > 1 {
                    let share = 1.0 / members.len() as f32;
                    out.iter_mut().for_each(|out| *out *= share);
                }
            }
        });
        Ok(out.with_shape([pictures, left, channels]))
    }

    pub(super) fn parted(
        &self,
        input: &CpuTensor,
        merges: &TokenMerges,
    ) -> Result<CpuTensor, Error> {
        let channels = check_tokens("tokens to part", input, merges.merged_shape())?;
        let [pictures, tokens] = merges.whole_shape();
        let out = self.by_rows(&[pictures * tokens, channels], 64, |first, out| {
            for (index, out) in out.chunks_exact_mut(channels).enumerate() {
                let place = merges.place(first + index);
                out.copy_from_slice(&input.data()[place * channels..][..channels]);
            }
        });
        Ok(out.with_shape([pictures, tokens, channels]))
    }
}

/// The first of the targets that a source is most like.
fn most_alike(likeness: &[f32]) -> Match {
    let first = Match {
        likeness: f32::NEG_INFINITY,
        target: 0,
    };
    let targets = likeness.iter().zip(0..);
    targets.fold(first, |best, (&likeness, target)| {
        match likeness > best.likeness {
            true => Match { likeness, target },
            false => best,
        }
    })
}

/// Channels of tokens of so many pictures.
fn check_tokens(subject: &str, input: &CpuTensor, shape: [usize; 2]) -> Result<usize, Error> {
    check_filled(subject, input)?;
    match *input.shape() {
        [pictures, tokens, channels] if [pictures, tokens] == shape => Ok(channels),
        _ => {
            let expected = format!("[{}, {}, C]", shape[0], shape[1]);
            Err(Error::shape(subject, input.shape(), expected))
        }
    }
}
