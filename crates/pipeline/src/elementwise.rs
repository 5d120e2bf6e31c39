//! Arithmetic on whole tensors: plain f32 multiply and add in one fixed order, no fused operations.

use imagegen_engine::{Error, Tensor};

/// `f(a[i], b[i])` for every i. Fails unless the shapes agree; `subject` names `b` in the error.
pub(crate) fn zip(
    subject: &str,
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(f32, f32) -> f32,
) -> Result<Tensor, Error> {
    if a.shape() != b.shape() {
        return Err(Error::shape(subject, b.shape(), format!("{:?}", a.shape())));
    }
    let data = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(&a, &b)| f(a, b))
        .collect();
    Tensor::new(a.shape(), data)
}

/// `f(t[i])` for every i.
pub(crate) fn map(mut t: Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    t.data_mut().iter_mut().for_each(|v| *v = f(*v));
    t
}

/// `factor * t`; the tensor itself at factor 1.
pub(crate) fn scaled(t: Tensor, factor: f64) -> Tensor {
    if factor == 1.0 {
        return t;
    }
    let factor = factor as f32;
    map(t, |v| factor * v)
}

/// `target + keep * (from - target)`: the straight line from `from` to `target`; exactly `target` at 0.
pub(crate) fn toward(target: &Tensor, from: &Tensor, keep: f64) -> Result<Tensor, Error> {
    let keep = keep as f32;
    zip("denoised latents", from, target, |from, target| {
        target + keep * (from - target)
    })
}

/// `base + weight * noise`.
pub(crate) fn add_scaled(base: &Tensor, noise: &Tensor, weight: f64) -> Result<Tensor, Error> {
    let weight = weight as f32;
    zip("noise", base, noise, |base, noise| base + weight * noise)
}

/// The sum of `weight * t` over all terms, in their order. Fails unless there is a term and all shapes
/// agree.
pub(crate) fn weighted(terms: &[(f64, Tensor)]) -> Result<Tensor, Error> {
    let [(weight, first), rest @ ..] = terms else {
        return Err(Error::shape("terms", &[0], "at least one"));
    };
    let mut sum = scaled(first.clone(), *weight);
    for (weight, term) in rest {
        sum = add_scaled(&sum, term, *weight)?;
    }
    Ok(sum)
}
