//! What went in against what came out.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{THRESHOLD, writers::Burst};
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
    /// Rows that the rollups have too many, bucket by bucket.
    pub doubled: i64,
    /// Groups of errors that reached the threshold.
    pub incidents_expected: i64,
    /// Incidents.
    pub incidents_seen: i64,
    /// Messages that should have reached a channel and did not.
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

/// Waits until every number is accounted for and no message is unfinished, for `limit` at most: what
/// is unfinished then counts as missed or lost.
pub async fn come_to_rest(stack: &Stack, limit: Duration) {
    let deadline = Instant::now() + limit;
    let open = "select (select count(*) from public.alert_notifications where state in ('waiting', 'sending'))
       + (select count(*) from error_tracking.checkpoint c, error_tracking.error_metrics_seq s
           where c.accounted <> int8multirange(int8range(1, s.last_value + 1)))";
    while stack.number(open).await > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
    }
}

/// Compares.
pub async fn draw_up(stack: &Stack, bursts: &[Burst], fences: i64, faults: u64) -> Balance {
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
    let expected: i64 = sqlx::query_scalar(
        "select count(*) from (
           select error_type from public.error_metrics where error_type like 'system.%'
            group by error_type having count(*) >= $1) reached",
    )
    .bind(i64::try_from(THRESHOLD).expect("small"))
    .fetch_one(&stack.admin)
    .await
    .expect("the groups");
    // Each incident has a message for both channels, and the receiver said that it has it.
    let lost = "select count(*) from public.alert_incidents i, public.alert_channels c
       where i.rule_id is not null and not exists (
         select from public.alert_notifications n
          where n.incident_id = i.incident_id and n.channel_id = c.channel_id
            and n.transition = 'firing' and n.state = 'sent')";
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
        doubled,
        incidents_expected: expected,
        incidents_seen: stack
            .number("select count(*) from public.alert_incidents where rule_id is not null")
            .await,
        notifications_lost: lost.max(i64::try_from(unheard).unwrap_or(i64::MAX)),
        max_detection_ms: late.max().unwrap_or_default().as_millis(),
        takeovers: fence(stack).await - fences,
        faults,
    }
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
