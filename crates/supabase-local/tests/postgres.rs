//! The server we run: started, prepared like Supabase, restarted, and gone when its owner is.
//!
//! Uses the system's PostgreSQL; set `TEST_POSTGRES=embedded` for the npm package's.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sqlx::{Connection, PgConnection, Row};
use supabase_local::{
    migrate::{MigrateError, apply_folder, run_file},
    postgres::{
        Binaries, Cluster, ClusterOptions, PostgresChoice, PostgresError, install_embedded,
    },
};
use tokio::time::{Instant, sleep};

#[expect(clippy::disallowed_methods, reason = "test support reads its switches here")]
fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn binaries() -> Binaries {
    let choice = match switch("TEST_POSTGRES").as_deref() {
        Some("embedded") => {
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-postgres");
            PostgresChoice::Embedded { dir: install_embedded(&target).await.unwrap() }
        }
        _ => PostgresChoice::Auto,
    };
    Binaries::find(&choice).unwrap()
}

fn port_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The processes whose command line names this folder.
fn processes_of(dir: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let dir = dir.display().to_string();
    text.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 15 s: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn text(url: &str, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    let value: String = row.get(0);
    connection.close().await.unwrap();
    value
}

/// Also the process that the next test kills: with `CLUSTER_HOLD` set it waits for that.
#[tokio::test]
async fn starts_and_leaves_nothing_behind() {
    let cluster = Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap();
    let (port, dir) = (cluster.port(), cluster.data_dir().to_owned());
    if switch("CLUSTER_HOLD").is_some() {
        println!("\nheld {port} {}", dir.display());
        std::io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
    }
    let version = text(&cluster.admin_url("postgres"), "show server_version_num").await;
    assert_eq!(version.parse::<u32>().unwrap() / 10_000, u32::from(cluster.major_version()));
    cluster.stop().await.unwrap();
    assert!(!port_open(port));
    assert!(!dir.exists());
    assert_eq!(processes_of(&dir), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_owner_takes_the_server_with_it() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "starts_and_leaves_nothing_behind", "--nocapture"])
        .env("CLUSTER_HOLD", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let held = lines.map_while(Result::ok).find_map(|line| {
        let (port, dir) = line.strip_prefix("held ")?.split_once(' ')?;
        Some((port.parse::<u16>().unwrap(), PathBuf::from(dir)))
    });
    let (port, dir) = held.expect("the owner ended before its server ran");
    assert!(port_open(port) && dir.exists() && !processes_of(&dir).is_empty());

    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("port closed", || !port_open(port)).await;
    eventually("no process left", || processes_of(&dir).is_empty()).await;
    eventually("folder removed", || !dir.exists()).await;
}

#[tokio::test]
async fn dropping_is_enough() {
    let cluster = Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap();
    let (port, dir) = (cluster.port(), cluster.data_dir().to_owned());
    drop(cluster);
    eventually("port closed", || !port_open(port)).await;
    eventually("no process left", || processes_of(&dir).is_empty()).await;
    eventually("folder removed", || !dir.exists()).await;

    let mut cluster = Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap();
    let dir = cluster.data_dir().to_owned();
    cluster.stop_immediate().await.unwrap();
    assert!(dir.exists(), "a crashed server can be restarted");
    drop(cluster);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_persistent_cluster_survives_crashes() {
    let dir = std::env::temp_dir().join(format!("persistent-{}", uuid::Uuid::new_v4().simple()));
    let options = ClusterOptions::persistent(binaries().await, &dir, 0);
    let mut cluster = Cluster::start(options.clone()).await.unwrap();
    cluster.create_database("app").await.unwrap();
    let url = cluster.url("postgres", "app");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table kept as select 'yes' as word")
        .execute(&mut connection)
        .await
        .unwrap();

    // A second owner is refused while the first lives.
    let second = Cluster::start(options.clone()).await;
    assert!(matches!(second, Err(PostgresError::InUse(_))), "{second:?}");

    cluster.stop_immediate().await.unwrap();
    assert!(!port_open(cluster.port()));
    cluster.restart().await.unwrap();
    assert_eq!(text(&cluster.url("postgres", "app"), "select word from kept").await, "yes");
    cluster.restart().await.unwrap();
    assert_eq!(text(&cluster.url("postgres", "app"), "select word from kept").await, "yes");
    cluster.stop().await.unwrap();

    // A pid file that names a living process, as after a reboot, must not stop us.
    std::fs::write(dir.join("pgdata/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let begun = Instant::now();
    let cluster = Cluster::start(options).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "start took {:?}", begun.elapsed());
    assert_eq!(text(&cluster.url("postgres", "app"), "select word from kept").await, "yes");
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

/// Migrations must get by without superuser, and new tables are open to the API roles by default.
#[tokio::test]
async fn a_new_database_looks_like_supabase() {
    let cluster = Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap();
    cluster.create_database("app").await.unwrap();
    let folder = cluster.data_dir().parent().unwrap().join(format!("m-{}", cluster.port()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, sql: &str| std::fs::write(folder.join(name), sql).unwrap();
    write(
        "20260101000000_tables.sql",
        "begin;
         create role reporter nologin; grant reporter to authenticator;
         grant reporter to supabase_realtime_admin;
         create table notes (id int primary key, owner uuid references auth.users (id));
         alter table notes enable row level security;
         create policy own on notes to authenticated using (owner = (select auth.uid()));
         alter publication supabase_realtime add table notes;
         commit;",
    );
    write("20260102000000_more.sql", "create extension if not exists pgcrypto;\nselect 1;");
    write("notes.txt", "not a migration");
    let url = cluster.url("postgres", "app");

    let applied = apply_folder(&url, &folder).await.unwrap();
    assert_eq!(applied.len(), 2);
    assert_eq!(apply_folder(&url, &folder).await.unwrap(), []);

    write("20260103000000_wrong.sql", "begin;\ncreate table half ();\nselect nope;\ncommit;");
    match apply_folder(&url, &folder).await {
        Err(MigrateError::Refused { file, line, message }) => {
            assert_eq!((file.as_str(), line), ("20260103000000_wrong.sql", Some(3)));
            assert!(message.contains("column \"nope\" does not exist (42703)"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    write("seed.sql", "insert into notes values (1, null), (2, null);");
    run_file(&url, &folder.join("seed.sql")).await.unwrap();

    for (sql, expected) in [
        ("select count(*)::text from notes", "2"),
        ("select coalesce(to_regclass('half')::text, 'none')", "none"),
        ("select rolsuper::text from pg_roles where rolname = current_user", "false"),
        ("select has_table_privilege('anon', 'notes', 'insert')::text", "true"),
        ("select pg_get_userbyid(pubowner)::text from pg_publication", "postgres"),
        ("select string_agg(version, ',' order by version)
          from supabase_migrations.schema_migrations", "20260101000000,20260102000000"),
        ("select set_config('request.jwt.claims', '{\"sub\":\"11111111-1111-4111-8111-111111111111\",\"role\":\"anon\"}', false)
          || ''", "{\"sub\":\"11111111-1111-4111-8111-111111111111\",\"role\":\"anon\"}"),
        ("select coalesce(auth.uid()::text, 'nobody')", "nobody"),
        ("select encode(extensions.digest('a', 'sha256'), 'hex')",
         "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ] {
        assert_eq!(text(&url, sql).await, expected, "{sql}");
    }
    let claims = "select (select auth.uid()::text || auth.role() || (auth.jwt()->>'a')
        from set_config('request.jwt.claims',
          '{\"sub\":\"11111111-1111-4111-8111-111111111111\",\"role\":\"anon\",\"a\":1}', false))";
    assert_eq!(text(&url, claims).await, "11111111-1111-4111-8111-111111111111anon1");

    cluster.drop_database("app").await.unwrap();
    cluster.create_database_from_template("app", "postgres").await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    cluster.stop().await.unwrap();
}
