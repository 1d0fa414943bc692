//! A database that was set back.

use meshhook_errors::feed::FeedOutput;

use super::harness::*;
use crate::support::{db::TestDb, eventually};

/// A whole backup brings its checkpoint along; a sequence that was set back does not.
#[tokio::test]
async fn counting_starts_anew_where_it_must() {
    for (what, set_back, epoch) in [
        (
            "a whole restore",
            "delete from public.error_rate_minutes; delete from public.error_rate_hours;
             delete from public.error_groups; delete from public.error_metrics;
             update error_tracking.checkpoint set accounted = '{[1,4)}';
             select setval('error_tracking.error_metrics_seq', 3)",
            1,
        ),
        (
            // Rollups and groups of what is left are far too high then, and are counted again.
            "only the sequence",
            "delete from public.error_metrics where seq > 3;
             delete from public.error_groups g where not exists (
               select from public.error_metrics m where m.fingerprint = g.fingerprint);
             select setval('error_tracking.error_metrics_seq', 3)",
            2,
        ),
        (
            "nothing but an empty table",
            "delete from public.error_metrics; delete from public.error_groups;
             delete from public.error_rate_minutes; delete from public.error_rate_hours;
             select setval('error_tracking.error_metrics_seq', 1, false)",
            2,
        ),
    ] {
        let test = TestDb::new().await;
        let admin = test.admin().await;
        let instance = Instance::start(&test, quick_feed());
        for n in 0..10 {
            insert(&admin, n).await;
        }
        instance.settled(&admin).await;
        assert_rollups(&admin).await;
        let before = instance.new_numbers().len();

        sqlx::raw_sql(set_back).execute(&admin).await.unwrap();
        eventually("the reset", async || {
            instance.outputs.lock().unwrap().contains(&FeedOutput::Reset { epoch }).then_some(())
        })
        .await;
        let mut again = Vec::new();
        for n in 0..4 {
            again.push(insert(&admin, n).await);
        }
        assert!(
            again.iter().all(|seq| *seq <= 10),
            "{what}: the same numbers come again: {again:?}"
        );
        instance.settled(&admin).await;
        assert_rollups(&admin).await;
        let new = instance.new_numbers().split_off(before);
        assert!(again.iter().all(|seq| new.contains(seq)), "{what}: {again:?} among {new:?}");
        let problems = instance.status.borrow().problems.clone();
        assert!(problems.iter().any(|problem| problem.what == "epoch"), "{what}: {problems:?}");
        instance.stop().await;
    }
}
