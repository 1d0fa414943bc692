//! Nobody ran for longer than any window: what came meanwhile is decided with the windows of then.

use meshhook_errors::store::Fence;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    PATIENCE,
    db::TestDb,
    eventually,
    stack::{Stack, burst},
};

/// What was counted before the stop, and what came just after it, reach the threshold together; two
/// hours later, when somebody runs again, both have left the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stop_does_not_empty_the_windows() {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    let hook = stack.channel("ops", "webhook").await;
    let rule = json!({"metric": "count", "window_seconds": 60, "warning": 4});
    stack.rule("four errors", rule, &[hook]).await;
    let reporter = stack.reporter(None);
    let instance = stack.daemon_with([]).await;
    reporter.insert_errors(&burst(2, "system.down", 0)).await.expect("errors");
    let saved = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
    eventually("they are saved", async || (stack.number(saved).await == 2).then_some(())).await;
    instance.stop().await;
    reporter.insert_errors(&burst(2, "system.down", 0)).await.expect("errors");
    stack
        .alter(
            "alter table public.error_metrics disable trigger user;
             update public.error_metrics
                set \"timestamp\" = \"timestamp\" - interval '2 h', received_at = received_at - interval '2 h';
             alter table public.error_metrics enable trigger user;
             update error_tracking.leases set expires_at = expires_at - interval '2 h'",
        )
        .await;
    let instance = stack.daemon_with([]).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let message = stack.webhook.next(PATIENCE).await.expect("it fired, and it is over").json();
        told.push(message["type"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(told, ["incident.firing", "incident.resolved"]);
    let lasted =
        "select extract(epoch from resolved_at - fired_at)::bigint from public.alert_incidents
       where fired_at < now() - interval '119 min'";
    let lasted = stack.number(lasted).await;
    assert!((30..=61).contains(&lasted), "{lasted} s");
    instance.stop().await;
}

/// A lease that was given back is not lost, and one that ended is.
#[tokio::test]
async fn a_lease_that_ended_was_lost() {
    let test = TestDb::new().await;
    let db = crate::feed::harness::daemon_db(&test, false);
    let (ttl, limit) = (std::time::Duration::from_millis(400), PATIENCE);
    let take = async |holder| {
        eventually("the lease", async || {
            meshhook_errors::store::lease::acquire(&db, holder, ttl, limit)
                .await
                .expect("an answer")
        })
        .await
    };
    let [first, second, third] = [(); 3].map(|()| Uuid::new_v4());
    assert!(!take(first).await.lost, "there was nobody before");
    assert!(!take(first).await.lost, "it only renews");
    let taken = take(second).await;
    assert!(taken.lost, "the first let it end");
    let fence: Fence = taken.fence;
    meshhook_errors::store::lease::release(&db, &fence, limit).await.expect("it is given back");
    assert!(!take(third).await.lost, "the second gave it back");
}
