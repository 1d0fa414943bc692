//! What people and the daemon do with the same database: start, back-test, reconcile, export, prune.

use std::time::Duration;

use meshhook_errors::{
    clock::Clock,
    model::{Span, Timestamp},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use supabase_local::postgres::Cluster;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    summary::{Line, Summary},
    support::{
        db::TestDb,
        process::{Process, run},
        stack::{Stack, Variables},
    },
};

/// Measures each of them.
pub async fn measure(cluster: &Cluster, database: &str, summary: &mut Summary) {
    let stack = Stack::on(Some(database_of(cluster, database).await), |_| {}).await;
    let mut variables = stack.variables();
    // Deleting is measured by itself.
    variables.insert("RETENTION".to_owned(), "off".to_owned());
    command(&variables, &["check", "--reconcile", &days_ago(2), &days_ago(1)], |time| {
        summary.add(Line::new("check --reconcile, 1 day", "s", time).at_most(10.0));
    })
    .await;
    command(&variables, &["backtest", "Rule 1", "--from", "7d", "--json"], |time| {
        summary.add(Line::new("back-test of a rule, 7 days", "s", time).at_most(5.0));
    })
    .await;
    let began = Instant::now();
    let process = Process::start(variables).await;
    process.until_role("leader").await;
    let line = Line::new("the daemon starts and leads", "s", began.elapsed().as_secs_f64());
    summary.add(line.at_most(10.0));
    summary.add(preview(&stack, &process).await.at_most(5.0));
    summary.add(export(&stack, &process).await);
    summary.add(prune(cluster, database).await.at_most(250.0));
}

/// The bench's database as the tests' support takes it.
async fn database_of(cluster: &Cluster, name: &str) -> TestDb {
    let mut root = PgConnection::connect(&cluster.admin_url(name)).await.expect("a connection");
    let login = format!("alter role error_daemon login password '{}'", cluster.password());
    sqlx::raw_sql(sqlx::AssertSqlSafe(login)).execute(&mut root).await.expect("a password");
    root.close().await.expect("the connection ends");
    TestDb {
        admin_url: cluster.url("postgres", name),
        daemon_url: cluster.url("error_daemon", name),
        authenticator_url: cluster.url("authenticator", name),
        superuser_url: cluster.admin_url(name),
        name: name.to_owned(),
    }
}

/// Runs a subcommand to its end, and passes on how many seconds it took.
async fn command(variables: &Variables, arguments: &[&str], then: impl FnOnce(f64)) {
    let began = Instant::now();
    let output = run(variables, arguments, "").await;
    assert_eq!(output.status, 0, "{arguments:?}: {}{}", output.out, output.err);
    then(began.elapsed().as_secs_f64());
}

fn ago(seconds: i64) -> Timestamp {
    Clock::system().now() - Span::from_secs(seconds)
}

fn days_ago(days: i64) -> String {
    ago(86_400 * days).to_chrono().format("%Y-%m-%d").to_string()
}

/// The back-test behind the form of a rule, which runs while one types.
async fn preview(stack: &Stack, process: &Process) -> Line {
    let rule = json!({ "rule": {
        "name": "New", "metric": "count", "window_seconds": 300, "warning": 50,
        "group_by": ["fingerprint"],
    }, "from": ago(7 * 86_400).to_string(), "to": ago(0).to_string() });
    let token = stack.user_token(admin());
    let began = Instant::now();
    let request = reqwest::Client::new().post(format!("{}/api/alert-rules/preview", process.url()));
    let answer = request.bearer_auth(token).json(&rule).send().await.expect("an answer");
    let (status, body) = (answer.status(), answer.json::<Value>().await);
    let time = began.elapsed().as_secs_f64();
    let worked = status.is_success();
    if !worked {
        println!("        the preview was refused: {status} {body:?}");
    }
    Line::new(
        "back-test of the rule form, 7 days by group",
        "s",
        if worked { time } else { f64::MAX },
    )
}

/// The errors of a day as CSV through the API.
async fn export(stack: &Stack, process: &Process) -> Line {
    let token = stack.user_token(admin());
    let url = format!("{}/api/error-metrics?from={}", process.url(), ago(86_400));
    let began = Instant::now();
    let request = reqwest::Client::new().get(url).bearer_auth(token).header("accept", "text/csv");
    let answer = request.timeout(Duration::from_secs(600)).send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert!(status.is_success(), "{status} {text}");
    let rows = text.lines().count().saturating_sub(1);
    let name = format!("API: {rows} errors as CSV");
    Line::new(name, "rows/s", rows as f64 / began.elapsed().as_secs_f64()).at_least(5_000.0)
}

/// One batch of a deletion as the leader does it, of 5,000 errors older than 30 days. It is taken back,
/// so that the next run finds them again.
async fn prune(cluster: &Cluster, database: &str) -> Line {
    let mut root = PgConnection::connect(&cluster.admin_url(database)).await.expect("a connection");
    let mut transaction = root.begin().await.expect("a transaction");
    let began = Instant::now();
    let deleted: i64 =
        sqlx::query_scalar("select deleted from error_tracking.prune('events', 5000)")
            .fetch_one(&mut *transaction)
            .await
            .expect("a batch is deleted");
    let time = began.elapsed().as_secs_f64() * 1e3;
    transaction.rollback().await.expect("it is taken back");
    Line::new(format!("retention: a batch of {deleted} errors"), "ms", time)
}

/// The global admin that `fill.sql` makes.
fn admin() -> Uuid {
    // PostgreSQL's `md5('admin')::uuid`.
    Uuid::from_u128(0x2123_2f29_7a57_a5a7_4389_4a0e_4a80_1fc3)
}
