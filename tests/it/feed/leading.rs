//! Two instances: one leads, and whatever happens to it, nothing is counted twice or forgotten.

use std::time::Duration;

use meshhook_errors::{
    lease::lease,
    store::{
        StoreError,
        feed::read_checkpoint,
        live::{self, LiveRates},
        rollup::{self, Portion, Saved},
    },
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::harness::*;
use crate::support::{
    PATIENCE,
    db::TestDb,
    eventually,
    stalls::{self, net_since},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_neither_loses_nor_doubles() {
    for clean in [true, false] {
        let test = TestDb::new().await;
        let admin = test.admin().await;
        let first = Instance::start(&test, quick_feed());
        eventually("the first leads", async || first.leadership.fence()).await;
        let second = Instance::start(&test, quick_feed());
        let writer = test.admin().await;
        let writing = tokio::spawn(async move {
            for n in 0..400 {
                insert(&writer, n).await;
            }
        });
        first.status_shows("some saved", |status| status.rows_saved > 50).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
        let fence = first.leadership.fence().unwrap();
        if clean {
            first.stop().await;
        } else {
            first.kill().await;
        }
        let next = eventually("the second leads", async || second.leadership.fence()).await;
        assert!(next.number > fence.number);
        writing.await.unwrap();
        second.settled(&admin).await;
        // The second has counted every row itself, and saved only what the first had not.
        assert_exact(&admin, &second.new_numbers()).await;
        let saved = second.status.borrow().rows_saved;
        assert!(saved > 0 && saved < 400, "clean {clean}: the second saved {saved}");
        second.stop().await;
    }
}

#[tokio::test]
async fn a_leader_that_was_replaced_writes_nothing() {
    let test = TestDb::new().await;
    let admin = test.admin().await;
    let mut old = Instance::start(&test, quick_feed());
    eventually("it leads", async || old.leadership.fence()).await;
    let fence = old.leadership.fence().unwrap();
    old.lose_lease().await;
    // By its own clock it stops to act before the lease ends.
    eventually("it stops to act", async || (!old.leadership.is_leader()).then_some(())).await;
    let new = Instance::start(&test, quick_feed());
    eventually("the other leads", async || new.leadership.fence()).await;
    for n in 0..10 {
        insert(&admin, n).await;
    }
    new.settled(&admin).await;
    old.status_shows("the old one counted too", |status| status.rows_counted == 10).await;
    assert_exact(&admin, &old.new_numbers()).await;
    assert_exact(&admin, &new.new_numbers()).await;

    // Every kind of leader's write is refused by the database itself.
    let db = daemon_db(&test, false);
    let epoch = read_checkpoint(&db, PATIENCE).await.unwrap().epoch;
    let eleven = insert(&admin, 11).await;
    new.settled(&admin).await;
    let [mut late, mut next] = [eleven, eleven + 1].map(|seq| Portion {
        epoch,
        ranges: (seq..=seq).map(|seq| seq..seq + 1).collect(),
        rows: 1,
        known: 0,
        accept_difference: true,
    });
    let refused = |result: Result<Saved, StoreError>| matches!(result, Err(StoreError::FenceLost));
    assert!(refused(rollup::roll_up(&db, &fence, &next, PATIENCE).await));
    let rates = [LiveRates { project_id: None, snapshot: serde_json::json!({}) }];
    let written = live::write(&db, &fence, &rates, PATIENCE).await;
    assert!(matches!(written, Err(StoreError::FenceLost)), "{written:?}");
    let begun = rollup::begin_epoch(&db, &fence, epoch, PATIENCE).await;
    assert!(matches!(begun, Err(StoreError::FenceLost)), "{begun:?}");
    assert_rollups(&admin).await;
    assert_eq!(scalar(&admin, "select count(*) from public.error_rates_live").await, 0);

    // And the present leader cannot count anything twice, or in another epoch.
    let fence = eventually("it leads", async || new.leadership.fence()).await;
    let saved = rollup::roll_up(&db, &fence, &late, PATIENCE).await.unwrap();
    assert_eq!(saved, Saved::Overlap);
    late.epoch += 1;
    let saved = rollup::roll_up(&db, &fence, &late, PATIENCE).await.unwrap();
    assert_eq!(saved, Saved::OtherEpoch);
    next.known = eleven + 1;
    let saved = rollup::roll_up(&db, &fence, &next, PATIENCE).await.unwrap();
    assert_eq!(saved, Saved::SetBack);
    next.known = eleven;
    next.accept_difference = false;
    let saved = rollup::roll_up(&db, &fence, &next, PATIENCE).await.unwrap();
    assert_eq!(saved, Saved::RowsDiffer { rows: 0 });
    assert_rollups(&admin).await;
    assert_eq!(live::write(&db, &fence, &rates, PATIENCE).await.unwrap(), 1);
    old.stop().await;
    new.stop().await;
}

/// Many want it; at no moment do two of them believe that they have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_at_a_time() {
    stalls::watch();
    let test = TestDb::new().await;
    let mut instances = Vec::new();
    for pooler in [false, true, false] {
        let cancel = CancellationToken::new();
        let (keeper, leadership) = lease(daemon_db(&test, pooler), Uuid::new_v4(), quick_lease());
        instances.push((tokio::spawn(keeper.run(cancel.clone())), leadership, cancel));
    }
    let mut last = 0;
    while let Some(leader) = {
        let leaders =
            || instances.iter().filter(|(_, leadership, _)| leadership.is_leader()).count();
        let found = eventually("one leads", async || {
            assert!(leaders() <= 1, "two lead");
            instances.iter().position(|(_, leadership, _)| leadership.is_leader())
        });
        if instances.is_empty() { None } else { Some(found.await) }
    } {
        let (task, leadership, cancel) = instances.swap_remove(leader);
        let fence = leadership.fence().unwrap();
        assert!(fence.number > last, "{fence:?} after {last}");
        last = fence.number;
        // It renews: the tenure goes on for longer than one lease lasts.
        let deadline = leadership.deadline().unwrap();
        eventually("renewed", async || leadership.deadline().filter(|later| *later > deadline))
            .await;
        assert_eq!(leadership.fence(), Some(fence));
        let begun = tokio::time::Instant::now();
        cancel.cancel();
        task.await.unwrap();
        assert!(!leadership.is_leader());
        if !instances.is_empty() {
            eventually("a successor", async || {
                instances.iter().any(|(_, leadership, _)| leadership.is_leader()).then_some(())
            })
            .await;
            let took = net_since(begun);
            assert!(took < Duration::from_secs(1), "clean takeover: {took:?}");
        }
    }
}
