//! `dev`: everything on this machine, for development: a real Postgres with the local Supabase in
//! front, the daemon, receivers for alerts, and a demo workload.
//! Nothing outside this folder may use the local Supabase, and production builds leave it out.
//! Options come in from the command line; addresses, rates and alerts go out to the terminal.

mod smoke;
mod stack;
mod terminal;
mod workload;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{stack::Stack, workload::Workload};
use super::run::stop_on_signal;
use crate::{config::Environment, error::Error};

/// Run everything on this machine: database, daemon, sinks and a demo workload.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Insert a burst once, wait for the alert and for its end at both sinks, print one line of JSON
    /// with the measured milliseconds, and stop.
    #[arg(long)]
    smoke: bool,
    /// Where the database lives; by default a folder of the user's data folder. With --smoke it is
    /// thrown away at the end.
    #[arg(long, value_name = "DIR", conflicts_with = "smoke")]
    data_dir: Option<PathBuf>,
    /// Port of the local Supabase's API; another one is taken if it is in use.
    #[arg(long, value_name = "PORT", default_value_t = 54321)]
    port: u16,
    /// Start without the demo workload.
    #[arg(long)]
    idle: bool,
}

pub async fn execute(arguments: Arguments, environment: Environment) -> Result<(), Error> {
    let cancel = CancellationToken::new();
    stop_on_signal(&cancel)?;
    if arguments.smoke {
        return smoke::run(&environment, cancel).await;
    }
    let folder = match arguments.data_dir {
        Some(folder) => folder,
        None => stack::data_folder(&environment)?,
    };
    let options = stack::Options { data_dir: Some(folder), port: arguments.port, http_port: 9464 };
    let stack = tokio::select! {
        stack = Stack::start(options, &environment, &cancel) => stack?,
        () = cancel.cancelled() => return Ok(()),
    };
    terminal::announce(&stack);
    let mut tasks = tokio::task::JoinSet::new();
    if !arguments.idle {
        let workload =
            Workload::new(Arc::clone(&stack.reporter), stack.admin.clone(), stack.clock.clone());
        tasks.spawn(workload.run(cancel.clone()));
    }
    terminal::follow(&stack, &cancel).await;
    tasks.shutdown().await;
    stack.stop().await
}
