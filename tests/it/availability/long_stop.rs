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

/// Two hours pass while nobody runs.
const LATER: &str = "alter table public.error_metrics disable trigger user;
     update public.error_metrics
        set \"timestamp\" = \"timestamp\" - interval '2 h', received_at = received_at - interval '2 h';
     alter table public.error_metrics enable trigger user;
     update error_tracking.leases set expires_at = expires_at - interval '2 h'";

const SAVED: &str = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";

/// The next two messages say that the incident fired, and that it ended when its errors had left the
/// window, two hours ago.
async fn fired_and_ended_then(stack: &Stack) {
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
}

async fn stack_with_a_rule() -> Stack {
    let stack = Stack::on(Some(TestDb::new().await), |_| {}).await;
    let hook = stack.channel("ops", "webhook").await;
    let rule = json!({"metric": "count", "window_seconds": 60, "warning": 4});
    stack.rule("four errors", rule, &[hook]).await;
    stack
}

/// What was counted before the stop, and what came just after it, reach the threshold together; two
/// hours later, when somebody runs again, both have left the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stop_does_not_empty_the_windows() {
    let stack = stack_with_a_rule().await;
    let reporter = stack.reporter(None);
    let instance = stack.daemon_with([]).await;
    reporter.insert_errors(&burst(2, "system.down", 0)).await.expect("errors");
    eventually("they are saved", async || (stack.number(SAVED).await == 2).then_some(())).await;
    instance.stop().await;
    reporter.insert_errors(&burst(2, "system.down", 0)).await.expect("errors");
    stack.alter(LATER).await;
    let instance = stack.daemon_with([]).await;
    fired_and_ended_then(&stack).await;
    instance.stop().await;
}

/// Incidents cannot be written at the moment, and every attempt is counted.
const STUCK: &str = "create sequence public.tries;
     create function public.stuck() returns trigger language plpgsql security definer set search_path = '' as $$
     begin
       perform nextval('public.tries');
       raise exception 'not now' using errcode = 'serialization_failure';
     end $$;
     create trigger stuck before insert on public.alert_incidents for each row execute function public.stuck()";

const TRIES: &str = "select case when is_called then last_value else 0 end from public.tries";

/// An error whose decision is not written is not history: whoever runs next, and be it when the
/// window is long empty, decides about it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_and_not_written_is_decided_again() {
    let stack = stack_with_a_rule().await;
    stack.alter(STUCK).await;
    let reporter = stack.reporter(None);
    let instance = stack.daemon_with([]).await;
    reporter.insert_errors(&burst(1, "system.down", 0)).await.expect("errors");
    eventually("it is saved", async || (stack.number(SAVED).await == 1).then_some(())).await;
    reporter.insert_errors(&burst(3, "system.down", 0)).await.expect("errors");
    // By then they would have been saved: every second something is, where there is something.
    eventually("it was tried", async || (stack.number(TRIES).await >= 3).then_some(())).await;
    assert_eq!(stack.number(SAVED).await, 1, "nothing came of the first, and it is history");
    instance.stop().await;
    assert_eq!(stack.number(SAVED).await, 1);
    stack.alter("drop trigger stuck on public.alert_incidents").await;
    stack.alter(LATER).await;
    let instance = stack.daemon_with([]).await;
    fired_and_ended_then(&stack).await;
    let all = async || (stack.number(SAVED).await == 4).then_some(());
    eventually("all of them are saved", all).await;
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
