//! What people do to incidents, and who is told then: silences, quiet hours, inhibition, acknowledgement, groups.
//! No product code is called here but the daemon as it runs; everything else goes through the REST API.
//! Errors come in through the REST API, and the receivers and the time line tell what came of them.

mod channels;
mod links;
mod quiet;
mod responders;
mod silences;
mod slack;

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{
    eventually,
    letters::headline,
    stack::{Instance, Stack, burst},
    stalls::net_since,
};

/// What people do must take effect within this time.
const EFFECT: Duration = Duration::from_secs(2);

/// A deployment with a project, its people, a Slack channel and a daemon.
struct Scene {
    stack: Stack,
    project: Uuid,
    channel: Uuid,
    responder: Uuid,
    viewer: Uuid,
    admin: Uuid,
    instance: Instance,
}

impl Scene {
    async fn new() -> Self {
        Self::with([]).await
    }

    /// The same with these variables for the daemon.
    async fn with<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let stack = Stack::start().await;
        let project = stack.project("Acme").await;
        let channel = stack.channel("ops", "slack").await;
        let mut people = Vec::new();
        for role in ["viewer", "responder", "admin"] {
            let user = Uuid::new_v4();
            sqlx::query(
                "insert into public.error_access (project_id, user_id, role) values ($1, $2, $3)",
            )
            .bind(project)
            .bind(user)
            .bind(role)
            .execute(&stack.admin)
            .await
            .expect("a person");
            people.push(user);
        }
        let instance = stack.daemon_with(variables).await;
        let [viewer, responder, admin] = people[..] else { unreachable!("three people") };
        Self { stack, project, channel, responder, viewer, admin, instance }
    }

    /// A rule of the project that fires at three errors of this class and tells the channel.
    async fn rule(&self, name: &str, class: &str, mut more: Value) -> Uuid {
        more["project_id"] = self.project.to_string().into();
        more["error_types"] = serde_json::json!([class]);
        if more.get("warning").is_none() {
            more["warning"] = 3.into();
        }
        self.stack.rule(name, more, &[self.channel]).await
    }

    async fn errors(&self, count: usize, class: &str) {
        let reporter = self.stack.reporter(Some(self.project));
        reporter.insert_errors(&burst(count, class, 0)).await.expect("errors");
    }

    /// The rule's latest incident, once it fires.
    async fn firing(&self, rule: Uuid) -> Uuid {
        let sql = "select incident_id::text from public.alert_incidents \
                    where rule_id = $1 and state = 'firing'";
        let id = eventually("the incident fires", || self.stack.text_of(sql, rule)).await;
        id.parse().expect("an id")
    }

    /// The incident's time line: kinds with their notes.
    async fn time_line(&self, incident: Uuid) -> Vec<(String, String)> {
        sqlx::query_as(
            "select kind, coalesce(note, '') from public.alert_incident_events \
              where incident_id = $1 order by event_id",
        )
        .bind(incident)
        .fetch_all(&self.stack.admin)
        .await
        .expect("the time line")
    }

    async fn kinds(&self, incident: Uuid) -> Vec<String> {
        self.time_line(incident).await.into_iter().map(|(kind, _)| kind).collect()
    }

    /// Headlines of what Slack was told so far.
    fn heard(&self) -> Vec<String> {
        let until = |text: String| text.split(" – ").next().unwrap_or_default().to_owned();
        self.stack.slack.requests().iter().map(|request| until(headline(request))).collect()
    }

    /// Waits until Slack was told something with these words, and returns how long it took, less what
    /// the machine took of it.
    async fn hears(&self, words: &str) -> Duration {
        let began = Instant::now();
        eventually(&format!("Slack hears {words:?}"), || async {
            self.heard().iter().any(|text| text.contains(words)).then_some(())
        })
        .await;
        net_since(began)
    }

    /// Calls a function as somebody, who is allowed to.
    async fn call(&self, user: Uuid, function: &str, body: Value) -> String {
        let path = format!("rpc/{function}");
        let (status, text) = self.stack.post_as(user, &path, &body).await;
        assert!((200..300).contains(&status), "{function} {body}: {status} {text}");
        text
    }

    /// Calls a function as somebody, who is refused with this status and these words.
    async fn refused(&self, user: Uuid, function: &str, body: Value, status: u16, words: &str) {
        let path = format!("rpc/{function}");
        let (got, text) = self.stack.post_as(user, &path, &body).await;
        assert!(got == status && text.contains(words), "{function} {body}: {got} {text}");
    }
}

/// How many messages there are in all.
const MESSAGES: &str = "select count(*) from public.alert_notifications";
/// How many messages are held back.
const HELD: &str = "select count(*) from public.alert_held_back";
