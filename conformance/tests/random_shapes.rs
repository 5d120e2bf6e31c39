//! Random shapes on the CPU backend: reference and bits at every level. What fails here is written
//! down in `suite::found` with the fields it prints.

mod levels;

use imagegen_conformance::cases::{Attention, Call, Case, Conv2d, InputNorm, Linear, Mask};
use imagegen_conformance::check::{Prepared, against_reference, run, same_bits};
use imagegen_engine::{Activation, Padding};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

/// Channel counts: small ones, and a lane group and more with both neighbours.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![1..20_usize, 30..35_usize, 47..50_usize, 255..259_usize]
}

fn activation() -> impl Strategy<Value = Option<Activation>> {
    option::of(select(vec![
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Relu,
    ]))
}

fn offset() -> impl Strategy<Value = f32> {
    select(vec![0.0, 100.0])
}

fn padding() -> impl Strategy<Value = Padding> {
    [0..3_usize, 0..3, 0..3, 0..3].prop_map(|[top, left, bottom, right]| Padding {
        top,
        left,
        bottom,
        right,
    })
}

fn conv2d() -> impl Strategy<Value = Conv2d> {
    let shape = (
        any::<u64>(),
        1..3_usize,
        [1..9_usize, 1..20],
        (channels(), 1..40_usize),
        [1..4_usize, 1..4],
        1..3_usize,
        padding(),
    );
    let fused = (
        option::of([0..7_usize, 0..7]),
        option::of((any::<prop::sample::Index>(), activation())),
        any::<[bool; 3]>(),
        activation(),
        offset(),
    );
    let cases = (shape, fused).prop_map(|(shape, fused)| {
        let (seed, batch, size, (inputs, outputs), kernel, stride, padding) = shape;
        let channels = [inputs, outputs];
        let (more, norm, [bias, channel_bias, residual], activation, offset) = fused;
        let divisors: Vec<usize> = (1..=channels[0])
            .filter(|groups| channels[0].is_multiple_of(*groups))
            .collect();
        let norm = norm.map(|(pick, activation)| InputNorm {
            groups: *pick.get(&divisors),
            eps: 1e-5,
            activation,
        });
        Conv2d {
            seed,
            batch,
            size,
            channels,
            kernel,
            stride,
            padding,
            enlarge_to: more.map(|more| [size[0] + more[0], size[1] + more[1]]),
            norm,
            bias,
            channel_bias,
            activation,
            residual,
            offset,
        }
    });
    cases.prop_filter("the kernel fits", |case| {
        let [h, w] = case.enlarge_to.unwrap_or(case.size);
        let (padding, [kh, kw]) = (case.padding, case.kernel);
        h + padding.top + padding.bottom >= kh && w + padding.left + padding.right >= kw
    })
}

/// 3x3 with stride 1 over tiles of pixels and at least 32 channels.
fn tiled_conv2d() -> impl Strategy<Value = Conv2d> {
    let sizes = [12..40_usize, 12..40_usize];
    (conv2d(), sizes, [30..70_usize, 30..70_usize]).prop_map(|(fused, size, channels)| Conv2d {
        size,
        channels,
        kernel: [3, 3],
        stride: 1,
        enlarge_to: fused.enlarge_to.map(|_| [2 * size[0] - 1, 2 * size[1]]),
        norm: None,
        ..fused
    })
}

fn linear() -> impl Strategy<Value = Linear> {
    let parts = (
        any::<u64>(),
        prop::collection::vec(1..10_usize, 1..4),
        [channels(), channels()],
        any::<[bool; 2]>(),
        activation(),
        offset(),
    );
    parts.prop_map(
        |(seed, rows, channels, [bias, residual], activation, offset)| Linear {
            seed,
            rows,
            channels,
            bias,
            activation,
            residual,
            offset,
        },
    )
}

fn attention() -> impl Strategy<Value = Attention> {
    let keys = prop_oneof![1..70_usize, 505..530_usize];
    let parts = (
        any::<u64>(),
        1..3_usize,
        (1..70_usize, keys),
        1..4_usize,
        1..82_usize,
        (0..5, any::<prop::sample::Index>()),
        select(vec![1.0, 20.0]),
        offset(),
        offset(),
    );
    parts.prop_map(|parts| {
        let (seed, batch, (queries, keys), heads, head_size, mask, score_scale, k, v) = parts;
        let mask = match mask {
            (0, _) => Mask::Causal,
            (1, _) => Mask::Scattered,
            (2, place) => Mask::From(place.index(keys)),
            (3, place) => Mask::Until(place.index(keys) + 1),
            _ => Mask::None,
        };
        let lengths = [queries, keys];
        let (key_offset, value_offset) = (k, v);
        Attention {
            seed,
            batch,
            lengths,
            heads,
            head_size,
            mask,
            score_scale,
            key_offset,
            value_offset,
        }
    })
}

/// Reference at every level, then bits across levels and thread counts.
fn hold(case: Case) -> Result<(), TestCaseError> {
    let prepared = Prepared {
        want: case.reference(),
        case,
    };
    let mut first = None;
    for backend in [1, 3].into_iter().flat_map(levels::backends) {
        let at = format!("level {}, {} threads", backend.level(), backend.threads());
        let fail = |problem: String| TestCaseError::fail(format!("{at}: {problem}"));
        against_reference(&backend, &prepared).map_err(fail)?;
        let got = run(&backend, &prepared.case).map_err(fail)?;
        match &first {
            None => first = Some(got),
            Some(want) => same_bits(&got, want).map_err(fail)?,
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn conv2d_holds(case in conv2d()) {
        hold(case.into())?;
    }

    #[test]
    fn tiled_conv2d_holds(case in tiled_conv2d()) {
        hold(case.into())?;
    }

    #[test]
    fn linear_holds(case in linear()) {
        hold(case.into())?;
    }

    #[test]
    fn attention_holds(case in attention()) {
        hold(case.into())?;
    }
}
