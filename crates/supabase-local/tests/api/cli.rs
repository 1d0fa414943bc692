//! The program itself: it starts, says where it is, keeps its data, and leaves nothing behind.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::local::PATIENCE;

/// A running program and what it printed before it was ready.
struct Program {
    child: Child,
    lines: Vec<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_supabase-local"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = output.lines().map(Result::unwrap);
        let lines: Vec<String> = lines.take_while(|line| !line.starts_with("running")).collect();
        Self { child, lines }
    }

    fn value(&self, label: &str) -> String {
        let line = self.lines.iter().find(|line| line.contains(label));
        line.unwrap_or_else(|| panic!("{:?}", self.lines)).split_once(": ").unwrap().1.to_owned()
    }

    async fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            sleep(Duration::from_millis(10)).await;
        };
        assert!(status.success(), "{status}");
    }
}

fn processes_of(dir: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "args="]).output().unwrap();
    let dir = dir.display().to_string();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(&dir))
        .map(str::to_owned)
        .collect()
}

async fn get(url: &str, path: &str, key: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{url}{path}")).header("apikey", key);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn it_keeps_its_data_and_leaves_nothing_running() {
    let dir = std::env::temp_dir().join(format!("supabase-local-cli-{}", uuid::Uuid::new_v4()));
    let (data, migrations) = (dir.join("data"), dir.join("migrations"));
    std::fs::create_dir_all(&migrations).unwrap();
    let write = |path: &Path, sql: &str| {
        std::fs::File::create(path).unwrap().write_all(sql.as_bytes()).unwrap();
    };
    write(&migrations.join("1_notes.sql"), "create table notes (id int primary key);");
    let seed = dir.join("seed.sql");
    write(&seed, "insert into notes values (7);");
    let text = |path: &Path| path.display().to_string();
    let (data_text, migrations_text, seed_text) = (text(&data), text(&migrations), text(&seed));
    let arguments = [
        "--data-dir",
        data_text.as_str(),
        "--migrations",
        migrations_text.as_str(),
        "--seed",
        seed_text.as_str(),
    ];

    let first = Program::start(&arguments);
    assert!(first.lines.iter().any(|line| line == "applied migration 1_notes"));
    let (url, key) = (first.value("API URL"), first.value("anon key"));
    assert_eq!(get(&url, "/auth/v1/health", &key).await, 200);
    first.interrupt().await;
    assert!(reqwest::get(&url).await.is_err(), "the port is free");
    assert_eq!(processes_of(&dir), Vec::<String>::new());

    let started = Instant::now();
    let second = Program::start(&arguments);
    println!("started again in {:?}", started.elapsed());
    assert!(!second.lines.iter().any(|line| line.starts_with("applied")));
    let pool = sqlx::PgPool::connect(&second.value("DB URL")).await.unwrap();
    let notes: Vec<i32> =
        sqlx::query_scalar("select id from notes").fetch_all(&pool).await.unwrap();
    assert_eq!(notes, [7]);
    pool.close().await;
    second.interrupt().await;
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn it_explains_itself() {
    let output = Command::new(env!("CARGO_BIN_EXE_supabase-local")).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in ["--data-dir", "--port", "--migrations", "--seed", "--postgres"] {
        assert!(help.contains(option), "{option} in {help}");
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_supabase-local"))
        .args(["--port", "0", "--migrations", "/nowhere"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && error.contains("/nowhere"), "{error}");
}
