//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod events;
mod feed;
mod masking;
mod matrix;
mod notify;
mod realtime_client;
mod schema;
mod support;
