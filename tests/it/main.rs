//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod availability;
mod command_line;
mod crash_points;
mod delivery;
mod docs;
mod events;
mod faults;
mod feed;
mod ledger_concurrency;
mod masking;
mod matrix;
mod messages;
mod notify;
mod pipeline;
mod realtime_client;
mod schema;
mod support;
