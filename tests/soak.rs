//! `make soak`: the mixed fault campaign for `SOAK_MINUTES` minutes (10 by default). The last line of
//! standard output is one JSON object, and the exit status is 1 where a promise was broken.
//! `SOAK_SEED` plays the same dice again; how processes and threads interleave is not in them.

#[path = "it/soak/mod.rs"]
mod soak;
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "it/support/mod.rs"]
mod support;

use std::{process::ExitCode, time::Duration};

use support::db::switch;

#[tokio::main]
async fn main() -> ExitCode {
    let number = |name: &str| switch(name).and_then(|text| text.parse::<f64>().ok());
    let minutes = number("SOAK_MINUTES").unwrap_or(10.0);
    let balance = soak::run(Duration::from_secs_f64(minutes * 60.0), soak::seed()).await;
    println!("{}", serde_json::to_string(&balance).expect("numbers are JSON"));
    if balance.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
