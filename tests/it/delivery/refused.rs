//! Decisions that the database does not take: what it will never take is given up, and costs no other.

use std::{sync::Arc, time::Duration};

use meshhook_errors::{
    alerting::{Batch, Narrator, Writer},
    model::{Evidence, IncidentState, Level, Timestamp, Transition, TransitionKind},
    store::{Fence, PoolOptions, pool},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{notify::rig::Rig, support::PATIENCE};

/// A value of 13 can never be stored; once that was tried, the next two attempts at anything fail for
/// the moment.
const MISFORTUNE: &str = "
    create sequence public.impossible;
    create sequence public.passing;
    create function public.misfortune() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      if new.value = 13 then
        perform nextval('public.impossible');
        raise exception 'never' using errcode = 'check_violation';
      elsif (select is_called from public.impossible) and nextval('public.passing') <= 2 then
        raise exception 'not now' using errcode = 'serialization_failure';
      end if;
      return new;
    end $$;
    create trigger misfortune before insert on public.alert_incidents
      for each row execute function public.misfortune();";

pub(super) fn firing(rule_id: Uuid, source: &str, value: f64) -> Transition {
    let at = Timestamp::from_secs(1_795_356_005);
    Transition {
        kind: TransitionKind::Firing,
        incident_id: Uuid::new_v4(),
        rule_id,
        group_key: format!("{{\"source\":\"{source}\"}}").parse().expect("a key"),
        state: IncidentState::Firing,
        level: Level::Warning,
        started_at: at,
        at,
        value,
        threshold: 10.0,
        peak: value,
        reminder: 0,
        evidence: Evidence::default(),
    }
}

#[tokio::test]
async fn what_fails_for_the_moment_is_tried_again_beside_what_fails_for_good() {
    let rig = Rig::idle().await;
    sqlx::raw_sql(MISFORTUNE).execute(&rig.admin).await.expect("a trigger");
    let db = pool::connect(&rig.url(), &PoolOptions::default()).expect("an address");
    let (writer, written) = Writer::new(db, Narrator::new(None), Arc::default());
    let (batches, queue) = mpsc::channel(1);
    let fence = Fence { holder: rig.instance, number: 7 };
    let transitions = vec![firing(rig.rule, "hook", 13.0), firing(rig.rule, "worker", 25.0)];
    batches.send(Batch::Transitions { fence, transitions }).await.expect("room");
    drop(batches);
    timeout(PATIENCE.max(Duration::from_secs(30)), writer.run(queue, CancellationToken::new()))
        .await
        .expect("it writes what it can");

    let written = *written.borrow();
    assert_eq!((written.rejected, written.batches, written.refused), (1, 1, None));
    let stored: Vec<f64> = sqlx::query_scalar("select value from public.alert_incidents")
        .fetch_all(&rig.admin)
        .await
        .expect("the incidents");
    assert_eq!(stored, [25.0]);
    let tries: i64 = sqlx::query_scalar("select last_value from public.passing")
        .fetch_one(&rig.admin)
        .await
        .expect("the tries");
    assert_eq!(tries, 3, "it failed twice");
}
