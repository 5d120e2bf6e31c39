//! The CPU backend against the suite, at every level this machine can run.

mod levels;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use imagegen_conformance::cases::{Call, Case};
use imagegen_conformance::check::{
    self, Failures, Prepared, against_reference, changed, compare_all, panic_text, same_bits,
    same_on_all,
};
use imagegen_conformance::noise::{Noise, Precision};
use imagegen_conformance::reference::Reference;
use imagegen_conformance::tolerance::Tolerance;
use imagegen_conformance::{nan, nothing, refusals, suite};
use imagegen_engine::cpu::{CpuBackend, Level};
use imagegen_engine::{Backend, ConvCall, Padding, Tensor};

static CASES: LazyLock<Vec<Prepared>> = LazyLock::new(|| Prepared::all(suite::all()));

#[test]
fn every_level_matches_the_reference() {
    let mut failures = Failures::default();
    let mut worst = Tolerance::ALL.map(|tolerance| (tolerance, 0.0, String::new()));
    for backend in levels::backends(2) {
        for prepared in CASES.iter() {
            let name = format!("{} at level {}", prepared.case, backend.level());
            let outcome = against_reference(&backend, prepared);
            if let Ok(share) = outcome {
                let tolerance = prepared.case.tolerance();
                let entry = worst
                    .iter_mut()
                    .find(|entry| entry.0 == tolerance && entry.1 <= share);
                if let Some(entry) = entry {
                    (entry.1, entry.2) = (share, name.clone());
                }
            }
            failures.note(name, outcome.err());
        }
    }
    // Seen with --nocapture: how much of each tolerance is used.
    for (tolerance, share, case) in worst {
        println!(
            "{}: at most {:.0} % of the limit, by {case}",
            tolerance.name,
            100.0 * share
        );
    }
    failures.report();
}

#[test]
fn bits_do_not_depend_on_level_or_threads() {
    let mut failures = Failures::default();
    let backends: Vec<CpuBackend> = [1, 2, 3, 5]
        .into_iter()
        .flat_map(levels::backends)
        .collect();
    for Prepared { case, .. } in CASES.iter() {
        same_on_all(&backends, case, &mut failures, |backend| {
            format!(
                "{case} at level {}, {} threads",
                backend.level(),
                backend.threads()
            )
        });
    }
    failures.report();
}

/// Products in one sum, where an output is little else.
fn products(case: &Case) -> Option<usize> {
    match case {
        Case::Conv2d(case) => Some(case.channels[0] * case.kernel[0] * case.kernel[1]),
        Case::Linear(case) => Some(case.channels[0]),
        _ => None,
    }
}

/// What must not pass for the result of `case`.
fn wrong_results(case: &Case, want: &[Reference]) -> Vec<(&'static str, Vec<Tensor>)> {
    let off = |by: f32| changed(want, |all| all.iter_mut().for_each(|value| *value += by));
    let largest = want
        .iter()
        .flat_map(|want| &want.numbers)
        .map(|number| number.value.abs());
    let largest = largest.fold(0.0, f64::max) as f32;
    let mut wrong = check::wrong(want);
    // A common offset of 1000 deviations, or no deviation at all, leaves the mean's rounding as the
    // larger part of what varies: those cases of the norms are held to a few parts in a hundred.
    let share = if case.tolerance() == Tolerance::NORM {
        0.03
    } else {
        0.001
    };
    wrong.push(("all off by a share of the largest", off(share * largest)));
    if let Some(products) = products(case) {
        // Weights have a deviation of 1 / sqrt(products), inputs of 1.
        wrong.push((
            "a tenth of one product more",
            off(0.1 / (products as f32).sqrt()),
        ));
    }
    wrong
}

#[test]
fn wrong_results_do_not_pass() {
    let mut failures = Failures::default();
    for Prepared { case, want } in CASES.iter() {
        let right: Vec<Tensor> = want.iter().map(Reference::rounded).collect();
        let right = compare_all(&right, want, case.tolerance());
        failures.note(format!("the reference itself for {case}"), right.err());
        for (what, wrong) in wrong_results(case, want) {
            let passed = compare_all(&wrong, want, case.tolerance()).is_ok();
            failures.note(
                format!("{what} for {case}"),
                passed.then(|| "passed".to_owned()),
            );
        }
    }
    failures.report();
}

#[test]
fn every_tolerance_is_tried() {
    for tolerance in Tolerance::ALL {
        let used = CASES
            .iter()
            .any(|prepared| prepared.case.tolerance() == tolerance);
        assert!(used, "no case uses {}", tolerance.name);
    }
}

#[test]
fn nan_reaches_the_result() {
    let mut failures = Failures::default();
    for backend in levels::backends(2) {
        for (what, call) in nan::all::<CpuBackend>() {
            let problem = match call(&backend) {
                Ok(out) => {
                    let lost = !backend
                        .download(&out)
                        .data()
                        .iter()
                        .any(|value| value.is_nan());
                    lost.then(|| "a NaN went in, none came out".to_owned())
                }
                Err(error) => Some(format!("refused: {error}")),
            };
            failures.note(format!("{what} at level {}", backend.level()), problem);
        }
    }
    failures.report();
}

#[test]
fn wrong_calls_are_refused_by_name() {
    let mut failures = Failures::default();
    for backend in levels::backends(2) {
        for refusal in refusals::all::<CpuBackend>() {
            let outcome = catch_unwind(AssertUnwindSafe(|| (refusal.call)(&backend)));
            let problem = match outcome {
                Ok(Ok(())) => Some("was accepted".to_owned()),
                Ok(Err(error)) => {
                    let subject = refusals::subject(&error);
                    let named = refusal.names.iter().any(|name| subject.contains(name));
                    (!named).then(|| format!("does not name the operation: {error}"))
                }
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            };
            let name = format!("{:?} at level {}", refusal, backend.level());
            failures.note(name, problem);
        }
    }
    failures.report();
}

#[test]
fn sizes_of_zero_do_not_panic() {
    let mut failures = Failures::default();
    let backend = CpuBackend::new(Level::best(), 2).expect("the best level is available");
    for (what, call) in nothing::all::<CpuBackend>() {
        let outcome = catch_unwind(AssertUnwindSafe(|| call(&backend)));
        let panic = outcome
            .err()
            .map(|panic| format!("panicked: {}", panic_text(panic.as_ref())));
        failures.note(what, panic);
    }
    failures.report();
}

/// A layer whose transformed weights are too many to be made for a call, so that each piece makes its own until they are
/// kept, from the third call on; with more channels in and out than are multiplied at a time.
#[test]
fn weights_that_are_kept_give_the_same_bits() {
    let [inputs, outputs, side] = [1376, 352, 24];
    let mut noise = Noise::new(40);
    let weight = noise.tensor([outputs, inputs, 3, 3], 0.1, 0.0);
    let input = noise.tensor([1, side, side, inputs], 1.0, 0.0);
    let runs = |kept: usize| -> Vec<Tensor> {
        let backend = CpuBackend::new(Level::best(), 2).expect("the best level is available");
        let backend = backend.keeping(kept);
        let layer = backend.conv2d_weights(weight.clone(), None);
        let layer = layer.expect("the weight is one of a convolution");
        let input = backend.upload(&input);
        let run = |_| {
            let call = ConvCall {
                padding: Padding::all(1),
                ..ConvCall::default()
            };
            let output = backend.conv2d(&input, &layer, call);
            backend.download(&output.expect("the input fits"))
        };
        let all = (0..4).map(run).collect();
        let transformed = 36 * inputs * outputs * size_of::<f32>();
        assert_eq!(backend.held_bytes() >= transformed, kept > 0);
        all
    };
    let (never, kept) = (runs(0), runs(1 << 30));
    for output in never.iter().chain(&kept) {
        same_bits(std::slice::from_ref(output), &never[..1]).expect("all calls give the same");
    }
}

#[test]
fn every_kind_of_case_is_in_the_suite() {
    let names = CASES.iter().map(|prepared| match &prepared.case {
        Case::Activate(_) => "activate",
        Case::Add(_) => "add",
        Case::Attention(_) => "attention",
        Case::Concat(_) => "concat",
        Case::Conv2d(_) => "conv2d",
        Case::Depth(_) => "depth",
        Case::Embedding(_) => "embedding",
        Case::Geglu(_) => "geglu",
        Case::GroupNorm(_) => "group_norm",
        Case::LayerNorm(_) => "layer_norm",
        Case::Linear(_) => "linear",
        Case::Merging(_) => "merging",
        Case::Prelu(_) => "prelu",
        Case::Resized(_) => "resize",
        Case::Reshape(_) => "reshape",
        Case::Scale(_) => "scale",
        Case::Split(_) => "split",
    });
    let kinds: std::collections::BTreeSet<_> = names.collect();
    assert_eq!(kinds.len(), 17, "{kinds:?}");
}

#[test]
fn weights_of_every_precision_meet_every_algorithm() {
    let met = CASES.iter().filter_map(|prepared| {
        let (algorithm, weights) = match &prepared.case {
            Case::Conv2d(case) => {
                let winograd = case.tolerance() == Tolerance::WINOGRAD;
                let weights = case.channels.into_iter().chain(case.kernel).product();
                (if winograd { "tiled" } else { "direct" }, weights)
            }
            Case::Linear(case) => ("linear", case.channels.into_iter().product()),
            Case::Geglu(case) => ("gated", 2 * case.channels.into_iter().product::<usize>()),
            _ => return None,
        };
        Some((algorithm, Precision::of(weights)))
    });
    let met: std::collections::BTreeSet<_> = met.collect();
    assert_eq!(met.len(), 4 * 3, "{met:?}");
}
