//! A leader that is stopped as a whole, as when its machine is suspended, and goes on after another
//! has taken over: wherever it was stopped, it writes nothing and sends nothing any more.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::support::{
    eventually,
    fleet::Fleet,
    stalls::{net, net_since},
};

/// Where the leader is stopped; none for a moment in which it does nothing special.
const STOPS: [Option<&str>; 8] = [
    None,
    Some("lease-renewed:stop"),
    Some("decided:stop"),
    Some("committing:stop"),
    Some("committed:stop"),
    Some("claimed:stop"),
    Some("sent:stop"),
    Some("rolling-up:stop"),
];

const TAKEOVER: Duration = Duration::from_secs(8);
/// How long the leader is stopped.
const STOPPED: Duration = Duration::from_secs(30);
/// What had been sent when the stop came may take this long to be received.
const FEW: Duration = Duration::from_millis(300);
/// Scenarios that do something at the same time; those whose leader sleeps do nothing.
static SEATS: Semaphore = Semaphore::const_new(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_does_nothing_after_another_has_begun() {
    let mut running = JoinSet::new();
    for stop in STOPS {
        running.spawn(run(stop));
    }
    while let Some(done) = running.join_next().await {
        done.expect("the scenario holds");
    }
}

async fn run(stop: Option<&'static str>) {
    let seat = SEATS.acquire().await.expect("seats are never closed");
    let fleet = Fleet::new().await;
    fleet.rule().await;
    let audit = include_str!("audit.sql");
    sqlx::raw_sql(audit).execute(&fleet.admin).await.expect("the audit");

    let zombie = fleet.spawn("zombie", stop);
    fleet.leads(&zombie).await;
    let _second = fleet.spawn("second", None);
    fleet.errors("system.first", 3).await;
    if stop.is_some() {
        zombie.logs("stop point").await;
    } else {
        fleet.both_told("firing", 1).await;
        zombie.signal("STOP");
    }
    zombie.stopped().await;
    let stopped = Instant::now();
    fleet.errors("system.second", 3).await;
    fleet.leader_after("zombie").await;
    let took = net_since(stopped);
    eprintln!("stopped at {stop:?}: another led after {took:?}");
    assert!(took <= TAKEOVER, "{stop:?}: {took:?}");
    fleet.both_told("firing", 2).await;
    drop(seat);
    sleep_until(stopped + STOPPED).await;

    let _seat = SEATS.acquire().await.expect("seats are never closed");
    let goes_on = Instant::now();
    zombie.signal("CONT");
    let resumed: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&fleet.admin).await.expect("now");
    fleet.errors("system.third", 3).await;
    fleet.both_told("firing", 3).await;
    eventually("the former leader has understood", async || {
        let sql = "select exists (select from public.error_tracker_status \
                    where name = 'zombie' and not leader and heartbeat_at > $1)";
        let seen: Result<bool, _> =
            sqlx::query_scalar(sql).bind(resumed).fetch_one(&fleet.admin).await;
        seen.expect("the status").then_some(())
    })
    .await;
    if stop == Some("decided:stop") {
        zombie.logs("another instance leads; decisions were not stored").await;
    }
    fleet.settled().await;

    let late: Vec<String> = sqlx::query_scalar(
        "select what from public.audit where who like '%zombie' \
            and number > (select min(number) from public.audit where who like '%second')",
    )
    .fetch_all(&fleet.admin)
    .await
    .expect("the audit");
    assert!(late.is_empty(), "{stop:?}: the former leader wrote {late:?}");
    let known = fleet.number("select count(distinct who) from public.audit where who like 'mesh%'");
    assert_eq!(known.await, 2, "{stop:?}: the audit knows both");

    let incidents = "select count(*) from public.alert_incidents where rule_id is not null";
    assert_eq!(fleet.number(incidents).await, 3, "{stop:?}");
    for told in fleet.told() {
        let mut times: BTreeMap<&str, Vec<Instant>> = BTreeMap::new();
        for told in &told {
            times.entry(&told.incident).or_default().push(told.at);
        }
        assert_eq!(times.len(), 3, "{stop:?}: {told:?}");
        for times in times.values() {
            // What had been sent and could not be confirmed comes again, from the new leader, and
            // not from the former one when it goes on.
            let again =
                times.get(1).is_none_or(|again| net(stopped, times[0]) < FEW && *again < goes_on);
            assert!(times.len() <= 2 && again, "{stop:?}: {told:?} {stopped:?} {goes_on:?}");
        }
    }
    for differing in [
        include_str!("../feed/minutes_differ.sql"),
        include_str!("../feed/hours_differ.sql"),
        include_str!("../feed/groups_differ.sql"),
    ] {
        assert_eq!(fleet.number(differing).await, 0, "{stop:?}: rollups are exact");
    }
}
