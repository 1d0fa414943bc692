//! Batches on one connection, by the statement that PostgREST makes of a request.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use supabase_local::project::{DATABASE, Project};
use tokio::time::Instant;

use crate::{Events, Kind, PLAIN, REAL, median};

/// Rows of a batch.
const BATCH: usize = 500;
const ROUNDS: usize = 30;
/// Batches before those that count: plans, caches, and the first pages of the table.
const WARM_UP: usize = 3;

/// Into the table without a trigger, and into the real one.
pub(crate) async fn rows_a_second(project: &Project, events: &mut Events, kind: Kind) -> [f64; 2] {
    // PostgREST logs in as this role, which may do nothing but become another.
    let url = project.cluster.url("authenticator", DATABASE);
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    // The role's own limit of 8 s is for requests, and would end the benchmark on a busy machine.
    sqlx::query("set statement_timeout = 0").execute(&mut connection).await.expect("no time-out");
    let claims = events.claims().to_string();
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..WARM_UP + ROUNDS {
        for (table, seconds) in [PLAIN, REAL].into_iter().zip(&mut seconds) {
            let body = events.rows(kind, BATCH);
            let took = insert(&mut connection, table, &claims, &body).await;
            if round >= WARM_UP {
                seconds.push(took);
            }
        }
    }
    connection.close().await.expect("the connection ends");
    seconds.map(|seconds| BATCH as f64 / median(seconds))
}

/// One request's transaction, in seconds, its end included.
async fn insert(connection: &mut PgConnection, table: &str, claims: &str, body: &str) -> f64 {
    let began = Instant::now();
    let mut transaction = connection.begin().await.expect("a transaction");
    sqlx::query(
        "select set_config('search_path', '\"public\", \"extensions\"', true),
                set_config('role', 'error_reporter', true), set_config('request.jwt.claims', $1, true),
                set_config('request.method', 'POST', true), set_config('request.path', '/error_metrics', true)",
    )
    .bind(claims)
    .execute(&mut *transaction)
    .await
    .expect("the role of a reporter");
    let columns = "\"error_id\", \"error_type\", \"message\", \"metadata\", \"project_id\", \"severity\", \
                   \"source\", \"timestamp\", \"workflow_id\"";
    let sql = format!(
        "with pgrst_source as (
           insert into public.{table} ({columns})
           select {columns}
             from (select $1::json as json_data) as pgrst_payload, lateral (
               select {columns} from json_to_recordset(pgrst_payload.json_data) as _(\"error_id\" uuid,
                 \"error_type\" character varying, \"message\" text, \"metadata\" jsonb, \"project_id\" uuid,
                 \"severity\" public.error_severity, \"source\" character varying,
                 \"timestamp\" timestamp with time zone, \"workflow_id\" uuid)) as pgrst_body
           on conflict (\"error_id\") do nothing returning 1)
         select count(*) from pgrst_source"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(body).fetch_one(&mut *transaction).await;
    let stored: i64 = row.expect("the batch is taken").get(0);
    transaction.commit().await.expect("the transaction ends");
    let took = began.elapsed().as_secs_f64();
    assert_eq!(stored, BATCH as i64, "{table}");
    took
}
