//! What can be typed, and what it means. Defaults from the environment and the configuration file are
//! laid under it here, so that every value passes one parser wherever it comes from.

mod commands;
mod inpaint;
mod masks;
mod service;
mod shared;
mod values;

use std::ffi::OsString;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{
    ArgMatches, Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand,
};

use crate::config::ConfigFile;
use crate::report::say;
use crate::shown::{acts, shown};
pub(crate) use commands::{
    AdviseArguments, CompletionsArguments, ConfigArguments, GenerateArguments, HiresChoice,
    InfoArguments, LadderArguments, ManArguments, ModelsArguments, ModelsCommand, PullArguments,
    ReplayArguments, TransformArguments, UpscaleArguments, VaryArguments, VerifyArguments,
};
pub(crate) use inpaint::InpaintArguments;
pub(crate) use masks::{MaskArguments, MaskOptions};
pub(crate) use service::{ADDRESS, DataFolder, KeysArguments, KeysCommand, ServeArguments};
pub(crate) use shared::{
    Compute, FitName, LIST, Machine, ModelChoice, ModelFolders, ModelName, OneStrength, Overrides,
    Prompted, Shaping, Target, default_model,
};
pub(crate) use values::model_name;

/// Turns a picture into a new one with a diffusion model.
#[derive(Debug, Parser)]
#[command(
    name = "imagegen",
    version,
    about = "Turns a picture into a new one with a diffusion model",
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// File of defaults, in TOML [default: config.toml in the user's configuration folder]
    ///
    /// `imagegen config` shows which file is read and what holds. An empty path reads none.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "IMAGEGEN_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make new pictures from source pictures
    Transform(TransformArguments),
    /// Make a picture from text alone; it can be the source of `transform`
    Generate(GenerateArguments),
    /// Show what several strengths make of a source, on one sheet
    Ladder(LadderArguments),
    /// Show what several seeds make of a source, on one sheet
    Vary(VaryArguments),
    /// Make pictures larger, and draw their detail anew where there is a prompt
    Upscale(UpscaleArguments),
    /// Make a part of a picture anew and keep the rest bit for bit
    Inpaint(InpaintArguments),
    /// Show what a mask covers, or write it
    Mask(MaskArguments),
    /// Say what stands in a source's way, without making anything
    Advise(AdviseArguments),
    /// Make a picture again from what it says of its making
    Replay(ReplayArguments),
    /// Check that a picture is what its recipe makes
    Verify(VerifyArguments),
    /// List the models there are, add and remove some
    Models(ModelsArguments),
    /// Get a model from a Hugging Face hub
    Pull(PullArguments),
    /// Describe a model: networks, schedule, defaults, memory
    Info(InfoArguments),
    /// Answer browsers and programs: the page, and the service behind it
    Serve(ServeArguments),
    /// Make, list and revoke keys that let others use the service
    Keys(KeysArguments),
    /// Show the defaults that hold and where each comes from
    Config(ConfigArguments),
    /// Print a script that completes arguments in a shell
    Completions(CompletionsArguments),
    /// Print a manual page
    Man(ManArguments),
}

impl Cli {
    /// Reads `arguments`, with the configuration file and the environment beneath them.
    ///
    /// Wrong usage ends the program with its message and code 2, help with 0. Fails where the file or a
    /// variable holds what no option would take.
    pub(crate) fn read(arguments: Vec<OsString>) -> Result<(Self, ConfigFile)> {
        // The variables are checked first: clap would blame an option that nobody typed.
        crate::config::check_environment(&Self::command())?;
        let read = |table: ClapCommand| {
            let matches = table.try_get_matches_from(&arguments);
            matches.unwrap_or_else(|error| leave(&error))
        };
        let matches = read(Self::command());
        let file = ConfigFile::load(matches.get_one::<OsString>("config"), &Self::command())?;
        let matches = read(file.lay_under(Self::command()));
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| leave(&error));
        if let Some(target) = cli.target_mut() {
            target.format_typed = typed(&matches, "format");
        }
        Ok((cli, file))
    }

    fn target_mut(&mut self) -> Option<&mut Target> {
        match &mut self.command {
            Command::Transform(arguments) => Some(&mut arguments.target),
            Command::Generate(arguments) => Some(&mut arguments.target),
            Command::Ladder(arguments) => Some(&mut arguments.target),
            Command::Vary(arguments) => Some(&mut arguments.target),
            Command::Upscale(arguments) => Some(&mut arguments.target),
            Command::Inpaint(arguments) => Some(&mut arguments.target),
            Command::Mask(arguments) => Some(&mut arguments.target),
            Command::Replay(arguments) => Some(&mut arguments.target),
            _ => None,
        }
    }

    /// The table of arguments, for completions and manual pages.
    pub(crate) fn table() -> ClapCommand {
        Self::command()
    }
}

/// Ends the program with clap's words: help, or what is wrong with the arguments, which are quoted.
fn leave(error: &clap::Error) -> ! {
    let words = error.render().to_string();
    if words.contains(|c| acts(c) && c != '\n') {
        let lines: Vec<_> = words.lines().map(shown).collect();
        say!("{}", lines.join("\n"));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// Whether an option of the command was typed, not taken from elsewhere.
fn typed(matches: &ArgMatches, option: &str) -> bool {
    matches.subcommand().is_some_and(|(_, matches)| {
        matches.try_contains_id(option).is_ok()
            && matches.value_source(option) == Some(ValueSource::CommandLine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }
}
