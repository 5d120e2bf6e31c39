//! Where the group normalisations of a part of a network take mean and variance from, where that part sees no whole
//! picture.

use std::vec;

use imagegen_engine::{Backend, DeviceTensor, Tensor};

use crate::Error;

/// Mean and variance for one normalisation after the other.
#[derive(Debug)]
pub(crate) enum Moments<B: Backend> {
    /// Each takes its input's own.
    Own,
    /// Each takes those of all pictures of its input together, as of one picture, and they are kept, in order.
    Joined(Vec<Tensor>),
    /// Each takes what was kept of it.
    Kept(vec::IntoIter<B::Tensor>),
}

impl<B: Backend> Moments<B> {
    /// Those that were kept for each normalisation, for one picture.
    pub(crate) fn kept(engine: &B, all: &[Tensor]) -> Self {
        let all: Vec<_> = all.iter().map(|moments| engine.upload(moments)).collect();
        Self::Kept(all.into_iter())
    }

    /// What the next normalisation, that of `input` in `groups`, is given.
    pub(crate) fn next(
        &mut self,
        engine: &B,
        input: &B::Tensor,
        groups: usize,
    ) -> Result<Option<B::Tensor>, Error> {
        match self {
            Self::Own => Ok(None),
            Self::Kept(all) => Ok(all.next()),
            Self::Joined(all) => {
                let each = engine.download(&engine.group_moments(input, groups)?);
                let joined = joined(&each, groups)?;
                let pictures = input.shape()[0];
                let shape = [pictures, groups, 2];
                let repeated = joined.data().repeat(pictures);
                all.push(joined);
                Ok(Some(engine.upload(&Tensor::new(shape, repeated)?)))
            }
        }
    }
}

/// Moments `[1, groups, 2]` of pictures of one size taken together, from those of each, `[N, groups, 2]`.
pub(super) fn joined(each: &Tensor, groups: usize) -> Result<Tensor, Error> {
    let pictures = each.data().chunks_exact(2 * groups);
    let count = pictures.len() as f64;
    let mut all = Vec::with_capacity(2 * groups);
    for group in 0..groups {
        let of = |place: usize| {
            pictures
                .clone()
                .map(move |p| f64::from(p[2 * group + place]))
        };
        let mean = of(0).sum::<f64>() / count;
        let between = of(0).map(|own| (own - mean) * (own - mean)).sum::<f64>() / count;
        let within = of(1).sum::<f64>() / count;
        all.extend([mean as f32, (between + within) as f32]);
    }
    Ok(Tensor::new([1, groups, 2], all)?)
}

#[cfg(test)]
mod tests {
    use imagegen_engine::CpuBackend;
    use imagegen_engine::cpu::Level;
    use imagegen_engine::random::Generator;

    use super::*;

    #[test]
    fn moments_of_halves_are_joined_to_those_of_the_whole() {
        let engine = CpuBackend::new(Level::best(), 1).unwrap();
        let whole = Generator::new(5).normal_nhwc([1, 8, 6, 8]);
        let halves = Tensor::new([2, 4, 6, 8], whole.data().to_vec()).unwrap();
        let moments = |tensor| {
            let moments = engine.group_moments(&engine.upload(tensor), 4);
            engine.download(&moments.unwrap())
        };
        let (got, want) = (joined(&moments(&halves), 4).unwrap(), moments(&whole));
        assert_eq!(got.shape(), want.shape());
        for (got, want) in got.data().iter().zip(want.data()) {
            assert!((got - want).abs() < 1e-6, "{got} and {want}");
        }
    }
}
