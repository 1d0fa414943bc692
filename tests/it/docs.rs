//! What `docs/schema.md` tells people to type is typed here.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::rest::RestSite;

const PAGE: &str = include_str!("../../docs/schema.md");

/// The blocks of the page that are in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
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

/// Sends what a `curl` command of the page sends.
async fn curl(site: &RestSite, token: &str, command: &str) -> u16 {
    let words = words(command);
    let path = words[1].strip_prefix("$SUPABASE_URL/rest/v1").expect("a path of the REST API");
    let (mut prefer, mut body, mut authorized) = (String::new(), Value::Null, false);
    for pair in words[2..].chunks(2) {
        match (pair[0].as_str(), pair[1].split_once(": ")) {
            ("-H", Some(("Prefer", value))) => prefer = value.to_owned(),
            ("-H", Some(("Authorization", value))) => {
                authorized = value == "Bearer $ERROR_REPORTER_TOKEN"
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
    let commands = blocks("sh");
    assert_eq!(commands.len(), 2, "one event, and many");
    for (repeat, rows) in [(1, 3_i64), (2, 4)] {
        for command in &commands {
            let status = curl(&site, &token, command).await;
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
async fn the_statements_of_the_page_run() {
    let site = RestSite::start().await;
    let statements = blocks("sql");
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
