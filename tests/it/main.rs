//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod availability;
mod crash_points;
mod feed;
mod notify;
mod realtime_client;
mod support;
