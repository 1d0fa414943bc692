//! What the integration tests share: databases, servers that misbehave on command, waiting for conditions.
//! Nothing here may assert anything about the product, and no test may live here.
//! Switches come in through environment variables, databases and values go out to the tests.

pub mod db;
pub mod external;
pub mod fleet;
pub mod letters;
pub mod process;
pub mod proxy;
pub mod realtime_client;
pub mod realtime_server;
pub mod rest;
pub mod scene;
pub mod stack;
pub mod stalls;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a condition may take before its test fails; generous, because the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `condition` gives a value, and returns it.
///
/// # Panics
/// Naming `what` was waited for, when it did not come within [`PATIENCE`].
#[track_caller]
pub fn eventually<T, F, Fut>(what: &str, mut condition: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what} ({caller})");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Runs statements as they stand; tests that want an answer ask `sqlx` themselves.
///
/// # Panics
/// With PostgreSQL's message.
#[track_caller]
pub fn sql<'a>(pool: &'a sqlx::PgPool, statements: &'a str) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        if let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(pool).await {
            panic!("{error} ({caller})\n{statements}");
        }
    }
}
