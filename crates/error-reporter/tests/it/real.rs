//! Both reporters against the real schema, through the local REST server.

use std::{path::PathBuf, process::Stdio, sync::atomic::Ordering, time::Duration};

use error_reporter::{Context, Flushed, Options, Reporter};
use serde_json::Value;
use sqlx::{PgConnection, Row};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::sleep,
};
use uuid::Uuid;

use crate::support::{
    Folder, boom,
    database::{Database, repository, token},
    front::Front,
};

const ALL: Flushed = Flushed { delivered: true, pending: 0 };
/// How long the server is away.
const AWAY: Duration = Duration::from_secs(5);
/// Answers that are lost after the rows were stored, before and after that.
const LOST: usize = 3;

async fn count(connection: &mut PgConnection, like: &'static str) -> (i64, i64) {
    let query = "select count(*), count(distinct metadata ->> 'i') from error_metrics where message like $1";
    let row = sqlx::query(query).bind(like).fetch_one(connection).await.unwrap();
    (row.get(0), row.get(1))
}

/// Once the first rows are there, loses answers, takes the server away for a while in the middle of
/// whatever it does, and loses answers again.
async fn interrupt(database: &Database, front: &mut Front, like: &'static str) {
    let mut connection = database.connect().await;
    front.lose(LOST);
    while count(&mut connection, like).await.0 < 1000 {
        sleep(Duration::from_millis(20)).await;
    }
    front.cut().await;
    sleep(AWAY).await;
    front.lose(LOST);
    front.open().await;
}

/// The example beside the test's own binary. `cargo test` puts it there, unless it was told which
/// targets to build; then it is built now.
async fn rust_example() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().with_file_name("examples").join("ten_thousand");
    if !path.exists() {
        let arguments = ["build", "--quiet", "-p", "error-reporter", "--example", "ten_thousand"];
        let built = Command::new(env!("CARGO")).args(arguments).status().await.unwrap();
        assert!(built.success() && path.exists(), "cargo {arguments:?}: no {}", path.display());
    }
    path
}

async fn captures_ten_thousand(mut program: Command, like: &'static str, max_mib: u64) {
    let database = Database::start().await;
    let server = database.serve(0).await;
    let mut front = Front::start(server.port).await;
    let folder = Folder::new();
    let mut child = program
        .env("SUPABASE_URL", front.url())
        .env("ERROR_REPORTER_TOKEN", token(None))
        .env("ERROR_REPORTER_SPOOL", &folder.0)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let (line, ()) = tokio::join!(output.next_line(), interrupt(&database, &mut front, like));
    let result: Value = serde_json::from_str(&line.unwrap().expect("a line of result")).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(result["all"], true, "{result}");
    assert_eq!(result["dropped"], 0, "{result}");
    let mut connection = database.connect().await;
    assert_eq!(count(&mut connection, like).await, (10_000, 10_000));
    assert_eq!(folder.lines(), 0);
    assert_eq!(front.lost.load(Ordering::Acquire), 2 * LOST, "answers were lost");
    let memory = result["max_rss_mib"].as_u64().unwrap();
    println!("largest resident size: {memory} MiB");
    assert!(memory < max_mib, "{memory} MiB");
    front.cut().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_reporter_loses_and_doubles_nothing_while_the_server_fails() {
    captures_ten_thousand(Command::new(rust_example().await), "rust event %", 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_reporter_loses_and_doubles_nothing_while_the_server_fails() {
    let mut node = Command::new("node");
    node.arg(repository().join("packages/error-reporter/examples/ten-thousand.mjs"));
    captures_ten_thousand(node, "node event %", 220).await;
}

/// What the reporters send is what the database wants, and what it thinks of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_schema_takes_rows_refuses_bad_ones_and_masks_what_is_left() {
    let database = Database::start().await;
    let server = database.serve(0).await;
    let mut connection = database.connect().await;
    let (ours, theirs) = (Uuid::new_v4(), Uuid::new_v4());
    for project in [ours, theirs] {
        let query = "insert into projects (id, owner, name) values ($1, gen_random_uuid(), 'p')";
        sqlx::query(query).bind(project).execute(&mut connection).await.unwrap();
    }
    let mut options = Options::new(server.url().parse().unwrap(), token(Some(ours)).as_str());
    options.batch_delay = Duration::from_millis(20);
    let reporter = Reporter::start(options).unwrap();
    let fine = reporter.capture(&boom("fine"), Context::new().with("password", "x")).unwrap();
    let foreign = reporter.capture(&boom("foreign"), Context::new().project(theirs)).unwrap();
    let unknown = Uuid::new_v4();
    let lost = reporter.capture(&boom("lost workflow"), Context::new().workflow(unknown)).unwrap();
    let odd =
        reporter.capture(&boom("nul\0 and \u{fffe}"), Context::new().with("k\0", "\0")).unwrap();
    assert_eq!(reporter.flush(Duration::from_secs(10)).await, ALL);
    assert_eq!(reporter.stats().refused, 1, "the one for another project");

    let query = "select error_id, project_id, metadata, message from error_metrics";
    let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
    let find = |id: Uuid| rows.iter().find(|row| row.get::<Uuid, _>("error_id") == id);
    assert!(find(foreign).is_none());
    for id in [fine, lost, odd] {
        assert_eq!(find(id).unwrap().get::<Option<Uuid>, _>("project_id"), Some(ours));
    }
    let metadata = |id| find(id).unwrap().get::<Value, _>("metadata");
    assert_eq!(metadata(fine)["password"], "[masked]");
    assert_eq!(metadata(lost)["_tracker"]["unknown_workflow_id"], unknown.to_string());
    reporter.close(Duration::from_secs(5)).await;
    server.stop().await;
}
