//! The configuration: what the environment (and a `.env` file) says, checked and typed.
//! Nothing here connects to anything, and no other module reads the environment.
//! Variables come in through [`Environment`]; each subcommand reads the sections it needs and gets
//! every problem at once.

mod environment;
mod sections;
mod telemetry;
#[cfg(test)]
mod tests;
mod upkeep;
mod urls;
pub mod variables;

pub use environment::{Environment, Problem, Problems, Reader};
pub use sections::{Api, Credentials, Database, Feed, Http, Instance, Notify, Reporter, Supabase};
pub use telemetry::{LogFormat, Telemetry, Traces};
pub use upkeep::Upkeep;
