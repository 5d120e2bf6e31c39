//! The binary `imagegen`: words for the terminal, nothing else.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 all done, 1 something failed,
//! 2 wrong usage, 130 stopped by Ctrl-C.

mod advise;
mod arguments;
mod collection;
mod command;
mod config;
mod data;
mod folders;
mod generate;
mod inpaint;
mod keys;
mod ladder;
mod loras;
mod mask;
mod models;
mod output;
mod pages;
mod profile;
mod pull;
mod replay;
mod report;
mod serve;
mod session;
mod sheet;
mod show_config;
mod shown;
mod transform;
mod upscale;
mod vary;
mod watch;

use std::process::ExitCode;

use anyhow::Result;

use arguments::{Cli, Command};
use report::Usage;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            report::error(&error);
            match error.is::<Usage>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> Result<ExitCode> {
    let (cli, config) = Cli::read(std::env::args_os().collect())?;
    match &cli.command {
        Command::Transform(arguments) => transform::run(arguments),
        Command::Generate(arguments) => generate::run(arguments),
        Command::Inpaint(arguments) => inpaint::run(arguments),
        Command::Ladder(arguments) => ladder::run(arguments),
        Command::Mask(arguments) => mask::run(arguments),
        Command::Vary(arguments) => vary::run(arguments),
        Command::Upscale(arguments) => upscale::run(arguments),
        Command::Advise(arguments) => advise::run(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Verify(arguments) => replay::verify(arguments),
        Command::Models(arguments) => models::run(arguments),
        Command::Pull(arguments) => pull::run(arguments),
        Command::Info(arguments) => models::info(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Config(arguments) => show_config::run(arguments, &config),
        Command::Completions(arguments) => pages::completions(arguments),
        Command::Man(arguments) => pages::man(arguments),
    }
}
