//! Calls with one NaN in an argument. It must reach the result: a fault that turns into a plausible
//! number is never found again.

use imagegen_engine::{
    Activation, AttentionMask, Backend, ConvCall, Error, GroupNorm, LinearCall, Padding, Resize,
    Tensor,
};

use crate::noise::Noise;

/// Gives the result of a call.
pub type Run<B> = Box<dyn Fn(&B) -> Result<<B as Backend>::Tensor, Error>>;

/// A named call whose result must hold a NaN.
pub type NanCall<B> = (String, Run<B>);

fn tensor(shape: &[usize]) -> Tensor {
    Noise::new(30).tensor(shape, 1.0, 0.0)
}

/// [`tensor`] with a NaN somewhere inside.
fn with_nan(shape: &[usize]) -> Tensor {
    let mut tensor = tensor(shape);
    let place = tensor.data().len() * 2 / 3;
    tensor.data_mut()[place] = f32::NAN;
    tensor
}

fn convolve<B: Backend>(b: &B, weight: Tensor, normed: bool) -> Result<B::Tensor, Error> {
    let nan_in_weight = !weight.is_finite();
    let input = if nan_in_weight {
        tensor(&[1, 5, 6, 16])
    } else {
        with_nan(&[1, 5, 6, 16])
    };
    let weights = b.conv2d_weights(weight, None)?;
    let norm = b.norm_weights(tensor(&[16]), tensor(&[16]))?;
    let silu = Some(Activation::Silu);
    let norm = GroupNorm {
        weights: &norm,
        groups: 4,
        eps: 1e-5,
        activation: silu,
        moments: None,
    };
    let norm = normed.then_some(norm);
    let call = ConvCall {
        padding: Padding::all(1),
        norm,
        activation: silu,
        ..ConvCall::default()
    };
    b.conv2d(&b.upload(&input), &weights, call)
}

/// Every call.
pub fn all<B: Backend>() -> Vec<NanCall<B>> {
    let mut all: Vec<NanCall<B>> = Vec::new();
    let mut call = |what: &str, run: Run<B>| {
        all.push((what.to_owned(), run));
    };
    for normed in [false, true] {
        call(
            "conv2d input",
            Box::new(move |b| convolve(b, tensor(&[8, 16, 3, 3]), normed)),
        );
        call(
            "conv2d weight",
            Box::new(move |b| convolve(b, with_nan(&[8, 16, 3, 3]), normed)),
        );
    }
    call(
        "linear input",
        Box::new(|b| {
            let weights = b.linear_weights(tensor(&[8, 4]), None)?;
            b.linear(
                &b.upload(&with_nan(&[3, 4])),
                &weights,
                LinearCall::default(),
            )
        }),
    );
    call(
        "geglu input",
        Box::new(|b| {
            let weights = b.gated_weights(tensor(&[8, 4]), None)?;
            b.geglu(&b.upload(&with_nan(&[3, 4])), &weights)
        }),
    );
    for place in 0..3 {
        for keys in [7, 40, 600] {
            let what = format!(
                "attention {}, {keys} keys",
                ["query", "key", "value"][place]
            );
            call(
                &what,
                Box::new(move |b| {
                    let parts = [5, keys, keys].map(|length| [1, length, 16]);
                    let mut parts = parts.map(|shape| tensor(&shape));
                    parts[place] = with_nan(parts[place].shape());
                    let [q, k, v] = parts.map(|part| b.upload(&part));
                    b.attention(&q, &k, &v, 2, AttentionMask::None)
                }),
            );
        }
    }
    call(
        "group_norm input",
        Box::new(|b| {
            let weights = b.norm_weights(tensor(&[16]), tensor(&[16]))?;
            let norm = GroupNorm {
                weights: &weights,
                groups: 4,
                eps: 1e-5,
                activation: None,
                moments: None,
            };
            b.group_norm(&b.upload(&with_nan(&[2, 3, 4, 16])), norm)
        }),
    );
    call(
        "layer_norm input",
        Box::new(|b| {
            let weights = b.norm_weights(tensor(&[20]), tensor(&[20]))?;
            b.layer_norm(&b.upload(&with_nan(&[3, 20])), &weights, 1e-5)
        }),
    );
    for activation in [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Relu,
    ] {
        call(
            &format!("{activation:?} input"),
            Box::new(move |b| b.activate(&b.upload(&with_nan(&[3, 7])), activation)),
        );
    }
    call(
        "prelu input",
        Box::new(|b| b.prelu(&b.upload(&with_nan(&[3, 7])), &b.upload(&tensor(&[7])))),
    );
    call(
        "add right",
        Box::new(|b| b.add(&b.upload(&tensor(&[9])), &b.upload(&with_nan(&[9])))),
    );
    call(
        "scale input by 0",
        Box::new(|b| b.scale(&b.upload(&with_nan(&[9])), 0.0)),
    );
    call(
        "resize input",
        Box::new(|b| {
            b.resize(
                &b.upload(&with_nan(&[1, 3, 4, 3])),
                [5, 9],
                Resize::Bilinear,
            )
        }),
    );
    all
}
