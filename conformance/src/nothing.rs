//! Calls on tensors with a size of 0. They may succeed or be refused, but not panic.

use imagegen_engine::{
    Activation, AttentionMask, Backend, ConvCall, Error, GroupNorm, LinearCall, Padding, Resize,
    Tensor,
};

use crate::refusals::Run;

/// A named call that must not panic.
pub type Attempt<B> = (&'static str, Run<B>);

/// Every call.
pub fn all<B: Backend>() -> Vec<Attempt<B>> {
    let mut all = Vec::new();
    for fill in [conv2d, linear, attention, norms, elementwise, layout] {
        fill(&mut all);
    }
    all
}

/// With something in it where it is not of size 0.
fn tensor(shape: &[usize]) -> Tensor {
    let mut tensor = Tensor::zeros(shape);
    tensor.data_mut().fill(0.5);
    tensor
}

fn call<B: Backend>(
    what: &'static str,
    call: impl Fn(&B) -> Result<(), Error> + 'static,
) -> Attempt<B> {
    (what, Box::new(call))
}

fn conv2d<B: Backend>(all: &mut Vec<Attempt<B>>) {
    for (what, shape) in [
        ("conv2d of no pictures", &[0, 4, 5, 16][..]),
        ("conv2d of no rows", &[1, 0, 5, 16]),
        ("conv2d of no columns", &[1, 4, 0, 16]),
    ] {
        all.push(call(what, move |b: &B| {
            let weights = b.conv2d_weights(tensor(&[8, 16, 3, 3]), None)?;
            let call = ConvCall {
                padding: Padding::all(1),
                ..ConvCall::default()
            };
            b.conv2d(&b.upload(&tensor(shape)), &weights, call)
                .map(drop)
        }));
    }
    for (what, weight) in [
        ("conv2d of no input channels", &[8, 0, 3, 3][..]),
        ("conv2d of no output channels", &[0, 4, 3, 3]),
    ] {
        all.push(call(what, move |b: &B| {
            let weights = b.conv2d_weights(tensor(weight), None)?;
            let call = ConvCall {
                padding: Padding::all(1),
                ..ConvCall::default()
            };
            b.conv2d(&b.upload(&tensor(&[1, 4, 5, weight[1]])), &weights, call)
                .map(drop)
        }));
    }
}

fn linear<B: Backend>(all: &mut Vec<Attempt<B>>) {
    for (what, weight, rows) in [
        ("linear of no rows", [8, 4], 0),
        ("linear of no inputs", [8, 0], 3),
        ("linear of no outputs", [0, 4], 3),
    ] {
        all.push(call(what, move |b: &B| {
            let weights = b.linear_weights(tensor(&weight), None)?;
            let input = b.upload(&tensor(&[rows, weight[1]]));
            b.linear(&input, &weights, LinearCall::default()).map(drop)
        }));
        all.push(call(what, move |b: &B| {
            let weights = b.gated_weights(tensor(&weight), None)?;
            b.geglu(&b.upload(&tensor(&[rows, weight[1]])), &weights)
                .map(drop)
        }));
    }
}

fn attention<B: Backend>(all: &mut Vec<Attempt<B>>) {
    for (what, query, key) in [
        ("attention of no pictures", [0, 5, 16], [0, 7, 16]),
        ("attention of no queries", [2, 0, 16], [2, 7, 16]),
        ("attention of no channels", [2, 5, 0], [2, 7, 0]),
    ] {
        all.push(call(what, move |b: &B| {
            let [q, k] = [query, key].map(|shape| b.upload(&tensor(&shape)));
            b.attention(&q, &k, &k, 2, AttentionMask::None).map(drop)
        }));
    }
}

fn norms<B: Backend>(all: &mut Vec<Attempt<B>>) {
    for (what, shape) in [
        ("group_norm of no pictures", [0, 4, 5, 16]),
        ("group_norm of no rows", [1, 0, 5, 16]),
        ("group_norm of no columns", [1, 4, 0, 16]),
        ("group_norm of no channels", [1, 4, 5, 0]),
    ] {
        all.push(call(what, move |b: &B| {
            let weights = b.norm_weights(tensor(&[shape[3]]), tensor(&[shape[3]]))?;
            let norm = GroupNorm {
                weights: &weights,
                groups: 4,
                eps: 1e-5,
                activation: None,
                moments: None,
            };
            b.group_norm(&b.upload(&tensor(&shape)), norm).map(drop)
        }));
    }
    for (what, shape) in [
        ("layer_norm of no rows", [0, 16]),
        ("layer_norm of no channels", [3, 0]),
    ] {
        all.push(call(what, move |b: &B| {
            let weights = b.norm_weights(tensor(&[shape[1]]), tensor(&[shape[1]]))?;
            b.layer_norm(&b.upload(&tensor(&shape)), &weights, 1e-5)
                .map(drop)
        }));
    }
}

fn elementwise<B: Backend>(all: &mut Vec<Attempt<B>>) {
    all.push(call("activate nothing", |b: &B| {
        b.activate(&b.upload(&tensor(&[0, 4])), Activation::Silu)
            .map(drop)
    }));
    all.push(call("prelu nothing", |b: &B| {
        b.prelu(&b.upload(&tensor(&[0, 4])), &b.upload(&tensor(&[4])))
            .map(drop)
    }));
    all.push(call("add nothing", |b: &B| {
        b.add(&b.upload(&tensor(&[0, 4])), &b.upload(&tensor(&[0, 4])))
            .map(drop)
    }));
    all.push(call("scale nothing", |b: &B| {
        b.scale(&b.upload(&tensor(&[0])), 2.0).map(drop)
    }));
    for (what, left, right) in [
        ("concat with no channels left", [3, 0], [3, 4]),
        ("concat with no channels right", [3, 4], [3, 0]),
        ("concat of no channels", [3, 0], [3, 0]),
        ("concat of no rows", [0, 4], [0, 4]),
    ] {
        all.push(call(what, move |b: &B| {
            b.concat(&b.upload(&tensor(&left)), &b.upload(&tensor(&right)))
                .map(drop)
        }));
    }
    for at in [0, 4] {
        all.push(call("split at an end", move |b: &B| {
            b.split(&b.upload(&tensor(&[3, 4])), at).map(drop)
        }));
    }
}

fn layout<B: Backend>(all: &mut Vec<Attempt<B>>) {
    for (what, shape) in [
        ("resize of no pictures", [0, 4, 5, 3]),
        ("resize of no rows", [1, 0, 5, 3]),
        ("resize of no channels", [1, 4, 5, 0]),
    ] {
        for how in [Resize::Nearest, Resize::Bilinear] {
            all.push(call(what, move |b: &B| {
                b.resize(&b.upload(&tensor(&shape)), [2, 3], how).map(drop)
            }));
        }
    }
    for (what, shape) in [
        ("patches of no pictures", [0, 4, 4, 4]),
        ("patches of no rows", [1, 0, 4, 4]),
        ("patches of no channels", [1, 4, 4, 0]),
    ] {
        all.push(call(what, move |b: &B| {
            b.space_to_depth(&b.upload(&tensor(&shape)), 2).map(drop)
        }));
        all.push(call(what, move |b: &B| {
            b.depth_to_space(&b.upload(&tensor(&shape)), 2).map(drop)
        }));
    }
    for (what, table, ids) in [
        ("embedding of no ids", [4, 3], &[][..]),
        ("embedding of no channels", [4, 0], &[1, 2]),
    ] {
        all.push(call(what, move |b: &B| {
            b.embedding(&b.table(tensor(&table))?, ids, 1).map(drop)
        }));
    }
}
