//! `check`: everything is well, or what is not and what to do.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::support::{
    db::TestDb,
    external,
    process::{Output, run},
    stack::{Stack, Variables, local_supabase},
};

/// The lines of a report, by what they are about: whether it is well, and the text.
fn lines(output: &Output) -> BTreeMap<String, (String, String)> {
    let parse = |line: &str| {
        let (state, rest) = line.split_once(' ')?;
        let (what, detail) = rest.trim().split_once(": ")?;
        matches!(state, "ok" | "note" | "FAIL")
            .then(|| (what.to_owned(), (state.to_owned(), detail.to_owned())))
    };
    output.out.lines().filter_map(parse).collect()
}

async fn check(variables: &Variables) -> Output {
    run(variables, &["check"], "").await
}

/// Exactly these lines failed, each with advice, and the exit status says so.
#[track_caller]
fn fails(output: &Output, expected: &[(&str, &str)]) {
    let failed: Vec<_> = lines(output)
        .into_iter()
        .filter(|(_, (state, _))| state == "FAIL")
        .map(|(what, (_, detail))| (what, detail))
        .collect();
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(failed.len(), expected.len(), "{failed:?}");
    for (what, part) in expected {
        let found = failed.iter().find(|(name, _)| name == what);
        assert!(found.is_some_and(|(_, detail)| detail.contains(part)), "{what}: {failed:?}");
    }
    let advice = output.out.lines().filter(|line| line.trim().starts_with('→')).count();
    assert_eq!(advice, expected.len(), "each failure comes with what to do: {}", output.out);
}

fn with(variables: &Variables, name: &str, value: &str) -> Variables {
    let mut variables = variables.clone();
    variables.insert(name.to_owned(), value.to_owned());
    variables
}

#[tokio::test]
async fn a_healthy_deployment_and_each_thing_that_can_be_wrong_with_it() {
    let stack = Stack::start().await;
    stack.channel("ops", "slack").await;
    stack.channel("hook", "webhook").await;
    stack.channel("letters", "email").await;
    let variables = stack.variables();
    let well = check(&variables).await;
    assert_eq!(well.status, 0, "{well:?}");
    let found = lines(&well);
    for what in [
        "variables",
        "database",
        "login role",
        "migrations",
        "publication",
        "rights",
        "least privilege",
        "row-level security",
        "role switch",
        "PostgREST",
        "Realtime",
        "canary",
        "channel \"ops\"",
        "channel \"hook\"",
        "channel \"letters\"",
    ] {
        assert!(found.get(what).is_some_and(|(state, _)| state == "ok"), "{what} in {}", well.out);
    }
    assert!(stack.slack.requests().is_empty(), "a check tells nobody anything");
    assert_eq!(stack.number("select count(*) from public.error_tracker_status").await, 0);

    let direct: Url = variables["DATABASE_URL"].parse().expect("an address");
    let mut wrong = direct.clone();
    wrong.set_password(Some("planted-password")).expect("a password");
    let output = check(&with(&variables, "DATABASE_URL", wrong.as_str())).await;
    fails(&output, &[("database", "password authentication failed")]);
    assert!(!output.out.contains("planted"), "{output:?}");

    let secret = "a-wrong-secret-that-is-long-enough-to-be-taken";
    let output = check(&with(&variables, "SUPABASE_JWT_SECRET", secret)).await;
    fails(&output, &[("PostgREST", "401"), ("Realtime", "")]);

    stack.channel_to("absent", "webhook", "http://127.0.0.1:1/absent").await;
    let output = check(&variables).await;
    fails(&output, &[("channel \"absent\"", "")]);
    assert_eq!(run(&variables, &["check", "--no-channels"], "").await.status, 0);
    let output = run(&variables, &["check", "--json"], "").await;
    let answer: Value = serde_json::from_str(&output.out).expect("one object");
    assert_eq!((output.status, &answer["failed"]), (1, &1.into()), "{output:?}");
    let checks = answer["checks"].as_array().expect("checks");
    let failed: Vec<_> = checks.iter().filter(|check| check["state"] == "fail").collect();
    assert_eq!(failed[0]["what"], "channel \"absent\"");
    assert!(failed[0]["todo"].as_str().is_some_and(|todo| todo.contains("send-test")));
    assert!(checks.iter().any(|check| check["state"] == "ok" && check["what"] == "Realtime"));

    let named = |names: &str| with(&variables, "SYSTEM_ALERT_CHANNELS", names);
    let output = check(&named("ops, planted")).await;
    fails(&output, &[("channel \"absent\"", ""), ("SYSTEM_ALERT_CHANNELS", "\"planted\"")]);

    let mut wrong = variables.clone();
    for (name, value) in [
        ("FEED_TICK_BUSY_MS", "soon"),
        ("API_ALLOWED_ORIGINS", "*"),
        ("RETENTION", "cron"),
        ("DEAD_MANS_PING_URL", "ftp://x"),
    ] {
        wrong.insert(name.to_owned(), value.to_owned());
    }
    let output = check(&wrong).await;
    let found = lines(&output);
    for name in ["FEED_TICK_BUSY_MS", "API_ALLOWED_ORIGINS", "RETENTION", "DEAD_MANS_PING_URL"] {
        assert!(found.get(name).is_some_and(|line| line.0 == "FAIL"), "{name}: {output:?}");
    }
    assert_eq!(output.status, 1);

    let mut service = with(&variables, "SUPABASE_SERVICE_ROLE_KEY", &stack.service_key());
    service.remove("SUPABASE_JWT_SECRET");
    let output = check(&service).await;
    assert_eq!(lines(&output)["credentials"].0, "note", "{output:?}");

    if external::named() {
        eprintln!("not tested with a broken schema: another's Supabase is used");
        return;
    }
    stack.alter("delete from public.alert_channels where name = 'absent'").await;
    let broken = [
        (
            "alter publication supabase_realtime drop table public.alert_rules",
            "publication",
            "alert_rules",
        ),
        ("revoke insert on public.alert_notifications from error_daemon", "rights", "enough"),
        ("grant delete on public.error_metrics to error_daemon", "least privilege", "deleting"),
        ("drop policy tracker_daemon on public.error_metrics", "row-level security", "every row"),
    ];
    let mut expected = Vec::new();
    for (sql, what, part) in broken {
        stack.alter(sql).await;
        expected.push((what, part));
    }
    let output = run(&variables, &["check", "--no-channels"], "").await;
    fails(&output, &expected);
    let mut owner = direct.clone();
    owner.set_username("postgres").expect("a user");
    let output =
        run(&with(&variables, "DATABASE_URL", owner.as_str()), &["check", "--no-channels"], "")
            .await;
    assert_eq!(lines(&output)["login role"].0, "FAIL", "{output:?}");
}

#[tokio::test]
async fn a_project_without_the_migrations() {
    if external::named() {
        eprintln!("not tested without migrations: another's Supabase is used");
        return;
    }
    // Roles belong to the server, so the daemon can log in although its tables are missing.
    let migrated = TestDb::new().await;
    let db = TestDb::empty().await;
    let supabase = local_supabase(&db, |_| {}).await;
    let variables = Variables::from(
        [
            ("DATABASE_URL", db.daemon_url.clone()),
            ("SUPABASE_URL", supabase.url()),
            ("SUPABASE_ANON_KEY", supabase.anon_key().to_owned()),
            ("SUPABASE_JWT_SECRET", supabase.jwt_secret().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let output = check(&variables).await;
    let found = lines(&output);
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(found["migrations"].0, "FAIL");
    assert!(found["migrations"].1.contains("public.error_metrics"), "{output:?}");
    assert!(output.out.contains("supabase db push"), "{output:?}");
    let output = run(&variables, &["run"], "").await;
    assert!(output.status == 1 && output.err.contains("apply the migrations"), "{output:?}");
    drop(migrated);
}
