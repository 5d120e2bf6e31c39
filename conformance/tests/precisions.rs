//! Products at other precisions than f32: against the reference, with what rounding of factors may do, and to the bit at
//! every level and on any number of threads.

mod levels;

use std::sync::LazyLock;

use imagegen_conformance::cases::{Call, Case};
use imagegen_conformance::check::{
    self, Failures, Prepared, against_reference, changed, compare_all, same_bits, same_on_all,
};
use imagegen_conformance::suite;
use imagegen_engine::Tensor;
use imagegen_engine::cpu::{CpuBackend, Precision};

/// The operations that are made of products.
fn products() -> Vec<Case> {
    [
        suite::conv2d(),
        suite::linear(),
        suite::geglu(),
        suite::attention(),
        suite::found(),
    ]
    .concat()
}

static CASES: LazyLock<Vec<(Precision, Vec<Prepared>)>> = LazyLock::new(|| {
    let coarse = Precision::ALL.into_iter().filter(|p| *p != Precision::F32);
    coarse
        .map(|precision| (precision, Prepared::all_at(products(), precision)))
        .collect()
});

#[test]
fn every_level_matches_the_reference() {
    let mut failures = Failures::default();
    for (precision, cases) in CASES.iter() {
        let mut worst = (0.0, String::new());
        for backend in levels::backends(2) {
            let backend = backend.at(*precision);
            for prepared in cases {
                let name = format!(
                    "{} at {precision}, level {}",
                    prepared.case,
                    backend.level()
                );
                let outcome = against_reference(&backend, prepared);
                if let Ok(share) = outcome
                    && share > worst.0
                {
                    worst = (share, name.clone());
                }
                failures.note(name, outcome.err());
            }
        }
        println!(
            "at most {:.0} % of the limit, by {}",
            100.0 * worst.0,
            worst.1
        );
    }
    failures.report();
}

#[test]
fn bits_do_not_depend_on_level_or_threads() {
    let mut failures = Failures::default();
    let backends: Vec<CpuBackend> = [1, 3].into_iter().flat_map(levels::backends).collect();
    for (precision, cases) in CASES.iter() {
        let backends: Vec<_> = backends.iter().map(|it| it.at(*precision)).collect();
        for Prepared { case, .. } in cases {
            same_on_all(&backends, case, &mut failures, |backend| {
                let (level, threads) = (backend.level(), backend.threads());
                format!("{case} at {precision}, level {level}, {threads} threads")
            });
        }
    }
    failures.report();
}

#[test]
fn wrong_results_do_not_pass() {
    let mut failures = Failures::default();
    for (precision, cases) in CASES.iter() {
        for Prepared { case, want } in cases {
            let half = changed(want, |all| all.iter_mut().for_each(|v| *v *= 0.5));
            for (what, wrong) in check::wrong(want).into_iter().chain([("half of it", half)]) {
                let vague = match case {
                    // Keys or values far from zero lose most of their digits, and scores that are large what they decide.
                    Case::Attention(case) => case.key_offset != 0.0 || case.value_offset != 0.0,
                    // Steps reach to zero, so that numbers far from it are hardly told from each other.
                    Case::Geglu(case) => *precision == Precision::Int8 && case.offset != 0.0,
                    _ => false,
                };
                if vague && !what.contains("zeros") && !what.contains("NaN") {
                    continue;
                }
                let passed = compare_all(&wrong, want, case.tolerance()).is_ok();
                failures.note(
                    format!("{what} for {case} at {precision}"),
                    passed.then(|| "passed".to_owned()),
                );
            }
        }
    }
    failures.report();
}

#[test]
fn exact_layers_and_f32_are_left_alone() {
    // Numbers that bfloats round away.
    let input = Tensor::new([1, 64], vec![1.0 + 1.0 / 1024.0; 64]).expect("64 numbers");
    let weight = Tensor::new([32, 64], vec![1.0 - 1.0 / 2048.0; 32 * 64]).expect("2048 numbers");
    for backend in levels::backends(1) {
        let run = |backend: &CpuBackend, exact: bool| {
            use imagegen_engine::{Backend, LinearCall};
            let weights = backend
                .linear_weights(weight.clone(), None)
                .expect("the shapes fit");
            let weights = match exact {
                true => backend.exact_linear(weights),
                false => weights,
            };
            let out = backend.linear(&backend.upload(&input), &weights, LinearCall::default());
            vec![backend.download(&out.expect("the shapes fit"))]
        };
        let want = run(&backend, false);
        for precision in Precision::ALL {
            let other = backend.at(precision);
            assert_eq!(same_bits(&run(&other, true), &want), Ok(()), "{precision}");
            let rounded = same_bits(&run(&other, false), &want).is_err();
            assert_eq!(rounded, precision != Precision::F32, "{precision}");
        }
    }
}
