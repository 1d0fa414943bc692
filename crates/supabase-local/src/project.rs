//! A whole local project: PostgreSQL, its database with migrations and seed, and the API in front.

use std::path::PathBuf;

use sqlx::{Connection, PgConnection};

use crate::{
    LocalConfig, LocalSupabase, StartError,
    migrate::{self, Applied, MigrateError},
    postgres::{
        Binaries, Cluster, ClusterOptions, PostgresChoice, PostgresError, install_embedded,
    },
};

/// The database of a project.
pub const DATABASE: &str = "app";

/// What a project is made of.
#[derive(Clone, Debug, Default)]
pub struct ProjectOptions {
    /// Where the data live; without one they are thrown away at the end.
    pub data_dir: Option<PathBuf>,
    /// The API's port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The database's port on 127.0.0.1; 0 takes a free one.
    pub database_port: u16,
    /// A folder of migrations; those not applied yet are applied.
    pub migrations: Option<PathBuf>,
    /// A file to run once, when the database is new.
    pub seed: Option<PathBuf>,
    /// Which PostgreSQL to run.
    pub postgres: PostgresChoice,
    /// Where to install one with npm if [`ProjectOptions::postgres`] finds none.
    pub install_into: Option<PathBuf>,
}

/// A project that did not open.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// PostgreSQL is missing or does not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A migration or the seed failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The API does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database cannot be asked.
    #[error("cannot use the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// A running project.
#[derive(Debug)]
pub struct Project {
    /// The database server.
    pub cluster: Cluster,
    /// The API.
    pub supabase: LocalSupabase,
    /// The migrations that this start applied.
    pub applied: Vec<Applied>,
}

impl Project {
    /// Starts everything; a failure leaves nothing running.
    ///
    /// # Errors
    /// The first part that failed.
    pub async fn open(options: ProjectOptions) -> Result<Self, ProjectError> {
        let binaries = match (Binaries::find(&options.postgres), &options.install_into) {
            (Err(_), Some(into)) => {
                let dir = install_embedded(into).await?;
                Binaries::find(&PostgresChoice::Embedded { dir })?
            }
            (found, _) => found?,
        };
        let cluster = match &options.data_dir {
            Some(dir) => ClusterOptions::persistent(binaries, dir, options.database_port),
            None => {
                let temporary = ClusterOptions::temporary(binaries);
                ClusterOptions { port: options.database_port, ..temporary }
            }
        };
        let cluster = Cluster::start(cluster).await?;
        match fill(&cluster, &options).await {
            Ok((supabase, applied)) => Ok(Self { cluster, supabase, applied }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = cluster.stop().await;
                Err(error)
            }
        }
    }

    /// Stops the API and then the database.
    ///
    /// # Errors
    /// When the database does not end.
    pub async fn stop(self) -> Result<(), ProjectError> {
        self.supabase.stop().await;
        Ok(self.cluster.stop().await?)
    }
}

async fn fill(
    cluster: &Cluster,
    options: &ProjectOptions,
) -> Result<(LocalSupabase, Vec<Applied>), ProjectError> {
    let mut connection = PgConnection::connect(&cluster.admin_url("postgres")).await?;
    let exists: bool =
        sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    if !exists {
        cluster.create_database(DATABASE).await?;
    }
    // Migrations run as the owner, who is no superuser, as on the hosted platform.
    let owner = cluster.url("postgres", DATABASE);
    let applied = match &options.migrations {
        Some(folder) => migrate::apply_folder(&owner, folder).await?,
        None => Vec::new(),
    };
    let mut config = LocalConfig::new(cluster, DATABASE);
    config.listen.set_port(options.port);
    let supabase = LocalSupabase::start(config).await?;
    if let (Some(seed), false) = (&options.seed, exists) {
        migrate::run_file(&owner, seed).await?;
    }
    Ok((supabase, applied))
}
