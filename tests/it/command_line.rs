//! The binary from the command line: what it takes, what it says, and its exit status.

mod check;
mod failures;
mod history;
mod smoke;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::{
    letters::{headline, is_signed, mail, readable, request},
    process::{Folder, Process, run, run_in},
    stack::{ALERT_LIMIT, Stack, Variables},
};

fn with(stack: &Stack, changes: &[(&str, &str)]) -> Variables {
    let mut variables = stack.variables();
    variables.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    variables
}

#[tokio::test]
async fn every_problem_of_the_configuration_is_told_at_once() {
    let secrets = ["planted-short-secret", "planted-channel-key", "planted-password"];
    let variables = Variables::from(
        [
            ("DATABASE_URL", "mysql://app:planted-password@db.example.com/app"),
            ("SUPABASE_URL", "http://project.example.com"),
            ("SUPABASE_JWT_SECRET", secrets[0]),
            ("CHANNEL_SECRETS_KEY", secrets[1]),
            ("SMTP_URL", "smtps://mail.example.com"),
            ("HTTP_LISTEN", "somewhere"),
            ("FEED_TICK_QUIET_MS", "5"),
            ("ALLOW_PRIVATE_DESTINATIONS", "10.0.0.0/8,home"),
            ("LOG_FORMAT", "xml"),
            ("LOG_FILTER", "meshhook_errors=loud"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let output = run(&variables, &["run"], "").await;
    assert_eq!(output.status, 64, "{output:?}");
    for name in variables.keys().map(String::as_str).filter(|name| *name != "SMTP_URL") {
        assert!(output.err.contains(&format!("{name}: ")), "{name} is missing in {}", output.err);
    }
    assert!(output.err.contains("SMTP_FROM: is not set"), "{}", output.err);
    for secret in secrets {
        assert!(!output.err.contains(secret) && !output.out.contains(secret), "{output:?}");
    }
    // The others say what they need and no more.
    let output = run(&Variables::new(), &["token"], "").await;
    assert!(output.status == 64 && output.err.contains("SUPABASE_JWT_SECRET"), "{output:?}");
    assert!(!output.err.contains("DATABASE_URL"), "{output:?}");
}

#[tokio::test]
async fn help_names_every_subcommand_and_every_option() {
    let none = Variables::new();
    let top = run(&none, &["--help"], "").await;
    assert_eq!(top.status, 0);
    let subcommands: [(&str, &[&str]); 7] = [
        ("run", &[]),
        ("dev", &["--smoke", "--data-dir", "--port", "--idle"]),
        ("check", &["--no-channels"]),
        (
            "report",
            &[
                "--stdin",
                "--source",
                "--type",
                "--severity",
                "--workflow",
                "--project",
                "--metadata",
            ],
        ),
        ("token", &["--project", "--days"]),
        ("secret", &["CHANNEL"]),
        ("send-test", &["CHANNEL"]),
    ];
    for (name, options) in subcommands {
        assert!(top.out.contains(&format!("  {name} ")), "{name} is missing in {}", top.out);
        let help = run(&none, &[name, "--help"], "").await;
        assert_eq!(help.status, 0, "{help:?}");
        for option in options {
            assert!(help.out.contains(option), "{option} is missing in {}", help.out);
        }
    }
    assert!(top.out.contains(".env.example"), "{}", top.out);
    let version = run(&none, &["--version"], "").await;
    let number = concat!("meshhook-errors ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.out.starts_with(number), "{version:?}");
    for arguments in [&[][..], &["nonsense"], &["report"], &["token", "--days", "0"]] {
        assert_eq!(run(&none, arguments, "").await.status, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_minted_token_inserts_and_no_more_than_it_may() {
    let stack = Stack::start().await;
    let (ours, theirs) = (stack.project("Acme").await, stack.project("Globex").await);
    let row = |project: Option<uuid::Uuid>| json!({"source": "worker", "error_type": "system", "message": "x", "project_id": project});
    let mint = async |arguments: &[&str]| {
        let output = run(&stack.variables(), arguments, "").await;
        assert!(output.status == 0 && output.out.lines().count() == 1, "{output:?}");
        output.out.trim().to_owned()
    };
    let any = mint(&["token"]).await;
    let pinned = mint(&["token", "--project", &ours.to_string(), "--days", "1"]).await;
    for (token, project, expected) in [
        (&any, Some(ours), 201),
        (&any, None, 201),
        (&pinned, Some(ours), 201),
        (&pinned, None, 201),
        (&pinned, Some(theirs), 403),
    ] {
        let (status, body) = stack.post_with(token, "error_metrics", &row(project)).await;
        assert_eq!(status, expected, "{body}");
    }
    let of_ours = "select count(*) from public.error_metrics where project_id = $1";
    assert_eq!(stack.number_of(of_ours, ours).await, 3);
    let (status, _) = stack.post_with(&any, "alert_rules", &json!({"name": "x"})).await;
    assert_eq!(status, 403);

    let mut service = with(&stack, &[("SUPABASE_SERVICE_ROLE_KEY", &stack.service_key())]);
    service.remove("SUPABASE_JWT_SECRET");
    let output = run(&service, &["token"], "").await;
    assert!(output.status == 1 && output.err.contains("not from a service key"), "{output:?}");
}

#[tokio::test]
async fn a_file_of_variables_is_read_and_the_environment_wins() {
    let stack = Stack::start().await;
    let folder = Folder::new();
    let secret = stack.variables()["SUPABASE_JWT_SECRET"].clone();
    let file = folder.path().join(".env");
    let text = format!("# the project\nSUPABASE_JWT_SECRET=\"{secret}\"\nLOG_FORMAT=json\n");
    std::fs::write(&file, text).expect("the file");
    let row = json!({"source": "worker", "error_type": "system"});

    let output = run_in(folder.path(), &Variables::new(), &["token"], "").await;
    assert_eq!(output.status, 0, "{output:?}");
    let (status, body) = stack.post_with(output.out.trim(), "error_metrics", &row).await;
    assert_eq!(status, 201, "{body}");

    let other = "another-secret-that-is-long-enough-to-be-taken".to_owned();
    let other = Variables::from([("SUPABASE_JWT_SECRET".to_owned(), other)]);
    let output = run_in(folder.path(), &other, &["token"], "").await;
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(stack.post_with(output.out.trim(), "error_metrics", &row).await.0, 401);

    let broken = "LOG_FORMAT=json\nSUPABASE_JWT_SECRET='never closed\n";
    std::fs::write(&file, broken).expect("the file");
    let output = run_in(folder.path(), &Variables::new(), &["token"], "").await;
    assert!(output.status == 64 && output.err.contains(".env: line 2: "), "{output:?}");
    assert!(!output.err.contains("never closed"), "{output:?}");
}

#[tokio::test]
async fn errors_are_reported_one_by_one_or_as_lines() {
    let stack = Stack::start().await;
    // It tries for a while, so it begins first.
    let closed = with(&stack, &[("SUPABASE_REST_URL", "http://127.0.0.1:1/rest/v1")]);
    let unreachable = tokio::spawn(async move { run(&closed, &["report", "x"], "").await });
    let project = stack.project("Acme").await;
    let id = project.to_string();
    let metadata = r#"{"password": "planted-password", "node": "step-1"}"#;
    let arguments = [
        "report",
        "card of planted.buyer@example.com declined",
        "--source",
        "webhook",
        "--type",
        "input.schema",
        "--severity",
        "high",
        "--project",
        &id,
        "--metadata",
        metadata,
    ];
    let output = run(&stack.variables(), &arguments, "").await;
    assert_eq!(output.status, 0, "{output:?}");
    let row = "select row_to_json(m)::text from public.error_metrics m where project_id = $1";
    let row = stack.text_of(row, project).await.expect("the row");
    assert!(!row.contains("planted"), "{row}");
    let row: Value = serde_json::from_str(&row).expect("JSON");
    assert_eq!(row["message"], "card of [masked] declined");
    assert_eq!((&row["source"], &row["severity"]), (&json!("webhook"), &json!("high")));
    assert_eq!(row["metadata"], json!({"password": "[masked]", "node": "step-1"}));

    let repeated = "6f9619ff-8b86-4011-b42d-00cf4fc964ff";
    let lines = [
        r#"{"message": "first", "error_type": "system.disk"}"#.to_owned(),
        String::new(),
        r#"{"message": "second""#.to_owned(),
        r#"{"message": "third", "seq": 7}"#.to_owned(),
        r#"{"message": "fourth", "error_type": "nonsense"}"#.to_owned(),
        format!(r#"{{"message": "fifth", "error_id": "{repeated}"}}"#),
        r#"{"message": "sixth", "metadata": {"token": "planted-token"}}"#.to_owned(),
    ];
    let output = run(&stack.variables(), &["report", "--stdin"], &lines.join("\n")).await;
    assert_eq!(output.status, 1, "{output:?}");
    for (number, part) in [(3, "EOF"), (4, "\"seq\" is not a column"), (5, "error_type")] {
        let line = output.err.lines().find(|line| line.starts_with(&format!("line {number}: ")));
        assert!(line.is_some_and(|line| line.contains(part)), "line {number} in {}", output.err);
    }
    assert!(output.err.contains("3 lines were refused, 3 were reported"), "{}", output.err);
    let known = "select count(*) from public.error_metrics \
                 where message in ('first', 'fifth', 'sixth') and metadata::text not like '%planted%'";
    assert_eq!(stack.number(known).await, 3);

    // The same again: what carries an id is not stored twice.
    let good = lines[5].clone();
    let output = run(&stack.variables(), &["report", "--stdin"], &good).await;
    assert!(output.status == 0 && output.err.contains("1 error events reported"), "{output:?}");
    let fifth = "select count(*) from public.error_metrics where message = 'fifth'";
    assert_eq!(stack.number(fifth).await, 1);

    let many: String = (0..1_201).map(|n| format!("{{\"message\": \"bulk {n}\"}}\n")).collect();
    let output = run(&stack.variables(), &["report", "--stdin"], &many).await;
    assert_eq!(output.status, 0, "{output:?}");
    let bulk = "select count(*) from public.error_metrics where message like 'bulk %'";
    assert_eq!(stack.number(bulk).await, 1_201);

    // Where no line can be right, not every one is tried.
    let output = run(
        &with(&stack, &[("ERROR_REPORTER_TOKEN", "not-a-token")]),
        &["report", "--stdin"],
        &many,
    )
    .await;
    assert!(output.status == 1 && output.err.contains("HTTP 401"), "{output:?}");
    assert!(!output.err.contains("not-a-token"), "{output:?}");
    let output = unreachable.await.expect("it ends");
    assert!(output.status == 69 && output.err.contains("PostgREST"), "{output:?}");
}

#[tokio::test]
async fn a_secret_is_stored_and_a_test_message_reaches_its_channel() {
    let stack = Stack::start().await;
    // Channels as an operator makes them in the dashboard, without secrets.
    stack
        .alter(
            "insert into public.alert_channels (name, kind, config) values \
               ('ops', 'slack', '{}'), ('letters', 'email', '{\"to\": [\"ada@example.com\"]}')",
        )
        .await;
    let hook = stack.channel("hook", "webhook").await.to_string();
    let variables = stack.variables();
    let output = run(&variables, &["send-test", "ops"], "").await;
    assert!(output.status == 1 && output.err.contains("secret"), "{output:?}");
    let url = stack.slack.url("/services/planted/path");
    let output = run(&variables, &["secret", "ops"], &format!("{url}\n")).await;
    assert_eq!(output.status, 0, "{output:?}");
    assert!(!format!("{output:?}").contains("planted"), "{output:?}");
    let stored = "select count(*) from error_tracking.channel_secrets s \
                  join public.alert_channels c using (channel_id) \
                  where c.name = 'ops' and c.has_secret \
                    and position('planted'::bytea in s.ciphertext) = 0";
    assert_eq!(stack.number(stored).await, 1);
    let output = run(&variables, &["secret", "ops"], "  \n").await;
    assert!(output.status == 1 && output.err.contains("standard input is empty"), "{output:?}");

    for channel in ["ops", "letters", &hook] {
        let output = run(&variables, &["send-test", channel], "").await;
        assert!(
            output.status == 0 && output.out.contains("accepted the test message"),
            "{output:?}"
        );
    }
    let slack = request(&stack.slack, ALERT_LIMIT, |_| true).await;
    assert_eq!(slack.path, "/services/planted/path");
    assert!(headline(&slack).contains("This is a test message"), "{}", slack.text());
    let posted = request(&stack.webhook, ALERT_LIMIT, |_| true).await;
    assert!(is_signed(&posted) && posted.json()["type"] == "notification.test");
    let letter = mail(&stack.mail, ALERT_LIMIT, "").await;
    assert!(readable(&letter).contains("This is a test message"), "{}", letter.data);

    stack.slack.script([meshhook_errors::sinks::Answer::new(404, "no_service")]);
    let output = run(&variables, &["send-test", "ops"], "").await;
    assert!(output.status == 1 && output.err.contains("refused"), "{output:?}");
    let output = run(&variables, &["send-test", "--json", "ops"], "").await;
    let answer: serde_json::Value = serde_json::from_str(&output.out).expect("one object");
    assert_eq!((output.status, &answer["outcome"]), (0, &"sent".into()), "{output:?}");
    // A new key takes over from the old one without a moment in which a message could not go out.
    let (old, new) = (&variables["CHANNEL_SECRETS_KEY"], BASE64_STANDARD.encode([9; 32]));
    let with_key = |key: &str| {
        let mut variables = variables.clone();
        variables.insert("CHANNEL_SECRETS_KEY".to_owned(), key.to_owned());
        variables
    };
    let both = with_key(&format!("{new},{old}"));
    let output = run(&with_key(&new), &["secret", "--reseal"], "").await;
    assert!(output.status == 1 && output.err.contains("set them again"), "{output:?}");
    for (key, status) in [(&both, 0), (&with_key(old), 0), (&with_key(&new), 1)] {
        assert_eq!(run(key, &["send-test", "ops"], "").await.status, status);
    }
    let output = run(&both, &["secret", "--reseal"], "").await;
    assert!(output.status == 0 && output.out.contains("encrypted anew, 0 were"), "{output:?}");
    for (key, status) in [(&both, 0), (&with_key(old), 1), (&with_key(&new), 0)] {
        assert_eq!(run(key, &["send-test", "ops"], "").await.status, status);
    }
    let output = run(&both, &["secret", "--reseal"], "").await;
    assert!(output.out.starts_with("0 secrets encrypted anew"), "{output:?}");

    let output = run(&variables, &["send-test", "nobody"], "").await;
    assert!(output.status == 1 && output.err.contains("nobody"), "{output:?}");
    let mut keyless = variables.clone();
    keyless.remove("CHANNEL_SECRETS_KEY");
    let output = run(&keyless, &["secret", "ops"], "x").await;
    assert!(output.status == 64 && output.err.contains("CHANNEL_SECRETS_KEY"), "{output:?}");
}

#[tokio::test]
async fn a_daemon_on_the_service_key_says_what_follows_from_it() {
    let stack = Stack::start().await;
    let slack = stack.channel("ops", "slack").await;
    stack.rule("Any", json!({"warning": 1}), &[slack]).await;
    let mut variables = with(&stack, &[("SUPABASE_SERVICE_ROLE_KEY", &stack.service_key())]);
    variables.remove("SUPABASE_JWT_SECRET");
    let daemon = Process::start(variables).await;
    daemon.until_role("leader").await;
    let log = daemon.log();
    assert!(log.contains("WARN") && log.contains("24 hours"), "{log}");
    let reporter = stack.reporter(None);
    let event = crate::support::stack::event(None, "system", "it failed");
    reporter.insert_errors(&[event]).await.expect("an error");
    request(&stack.slack, ALERT_LIMIT, |_| true).await;
    assert!(!daemon.log().contains(&stack.service_key()));
}
