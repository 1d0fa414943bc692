//! What an insert costs on a real PostgreSQL: into a plain table, into `error_metrics` with nothing to
//! mask, and with something to mask; in bulk on one connection, 1 KB of metadata a row.
//!
//! Budgets: at least 5,000 rows/s, and 10,000 where nothing needs masking.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use supabase_local::project::{DATABASE, Project, ProjectOptions};
use tokio::time::Instant;

mod summary;

use summary::{Line, Summary};

const ROWS: u32 = 5_000;
const ROUNDS: u32 = 5;

/// About 1 KB; `secrets` adds a header, a password and an address.
fn rows(secrets: bool) -> String {
    let (headers, tail, key) = if secrets {
        (
            ", 'headers', jsonb_build_object('authorization', 'Bearer abcdefghijklmnop')",
            " write to bob@example.com",
            ", 'password', 'hunter2'",
        )
    } else {
        ("", "", "")
    };
    format!(
        "select gen_random_uuid() as error_id, 'worker' as source, 'execution.http_status' as error_type,
                'HTTP 503 from ' || n as message, jsonb_build_object('run_id', gen_random_uuid(),
                'node', jsonb_build_object('id', 'n-17', 'type', 'http', 'attempt', 3),
                'request', jsonb_build_object('method', 'POST',
                  'url', 'https://api.example.com/v1/things?page=' || n {headers}),
                'response', jsonb_build_object('status', 503, 'body',
                  repeat('The service is not available at the moment; please try again later. ', 10) || '{tail}'),
                'tags', jsonb_build_array('a', 'b', 'c') {key}) as metadata
           from generate_series(1, {ROWS}) as n"
    )
}

async fn run(connection: &mut PgConnection, sql: &str) -> Duration {
    let began = Instant::now();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect(sql);
    began.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if !summary::measuring() {
        return;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::open(ProjectOptions {
        migrations: Some(root.join("supabase/migrations")),
        install_into: Some(root.join(".dev/embedded-postgres")),
        ..ProjectOptions::default()
    })
    .await
    .expect("a local project");
    let url = project.cluster.url("postgres", DATABASE);
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    run(
        &mut connection,
        "create table public.plain (like public.error_metrics including indexes);
         alter table public.plain alter fingerprint drop not null, alter received_at drop not null,
           alter seq drop not null, alter \"timestamp\" drop not null, alter severity drop not null",
    )
    .await;
    let columns = "error_id, source, error_type, message, metadata";
    let mut plain = None;
    let mut summary = Summary::new("insert");
    for (name, table, secrets, budget) in [
        ("bulk, a plain table", "public.plain", true, None),
        ("bulk, nothing to mask", "public.error_metrics", false, Some(10_000.0)),
        ("bulk, three things to mask", "public.error_metrics", true, Some(5_000.0)),
    ] {
        // Made beforehand: what is measured is the insert.
        let prepare =
            format!("drop table if exists given; create temp table given as {}", rows(secrets));
        let insert = format!("insert into {table} ({columns}) select {columns} from given");
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            run(&mut connection, &prepare).await;
            best = best.min(run(&mut connection, &insert).await);
        }
        let micros = best.as_secs_f64() * 1e6 / f64::from(ROWS);
        let ratio = micros / *plain.get_or_insert(micros);
        let line = Line::new(name, "rows/s", 1e6 / micros).limit(ratio);
        summary.add(match budget {
            Some(budget) => line.at_least(budget),
            None => line,
        });
    }
    summary.write();
    connection.close().await.expect("the connection ends");
}
