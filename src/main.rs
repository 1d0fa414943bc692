//! The binary: boot phases, then the subcommand.

use std::process::ExitCode;

use clap::Parser;
use meshhook_errors::{
    cli::Cli,
    config::{Environment, Telemetry},
    error::Error,
    telemetry,
};

fn main() -> ExitCode {
    // First of all: two TLS providers are compiled in (one is never used), and rustls panics at the
    // first connection unless it is told which.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match boot(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meshhook-errors: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Everything synchronous comes before the runtime, so that a wrong configuration starts nothing.
fn boot(cli: Cli) -> Result<(), Error> {
    let environment = Environment::load()?;
    let mut reader = environment.reader();
    let telemetry = Telemetry::read(&mut reader);
    let telemetry = reader.finish(telemetry).map_err(|own| cli.problems(&environment, own))?;
    // Declared before the runtime, so that it ends after it, when nothing is told any more.
    let _telling = telemetry::start(&telemetry);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            Error::unavailable("the runtime", error, "look at the limits of this user")
        })?;
    let result = runtime.block_on(cli.execute(environment));
    // Blocking look-ups of names must not delay the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}
