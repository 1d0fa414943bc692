//! Points that a leader passes only when something out of the ordinary happens: what a silence held back
//! is told, the tracker has an incident itself, the database was set back.

use meshhook_errors::crash::Point;

use crate::support::{eventually, fleet::Fleet, sql};

/// The points of these tests.
pub const POINTS: [Point; 3] = [Point::Releasing, Point::SystemCommitting, Point::BeginningEpoch];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_back_is_told_once_if_the_leader_dies_telling_it() {
    let fleet = Fleet::new().await;
    let rule = fleet.rule().await;
    let silence = "insert into public.alert_silences (rule_id, ends_at) values ($1, now() + interval '1 day')";
    fleet.execute(silence, rule).await;
    let mut first = fleet.spawn("first", Some(Point::Releasing.as_str()));
    fleet.leads(&first).await;
    let _second = fleet.start("second").await;
    fleet.errors("system.down", 3).await;
    let held = "select count(*) from public.alert_held_back";
    eventually("it is held back for both", async || (fleet.number(held).await == 2).then_some(()))
        .await;
    let ends = "update public.alert_silences set ends_at = clock_timestamp() where rule_id = $1";
    fleet.execute(ends, rule).await;
    assert!(!first.ended().await, "the process was to die");
    fleet.both_told("firing", 1).await;
    fleet.settled().await;
    assert!(fleet.told().iter().all(|told| told.len() == 1), "{:?}", fleet.told());
    assert_eq!(fleet.number(held).await, 0);
    let late = "select count(*) from public.alert_incident_events where kind = 'told_late'";
    assert_eq!(fleet.number(late).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_of_the_tracker_itself_is_told_once_if_the_leader_dies_writing_it() {
    let mut fleet = Fleet::new().await;
    fleet.rule().await;
    fleet.set("SYSTEM_ALERT_CHANNELS", "global");
    let mut first = fleet.start("first").await;
    fleet.leads(&first).await;
    let mut second = fleet.spawn("second", Some(Point::SystemCommitting.as_str()));
    fleet.ready(&second).await;
    // The second is to write that the first was lost; the third, that the second was.
    first.signal("KILL");
    first.ended().await;
    assert!(!second.ended().await, "the process was to die");
    let third = fleet.start("third").await;
    fleet.leads(&third).await;
    fleet.both_told("firing", 1).await;
    fleet.confirmed().await;
    let [slack, hook] = fleet.told();
    assert_eq!((slack.len(), hook.len()), (1, 1), "{slack:?} {hook:?}");
    let incidents = "select count(*) from public.alert_incidents where rule_id is null";
    assert_eq!(fleet.number(incidents).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_begins_once_if_the_leader_dies_beginning_it() {
    let fleet = Fleet::new().await;
    fleet.rule().await;
    let mut first = fleet.spawn("first", Some(Point::BeginningEpoch.as_str()));
    fleet.leads(&first).await;
    let _second = fleet.start("second").await;
    fleet.errors("system.before", 8).await;
    fleet.both_told("firing", 1).await;
    fleet.settled().await;
    // Only the rows and the sequence are set back: the checkpoint is ahead of them.
    sql(
        &fleet.admin,
        "begin; lock table error_tracking.checkpoint;
         alter table public.error_metrics disable trigger user;
         delete from public.error_metrics where seq > 4;
         alter table public.error_metrics enable trigger user;
         delete from public.error_groups g where not exists (
           select from public.error_metrics m where m.fingerprint = g.fingerprint);
         select setval('error_tracking.error_metrics_seq', 4); commit",
    )
    .await;
    assert!(!first.ended().await, "the process was to die");
    fleet.errors("system.after", 3).await;
    fleet.both_told("firing", 2).await;
    // Of the rows that are gone, only when the group was last seen is left, until it is seen again.
    fleet.errors("system.before", 1).await;
    fleet.settled().await;
    let epoch = "select epoch::bigint from error_tracking.checkpoint";
    assert_eq!(fleet.number(epoch).await, 2);
    assert!(fleet.told().iter().all(|told| told.len() == 2), "{:#?}", fleet.told());
    for differing in [
        include_str!("../feed/minutes_differ.sql"),
        include_str!("../feed/hours_differ.sql"),
        include_str!("../feed/groups_differ.sql"),
    ] {
        assert_eq!(fleet.number(differing).await, 0, "rollups are exact");
    }
}
