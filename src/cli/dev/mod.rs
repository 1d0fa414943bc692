//! placeholder
mod workload;
#[derive(Debug, clap::Args)]
pub struct Arguments {}
pub async fn execute(_: Arguments, _: crate::config::Environment) -> Result<(), crate::error::Error> { Ok(()) }
