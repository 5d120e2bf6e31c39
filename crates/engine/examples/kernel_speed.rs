//! Speed of single operations at the shapes of the starter and of Stable Diffusion 1.5, its autoencoder among them.
//!
//! `cargo run --release -p imagegen-engine --example kernel_speed [threads] [level] [precision]`

use std::time::Instant;

use imagegen_engine::cpu::{Level, Precision};
use imagegen_engine::{
    Activation, AttentionMask, Backend, ConvCall, CpuBackend, GroupNorm, LinearCall, Padding,
    Tensor,
};

fn noise(shape: &[usize]) -> Tensor {
    let mut state = 1u32;
    let numbers = (0..shape.iter().product()).map(|_| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    });
    Tensor::new(shape, numbers.collect()).expect("one number for each place")
}

fn report(name: &str, gflop: f64, mut work: impl FnMut()) {
    work();
    let mut best = f64::INFINITY;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 1.0 {
        let run = Instant::now();
        work();
        best = best.min(run.elapsed().as_secs_f64());
    }
    println!(
        "{name:42} {:9.2} ms {:8.1} GFLOP/s",
        best * 1e3,
        gflop / best
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let level = arguments
        .next()
        .map_or(Ok(Level::best()), |level| level.parse())?;
    let precision = arguments
        .next()
        .map_or(Ok(Precision::F32), |precision| precision.parse())?;
    let engine = CpuBackend::new(level, threads)?.at(precision);
    println!("{level}, {precision}, {threads} threads");
    for (side, inputs, outputs) in [
        (128, 96, 96),
        (128, 192, 96),
        (64, 128, 128),
        (32, 256, 128),
        (64, 320, 320),
        (32, 640, 640),
        (16, 1280, 1280),
        (128, 512, 512),
        (256, 256, 256),
        (512, 128, 128),
        (512, 128, 3),
    ] {
        let input = engine.upload(&noise(&[1, side, side, inputs]));
        let weights = engine.conv2d_weights(noise(&[outputs, inputs, 3, 3]), None)?;
        let norm = engine.norm_weights(noise(&[inputs]), noise(&[inputs]))?;
        let gflop = 18.0 * (side * side * inputs * outputs) as f64 / 1e9;
        report(
            &format!("conv3x3 {inputs}->{outputs} at {side}x{side}"),
            gflop,
            || {
                let call = ConvCall {
                    padding: Padding::all(1),
                    ..ConvCall::default()
                };
                engine
                    .conv2d(&input, &weights, call)
                    .expect("the shapes fit");
            },
        );
        report("  with group norm and SiLU first", gflop, || {
            let activation = Some(Activation::Silu);
            let norm = Some(GroupNorm {
                weights: &norm,
                groups: 32,
                eps: 1e-5,
                activation,
                moments: None,
            });
            let call = ConvCall {
                padding: Padding::all(1),
                norm,
                ..ConvCall::default()
            };
            engine
                .conv2d(&input, &weights, call)
                .expect("the shapes fit");
        });
    }
    for (rows, inputs, outputs) in [
        (4096, 128, 128),
        (4096, 128, 1024),
        (8192, 320, 320),
        (8192, 320, 2560),
    ] {
        let input = engine.upload(&noise(&[rows, inputs]));
        let weights = engine.linear_weights(noise(&[outputs, inputs]), None)?;
        let gflop = 2.0 * (rows * inputs * outputs) as f64 / 1e9;
        report(
            &format!("linear {rows} x {inputs} x {outputs}"),
            gflop,
            || {
                engine
                    .linear(&input, &weights, LinearCall::default())
                    .expect("the shapes fit");
            },
        );
    }
    for (tokens, keys, heads, depth) in [
        (4096, 4096, 4, 32),
        (1024, 1024, 4, 32),
        (4096, 77, 4, 32),
        (4096, 4096, 8, 40),
    ] {
        let query = engine.upload(&noise(&[1, tokens, heads * depth]));
        let key = engine.upload(&noise(&[1, keys, heads * depth]));
        let gflop = 4.0 * (tokens * keys * heads * depth) as f64 / 1e9;
        report(
            &format!("attention {tokens} x {keys}, {heads} heads of {depth}"),
            gflop,
            || {
                engine
                    .attention(&query, &key, &key, heads, AttentionMask::None)
                    .expect("shapes fit");
            },
        );
    }
    Ok(())
}
