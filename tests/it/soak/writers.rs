//! Whoever reports errors: single rows and bulk inserts, duplicates, roll-backs, slow transactions.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::THRESHOLD;
use crate::support::{eventually, stack::Stack};

/// Writers at a time.
pub const COUNT: u64 = 4;

/// Errors of a type of their own, enough for an incident.
pub struct Burst {
    /// The error type.
    pub error_type: String,
    /// When the commit that completed it was known.
    pub committed: Instant,
}

/// Writes until `stop`; returns the bursts that were committed.
pub async fn write(
    stack: Arc<Stack>,
    seed: u64,
    writer: u64,
    stop: CancellationToken,
) -> Vec<Burst> {
    let mut random = StdRng::seed_from_u64(seed ^ (writer + 1));
    let (mut bursts, mut number) = (Vec::new(), 0);
    while !stop.is_cancelled() {
        let pause = Duration::from_millis(random.random_range(20..400));
        sleep(pause).await;
        let dice = random.random_range(0..100);
        // Incidents are told to Slack at one message a second, so bursts are rarer than noise.
        let burst = dice < 6;
        let error_type =
            if burst { format!("system.w{writer}n{number}") } else { "input.noise".to_owned() };
        let rows =
            if burst { random.random_range(THRESHOLD..9) } else { random.random_range(1..20) };
        let roll_back = !burst && dice < 20;
        let linger = (dice % 10 == 9).then(|| Duration::from_millis(random.random_range(0..2_500)));
        let written = async {
            let mut open = stack.admin.begin().await?;
            insert(&mut open, &error_type, rows).await?;
            if let Some(linger) = linger {
                sleep(linger).await;
            }
            if roll_back { open.rollback().await } else { open.commit().await }
        };
        let committed = match written.await {
            Ok(()) => true,
            Err(error) if is_crash(&error) => burst && is_there(&stack, &error_type).await,
            Err(error) => panic!("a writer's transaction: {error}"),
        };
        if burst {
            number += 1;
            if committed {
                bursts.push(Burst { error_type, committed: Instant::now() });
            }
        }
    }
    bursts
}

/// Whether the server went away, and not the statement wrong.
fn is_crash(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        _ => false,
    }
}

/// Whether errors of this type were committed, as soon as the database can say so.
async fn is_there(stack: &Stack, error_type: &str) -> bool {
    let sql = "select exists (select from public.error_metrics where error_type = $1)";
    eventually("the database is back", || async {
        sqlx::query_scalar(sql).bind(error_type).fetch_one(&stack.admin).await.ok()
    })
    .await
}

/// Inserts rows, one of them twice over, as a reporter does that heard no answer.
async fn insert(
    connection: &mut PgConnection,
    error_type: &str,
    rows: usize,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = (0..rows).map(|_| Uuid::now_v7()).collect();
    for ids in [&ids[..], &ids[..1]] {
        sqlx::query(
            "insert into public.error_metrics (error_id, source, error_type, message)
             select id, 'worker', $2, 'it failed' from unnest($1) as id on conflict (error_id) do nothing",
        )
        .bind(ids)
        .bind(error_type)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
