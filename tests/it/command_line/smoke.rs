//! `dev --smoke`, which needs nothing but this machine.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::support::process::BINARY;

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
