//! `dev`: everything on this machine, for development: a real Postgres with the local Supabase in
//! front, the daemon, receivers for alerts, and a demo workload.
//! Nothing outside this folder may use the local Supabase, and production builds leave it out.
//! Options come in from the command line; addresses, rates and alerts go out to the terminal.

mod dashboard;
mod smoke;
mod stack;
mod terminal;
mod workload;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{
    dashboard::{Address, Dashboard},
    stack::Stack,
    workload::Workload,
};
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
    /// Port of the dashboard; another one is taken if it is in use.
    #[arg(long, value_name = "PORT", default_value_t = 5173)]
    dashboard_port: u16,
    /// Start without the dashboard.
    #[arg(long)]
    no_dashboard: bool,
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
    let address = match arguments.no_dashboard {
        true => Err("--no-dashboard was given".to_owned()),
        false => Address::near(arguments.dashboard_port).map_err(|error| error.to_string()),
    };
    let options = stack::Options {
        data_dir: Some(folder),
        port: arguments.port,
        http_port: 9464,
        dashboard: address.as_ref().ok().cloned(),
    };
    // The build, which takes a minute the first time, need not wait for the database.
    let prepare = async {
        let Ok(address) = address else { return Ok(address) };
        Ok(dashboard::prepare().await.map(|()| address))
    };
    let (stack, address) = tokio::select! {
        started = async { tokio::try_join!(Stack::start(options, &environment, &cancel), prepare) } => started?,
        () = cancel.cancelled() => return Ok(()),
    };
    let dashboard = match &address {
        Ok(address) => Dashboard::start(&stack, address).await,
        Err(reason) => Err(reason.clone()),
    };
    let shown = match (&dashboard, &address) {
        (Ok(_), Ok(address)) => Ok(address.url.as_str()),
        (Err(reason), _) | (_, Err(reason)) => Err(reason.as_str()),
    };
    terminal::announce(&stack, shown);
    let mut tasks = tokio::task::JoinSet::new();
    if !arguments.idle {
        let workload =
            Workload::new(Arc::clone(&stack.reporter), stack.admin.clone(), stack.clock.clone());
        tasks.spawn(workload.run(cancel.clone()));
    }
    terminal::follow(&stack, &cancel).await;
    tasks.shutdown().await;
    if let Ok(dashboard) = dashboard {
        dashboard.stop().await;
    }
    stack.stop().await
}
