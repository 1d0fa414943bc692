//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod feed;
mod ledger_concurrency;
mod notify;
mod realtime_client;
mod support;
