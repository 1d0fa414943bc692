//! A leader that dies at each of the points between deciding and confirming, while it rolls up, and
//! while it takes or renews the lease: whether it is restarted or replaced, nobody notices more than
//! a message that comes twice because its confirmation was lost.

mod seldom;

use std::{collections::HashMap, sync::Arc};

use meshhook_errors::crash::Point;
use tokio::{sync::Semaphore, task::JoinSet};
use uuid::Uuid;

use crate::support::{
    eventually,
    fleet::{Fleet, Process, Told},
};

/// Scenarios that run at once; each is a database and two processes that mostly wait.
const AT_ONCE: usize = 8;

#[derive(Clone, Debug)]
struct Scenario {
    crash: String,
    next: Next,
}

/// Who goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A standby takes over.
    Standby,
    /// The process is started again at once, while its former lease lasts.
    AtOnce,
    /// It is started again when the lease is over, and leads from its beginning.
    Later,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_point_costs_nothing_and_doubles_nothing() {
    let mut scenarios = Vec::new();
    for next in [Next::Standby, Next::AtOnce] {
        for point in Point::ALL.into_iter().filter(|point| !seldom::POINTS.contains(point)) {
            scenarios.push(Scenario { crash: point.as_str().to_owned(), next });
        }
        // The same for the end of the incident: its decision is the second one, and its messages
        // are the third and the fourth.
        for (point, time) in [
            (Point::Decided, 2),
            (Point::Committing, 2),
            (Point::Committed, 2),
            (Point::Claimed, 3),
            (Point::Sent, 3),
            (Point::Confirmed, 3),
            (Point::RolledUp, 2),
        ] {
            scenarios.push(Scenario { crash: format!("{}:{time}", point.as_str()), next });
        }
    }
    for crash in ["decided", "decided:2", "committed", "committed:2", "rolled-up"] {
        scenarios.push(Scenario { crash: crash.to_owned(), next: Next::Later });
    }
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let count = scenarios.len();
    for scenario in scenarios {
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire_owned().await.expect("not closed");
            run(&scenario).await
        });
    }
    let mut doubled = 0;
    while let Some(done) = running.join_next().await {
        doubled += done.expect("the scenario holds");
    }
    eprintln!("{count} kills; {doubled} messages came twice, all of them sent but not confirmed");
}

/// Runs one scenario; returns how many messages came twice.
async fn run(scenario: &Scenario) -> usize {
    let fleet = Fleet::new().await;
    let rule = fleet.rule().await;
    let mut first = fleet.spawn("first", Some(&scenario.crash));
    let mut others = Vec::new();
    if scenario.crash == Point::LeaseTaken.as_str() {
        // A standby would take the lease instead of it.
        assert!(!first.ended().await, "{scenario:?}: the process was to die");
    } else {
        fleet.leads(&first).await;
    }
    if scenario.next == Next::Standby {
        others.push(fleet.spawn("second", None));
    }
    fleet.errors("system.down", 5).await;
    // It dies on the way to the first message, or after that.
    eventually("it dies, or everybody is told", || {
        let told = fleet.told().iter().all(|told| !told.is_empty());
        let over = told || first.has_ended();
        async move { over.then_some(()) }
    })
    .await;
    survive(&fleet, scenario, &mut first, &mut others, false).await;
    fleet.both_told("firing", 1).await;
    fleet.errors("system.down", 2).await;
    let end = "update public.alert_rules set enabled = false where rule_id = $1";
    fleet.execute(end, rule).await;
    eventually("it dies, or everybody is told of the end", || {
        let told = |told: &Vec<Told>| told.iter().any(|told| told.what == "resolved");
        let over = fleet.told().iter().all(told) || first.has_ended();
        async move { over.then_some(()) }
    })
    .await;
    survive(&fleet, scenario, &mut first, &mut others, true).await;
    fleet.both_told("resolved", 1).await;
    fleet.settled().await;
    check(&fleet, scenario).await
}

/// Where the process has died it is started again, unless there is a standby.
async fn survive(
    fleet: &Fleet,
    scenario: &Scenario,
    first: &mut Process,
    others: &mut Vec<Process>,
    last_chance: bool,
) {
    if last_chance {
        // A rollup comes at the latest a second after the rows.
        assert!(!first.ended().await, "{scenario:?}: the process was to die");
    }
    if first.has_ended() && others.is_empty() {
        if scenario.next == Next::Later {
            eventually("the lease is over", async || fleet.leader().await.is_none().then_some(()))
                .await;
        }
        others.push(fleet.spawn("second", None));
    }
}

/// One incident, each channel told once of beginning and end, in this order; twice only where the
/// confirmation was lost.
async fn check(fleet: &Fleet, scenario: &Scenario) -> usize {
    let incidents: Vec<(Uuid, String)> = sqlx::query_as(
        "select incident_id, state from public.alert_incidents where rule_id is not null",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("incidents");
    assert_eq!(incidents.len(), 1, "{scenario:?}: one incident");
    assert_eq!(incidents[0].1, "resolved", "{scenario:?}");
    let incident = incidents[0].0.to_string();
    let events: Vec<String> = sqlx::query_scalar(
        "select e.kind from public.alert_incident_events e \
           join public.alert_incidents i using (incident_id) where i.rule_id is not null \
          order by e.event_id",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("the time line");
    assert_eq!(events, ["firing", "resolved"], "{scenario:?}");

    let rows: Vec<(String, String, String, i32, i32)> = sqlx::query_as(
        "select c.kind, n.transition, n.state, n.attempts, jsonb_array_length(n.attempt_log) \
           from public.alert_notifications n join public.alert_channels c using (channel_id)",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("messages");
    assert_eq!(rows.len(), 4, "{scenario:?}: {rows:?}");
    let mut doubled = 0;
    for (kind, told) in ["slack", "webhook"].into_iter().zip(fleet.told()) {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for told in &told {
            assert_eq!(told.incident, incident, "{scenario:?}: {kind}");
            *counts.entry(&told.what).or_default() += 1;
        }
        for what in ["firing", "resolved"] {
            let row = rows.iter().find(|row| row.0 == kind && row.1 == what).expect("a message");
            let (state, attempts, confirmed) = (&row.2, row.3, row.4);
            let count = counts.remove(what).unwrap_or(0);
            let context = format!("{scenario:?}: {kind} {what}: {count} came, {row:?}");
            assert_eq!((&**state, confirmed), ("sent", 1), "{context}");
            assert!((1..=2).contains(&attempts), "{context}");
            assert!(count >= 1 && count <= usize::try_from(attempts).expect("few"), "{context}");
            doubled += count - 1;
        }
        assert!(counts.is_empty(), "{scenario:?}: {kind} was told {counts:?}");
        let end = told.iter().position(|told| told.what == "resolved").expect("the end");
        assert!(
            told[end..].iter().all(|told| told.what == "resolved"),
            "{scenario:?}: {kind}: {told:?}"
        );
    }
    // Only a message whose answer was there and not recorded can come twice.
    let before_sending = ["decided", "committing", "committed", "claimed", "lease-taken"];
    if before_sending.iter().any(|point| scenario.crash == *point) {
        assert_eq!(doubled, 0, "{scenario:?}");
    }
    for differing in [
        include_str!("feed/minutes_differ.sql"),
        include_str!("feed/hours_differ.sql"),
        include_str!("feed/groups_differ.sql"),
    ] {
        assert_eq!(fleet.number(differing).await, 0, "{scenario:?}: rollups are exact");
    }
    assert_eq!(fleet.number("select count(*) from public.error_metrics").await, 7);
    doubled
}
