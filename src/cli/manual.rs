//! `completions` and `man`: what shells and `man` want to know about the command line.

use std::{io::Write as _, path::PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::Error;

/// Print the completions of a shell to standard output.
#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// For which shell.
    shell: Shell,
}

/// Write the manual pages, one for the program and one for each subcommand.
#[derive(Debug, Args)]
pub struct ManualArguments {
    /// Into this folder, which is created where it is missing.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub fn completions(arguments: &CompletionArguments, mut command: Command) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "meshhook-errors", &mut script);
    // A reader that has seen enough, as `head`, is no failure.
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::failed(error)),
        _ => Ok(()),
    }
}

pub fn manual(arguments: &ManualArguments, command: Command) -> Result<(), Error> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| Error::failed(format!("cannot write to {}: {error}", folder.display())))
}
