//! Runs cases on a backend and words what failed. All failures of a run are told together.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use imagegen_engine::cpu::Precision;
use imagegen_engine::{Backend, Tensor};

use crate::cases::{Call, Case};
use crate::reference::Reference;
use crate::tolerance::{Tolerance, compare, index_of};

/// A case with its reference, so that several backends can share the slow part.
#[derive(Debug)]
pub struct Prepared {
    /// The case.
    pub case: Case,
    /// What must come out.
    pub want: Vec<Reference>,
}

impl Prepared {
    /// Computes the references of `cases` on two threads.
    pub fn all(cases: Vec<Case>) -> Vec<Self> {
        Self::all_at(cases, Precision::F32)
    }

    /// The same where products are computed at a precision.
    pub fn all_at(cases: Vec<Case>, precision: Precision) -> Vec<Self> {
        let prepare = |cases: Vec<Case>| -> Vec<Self> {
            cases
                .into_iter()
                .map(|case| Self {
                    want: case.reference_at(precision),
                    case,
                })
                .collect()
        };
        let (mut halves, mut work) = ([vec![], vec![]], [0, 0]);
        for case in cases {
            let lighter = usize::from(work[1] < work[0]);
            work[lighter] += case.work();
            halves[lighter].push(case);
        }
        let [left, right] = halves;
        std::thread::scope(|scope| {
            let left = scope.spawn(|| prepare(left));
            let mut all = prepare(right);
            all.extend(left.join().expect("references do not panic"));
            all
        })
    }
}

/// What went wrong, one line each.
#[derive(Debug, Default)]
pub struct Failures {
    ran: usize,
    lines: Vec<String>,
}

impl Failures {
    /// Counts a case; `problem` is what is wrong with it.
    pub fn note(&mut self, what: impl fmt::Display, problem: Option<String>) {
        self.ran += 1;
        self.lines
            .extend(problem.map(|problem| format!("{what}\n    {problem}")));
    }

    /// Panics with everything that went wrong, or when nothing ran.
    #[track_caller]
    pub fn report(self) {
        assert!(self.ran > 0, "no case ran");
        let (failed, ran) = (self.lines.len(), self.ran);
        assert!(
            self.lines.is_empty(),
            "{failed} of {ran} failed:\n{}",
            self.lines.join("\n")
        );
    }
}

/// Fills what a backend keeps of buffers that are free again with NaN, so that a kernel that reads
/// before it writes is seen.
pub fn poison<B: Backend>(backend: &B) {
    let powers = (4..17).flat_map(|power| [1_usize << power; 2]);
    let filled = powers.map(|count| Tensor::new([count], vec![f32::NAN; count]));
    let held: Vec<_> = filled
        .flatten()
        .map(|tensor| backend.upload(&tensor))
        .collect();
    drop(held);
}

/// Runs a case; an error or a panic is worded.
pub fn run<B: Backend>(backend: &B, case: &impl Call) -> Result<Vec<Tensor>, String> {
    match catch_unwind(AssertUnwindSafe(|| case.run(backend))) {
        Ok(Ok(got)) => Ok(got),
        Ok(Err(error)) => Err(format!("refused: {error}")),
        Err(panic) => Err(format!("panicked: {}", panic_text(panic.as_ref()))),
    }
}

/// Runs a case on all of `backends` and notes, by the `name` of the backend, where it fails and where its bits are
/// not the first one's.
pub fn same_on_all<B: Backend>(
    backends: &[B],
    case: &impl Call,
    failures: &mut Failures,
    name: impl Fn(&B) -> String,
) {
    let mut first: Option<Vec<Tensor>> = None;
    for backend in backends {
        let problem = match (run(backend, case), &first) {
            (Err(problem), _) => Some(problem),
            (Ok(got), Some(want)) => same_bits(&got, want).err(),
            (Ok(got), None) => {
                first = Some(got);
                None
            }
        };
        failures.note(name(backend), problem);
    }
}

/// The references as tensors, each changed: for results that must not pass.
pub fn changed(want: &[Reference], change: impl Fn(&mut [f32])) -> Vec<Tensor> {
    let mut tensors: Vec<_> = want.iter().map(Reference::rounded).collect();
    tensors
        .iter_mut()
        .for_each(|tensor| change(tensor.data_mut()));
    tensors
}

/// What must not pass for any result, and what is wrong with it.
///
/// Panics where an output is empty.
pub fn wrong(want: &[Reference]) -> Vec<(&'static str, Vec<Tensor>)> {
    let end = |all: &mut [f32]| *all.last_mut().expect("cases have outputs") = f32::NAN;
    vec![
        ("zeros", changed(want, |all| all.fill(0.0))),
        (
            "all shifted by one",
            changed(want, |all| all.rotate_right(1)),
        ),
        ("a NaN at the end", changed(want, end)),
    ]
}

/// The words of a panic.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

/// Compares results with references. Gives the largest error as a share of its limit.
pub fn compare_all(
    got: &[Tensor],
    want: &[Reference],
    tolerance: Tolerance,
) -> Result<f64, String> {
    if got.len() != want.len() {
        return Err(format!("{} outputs, expected {}", got.len(), want.len()));
    }
    let mut worst = 0.0_f64;
    for (output, (got, want)) in got.iter().zip(want).enumerate() {
        let share = compare(got, want, tolerance)
            .map_err(|mismatch| format!("output {output} ({}): {mismatch}", tolerance.name))?;
        worst = worst.max(share);
    }
    Ok(worst)
}

/// Runs a case against its reference. Gives the largest error as a share of its limit.
pub fn against_reference<B: Backend>(backend: &B, prepared: &Prepared) -> Result<f64, String> {
    poison(backend);
    let got = run(backend, &prepared.case)?;
    compare_all(&got, &prepared.want, prepared.case.tolerance())
}

/// Fails unless two results have the same bits, the sign of zero included.
pub fn same_bits(got: &[Tensor], want: &[Tensor]) -> Result<(), String> {
    let shapes = |all: &[Tensor]| all.iter().map(|t| t.shape().to_vec()).collect::<Vec<_>>();
    if shapes(got) != shapes(want) {
        return Err(format!(
            "shapes {:?}, expected {:?}",
            shapes(got),
            shapes(want)
        ));
    }
    for (got, want) in got.iter().zip(want) {
        let pairs = || got.data().iter().zip(want.data());
        let differs = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
        if let Some(first) = pairs().position(|pair| differs(&pair)) {
            let (a, b) = (got.data()[first], want.data()[first]);
            return Err(format!(
                "{} of {} numbers differ in their bits; first at {:?}: got {a:e} ({:#010x}), want \
                 {b:e} ({:#010x})",
                pairs().filter(differs).count(),
                want.data().len(),
                index_of(want.shape(), first),
                a.to_bits(),
                b.to_bits(),
            ));
        }
    }
    Ok(())
}
