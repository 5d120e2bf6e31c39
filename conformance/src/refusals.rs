//! Calls that every operation must refuse with a typed error that names it.

use imagegen_engine::{
    AttentionMask, Backend, ConvCall, Error, GroupNorm, LinearCall, Padding, Resize, Tensor,
    TokenGrid,
};

use crate::noise::Noise;

/// Makes a call on a backend and drops its result.
pub type Run<B> = Box<dyn Fn(&B) -> Result<(), Error>>;

/// A call and what its error must name.
pub struct Refusal<B: Backend> {
    /// What is wrong with the call.
    pub what: &'static str,
    /// Words of which the error's subject must hold one.
    pub names: &'static [&'static str],
    /// The call.
    pub call: Run<B>,
}

impl<B: Backend> std::fmt::Debug for Refusal<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusal")
            .field("what", &self.what)
            .field("names", &self.names)
            .finish()
    }
}

/// The argument of the operation that an error is about.
pub fn subject(error: &Error) -> &str {
    match error {
        Error::Shape { subject, .. } | Error::Value { subject, .. } => subject,
        _ => "",
    }
}

fn tensor(shape: &[usize]) -> Tensor {
    Noise::new(20).tensor(shape, 1.0, 0.0)
}

/// Collects refusals of one operation.
struct List<B: Backend> {
    names: &'static [&'static str],
    all: Vec<Refusal<B>>,
}

impl<B: Backend> List<B> {
    fn refuses(&mut self, what: &'static str, call: impl Fn(&B) -> Result<(), Error> + 'static) {
        self.all.push(Refusal {
            what,
            names: self.names,
            call: Box::new(call),
        });
    }
}

/// Every refusal of every operation.
pub fn all<B: Backend>() -> Vec<Refusal<B>> {
    let mut all = Vec::new();
    for (names, fill) in [
        (
            &["conv2d", "group_norm"][..],
            conv2d::<B> as fn(&mut List<B>),
        ),
        (&["linear", "gated", "geglu"], linear_weights),
        (&["linear"], linear),
        (&["geglu"], geglu),
        (&["attention"], attention),
        (&["token"], merging),
        (&["norm"], norm_weights),
        (&["group_norm"], group_norm),
        (&["group_norm"], group_moments),
        (&["layer_norm"], layer_norm),
        (&["prelu"], prelu),
        (&["add"], add),
        (&["concat"], concat),
        (&["split"], split),
        (&["resize"], resize),
        (&["space_to_depth", "depth_to_space"], patches),
        (&["embedding"], embedding),
        (&["reshape"], reshape),
    ] {
        let mut list = List {
            names,
            all: Vec::new(),
        };
        fill(&mut list);
        all.append(&mut list.all);
    }
    all
}

/// Runs a convolution 16 -> 8 with a 3x3 kernel on `input`; `call` may refer to the backend's own
/// tensors, so it is made by a function.
fn convolve<B: Backend>(
    backend: &B,
    input: &[usize],
    call: impl FnOnce(ConvCall<'_, B>) -> ConvCall<'_, B>,
) -> Result<(), Error> {
    let weights = backend.conv2d_weights(tensor(&[8, 16, 3, 3]), None)?;
    let start = ConvCall {
        padding: Padding::all(1),
        ..ConvCall::default()
    };
    backend
        .conv2d(&backend.upload(&tensor(input)), &weights, call(start))
        .map(drop)
}

/// [`convolve`] with one more tensor of `shape`, as `channel_bias` or as `residual`.
fn convolve_with<B: Backend>(b: &B, shape: &[usize], residual: bool) -> Result<(), Error> {
    let extra = b.upload(&tensor(shape));
    let weights = b.conv2d_weights(tensor(&[8, 16, 3, 3]), None)?;
    let call = ConvCall {
        padding: Padding::all(1),
        channel_bias: (!residual).then_some(&extra),
        residual: residual.then_some(&extra),
        ..ConvCall::default()
    };
    b.conv2d(&b.upload(&tensor(&[2, 4, 5, 16])), &weights, call)
        .map(drop)
}

/// [`convolve`] behind a normalisation of `channels` in `groups`.
fn convolve_normed<B: Backend>(b: &B, channels: usize, groups: usize) -> Result<(), Error> {
    let norm = b.norm_weights(tensor(&[channels]), tensor(&[channels]))?;
    let weights = b.conv2d_weights(tensor(&[8, 16, 3, 3]), None)?;
    let norm = GroupNorm {
        weights: &norm,
        groups,
        eps: 1e-5,
        activation: None,
        moments: None,
    };
    let call = ConvCall {
        padding: Padding::all(1),
        norm: Some(norm),
        ..ConvCall::default()
    };
    b.conv2d(&b.upload(&tensor(&[2, 4, 5, 16])), &weights, call)
        .map(drop)
}

fn conv2d<B: Backend>(list: &mut List<B>) {
    list.refuses("weight of rank 3", |b| {
        b.conv2d_weights(tensor(&[8, 16, 3]), None).map(drop)
    });
    list.refuses("kernel of 8", |b| {
        b.conv2d_weights(tensor(&[8, 16, 8, 3]), None).map(drop)
    });
    list.refuses("kernel of 0", |b| {
        b.conv2d_weights(tensor(&[8, 16, 3, 0]), None).map(drop)
    });
    list.refuses("bias too long", |b| {
        b.conv2d_weights(tensor(&[8, 16, 3, 3]), Some(tensor(&[9])))
            .map(drop)
    });
    list.refuses("bias of rank 2", |b| {
        b.conv2d_weights(tensor(&[8, 16, 3, 3]), Some(tensor(&[8, 1])))
            .map(drop)
    });
    list.refuses("input of rank 3", |b| convolve(b, &[4, 5, 16], |call| call));
    list.refuses("input with other channels", |b| {
        convolve(b, &[2, 4, 5, 15], |call| call)
    });
    for (what, stride) in [("stride 0", 0), ("stride 3", 3)] {
        list.refuses(what, move |b| {
            convolve(b, &[2, 4, 5, 16], |call| ConvCall { stride, ..call })
        });
    }
    list.refuses("input lower than the kernel", |b| {
        convolve(b, &[2, 2, 5, 16], |call| ConvCall {
            padding: Padding::all(0),
            ..call
        })
    });
    list.refuses("input narrower than the kernel", |b| {
        convolve(b, &[2, 5, 2, 16], |call| ConvCall {
            padding: Padding::all(0),
            ..call
        })
    });
    list.refuses("enlarged to nothing", |b| {
        convolve(b, &[2, 4, 5, 16], |call| ConvCall {
            enlarge_to: Some([0, 5]),
            ..call
        })
    });
    list.refuses("channel_bias of one picture", |b| {
        convolve_with(b, &[1, 8], false)
    });
    list.refuses("channel_bias with other channels", |b| {
        convolve_with(b, &[2, 7], false)
    });
    list.refuses("channel_bias of rank 1", |b| convolve_with(b, &[16], false));
    list.refuses("residual of another size", |b| {
        convolve_with(b, &[2, 5, 4, 8], true)
    });
    list.refuses("residual with other channels", |b| {
        convolve_with(b, &[2, 4, 5, 16], true)
    });
    list.refuses("norm with other channels", |b| convolve_normed(b, 8, 4));
    list.refuses("norm in 3 groups of 16 channels", |b| {
        convolve_normed(b, 16, 3)
    });
    list.refuses("norm in 0 groups", |b| convolve_normed(b, 16, 0));
}

fn linear_weights<B: Backend>(list: &mut List<B>) {
    list.refuses("linear weight of rank 1", |b| {
        b.linear_weights(tensor(&[8]), None).map(drop)
    });
    list.refuses("linear weight of rank 4", |b| {
        b.linear_weights(tensor(&[8, 4, 1, 1]), None).map(drop)
    });
    list.refuses("linear bias too short", |b| {
        b.linear_weights(tensor(&[8, 4]), Some(tensor(&[7])))
            .map(drop)
    });
    list.refuses("gated weight of rank 1", |b| {
        b.gated_weights(tensor(&[8]), None).map(drop)
    });
    list.refuses("gated weight of odd rows", |b| {
        b.gated_weights(tensor(&[7, 4]), None).map(drop)
    });
    list.refuses("gated bias for the values alone", |b| {
        b.gated_weights(tensor(&[8, 4]), Some(tensor(&[4])))
            .map(drop)
    });
}

fn linear<B: Backend>(list: &mut List<B>) {
    for (what, shape) in [
        ("input of rank 0", &[][..]),
        ("input with other channels", &[3, 5]),
        ("input that would fit transposed", &[4, 3]),
    ] {
        list.refuses(what, move |b| {
            let weights = b.linear_weights(tensor(&[8, 4]), None)?;
            b.linear(&b.upload(&tensor(shape)), &weights, LinearCall::default())
                .map(drop)
        });
    }
    for (what, shape) in [
        ("residual of the input's shape", &[3, 4][..]),
        ("residual of another rank", &[1, 3, 8]),
        ("residual of fewer rows", &[2, 8]),
    ] {
        list.refuses(what, move |b| {
            let weights = b.linear_weights(tensor(&[8, 4]), None)?;
            let residual = b.upload(&tensor(shape));
            let call = LinearCall {
                residual: Some(&residual),
                ..LinearCall::default()
            };
            b.linear(&b.upload(&tensor(&[3, 4])), &weights, call)
                .map(drop)
        });
    }
    list.refuses("gated weights", |b| {
        let weights = b.gated_weights(tensor(&[8, 4]), None)?;
        b.linear(&b.upload(&tensor(&[3, 4])), &weights, LinearCall::default())
            .map(drop)
    });
}

fn geglu<B: Backend>(list: &mut List<B>) {
    list.refuses("geglu input with other channels", |b| {
        let weights = b.gated_weights(tensor(&[8, 4]), None)?;
        b.geglu(&b.upload(&tensor(&[3, 5])), &weights).map(drop)
    });
    list.refuses("geglu with plain weights", |b| {
        let weights = b.linear_weights(tensor(&[8, 4]), None)?;
        b.geglu(&b.upload(&tensor(&[3, 4])), &weights).map(drop)
    });
}

fn attention<B: Backend>(list: &mut List<B>) {
    for (what, shapes, heads) in [
        (
            "query of rank 2",
            [&[5, 16][..], &[2, 7, 16], &[2, 7, 16]],
            2,
        ),
        (
            "key of rank 4",
            [&[2, 5, 16], &[2, 7, 2, 8], &[2, 7, 16]],
            2,
        ),
        ("value of rank 2", [&[2, 5, 16], &[2, 7, 16], &[14, 16]], 2),
        (
            "another batch of keys",
            [&[2, 5, 16], &[1, 7, 16], &[1, 7, 16]],
            2,
        ),
        (
            "keys with other channels",
            [&[2, 5, 16], &[2, 7, 8], &[2, 7, 8]],
            2,
        ),
        (
            "values of another length",
            [&[2, 5, 16], &[2, 7, 16], &[2, 6, 16]],
            2,
        ),
        ("no keys", [&[2, 5, 16], &[2, 0, 16], &[2, 0, 16]], 2),
        ("0 heads", [&[2, 5, 16], &[2, 7, 16], &[2, 7, 16]], 0),
        (
            "3 heads of 16 channels",
            [&[2, 5, 16], &[2, 7, 16], &[2, 7, 16]],
            3,
        ),
    ] {
        list.refuses(what, move |b| {
            let [q, k, v] = shapes.map(|shape| b.upload(&tensor(shape)));
            b.attention(&q, &k, &v, heads, AttentionMask::None)
                .map(drop)
        });
    }
    for (what, keys) in [
        ("mask of one picture", vec![true; 7]),
        ("mask per query", vec![true; 2 * 5 * 7]),
        (
            "mask that hides all keys of a picture",
            [[true; 7], [false; 7]].concat(),
        ),
    ] {
        list.refuses(what, move |b| {
            let [q, k] = [&[2, 5, 16], &[2, 7, 16]].map(|shape| b.upload(&tensor(shape)));
            b.attention(&q, &k, &k, 2, AttentionMask::Keys(&keys))
                .map(drop)
        });
    }
}

fn merging<B: Backend>(list: &mut List<B>) {
    let grid = || TokenGrid::new([4, 6], 0.5);
    for (what, shape) in [
        ("tokens of another count", &[1, 23, 8][..]),
        ("tokens of rank 2", &[24, 8]),
        ("no tokens", &[0, 24, 8]),
    ] {
        list.refuses(what, move |b| {
            let input = b.upload(&tensor(shape));
            b.match_tokens(&input, grid()?).map(drop)
        });
    }
    for (what, shape) in [
        ("tokens of fewer pictures", &[1, 24, 8][..]),
        ("tokens of another count", &[2, 13, 8]),
        ("tokens of rank 2", &[2, 24]),
    ] {
        list.refuses(what, move |b| {
            let merges = b.match_tokens(&b.upload(&tensor(&[2, 24, 8])), grid()?)?;
            b.merge_tokens(&b.upload(&tensor(shape)), &merges).map(drop)
        });
        list.refuses(what, move |b| {
            let merges = b.match_tokens(&b.upload(&tensor(&[2, 24, 8])), grid()?)?;
            b.part_tokens(&b.upload(&tensor(shape)), &merges).map(drop)
        });
    }
}

fn norm_weights<B: Backend>(list: &mut List<B>) {
    list.refuses("scale of rank 2", |b| {
        b.norm_weights(tensor(&[4, 4]), tensor(&[16])).map(drop)
    });
    list.refuses("shift too long", |b| {
        b.norm_weights(tensor(&[16]), tensor(&[17])).map(drop)
    });
}

fn group_norm<B: Backend>(list: &mut List<B>) {
    for (what, shape, groups) in [
        ("input of rank 3", &[4, 5, 16][..], 4),
        ("input with other channels", &[2, 4, 5, 8], 4),
        ("0 groups", &[2, 4, 5, 16], 0),
        ("3 groups of 16 channels", &[2, 4, 5, 16], 3),
        ("more groups than channels", &[2, 4, 5, 16], 32),
    ] {
        list.refuses(what, move |b| {
            let weights = b.norm_weights(tensor(&[16]), tensor(&[16]))?;
            let norm = GroupNorm {
                weights: &weights,
                groups,
                eps: 1e-5,
                activation: None,
                moments: None,
            };
            b.group_norm(&b.upload(&tensor(shape)), norm).map(drop)
        });
    }
    for (what, shape) in [
        ("moments of fewer pictures", &[1, 4, 2][..]),
        ("moments of other groups", &[2, 8, 2]),
        ("moments without variance", &[2, 4, 1]),
    ] {
        list.refuses(what, move |b| {
            let norm = GroupNorm {
                weights: &b.norm_weights(tensor(&[16]), tensor(&[16]))?,
                groups: 4,
                eps: 1e-5,
                activation: None,
                moments: Some(&b.upload(&tensor(shape))),
            };
            b.group_norm(&b.upload(&tensor(&[2, 4, 5, 16])), norm)
                .map(drop)
        });
    }
}

fn group_moments<B: Backend>(list: &mut List<B>) {
    for (what, shape, groups) in [
        ("input of rank 3", &[4, 5, 16][..], 4),
        ("0 groups", &[2, 4, 5, 16], 0),
        ("3 groups of 16 channels", &[2, 4, 5, 16], 3),
    ] {
        list.refuses(what, move |b| {
            b.group_moments(&b.upload(&tensor(shape)), groups).map(drop)
        });
    }
}

fn layer_norm<B: Backend>(list: &mut List<B>) {
    for (what, shape) in [
        ("input of rank 0", &[][..]),
        ("input with other channels", &[3, 15]),
    ] {
        list.refuses(what, move |b| {
            let weights = b.norm_weights(tensor(&[16]), tensor(&[16]))?;
            b.layer_norm(&b.upload(&tensor(shape)), &weights, 1e-5)
                .map(drop)
        });
    }
}

fn prelu<B: Backend>(list: &mut List<B>) {
    for (what, input, slopes) in [
        ("input of rank 0", &[][..], &[1][..]),
        ("slopes of other channels", &[3, 4], &[3]),
        ("slopes of another rank", &[3, 4], &[1, 4]),
    ] {
        list.refuses(what, move |b| {
            b.prelu(&b.upload(&tensor(input)), &b.upload(&tensor(slopes)))
                .map(drop)
        });
    }
}

fn add<B: Backend>(list: &mut List<B>) {
    for (what, right) in [
        ("sides of other counts", &[3, 5][..]),
        ("sides of other shapes", &[4, 3]),
        ("a side to be spread", &[4]),
    ] {
        list.refuses(what, move |b| {
            b.add(&b.upload(&tensor(&[3, 4])), &b.upload(&tensor(right)))
                .map(drop)
        });
    }
}

fn concat<B: Backend>(list: &mut List<B>) {
    for (what, left, right) in [
        ("sides of other rows", &[3, 4][..], &[2, 4][..]),
        ("sides of other ranks", &[3, 4], &[1, 3, 4]),
        ("sides of rank 0", &[], &[]),
    ] {
        list.refuses(what, move |b| {
            b.concat(&b.upload(&tensor(left)), &b.upload(&tensor(right)))
                .map(drop)
        });
    }
}

fn split<B: Backend>(list: &mut List<B>) {
    list.refuses("split behind the end", |b| {
        b.split(&b.upload(&tensor(&[3, 4])), 5).map(drop)
    });
    list.refuses("split of rank 0", |b| {
        b.split(&b.upload(&tensor(&[])), 1).map(drop)
    });
}

fn resize<B: Backend>(list: &mut List<B>) {
    for how in [Resize::Nearest, Resize::Bilinear] {
        list.refuses("input of rank 3", move |b| {
            b.resize(&b.upload(&tensor(&[4, 5, 3])), [2, 2], how)
                .map(drop)
        });
        list.refuses("resize to nothing", move |b| {
            b.resize(&b.upload(&tensor(&[1, 4, 5, 3])), [0, 2], how)
                .map(drop)
        });
    }
}

fn patches<B: Backend>(list: &mut List<B>) {
    for (what, shape, patch) in [
        ("input of rank 3", &[4, 6, 3][..], 2),
        ("height that is no multiple", &[1, 5, 6, 3], 2),
        ("width that is no multiple", &[1, 4, 6, 3], 4),
        ("space to depth by 0", &[1, 4, 6, 3], 0),
    ] {
        list.refuses(what, move |b| {
            b.space_to_depth(&b.upload(&tensor(shape)), patch).map(drop)
        });
    }
    for (what, shape, patch) in [
        ("depth of rank 3", &[4, 6, 4][..], 2),
        ("channels that are no multiple", &[1, 4, 6, 6], 2),
        ("depth to space by 0", &[1, 4, 6, 4], 0),
        ("a patch whose square overflows", &[1, 4, 6, 4], usize::MAX),
    ] {
        list.refuses(what, move |b| {
            b.depth_to_space(&b.upload(&tensor(shape)), patch).map(drop)
        });
    }
}

fn embedding<B: Backend>(list: &mut List<B>) {
    for (what, table, ids, rows) in [
        ("table of rank 1", &[12][..], &[0, 1][..], 1),
        ("id behind the table", &[4, 3], &[0, 4], 1),
        ("ids that do not fill the rows", &[4, 3], &[0, 1, 2], 2),
        ("0 rows", &[4, 3], &[0, 1], 0),
    ] {
        list.refuses(what, move |b| {
            b.embedding(&b.table(tensor(table))?, ids, rows).map(drop)
        });
    }
}

fn reshape<B: Backend>(list: &mut List<B>) {
    for (what, shape) in [
        ("fewer numbers", &[11][..]),
        ("more numbers", &[2, 7]),
        ("no shape", &[]),
        ("a count that overflows", &[usize::MAX, 2, 6]),
    ] {
        list.refuses(what, move |b| {
            b.reshape(&b.upload(&tensor(&[3, 4])), shape).map(drop)
        });
    }
}
