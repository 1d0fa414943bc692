//! `token`: mints a token for a worker, a webhook handler or a server.

use clap::Args;
use uuid::Uuid;

use super::wiring;
use crate::{
    clock::Clock,
    config::{Credentials, Environment},
    error::Error,
    model::Span,
};

/// Mint a token with role error_reporter; it is printed to standard output.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this project's errors may be reported with it; without it, any project's.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// How long it is valid, in days.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=3650))]
    days: i64,
}

pub fn execute(arguments: &Arguments, environment: &Environment) -> Result<(), Error> {
    let mut reader = environment.reader();
    let credentials = Credentials::read(&mut reader);
    let credentials = reader.finish(credentials)?;
    if matches!(credentials, Credentials::ServiceKey(_)) {
        return Err(Error::failed(
            "a token can only be minted from SUPABASE_JWT_SECRET or SUPABASE_SIGNING_KEY, not from a \
             service key; set one of them",
        ));
    }
    let source = wiring::token_source(&credentials)?;
    let claims = wiring::reporter_claims(arguments.project);
    let life = Span::from_secs(arguments.days * 86_400);
    let token = source.mint(&claims, life, Clock::system().now())?;
    wiring::print_secret(&token);
    Ok(())
}
