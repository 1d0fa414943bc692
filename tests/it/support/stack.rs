//! A whole deployment for one test: database, PostgREST, Realtime, sinks for alerts, and daemons.
//!
//! By default all of it runs here. With `TEST_SUPABASE_URL`, `TEST_DATABASE_URL` (as the owner,
//! `postgres`) and `TEST_JWT_SECRET` the tests use that Supabase instead; they then take turns, and
//! each begins by emptying the tables of error tracking. `TEST_SUPABASE_REST_URL`,
//! `TEST_SUPABASE_REALTIME_URL`, `TEST_SUPABASE_REALTIME_HOST` and `TEST_SUPABASE_ANON_KEY` are for
//! servers without a gateway.

use std::{sync::Arc, time::Duration};

use meshhook_errors::{
    cli::run::{Daemon, Settings},
    clock::Clock,
    config::Environment,
    model::{Severity, Source, Timestamp},
    rest::{NewErrorEvent, RestClient, RestConfig},
    sinks::{HttpSink, SmtpSink},
    store::secrets::{ChannelKey, Secrets},
    token::{Claims, Minter, TokenSource},
};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use supabase_local::{LOCAL_JWT_SECRET, LocalConfig, LocalSupabase, faults::Faults, migrate};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    db::{MIGRATIONS, TestDb, pool, switch},
    eventually,
};

/// Encrypts the channels' secrets of every test.
pub const CHANNEL_KEY: &str = "dGVzdCB0ZXN0IHRlc3QgdGVzdCB0ZXN0IHRlc3QgISE=";

/// A deployment without daemons; those are started by [`Stack::daemon`].
pub struct Stack {
    /// Connections as the database's owner.
    pub admin: PgPool,
    /// Stands in for Slack.
    pub slack: HttpSink,
    /// Stands in for a webhook's receiver.
    pub webhook: HttpSink,
    /// Stands in for the mail server.
    pub mail: SmtpSink,
    environment: Environment,
    rest: RestConfig,
    jwt_secret: String,
    local: Option<(LocalSupabase, TestDb)>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A daemon of a test; dropping it ends it without waiting.
pub struct Instance {
    /// The daemon.
    pub daemon: Daemon,
    cancel: CancellationToken,
}

impl Instance {
    /// Stops it in order, as SIGTERM does.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.daemon.stopped().await.expect("no task of the daemon failed");
    }
}

impl Stack {
    /// A deployment with the local server's usual pace.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A deployment whose local server is set up by `adjust`; another's is what it is.
    pub async fn with(adjust: impl FnOnce(&mut LocalConfig)) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let slack = HttpSink::start().await.expect("a sink");
        let webhook = HttpSink::start().await.expect("a sink");
        let mail = SmtpSink::start().await.expect("a sink");
        let common = [
            ("CHANNEL_SECRETS_KEY", CHANNEL_KEY.to_owned()),
            ("SMTP_URL", mail.url()),
            ("SMTP_FROM", "Alerts <alerts@example.com>".to_owned()),
            ("ALLOW_PRIVATE_DESTINATIONS", "127.0.0.0/8".to_owned()),
            ("ALLOW_PLAINTEXT", "true".to_owned()),
            ("HTTP_LISTEN", "127.0.0.1:0".to_owned()),
            ("DASHBOARD_URL", "https://meshhook.example.com".to_owned()),
            ("INSTANCE_NAME", "test".to_owned()),
        ];
        let mut stack = match switch("TEST_SUPABASE_URL") {
            Some(url) => Self::given(&url, slack, webhook, mail).await,
            None => Self::local(adjust, slack, webhook, mail).await,
        };
        stack.environment =
            stack.environment.with(common.iter().map(|(name, value)| (*name, value.as_str())));
        stack
    }

    async fn local(
        adjust: impl FnOnce(&mut LocalConfig),
        slack: HttpSink,
        webhook: HttpSink,
        mail: SmtpSink,
    ) -> Self {
        let db = TestDb::new().await;
        let mut config = LocalConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            admin_url: db.superuser_url.clone(),
            authenticator_url: db.authenticator_url.clone(),
            jwt_secret: LOCAL_JWT_SECRET.to_owned(),
            token_seconds: 3600,
            realtime: supabase_local::realtime::RealtimeConfig::default(),
            max_connections: 5,
            rest_connections: 10,
            max_rows: Some(1000),
        };
        adjust(&mut config);
        let supabase = LocalSupabase::start(config).await.expect("the local Supabase starts");
        let environment = Environment::of([
            ("DATABASE_URL", db.daemon_url.as_str()),
            ("SUPABASE_URL", &supabase.url()),
            ("SUPABASE_ANON_KEY", supabase.anon_key()),
            ("SUPABASE_JWT_SECRET", supabase.jwt_secret()),
        ]);
        let url = format!("{}/rest/v1", supabase.url()).parse().expect("an address");
        let rest = RestConfig::new(url, Some(supabase.anon_key().into()));
        Self {
            admin: db.admin().await,
            slack,
            webhook,
            mail,
            environment,
            rest,
            jwt_secret: supabase.jwt_secret().to_owned(),
            local: Some((supabase, db)),
            _turn: None,
        }
    }

    async fn given(url: &str, slack: HttpSink, webhook: HttpSink, mail: SmtpSink) -> Self {
        static TURN: std::sync::OnceLock<Arc<Mutex<()>>> = std::sync::OnceLock::new();
        let turn = Arc::clone(TURN.get_or_init(Arc::default)).lock_owned().await;
        eprintln!("this test uses the Supabase of TEST_SUPABASE_URL");
        let admin_url = switch("TEST_DATABASE_URL").expect("TEST_DATABASE_URL goes with it");
        let jwt_secret = switch("TEST_JWT_SECRET").expect("TEST_JWT_SECRET goes with it");
        migrate::apply_folder(&admin_url, MIGRATIONS.as_ref()).await.expect("the migrations apply");
        let admin = pool(&admin_url).await;
        let password = Uuid::new_v4().simple().to_string();
        let set = sqlx::AssertSqlSafe(format!("alter role error_daemon password '{password}'"));
        sqlx::query(set).execute(&admin).await.expect("error_daemon gets a password");
        empty_tables(&admin).await;
        let mut daemon_url = url::Url::parse(&admin_url).expect("an address");
        daemon_url.set_username("error_daemon").expect("a database address has a user");
        daemon_url.set_password(Some(&password)).expect("a database address has a password");
        let mut environment = Environment::of([
            ("DATABASE_URL", daemon_url.as_str()),
            ("SUPABASE_URL", url),
            ("SUPABASE_JWT_SECRET", &jwt_secret),
        ]);
        for name in [
            "SUPABASE_REST_URL",
            "SUPABASE_REALTIME_URL",
            "SUPABASE_REALTIME_HOST",
            "SUPABASE_ANON_KEY",
        ] {
            if let Some(value) = switch(&format!("TEST_{name}")) {
                environment = environment.with([(name, value.as_str())]);
            }
        }
        let rest_url = switch("TEST_SUPABASE_REST_URL").unwrap_or(format!("{url}/rest/v1"));
        let apikey = switch("TEST_SUPABASE_ANON_KEY").map(Into::into);
        let rest = RestConfig::new(rest_url.parse().expect("an address"), apikey);
        Self {
            admin,
            slack,
            webhook,
            mail,
            environment,
            rest,
            jwt_secret,
            local: None,
            _turn: Some(turn),
        }
    }

    /// The handle that makes the local server misbehave; none where another's is used, which cannot
    /// be told to.
    pub fn faults(&self) -> Option<Faults> {
        self.local.as_ref().map(|(supabase, _)| supabase.faults())
    }

    /// What a daemon of this deployment finds in its environment.
    pub fn environment(&self) -> Environment {
        self.environment.clone()
    }

    /// Starts a daemon, and waits until it has counted what is there and its socket is subscribed.
    pub async fn daemon(&self) -> Instance {
        self.daemon_with([]).await
    }

    /// Starts a daemon with some variables of its environment replaced.
    pub async fn daemon_with<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Instance {
        let settings = Settings::read(&self.environment().with(variables)).expect("settings");
        let cancel = CancellationToken::new();
        let daemon = Daemon::start(settings, cancel.clone()).await.expect("the daemon starts");
        let feed = daemon.feed();
        eventually("the daemon is ready", || {
            let status = feed.borrow().clone();
            async move { (status.caught_up && status.subscribed).then_some(()) }
        })
        .await;
        Instance { daemon, cancel }
    }

    /// Reports errors as a worker does, for `project` or any.
    pub fn reporter(&self, project: Option<Uuid>) -> RestClient {
        let mut extra = Map::new();
        if let Some(project) = project {
            extra.insert("project_id".to_owned(), project.to_string().into());
        }
        let claims = Claims { role: "error_reporter".to_owned(), issuer: String::new(), extra };
        let source = TokenSource::hs256(&self.jwt_secret.as_str().into()).expect("a secret");
        let life = meshhook_errors::model::Span::from_secs(3600);
        let minter = Minter::new(source, claims, life, Clock::system());
        RestClient::new(self.rest.clone(), Arc::new(minter)).expect("a client")
    }

    /// A new project.
    pub async fn project(&self, name: &str) -> Uuid {
        let sql =
            "insert into public.projects (owner, name) values (gen_random_uuid(), $1) returning id";
        sqlx::query_scalar(sql).bind(name).fetch_one(&self.admin).await.expect("a project")
    }

    /// A new workflow of a project.
    pub async fn workflow(&self, project: Uuid, slug: &str) -> Uuid {
        sqlx::query_scalar(
            "insert into public.workflow_definitions (project_id, slug, name, definition) \
             values ($1, $2, $2, '{}') returning id",
        )
        .bind(project)
        .bind(slug)
        .fetch_one(&self.admin)
        .await
        .expect("a workflow")
    }

    /// A new channel that leads to a sink: kind `slack`, `email` (to `address`) or `webhook`.
    pub async fn channel(&self, name: &str, kind: &str) -> Uuid {
        let config = match kind {
            "email" => json!({"to": [format!("{name}@example.com")]}),
            "webhook" => json!({"url": self.webhook.url(&format!("/{name}"))}),
            _ => json!({}),
        };
        let sql = "insert into public.alert_channels (name, kind, config) values ($1, $2, $3) returning channel_id";
        let id: Uuid = sqlx::query_scalar(sql)
            .bind(name)
            .bind(kind)
            .bind(config)
            .fetch_one(&self.admin)
            .await
            .expect("a channel");
        let secret = match kind {
            "slack" => self.slack.url(&format!("/services/{name}")),
            "webhook" => "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0".to_owned(),
            _ => return id,
        };
        let key = ChannelKey::from_base64(&CHANNEL_KEY.into()).expect("a key");
        Secrets::new(self.admin.clone(), key).set(id, &secret.into()).await.expect("a secret");
        id
    }

    /// A new rule with the columns of `fields` besides its name, which tells `channels`.
    pub async fn rule(&self, name: &str, fields: Value, channels: &[Uuid]) -> Uuid {
        let mut row = json!({"rule_id": Uuid::new_v4(), "name": name});
        let object = row.as_object_mut().expect("an object");
        object.extend(fields.as_object().expect("an object").clone());
        let columns = object.keys().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "insert into public.alert_rules ({columns}) \
             select {columns} from jsonb_populate_record(null::public.alert_rules, $1) returning rule_id"
        );
        let mut transaction = self.admin.begin().await.expect("a transaction");
        let id: Uuid = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(&row)
            .fetch_one(&mut *transaction)
            .await
            .expect("a rule");
        for channel in channels {
            sqlx::query(
                "insert into public.alert_rule_channels (rule_id, channel_id) values ($1, $2)",
            )
            .bind(id)
            .bind(channel)
            .execute(&mut *transaction)
            .await
            .expect("the rule's channel");
        }
        transaction.commit().await.expect("a commit");
        id
    }

    /// One number from the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.admin).await.expect("a number")
    }
}

/// An error event of a worker, now.
pub fn event(project: Option<Uuid>, error_type: &str, message: &str) -> NewErrorEvent {
    NewErrorEvent {
        error_id: Uuid::now_v7(),
        timestamp: None,
        source: Source::Worker,
        error_type: error_type.to_owned(),
        severity: Some(Severity::Medium),
        workflow_id: None,
        project_id: project,
        message: Some(message.to_owned()),
        metadata: json!({}),
    }
}

/// The same event at another time.
pub fn at(event: NewErrorEvent, timestamp: Timestamp) -> NewErrorEvent {
    NewErrorEvent { timestamp: Some(timestamp), ..event }
}

/// How long alerts may take in a test; the goal is far below.
pub const ALERT_LIMIT: Duration = Duration::from_secs(20);

async fn empty_tables(admin: &PgPool) {
    sqlx::raw_sql(
        "truncate public.error_metrics, public.error_groups, public.error_rate_minutes, \
           public.error_rate_hours, public.error_rates_live, public.alert_rules, \
           public.alert_channels, public.alert_rule_channels, public.alert_silences, \
           public.alert_incidents, public.alert_incident_events, public.alert_notifications, \
           public.error_tracker_status, public.error_access, error_tracking.channel_secrets cascade; \
         update error_tracking.leases set holder = null, expires_at = '-infinity'; \
         update error_tracking.checkpoint set accounted = case \
           when (select is_called from error_tracking.error_metrics_seq) \
           then int8multirange(int8range(1, (select last_value + 1 from error_tracking.error_metrics_seq))) \
           else '{}' end",
    )
    .execute(admin)
    .await
    .expect("the tables are emptied");
}
