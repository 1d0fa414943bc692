//! Every statement that the daemon sends to Postgres, one module per area, one file in `sql/` each.
//! No decisions live here, and nothing outside this folder may speak SQL.
//! Rows come in as the types of `model` and go out to `feed`, `alerting`, `notify` and `lease`.

pub mod incidents;
pub mod rules;
//! Reads and writes the database for the other modules: one file per subject, one query per file in `sql/`.
//! No rule is evaluated here and nothing is sent; above it stand `feed`, `notify`, `lease` and `http`.
//! Model types come in and go out; rows, SQL and driver types stay inside.
pub mod channels;
pub mod outbox;
pub mod secrets;
