//! How long a back-test takes over a week of a million errors with about 1 KB of metadata each, for the
//! kinds of rule that read different columns.
//!
//! `cargo bench --bench backtest`; `BACKTEST_ROWS` sets the number of errors (1,000,000 by default). The
//! budget is 3 s each, from the question to the finished report.

use std::{path::Path, time::Duration};

use meshhook_errors::{
    backtest::{ChannelRef, Request, Restraints, run},
    model::{Level, Rule, Span, Timestamp},
    store::Db,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgPoolOptions, raw_sql};
use supabase_local::{
    migrate::apply_folder,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice},
};

mod summary;

use summary::{Line, Summary};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DATABASE: &str = "backtest";
const WEEK: i64 = 7 * 86_400;
const BUDGET: f64 = 3_000.0;
/// How often each rule is tested; the median counts.
const TIMES: usize = 5;

fn main() {
    if !summary::measuring() {
        return;
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure());
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is configured by its environment")]
fn rows() -> i64 {
    std::env::var("BACKTEST_ROWS").map_or(1_000_000, |rows| rows.parse().expect("a number"))
}

/// The rules, each with what it is to find: the smallest number of incidents.
fn rules(rows: i64) -> [(&'static str, Value, usize); 5] {
    let even = rows * 300 / WEEK;
    [
        ("count", json!({"warning": even + 60}), 7),
        ("count of one type", json!({"error_types": ["execution.oom"], "warning": 50}), 7),
        (
            "count by workflow and type",
            json!({"warning": 50, "group_by": ["workflow", "error_type"]}),
            7,
        ),
        ("new group", json!({"metric": "new_group", "warning": 1}), 7),
        (
            "change by type",
            json!({"metric": "change", "warning": 50, "min_count": 50, "group_by": ["error_type"]}),
            7,
        ),
    ]
}

async fn measure() {
    let rows = rows();
    let binaries = Binaries::find(&PostgresChoice::Auto).expect("a PostgreSQL server");
    let cluster = Cluster::start(ClusterOptions::temporary(binaries)).await.expect("a server");
    let mut summary = Summary::new("backtest");
    let mut root =
        PgConnection::connect(&cluster.admin_url("postgres")).await.expect("a connection");
    let now: i64 = sqlx::query_scalar("select extract(epoch from now())::bigint")
        .fetch_one(&mut root)
        .await
        .expect("the time");
    let from = Timestamp::from_secs(now - WEEK - 3_600);
    fill(&cluster, rows, from).await;
    let pool = PgPoolOptions::new().max_connections(2);
    let pool = pool.connect(&cluster.url("error_daemon", DATABASE)).await.expect("the daemon");
    let db = Db::from(pool.clone());
    for (what, mut columns, least) in rules(rows) {
        columns["name"] = json!(what);
        columns["window_seconds"] = json!(300);
        let channel = ChannelRef {
            channel_id: None,
            name: "ops".to_owned(),
            kind: "webhook".to_owned(),
            min_level: Level::Warning,
            enabled: true,
        };
        let request = Request {
            rule: Rule::from_columns(columns).expect("a rule"),
            channels: vec![channel],
            restraints: Restraints::default(),
            from,
            to: from + Span::from_secs(WEEK),
            suggest: true,
        };
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let report = run(&db, &request, Duration::from_secs(120)).await.expect("a report");
            assert!(report.incidents_total >= least, "{what}: {}", report.incidents_total);
            times.push(report.took_ms);
        }
        times.sort_unstable();
        let median = times.get(TIMES / 2).copied().unwrap_or_default();
        let median = f64::from(u32::try_from(median).unwrap_or(u32::MAX));
        summary.add(Line::new(what, "ms", median).at_most(BUDGET));
    }
    summary.write();
    pool.close().await;
    drop(root);
    cluster.stop().await.expect("the server stops");
}

/// Migrates a database and fills it: even traffic of 500 groups, and each day at noon a burst of a
/// group that is new.
async fn fill(cluster: &Cluster, rows: i64, from: Timestamp) {
    cluster.create_database(DATABASE).await.expect("a database");
    let url = cluster.url("postgres", DATABASE);
    apply_folder(&url, &Path::new(ROOT).join("supabase/migrations")).await.expect("migrations");
    let script = include_str!("backtest/fill.sql")
        .replace("$ROWS", &rows.to_string())
        .replace("$FROM", &format!("to_timestamp({})", from.micros() / 1_000_000));
    let mut admin =
        PgConnection::connect(&cluster.admin_url(DATABASE)).await.expect("a connection");
    let login = format!("alter role error_daemon login password '{}'", cluster.password());
    raw_sql(AssertSqlSafe(login)).execute(&mut admin).await.expect("a password");
    raw_sql(AssertSqlSafe(script)).execute(&mut admin).await.expect("rows");
    // Outside a transaction, as vacuum must be.
    raw_sql("vacuum analyze").execute(&mut admin).await.expect("vacuum");
}
