//! Helpers of the integration tests: servers that can be told to misbehave.
//! No assertions about the daemon may appear here.
//! Tests start servers here and drive them step by step.

pub mod realtime_client;
pub mod realtime_server;
