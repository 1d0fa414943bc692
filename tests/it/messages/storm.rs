//! A thousand groups of one rule fire within ten seconds, through the whole daemon: few messages, each
//! group named or counted, nothing lost, and the same at the end.

use std::{collections::BTreeSet, time::Duration};

use meshhook_errors::{
    clock::Clock,
    model::Span,
    sinks::{HttpRequest, SlackWorkspace},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::slack_bot::{ROOM, TOKEN};
use crate::support::{
    eventually,
    stack::{Stack, at, event},
    stalls::net,
};

const GROUPS: usize = 1_000;
const STEPS: usize = 100;

fn name(n: usize) -> String {
    format!("execution.g{n:04}")
}

/// Groups that a Slack message names, and how many it only counts.
fn groups_in(blocks: &Value) -> (Vec<String>, usize) {
    let text = blocks.to_string();
    let named = text
        .match_indices("execution.g")
        .filter_map(|(at, found)| text.get(at..at + found.len() + 4).map(str::to_owned));
    let counted = text
        .split(" more")
        .filter_map(|part| {
            part.rsplit([' ', '"', 'n']).next()?.replace(',', "").parse::<usize>().ok()
        })
        .sum();
    (named.collect(), counted)
}

fn check(what: &str, messages: &[Value], resolved: usize) {
    let (mut named, mut counted) = (Vec::new(), 0);
    for blocks in messages {
        let (names, more) = groups_in(blocks);
        named.extend(names);
        counted += more;
    }
    let unique: BTreeSet<_> = named.iter().collect();
    eprintln!("{what}: {} messages, {} named, {counted} counted", messages.len(), unique.len());
    assert!(messages.len() <= 15, "{what}: {} messages", messages.len());
    assert_eq!(named.len() + counted, resolved, "{what}: each group is told once");
    assert_eq!(unique.len(), named.len(), "{what}: nobody is named twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_groups_at_once_are_told_in_few_messages() {
    let stack = Stack::start().await;
    let workspace = SlackWorkspace::start(TOKEN, &[ROOM]).await.expect("a workspace");
    let incoming = stack.channel("incoming", "slack").await;
    let mail = stack.channel("mail", "email").await;
    let bot = stack.bot_channel("bot", ROOM, TOKEN).await;
    let fields = json!({"group_by": ["error_type"], "window_seconds": 60, "critical": 1, "reminder_seconds": 0});
    stack.rule("Storm", fields, &[incoming, mail, bot]).await;
    let instance = stack.daemon_with([("SLACK_API_URL", &*workspace.api_url())]).await;
    let reporter = stack.reporter(None);

    let began = Instant::now();
    // Old enough to leave the window while the test still watches.
    let then = Clock::system().now() - Span::from_secs(28);
    for step in 0..STEPS {
        sleep_until(began + Duration::from_millis(100 * step as u64)).await;
        let errors: Vec<_> = (0..GROUPS / STEPS)
            .map(|n| at(event(None, &name(step * GROUPS / STEPS + n), "storm"), then))
            .collect();
        reporter.insert_errors(&errors).await.expect("the errors are taken");
        if step == 0 {
            let first = stack.slack.next(Duration::from_secs(20)).await.expect("the first message");
            let late = net(began, first.received_at);
            eprintln!("first message after {} ms", late.as_millis());
            assert!(late < Duration::from_secs(5), "{late:?}");
        }
    }
    let wrote = began.elapsed();
    assert!(
        wrote.as_secs() < 30,
        "written in {wrote:?}, too late for a window that ends after 32 s"
    );
    let unsent = async |transition: &'static str| {
        let (sent, all): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where state = 'sent'), count(*) from public.alert_notifications where transition = $1",
        )
        .bind(transition)
        .fetch_one(&stack.admin)
        .await
        .expect("the outbox");
        (all == 3 * GROUPS as i64 && sent == all).then_some(())
    };
    eventually("all are told", async || unsent("firing").await).await;
    eprintln!("wrote for {wrote:?}, all were told after {:?}", began.elapsed());
    let blocks = |requests: &[HttpRequest]| -> Vec<Value> {
        requests.iter().map(|request| request.json()["blocks"].clone()).collect()
    };
    let told = stack.slack.requests();
    check("incoming webhook, firing", &blocks(&told), GROUPS);
    let posted = workspace.messages();
    let firing: Vec<_> = posted.iter().map(|message| message.blocks.clone()).collect();
    check("bot, firing", &firing, GROUPS);
    let mails = stack.mail.mails().len();
    assert!(mails <= 15, "{mails} mails");

    eventually("the end begins", async || {
        let ended =
            "select count(*) > 0 from public.alert_notifications where transition = 'resolved'";
        let ended: bool =
            sqlx::query_scalar(ended).fetch_one(&stack.admin).await.expect("the outbox");
        ended.then_some(())
    })
    .await;
    eventually("all have ended", async || unsent("resolved").await).await;
    check("incoming webhook, resolved", &blocks(&stack.slack.requests()[told.len()..]), GROUPS);
    let ended: Vec<_> =
        workspace.messages()[posted.len()..].iter().map(|message| message.blocks.clone()).collect();
    check("bot, resolved", &ended, GROUPS);
    let mails = stack.mail.mails().len() - mails;
    assert!(mails <= 15, "{mails} mails at the end");
    instance.stop().await;
}
