//! Whoever begins to lead first counts what the former leader had counted.

use std::time::Duration;

use meshhook_errors::{
    alerting::{Batch, Connections, Decider, DeciderHandle, Inspection, LiveBoard, Written},
    clock::Clock,
    feed::FeedOutput,
    lease::{LeaseOptions, lease},
    model::{ErrorEvent, Severity, Source, Span, Timestamp},
    store::{Db, PoolOptions, pool, rules},
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::support::{db::TestDb, eventually};

fn event(seq: i64, at: Timestamp) -> ErrorEvent {
    ErrorEvent {
        seq,
        error_id: Uuid::new_v4(),
        timestamp: at,
        received_at: at,
        source: Source::Worker,
        error_type: "system".into(),
        severity: Severity::Medium,
        project_id: None,
        workflow_id: None,
        fingerprint: Uuid::nil(),
        message: "it broke".into(),
    }
}

async fn inspect(handle: &DeciderHandle) -> Inspection {
    handle.inspect().await.expect("the decider runs")
}

#[tokio::test]
async fn an_open_incident_is_not_resolved_before_its_errors_are_counted() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let rule: Uuid = sqlx::query_scalar(
        "insert into public.alert_rules (name, warning, window_seconds) values ('Errors', 3, 60) returning rule_id",
    )
    .fetch_one(&admin)
    .await
    .expect("a rule");
    sqlx::query(
        "insert into public.alert_incidents (incident_id, rule_id, rule_name, group_key, state, level, peak_level,
           started_at, fired_at, value, threshold, peak)
         values (gen_random_uuid(), $1, 'Errors', '{}', 'firing', 'warning', 'warning', now(), now(), 3, 3, 3)",
    )
    .bind(rule)
    .execute(&admin)
    .await
    .expect("what the former leader decided");

    let db: Db = pool::connect(&test.daemon_url, &PoolOptions::default()).expect("an address");
    let cancel = CancellationToken::new();
    let (keeper, leadership) = lease(db.clone(), Uuid::new_v4(), LeaseOptions::default());
    let _lease = AbortOnDropHandle::new(tokio::spawn(keeper.run(cancel.clone())));
    let since = eventually("it leads", async || leadership.tenure().map(|(_, since)| since)).await;

    let book = rules::load(&db, Duration::from_secs(5)).await.expect("the rules");
    let decider = Decider::new(db, Clock::system(), LiveBoard::default(), book.rules);
    let (feed, from_feed) = mpsc::channel(8);
    let (messages, from_others) = mpsc::channel(8);
    let (_written, written) = watch::channel(Written::default());
    let (decisions, mut decided) = mpsc::channel(8);
    let connections =
        Connections { feed: from_feed, messages: from_others, leadership, written, decisions };
    let _decider = AbortOnDropHandle::new(tokio::spawn(decider.run(connections, cancel)));
    let handle = DeciderHandle::new(messages);

    // History is there, but the last read began before the former leader's last.
    let earlier = since - Span::from_millis(1);
    let tell = async |output| feed.send(output).await.expect("the decider listens");
    for output in [
        FeedOutput::ReplayBegin { id: 0 },
        FeedOutput::ReplayEnd { id: 0 },
        FeedOutput::CompleteThrough(earlier),
    ] {
        tell(output).await;
    }
    eventually("it has taken that", async || (feed.capacity() == 8).then_some(())).await;
    assert!(inspect(&handle).await.open.is_empty());
    assert!(decided.try_recv().is_err(), "it does not decide yet");

    let errors = (1..=3).map(|seq| event(seq, earlier)).collect();
    tell(FeedOutput::New(errors)).await;
    tell(FeedOutput::CompleteThrough(since)).await;
    let told = decided.recv().await;
    assert!(matches!(&told, Some(Batch::Open(open)) if open.len() == 1), "{told:?}");
    tell(FeedOutput::CompleteThrough(since + Span::from_secs(1))).await;
    eventually("it has taken that", async || (feed.capacity() == 8).then_some(())).await;
    let open = inspect(&handle).await.open;
    assert_eq!(open.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3.0]);
    assert!(decided.try_recv().is_err(), "the incident goes on");
}
