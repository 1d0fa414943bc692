//! Requests made at random from the OpenAPI document to every operation that it has, some as it wants them
//! and some not quite; every answer must be one that the document describes, failures are problems, and
//! none may be the server's own fault.
//!
//! The same that schemathesis does, without a package to fetch. `FUZZ_SEED` repeats a run, and
//! `FUZZ_SECONDS` makes it a longer one.

mod check;
mod make;
mod world;

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::time::Instant;

use self::world::{Operation, Sent, World};
use super::rig::Answer;
use crate::support::db::switch;

/// Rounds through all operations that are made however long they take.
const LEAST: u64 = 12;
/// More are made within this time, in seconds.
const SECONDS: u64 = 8;

#[tokio::test]
async fn every_answer_is_one_that_the_document_describes() {
    let seed: u64 =
        switch("FUZZ_SEED").map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("FUZZ_SEED={seed}");
    let world = World::new().await;
    let operations = world.operations();
    let mut good: BTreeMap<String, u32> = BTreeMap::new();
    let seconds = switch("FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number"));
    let ends = Instant::now() + Duration::from_secs(seconds);
    let mut made = 0;
    for round in (0..).take_while(|round| *round < LEAST || Instant::now() < ends) {
        for operation in &operations {
            made += 1;
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(made));
            // A third as the document wants it, the others with something odd here and there.
            let oddness = if round % 3 == 0 { 0.0 } else { rng.random_range(0.05..0.6) };
            let sent = world.make(operation, rng, oddness);
            let answer = world.send(operation, &sent).await;
            check_answer(&world.document, operation, &answer, &sent, seed);
            *good.entry(operation.name()).or_default() += u32::from(answer.status < 300);
        }
    }
    println!("{made} requests, of which were taken: {good:?}");
    for (operation, good) in good {
        assert!(good > 0, "{operation}: no request was taken, so little was tried (seed {seed})");
    }
    world.rig.instance.stop().await;
}

fn check_answer(document: &Value, operation: &Operation, answer: &Answer, sent: &Sent, seed: u64) {
    let what = format!("FUZZ_SEED={seed}: {} {sent}\n{answer:?}", operation.name());
    let described = &operation.described["responses"][answer.status.to_string()];
    assert!(described.is_object(), "undocumented status: {what}");
    assert!(answer.status < 500 || may_take_too_long(operation, answer), "{what}");
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    if described["content"].is_null() {
        assert!(answer.status < 400 && answer.text.is_empty(), "undocumented body: {what}");
        return;
    }
    let content = &described["content"][kind];
    assert!(content.is_object(), "undocumented media type: {what}");
    if answer.status >= 400 && kind != "text/html" {
        assert_eq!(kind, "application/problem+json", "{what}");
        assert_eq!(answer.json()["status"], answer.status, "{what}");
    }
    if kind.ends_with("json") {
        let problems = check::against(document, &content["schema"], &answer.json(), "$");
        assert!(problems.is_empty(), "{problems:#?}: {what}");
    }
}

/// Looking through history has a time limit, which a busy machine may reach.
fn may_take_too_long(operation: &Operation, answer: &Answer) -> bool {
    let looks_back = operation.path.ends_with("/preview") || operation.path.ends_with("/explain");
    looks_back && answer.status == 503
}
