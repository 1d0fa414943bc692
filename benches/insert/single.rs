//! Single rows through the local REST server, as a reporter sends them.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use supabase_local::{jwt::sign_hs256, project::Project};
use tokio::time::{Instant, sleep};

use crate::{Events, Kind, PLAIN, REAL, median};

const ROUNDS: usize = 400;
const WARM_UP: usize = 50;
/// How long the server may take to notice the new table.
const PATIENCE: Duration = Duration::from_secs(20);

/// Into the table without a trigger, and into the real one.
pub(crate) async fn microseconds(project: &Project, events: &mut Events, kind: Kind) -> [f64; 2] {
    let secret = project.supabase.jwt_secret();
    let token = sign_hs256(secret, &events.claims()).expect("a token");
    let rest = Rest { client: Client::new(), url: project.supabase.url(), token };
    let began = Instant::now();
    while rest.insert(PLAIN, events.rows(kind, 1)).await != StatusCode::CREATED {
        assert!(began.elapsed() < PATIENCE, "the REST server does not know {PLAIN}");
        sleep(Duration::from_millis(50)).await;
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..WARM_UP + ROUNDS {
        for (table, times) in [PLAIN, REAL].into_iter().zip(&mut times) {
            let body = events.rows(kind, 1);
            let began = Instant::now();
            let status = rest.insert(table, body).await;
            let took = began.elapsed().as_secs_f64() * 1e6;
            assert_eq!(status, StatusCode::CREATED, "{table}");
            if round >= WARM_UP {
                times.push(took);
            }
        }
    }
    times.map(median)
}

struct Rest {
    client: Client,
    url: String,
    token: String,
}

impl Rest {
    async fn insert(&self, table: &str, body: String) -> StatusCode {
        let request = self
            .client
            .post(format!("{}/rest/v1/{table}?on_conflict=error_id", self.url))
            .bearer_auth(&self.token)
            .header("prefer", "return=minimal,resolution=ignore-duplicates")
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        // Read to its end, so that the connection can be used again.
        answer.bytes().await.expect("the answer's body");
        status
    }
}
