//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod availability;
mod crash_points;
mod events;
mod feed;
mod ledger_concurrency;
mod masking;
mod matrix;
mod notify;
mod pipeline;
mod realtime_client;
mod schema;
mod support;
