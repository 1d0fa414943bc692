//! Restarts and replays: history fills windows, and no row is both history and news.

use std::time::Duration;

use meshhook_errors::{
    feed::{FeedInput, FeedOptions, FeedOutput, Hydrate},
    model::Span,
};

use super::harness::*;
use crate::support::{db::TestDb, eventually};

#[tokio::test]
async fn a_restart_knows_its_holes() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let instance = Instance::start(&test, quick_feed());
    let first = insert(&admin, 0).await;
    let mut held = admin.begin().await.unwrap();
    let hole = insert_within(&mut held, 1, None).await;
    let third = insert(&admin, 2).await;
    instance.status_shows("two saved", |s| s.rows_saved == 2 && s.unsaved == 0).await;
    instance.kill().await;

    // Meanwhile the hole fills, and more comes.
    held.commit().await.unwrap();
    let fourth = insert(&admin, 3).await;
    let options = FeedOptions { page_rows: 1, ..quick_feed() };
    let instance = Instance::start(&test, options);
    instance.settled(&admin).await;
    assert_eq!(instance.replayed(0), Some(vec![first, third]));
    let mut new = instance.new_numbers();
    new.sort_unstable();
    assert_eq!(new, [hole, fourth]);
    assert_rollups(&admin).await;
    let outputs = instance.outputs.lock().unwrap().clone();
    let position = |wanted: fn(&FeedOutput) -> bool| outputs.iter().position(wanted).unwrap();
    let ended = position(|output| matches!(output, FeedOutput::ReplayEnd { id: 0 }));
    assert_eq!(outputs.first(), Some(&FeedOutput::ReplayBegin { id: 0 }));
    assert!(ended < position(|output| matches!(output, FeedOutput::New(_))), "{outputs:?}");
    assert!(ended < position(|output| matches!(output, FeedOutput::CompleteThrough(_))));
    instance.stop().await;

    // Stopped in good order: nothing is left to count, and the window alone limits what is replayed.
    sqlx::raw_sql(
        "alter table public.error_metrics disable trigger append_only;
         update public.error_metrics set \"timestamp\" = now() - interval '2 hours' where seq < 3",
    )
    .execute(&admin)
    .await
    .unwrap();
    let instance = Instance::start(&test, quick_feed());
    instance.status_shows("caught up", |status| status.caught_up).await;
    assert_eq!(instance.replayed(0), Some(vec![third, fourth]));
    assert_eq!(instance.new_numbers(), Vec::<i64>::new());
    instance.stop().await;
}

/// A rule that is new in the middle of a storm: what came before its replay is history, what came
/// after it is news, and together they are everything, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_rule_gets_each_row_once() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let options = FeedOptions { page_rows: 40, ..quick_feed() };
    let instance = Instance::start(&test, options);
    let inputs = instance.inputs.clone();
    let asking = tokio::spawn(async move {
        for id in 1..=5 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let wish = Hydrate { id, window: Span::from_secs(3_600), project: None };
            inputs.send(FeedInput::Hydrate(wish)).await.unwrap();
        }
    });
    for n in 0..300 {
        insert(&admin, n).await;
    }
    asking.await.unwrap();
    instance.settled(&admin).await;
    let all = instance.new_numbers();
    assert_exact(&admin, &all).await;
    for id in 1..=5 {
        let replayed = eventually("replay ended", async || instance.replayed(id)).await;
        let outputs = instance.outputs.lock().unwrap().clone();
        let begun = outputs.iter().position(|o| *o == FeedOutput::ReplayBegin { id }).unwrap();
        let later = outputs[begun..].iter().filter_map(|output| match output {
            FeedOutput::New(events) => Some(events.iter().map(|event| event.seq)),
            _ => None,
        });
        assert!(replayed.is_sorted(), "replay {id}");
        let mut together: Vec<i64> = replayed.into_iter().chain(later.flatten()).collect();
        together.sort_unstable();
        assert_eq!(together, (1..=300).collect::<Vec<i64>>(), "replay {id}");
    }
    instance.stop().await;
}
