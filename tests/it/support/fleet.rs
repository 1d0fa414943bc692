//! Daemons as processes of their own, which can be killed, stopped and resumed: a database, receivers,
//! and any number of instances of the built binary. Realtime is off for all of them: rows come by
//! numbered reads alone, so what these tests show does not depend on it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use meshhook_errors::{
    sinks::{HttpRequest, HttpSink},
    store::secrets::{ChannelKey, Secrets},
};
use serde_json::json;
use sqlx::PgPool;
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use uuid::Uuid;

use super::{db::TestDb, eventually, stack::CHANNEL_KEY, stalls};

/// Any port of this machine where nobody listens: RFC 863's.
const NOBODY: &str = "http://127.0.0.1:9";
const JWT_SECRET: &str = "a secret of more than thirty-two characters";
const SIGNING_SECRET: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0";

/// A deployment whose instances are processes.
pub struct Fleet {
    /// Connections as the database's owner.
    pub admin: PgPool,
    /// Stands in for Slack.
    pub slack: HttpSink,
    /// Stands in for a webhook's receiver.
    pub hook: HttpSink,
    variables: Vec<(&'static str, String)>,
    folder: PathBuf,
    _db: TestDb,
}

/// One message as a receiver saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// firing, escalated, reminder or resolved.
    pub what: String,
    /// The incident's id.
    pub incident: String,
    /// When the request was complete.
    pub at: Instant,
}

impl Fleet {
    pub async fn new() -> Self {
        stalls::watch();
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let db = TestDb::new().await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleets").join(&db.name);
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        let variables = vec![
            ("DATABASE_URL", db.daemon_url.clone()),
            ("SUPABASE_URL", NOBODY.to_owned()),
            ("SUPABASE_JWT_SECRET", JWT_SECRET.to_owned()),
            ("CHANNEL_SECRETS_KEY", CHANNEL_KEY.to_owned()),
            ("ALLOW_PRIVATE_DESTINATIONS", "127.0.0.0/8".to_owned()),
            ("ALLOW_PLAINTEXT", "true".to_owned()),
            ("HTTP_LISTEN", "127.0.0.1:0".to_owned()),
            ("DASHBOARD_URL", "https://meshhook.example.com".to_owned()),
            ("SYSTEM_ALERT_CHANNELS", "none".to_owned()),
        ];
        let slack = HttpSink::start().await.expect("a sink");
        let hook = HttpSink::start().await.expect("a sink");
        Self { admin: db.admin().await, slack, hook, variables, folder, _db: db }
    }

    /// Sets a variable of the instances that are started from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// Starts an instance; `crash` is what `CRASH_POINT` says.
    pub fn spawn(&self, name: &str, crash: Option<&str>) -> Process {
        let log = self.folder.join(format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshhook-errors"));
        command
            .arg("run")
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("INSTANCE_NAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .kill_on_drop(true);
        if let Some(crash) = crash {
            command.env("CRASH_POINT", crash);
        }
        let child = command.spawn().expect("the binary starts");
        Process { child, name: name.to_owned(), log }
    }

    /// Starts an instance and waits until it counts what is committed.
    pub async fn start(&self, name: &str) -> Process {
        let process = self.spawn(name, None);
        self.ready(&process).await;
        process
    }

    /// Waits until an instance counts what is committed.
    pub async fn ready(&self, process: &Process) {
        let sql = "select exists (select from public.error_tracker_status \
                    where name = $1 and complete_through is not null)";
        eventually(&format!("{} is ready", process.name), async || {
            let ready: Result<bool, _> =
                sqlx::query_scalar(sql).bind(&process.name).fetch_one(&self.admin).await;
            ready.expect("the status").then_some(())
        })
        .await;
    }

    /// The instance whose lease has not ended, by name.
    pub async fn leader(&self) -> Option<String> {
        sqlx::query_scalar(
            "select s.name from error_tracking.leases l \
               join public.error_tracker_status s on s.instance_id = l.holder \
              where l.expires_at > clock_timestamp()",
        )
        .fetch_optional(&self.admin)
        .await
        .expect("the lease")
    }

    /// Waits until an instance other than `former` leads.
    pub async fn leader_after(&self, former: &str) -> String {
        eventually("another instance leads", async || {
            self.leader().await.filter(|leader| leader != former)
        })
        .await
    }

    /// Waits until the instance of this name, which leads, decides: it has counted everything that was
    /// committed before now, and so before it began to lead.
    pub async fn decides(&self, name: &str) {
        let now: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&self.admin)
            .await
            .expect("the time");
        let sql = "select exists (select from public.error_tracker_status \
                    where name = $1 and leader and complete_through >= $2)";
        eventually(&format!("{name} decides"), async || {
            let decides: Result<bool, _> =
                sqlx::query_scalar(sql).bind(name).bind(now).fetch_one(&self.admin).await;
            decides.expect("the status").then_some(())
        })
        .await;
    }

    /// Waits until `process` leads.
    pub async fn leads(&self, process: &Process) {
        eventually(&format!("{} leads", process.name), async || {
            (self.leader().await.as_deref() == Some(&*process.name)).then_some(())
        })
        .await;
    }

    /// A rule that fires at the third error of a group and tells a Slack channel and a webhook; its
    /// window is longer than any test, so that no incident ends by itself. Returns its id.
    pub async fn rule(&self) -> Uuid {
        let rule: Uuid = sqlx::query_scalar(
            "insert into public.alert_rules (name, warning, window_seconds, group_by) \
             values ('Too many errors', 3, 600, '{error_type}') returning rule_id",
        )
        .fetch_one(&self.admin)
        .await
        .expect("a rule");
        let key = || ChannelKey::from_base64(&CHANNEL_KEY.into()).expect("a key");
        for (kind, config, secret) in [
            ("slack", json!({}), self.slack.url("/services/T0/B0/x")),
            ("webhook", json!({"url": self.hook.url("/alerts")}), SIGNING_SECRET.to_owned()),
        ] {
            let channel: Uuid = sqlx::query_scalar(
                "insert into public.alert_channels (name, kind, config) values ($1, $1, $2) returning channel_id",
            )
            .bind(kind)
            .bind(config)
            .fetch_one(&self.admin)
            .await
            .expect("a channel");
            let secrets = Secrets::new(self.admin.clone(), key());
            secrets.set(channel, &secret.into()).await.expect("a secret");
            sqlx::query(
                "insert into public.alert_rule_channels (rule_id, channel_id) values ($1, $2)",
            )
            .bind(rule)
            .bind(channel)
            .execute(&self.admin)
            .await
            .expect("the rule's channel");
        }
        rule
    }

    /// Commits `count` errors of a type.
    pub async fn errors(&self, error_type: &str, count: i32) {
        self.errors_of(error_type, count, 0).await;
    }

    /// Commits `count` errors of a type that happened `age` seconds ago.
    pub async fn errors_of(&self, error_type: &str, count: i32, age: i32) {
        sqlx::query(
            "insert into public.error_metrics (\"timestamp\", source, error_type, severity, message) \
             select clock_timestamp() - $3 * interval '1 s', 'worker', $1, 'medium', 'it broke' \
               from generate_series(1, $2)",
        )
        .bind(error_type)
        .bind(count)
        .bind(age)
        .execute(&self.admin)
        .await
        .expect("errors");
    }

    /// Runs a statement that takes one id.
    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(&self.admin).await.expect(sql);
    }

    /// One number from the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.admin).await.expect(sql)
    }

    /// What the Slack channel and the webhook were told, in order.
    pub fn told(&self) -> [Vec<Told>; 2] {
        let slack = self.slack.requests().iter().flat_map(slack_told).collect();
        let hook = self.hook.requests().iter().map(hook_told).collect();
        [slack, hook]
    }

    /// Waits until both channels were told `what`, `count` times in all.
    pub async fn both_told(&self, what: &str, count: usize) {
        eventually(&format!("both channels are told {what} {count} times"), async || {
            let enough = |told: &Vec<Told>| told.iter().filter(|t| t.what == what).count() >= count;
            self.told().iter().all(enough).then_some(())
        })
        .await;
    }

    /// Waits until no message is unfinished.
    pub async fn confirmed(&self) {
        eventually("every message is sent and recorded", async || {
            let sql = "select count(*) from public.alert_notifications where state in ('waiting', 'sending')";
            (self.number(sql).await == 0).then_some(())
        })
        .await;
    }

    /// Waits until no message is unfinished and every number is in rollups and checkpoint.
    pub async fn settled(&self) {
        self.confirmed().await;
        eventually("everything is saved", async || {
            let sql = "select count(*) from error_tracking.checkpoint c, error_tracking.error_metrics_seq s \
                        where c.accounted = int8multirange(int8range(1, s.last_value + 1))";
            (self.number(sql).await == 1).then_some(())
        })
        .await;
    }
}

/// What one Slack message tells: of one incident, or of several groups of a rule at once.
fn slack_told(request: &HttpRequest) -> Vec<Told> {
    let text = request.json()["text"].as_str().unwrap_or_default().to_owned();
    let kinds = [("Resolved:", "resolved"), ("Now critical:", "escalated"), ("Warning:", "firing")];
    let what = kinds.iter().find(|(sign, _)| text.contains(sign)).map_or("?", |(_, kind)| kind);
    let body = request.text();
    let mut incidents: Vec<String> = Vec::new();
    for rest in body.split("/errors/incidents/").skip(1) {
        let incident: String = rest.chars().take(36).collect();
        if !incidents.contains(&incident) {
            incidents.push(incident);
        }
    }
    let told = |incident| Told { what: what.to_owned(), incident, at: request.received_at };
    incidents.into_iter().map(told).collect()
}

fn hook_told(request: &HttpRequest) -> Told {
    let json = request.json();
    let what = json["type"].as_str().unwrap_or_default().trim_start_matches("incident.").to_owned();
    let incident = json["data"]["incident"]["id"].as_str().unwrap_or_default().to_owned();
    Told { what, incident, at: request.received_at }
}

/// One instance; it is killed when it is dropped.
pub struct Process {
    child: Child,
    /// What `INSTANCE_NAME` says.
    pub name: String,
    log: PathBuf,
}

impl Process {
    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().expect("the process has not been waited for");
        let done = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .expect("a shell");
        assert!(done.success(), "kill -{name} {id}");
    }

    /// Waits until a signal or a stop point has stopped it.
    pub async fn stopped(&self) {
        let id = self.child.id().expect("the process has not been waited for").to_string();
        eventually(&format!("{} is stopped", self.name), async || {
            let output = Command::new("ps").args(["-o", "state=", "-p", &id]).output().await;
            output.expect("ps runs").stdout.starts_with(b"T").then_some(())
        })
        .await;
    }

    /// Waits until the process has ended; true where it ended well.
    pub async fn ended(&mut self) -> bool {
        let limit = Duration::from_secs(30);
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        status
            .unwrap_or_else(|_| panic!("{} has not ended", self.name))
            .expect("a status")
            .success()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_some()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged `text`.
    pub async fn logs(&self, text: &str) {
        eventually(&format!("{} logs {text:?}", self.name), async || {
            self.log().contains(text).then_some(())
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {} ({})\n{}", self.name, self.log.display(), self.log());
        }
    }
}
