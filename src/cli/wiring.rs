//! What several subcommands build from the configuration.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Map;
use uuid::Uuid;

use super::run::Settings;
use crate::{
    clock::Clock,
    config::{Credentials, Database, Notify, Problem, Reporter, Supabase, variables},
    error::Error,
    http::api::{self, ApiParts, ApiState},
    model::Span,
    notify::{Controls, Egress, EgressConfig, Endpoints, Links, Mailer, Senders, SmtpConfig},
    realtime::{RealtimeConfig, Timing, Vsn},
    rest::{Forward, RestClient, RestConfig},
    store::{
        self, Db, PoolOptions,
        channels::Channels,
        secrets::{ChannelKey, Secrets},
    },
    token::{Claims, Minter, TokenError, TokenSource},
};

/// Life of the tokens that the daemon mints for itself.
///
/// Realtime looks at a token every five minutes at most, so an hour leaves it plenty of renewals
/// while a leaked one is soon worthless.
pub const DAEMON_TOKEN_LIFE: Span = Span::from_secs(3600);

/// What follows from running on the service key.
pub const SERVICE_KEY_CONSEQUENCES: &str = "Realtime is used with the service key, because there is \
    neither SUPABASE_JWT_SECRET nor SUPABASE_SIGNING_KEY: connections end after 24 hours, and the key \
    in memory may read and change everything";

/// What tokens are made from.
pub fn token_source(credentials: &Credentials) -> Result<TokenSource, TokenError> {
    match credentials {
        Credentials::Secret(secret) => TokenSource::hs256(secret),
        Credentials::SigningKey(key, id) => TokenSource::key(key, id.clone()),
        Credentials::ServiceKey(key) => Ok(TokenSource::fixed(key.clone())),
    }
}

/// Tokens with which the daemon logs in to Realtime.
pub fn daemon_minter(
    credentials: &Credentials,
    life: Span,
    clock: Clock,
) -> Result<Arc<Minter>, Error> {
    let claims = Claims {
        role: "error_daemon".to_owned(),
        issuer: "meshhook-errors".to_owned(),
        extra: Map::new(),
    };
    if matches!(credentials, Credentials::ServiceKey(_)) {
        tracing::warn!("{SERVICE_KEY_CONSEQUENCES}");
    }
    let source = token_source(credentials)?;
    Ok(Arc::new(Minter::new(source, claims, life, clock)))
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
    let anon = || supabase.anon_key.clone();
    let (source, claims, apikey) = match (&reporter.token, credentials) {
        (Some(token), _) => (TokenSource::fixed(token.clone()), Claims::default(), anon()),
        (None, Some(credentials)) => {
            let source = token_source(credentials)?;
            (source, reporter_claims(project), apikey(supabase, credentials))
        }
        (None, None) => {
            return Err(Error::failed(
                "ERROR_REPORTER_TOKEN is not set, nor is anything to mint such a token from; set it, or \
                 SUPABASE_JWT_SECRET",
            ));
        }
    };
    let minter = Minter::new(source, claims, DAEMON_TOKEN_LIFE, clock);
    let config = RestConfig::new(supabase.rest_url.clone(), apikey);
    Ok(RestClient::new(config, Arc::new(minter))?)
}

/// Claims of a token that may insert error events, for one project or for any.
pub fn reporter_claims(project: Option<Uuid>) -> Claims {
    let mut extra = Map::new();
    if let Some(project) = project {
        extra.insert("project_id".to_owned(), project.to_string().into());
    }
    Claims { role: "error_reporter".to_owned(), issuer: "meshhook-errors".to_owned(), extra }
}

/// The key that the gateway is shown.
///
/// A secret key of the new kind (`sb_secret_…`) is no token: the gateway replaces it by one where it
/// comes as `apikey`, and Realtime takes the role from there. So the service key is its own companion,
/// and the anon key beside it would make us anon.
fn apikey(supabase: &Supabase, credentials: &Credentials) -> Option<SecretString> {
    match credentials {
        Credentials::ServiceKey(key) => Some(key.clone()),
        Credentials::Secret(_) | Credentials::SigningKey(..) => supabase.anon_key.clone(),
    }
}

/// Where Realtime is, and how long to wait for it.
pub fn realtime_config(
    supabase: &Supabase,
    credentials: &Credentials,
) -> Result<RealtimeConfig, Error> {
    let extra_root_ca = match &supabase.realtime_ca_file {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            let text = format!("cannot be read as a file: {error}");
            Problem::new(variables::SUPABASE_REALTIME_CA_FILE.name, text)
        })?),
    };
    Ok(RealtimeConfig {
        url: supabase.realtime_url.clone(),
        host_header: supabase.realtime_host.clone(),
        apikey: apikey(supabase, credentials),
        vsn: Vsn::V2,
        timing: Timing::default(),
        extra_root_ca,
    })
}

/// Feed, writer, dispatcher, status, configuration and lease may each be busy at once.
pub const DAEMON_CONNECTIONS: u32 = 8;
/// The API has connections of its own, so that whoever asks much of it cannot keep the daemon from
/// renewing its lease.
pub const API_CONNECTIONS: u32 = 3;

/// A pool of connections, which connects when it is first used.
pub fn database(config: &Database) -> Result<Db, Error> {
    database_as(config, PoolOptions::default().application_name, DAEMON_CONNECTIONS)
}

/// The same under another name, by which the server's administrator tells instances apart, and with at
/// most so many connections.
pub fn database_as(
    config: &Database,
    application_name: String,
    max_connections: u32,
) -> Result<Db, Error> {
    let options = PoolOptions {
        application_name,
        max_connections,
        transaction_pooler: Some(config.transaction_pooler),
        ..PoolOptions::default()
    };
    Ok(store::pool::connect(config.url.expose_secret(), &options)?)
}

/// The ways out for messages, and the key of the channels' secrets.
pub struct NotifyParts {
    /// HTTP and mail.
    pub senders: Senders,
    /// Decrypts the channels' secrets, where a key is configured.
    pub key: Option<ChannelKey>,
}

impl NotifyParts {
    /// The channels of a database.
    pub fn channels(&self, db: &Db) -> Arc<Channels> {
        Arc::new(Channels::new(db.clone(), self.key.clone()))
    }

    /// The secrets of its channels.
    pub fn secrets(&self, db: &Db) -> Result<Secrets, Error> {
        let missing = || {
            let variable = &variables::CHANNEL_SECRETS_KEY;
            Error::from(Problem::new(variable.name, format!("is not set; {}", variable.help)))
        };
        let key = self.key.clone().ok_or_else(missing)?;
        Ok(Secrets::new(db.clone(), key))
    }
}

/// What messages need to get out.
pub fn notify_parts(config: &Notify, clock: Clock) -> Result<NotifyParts, Error> {
    let egress = EgressConfig {
        allow_plaintext: config.allow_plaintext,
        allowed_networks: config.allowed_networks.clone(),
        ..EgressConfig::default()
    };
    let egress = Egress::new(egress).map_err(Error::failed)?;
    let key = config.channel_key.as_ref().map(ChannelKey::from_base64).transpose()?;
    let mailer = match (&config.smtp_url, &config.smtp_from) {
        (Some(url), Some(from)) => {
            let smtp = SmtpConfig::parse(url, from, None, config.allow_plaintext);
            Some(Mailer::new(smtp?)?)
        }
        _ => None,
    };
    let mut endpoints = Endpoints::default();
    if let Some(url) = &config.slack_api {
        url.as_str().trim_end_matches('/').clone_into(&mut endpoints.slack_api);
    }
    endpoints.pagerduty = config.pagerduty_events.as_ref().map(ToString::to_string);
    let links = config.links_key.as_ref().zip(config.public_url.clone());
    let controls = Controls {
        slack: config.slack_signing_secret.is_some(),
        links: links.and_then(|(key, base)| Links::new(key, base)),
    };
    let senders = Senders::new(egress, mailer, clock);
    let senders = senders.with_endpoints(endpoints).with_controls(controls);
    Ok(NotifyParts { senders, key })
}

/// The daemon's API.
pub fn api(
    settings: &Settings,
    parts: &NotifyParts,
    db: &Db,
    clock: &Clock,
    wake: &Arc<tokio::sync::Notify>,
) -> Result<axum::Router, Error> {
    let supabase = &settings.supabase;
    let rest = RestConfig::new(supabase.rest_url.clone(), supabase.anon_key.clone());
    let state = ApiState::new(ApiParts {
        rest: Forward::new(&rest)?,
        db: db.clone(),
        clock: clock.clone(),
        config: settings.api.clone(),
        notify: settings.notify.clone(),
        channel_key: parts.key.clone(),
        channels: parts.channels(db),
        senders: parts.senders.clone(),
        wake: Arc::clone(wake),
    });
    Ok(api::router(state))
}

/// Prints a token and nothing else, so that a shell can take it.
pub fn print_secret(secret: &SecretString) {
    println!("{}", secret.expose_secret());
}
