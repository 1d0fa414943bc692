//! Every statement that the daemon sends to Postgres, one module per area, one file in `sql/` each.
//! No decisions live here, and nothing outside this folder may speak SQL.
//! Rows come in as the types of `model` and go out to `feed`, `alerting`, `notify` and `lease`.

pub mod channels;
pub mod incidents;
pub mod outbox;
pub mod rules;
pub mod secrets;
