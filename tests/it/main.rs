//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod api;
mod availability;
mod command_line;
mod crash_points;
mod dashboard_data;
mod delivery;
mod deployment;
mod docs;
mod equality;
mod events;
mod faults;
mod feed;
mod fuzz;
mod guarantees;
mod kinds;
mod latency;
mod ledger_concurrency;
mod masking;
mod matrix;
mod messages;
mod notify;
mod operate;
mod pipeline;
mod realtime_client;
mod retention;
mod rules_file;
mod scenarios;
mod schema;
mod secrets;
mod soak;
mod soak_briefly;
mod support;
mod system;
#[cfg(feature = "otel")]
mod traces;
