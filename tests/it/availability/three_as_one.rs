//! Three instances, one of which is stopped and one killed on the way, decide and tell what a single
//! one does over the same script, and what the batch evaluation decides over the final table.

use std::collections::BTreeMap;

use meshhook_errors::{
    engine::batch,
    model::{ErrorEvent, Filter, GroupField, GroupKey, Metric, NoData, Rule, Span, Timestamp},
};
use sqlx::Row as _;
use uuid::Uuid;

use crate::support::{
    eventually,
    fleet::{Fleet, Process},
};

/// What happened in a group: kind, level and value of each entry of the time line.
type Histories = BTreeMap<String, Vec<(String, String, f64)>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_do_what_one_does_and_what_the_table_says() {
    let (one, three) = tokio::join!(play(1), play(3));
    assert_eq!(one, three, "the same decisions and messages");
    let kinds = |group: &str| -> Vec<&str> {
        one.0[group].iter().map(|(kind, ..)| kind.as_str()).collect()
    };
    assert_eq!(kinds("system.stays"), ["firing", "escalated"]);
    assert_eq!(kinds("system.passes"), ["firing", "resolved"]);
}

/// Plays the script with so many instances; returns the decisions, and what the webhook was told.
async fn play(instances: usize) -> (Histories, BTreeMap<String, Vec<String>>) {
    let fleet = Fleet::new().await;
    let rule = fleet.rule().await;
    fleet
        .execute(
            "update public.alert_rules set critical = 6, window_seconds = 300 where rule_id = $1",
            rule,
        )
        .await;
    let mut running = Vec::new();
    for number in 0..instances {
        running.push(fleet.start(&format!("instance {number}")).await);
    }
    fleet.errors("system.stays", 4).await;
    fleet.both_told("firing", 1).await;
    end_of_the_leader(&fleet, &mut running, "TERM").await;
    // They leave the window soon, and what stays is in it for longer than the script takes.
    fleet.errors_of("system.passes", 3, 285).await;
    fleet.both_told("firing", 2).await;
    end_of_the_leader(&fleet, &mut running, "KILL").await;
    fleet.errors("system.quiet", 2).await;
    fleet.errors("system.stays", 3).await;
    fleet.both_told("escalated", 1).await;
    fleet.both_told("resolved", 1).await;
    fleet.settled().await;

    let written = written(&fleet).await;
    assert_eq!(written, evaluated(&fleet, rule).await, "{instances} instances: as the table says");
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in fleet.hook.requests() {
        let json = request.json();
        let group = json["data"]["incident"]["group"][0]["value"].as_str().unwrap_or_default();
        let kind = json["type"].as_str().unwrap_or_default();
        told.entry(group.to_owned()).or_default().push(kind.to_owned());
    }
    (written, told)
}

/// Ends the instance that leads, if there is another, and waits until that one leads.
async fn end_of_the_leader(fleet: &Fleet, running: &mut Vec<Process>, signal: &str) {
    if running.len() == 1 {
        return;
    }
    let leader = eventually("somebody leads", async || fleet.leader().await).await;
    let at = running.iter().position(|process| process.name == leader).expect("a process");
    let mut leader = running.swap_remove(at);
    if signal == "KILL" {
        // What was sent and not confirmed would come again, and be no difference of decisions.
        fleet.confirmed().await;
    }
    leader.signal(signal);
    let next = fleet.leader_after(&leader.name).await;
    leader.ended().await;
    // Whoever takes over decides once it has counted what was committed before, all of it at one
    // instant: an error that came in between would be part of that one value.
    fleet.decides(&next).await;
}

async fn written(fleet: &Fleet) -> Histories {
    let rows: Vec<(String, String, String, f64)> = sqlx::query_as(
        "select i.group_key, e.kind, e.level, e.value from public.alert_incident_events e \
           join public.alert_incidents i using (incident_id) where i.rule_id is not null \
          order by e.event_id",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("the time line");
    let mut histories = Histories::new();
    for (key, kind, level, value) in rows {
        let key: GroupKey = key.parse().expect("a group key");
        histories.entry(group(&key)).or_default().push((kind, level, value));
    }
    histories
}

/// What the engine decides in one go over the table as it stands.
async fn evaluated(fleet: &Fleet, rule_id: Uuid) -> Histories {
    let rule = Rule {
        id: rule_id,
        project_id: None,
        name: "Too many errors".to_owned(),
        metric: Metric::Count,
        filter: Filter::default(),
        group_by: vec![GroupField::ErrorType],
        window: Span::from_secs(300),
        warning: Some(3.0),
        critical: Some(6.0),
        resolve: None,
        pending: Span::ZERO,
        keep_firing: Span::ZERO,
        reminder: Span::ZERO,
        no_data: NoData::Keep,
        flap: None,
    };
    let rows = sqlx::query(
        "select seq, error_id, \"timestamp\", received_at, error_type, fingerprint \
           from public.error_metrics order by seq",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("the table");
    let time = |at: chrono::DateTime<chrono::Utc>| Timestamp::from(at);
    let events: Vec<ErrorEvent> = rows
        .iter()
        .map(|row| ErrorEvent {
            seq: row.get("seq"),
            error_id: row.get("error_id"),
            timestamp: time(row.get("timestamp")),
            received_at: time(row.get("received_at")),
            source: meshhook_errors::model::Source::Worker,
            error_type: row.get::<&str, _>("error_type").into(),
            severity: meshhook_errors::model::Severity::Medium,
            project_id: None,
            workflow_id: None,
            fingerprint: row.get("fingerprint"),
            message: "".into(),
        })
        .collect();
    let until: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(
        "select max(e.at) from public.alert_incident_events e \
           join public.alert_incidents i using (incident_id) where i.rule_id is not null",
    )
    .fetch_one(&fleet.admin)
    .await
    .expect("the last decision");
    let mut histories = Histories::new();
    for told in batch::evaluate(vec![rule], &events, &[], Timestamp::from(until)) {
        let entry = (told.kind.to_string(), told.level.to_string(), told.value);
        histories.entry(group(&told.group_key)).or_default().push(entry);
    }
    histories
}

fn group(key: &GroupKey) -> String {
    key.get(GroupField::ErrorType).unwrap_or_default().to_owned()
}
