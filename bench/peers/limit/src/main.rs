//! How many f32 multiply-adds this machine can do: independent chains in registers, no memory.
//!
//! `cargo run --release -- THREADS` in this folder prints GFLOP/s, the best of several runs of all threads together.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Chains that are under way at once: enough registers of any width to hide the latency of an addition.
const CHAINS: usize = 24 * 8;
const ROUNDS: usize = 20_000_000;

fn work() -> f32 {
    let mut sums = [black_box(0.5f32); CHAINS];
    let (factor, term) = (black_box(0.999f32), black_box(0.001f32));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, term);
        }
    }
    black_box(sums.iter().sum())
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let threads = threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    let flops = 2.0 * (CHAINS * ROUNDS * threads) as f64;
    println!(
        "{threads} threads: {:.1} GFLOP/s of f32 multiply-adds",
        flops / best / 1e9
    );
}
