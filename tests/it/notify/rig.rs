//! A database with channels, a rule and an incident, the three receivers, and a dispatcher.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use meshhook_errors::{
    clock::Clock,
    model::{Evidence, GroupField, Level, Span, Timestamp, TransitionKind},
    notify::{
        Dispatcher, DispatcherSettings, Egress, EgressConfig, Endpoints, GroupFact, IncidentFacts,
        Leadership, Mailer, Mandate, MetricKind, NotificationFacts, RuleFacts, Senders, SmtpConfig,
    },
    sinks::{HttpRequest, HttpSink, SmtpSink},
    store::{
        channels::Channels,
        outbox::Outbox,
        secrets::{ChannelKey, Secrets},
    },
};
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{PATIENCE, db::TestDb, eventually, stalls};

/// Signs the webhooks of these tests.
pub const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Everything a test of notifying needs. The dispatcher polls rarely, so that what arrives in time
/// proves that it was woken, or slept until exactly the right moment.
pub struct Rig {
    pub admin: PgPool,
    pub daemon: PgPool,
    pub slack: HttpSink,
    pub hook: HttpSink,
    pub mail: SmtpSink,
    /// What stands in for Slack's Web API and PagerDuty; set before the dispatcher starts.
    pub endpoints: Endpoints,
    pub wake: Arc<Notify>,
    pub rule: Uuid,
    pub instance: Uuid,
    pub mandate: Arc<Mutex<Option<Mandate>>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    // Dropped last: the pools above still have connections to it.
    _db: TestDb,
}

/// A row of the outbox.
#[derive(Debug)]
pub struct Sent {
    pub state: String,
    pub attempts: i32,
    pub log: Value,
    pub last_error: Option<String>,
    pub receipt: Option<String>,
}

pub fn key(byte: u8) -> ChannelKey {
    ChannelKey::from_base64(&STANDARD.encode([byte; 32]).into()).expect("a key")
}

/// A client that may reach this machine, and is less patient than the real one.
pub fn egress() -> Egress {
    let allowed_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    let total_timeout = Duration::from_secs(2);
    let config = EgressConfig {
        allow_plaintext: true,
        allowed_networks,
        total_timeout,
        ..EgressConfig::default()
    };
    Egress::new(config).expect("a client")
}

pub fn mailer(url: &str) -> Mailer {
    let from = "Alerts <alerts@mesh.example>";
    let mut config = SmtpConfig::parse(&url.into(), from, None, false).expect("an address");
    config.command_timeout = Duration::from_millis(700);
    Mailer::new(config).expect("a mailer")
}

impl Rig {
    /// The whole rig with a dispatcher at work.
    pub async fn new() -> Self {
        let mut rig = Self::idle().await;
        rig.start();
        rig
    }

    /// The rig before its dispatcher starts.
    pub async fn idle() -> Self {
        stalls::watch();
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let db = TestDb::new().await;
        let (admin, daemon) = (db.admin().await, db.daemon().await);
        let instance = Uuid::new_v4();
        sqlx::query(
            "update error_tracking.leases set holder = $1, fence = 7, expires_at = now() + interval '1 h'",
        )
        .bind(instance)
        .execute(&admin)
        .await
        .expect("take the lease");
        let rule = sqlx::query_scalar(
            "insert into public.alert_rules (name, warning) values ('Payments failing', 20) returning rule_id",
        )
        .fetch_one(&admin)
        .await
        .expect("a rule");
        let valid_until = Instant::now() + Duration::from_secs(3600);
        let mandate = Mandate { holder: instance, fence: 7, valid_until };
        Self {
            admin,
            daemon,
            slack: HttpSink::start().await.expect("a sink"),
            hook: HttpSink::start().await.expect("a sink"),
            mail: SmtpSink::start().await.expect("a sink"),
            endpoints: Endpoints::default(),
            wake: Arc::default(),
            rule,
            instance,
            mandate: Arc::new(Mutex::new(Some(mandate))),
            stop: CancellationToken::new(),
            task: None,
            _db: db,
        }
    }

    pub fn channels(&self) -> Arc<Channels> {
        Arc::new(Channels::new(self.daemon.clone(), Some(key(1))))
    }

    pub fn senders(&self) -> Senders {
        Senders::new(egress(), Some(mailer(&self.mail.url())), Clock::system())
            .with_endpoints(self.endpoints.clone())
    }

    pub fn start(&mut self) {
        let mandate = Arc::clone(&self.mandate);
        let leadership = move || *mandate.lock().expect("not poisoned");
        self.start_with(Arc::new(leadership));
    }

    pub fn start_with(&mut self, leadership: Arc<dyn Leadership>) {
        let settings =
            DispatcherSettings { poll: Duration::from_secs(60), ..DispatcherSettings::default() };
        let outbox = Outbox::new(self.daemon.clone());
        let dispatcher = Dispatcher::new(outbox, self.channels(), self.senders(), settings);
        let run = dispatcher.run(Arc::clone(&self.wake), leadership, self.stop.clone());
        self.task = Some(tokio::spawn(run));
    }

    /// Stops the dispatcher and returns how long that took, less what the machine took of it.
    pub async fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("the dispatcher does not panic");
        }
        stalls::net_since(began)
    }

    /// The same with a dispatcher of a new process at work.
    pub fn restarted(mut self) -> Self {
        self.stop = CancellationToken::new();
        self.start();
        self
    }

    /// The database's address for the daemon.
    pub fn url(&self) -> String {
        self._db.daemon_url.clone()
    }

    /// A channel of the rule.
    pub async fn channel(
        &self,
        name: &str,
        kind: &str,
        config: Value,
        secret: Option<&str>,
    ) -> Uuid {
        let id: Uuid = sqlx::query_scalar(
            "insert into public.alert_channels (name, kind, config) values ($1, $2, $3) returning channel_id",
        )
        .bind(name)
        .bind(kind)
        .bind(config)
        .fetch_one(&self.admin)
        .await
        .expect("a channel");
        sqlx::query("insert into public.alert_rule_channels (rule_id, channel_id) values ($1, $2)")
            .bind(self.rule)
            .bind(id)
            .execute(&self.admin)
            .await
            .expect("the rule's channel");
        if let Some(secret) = secret {
            let secrets = Secrets::new(self.daemon.clone(), key(1));
            secrets.set(id, &secret.into()).await.expect("the secret");
        }
        id
    }

    pub async fn slack_channel(&self, name: &str, sink: &HttpSink) -> Uuid {
        let url = sink.url("/services/T0/B0/secretsecretsecret");
        self.channel(name, "slack", json!({}), Some(&url)).await
    }

    pub async fn mail_channel(&self, to: &[&str]) -> Uuid {
        self.channel("mail", "email", json!({ "to": to }), None).await
    }

    pub async fn hook_channel(&self, url: &str) -> Uuid {
        let config = json!({ "url": url });
        self.channel("hook", "webhook", config, Some(SIGNING_SECRET)).await
    }

    pub async fn bot_channel(&self, conversation: &str, token: &str) -> Uuid {
        let config = json!({ "channel": conversation });
        self.channel("bot", "slack", config, Some(token)).await
    }

    pub async fn pagerduty_channel(&self, routing_key: &str) -> Uuid {
        let config = json!({ "format": "pagerduty" });
        self.channel("pager", "webhook", config, Some(routing_key)).await
    }

    pub async fn incident(&self) -> Uuid {
        let id = Uuid::new_v4();
        sqlx::query(
            "insert into public.alert_incidents (incident_id, rule_id, rule_name, group_key, state, level, peak_level,
               started_at, value, threshold, peak)
             values ($1, $2, 'Payments failing', $1::text, 'firing', 'warning', 'warning', now(), 25, 20, 25)",
        )
        .bind(id)
        .bind(self.rule)
        .execute(&self.daemon)
        .await
        .expect("an incident");
        id
    }

    pub fn facts(&self, incident: Uuid, kind: TransitionKind) -> NotificationFacts {
        let since = Timestamp::from_secs(1_795_356_005);
        let rule = RuleFacts {
            id: self.rule,
            name: "Payments failing".into(),
            description: "Call Ada.".into(),
            metric: MetricKind::Count,
            window_seconds: 300,
            longest_window_seconds: None,
        };
        let incident = IncidentFacts {
            id: incident,
            rule,
            project: None,
            group: Vec::new(),
            level: Level::Warning,
            value: 25.0,
            threshold: 20.0,
            peak: 25.0,
            since,
            fired_at: Some(since),
            reminder: 0,
            evidence: Evidence::default(),
        };
        let at = since + Span::from_secs(1);
        NotificationFacts::of(kind, at, incident, Some("https://mesh.example")).expect("told")
    }

    /// Writes a message into the outbox as the daemon does, and wakes the dispatcher.
    pub async fn notify(&self, incident: Uuid, channel: Uuid, kind: TransitionKind) -> Uuid {
        self.notify_of(incident, channel, kind, None).await
    }

    /// The same for one group of the rule.
    pub async fn notify_of(
        &self,
        incident: Uuid,
        channel: Uuid,
        kind: TransitionKind,
        group: Option<&str>,
    ) -> Uuid {
        let mut facts = self.facts(incident, kind);
        if let (Some(incident), Some(group)) = (&mut facts.incident, group) {
            let value = Some(group.to_owned());
            let fact = GroupFact { field: GroupField::ErrorType, value, name: None };
            incident.group = vec![fact];
        }
        let facts = serde_json::to_value(facts).expect("JSON");
        let id = sqlx::query_scalar(
            "insert into public.alert_notifications (incident_id, channel_id, transition, payload)
             values ($1, $2, $3, $4) returning notification_id",
        )
        .bind(incident)
        .bind(channel)
        .bind(kind.as_str())
        .bind(facts)
        .fetch_one(&self.daemon)
        .await
        .expect("a message");
        self.wake.notify_one();
        id
    }

    /// One firing message of an incident of its own.
    pub async fn fire(&self, channel: Uuid) -> Uuid {
        self.notify(self.incident().await, channel, TransitionKind::Firing).await
    }

    pub async fn row(&self, notification: Uuid) -> Sent {
        let row = sqlx::query(
            "select state, attempts, attempt_log, last_error, receipt from public.alert_notifications where notification_id = $1",
        )
        .bind(notification)
        .fetch_one(&self.admin)
        .await
        .expect("the message");
        Sent {
            state: row.get("state"),
            attempts: row.get("attempts"),
            log: row.get("attempt_log"),
            last_error: row.get("last_error"),
            receipt: row.get("receipt"),
        }
    }

    /// Waits until the message is in `state`.
    pub async fn until(&self, notification: Uuid, state: &str) -> Sent {
        eventually(&format!("message {state}"), async || {
            let row = self.row(notification).await;
            (row.state == state).then_some(row)
        })
        .await
    }

    /// Waits until the first attempt has failed, and returns the entry of the log.
    pub async fn first_attempt(&self, notification: Uuid) -> Value {
        eventually("a first attempt", async || self.row(notification).await.log.get(0).cloned())
            .await
    }

    /// State and reason of a channel.
    pub async fn channel_state(&self, channel: Uuid) -> (String, Option<String>) {
        sqlx::query_as(
            "select state, broken_reason from public.alert_channels where channel_id = $1",
        )
        .bind(channel)
        .fetch_one(&self.admin)
        .await
        .expect("the channel")
    }

    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(&self.admin).await.expect(sql);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sinks' patience is the tests'.
pub const WAIT: Duration = PATIENCE;

/// The incidents that a Slack message tells, in order: one in an ordinary message, several in a
/// digest, whose lines link to them, or which names them where they have no group.
pub fn incidents(request: &HttpRequest) -> Vec<String> {
    let body = request.json();
    let digest = body["text"].as_str().is_some_and(|text| {
        ["alerts at once", "alerts resolved"].iter().any(|mark| text.contains(mark))
    });
    let blocks = body["blocks"].to_string();
    if digest && !blocks.contains("/errors/incidents/") {
        let words = blocks.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
        return words.filter(|word| Uuid::parse_str(word).is_ok()).map(str::to_owned).collect();
    }
    let mark = if digest { "/errors/incidents/" } else { "Incident " };
    blocks.split(mark).skip(1).map(|rest| rest.chars().take(36).collect()).collect()
}
