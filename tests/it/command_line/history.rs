//! `backtest` and `explain`: stored history, looked at from the command line.

use serde_json::{Value, json};

use crate::support::{
    process::{Folder, Output, run},
    stack::{Stack, burst},
};

const RULES: &str = "
rules:
  - name: Any worker
    sources: [worker]
    window: 5m
    warning: 4
    channels: [Ops, {name: Nobody, min_level: critical}]
  - name: Novelty
    metric: new_group
    window: 5m
    warning: 1
  - name: More than yesterday
    metric: change
    compare: 1d
    window: 5m
    warning: 100
    min_count: 4
";

#[track_caller]
fn json_of(output: &Output) -> Value {
    assert_eq!(output.status, 0, "{output:?}");
    serde_json::from_str(&output.out).expect("JSON")
}

#[tokio::test]
async fn a_back_test_and_an_explanation_of_what_is_stored() {
    let stack = Stack::start().await;
    let ops = stack.channel("Ops", "webhook").await;
    let rule =
        stack.rule("Burst", json!({"warning": 4, "error_types": ["execution"]}), &[ops]).await;
    let reporter = stack.reporter(None);
    reporter.insert_errors(&burst(6, "execution.timeout", 0)).await.expect("errors");
    reporter.insert_errors(&burst(2, "system.disk", 0)).await.expect("errors");
    let variables = stack.variables();
    let command = async |arguments: &[&str]| run(&variables, arguments, "").await;

    // By name and by id, for people and for programs.
    let id = rule.to_string();
    let output = command(&["backtest", "Burst", "--from", "1h", "--suggest"]).await;
    assert_eq!(output.status, 0, "{output:?}");
    for part in [
        "Burst: count over 5m",
        "6 errors read",
        "highest value 6, warning from 4",
        "1 incidents",
        "Ops (webhook): 1, of which 1 firing",
        "still open  warning  peak 6",
    ] {
        assert!(output.out.contains(part), "{part:?} is missing in {}", output.out);
    }
    let report = json_of(&command(&["backtest", &id, "--from", "1h", "--json"]).await);
    assert_eq!(report["incidents_total"], json!(1));
    assert_eq!(report["incidents"][0]["peak"], json!(6.0));
    let earlier = ["backtest", &id, "--from", "3h", "--to", "2h", "--json"];
    assert_eq!(json_of(&command(&earlier).await)["incidents_total"], json!(0));

    // Rules of a file, of kinds that look at what was before.
    let folder = Folder::new();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, RULES).expect("the file");
    let file = file.to_str().expect("a path");
    for (name, incidents, peak, read) in [
        ("Any worker", 1, 8.0, 8),
        // All errors of a burst have the same message, but not the same type.
        ("Novelty", 2, 6.0, 8),
        ("More than yesterday", 1, 700.0, 8),
    ] {
        let arguments = ["backtest", "--rule-file", file, name, "--from", "1h", "--json"];
        let report = json_of(&command(&arguments).await);
        assert_eq!(report["incidents_total"], json!(incidents), "{name}: {report}");
        assert_eq!(report["incidents"][0]["peak"], json!(peak), "{name}: {report}");
        assert_eq!(report["events_read"], json!(read), "{name}: {report}");
    }
    let output = command(&["backtest", "--rule-file", file, "Any worker", "--from", "1h"]).await;
    assert!(output.out.contains("Nobody (unknown): 0"), "{output:?}");

    // Nobody leads, so nothing was decided; the replay says what would have been.
    let output = command(&["explain", "Burst"]).await;
    assert_eq!(output.status, 0, "{output:?}");
    for part in [
        "Rule \"Burst\" fires (warning)",
        "The value (count) is 6",
        "It warns from 4",
        "No instance leads, so nothing is decided.",
    ] {
        assert!(output.out.contains(part), "{part:?} is missing in {}", output.out);
    }
    let answer = json_of(&command(&["explain", &id, "--at", "2h", "--json"]).await);
    assert_eq!((&answer["facts"]["value"], &answer["facts"]["now"]), (&json!(0.0), &json!(false)));

    for (arguments, part) in [
        (&["backtest", "Nothing"][..], "there is no rule \"Nothing\""),
        (&["backtest", "Burst", "--from", "1h", "--to", "2h"], "--to must be later than --from"),
        (&["backtest", "Burst", "--from", "soon"], "--from: must be a time"),
        (&["backtest", "--rule-file", file], "holds 3 rules that fit; name one of them"),
        (&["backtest", "--rule-file", "/nowhere.yaml"], "/nowhere.yaml: "),
        (&["explain", "Nothing"], "there is no rule \"Nothing\""),
        (&["explain", "Burst", "--group", "worker"], "--group: "),
        (&["explain", "Burst", "--at", "soon"], "--at: must be a time"),
    ] {
        let output = command(arguments).await;
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.err.contains(part), "{part:?} is missing in {output:?}");
    }
}
