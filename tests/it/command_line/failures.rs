//! What fails says what happened, to what, and what to do, whatever was asked for; scripts tell by the exit
//! status what cannot be reached from what was refused.

use futures_util::future::join_all;

use crate::support::{
    process::{Folder, run, run_in},
    stack::{Stack, Variables},
};

/// Each command, where it gets its exit status, how its last words begin, and the advice in them.
type Case<'a> = (&'a [&'a str], i32, &'a str, &'a str);

#[track_caller]
fn check(output: &crate::support::process::Output, (command, status, what, advice): Case<'_>) {
    let text = output.err.lines().last().unwrap_or_default();
    let good =
        text.starts_with("meshhook-errors: ") && text.contains(what) && text.contains(advice);
    assert!(good && output.status == status, "{command:?}: {output:?}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_with_where_to_look() {
    let nobody = "postgres://error_daemon:planted-password@127.0.0.1:1/postgres";
    let mut variables = Variables::new();
    for (name, value) in [
        ("DATABASE_URL", nobody),
        ("SUPABASE_URL", "http://127.0.0.1:1"),
        ("SUPABASE_JWT_SECRET", "a-secret-that-is-long-enough-to-be-taken"),
        ("CHANNEL_SECRETS_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("HTTP_LISTEN", "127.0.0.1:1"),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    let database = "the database cannot be reached: ";
    let cases: [Case<'_>; 9] = [
        (&["explain", "Burst"], 69, database, "check host and port in DATABASE_URL"),
        (&["backtest", "Burst"], 69, database, "check host and port in DATABASE_URL"),
        (&["prune", "--list"], 69, database, "check host and port in DATABASE_URL"),
        (&["send-test", "ops"], 69, database, "check host and port in DATABASE_URL"),
        (&["secret", "ops"], 69, database, "check host and port in DATABASE_URL"),
        (&["secret", "--reseal"], 69, database, "check host and port in DATABASE_URL"),
        (
            &["check", "--reconcile", "2026-11-22", "2026-11-23"],
            69,
            database,
            "check host and port in DATABASE_URL",
        ),
        (&["rules", "export"], 69, "PostgREST cannot be reached: ", "check SUPABASE_URL"),
        (&["healthcheck"], 69, "the instance's HTTP server cannot be reached: ", "HTTP_LISTEN"),
    ];
    // Each waits for a while before it gives up, so they wait together.
    let outputs = join_all(cases.iter().map(|case| run(&variables, case.0, "x"))).await;
    for (output, case) in outputs.iter().zip(cases) {
        check(output, case);
        assert!(!output.err.contains("planted"), "{output:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_named_with_what_to_do() {
    let stack = Stack::start().await;
    let folder = Folder::new();
    std::fs::write(folder.path().join("token"), "not-a-token").expect("a file");
    let variables = stack.variables();
    let cases: [Case<'_>; 9] = [
        (&["explain", "Burst"], 1, "there is no rule \"Burst\"", "alert_rules"),
        (&["backtest", "Burst"], 1, "there is no rule \"Burst\"", "--project"),
        (&["backtest", "--rule-file", "rules.yaml"], 1, "rules.yaml: cannot be read: ", "No such"),
        (&["rules", "apply", "-f", "rules.yaml"], 1, "rules.yaml: cannot be read: ", "No such"),
        (
            &["rules", "export", "--token-file", "token"],
            1,
            "refused the request: HTTP 401",
            "check SUPABASE_ANON_KEY",
        ),
        (&["send-test", "ops"], 1, "there is no channel \"ops\"", "alert_channels"),
        (&["report", "--metadata", "[1]", "x"], 1, "--metadata is not a JSON object", "{\"node\""),
        (&["report", "--type", "nonsense", "x"], 1, "error_type", "mend what it names"),
        (&["explain", "Burst", "--group", "x"], 1, "--group: ", "{\"source\":\"worker\"}"),
    ];
    for case in cases {
        check(&run_in(folder.path(), &variables, case.0, "").await, case);
    }
    let mut without = variables.clone();
    without.remove("CHANNEL_SECRETS_KEY");
    let output = run(&without, &["secret", "--reseal"], "").await;
    assert_eq!(output.status, 64, "{output:?}");
    assert!(output.err.contains("CHANNEL_SECRETS_KEY: is not set; "), "{output:?}");
    // A key that is none is the configuration's problem, whoever notices it.
    let mut keys = variables.clone();
    keys.remove("SUPABASE_JWT_SECRET");
    keys.insert("SUPABASE_SIGNING_KEY".to_owned(), "{\"kty\": \"planted\"}".to_owned());
    for (command, status) in [(&["token"][..], 64), (&["rules", "export"], 64), (&["check"], 1)] {
        let output = run(&keys, command, "").await;
        assert_eq!(output.status, status, "{command:?}: {output:?}");
        let text = output.err + &output.out;
        assert!(text.contains("SUPABASE_SIGNING_KEY: the signing key "), "{command:?}: {text}");
        assert!(!text.contains("planted"), "{command:?}: {text}");
    }
}
