//! The local stack: started in order, stopped in order.

use std::{
    net::TcpListener as Probe,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::SecretString;
use sqlx::{PgPool, postgres::PgPoolOptions};
use supabase_local::{
    postgres::is_reachable,
    project::{DATABASE, Project, ProjectOptions},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dashboard::Address;
use crate::{
    cli::{
        run::{Daemon, Settings},
        wiring,
    },
    clock::Clock,
    config::{Credentials, Environment, Reporter},
    error::Error,
    rest::RestClient,
    sinks::{HttpSink, PagerDutySink, SlackWorkspace, SmtpSink},
};

/// Channels of the seed data.
const SLACK_CHANNEL: Uuid = Uuid::from_u128(0xc4a0_0000_0000_4000_8000_0000_0000_0001);
const WEBHOOK_CHANNEL: Uuid = Uuid::from_u128(0xc4a0_0000_0000_4000_8000_0000_0000_0003);
const BOT_CHANNEL: Uuid = Uuid::from_u128(0xc4a0_0000_0000_4000_8000_0000_0000_0005);
const PAGER_CHANNEL: Uuid = Uuid::from_u128(0xc4a0_0000_0000_4000_8000_0000_0000_0006);

/// The conversation of the seed's bot, and keys that open nothing but the local sinks.
const BOT_CONVERSATION: &str = "C0ACME0ALERTS";
const BOT_TOKEN: &str = "xoxb-local-sink";
const PAGER_KEY: &str = "0123456789abcdef0123456789abcdef";

/// Encrypts nothing worth protecting: the channels' secrets of the local stack are its own sinks'.
const CHANNEL_KEY: [u8; 32] = *b"meshhook-errors local channelkey";

/// What to start.
pub struct Options {
    /// Where the database lives; thrown away at the end without one.
    pub data_dir: Option<PathBuf>,
    /// Wished port of the API; 0 for a free one.
    pub port: u16,
    /// Wished port of the daemon's own server; 0 for a free one.
    pub http_port: u16,
    /// Where the dashboard will be, for links in messages and for its calls to the daemon.
    pub dashboard: Option<Address>,
}

/// Everything that runs.
pub struct Stack {
    /// Postgres and the API in front of it.
    pub project: Project,
    /// Connections as the database's owner.
    pub admin: PgPool,
    /// Stands in for Slack.
    pub slack: HttpSink,
    /// Stands in for Slack's Web API.
    pub workspace: SlackWorkspace,
    /// Stands in for PagerDuty.
    pub pager: PagerDutySink,
    /// Stands in for somebody's webhook.
    pub webhook: HttpSink,
    /// Stands in for the mail server.
    pub mail: SmtpSink,
    /// The daemon.
    pub daemon: Daemon,
    /// Reports errors as workers do.
    pub reporter: Arc<RestClient>,
    /// The time.
    pub clock: Clock,
    cancel: CancellationToken,
}

impl Stack {
    /// Starts everything; a failure leaves nothing running.
    pub async fn start(
        options: Options,
        environment: &Environment,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let project = Project::open(ProjectOptions {
            data_dir: options.data_dir,
            port: free_or_any(options.port),
            migrations: Some(checkout_path("supabase/migrations")?),
            seed: Some(checkout_path("supabase/seed.sql")?),
            install_into: Some(checkout_path("")?.join(".dev/embedded-postgres")),
            ..ProjectOptions::default()
        })
        .await
        .map_err(Error::failed)?;
        let admin = PgPoolOptions::new()
            .max_connections(4)
            .connect(&project.cluster.url("postgres", DATABASE))
            .await
            .map_err(|error| {
                Error::unavailable(
                    "the local database",
                    error,
                    "try again, or with another --data-dir",
                )
            })?;
        let slack = HttpSink::start().await.map_err(Error::failed)?;
        let webhook = HttpSink::start().await.map_err(Error::failed)?;
        let workspace =
            SlackWorkspace::start(BOT_TOKEN, &[BOT_CONVERSATION]).await.map_err(Error::failed)?;
        let pager = PagerDutySink::start(PAGER_KEY).await.map_err(Error::failed)?;
        let mail = SmtpSink::start().await.map_err(Error::failed)?;

        let password = Uuid::new_v4().simple().to_string();
        let set = sqlx::AssertSqlSafe(format!("alter role error_daemon password '{password}'"));
        sqlx::query(set).execute(&admin).await.map_err(Error::failed)?;
        let database_url = with_login(&project.cluster.url("postgres", DATABASE), &password)?;
        let environment = environment.clone().with([
            ("DATABASE_URL", database_url.as_str()),
            ("SUPABASE_URL", &project.supabase.url()),
            ("SUPABASE_ANON_KEY", project.supabase.anon_key()),
            ("SUPABASE_JWT_SECRET", project.supabase.jwt_secret()),
            ("CHANNEL_SECRETS_KEY", &BASE64_STANDARD.encode(CHANNEL_KEY)),
            ("SMTP_URL", &mail.url()),
            ("SLACK_API_URL", &workspace.api_url()),
            ("PAGERDUTY_EVENTS_URL", &pager.url()),
            ("SMTP_FROM", "MeshHook alerts <alerts@example.com>"),
            ("ALLOW_PRIVATE_DESTINATIONS", "127.0.0.0/8"),
            ("ALLOW_PLAINTEXT", "true"),
            ("HTTP_LISTEN", &format!("127.0.0.1:{}", free_or_any(options.http_port))),
        ]);
        let environment = match &options.dashboard {
            Some(address) => environment.with([
                ("DASHBOARD_URL", address.url.as_str()),
                ("API_ALLOWED_ORIGINS", &address.origins()),
            ]),
            None => environment,
        };
        let settings = Settings::read(&environment)?;
        point_channels_at_sinks(&settings, &admin, &slack, &webhook).await?;
        let clock = Clock::system();
        let reporter = wiring::reporter_client(
            &settings.supabase,
            &Reporter { token: None },
            Some(&Credentials::Secret(project.supabase.jwt_secret().into())),
            None,
            clock.clone(),
        )?;
        // The daemon stops before what it depends on.
        let own = CancellationToken::new();
        let daemon = tokio::select! {
            daemon = Daemon::start(settings, own.clone()) => daemon?,
            () = cancel.cancelled() => return Err(Error::failed("stopped while starting")),
        };
        let (reporter, cancel) = (Arc::new(reporter), own);
        Ok(Self {
            project,
            admin,
            slack,
            workspace,
            pager,
            webhook,
            mail,
            daemon,
            reporter,
            clock,
            cancel,
        })
    }

    /// Stops the daemon, then the API and the database.
    pub async fn stop(self) -> Result<(), Error> {
        self.cancel.cancel();
        let stopped = self.daemon.stopped().await;
        self.admin.close().await;
        self.project.stop().await.map_err(Error::failed)?;
        stopped
    }
}

/// The seed's channels lead to made-up places; here they lead to the sinks of this run.
async fn point_channels_at_sinks(
    settings: &Settings,
    admin: &PgPool,
    slack: &HttpSink,
    webhook: &HttpSink,
) -> Result<(), Error> {
    let parts = wiring::notify_parts(&settings.notify, Clock::system())?;
    let db = wiring::database(&settings.database)?;
    let secrets = parts.secrets(&db)?;
    let address = SecretString::from(slack.url("/services/T0/B0/demo"));
    secrets.set(SLACK_CHANNEL, &address).await.map_err(Error::failed)?;
    for (channel, secret) in [(BOT_CHANNEL, BOT_TOKEN), (PAGER_CHANNEL, PAGER_KEY)] {
        secrets.set(channel, &secret.into()).await.map_err(Error::failed)?;
    }
    let signing = SecretString::from(format!("whsec_{}", BASE64_STANDARD.encode(CHANNEL_KEY)));
    secrets.set(WEBHOOK_CHANNEL, &signing).await.map_err(Error::failed)?;
    sqlx::query(
        "update public.alert_channels set config = jsonb_build_object('url', $2::text) where channel_id = $1",
    )
    .bind(WEBHOOK_CHANNEL)
    .bind(webhook.url("/alerts"))
    .execute(admin)
    .await
    .map_err(Error::failed)?;
    db.close().await;
    Ok(())
}

fn with_login(url: &str, password: &str) -> Result<String, Error> {
    let mut url = url::Url::parse(url).map_err(Error::failed)?;
    let unfit = || Error::failed("the local database's address has no place for a login");
    url.set_username("error_daemon").map_err(|()| unfit())?;
    url.set_password(Some(password)).map_err(|()| unfit())?;
    Ok(url.to_string())
}

/// A file of the checkout: below the current folder, or where this binary was built.
pub(super) fn checkout_path(path: &str) -> Result<PathBuf, Error> {
    let here = Path::new(path);
    if !path.is_empty() && here.exists() {
        return Ok(here.to_owned());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if built.exists() {
        return Ok(built);
    }
    Err(Error::failed(format!("{path} is missing; run this in a checkout of the repository")))
}

/// The port if nobody listens there, else 0.
fn free_or_any(port: u16) -> u16 {
    if Probe::bind(("127.0.0.1", port)).is_ok() { port } else { 0 }
}

/// Where the database of `dev` lives: the user's data folder, or the system's for root, whose own
/// folders the server's user cannot enter.
pub fn data_folder(environment: &Environment) -> Result<PathBuf, Error> {
    let user = environment
        .lookup("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(environment.lookup("HOME")?).join(".local/share")));
    let candidates =
        [user, Some(PathBuf::from("/var/lib"))].map(|base| base.map(|b| b.join("meshhook-errors")));
    for folder in candidates.into_iter().flatten() {
        if std::fs::create_dir_all(&folder).is_ok() && is_reachable(&folder) {
            return Ok(folder.join("postgres"));
        }
    }
    Err(Error::failed(
        "no folder for the database can be made in the user's data folder or /var/lib; give one with \
         --data-dir",
    ))
}
