//! Whoever begins to lead first counts what the former leader had counted.

use std::time::Duration;

use meshhook_errors::{
    alerting::{Batch, Connections, Decider, DeciderHandle, LiveBoard, Written},
    clock::Clock,
    feed::FeedOutput,
    lease::{LeaseOptions, Tenure, lease},
    model::{ErrorEvent, Severity, Source, Span, Timestamp, TransitionKind},
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

/// The incident of three errors that the former leader left.
const OPEN: &str = "insert into public.alert_incidents (incident_id, rule_id, rule_name, group_key, state, level, peak_level,
       started_at, fired_at, value, threshold, peak)
     values (gen_random_uuid(), $1, 'Errors', '{}', 'firing', 'warning', 'warning', now(), now(), 3, 3, 3)
     returning started_at";

/// It ended with the second in which the former leader died.
const ENDED: &str = "insert into public.alert_incidents (incident_id, rule_id, rule_name, group_key, state, level, peak_level,
       started_at, fired_at, resolved_at, value, threshold, peak)
     select gen_random_uuid(), $1, 'Errors', '{}', 'resolved', 'warning', 'warning',
       ended - interval '60 s', ended - interval '60 s', ended, 1, 3, 3
       from date_trunc('second', clock_timestamp()) as ended
     returning resolved_at";

/// An incident that is open and of a group that nobody can read; somebody was told of it.
const UNREADABLE: &str = "with channel as (
       insert into public.alert_channels (name, kind) values ('ops', 'slack') returning channel_id
     ), incident as (
       insert into public.alert_incidents (incident_id, rule_id, rule_name, group_key, state, level, peak_level,
         started_at, fired_at, notified_at, value, threshold, peak)
       values (gen_random_uuid(), $1, 'Errors', 'planet', 'firing', 'warning', 'warning', now(), now(), now(), 3, 3, 3)
       returning incident_id, started_at
     ), told as (
       insert into public.alert_notifications (incident_id, channel_id, transition, payload, state)
       select incident_id, channel_id, 'firing', '{\"transition\": \"firing\"}', 'sent' from incident, channel
     )
     select started_at from incident";

/// A decider over a database in which the former leader, whose lease lasts another moment, left an
/// incident of three errors.
struct Successor {
    /// When the incident began, or ended.
    incident_at: Timestamp,
    tenure: Tenure,
    feed: mpsc::Sender<FeedOutput>,
    decided: mpsc::Receiver<Batch>,
    handle: DeciderHandle,
    _written: watch::Sender<Written>,
    _tasks: [AbortOnDropHandle<()>; 2],
    admin: sqlx::PgPool,
    _test: TestDb,
}

impl Successor {
    async fn new() -> Self {
        Self::after(OPEN).await
    }

    async fn after(incident: &'static str) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let test = TestDb::new().await;
        let admin = test.admin().await;
        let rule: Uuid = sqlx::query_scalar(
            "insert into public.alert_rules (name, warning, window_seconds) values ('Errors', 3, 60) returning rule_id",
        )
        .fetch_one(&admin)
        .await
        .expect("a rule");
        let incident_at: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(incident)
            .bind(rule)
            .fetch_one(&admin)
            .await
            .expect("what the former leader decided");
        sqlx::query(
            "update error_tracking.leases set holder = gen_random_uuid(), fence = 1, expires_at = clock_timestamp() + interval '500 ms'",
        )
        .execute(&admin)
        .await
        .expect("the former leader's lease");

        let db: Db = pool::connect(&test.daemon_url, &PoolOptions::default()).expect("an address");
        let cancel = CancellationToken::new();
        let (keeper, leadership) = lease(db.clone(), Uuid::new_v4(), LeaseOptions::default());
        let keeper = tokio::spawn(keeper.run(cancel.clone()));
        let tenure = eventually("it leads", async || leadership.tenure()).await;
        let book = rules::load(&db, Duration::from_secs(5)).await.expect("the rules");
        let decider = Decider::new(db, Clock::system(), LiveBoard::default(), book.rules);
        let (feed, from_feed) = mpsc::channel(ROOM);
        let (messages, from_others) = mpsc::channel(8);
        let (_written, written) = watch::channel(Written::default());
        let (decisions, decided) = mpsc::channel(8);
        let connections = Connections {
            feed: from_feed,
            messages: from_others,
            leadership,
            written,
            decisions,
            settled: watch::Sender::default(),
        };
        let decider = tokio::spawn(decider.run(connections, cancel));
        let handle = DeciderHandle::new(messages);
        let _tasks = [keeper, decider].map(AbortOnDropHandle::new);
        let incident_at = incident_at.into();
        Self { incident_at, tenure, feed, decided, handle, _written, _tasks, admin, _test: test }
    }

    /// Waits until it has taken these; returns the values of the open incidents then.
    async fn takes(&self, outputs: impl IntoIterator<Item = FeedOutput>) -> Vec<f64> {
        for output in outputs {
            self.feed.send(output).await.expect("the decider listens");
        }
        eventually("it takes that", async || (self.feed.capacity() == ROOM).then_some(())).await;
        let inspection = self.handle.inspect().await.expect("the decider runs");
        inspection.open.iter().map(|(_, value)| *value).collect()
    }

    /// What it has decided since the last time: it only learnt of the open incident, or nothing.
    fn learnt(&mut self) -> bool {
        let learnt = self.decided.try_recv();
        assert!(matches!(&learnt, Err(_) | Ok(Batch::Open { .. })), "{learnt:?}");
        let more = self.decided.try_recv();
        assert!(more.is_err(), "{more:?}");
        learnt.is_ok()
    }
}

const ROOM: usize = 8;

fn history() -> [FeedOutput; 2] {
    [FeedOutput::ReplayBegin { id: 0 }, FeedOutput::ReplayEnd { id: 0 }]
}

fn errors(at: Timestamp) -> FeedOutput {
    FeedOutput::New((1..=3).map(|seq| event(seq, at)).collect())
}

#[tokio::test]
async fn a_standby_decides_after_a_read_that_began_since_it_leads() {
    let mut successor = Successor::new().await;
    let since = successor.tenure.since;
    let earlier = since - Span::from_millis(1);
    successor.takes(history()).await;
    assert!(successor.takes([FeedOutput::CompleteThrough(earlier)]).await.is_empty());
    assert!(!successor.learnt(), "it does not decide yet");
    successor.takes([errors(earlier), FeedOutput::CompleteThrough(since)]).await;
    assert!(successor.learnt());
    let later = FeedOutput::CompleteThrough(since + Span::from_secs(1));
    assert_eq!(successor.takes([later]).await, [3.0]);
    assert!(!successor.learnt(), "the incident goes on");
}

#[tokio::test]
async fn after_a_restart_an_incident_waits_for_what_was_known_of_it() {
    let mut successor = Successor::new().await;
    let Tenure { since, former_until, .. } = successor.tenure;
    assert!(former_until > since - Span::from_secs(5) && former_until <= since, "{former_until}");
    successor.takes(history()).await;
    // The first of what came after the last checkpoint: the leader begins there, as if it had run.
    let first = FeedOutput::New(vec![event(1, former_until - Span::from_secs(3))]);
    assert_eq!(successor.takes([first]).await, [1.0]);
    assert!(successor.learnt(), "it decides, and the incident goes on");
    let rest = [errors(former_until - Span::from_secs(1)), FeedOutput::CompleteThrough(since)];
    assert_eq!(successor.takes(rest).await, [4.0]);
    assert!(!successor.learnt(), "the incident goes on");
}

/// The windows have emptied while nobody ran: the incident ended then, and not now.
#[tokio::test]
async fn what_fell_due_while_nobody_ran_is_decided_at_its_own_instant() {
    let mut successor = Successor::new().await;
    let Tenure { since, former_until, .. } = successor.tenure;
    let at = former_until - Span::from_secs(10);
    let [begin, end] = history();
    let events = (1..=3).map(|seq| event(seq, at)).collect();
    let now = since + Span::from_secs(300);
    let open = successor
        .takes([begin, FeedOutput::Replay { id: 0, events }, end, FeedOutput::CompleteThrough(now)])
        .await;
    assert!(open.is_empty(), "{open:?}");
    assert!(matches!(successor.decided.try_recv(), Ok(Batch::Open { .. })));
    let decided = match successor.decided.try_recv() {
        Ok(Batch::Transitions { transitions, .. }) => transitions,
        other => panic!("{other:?}"),
    };
    let ended: Vec<_> = decided.iter().map(|told| (told.kind, told.at)).collect();
    let left = Timestamp::from_secs(at.micros().div_euclid(1_000_000) + 61);
    assert_eq!(ended, [(TransitionKind::Resolved, left)]);
}

/// The first row that is not saved is older than the end of the incident; when it came, the window
/// still held what had opened the incident.
#[tokio::test]
async fn an_incident_that_ended_does_not_begin_again_with_rows_from_before_its_end() {
    let mut successor = Successor::after(ENDED).await;
    let (ended, since) = (successor.incident_at, successor.tenure.since);
    let [begin, end] = history();
    // These left the window when it ended; this one came just before.
    let counted = (1..=3).map(|seq| event(seq, ended - Span::from_millis(60_500))).collect();
    let last = FeedOutput::New(vec![event(4, ended - Span::from_millis(200))]);
    successor.takes([begin, FeedOutput::Replay { id: 0, events: counted }, end, last]).await;
    assert!(!successor.learnt(), "the former leader has decided about that");
    // What comes after the end is decided at its own instant.
    let anew = ended + Span::from_millis(100);
    let rows = FeedOutput::New((5..=6).map(|seq| event(seq, anew)).collect());
    let now = FeedOutput::CompleteThrough(since + Span::from_secs(1));
    assert_eq!(successor.takes([rows, now]).await, [3.0]);
    assert!(matches!(successor.decided.try_recv(), Ok(Batch::Open { .. })));
    let Ok(Batch::Transitions { transitions, .. }) = successor.decided.try_recv() else {
        panic!("it decides")
    };
    let decided: Vec<_> = transitions.iter().map(|told| (told.kind, told.started_at)).collect();
    assert_eq!(decided, [(TransitionKind::Firing, anew)]);
}

/// Nobody has decided anything after the end: the rows from before it decide nothing by themselves.
#[tokio::test]
async fn rows_from_before_the_last_end_decide_nothing() {
    let mut successor = Successor::after(ENDED).await;
    let ended = successor.incident_at;
    successor.takes(history()).await;
    successor.takes([errors(ended - Span::from_secs(70)), errors(ended)]).await;
    assert!(!successor.learnt(), "they are counted");
}

/// Nobody can go on with it, and it must not stay open for ever.
#[tokio::test]
async fn an_open_incident_that_cannot_be_read_is_ended_and_told() {
    let mut successor = Successor::after(UNREADABLE).await;
    let since = successor.tenure.since;
    successor.takes(history()).await;
    assert!(successor.takes([FeedOutput::CompleteThrough(since)]).await.is_empty());
    assert!(successor.learnt());
    let ended: (String, Option<String>, String) = sqlx::query_as(
        "select i.state, (select e.note from public.alert_incident_events e
            where e.incident_id = i.incident_id and e.kind = 'resolved'),
           (select n.payload ->> 'transition' from public.alert_notifications n
            where n.incident_id = i.incident_id and n.transition = 'resolved' and n.state = 'waiting')
           from public.alert_incidents i where i.resolved_at = i.started_at",
    )
    .fetch_one(&successor.admin)
    .await
    .expect("it ended");
    assert_eq!((&*ended.0, &*ended.2), ("resolved", "resolved"));
    assert!(ended.1.is_some_and(|note| note.contains("could not read")));
}
