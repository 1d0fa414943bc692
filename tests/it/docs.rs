//! What the README and the pages about the schema, alerts, channels, incidents, webhooks and the API tell
//! people to type is typed here.

mod api;
mod commands;
mod links;
mod operations;

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::rest::RestSite;

const README: &str = include_str!("../../README.md");
const PAGE: &str = include_str!("../../docs/schema.md");
const ALERTS: &str = include_str!("../../docs/alerts.md");
const CHANNELS: &str = include_str!("../../docs/channels.md");
const INCIDENTS: &str = include_str!("../../docs/incidents.md");
const WEBHOOKS: &str = include_str!("../../docs/webhooks.md");

/// README, ARCHITECTURE and all pages of `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("the folder of documents");
    let docs = docs.map(|entry| entry.expect("a file").path());
    docs.chain(["README.md", "ARCHITECTURE.md"].map(|name| root.join(name)))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("a page")))
        .collect()
}

/// The blocks of a page that are in this language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// A command's words as a shell would see them, with variables left as they stand.
fn words(command: &str) -> Vec<String> {
    let command = command.replace("\\\n", " ");
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in command.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Sends what a `curl` command of a page sends, in the name of whoever has the token called `variable`.
async fn curl(site: &RestSite, variable: &str, token: &str, command: &str) -> u16 {
    let words = words(command);
    let path = words[1].strip_prefix("$SUPABASE_URL/rest/v1").expect("a path of the REST API");
    let (mut prefer, mut body, mut authorized) = (String::new(), Value::Null, false);
    for pair in words[2..].chunks(2) {
        match (pair[0].as_str(), pair[1].split_once(": ")) {
            ("-H", Some(("Prefer", value))) => prefer = value.to_owned(),
            ("-H", Some(("Authorization", value))) => {
                authorized = value.strip_prefix("Bearer $") == Some(variable);
            }
            ("-H", Some(("apikey" | "Content-Type", _))) => {}
            ("-d", _) => body = serde_json::from_str(&pair[1]).unwrap(),
            _ => panic!("{pair:?}"),
        }
    }
    assert!(authorized);
    let headers = [("prefer", prefer.as_str())];
    site.send(Method::POST, path, Some(token), &headers, Some(&body)).await.status
}

#[tokio::test]
async fn the_commands_of_the_page_work() {
    let site = RestSite::start().await;
    let token = site.token(&json!({"role": "error_reporter"}));
    let commands = blocks(PAGE, "sh");
    assert_eq!(commands.len(), 2, "one event, and many");
    for (repeat, rows) in [(1, 3_i64), (2, 4)] {
        for command in &commands {
            let status = curl(&site, "ERROR_REPORTER_TOKEN", &token, command).await;
            assert!(matches!(status, 200 | 201), "{status}: {command}");
        }
        let count: i64 = sqlx::query_scalar("select count(*) from public.error_metrics")
            .fetch_one(&site.admin)
            .await
            .unwrap();
        assert_eq!(count, rows, "after {repeat} times: only the bulk insert may be repeated");
    }
}

#[tokio::test]
async fn the_command_of_the_readme_inserts_one_error_however_often_it_is_sent() {
    let site = RestSite::start().await;
    let token = site.token(&json!({"role": "error_reporter"}));
    let commands = blocks(README, "sh");
    let command = commands.iter().find(|command| command.starts_with("curl ")).expect("an insert");
    for _ in 0..2 {
        let status = curl(&site, "ERROR_REPORTER_TOKEN", &token, command).await;
        assert!(matches!(status, 200 | 201), "{status}: {command}");
    }
    let messages: Vec<String> = sqlx::query_scalar("select message from public.error_metrics")
        .fetch_all(&site.admin)
        .await
        .unwrap();
    assert_eq!(messages, ["GET /orders timed out"]);
}

/// Each group of pages is read from its beginning: what a statement makes, a later one may name.
#[tokio::test]
async fn the_statements_about_alerts_run_one_after_the_other() {
    let site = RestSite::start().await;
    for (pages, counts) in
        [(&[ALERTS, CHANNELS, INCIDENTS][..], &[11, 3, 4][..]), (&[WEBHOOKS], &[1])]
    {
        let pages = pages.iter().map(|page| blocks(page, "sql"));
        let pages: Vec<Vec<&str>> = pages.collect();
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), counts);
        let mut transaction = site.admin.begin().await.unwrap();
        // The rule that others depend on in the text.
        sqlx::raw_sql("insert into alert_rules (name, warning) values ('System down', 1)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        for statement in pages.concat() {
            let done = sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut *transaction)
                .await
                .unwrap_or_else(|error| panic!("{error}\n{statement}"));
            assert!(done.rows_affected() > 0, "nothing came of it:\n{statement}");
        }
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn the_commands_for_responders_work() {
    let site = RestSite::start().await;
    let (user, incident) = (Uuid::new_v4(), Uuid::new_v4());
    let rule: Uuid = sqlx::query_scalar(
        "insert into public.alert_rules (name, warning) values ('r', 1) returning rule_id",
    )
    .fetch_one(&site.admin)
    .await
    .unwrap();
    for sql in [
        format!("insert into public.error_access (user_id, role) values ('{user}', 'responder')"),
        format!(
            "insert into public.alert_incidents (incident_id, rule_id, rule_name, state, level, peak_level, \
               started_at, value, threshold, peak) \
             values ('{incident}', '{rule}', 'r', 'firing', 'warning', 'warning', now(), 1, 1, 1)"
        ),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&site.admin).await.unwrap();
    }
    let token = site.token(&json!({"role": "authenticated", "sub": user}));
    let mut sent = 0;
    for block in blocks(INCIDENTS, "sh").into_iter().filter(|block| block.starts_with("curl ")) {
        for command in block.split("\ncurl ").map(|c| c.trim_start_matches("curl ")) {
            let command = format!("curl {command}")
                .replace("00000000-0000-0000-0000-000000000000", &incident.to_string());
            let status = curl(&site, "USER_TOKEN", &token, &command).await;
            assert!(matches!(status, 200 | 204), "{status}: {command}");
            sent += 1;
        }
    }
    assert_eq!(sent, 3, "acknowledge, silence for an hour, until tomorrow");
}

#[tokio::test]
async fn the_statements_of_the_page_run() {
    let site = RestSite::start().await;
    let statements = blocks(PAGE, "sql");
    assert!(statements.len() >= 7);
    for statement in statements {
        let mut transaction = site.admin.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{statement}"));
        transaction.rollback().await.unwrap();
    }
}
