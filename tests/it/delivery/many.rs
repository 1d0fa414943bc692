//! More decisions at once than the database can store in the time of one transaction.

use std::sync::Arc;

use meshhook_errors::{
    alerting::{Batch, Narrator, Writer},
    model::{IncidentState, Span, Transition, TransitionKind},
    store::{Fence, PoolOptions, pool, rules},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::refused::firing;
use crate::{notify::rig::Rig, support::PATIENCE};

const GROUPS: i64 = 1_000;

/// A statement with more than 70 incidents fails as one does that takes too long.
const SLOW: &str = "
    create sequence public.failures;
    create function public.slow() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      if (select count(*) from fresh) > 70 then
        perform nextval('public.failures');
        raise exception 'too many' using errcode = 'query_canceled';
      end if;
      return null;
    end $$;
    create trigger slow_insert after insert on public.alert_incidents
      referencing new table as fresh for each statement execute function public.slow();
    create trigger slow_update after update on public.alert_incidents
      referencing new table as fresh for each statement execute function public.slow();";

#[tokio::test]
async fn a_storm_is_written_in_portions_that_the_database_can_take() {
    let rig = Rig::idle().await;
    rig.mail_channel(&["ops@mesh.example"]).await;
    sqlx::raw_sql(SLOW).execute(&rig.admin).await.expect("triggers");
    let db = pool::connect(&rig.url(), &PoolOptions::default()).expect("an address");
    let book = rules::load(&db, PATIENCE).await.expect("the rule");
    let (writer, written) = Writer::new(db, Narrator::new(None), Arc::default());
    let (batches, queue) = mpsc::channel(3);
    let fence = Fence { holder: rig.instance, number: 7 };
    let beginnings: Vec<Transition> =
        (0..GROUPS).map(|n| firing(rig.rule, &format!("source {n}"), 25.0)).collect();
    let end = |one: &Transition| Transition {
        kind: TransitionKind::Resolved,
        state: IncidentState::Resolved,
        at: one.at + Span::from_secs(60),
        ..one.clone()
    };
    let ends = beginnings.iter().map(end).collect();
    for batch in [
        Batch::Rules(book.rules, book.descriptions),
        Batch::Transitions { fence, transitions: beginnings },
        Batch::Transitions { fence, transitions: ends },
    ] {
        batches.send(batch).await.expect("room");
    }
    drop(batches);
    timeout(PATIENCE, writer.run(queue, CancellationToken::new())).await.expect("all is written");

    let written = *written.borrow();
    assert_eq!((written.rejected, written.batches, written.refused), (0, 2, None));
    let told: Vec<(String, i64)> = sqlx::query_as(
        "select transition, count(*) from public.alert_notifications group by transition order by transition",
    )
    .fetch_all(&rig.admin)
    .await
    .expect("the outbox");
    assert_eq!(told, [("firing".to_owned(), GROUPS), ("resolved".to_owned(), GROUPS)]);
    let order: Vec<String> = sqlx::query_scalar(
        "select i.group_key from public.alert_notifications n join public.alert_incidents i using (incident_id)
          where n.transition = 'firing' order by n.number",
    )
    .fetch_all(&rig.admin)
    .await
    .expect("the order");
    assert!(order.is_sorted_by_key(|key| digits(key)), "{order:?}");
    let began: Vec<Value> = sqlx::query_scalar(
        "select payload #> '{incident,fired_at}' from public.alert_notifications where transition = 'resolved'",
    )
    .fetch_all(&rig.admin)
    .await
    .expect("the ends");
    assert!(began.iter().all(Value::is_string), "an end knows when it began, at whichever try");
    let failures: i64 = sqlx::query_scalar("select last_value from public.failures")
        .fetch_one(&rig.admin)
        .await
        .expect("the failures");
    assert!((4..=60).contains(&failures), "{failures}");
}

fn digits(key: &str) -> u32 {
    key.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}
