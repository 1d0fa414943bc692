//! What the person at the terminal sees: addresses, rates, alerts.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use tokio::time;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::stack::Stack;
use crate::{
    alerting::Inspection,
    feed::FeedStatus,
    sinks::{HttpRequest, Mail},
};

/// Users of the seed data and what they may do.
pub(super) const USERS: &[(&str, &str)] = &[
    ("alice@example.com", "owner of Acme"),
    ("bob@example.com", "owner of Globex"),
    ("vera@example.com", "viewer of Acme"),
    ("rita@example.com", "responder of Acme"),
    ("adam@example.com", "admin of Acme"),
    ("olga@example.com", "admin of everything"),
];

/// Password of all of them.
pub(super) const PASSWORD: &str = "meshhook-demo";

/// Where a terminal is not a screen, rates are printed this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Alerts are waited for without end; the other branches go on meanwhile.
const ANY_TIME: Duration = Duration::from_secs(86_400);

/// Prints addresses and sign-in data; `dashboard` is its address, or why there is none.
pub fn announce(stack: &Stack, dashboard: Result<&str, &str>) {
    let supabase = &stack.project.supabase;
    println!("ready\n");
    match dashboard {
        Ok(url) => println!("  dashboard          {url}/errors"),
        Err(reason) => println!("  dashboard          not available: {reason}"),
    }
    println!("  API and Realtime   {}", supabase.url());
    println!("  anon key           {}", supabase.anon_key());
    println!(
        "  database           {}",
        stack.project.cluster.url("postgres", supabase_local::project::DATABASE)
    );
    println!("  daemon             http://{}/readyz  /metrics", stack.daemon.address());
    println!("  Slack sink         {}", stack.slack.url("/"));
    println!("  mail sink          {}", stack.mail.url());
    println!("\n  sign in with password {PASSWORD} as");
    for (email, role) in USERS {
        println!("    {email:<20} {role}");
    }
    println!("\n  a burst of errors comes every minute; Ctrl-C stops everything\n");
}

/// Shows rates and alerts until `cancel`.
pub async fn follow(stack: &Stack, cancel: &CancellationToken) {
    let screen = std::io::stdout().is_terminal();
    let mut every = time::interval(if screen { Duration::from_secs(1) } else { PLAIN_EVERY });
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = every.tick() => {
                let Some(state) = stack.daemon.decider().inspect().await else { break };
                let line = rates(&state, &stack.daemon.feed().borrow());
                if screen {
                    print!("\r\x1b[2K{line}");
                    let _ = std::io::stdout().flush();
                } else {
                    println!("{line}");
                }
            }
            Some(request) = stack.slack.next(ANY_TIME) => alert(screen, "slack", &slack(&request)),
            Some(request) = stack.workspace.http().next(ANY_TIME) => alert(screen, "bot", &bot(&request)),
            Some(request) = stack.pager.http().next(ANY_TIME) => alert(screen, "pager", &pager(&request)),
            Some(request) = stack.webhook.next(ANY_TIME) => alert(screen, "webhook", &webhook(&request)),
            Some(letter) = stack.mail.next(ANY_TIME) => alert(screen, "e-mail", &mail(&letter)),
        }
    }
    println!("\nstopping");
}

fn alert(screen: bool, medium: &str, text: &str) {
    let clear = if screen { "\r\x1b[2K" } else { "" };
    println!("{clear}  ▶ {medium:<8} {text}");
}

fn slack(request: &HttpRequest) -> String {
    request.json()["text"].as_str().unwrap_or("(no text)").replace('\n', " · ")
}

/// A call of Slack's Web API: what is posted, changed or answered.
fn bot(request: &HttpRequest) -> String {
    let method = request.path.rsplit('/').next().unwrap_or_default();
    let place = if request.json()["thread_ts"].is_null() { "" } else { " in the thread" };
    format!("{method}{place}: {}", slack(request))
}

fn pager(request: &HttpRequest) -> String {
    let event = request.json();
    let word = |pointer: &str| {
        event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    format!("{} {} {}", word("/event_action"), word("/dedup_key"), word("/payload/summary"))
}

fn webhook(request: &HttpRequest) -> String {
    let body = request.json();
    let word = |pointer: &str| {
        body.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    format!("{} {}", word("/type"), word("/data/incident/rule/name"))
}

fn mail(letter: &Mail) -> String {
    format!("to {}: {}", letter.to.join(", "), letter.header("Subject").unwrap_or_default())
}

fn rates(state: &Inspection, feed: &FeedStatus) -> String {
    let mut parts: Vec<String> = state
        .rates
        .iter()
        .map(|rates| format!("{} {}/min", project(rates.project_id), rates.total_1m))
        .collect();
    parts.push(format!("open incidents {}", state.open.len()));
    parts.push(format!("counted {}", feed.rows_counted));
    parts.push(if feed.deaf {
        "socket deaf".to_owned()
    } else if feed.subscribed {
        "socket subscribed".to_owned()
    } else {
        "socket down".to_owned()
    });
    if let Some(through) = feed.complete_through {
        let time = through.to_chrono().format("%H:%M:%S");
        parts.push(format!("complete through {time}, {} holes", feed.open_holes));
    }
    parts.join("   ")
}

fn project(id: Option<Uuid>) -> String {
    match id.map(|id| id.to_string()).as_deref() {
        Some("ac3e0000-0000-4000-8000-000000000001") => "Acme".to_owned(),
        Some("910be000-0000-4000-8000-000000000002") => "Globex".to_owned(),
        Some(id) => id.to_owned(),
        None => "platform".to_owned(),
    }
}
