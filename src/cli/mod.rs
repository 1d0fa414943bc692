//! The subcommands: each one file, each wiring the modules it needs.
//! This is the only folder that knows all others; no logic that another part could need lives here.
//! Arguments and the environment come in; exit statuses and words for people go out.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    config::{Environment, Problems},
    error::Error,
};

mod advice;
mod backtest;
mod channels;
mod check;
#[cfg(feature = "dev")]
mod dev;
mod explain;
mod healthcheck;
mod manual;
mod progress;
mod prune;
mod reconcile;
mod report;
mod rules;
pub mod run;
mod token;
mod wiring;

/// The version, and the commit it was built from.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("MESHHOOK_ERRORS_BUILT_FROM"), ")");

/// Error-rate alerting for a Supabase project.
#[derive(Debug, Parser)]
#[command(name = "meshhook-errors", version = VERSION, about, arg_required_else_help = true)]
#[command(after_help = "Configuration is read from the environment and from a file .env in the \
                        current folder; .env.example describes every variable.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run,
    /// Run everything on this machine: database, daemon, sinks and a demo workload.
    #[cfg(feature = "dev")]
    Dev(dev::Arguments),
    /// Evaluate a rule over stored history: incidents, messages, suggested thresholds.
    Backtest(backtest::Arguments),
    /// Diagnose a deployment line by line.
    Check(check::Arguments),
    /// Say why a rule fires, or does not.
    Explain(explain::Arguments),
    /// Report error events from the shell, or from NDJSON on standard input.
    Report(report::Arguments),
    /// Alert rules as a file: export, apply, check, schema.
    Rules(rules::Arguments),
    /// Mint a token for a worker.
    Token(token::Arguments),
    /// Store the secret of a channel, read from standard input.
    Secret(channels::SecretArguments),
    /// Send a marked test message to a channel.
    SendTest(channels::TestArguments),
    /// Delete what is older than its retention.
    Prune(prune::Arguments),
    /// Ask the instance on this machine whether it lives, for containers.
    Healthcheck(healthcheck::Arguments),
    /// Print completions for a shell.
    Completions(manual::CompletionArguments),
    /// Write the manual pages to a folder.
    Man(manual::ManualArguments),
}

impl Cli {
    /// All that is wrong with the configuration of the daemon, `known` problems first; of another
    /// subcommand only those.
    #[must_use]
    pub fn problems(&self, environment: &Environment, mut known: Problems) -> Problems {
        if matches!(self.command, Command::Run)
            && let Err(Problems(further)) = run::Settings::read(environment)
        {
            known.0.extend(further);
        }
        known
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// Says what failed; [`Error::exit_code`] is the exit status.
    pub async fn execute(self, environment: Environment) -> Result<(), Error> {
        match self.command {
            Command::Run => run::execute(&environment).await,
            #[cfg(feature = "dev")]
            Command::Dev(arguments) => Box::pin(dev::execute(arguments, environment)).await,
            Command::Backtest(arguments) => backtest::execute(arguments, &environment).await,
            Command::Check(arguments) => check::execute(arguments, &environment).await,
            Command::Explain(arguments) => explain::execute(arguments, &environment).await,
            Command::Report(arguments) => report::execute(arguments, &environment).await,
            Command::Rules(arguments) => rules::execute(arguments, &environment).await,
            Command::Token(arguments) => token::execute(&arguments, &environment),
            Command::Secret(arguments) => channels::set_secret(arguments, &environment).await,
            Command::SendTest(arguments) => channels::send_test(arguments, &environment).await,
            Command::Prune(arguments) => prune::execute(arguments, &environment).await,
            Command::Healthcheck(arguments) => healthcheck::execute(arguments, &environment).await,
            Command::Completions(arguments) => manual::completions(&arguments, Self::command()),
            Command::Man(arguments) => manual::manual(&arguments, Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
