//! Everything at once: writers, misbehaving servers and receivers, kills, stops and takeovers, and a
//! balance at the end.
//! What one fault does alone is tested elsewhere; nothing here may know how the daemon works inside.
//! The length and the seed come in; the balance goes out.

mod balance;
mod chaos;
mod writers;

use std::{sync::Arc, time::Duration};

use meshhook_errors::store::{PoolOptions, pool, rules};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

pub use self::balance::Balance;
use self::{chaos::Chaos, writers::Burst};
use crate::support::{
    db::{OwnServer, switch},
    stack::Stack,
};

/// Errors of a burst at which the rule fires.
const THRESHOLD: usize = 3;
/// How long everything may take to come to rest at the end: a message that was refused twice waits for
/// half a minute.
const REST: Duration = Duration::from_secs(150);
/// A campaign goes on until it has seen so many faults.
const LEAST_FAULTS: u64 = 3;

/// `SOAK_SEED`, which plays the same dice again, or dice of its own.
pub fn seed() -> u64 {
    let given = switch("SOAK_SEED").and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
}

/// Runs the campaign for `length`; prints what it does to standard error.
pub async fn run(length: Duration, seed: u64) -> Balance {
    eprintln!("soak: {} s, SOAK_SEED={seed}", length.as_secs());
    let (server, db) = OwnServer::start().await;
    let stack = Stack::on(Some(db), |_| {}).await;
    let slack = stack.channel("slack", "slack").await;
    let hook = stack.channel("webhook", "webhook").await;
    let mail = stack.channel("email", "email").await;
    // Every burst is a group of its own and comes once, so it is an incident of its own, once.
    let rule = json!({
        "metric": "count", "window_seconds": 60, "warning": THRESHOLD,
        "error_types": ["system"], "group_by": ["error_type"],
    });
    let rule = stack.rule("bursts", rule, &[slack, hook, mail]).await;

    let stack = Arc::new(stack);
    let stop = CancellationToken::new();
    let mut chaos = Chaos::begin(Arc::clone(&stack), server, seed).await;
    let fences = balance::fence(&stack).await;
    let mut running: JoinSet<Vec<Burst>> = JoinSet::new();
    for writer in 0..writers::COUNT {
        running.spawn(writers::write(Arc::clone(&stack), seed, writer, stop.clone()));
    }
    let end = Instant::now() + length;
    while Instant::now() < end || chaos.faults() < LEAST_FAULTS {
        chaos.one_more(end).await;
    }
    stop.cancel();
    let bursts: Vec<Burst> = running.join_all().await.into_iter().flatten().collect();
    chaos.heal().await;
    balance::come_to_rest(&stack, REST).await;
    let db = pool::connect(&stack.variables()["DATABASE_URL"], &PoolOptions::default());
    let book = rules::load(&db.expect("an address"), REST).await.expect("the rules");
    // Whatever still fires ends with its rule.
    let end = "update public.alert_rules set enabled = false where rule_id = $1";
    stack.execute(end, rule).await;
    balance::come_to_rest(&stack, REST).await;
    let balance = balance::draw_up(&stack, book.rules, &bursts, fences, chaos.faults()).await;
    chaos.end().await;
    balance
}
