//! `imagegen completions` and `imagegen man`: made from the table of arguments.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use imagegen::files::{self, Existing};

use crate::arguments::{Cli, CompletionsArguments, ManArguments};
use crate::report::{self, Usage, say};

/// `imagegen completions`.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::table(), "imagegen", &mut script);
    report::show_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// `imagegen man`.
pub(crate) fn man(arguments: &ManArguments) -> Result<ExitCode> {
    let mut table = Cli::table().disable_help_subcommand(true);
    table.build();
    if let Some(folder) = &arguments.output {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for command in std::iter::once(&table).chain(table.get_subcommands()) {
            let path = folder.join(format!("{}.1", title(command)));
            let path = files::write_whole(&path, &page(command)?, Existing::Replace)?;
            say!("wrote {}", path.display());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let command = match &arguments.command {
        None => &table,
        Some(name) => table.find_subcommand(name).ok_or_else(|| {
            let names: Vec<_> = table.get_subcommands().map(Command::get_name).collect();
            Usage(format!(
                "command is {name:?}, expected one of {}",
                names.join(", ")
            ))
        })?,
    };
    report::show_bytes(&page(command)?)?;
    Ok(ExitCode::SUCCESS)
}

/// `imagegen` or `imagegen-transform`: what a page is called.
fn title(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned()
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(title(command).to_uppercase());
    man.render(&mut page).context("cannot lay out the page")?;
    Ok(page)
}
