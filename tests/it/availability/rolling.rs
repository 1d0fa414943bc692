//! Every instance is restarted, one after the other, while errors flow.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::support::{eventually, fleet::Fleet, stalls::net};

/// Between two bursts, each of which is an incident of its own.
const PACE: Duration = Duration::from_millis(150);
/// Bursts that nobody was told of yet, at most: a machine that does other things meanwhile tells them
/// one by one more slowly than they come.
const UNTOLD: usize = 20;
/// No alert may be later than that.
const GAP: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_and_delays_nothing() {
    let fleet = Arc::new(Fleet::new().await);
    fleet.rule().await;
    let mut running = Vec::new();
    for name in ["a1", "b1", "c1"] {
        running.push(fleet.start(name).await);
    }
    let over = Arc::new(AtomicBool::new(false));
    let bursts = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn({
        let (fleet, over, bursts) = (Arc::clone(&fleet), Arc::clone(&over), Arc::clone(&bursts));
        async move {
            let mut committed = Vec::new();
            while !over.load(Ordering::Acquire) {
                if committed.len() >= fleet.hook.requests().len() + UNTOLD {
                    sleep(PACE).await;
                    continue;
                }
                let name = format!("execution.n{}", committed.len());
                fleet.errors(&name, 3).await;
                committed.push((name, Instant::now()));
                bursts.store(committed.len(), Ordering::Release);
                sleep(PACE).await;
            }
            committed
        }
    });
    for name in ["a2", "b2", "c2"] {
        let mut old = running.remove(0);
        old.signal("TERM");
        assert!(old.ended().await, "{} ends well", old.name);
        running.push(fleet.start(name).await);
        let so_far = bursts.load(Ordering::Acquire);
        eventually("some more bursts", async || {
            (bursts.load(Ordering::Acquire) >= so_far + 10).then_some(())
        })
        .await;
    }
    over.store(true, Ordering::Release);
    let committed = load.await.expect("the load");
    eventually("every burst is told", async || {
        (fleet.hook.requests().len() >= committed.len()).then_some(())
    })
    .await;
    fleet.settled().await;

    let mut told: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for request in fleet.hook.requests() {
        let json = request.json();
        assert_eq!(json["type"], "incident.firing");
        let group = json["data"]["incident"]["group"][0]["value"].as_str().unwrap_or_default();
        told.entry(group.to_owned()).or_default().push(request.received_at);
    }
    let mut slowest = Duration::ZERO;
    for (name, at) in &committed {
        let times = &told[name];
        assert_eq!(times.len(), 1, "{name} is told once");
        slowest = slowest.max(net(*at, times[0]));
    }
    let bursts = committed.len();
    let slack = fleet.slack.requests();
    eprintln!(
        "{bursts} incidents during three restarts, the slowest told after {slowest:?}; {} Slack messages",
        slack.len()
    );
    assert!(slowest <= GAP, "{slowest:?}");
    assert_eq!(told.len(), bursts);
    // Slack is told of all of them too, at its own pace.
    let sent =
        "select count(*) from public.alert_notifications where state = 'sent' and attempts = 1";
    assert_eq!(fleet.number(sent).await, 2 * i64::try_from(bursts).expect("few"));
    assert!(slack.len() < bursts, "what had to wait was merged");
    for differing in [
        include_str!("../feed/minutes_differ.sql"),
        include_str!("../feed/hours_differ.sql"),
        include_str!("../feed/groups_differ.sql"),
    ] {
        assert_eq!(fleet.number(differing).await, 0, "rollups are exact");
    }
}
