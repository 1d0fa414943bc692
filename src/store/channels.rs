//! Channels: where alerts go, with the secrets that are needed to get there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sqlx::FromRow as _;
use uuid::Uuid;

use super::{
    Db, StoreError,
    pool::within,
    secrets::{ChannelKey, Sealed, SecretError},
};

/// More channels than this are not kept decrypted.
const CACHE_MAX: usize = 1_000;

/// How long the database may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// One row of `alert_channels` with its encrypted secret.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChannelRow {
    channel_id: Uuid,
    project_id: Option<Uuid>,
    name: String,
    kind: String,
    config: Value,
    enabled: bool,
    updated_at: DateTime<Utc>,
    nonce: Option<Vec<u8>>,
    ciphertext: Option<Vec<u8>>,
    secret_updated_at: Option<DateTime<Utc>>,
}

impl ChannelRow {
    /// Primary key.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.channel_id
    }
}

/// A channel that is ready for use, or says why it is not.
#[derive(Debug)]
pub struct Channel {
    /// Primary key.
    pub id: Uuid,
    /// Whose it is; none for the platform's own.
    pub project_id: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// slack, email or webhook.
    pub kind: String,
    /// A channel that is not enabled gets nothing.
    pub enabled: bool,
    /// How to get there.
    pub target: Result<Target, ChannelError>,
}

impl Channel {
    /// Whether people read it, so that what comes at once is told as one message; a program wants
    /// each piece of news.
    #[must_use]
    pub const fn merges(&self) -> bool {
        matches!(
            self.target,
            Ok(Target::Slack { .. } | Target::SlackBot { .. } | Target::Email { .. })
        )
    }
}

/// How to get to a channel.
#[derive(Clone, Debug)]
pub enum Target {
    /// An incoming webhook; its address is the secret.
    Slack {
        /// `https://hooks.slack.com/services/…`.
        url: SecretString,
    },
    /// A bot in a Slack workspace, which can change and thread its messages.
    SlackBot {
        /// Id of the conversation: `C…`, `G…` or `D…`.
        conversation: String,
        /// `xoxb-…`.
        token: SecretString,
    },
    /// Mail.
    Email {
        /// Addresses, 1 to 50.
        to: Vec<String>,
    },
    /// A signed webhook.
    Webhook {
        /// Where to post.
        url: String,
        /// What to sign with: base64, with or without `whsec_`.
        secret: SecretString,
    },
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// Integration key of a service.
        routing_key: SecretString,
        /// Which of PagerDuty's regions.
        region: Region,
        /// What a warning and a critical alert are called there.
        severities: [String; 2],
    },
}

/// Where a PagerDuty account lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// events.pagerduty.com.
    Us,
    /// events.eu.pagerduty.com.
    Eu,
}

/// Why a channel cannot be used; for the person who set it up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A part of its configuration is missing or wrong.
    #[error("{field}: {problem}")]
    Config {
        /// The part.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It needs a secret and has none.
    #[error("the channel has no secret; set one in the dashboard, or by meshhook-errors secret")]
    NoSecret,
    /// It has a secret, but the daemon has no key.
    #[error(
        "the channel has a secret, but CHANNEL_SECRETS_KEY is not set; set it to the key it was stored with"
    )]
    NoKey,
    /// Its secret cannot be decrypted.
    #[error("{0}")]
    Undecryptable(String),
}

/// Why a channel was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No channel has that name or id.
    #[error("there is no channel {0:?}")]
    Unknown(String),
    /// Several have it.
    #[error("several channels are called {name:?}; give one of these ids: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Their ids, separated by commas.
        ids: String,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] StoreError),
}

type Stamp = (DateTime<Utc>, Option<DateTime<Utc>>);

/// The channels of a database.
#[derive(Debug)]
pub struct Channels {
    db: Db,
    key: Option<ChannelKey>,
    /// Decrypted channels by id, valid while neither row nor secret has changed.
    cache: Mutex<HashMap<Uuid, (Stamp, Arc<Channel>)>>,
}

impl Channels {
    /// The channels in `db`; without a key those that have a secret cannot be used.
    pub fn new(db: impl Into<Db>, key: Option<ChannelKey>) -> Self {
        Self { db: db.into(), key, cache: Mutex::default() }
    }

    /// The only channel with this name or id.
    ///
    /// # Errors
    /// Where there is none or more than one, or the database cannot be asked.
    pub async fn find(&self, name_or_id: &str) -> Result<Arc<Channel>, FindError> {
        let mut rows = self.rows(Some(name_or_id)).await?;
        match (rows.pop(), rows.is_empty()) {
            (None, _) => Err(FindError::Unknown(name_or_id.to_owned())),
            (Some(row), true) => Ok(self.open(row)),
            (Some(row), false) => {
                let ids = rows.iter().chain([&row]).map(|row| row.channel_id.to_string());
                let ids = ids.collect::<Vec<_>>().join(", ");
                Err(FindError::Ambiguous { name: name_or_id.to_owned(), ids })
            }
        }
    }

    /// All channels (at most 1,000), the platform's own first.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn all(&self) -> Result<Vec<Arc<Channel>>, FindError> {
        Ok(self.rows(None).await?.into_iter().map(|row| self.open(row)).collect())
    }

    /// The channel of a row, decrypted once for each version of it.
    pub fn open(&self, row: ChannelRow) -> Arc<Channel> {
        let stamp = (row.updated_at, row.secret_updated_at);
        // The map is whole after each statement, so a panic elsewhere does not make it wrong.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, channel)) = cache.get(&row.channel_id)
            && *kept == stamp
        {
            return Arc::clone(channel);
        }
        let channel = Arc::new(open(row, self.key.as_ref()));
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(channel.id, (stamp, Arc::clone(&channel)));
        channel
    }

    async fn rows(&self, name_or_id: Option<&str>) -> Result<Vec<ChannelRow>, StoreError> {
        let name_or_id = name_or_id.map(str::to_owned);
        within("read the channels", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let query = link.query(include_str!("../../sql/channels_by_name_or_id.sql"));
            let rows = query.bind(name_or_id).fetch_all(link.connection()).await?;
            link.commit().await?;
            Ok(rows.iter().map(ChannelRow::from_row).collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn open(row: ChannelRow, key: Option<&ChannelKey>) -> Channel {
    let target = target(&row, key);
    let ChannelRow { channel_id: id, project_id, name, kind, enabled, .. } = row;
    Channel { id, project_id, name, kind, enabled, target }
}

fn target(row: &ChannelRow, key: Option<&ChannelKey>) -> Result<Target, ChannelError> {
    let text = |name| row.config.get(name).and_then(Value::as_str);
    match row.kind.as_str() {
        "slack" => match text("channel") {
            None => Ok(Target::Slack { url: secret(row, key, "webhook_url")? }),
            Some(conversation) => {
                let token = secret(row, key, "bot_token")?;
                if !token.expose_secret().starts_with("xox") {
                    let problem = "must be a bot token, which begins with xoxb-";
                    return Err(config("secret bot_token", problem));
                }
                Ok(Target::SlackBot { conversation: conversation.to_owned(), token })
            }
        },
        "email" => Ok(Target::Email { to: recipients(&row.config)? }),
        "webhook" if text("format") == Some("pagerduty") => {
            let region = match text("region") {
                None | Some("us") => Region::Us,
                Some("eu") => Region::Eu,
                Some(other) => {
                    return Err(config("config.region", &format!("{other:?} is not us or eu")));
                }
            };
            let severity = |level: &str| {
                let given = row.config.pointer(&format!("/severities/{level}"));
                given.and_then(Value::as_str).unwrap_or(level).to_owned()
            };
            let severities = [severity("warning"), severity("critical")];
            let routing_key = secret(row, key, "routing_key")?;
            Ok(Target::PagerDuty { routing_key, region, severities })
        }
        "webhook" => {
            let url = text("url");
            let url = url.ok_or_else(|| config("config.url", "must be given"))?.to_owned();
            Ok(Target::Webhook { url, secret: secret(row, key, "signing_secret")? })
        }
        other => Err(config("kind", &format!("{other:?} is not slack, email or webhook"))),
    }
}

fn recipients(config_value: &Value) -> Result<Vec<String>, ChannelError> {
    let to = config_value.get("to").and_then(Value::as_array);
    let to: Option<Vec<String>> = to
        .map(|to| to.iter().map(|address| address.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| config("config.to", "must be a list of addresses"))?;
    to.filter(|to| !to.is_empty())
        .ok_or_else(|| config("config.to", "must hold at least one address, and only texts"))
}

/// The row's secret: stored as bare text, or as a JSON object under `name`.
fn secret(
    row: &ChannelRow,
    key: Option<&ChannelKey>,
    name: &str,
) -> Result<SecretString, ChannelError> {
    let (Some(nonce), Some(ciphertext)) = (&row.nonce, &row.ciphertext) else {
        return Err(ChannelError::NoSecret);
    };
    let sealed = Sealed { nonce: nonce.clone(), ciphertext: ciphertext.clone() };
    let text = key
        .ok_or(ChannelError::NoKey)?
        .open(row.channel_id, &sealed)
        .map_err(|error: SecretError| ChannelError::Undecryptable(error.to_string()))?;
    match serde_json::from_str::<HashMap<String, String>>(text.expose_secret()) {
        Ok(mut object) => object.remove(name).map(SecretString::from).ok_or(ChannelError::NoSecret),
        Err(_) => Ok(text),
    }
}

fn config(field: &'static str, problem: &str) -> ChannelError {
    ChannelError::Config { field, problem: problem.to_owned() }
}
