//! A whole deployment for one test: database, PostgREST, Realtime, sinks for alerts, and daemons.
//!
//! By default all of it runs here; else on the Supabase that the environment names ([`super::external`]).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use meshhook_errors::{
    alerting::Inspection,
    cli::run::{Daemon, Settings},
    clock::Clock,
    config::Environment,
    model::Span,
    rest::{RestClient, RestConfig},
    sinks::{HttpSink, SmtpSink},
    token::{Claims, Minter, TokenSource},
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use sqlx::PgPool;
use supabase_local::{LOCAL_JWT_SECRET, LocalConfig, LocalSupabase, faults::Faults};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::{
    db::{TestDb, pool, switch},
    eventually,
    external::External,
    stalls,
};

pub use super::scene::{at, burst, event};

/// Encrypts the channels' secrets of every test.
pub const CHANNEL_KEY: &str = "dGVzdCB0ZXN0IHRlc3QgdGVzdCB0ZXN0IHRlc3QgISE=";

/// How long alerts may take in a test; the goal is far below.
pub const ALERT_LIMIT: Duration = Duration::from_secs(20);

/// Variables of a process, by name.
pub type Variables = BTreeMap<String, String>;

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
    variables: Variables,
    rest_url: Url,
    rest_key: Option<String>,
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

    /// What the engine knows.
    pub async fn inspect(&self) -> Inspection {
        self.daemon.decider().inspect().await.expect("the decider runs")
    }

    /// Waits until the windows of `rule` hold `count` errors or more, and returns how many.
    pub async fn counted(&self, rule: Uuid, count: u64) -> u64 {
        eventually(&format!("{count} errors in the windows of the rule"), || async {
            let total = self.inspect().await.total_by_rule.get(&rule).copied();
            total.filter(|total| *total >= count)
        })
        .await
    }

    /// An answer of the daemon's own server: its status and its body.
    pub async fn http(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.daemon.address());
        let answer = reqwest::get(url).await.expect("the daemon's server answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }
}

impl Stack {
    /// A deployment with the local server's usual pace.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A deployment whose local server is set up by `adjust`; another's is what it is.
    pub async fn with(adjust: impl FnOnce(&mut LocalConfig)) -> Self {
        Self::on(None, adjust).await
    }

    /// A deployment on a given database, for tests that do things to its server.
    pub async fn on(db: Option<TestDb>, adjust: impl FnOnce(&mut LocalConfig)) -> Self {
        stalls::watch();
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
            // Tests that are about them name the channels.
            ("SYSTEM_ALERT_CHANNELS", "none".to_owned()),
        ];
        let mut stack = match External::read() {
            Some(external) if db.is_none() => Self::given(external, slack, webhook, mail).await,
            _ => Self::local(db, adjust, slack, webhook, mail).await,
        };
        stack.variables.extend(common.map(|(name, value)| (name.to_owned(), value)));
        stack
    }

    async fn local(
        db: Option<TestDb>,
        adjust: impl FnOnce(&mut LocalConfig),
        slack: HttpSink,
        webhook: HttpSink,
        mail: SmtpSink,
    ) -> Self {
        let db = match db {
            Some(db) => db,
            None => TestDb::new().await,
        };
        let supabase = local_supabase(&db, adjust).await;
        let variables = [
            ("DATABASE_URL", db.daemon_url.clone()),
            ("SUPABASE_URL", supabase.url()),
            ("SUPABASE_ANON_KEY", supabase.anon_key().to_owned()),
            ("SUPABASE_JWT_SECRET", supabase.jwt_secret().to_owned()),
        ];
        Self {
            admin: db.admin().await,
            slack,
            webhook,
            mail,
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            rest_url: format!("{}/rest/v1", supabase.url()).parse().expect("an address"),
            rest_key: Some(supabase.anon_key().to_owned()),
            jwt_secret: supabase.jwt_secret().to_owned(),
            local: Some((supabase, db)),
            _turn: None,
        }
    }

    async fn given(external: External, slack: HttpSink, webhook: HttpSink, mail: SmtpSink) -> Self {
        let (admin, turn) = external.prepare().await;
        let password = Uuid::new_v4().simple().to_string();
        let set = sqlx::AssertSqlSafe(format!("alter role error_daemon password '{password}'"));
        sqlx::query(set).execute(&admin).await.expect("error_daemon gets a password");
        let mut daemon_url = Url::parse(&external.database_url).expect("an address");
        daemon_url.set_username("error_daemon").expect("a database address has a user");
        daemon_url.set_password(Some(&password)).expect("a database address has a password");
        let mut variables = Variables::from([
            ("DATABASE_URL".to_owned(), daemon_url.to_string()),
            ("SUPABASE_JWT_SECRET".to_owned(), external.jwt_secret.clone()),
        ]);
        for name in ["URL", "REST_URL", "REALTIME_URL", "REALTIME_HOST", "ANON_KEY"] {
            let name = format!("SUPABASE_{name}");
            variables.extend(switch(&format!("TEST_{name}")).map(|value| (name, value)));
        }
        Self {
            admin,
            slack,
            webhook,
            mail,
            rest_key: external.anon_key,
            variables,
            rest_url: external.rest_url.parse().expect("an address"),
            jwt_secret: external.jwt_secret,
            local: None,
            _turn: Some(turn),
        }
    }

    /// The handle that makes the local server misbehave; none where another's is used, which cannot
    /// be told to.
    pub fn faults(&self) -> Option<Faults> {
        self.local.as_ref().map(|(supabase, _)| supabase.faults())
    }

    /// Connections as superuser, to a local database.
    pub async fn superuser(&self) -> PgPool {
        let (_, db) = self.local.as_ref().expect("the local server");
        pool(&db.superuser_url).await
    }

    /// The variables of a daemon of this deployment.
    pub fn variables(&self) -> Variables {
        self.variables.clone()
    }

    /// What a daemon of this deployment finds in its environment.
    pub fn environment(&self) -> Environment {
        let pairs = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Environment::of(pairs)
    }

    /// Starts a daemon, and waits until it leads, has counted what is there, and its socket is
    /// subscribed.
    pub async fn daemon(&self) -> Instance {
        let instance = self.daemon_with([]).await;
        let feed = instance.daemon.feed();
        eventually("the daemon is subscribed", || {
            let status = feed.borrow().clone();
            async move { status.subscribed.then_some(()) }
        })
        .await;
        instance
    }

    /// Starts a daemon with some variables of its environment replaced, and waits until it leads and
    /// has counted what is there; its socket may still be connecting.
    pub async fn daemon_with<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Instance {
        self.daemon_as(variables, |_| {}).await
    }

    /// Starts a daemon with some of its settings changed that no variable stands for.
    pub async fn daemon_as<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        adjust: impl FnOnce(&mut Settings),
    ) -> Instance {
        self.daemon_in(&self.environment().with(variables), adjust).await
    }

    /// Starts a daemon in another environment than this deployment's.
    pub async fn daemon_in(
        &self,
        environment: &Environment,
        adjust: impl FnOnce(&mut Settings),
    ) -> Instance {
        let mut settings = Settings::read(environment).expect("settings");
        adjust(&mut settings);
        let instance = Self::begin(settings).await;
        let leadership = instance.daemon.leadership();
        eventually("the daemon leads", || {
            let leads = leadership.is_leader();
            async move { leads.then_some(()) }
        })
        .await;
        instance
    }

    /// Starts a daemon beside another one that leads, and waits until it has counted what is there.
    pub async fn standby(&self) -> Instance {
        Self::begin(Settings::read(&self.environment()).expect("settings")).await
    }

    async fn begin(settings: Settings) -> Instance {
        let cancel = CancellationToken::new();
        let daemon =
            Box::pin(Daemon::start(settings, cancel.clone())).await.expect("the daemon starts");
        let feed = daemon.feed();
        eventually("the daemon has caught up", || {
            let ready = feed.borrow().caught_up;
            async move { ready.then_some(()) }
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
        let minter = Minter::new(self.signer(), claims, Span::from_secs(3600), Clock::system());
        let config = RestConfig::new(self.rest_url.clone(), self.rest_key.clone().map(Into::into));
        RestClient::new(config, Arc::new(minter)).expect("a client")
    }

    /// The token of a signed-in user.
    pub fn user_token(&self, user: Uuid) -> String {
        let extra = Map::from_iter([("sub".to_owned(), user.to_string().into())]);
        let claims = Claims { role: "authenticated".to_owned(), issuer: String::new(), extra };
        let token = self.signer().mint(&claims, Span::from_secs(600), Clock::system().now());
        token.expect("a token").expose_secret().to_owned()
    }

    /// Posts to `path` below `/rest/v1` as a signed-in user: the status and the body.
    pub async fn post_as(&self, user: Uuid, path: &str, body: &Value) -> (u16, String) {
        let extra = Map::from_iter([("sub".to_owned(), user.to_string().into())]);
        let claims = Claims { role: "authenticated".to_owned(), issuer: String::new(), extra };
        let token = self.signer().mint(&claims, Span::from_secs(600), Clock::system().now());
        self.post_with(token.expect("a token").expose_secret(), path, body).await
    }

    /// A token of this role with further claims, which holds for an hour from now on, or ended so many
    /// seconds ago where `life` is negative.
    pub fn token(&self, role: &str, extra: &[(&str, String)], life: i64) -> String {
        let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into()));
        let extra = Map::from_iter(extra);
        let claims = Claims { role: role.to_owned(), issuer: String::new(), extra };
        let now = Clock::system().now();
        let (from, life) =
            if life < 0 { (now - Span::from_secs(60 - life), 60) } else { (now, life) };
        let token = self.signer().mint(&claims, Span::from_secs(life), from);
        token.expect("a token").expose_secret().to_owned()
    }

    /// A service key, which may do everything.
    pub fn service_key(&self) -> String {
        let claims = Claims { role: "service_role".to_owned(), ..Claims::default() };
        let key = self.signer().mint(&claims, Span::from_secs(3600), Clock::system().now());
        key.expect("a key").expose_secret().to_owned()
    }

    /// Posts to `path` below `/rest/v1` with this token: the status and the body.
    pub async fn post_with(&self, token: &str, path: &str, body: &Value) -> (u16, String) {
        let url = format!("{}/{path}", self.rest_url);
        let mut request = reqwest::Client::new().post(url).bearer_auth(token).json(body);
        if let Some(key) = &self.rest_key {
            request = request.header("apikey", key);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    fn signer(&self) -> TokenSource {
        TokenSource::hs256(&self.jwt_secret.as_str().into()).expect("a secret")
    }
}

/// A local Supabase in front of a test's database.
pub async fn local_supabase(db: &TestDb, adjust: impl FnOnce(&mut LocalConfig)) -> LocalSupabase {
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
    LocalSupabase::start(config).await.expect("the local Supabase starts")
}
