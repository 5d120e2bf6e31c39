//! Prints what is measured about pictures, to look at thresholds with.
//!
//! `measures PICTURE...` prints the figures of each and what is said about it for a model of 512 px.
//! `measures --compare SOURCE RESULT...` prints the
//! fidelity of each result.

use std::error::Error;
use std::time::Instant;

use imagegen_picture::advice::{measure, of_source};
use imagegen_picture::fidelity::compare;
use imagegen_picture::{Decoded, Limits, decode};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, [source, results @ ..])) if first == "--compare" => fidelity(source, results),
        _ => measures(&arguments),
    }
}

fn read(path: &str) -> Result<Decoded, Box<dyn Error>> {
    Ok(decode(&std::fs::read(path)?, &Limits::default())?)
}

fn measures(paths: &[String]) -> Result<(), Box<dyn Error>> {
    for path in paths {
        let Decoded { picture, facts, .. } = read(path)?;
        let start = Instant::now();
        let measures = measure(&picture, 512);
        let seconds = start.elapsed().as_secs_f64();
        println!("{path} {seconds:.3} s {measures:?}");
        for advice in of_source(&measures, facts.orientation) {
            println!("  {}: {advice}", advice.kind());
        }
    }
    Ok(())
}

fn fidelity(source: &str, results: &[String]) -> Result<(), Box<dyn Error>> {
    let source = read(source)?.picture;
    for path in results {
        let result = read(path)?.picture;
        let start = Instant::now();
        let fidelity = compare(&source, &result)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{path} {seconds:.3} s {fidelity:?}");
    }
    Ok(())
}
