//! Requests made at random from the OpenAPI document, some as it wants them and some not quite; every
//! answer must be one that the document describes, and none may be the server's own fault.
//!
//! The same that schemathesis does, without a package to fetch.

mod check;
mod make;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::Value;

use self::make::Maker;
use super::rig::{Answer, Rig};

/// Requests for each operation.
const REQUESTS: u32 = 150;

#[tokio::test]
async fn every_answer_is_one_that_the_document_describes() {
    let rig = Rig::with(&[("API_REQUESTS_PER_MINUTE", "100000")]).await;
    let document = rig.send(Method::GET, "/api/openapi.json", None, &[], None).await.json();
    let mut good = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            // Those of other areas act on things that only their own tests set up.
            if operation["tags"][0] != "errors" {
                continue;
            }
            let method: Method = method.to_uppercase().parse().expect("a method");
            for seed in 0..REQUESTS {
                let mut rng = StdRng::seed_from_u64(u64::from(seed));
                // A third as the document wants it, the others with something odd here and there.
                let oddness = if seed % 3 == 0 { 0.0 } else { rng.random_range(0.05..0.6) };
                let mut maker = Maker { document: &document, rng, oddness };
                let (query, body) = (maker.query(operation), maker.body(operation));
                let path = format!("{path}{query}");
                let headers = [("content-type", "application/json")];
                let headers = if body.is_some() { &headers[..] } else { &[] };
                let answer = rig
                    .send(method.clone(), &path, Some(&rig.a.owner), headers, body.clone())
                    .await;
                let request = format!(
                    "seed {seed}: {method} {path}\n{}",
                    String::from_utf8_lossy(&body.unwrap_or_default())
                );
                check_answer(&document, operation, &answer, &request);
                good += u32::from(answer.status < 300);
            }
        }
    }
    assert!(good > REQUESTS / 10, "only {good} requests were taken, so little was tried");
    rig.instance.stop().await;
}

fn check_answer(document: &Value, operation: &Value, answer: &Answer, request: &str) {
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{request}\nundocumented: {answer:?}");
    assert!(answer.status < 500, "{request}\n{answer:?}");
    let kind = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    let content = &described["content"][&kind];
    assert!(content.is_object(), "{request}\nundocumented media type {kind}: {answer:?}");
    if kind.ends_with("json") {
        let problems = check::against(document, &content["schema"], &answer.json(), "$");
        assert!(problems.is_empty(), "{request}\n{problems:#?}\n{}", answer.text);
    }
}
