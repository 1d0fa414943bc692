//! Integration tests: one binary, one module per area, real Postgres, HTTP, websockets and SMTP.

mod command_line;
mod feed;
mod notify;
mod pipeline;
mod realtime_client;
mod support;
