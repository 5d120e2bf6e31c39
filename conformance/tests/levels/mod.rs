//! The levels this machine can run, and a word on those it cannot.

use std::io::Write;
use std::sync::Once;

use imagegen_engine::cpu::{CpuBackend, Level};

/// Says once, past the test harness's capture, which levels are not shown by this run.
fn tell_missing() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let missing: Vec<_> = Level::ALL
            .into_iter()
            .filter(|level| !level.is_available())
            .map(Level::name)
            .collect();
        if !missing.is_empty() {
            let line = format!("not run, this CPU lacks it: level {}\n", missing.join(", "));
            std::io::stderr()
                .write_all(line.as_bytes())
                .expect("stderr can be written");
        }
    });
}

/// One backend per level, each with `threads` threads.
pub(crate) fn backends(threads: usize) -> Vec<CpuBackend> {
    tell_missing();
    let levels = Level::available().into_iter();
    levels
        .map(|level| CpuBackend::new(level, threads).expect("the level is available"))
        .collect()
}
