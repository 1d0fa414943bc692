//! Who is told of the end: exactly those who were told of the incident, also across silences,
//! changed rules and restarts.

use std::time::Duration;

use meshhook_errors::{
    model::{
        Evidence, GroupKey, IncidentState, Level, Span, Timestamp, Transition, TransitionKind,
    },
    store::{
        Db, Fence, PoolOptions, held,
        incidents::{self, Decision},
        pool,
    },
};
use uuid::Uuid;

use crate::notify::rig::Rig;

use TransitionKind::{Deescalated, Escalated, Firing, Reminder, Resolved};

const LIMIT: Duration = Duration::from_secs(5);

/// An incident that is decided step by step, as the writer writes it.
struct Story<'a> {
    rig: &'a Rig,
    db: Db,
    incident: Uuid,
    started_at: Timestamp,
    seconds: i64,
}

impl<'a> Story<'a> {
    async fn new(rig: &'a Rig) -> Self {
        let db = pool::connect(&rig.url(), &PoolOptions::default()).expect("an address");
        let started_at = Timestamp::from_secs(1_795_356_005);
        Self { rig, db, incident: Uuid::new_v4(), started_at, seconds: 0 }
    }

    /// The next step; returns how many messages it made.
    async fn decide(&mut self, kind: TransitionKind, level: Level) -> u64 {
        self.seconds += 1;
        let at = self.started_at + Span::from_secs(self.seconds);
        // Nobody is told of a level that falls, so there is no message for it.
        let message = if kind == Deescalated { Firing } else { kind };
        let facts = serde_json::to_value(self.rig.facts(self.incident, message)).expect("JSON");
        let transition = Transition {
            kind,
            incident_id: self.incident,
            rule_id: self.rig.rule,
            group_key: GroupKey::default(),
            state: if kind == Resolved { IncidentState::Resolved } else { IncidentState::Firing },
            level,
            started_at: self.started_at,
            at,
            value: 25.0,
            threshold: 20.0,
            peak: 25.0,
            reminder: u32::from(kind == Reminder),
            evidence: Evidence::default(),
        };
        let rule_name = "Payments failing".to_owned();
        let decision = Decision { transition, rule_name, project_id: None, facts };
        let fence = Fence { holder: self.rig.instance, number: 7 };
        let messages = incidents::record(&self.db, &fence, &[decision], LIMIT).await;
        self.rig.wake.notify_one();
        messages.expect("the decision is written").messages
    }

    /// What the channel has been told so far, once everything is sent.
    async fn told(&self, channel: Uuid) -> Vec<String> {
        crate::support::eventually("everything is sent", async || {
            let open: i64 = sqlx::query_scalar(
                "select count(*) from public.alert_notifications where state in ('waiting', 'sending')",
            )
            .fetch_one(&self.rig.admin)
            .await
            .expect("the outbox");
            (open == 0).then_some(())
        })
        .await;
        sqlx::query_scalar(
            "select transition from public.alert_notifications \
              where incident_id = $1 and channel_id = $2 and state = 'sent' order by number",
        )
        .bind(self.incident)
        .bind(channel)
        .fetch_all(&self.rig.admin)
        .await
        .expect("the outbox")
    }
}

async fn silence(rig: &Rig) -> Uuid {
    sqlx::query_scalar(
        "insert into public.alert_silences (rule_id, starts_at, ends_at, reason) \
         values ($1, now() - interval '1 min', now() + interval '1 h', 'work') returning silence_id",
    )
    .bind(rig.rule)
    .fetch_one(&rig.admin)
    .await
    .expect("a silence")
}

const LIFT: &str =
    "update public.alert_silences set ends_at = starts_at + interval '1 s' where silence_id = $1";

#[tokio::test]
async fn a_silence_over_the_beginning_also_covers_the_end() {
    let rig = Rig::new().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    let quiet = silence(&rig).await;
    assert_eq!(story.decide(Firing, Level::Warning).await, 0);
    rig.execute(LIFT, quiet).await;
    assert_eq!(story.decide(Resolved, Level::Warning).await, 0);
    assert!(story.told(ops).await.is_empty());

    // Unless people were reminded of it in between: then they know of it.
    let mut story = Story::new(&rig).await;
    let quiet = silence(&rig).await;
    assert_eq!(story.decide(Firing, Level::Warning).await, 0);
    rig.execute(LIFT, quiet).await;
    assert_eq!(story.decide(Reminder, Level::Warning).await, 1);
    assert_eq!(story.decide(Resolved, Level::Warning).await, 1);
    assert_eq!(story.told(ops).await, ["reminder", "resolved"]);
}

#[tokio::test]
async fn a_silence_over_the_end_does_not_keep_it_from_those_who_wait_for_it() {
    let rig = Rig::new().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    story.decide(Firing, Level::Warning).await;
    silence(&rig).await;
    assert_eq!(story.decide(Escalated, Level::Critical).await, 0, "news is silenced");
    assert_eq!(story.decide(Resolved, Level::Critical).await, 1);
    assert_eq!(story.told(ops).await, ["firing", "resolved"]);
}

#[tokio::test]
async fn channels_that_come_and_go_are_told_of_what_they_know() {
    let rig = Rig::new().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let only_critical =
        "update public.alert_rule_channels set min_level = 'critical' where channel_id = $1";
    rig.execute(only_critical, hook).await;
    let mut story = Story::new(&rig).await;
    assert_eq!(story.decide(Firing, Level::Warning).await, 1);
    assert_eq!(story.decide(Escalated, Level::Critical).await, 2);
    // Away from the rule it still hears of the end; who came later does not.
    rig.execute("delete from public.alert_rule_channels where channel_id = $1", ops).await;
    let late = rig.mail_channel(&["ada@mesh.example"]).await;
    assert_eq!(story.decide(Resolved, Level::Critical).await, 2);
    assert_eq!(story.told(ops).await, ["firing", "escalated", "resolved"]);
    assert_eq!(story.told(hook).await, ["escalated", "resolved"]);
    assert!(story.told(late).await.is_empty());
}

#[tokio::test]
async fn a_decision_that_is_written_twice_is_told_once() {
    let rig = Rig::new().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    assert_eq!(story.decide(Firing, Level::Warning).await, 1);
    // The commit's answer was lost, and the writer tries again; also after the end.
    story.seconds -= 1;
    assert_eq!(story.decide(Firing, Level::Warning).await, 0);
    assert_eq!(story.decide(Resolved, Level::Warning).await, 1);
    story.seconds -= 1;
    assert_eq!(story.decide(Resolved, Level::Warning).await, 0);
    story.seconds = 0;
    assert_eq!(story.decide(Firing, Level::Warning).await, 0);
    assert_eq!(story.told(ops).await, ["firing", "resolved"]);
    assert_eq!(rig.slack.requests().len(), 2);
}

#[tokio::test]
async fn an_end_that_is_decided_while_nobody_sends_follows_its_beginning() {
    let mut rig = Rig::idle().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    story.decide(Firing, Level::Warning).await;
    story.decide(Resolved, Level::Warning).await;
    let incident = story.incident;
    drop(story);
    rig.start();
    let story = Story { incident, ..Story::new(&rig).await };
    assert_eq!(story.told(ops).await, ["firing", "resolved"]);
}

/// Between them it was not critical: each escalation is told once, also one that is told late.
#[tokio::test]
async fn every_escalation_is_told_once() {
    let rig = Rig::new().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    story.decide(Firing, Level::Warning).await;
    assert_eq!(story.decide(Escalated, Level::Critical).await, 1);
    assert_eq!(story.decide(Deescalated, Level::Warning).await, 0);
    assert_eq!(story.decide(Escalated, Level::Critical).await, 1);
    // The commit's answer was lost, and the writer tries again.
    story.seconds -= 1;
    assert_eq!(story.decide(Escalated, Level::Critical).await, 0);
    let quiet = silence(&rig).await;
    assert_eq!(story.decide(Deescalated, Level::Warning).await, 0);
    assert_eq!(story.decide(Escalated, Level::Critical).await, 0);
    rig.execute(LIFT, quiet).await;
    let fence = Fence { holder: rig.instance, number: 7 };
    assert_eq!(held::settle(&story.db, &fence, LIMIT).await.expect("a decision").messages, 1);
    rig.wake.notify_one();
    assert_eq!(story.told(ops).await, ["firing", "escalated", "escalated", "escalated"]);
}

/// The beginning was given up, and the news after it held back: when that may be told, it is told as
/// the beginning.
#[tokio::test]
async fn a_beginning_that_was_given_up_is_told_late() {
    let mut rig = Rig::idle().await;
    let ops = rig.slack_channel("ops", &rig.slack).await;
    let mut story = Story::new(&rig).await;
    assert_eq!(story.decide(Firing, Level::Warning).await, 1);
    rig.execute(
        "update public.alert_notifications
            set state = 'dead', attempts = 30, last_error = 'away', created_at = now() - interval '25 h'
          where channel_id = $1",
        ops,
    )
    .await;
    let quiet = silence(&rig).await;
    assert_eq!(story.decide(Escalated, Level::Critical).await, 0, "news is silenced");
    rig.execute(LIFT, quiet).await;
    let fence = Fence { holder: rig.instance, number: 7 };
    assert_eq!(held::settle(&story.db, &fence, LIMIT).await.expect("a decision").messages, 1);
    let incident = story.incident;
    drop(story);
    rig.start();
    let mut story = Story { incident, seconds: 2, ..Story::new(&rig).await };
    assert_eq!(story.told(ops).await, ["firing"]);
    assert_eq!(story.decide(Resolved, Level::Critical).await, 1);
    assert_eq!(story.told(ops).await, ["firing", "resolved"]);
}
