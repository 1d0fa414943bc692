//! What stands in the tables of a test: projects, workflows, channels, rules, errors.

use meshhook_errors::{
    clock::Clock,
    model::{Severity, Source, Span, Timestamp},
    rest::NewErrorEvent,
    store::secrets::{ChannelKey, Secrets},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::stack::{CHANNEL_KEY, Stack};

/// Signs the messages of every webhook channel.
pub const SIGNING_SECRET: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0";

impl Stack {
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

    /// Runs of a workflow that start now.
    pub async fn runs(&self, project: Uuid, workflow: Uuid, count: i32) {
        sqlx::query(
            "insert into public.workflow_runs (project_id, workflow_id, status) \
             select $1, $2, 'running' from generate_series(1, $3)",
        )
        .bind(project)
        .bind(workflow)
        .bind(count)
        .execute(&self.admin)
        .await
        .expect("runs");
    }

    /// A new channel that leads to a sink: kind `slack`, `email` (to `NAME@example.com`) or
    /// `webhook`. Sinks tell channels apart by their path, which ends in the name.
    pub async fn channel(&self, name: &str, kind: &str) -> Uuid {
        let url = match kind {
            "webhook" => self.webhook.url(&format!("/{name}")),
            _ => self.slack.url(&format!("/services/{name}")),
        };
        self.channel_to(name, kind, &url).await
    }

    /// A new channel that leads to `url`.
    pub async fn channel_to(&self, name: &str, kind: &str, url: &str) -> Uuid {
        let config = match kind {
            "email" => json!({"to": [format!("{name}@example.com")]}),
            "webhook" => json!({"url": url}),
            _ => json!({}),
        };
        let id: Uuid = sqlx::query_scalar(
            "insert into public.alert_channels (name, kind, config) values ($1, $2, $3) \
             returning channel_id",
        )
        .bind(name)
        .bind(kind)
        .bind(config)
        .fetch_one(&self.admin)
        .await
        .expect("a channel");
        let secret = match kind {
            "slack" => url.to_owned(),
            "webhook" => SIGNING_SECRET.to_owned(),
            _ => return id,
        };
        let key = ChannelKey::from_base64(&CHANNEL_KEY.into()).expect("a key");
        Secrets::new(self.admin.clone(), key).set(id, &secret.into()).await.expect("a secret");
        id
    }

    /// A new channel of a Slack bot.
    pub async fn bot_channel(&self, name: &str, conversation: &str, token: &str) -> Uuid {
        let id: Uuid = sqlx::query_scalar(
            "insert into public.alert_channels (name, kind, config) values ($1, 'slack', $2) \
             returning channel_id",
        )
        .bind(name)
        .bind(json!({ "channel": conversation }))
        .fetch_one(&self.admin)
        .await
        .expect("a channel");
        let key = ChannelKey::from_base64(&CHANNEL_KEY.into()).expect("a key");
        Secrets::new(self.admin.clone(), key).set(id, &token.into()).await.expect("a secret");
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
             select {columns} from jsonb_populate_record(null::public.alert_rules, $1) \
             returning rule_id"
        );
        let mut transaction = self.admin.begin().await.expect("a transaction");
        let id: Uuid = sqlx::query_scalar(AssertSqlSafe(sql))
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

    /// One number from the database about the row with this id.
    pub async fn number_of(&self, sql: &'static str, id: Uuid) -> i64 {
        sqlx::query_scalar(sql).bind(id).fetch_one(&self.admin).await.expect("a number")
    }

    /// One text from the database about the row with this id; none where there is no row.
    pub async fn text_of(&self, sql: &'static str, id: Uuid) -> Option<String> {
        sqlx::query_scalar(sql).bind(id).fetch_optional(&self.admin).await.expect("a text")
    }

    /// Changes something, as the owner.
    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(&self.admin).await.expect(sql);
    }

    /// Changes the schema, as the owner.
    pub async fn alter(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.admin).await.expect(sql);
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

/// `count` events of one type that happened `age` seconds ago. With a window of a minute they leave
/// it soon, and nobody waits a minute for the end of an incident.
pub fn burst(count: usize, error_type: &str, age: i64) -> Vec<NewErrorEvent> {
    let then = Clock::system().now() - Span::from_secs(age);
    (0..count).map(|_| at(event(None, error_type, "it failed"), then)).collect()
}
