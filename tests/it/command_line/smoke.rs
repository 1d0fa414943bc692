//! `dev`, with and without `--smoke`, which needs nothing but this machine.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::process::{BINARY, Folder};

#[tokio::test]
async fn the_smoke_test_measures_the_main_job() {
    let child = Command::new(BINARY)
        .args(["dev", "--smoke"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let output = timeout(Duration::from_secs(90), child.wait_with_output()).await;
    let output = output.expect("it ends in time").expect("its output");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{err}");
    let report: Value = serde_json::from_str(out.trim()).expect("one JSON object and nothing else");
    println!("dev --smoke: {report}");
    for name in [
        "insert_to_slack_ms",
        "insert_to_email_ms",
        "end_to_resolved_slack_ms",
        "end_to_resolved_email_ms",
    ] {
        assert!(report[name].as_f64().is_some_and(f64::is_finite), "{name} in {report}");
    }
    assert!(report["insert_to_slack_ms"].as_f64().is_some_and(|ms| ms < 1000.0), "{report}");
    assert_eq!(report["rows"], 25);
}

#[tokio::test]
async fn dev_says_what_runs_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let data = folder.path().join("postgres");
    let mut child = Command::new(BINARY)
        .args(["dev", "--port", "0", "--data-dir"])
        .arg(&data)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut said = String::new();
    let running = async {
        while let Ok(Some(line)) = lines.next_line().await {
            said.push_str(&line);
            said.push('\n');
            // The first line of rates is the last of the start.
            if line.contains("open incidents") {
                return true;
            }
        }
        false
    };
    let running = timeout(Duration::from_secs(60), running).await;
    assert!(running.is_ok_and(|running| running), "{said}");
    for part in ["ready\n", "API and Realtime", "anon key", "sign in with", "alice@example.com"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    let server = data.join("pgdata/postmaster.pid");
    assert!(server.is_file());
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs");
    assert!(sent.success());
    let ended = timeout(Duration::from_secs(20), child.wait()).await.expect("it ends");
    assert_eq!(ended.expect("its status").code(), Some(0));
    assert!(!server.exists(), "the database server still runs");
}
