//! The sections of the configuration, each read on its own.

use std::{net::SocketAddr, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::{
    Reader, urls,
    variables::{self as var, Variable},
};
use crate::model::Span;

/// How to reach Postgres.
#[derive(Clone, Debug)]
pub struct Database {
    /// The connection, with its password.
    pub url: SecretString,
    /// Whether a transaction-mode pooler stands between, so that nothing may be kept in a session.
    pub transaction_pooler: bool,
    /// Whether the connection leaves this machine encrypted at best, to a server nobody verifies.
    pub unverified: bool,
}

impl Database {
    /// Reads `DATABASE_URL` and `DATABASE_POOLER`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let address = urls::database(reader, &var::DATABASE_URL);
        let mode = reader.text(&var::DATABASE_POOLER)?;
        let transaction_pooler = match mode.as_str() {
            "transaction" => true,
            "session" => false,
            "auto" => address.as_ref().is_some_and(|address| address.url.port() == Some(6543)),
            _ => {
                let text = format!("must be auto, transaction or session, not {mode:?}");
                reader.problem(&var::DATABASE_POOLER, text);
                return None;
            }
        };
        let urls::DatabaseAddress { url, unverified } = address?;
        Some(Self { url: url.to_string().into(), transaction_pooler, unverified })
    }
}

/// How to reach the project's HTTP and websocket services.
#[derive(Clone, Debug)]
pub struct Supabase {
    /// PostgREST, without a trailing slash.
    pub rest_url: Url,
    /// Realtime's websocket.
    pub realtime_url: Url,
    /// `Host` header for Realtime where it differs from its address.
    pub realtime_host: Option<String>,
    /// Further certificate authorities for Realtime.
    pub realtime_ca_file: Option<PathBuf>,
    /// The key that the gateway wants.
    pub anon_key: Option<SecretString>,
}

impl Supabase {
    /// Reads the `SUPABASE_…` addresses.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let base = urls::address(reader, &var::SUPABASE_URL, ("http", "https"));
        let rest = urls::address(reader, &var::SUPABASE_REST_URL, ("http", "https"));
        let realtime = urls::address(reader, &var::SUPABASE_REALTIME_URL, ("ws", "wss"));
        if reader.text(&var::SUPABASE_URL).is_none() && (rest.is_none() || realtime.is_none()) {
            reader.required(&var::SUPABASE_URL);
        }
        Some(Self {
            rest_url: rest.or_else(|| below(base.as_ref()?, "rest/v1"))?,
            realtime_url: realtime.or_else(|| websocket(base.as_ref()?))?,
            realtime_host: reader.text(&var::SUPABASE_REALTIME_HOST),
            realtime_ca_file: reader.text(&var::SUPABASE_REALTIME_CA_FILE).map(PathBuf::from),
            anon_key: reader.text(&var::SUPABASE_ANON_KEY).map(SecretString::from),
        })
    }
}

fn below(base: &Url, path: &str) -> Option<Url> {
    Url::parse(&format!("{}/{path}", base.as_str().trim_end_matches('/'))).ok()
}

fn websocket(base: &Url) -> Option<Url> {
    let mut url = below(base, "realtime/v1/websocket")?;
    let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
    url.set_scheme(scheme).ok()?;
    Some(url)
}

/// What the daemon's own tokens are made from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The project's HS256 secret.
    Secret(SecretString),
    /// A private key as JWK or PEM, and its id where it was given apart.
    SigningKey(SecretString, Option<String>),
    /// The service key itself.
    ServiceKey(SecretString),
}

impl Credentials {
    /// Reads the first of `SUPABASE_JWT_SECRET`, `SUPABASE_SIGNING_KEY`, `SUPABASE_SERVICE_ROLE_KEY`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if let Some(secret) = reader.text(&var::SUPABASE_JWT_SECRET) {
            if secret.len() < 32 {
                reader.problem(
                    &var::SUPABASE_JWT_SECRET,
                    "must have at least 32 characters; it stands on the project's page of JWT keys, and is no \
                     API key",
                );
                return None;
            }
            return Some(Self::Secret(secret.into()));
        }
        if let Some(key) = reader.text(&var::SUPABASE_SIGNING_KEY) {
            let key = if key.starts_with(['{', '-']) {
                Ok(key)
            } else {
                std::fs::read_to_string(&key).map_err(|error| {
                    format!("is neither a JWK nor a PEM, and cannot be read as a file: {error}")
                })
            };
            return match key {
                Ok(key) => {
                    Some(Self::SigningKey(key.into(), reader.text(&var::SUPABASE_SIGNING_KEY_ID)))
                }
                Err(text) => {
                    reader.problem(&var::SUPABASE_SIGNING_KEY, text);
                    None
                }
            };
        }
        if let Some(key) = reader.text(&var::SUPABASE_SERVICE_ROLE_KEY) {
            return Some(Self::ServiceKey(key.into()));
        }
        reader.problem(
            &var::SUPABASE_JWT_SECRET,
            "is not set, nor is SUPABASE_SIGNING_KEY or SUPABASE_SERVICE_ROLE_KEY; one of the three \
             is needed to log in to Realtime",
        );
        None
    }
}

/// How messages get out.
#[derive(Clone, Debug)]
pub struct Notify {
    /// Key of the channels' secrets.
    pub channel_key: Option<SecretString>,
    /// Where people reach the daemon's API.
    pub public_url: Option<Url>,
    /// Signs the links in mail.
    pub links_key: Option<SecretString>,
    /// Proves that a press of a button comes from Slack.
    pub slack_signing_secret: Option<SecretString>,
    /// Mail server.
    pub smtp_url: Option<SecretString>,
    /// Sender of mail.
    pub smtp_from: Option<String>,
    /// Where Slack's Web API is; none is Slack's own.
    pub slack_api: Option<Url>,
    /// What stands in for PagerDuty's Events API.
    pub pagerduty_events: Option<Url>,
    /// Where the dashboard is, without a trailing slash.
    pub dashboard_url: Option<Url>,
    /// Private networks that webhooks may reach.
    pub allowed_networks: Vec<IpNet>,
    /// Whether plain text to other machines is allowed.
    pub allow_plaintext: bool,
}

impl Notify {
    /// Reads the variables of notification.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let channel_key = keys(reader, &var::CHANNEL_SECRETS_KEY);
        let links_key = keys(reader, &var::LINKS_KEY);
        let public_url = urls::address(reader, &var::PUBLIC_URL, ("http", "https"));
        if links_key.is_some() && public_url.is_none() {
            reader.required(&var::PUBLIC_URL);
        }
        let smtp_url = smtp_with_starttls(reader)
            .or_else(|| urls::address(reader, &var::SMTP_URL, ("smtp", "smtps")));
        let smtp_from = reader.text(&var::SMTP_FROM);
        if smtp_url.is_some() && smtp_from.is_none() {
            reader.required(&var::SMTP_FROM);
        }
        if let Some(from) = &smtp_from
            && from.parse::<lettre::message::Mailbox>().is_err()
        {
            reader.problem(
                &var::SMTP_FROM,
                "must be a mail address, with or without a name, as in MeshHook alerts <alerts@example.com>",
            );
        }
        Some(Self {
            channel_key,
            public_url,
            links_key,
            slack_signing_secret: reader.text(&var::SLACK_SIGNING_SECRET).map(SecretString::from),
            smtp_url: smtp_url.map(|url| url.to_string().into()),
            smtp_from,
            slack_api: urls::address(reader, &var::SLACK_API_URL, ("http", "https")),
            pagerduty_events: urls::address(reader, &var::PAGERDUTY_EVENTS_URL, ("http", "https")),
            dashboard_url: urls::address(reader, &var::DASHBOARD_URL, ("http", "https")),
            allowed_networks: networks(reader),
            allow_plaintext: reader.allows_plaintext(),
        })
    }
}

/// One key of 32 bytes in base64, or several separated by commas.
fn keys(reader: &mut Reader<'_>, variable: &'static Variable) -> Option<SecretString> {
    let text = reader.text(variable)?;
    let has_32_bytes = |key: &str| BASE64_STANDARD.decode(key.trim()).is_ok_and(|k| k.len() == 32);
    if !text.split(',').all(has_32_bytes) {
        reader.problem(
            variable,
            "must be 32 bytes in base64, as from openssl rand -base64 32; several with commas between",
        );
    }
    Some(SecretString::from(text))
}

/// `smtp://…?tls=required` begins in plain text but never sends a word of it before STARTTLS.
fn smtp_with_starttls(reader: &Reader<'_>) -> Option<Url> {
    let url = Url::parse(&reader.text(&var::SMTP_URL)?).ok()?;
    let required = url.scheme() == "smtp"
        && url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
    required.then_some(url)
}

fn networks(reader: &mut Reader<'_>) -> Vec<IpNet> {
    let text = reader.text(&var::ALLOW_PRIVATE_DESTINATIONS).unwrap_or_default();
    let mut networks = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse() {
            Ok(network) => networks.push(network),
            Err(_) => reader.problem(
                &var::ALLOW_PRIVATE_DESTINATIONS,
                format!("{part:?} is not a network as in 10.0.0.0/8"),
            ),
        }
    }
    networks
}

/// The daemon's own HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Http {
    /// Reads `HTTP_LISTEN`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.parsed(&var::HTTP_LISTEN, "an address and port as in 0.0.0.0:9464")?;
        Some(Self { listen })
    }
}

/// Who may call the daemon's API, and how often.
#[derive(Clone, Debug)]
pub struct Api {
    /// Origins of web pages, as browsers write them: `https://host` or `https://host:port`.
    pub allowed_origins: Vec<String>,
    /// Requests that one token may make a minute.
    pub requests_per_minute: u32,
}

impl Api {
    /// Reads the `API_…` variables.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let allowed_origins = urls::origins(reader, &var::API_ALLOWED_ORIGINS);
        let requests_per_minute =
            reader.parsed(&var::API_REQUESTS_PER_MINUTE, "a number of requests")?;
        if requests_per_minute == 0 {
            reader.problem(
                &var::API_REQUESTS_PER_MINUTE,
                "must be at least 1, as many requests as one token may make a minute",
            );
        }
        Some(Self { allowed_origins, requests_per_minute })
    }
}

/// How often the feed reads the table.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// Between reads while nothing happens.
    pub quiet_tick: Span,
    /// Between reads while rows flow, or while the socket is down or deaf.
    pub busy_tick: Span,
}

impl Feed {
    /// Reads `FEED_TICK_QUIET_MS` and `FEED_TICK_BUSY_MS`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut tick = |variable| {
            let millis: i64 = reader.parsed(variable, "a number of milliseconds")?;
            if (10..=60_000).contains(&millis) {
                return Some(Span::from_millis(millis));
            }
            reader.problem(variable, "must be between 10 and 60000 milliseconds");
            None
        };
        let quiet_tick = tick(&var::FEED_TICK_QUIET_MS);
        let busy_tick = tick(&var::FEED_TICK_BUSY_MS);
        Some(Self { quiet_tick: quiet_tick?, busy_tick: busy_tick? })
    }
}

/// Which instance this is.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name in the status table.
    pub name: String,
}

impl Instance {
    /// Reads `INSTANCE_NAME`, else the host's name.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = reader.text(&var::INSTANCE_NAME).or_else(host).unwrap_or_default();
        let name = name.trim();
        Some(Self { name: if name.is_empty() { "meshhook-errors" } else { name }.to_owned() })
    }
}

/// What `report` sends with.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// A token with role `error_reporter`; where it is missing, one is minted.
    pub token: Option<SecretString>,
}

impl Reporter {
    /// Reads `ERROR_REPORTER_TOKEN`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { token: reader.text(&var::ERROR_REPORTER_TOKEN).map(SecretString::from) })
    }
}
