//! The built binary as a process of its own, where that matters: signals, exit status, crashes.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    sync::watch,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    PATIENCE, eventually,
    stack::{Stack, Variables},
};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_meshhook-errors");

/// A folder of one test, removed with this value.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder that everybody may enter.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("meshhook-errors-{}", Uuid::new_v4()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `meshhook-errors run`; killed when it is dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    address: String,
    _folder: Folder,
}

impl Process {
    /// Starts a daemon with these variables and waits until it says that it has started.
    pub async fn start(variables: Variables) -> Self {
        let process = Self::launch(variables).await;
        eventually("the daemon has started", || async {
            process.log().contains("\"message\":\"started\"").then_some(())
        })
        .await;
        process
    }

    /// Starts a daemon with these variables and waits until its own server listens.
    pub async fn launch(mut variables: Variables) -> Self {
        let folder = Folder::new();
        variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
        let mut child = command(&variables, folder.path())
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, mut address) = watch::channel(None);
        let output = child.stderr.take().expect("its standard error");
        tokio::spawn(read_log(output, Arc::clone(&log), found));
        let there = timeout(PATIENCE, address.wait_for(Option::is_some)).await;
        let address = match there {
            Ok(Ok(address)) => address.clone().unwrap_or_default(),
            _ => panic!("the daemon does not listen; it said {}", text(&log)),
        };
        Self { child, log, address, _folder: folder }
    }

    /// Starts a daemon of `stack` named `name`, and waits until it is ready as `role`: leader or
    /// standby.
    pub async fn ready(stack: &Stack, name: &str, role: &str) -> Self {
        let mut variables = stack.variables();
        variables.insert("INSTANCE_NAME".to_owned(), name.to_owned());
        let process = Self::start(variables).await;
        process.until_role(role).await;
        process
    }

    /// Where its own server is, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its number, by which the operating system knows it.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// An answer of its own server: the status and the body.
    pub async fn http(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Its role as `/readyz` tells it, where it is ready.
    pub async fn role(&self) -> Option<String> {
        let (status, body) = self.http("/readyz").await?;
        let body: Value = serde_json::from_str(&body).ok()?;
        body["role"].as_str().filter(|_| status == 200).map(str::to_owned)
    }

    /// Waits until it has this role; returns how long that took.
    pub async fn until_role(&self, role: &str) -> Duration {
        let began = Instant::now();
        eventually(&format!("the daemon becomes {role}; it said {}", self.log()), || async {
            (self.role().await.as_deref() == Some(role)).then_some(())
        })
        .await;
        began.elapsed()
    }

    /// Sends a signal, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await;
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end; how it ended and how long it took.
    pub async fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        (status.expect("its status"), began.elapsed())
    }
}

async fn read_log(
    output: ChildStderr,
    log: Arc<Mutex<String>>,
    found: watch::Sender<Option<String>>,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        if value["message"] == "listening" {
            found.send_replace(value["address"].as_str().map(str::to_owned));
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&line);
        log.push('\n');
    }
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How a subcommand ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a subcommand to its end, in an empty folder.
pub async fn run(variables: &Variables, arguments: &[&str], input: &str) -> Output {
    let folder = Folder::new();
    run_in(folder.path(), variables, arguments, input).await
}

/// Runs a subcommand to its end in `folder`, with these variables and no others of ours.
pub async fn run_in(
    folder: &Path,
    variables: &Variables,
    arguments: &[&str],
    input: &str,
) -> Output {
    let mut child = command(variables, folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    // A program that ends without reading everything is no concern of ours.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let limit = Duration::from_secs(90);
    let output = timeout(limit, child.wait_with_output()).await.expect("it ends").expect("output");
    let read = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = output.status.code().unwrap_or(-1);
    Output { status, out: read(output.stdout), err: read(output.stderr) }
}

fn command(variables: &Variables, folder: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().envs(variables).current_dir(folder).kill_on_drop(true);
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = super::db::switch(name) {
            command.env(name, value);
        }
    }
    command
}
