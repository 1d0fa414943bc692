//! Each kind of rule from the front door to the receiver: errors go in through PostgREST, a message
//! comes out at Slack, and a restart in between makes no difference.
//! What a kind computes is tested beside the engine; nothing here calls it by itself.
//! Each test has its own deployment from `support::stack`.

mod constraints;
mod counted;
mod runs;

use meshhook_errors::sinks::HttpRequest;
use uuid::Uuid;

use crate::support::{
    eventually,
    letters::{headline, of_channel, request},
    stack::{ALERT_LIMIT, Instance, Stack},
};

/// Waits for a message that contains `text`, and returns its first line.
async fn told(stack: &Stack, text: &str) -> String {
    let found = request(&stack.slack, ALERT_LIMIT * 3, |r| headline(r).contains(text)).await;
    headline(&found)
}

/// How many messages of the channel `ops` contain `text`.
fn count(stack: &Stack, text: &str) -> usize {
    let of: Vec<HttpRequest> = of_channel(&stack.slack, "ops");
    of.iter().filter(|request| headline(request).contains(text)).count()
}

/// Waits until the daemon has counted so many errors.
async fn counted(stack: &Stack, errors: i64) {
    eventually("the errors are counted", || async {
        let sql = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
        (stack.number(sql).await == errors).then_some(())
    })
    .await;
}

/// Waits until the rule's newest incident is in this state.
async fn until_state(stack: &Stack, rule: Uuid, state: &str) {
    let sql = "select state from public.alert_incidents where rule_id = $1 \
               order by started_at desc limit 1";
    eventually(&format!("the incident is {state}"), || async {
        (stack.text_of(sql, rule).await.unwrap_or_default() == state).then_some(())
    })
    .await;
}

/// Stops the instance and starts another one.
async fn restarted(stack: &Stack, instance: Instance) -> Instance {
    instance.stop().await;
    stack.daemon().await
}
