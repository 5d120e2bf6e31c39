//! The binary `imagegen`: words for the terminal, nothing else.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 all done, 1 something failed,
//! 2 wrong usage, 130 stopped by Ctrl-C.

mod arguments;
mod generate;
mod output;
mod report;
mod session;
mod transform;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Transform(arguments) => transform::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}
