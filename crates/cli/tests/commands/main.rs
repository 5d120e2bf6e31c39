//! The commands around `transform`, from outside: arguments in; files, words and exit codes out.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod advise;
mod collection;
mod config;
mod folders;
mod inpaint;
mod ladder;
mod loras;
mod mask;
mod memory;
mod models;
mod noise;
mod overrides;
mod pages;
mod pipes;
#[path = "../cli/place.rs"]
#[allow(dead_code, reason = "the other suite uses the rest of it")]
mod place;
mod precision;
mod replay;
mod service;
mod upscale;
mod vary;

use std::process::Command;

use imagegen_conformance::weights::{SingleFile, pack};
use place::{Done, Place};
use safetensors::Dtype;

/// A command without the settings of whoever runs the tests.
fn alone(place: &Place, arguments: &[&str]) -> Command {
    place.command(arguments)
}

/// Runs the words of `line`, none of which holds a space.
fn run(place: &Place, line: &str) -> Done {
    let words: Vec<_> = line.split_whitespace().collect();
    let done = Done::of(&alone(place, &words).output().unwrap());
    place.assert_clean();
    done
}

/// [`run`], which has to succeed.
#[track_caller]
fn succeed(place: &Place, line: &str) -> Done {
    let done = run(place, line);
    assert_eq!(done.code, 0, "{line}\n{}", done.stderr);
    done
}

/// The autoencoder of a tiny model by itself.
fn autoencoder() -> Vec<u8> {
    let tensors = SingleFile::read("sd1").tensors.into_iter();
    let own = tensors.filter_map(|(name, shape, numbers)| {
        let name = name.strip_prefix("first_stage_model.")?.to_owned();
        Some((name, shape, numbers))
    });
    pack(own, Dtype::F16)
}
