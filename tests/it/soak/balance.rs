//! What went in against what came out.

use std::{collections::HashMap, time::Duration};

use meshhook_errors::{
    engine::batch,
    model::{ErrorEvent, Rule, Severity, Source, Timestamp, TransitionKind},
};
use serde::Serialize;
use sqlx::Row as _;
use tokio::time::{Instant, sleep};

use super::writers::Burst;
use crate::support::stack::Stack;

/// The outcome of a campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// Rows in the table.
    pub rows_committed: i64,
    /// Rows in the rollups.
    pub rows_counted: i64,
    /// Rows that the rollups lack, bucket by bucket.
    pub missed: i64,
    /// Rows that the rollups have too many, bucket by bucket, and messages that the webhook got more
    /// often than they were sent for want of a confirmation.
    pub doubled: i64,
    /// Incidents that the evaluation of the final table in one go gives, as a back-test does.
    pub incidents_expected: i64,
    /// Incidents.
    pub incidents_seen: i64,
    /// Messages of beginnings and ends that should have reached a channel and did not.
    pub notifications_lost: i64,
    /// The longest time from a commit to the webhook's request.
    pub max_detection_ms: u128,
    /// How often another tenure began.
    pub takeovers: i64,
    /// How often something went wrong.
    pub faults: u64,
}

impl Balance {
    /// Whether all promises were kept.
    pub const fn holds(&self) -> bool {
        self.missed == 0
            && self.doubled == 0
            && self.notifications_lost == 0
            && self.incidents_expected == self.incidents_seen
            && self.rows_committed == self.rows_counted
    }
}

/// The number of the present tenure.
pub async fn fence(stack: &Stack) -> i64 {
    stack.number("select fence from error_tracking.leases where name = 'leader'").await
}

/// Waits until every number is accounted for, no message is unfinished and no incident of a disabled
/// rule is open, for `limit` at most: what is unfinished then counts as missed or lost.
pub async fn come_to_rest(stack: &Stack, limit: Duration) {
    let deadline = Instant::now() + limit;
    let open = "select (select count(*) from public.alert_notifications where state in ('waiting', 'sending'))
       + (select count(*) from error_tracking.checkpoint c, error_tracking.error_metrics_seq s
           where c.accounted <> int8multirange(int8range(1, s.last_value + 1)))
       + (select count(*) from public.alert_incidents i join public.alert_rules r using (rule_id)
           where i.state <> 'resolved' and not r.enabled)";
    while stack.number(open).await > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
    }
}

/// Compares.
pub async fn draw_up(
    stack: &Stack,
    rules: Vec<Rule>,
    bursts: &[Burst],
    fences: i64,
    faults: u64,
) -> Balance {
    let differences = "with counted as (
         select bucket, error_type, sum(count)::bigint as n from public.error_rate_minutes group by 1, 2
       ), committed as (
         select date_trunc('minute', \"timestamp\", 'UTC') as bucket, error_type, count(*) as n
           from public.error_metrics group by 1, 2
       )
       select coalesce(sum(greatest(coalesce(k.n, 0) - coalesce(c.n, 0), 0)), 0)::bigint,
              coalesce(sum(greatest(coalesce(c.n, 0) - coalesce(k.n, 0), 0)), 0)::bigint
         from committed k full join counted c using (bucket, error_type)";
    let (missed, doubled): (i64, i64) =
        sqlx::query_as(differences).fetch_one(&stack.admin).await.expect("the differences");
    // Each incident has a beginning and an end for each channel, and the receiver said that it has them.
    let lost = "select count(*) from public.alert_incidents i, public.alert_channels c,
         (values ('firing'), ('resolved')) as told (transition)
       where i.rule_id is not null and not exists (
         select from public.alert_notifications n
          where n.incident_id = i.incident_id and n.channel_id = c.channel_id
            and n.transition = told.transition and n.state = 'sent')";
    let unfinished = "select count(*) from public.alert_notifications where state <> 'sent'";
    let lost = stack.number(lost).await.max(stack.number(unfinished).await);
    let told = told_by_webhook(stack);
    let unheard = bursts.iter().filter(|burst| !told.contains_key(&burst.error_type)).count();
    let late = bursts.iter().filter_map(|burst| {
        Some(told.get(&burst.error_type)?.saturating_duration_since(burst.committed))
    });
    Balance {
        rows_committed: stack.number("select count(*) from public.error_metrics").await,
        rows_counted: stack
            .number("select coalesce(sum(count), 0)::bigint from public.error_rate_minutes")
            .await,
        missed,
        doubled: doubled + repeated(stack).await,
        incidents_expected: expected(stack, rules).await,
        incidents_seen: stack
            .number("select count(*) from public.alert_incidents where rule_id is not null")
            .await,
        notifications_lost: lost.max(i64::try_from(unheard).unwrap_or(i64::MAX)),
        max_detection_ms: late.max().unwrap_or_default().as_millis(),
        takeovers: fence(stack).await - fences,
        faults,
    }
}

/// How many incidents begin where `rules` are evaluated over the table in one go.
async fn expected(stack: &Stack, rules: Vec<Rule>) -> i64 {
    let rows = sqlx::query(
        "select seq, error_id, \"timestamp\", received_at, error_type, fingerprint, clock_timestamp() as now
           from public.error_metrics order by received_at, seq",
    )
    .fetch_all(&stack.admin)
    .await
    .expect("the table");
    let time = |row: &sqlx::postgres::PgRow, column: &str| {
        Timestamp::from(row.get::<chrono::DateTime<chrono::Utc>, _>(column))
    };
    let event = |row: &sqlx::postgres::PgRow| ErrorEvent {
        seq: row.get("seq"),
        error_id: row.get("error_id"),
        timestamp: time(row, "timestamp"),
        received_at: time(row, "received_at"),
        source: Source::Worker,
        error_type: row.get::<&str, _>("error_type").into(),
        severity: Severity::Medium,
        project_id: None,
        workflow_id: None,
        fingerprint: row.get("fingerprint"),
        message: "".into(),
    };
    let events: Vec<ErrorEvent> = rows.iter().map(event).collect();
    let until = rows.last().map(|row| time(row, "now")).unwrap_or_default();
    let told = batch::evaluate(rules, &events, &[], until);
    let begun = told.iter().filter(|told| told.kind == TransitionKind::Firing).count();
    i64::try_from(begun).expect("few")
}

/// How often the webhook got a message beyond the attempts to send it.
async fn repeated(stack: &Stack) -> i64 {
    let mut got: HashMap<(String, String), i64> = HashMap::new();
    for request in stack.webhook.requests() {
        let json = request.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        if let Some(kind) = text(&json["type"]).strip_prefix("incident.") {
            let incident = text(&json["data"]["incident"]["id"]);
            *got.entry((incident, kind.to_owned())).or_default() += 1;
        }
    }
    let attempts: Vec<(String, String, i64)> = sqlx::query_as(
        "select n.incident_id::text, n.transition, n.attempts::bigint from public.alert_notifications n
           join public.alert_channels c using (channel_id) where c.kind = 'webhook'",
    )
    .fetch_all(&stack.admin)
    .await
    .expect("the outbox");
    for (incident, kind, attempts) in attempts {
        *got.entry((incident, kind)).or_default() -= attempts;
    }
    got.values().copied().filter(|more| *more > 0).sum()
}

/// When the webhook was first told of each error type.
fn told_by_webhook(stack: &Stack) -> HashMap<String, Instant> {
    let mut told = HashMap::new();
    for request in stack.webhook.requests() {
        let json = request.json();
        if json["type"] == "incident.firing"
            && let Some(error_type) = json["data"]["incident"]["group"][0]["value"].as_str()
        {
            told.entry(error_type.to_owned()).or_insert(request.received_at);
        }
    }
    told
}
