//! What several subcommands build from the configuration.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::Map;
use uuid::Uuid;

use crate::{
    clock::Clock,
    config::{Credentials, Reporter, Supabase},
    error::Error,
    model::Span,
    rest::{RestClient, RestConfig},
    token::{Claims, Minter, TokenError, TokenSource},
};

/// Life of the tokens that the daemon mints for itself.
///
/// Realtime looks at a token every five minutes at most, so an hour leaves it plenty of renewals
/// while a leaked one is soon worthless.
pub const DAEMON_TOKEN_LIFE: Span = Span::from_secs(3600);

/// What tokens are made from.
pub fn token_source(credentials: &Credentials) -> Result<TokenSource, TokenError> {
    match credentials {
        Credentials::Secret(secret) => TokenSource::hs256(secret),
        Credentials::SigningKey(key, id) => TokenSource::key(key, id.clone()),
        Credentials::ServiceKey(key) => Ok(TokenSource::fixed(key.clone())),
    }
}

/// Tokens with which the daemon logs in to Realtime.
pub fn daemon_minter(credentials: &Credentials, clock: Clock) -> Result<Arc<Minter>, Error> {
    let claims = Claims {
        role: "error_daemon".to_owned(),
        issuer: "meshhook-errors".to_owned(),
        extra: Map::new(),
    };
    let source = token_source(credentials).map_err(Error::failed)?;
    Ok(Arc::new(Minter::new(source, claims, DAEMON_TOKEN_LIFE, clock)))
}

/// A PostgREST client that may insert error events: with the configured reporter's token, else with
/// one minted for `project`.
pub fn reporter_client(
    supabase: &Supabase,
    reporter: &Reporter,
    credentials: Option<&Credentials>,
    project: Option<Uuid>,
    clock: Clock,
) -> Result<RestClient, Error> {
    let (source, claims) = match (&reporter.token, credentials) {
        (Some(token), _) => (TokenSource::fixed(token.clone()), Claims::default()),
        (None, Some(credentials)) => {
            (token_source(credentials).map_err(Error::failed)?, reporter_claims(project))
        }
        (None, None) => {
            return Err(Error::failed(
                "ERROR_REPORTER_TOKEN is not set, nor is anything to mint such a token from",
            ));
        }
    };
    let minter = Minter::new(source, claims, DAEMON_TOKEN_LIFE, clock);
    let config = RestConfig::new(supabase.rest_url.clone(), supabase.anon_key.clone());
    RestClient::new(config, Arc::new(minter)).map_err(Error::failed)
}

/// Claims of a token that may insert error events, for one project or for any.
pub fn reporter_claims(project: Option<Uuid>) -> Claims {
    let mut extra = Map::new();
    if let Some(project) = project {
        extra.insert("project_id".to_owned(), project.to_string().into());
    }
    Claims { role: "error_reporter".to_owned(), issuer: "meshhook-errors".to_owned(), extra }
}

/// Prints a token and nothing else, so that a shell can take it.
pub fn print_secret(secret: &secrecy::SecretString) {
    println!("{}", secret.expose_secret());
}
