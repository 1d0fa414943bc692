//! The feed, the rollups and the lease against a real PostgreSQL.

mod counting;
pub mod harness;
mod history;
mod leading;
mod queries;
mod restoring;
