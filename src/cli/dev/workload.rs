//! The demo workload: workers of two projects that start runs, fail now and then, and once a minute
//! fail all at once.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock::Clock,
    model::{Severity, Source, Span},
    rest::{NewErrorEvent, RestClient},
};

/// A workflow of the seed data, and how it tends to fail.
struct Workflow {
    id: Uuid,
    project: Uuid,
    failures: &'static [Failure],
}

struct Failure {
    error_type: &'static str,
    severity: Severity,
    message: &'static str,
}

const ACME: Uuid = Uuid::from_u128(0xac3e_0000_0000_4000_8000_0000_0000_0001);
const GLOBEX: Uuid = Uuid::from_u128(0x910b_e000_0000_4000_8000_0000_0000_0002);

/// Messages carry what real ones carry, addresses and tokens included: the database masks them.
const WORKFLOWS: &[Workflow] = &[
    Workflow {
        id: Uuid::from_u128(0xf10e_0000_0000_4000_8000_0000_0000_0001),
        project: ACME,
        failures: &[
            Failure {
                error_type: "execution.timeout",
                severity: Severity::Medium,
                message: "GET https://api.acme.example/orders timed out after {n} ms",
            },
            Failure {
                error_type: "execution.http",
                severity: Severity::High,
                message: "order service answered 503 for customer buyer{n}@example.com",
            },
        ],
    },
    Workflow {
        id: Uuid::from_u128(0xf10e_0000_0000_4000_8000_0000_0000_0002),
        project: ACME,
        failures: &[
            Failure {
                error_type: "execution.http",
                severity: Severity::High,
                message: "payment gateway refused capture {n}: insufficient funds",
            },
            Failure {
                error_type: "input.schema",
                severity: Severity::Low,
                message: "amount must be a number, got \"{n},00\"",
            },
        ],
    },
    Workflow {
        id: Uuid::from_u128(0xf10e_0000_0000_4000_8000_0000_0000_0004),
        project: GLOBEX,
        failures: &[Failure {
            error_type: "execution.parse",
            severity: Severity::Medium,
            message: "unexpected token < in JSON at position {n}",
        }],
    },
    Workflow {
        id: Uuid::from_u128(0xf10e_0000_0000_4000_8000_0000_0000_0005),
        project: GLOBEX,
        failures: &[Failure {
            error_type: "execution.connection",
            severity: Severity::High,
            message: "connection to 10.0.{n}.7:5432 refused",
        }],
    },
];

/// Seconds between bursts.
const BURST_EVERY: u64 = 60;

/// Sends errors through HTTP, as workers do.
pub struct Workload {
    client: Arc<RestClient>,
    /// Runs go straight to the table, as those of MeshHook's workers do.
    runs: PgPool,
    clock: Clock,
}

impl Workload {
    /// A workload that reports through `client`.
    #[must_use]
    pub const fn new(client: Arc<RestClient>, runs: PgPool, clock: Clock) -> Self {
        Self { client, runs, clock }
    }

    /// Works until `cancel` is cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut every_second = time::interval(Duration::from_secs(1));
        for second in 1_u64.. {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every_second.tick() => {}
            }
            let burst = second % BURST_EVERY == 15;
            if let Err(error) = self.second(burst).await {
                tracing::warn!(%error, "the demo workload could not report");
            }
        }
    }

    async fn second(&self, burst: bool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let events = {
            let mut random = rand::rng();
            let mut events = Vec::new();
            if random.random_bool(0.3) {
                let workflow = &WORKFLOWS[random.random_range(0..WORKFLOWS.len())];
                events.push(self.event(workflow, Span::ZERO));
            }
            if burst {
                let workflow = &WORKFLOWS[random.random_range(0..WORKFLOWS.len())];
                let count = random.random_range(25..80);
                events.extend((0..count).map(|_| self.event(workflow, Span::ZERO)));
            }
            events
        };
        for workflow in WORKFLOWS {
            sqlx::query(
                "insert into public.workflow_runs (project_id, workflow_id, status) \
                 select $1, $2, 'running' from generate_series(1, 2)",
            )
            .bind(workflow.project)
            .bind(workflow.id)
            .execute(&self.runs)
            .await?;
        }
        self.client.insert_errors(&events).await?;
        Ok(())
    }

    fn event(&self, workflow: &Workflow, age: Span) -> NewErrorEvent {
        let mut random = rand::rng();
        let failure = &workflow.failures[random.random_range(0..workflow.failures.len())];
        error_event(workflow, failure, self.clock.database_now() - age, random.random_range(1..255))
    }
}

/// A burst of `count` errors of one workflow that happened `age` ago; for `--smoke`.
#[must_use]
pub fn burst(clock: &Clock, count: u16, age: Span) -> Vec<NewErrorEvent> {
    let workflow = &WORKFLOWS[0];
    let at = clock.database_now() - age;
    (0..count).map(|n| error_event(workflow, &workflow.failures[0], at, n)).collect()
}

fn error_event(
    workflow: &Workflow,
    failure: &Failure,
    at: crate::model::Timestamp,
    n: u16,
) -> NewErrorEvent {
    NewErrorEvent {
        error_id: Uuid::now_v7(),
        timestamp: Some(at),
        source: Source::Worker,
        error_type: failure.error_type.to_owned(),
        severity: Some(failure.severity),
        workflow_id: Some(workflow.id),
        project_id: None,
        message: Some(failure.message.replace("{n}", &n.to_string())),
        metadata: metadata(n),
    }
}

fn metadata(n: u16) -> Value {
    json!({
        "node": format!("step-{}", n % 5),
        "attempt": n % 3 + 1,
        "request": {"method": "GET", "headers": {"Authorization": "Bearer not-a-real-token-at-all"}},
    })
}
