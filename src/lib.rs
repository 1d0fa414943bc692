//! Error-rate alerting for a Supabase project.
//!
//! Workers write one row per error into `error_metrics`; this daemon counts every committed row
//! exactly once, decides incidents and notifies people within a second.
//! `ARCHITECTURE.md` is the map; each folder's `mod.rs` says what lives in it.

pub mod alerting;
pub mod backoff;
pub mod backtest;
pub mod batch_size;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod engine;
pub mod error;
pub mod feed;
pub mod http;
pub mod lease;
pub mod model;
pub mod notify;
pub mod realtime;
pub mod rest;
pub mod retention;
pub mod rules_file;
#[cfg(feature = "dev")]
pub mod sinks;
pub mod store;
pub mod supervisor;
pub mod system;
pub mod telemetry;
pub mod telling;
pub mod token;

/// What this program calls itself towards servers.
///
/// It must not look like a browser's, because Supabase refuses secret keys from those.
pub const USER_AGENT: &str = concat!("meshhook-errors/", env!("CARGO_PKG_VERSION"));
