//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod feed;
mod realtime_client;
mod notify;
mod support;
