//! Error-rate alerting for a Supabase project.
//!
//! Workers write one row per error into `error_metrics`; this daemon counts every committed row
//! exactly once, decides incidents and notifies people within a second.
//! `ARCHITECTURE.md` is the map; each folder's `mod.rs` says what lives in it.

pub mod clock;
pub mod feed;
pub mod lease;
pub mod model;
pub mod store;
