//! Both reporters against the real schema, through the local REST server.

use std::{process::Stdio, time::Duration};

use error_reporter::{Context, Flushed, Options, Reporter, Source};
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
    database::{Database, RestServer, repository, token},
};

const ALL: Flushed = Flushed { delivered: true, pending: 0 };
const EVENTS: usize = 10_000;
/// How long the server is away.
const AWAY: Duration = Duration::from_secs(5);

async fn count(connection: &mut PgConnection, like: &'static str) -> (i64, i64) {
    let query = "select count(*), count(distinct metadata ->> 'i') from error_metrics where message like $1";
    let row = sqlx::query(query).bind(like).fetch_one(connection).await.unwrap();
    (row.get(0), row.get(1))
}

/// Waits until the first rows are there, then takes the server away for a while.
async fn interrupt(database: &Database, server: RestServer, like: &'static str) -> RestServer {
    let mut connection = database.connect().await;
    while count(&mut connection, like).await.0 < 1000 {
        sleep(Duration::from_millis(20)).await;
    }
    let port = server.port;
    server.stop().await;
    sleep(AWAY).await;
    database.serve(port).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_reporters_lose_nothing_and_double_nothing_while_the_server_is_away() {
    let database = Database::start().await;
    let server = database.serve(0).await;
    let url = server.url();

    let folder = Folder::new();
    let mut options = Options::new(url.parse().unwrap(), token(None).as_str());
    options.defaults.source = Source::Worker;
    options.spool_dir = Some(folder.0.clone());
    options.max_queue_events = 2000;
    options.max_backoff = Duration::from_secs(1);
    let reporter = Reporter::start(options).unwrap();
    let produce = async {
        for number in 0..EVENTS {
            let filler = "x".repeat(500);
            let context = Context::new().with("i", number).with("filler", filler);
            reporter.capture(&boom(format!("rust event {number}")), context);
            if number % 20 == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        reporter.close(Duration::from_secs(60)).await
    };
    let (flushed, server) = tokio::join!(produce, interrupt(&database, server, "rust event %"));
    assert_eq!(flushed, ALL, "{:?}", reporter.stats());
    let mut connection = database.connect().await;
    assert_eq!(count(&mut connection, "rust event %").await, (10_000, 10_000));
    assert_eq!(folder.lines(), 0);

    let folder = Folder::new();
    let mut node = Command::new("node")
        .arg(repository().join("packages/error-reporter/examples/ten-thousand.mjs"))
        .env("SUPABASE_URL", &url)
        .env("ERROR_REPORTER_TOKEN", token(None))
        .env("ERROR_REPORTER_SPOOL", &folder.0)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Node is installed");
    let mut output = BufReader::new(node.stdout.take().unwrap()).lines();
    let (line, server) =
        tokio::join!(output.next_line(), interrupt(&database, server, "node event %"));
    let result: Value = serde_json::from_str(&line.unwrap().expect("a line of result")).unwrap();
    assert!(node.wait().await.unwrap().success());
    assert_eq!(result["all"], true, "{result}");
    assert_eq!(count(&mut connection, "node event %").await, (10_000, 10_000));
    let memory = result["max_rss_mib"].as_f64().unwrap();
    assert!(memory < 220.0, "{memory} MiB");
    println!("Node's largest resident size: {memory} MiB");
    server.stop().await;
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
