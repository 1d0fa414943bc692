//! How fast a standby takes over, and that what was committed meanwhile is told once.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    eventually,
    fleet::Fleet,
    stack::Stack,
    stalls::{net, net_since},
};

/// The promise after a kill: a lease lasts 6 s, and others try four times a second.
const AFTER_A_KILL: Duration = Duration::from_secs(8);
/// The promise after a clean stop.
const AFTER_A_STOP: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_killed_leader_is_replaced_in_eight_seconds_and_a_stopped_one_in_one() {
    let fleet = Fleet::new().await;
    fleet.rule().await;
    let mut running = Vec::new();
    for name in ["a", "b", "c"] {
        running.push(fleet.start(name).await);
    }
    let first = fleet.leader().await.expect("one of them leads");
    fleet.errors("system.first", 3).await;
    fleet.both_told("firing", 1).await;
    // What was sent and not confirmed would come again.
    fleet.confirmed().await;

    // Killed: rows that are committed at that moment are told by the next leader.
    let at = running.iter().position(|process| process.name == first).expect("a process");
    let mut killed = running.swap_remove(at);
    killed.signal("KILL");
    let began = Instant::now();
    fleet.errors("system.second", 3).await;
    killed.ended().await;
    let second = fleet.leader_after(&first).await;
    let (led, _) = (net_since(began), fleet.both_told("firing", 2).await);
    let told = fleet.told().iter().flatten().map(|told| told.at).max().expect("messages");
    let told = net(began, told);
    eprintln!("after a kill: another led after {led:?} and told after {told:?}");
    assert!(led <= AFTER_A_KILL && told <= AFTER_A_KILL, "{led:?} {told:?}");

    // Stopped in order: the lease is given back.
    let at = running.iter().position(|process| process.name == second).expect("a process");
    let mut stopped = running.swap_remove(at);
    stopped.signal("TERM");
    let began = Instant::now();
    fleet.errors("system.third", 3).await;
    fleet.leader_after(&second).await;
    let (led, _) = (net_since(began), fleet.both_told("firing", 3).await);
    let told = fleet.told().iter().flatten().map(|told| told.at).max().expect("messages");
    let told = net(began, told);
    eprintln!("after a clean stop: another led after {led:?} and told after {told:?}");
    assert!(stopped.ended().await, "a clean stop ends well");
    assert!(led <= AFTER_A_STOP, "{led:?}");
    assert!(told <= AFTER_A_STOP * 2, "{told:?}");

    fleet.settled().await;
    for told in fleet.told() {
        assert_eq!(told.len(), 3, "each incident once: {told:?}");
    }
    assert_eq!(
        fleet.number("select count(*) from public.alert_incidents where rule_id is not null").await,
        3
    );
    eventually("the last one still leads", async || fleet.leader().await).await;
}

/// A standby is warm by numbered reads alone: it opens its socket when it leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_leader_keeps_a_socket() {
    let stack = Stack::start().await;
    let leader = stack.daemon().await;
    let standby = stack.standby().await;
    let rests = "select count(*) from public.error_tracker_status
       where not leader and socket = 'none' and complete_through is not null";
    eventually("the standby rests", async || (stack.number(rests).await == 1).then_some(())).await;
    assert!(!standby.daemon.feed().borrow().subscribed);
    leader.stop().await;
    let feed = standby.daemon.feed();
    eventually("its socket is subscribed", async || feed.borrow().subscribed.then_some(())).await;
    standby.stop().await;
}
