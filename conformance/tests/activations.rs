//! Activations against numbers that were made outside this project, float64 rounded to f32:
//! `python tools/reference/activations.py` writes `reference/activations.safetensors` again.
//! Our own references are held to the same file, so that they cannot be wrong with the kernels.

mod levels;

use std::fs;
use std::path::Path;

use imagegen_conformance::check::Failures;
use imagegen_conformance::reference::{Estimate, Reference, activate};
use imagegen_conformance::tolerance::{Tolerance, compare};
use imagegen_engine::{Activation, Backend, Tensor};
use safetensors::SafeTensors;

const NAMES: [(Activation, &str); 5] = [
    (Activation::Silu, "silu"),
    (Activation::Gelu, "gelu"),
    (Activation::GeluTanh, "gelu_tanh"),
    (Activation::QuickGelu, "quick_gelu"),
    (Activation::Relu, "relu"),
];

/// Reads an f32 tensor of the file.
fn read(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect("the file has this tensor");
    assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
    let words = view.data().chunks_exact(4);
    words
        .map(|word| f32::from_le_bytes(word.try_into().expect("words are four bytes")))
        .collect()
}

#[test]
fn kernels_and_references_agree_with_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/activations.safetensors");
    let bytes = fs::read(&path).expect("the file is part of the repository");
    let file = SafeTensors::deserialize(&bytes).expect("the file is whole");
    let x = read(&file, "x");
    let mut failures = Failures::default();
    for (activation, name) in NAMES {
        let expected = read(&file, name);
        let ours = x.iter().map(|&x| activate(Estimate::exact(x), activation));
        let numbers: Vec<Estimate> = ours
            .zip(&expected)
            .map(|(ours, &theirs)| Estimate {
                value: f64::from(theirs),
                size: ours.size,
            })
            .collect();
        let rounded: Vec<f32> = x
            .iter()
            .map(|&x| activate(Estimate::exact(x), activation).value as f32)
            .collect();
        // Both are float64 rounded once, so even a last bit apart is suspicious; exp and erfc of two
        // libraries may still round to either side of it.
        let own = numbers.iter().zip(&rounded).position(|(theirs, &ours)| {
            let step = f64::from(ours.abs()) * 2.0_f64.powi(-23) + 1e-42;
            (theirs.value - f64::from(ours)).abs() > step
        });
        failures.note(
            format!("our reference of {name}"),
            own.map(|i| {
                format!(
                    "x {:e}: {:e}, the file has {:e}",
                    x[i], rounded[i], expected[i]
                )
            }),
        );
        let want = Reference::new([x.len()], numbers);
        let input = Tensor::new([x.len()], x.clone()).expect("one axis");
        for backend in levels::backends(2) {
            let out = backend.activate(&backend.upload(&input), activation);
            let got = backend.download(&out.expect("any shape will do"));
            let problem = compare(&got, &want, Tolerance::ACTIVATION).err();
            let what = format!("{name} at level {}", backend.level());
            failures.note(what, problem.map(|problem| problem.to_string()));
        }
    }
    failures.report();
}
