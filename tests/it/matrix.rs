//! The rights of every role on every table and function, checked through HTTP against two readable tables.
//! No product code may be called here but through the REST API; what it did is read from the database.
//! Expected rights come in from `cells.txt` and `functions.txt`; a cell that is missing fails the test.

mod messages;
mod reporting;
mod tenants;
mod world;

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::rest::{Answer, RestSite};
use world::{ROLES, Table, project, reset, tables, token};

const CELLS: &str = include_str!("matrix/cells.txt");
const FUNCTIONS: &str = include_str!("matrix/functions.txt");
const VERBS: [&str; 4] = ["select", "insert", "update", "delete"];

/// `(table, role, verb)` and what the cell says.
type Cells = BTreeMap<(String, String, String), String>;

fn cells() -> Cells {
    let mut cells = Cells::new();
    let (mut table, mut verbs) = (String::new(), Vec::new());
    for line in CELLS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[1..].contains(&"select") {
            table = words[0].to_owned();
            verbs = words[1..].to_vec();
            continue;
        }
        assert_eq!(words.len(), verbs.len() + 1, "{line:?}");
        for (verb, cell) in verbs.iter().zip(&words[1..]) {
            let key = (table.clone(), words[0].to_owned(), (*verb).to_owned());
            assert!(cells.insert(key, (*cell).to_owned()).is_none(), "twice: {table} {line:?}");
        }
    }
    cells
}

#[tokio::test]
async fn every_cell_holds() {
    let site = RestSite::start().await;
    reset(&site).await;
    let mut expected = cells();
    let tables = tables();
    let names = public_tables(&site).await;
    let listed: Vec<&str> = tables.iter().map(|table| table.name).collect();
    for name in &names {
        assert!(listed.contains(&name.as_str()), "the matrix does not know table {name}");
    }
    let mut wrong = Vec::new();
    for table in &tables {
        assert!(names.iter().any(|name| name == table.name), "there is no table {}", table.name);
        for role in ROLES {
            let token = token(&site, role);
            for verb in VERBS {
                let key = (table.name.to_owned(), role.to_owned(), verb.to_owned());
                let Some(cell) = expected.remove(&key) else { panic!("no cell for {key:?}") };
                let got = match verb {
                    "select" => visible(&site, table, token.as_deref()).await,
                    _ => writable(&site, table, role, token.as_deref(), verb).await,
                };
                if got != cell {
                    wrong.push(format!("{} {role} {verb}: got {got}, expected {cell}", table.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(expected.is_empty(), "cells of nothing: {:?}", expected.keys());
}

/// Tables and views of ours that the REST API could serve.
async fn public_tables(site: &RestSite) -> Vec<String> {
    let all: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace
            and relkind in ('r', 'v', 'm', 'p', 'f') order by relname",
    )
    .fetch_all(&site.admin)
    .await
    .unwrap();
    let meshhooks = ["projects", "workflow_definitions", "workflow_runs"];
    // In somebody's project there may be more, but ours can be told by their names.
    let ours = |name: &String| name.starts_with("error_") || name.starts_with("alert_");
    all.into_iter()
        .filter(|name| if site.external { ours(name) } else { !meshhooks.contains(&name.as_str()) })
        .collect()
}

async fn visible(site: &RestSite, table: &Table, token: Option<&str>) -> String {
    let mut seen = String::new();
    let mut refused = 0;
    for tenant in table.tenants {
        let path =
            format!("/{}?select={1}&{1}=eq.{2}", table.name, table.key, table.present(*tenant));
        let answer = site.get(&path, token).await;
        match (answer.status, answer.body.as_array().map(Vec::len)) {
            (200, Some(0)) => {}
            (200, Some(1)) => seen.push(*tenant),
            (401 | 403, None) if answer.body["code"] == "42501" => refused += 1,
            _ => panic!("{path}: {answer:?}"),
        }
    }
    if refused == table.tenants.len() {
        return "x".to_owned();
    }
    assert_eq!(refused, 0, "{}: refused for some rows only", table.name);
    if seen.is_empty() { ".".to_owned() } else { seen }
}

async fn writable(
    site: &RestSite,
    table: &Table,
    role: &str,
    token: Option<&str>,
    verb: &str,
) -> String {
    let mut done = String::new();
    for tenant in table.tenants {
        // There is one row a project, so its place must be free.
        let make_room = table.name == "error_rates_live" && verb == "insert";
        if make_room {
            let gone = format!(
                "delete from public.error_rates_live where live_id = '{}'",
                table.present(*tenant)
            );
            crate::support::sql(&site.admin, &gone).await;
        }
        let before = rows(&site.admin, table.name).await;
        let filter = format!("/{}?{}=eq.{}", table.name, table.key, table.present(*tenant));
        let minimal = [("prefer", "return=minimal")];
        let answer = match verb {
            "insert" => site.post(&format!("/{}", table.name), token, &table.insert(*tenant)).await,
            "update" => {
                site.send(Method::PATCH, &filter, token, &minimal, Some(&table.update(role))).await
            }
            _ => site.send(Method::DELETE, &filter, token, &minimal, None).await,
        };
        let after = rows(&site.admin, table.name).await;
        let context = format!("{} {role} {verb} {tenant}: {answer:?}", table.name);
        if before == after {
            let refused = matches!(answer.status, 401 | 403) && answer.body["code"] == "42501";
            let nothing_matched = verb != "insert" && matches!(answer.status, 200 | 204);
            assert!(refused || nothing_matched, "{context}");
            if make_room {
                reset(site).await;
            }
            continue;
        }
        assert!(matches!(answer.status, 200 | 201 | 204), "refused, but written: {context}");
        assert_only_that_row(table, *tenant, role, verb, &before, &after, &context);
        done.push(*tenant);
        reset(site).await;
    }
    if done.is_empty() { ".".to_owned() } else { done }
}

async fn rows(pool: &PgPool, table: &str) -> Vec<Value> {
    let query = format!("select to_jsonb(t) from public.{table} as t order by to_jsonb(t)::text");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(pool).await.unwrap()
}

/// What was written is the row that was meant, and no other.
fn assert_only_that_row(
    table: &Table,
    tenant: char,
    role: &str,
    verb: &str,
    before: &[Value],
    after: &[Value],
    context: &str,
) {
    let new: Vec<&Value> = after.iter().filter(|row| !before.contains(row)).collect();
    let gone: Vec<&Value> = before.iter().filter(|row| !after.contains(row)).collect();
    let counts = match verb {
        "insert" => (1, 0),
        "update" => (1, 1),
        _ => (0, 1),
    };
    assert_eq!((new.len(), gone.len()), counts, "{context}");
    for row in new.iter().chain(&gone) {
        if table.tenants.len() > 1 {
            let owner = if role == "reporter_a" { project('A') } else { project(tenant) };
            assert_eq!(row["project_id"], json!(owner), "{context}");
        }
    }
}

#[tokio::test]
async fn functions_may_be_called_by_those_who_should() {
    let site = RestSite::start().await;
    reset(&site).await;
    let mut lines = FUNCTIONS.lines().filter(|line| !line.starts_with('#'));
    let roles: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(roles, ROLES, "one column for each role");
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let listed: Vec<&str> = lines.iter().map(|words| words[0]).collect();
    let found: Vec<String> = sqlx::query_scalar(
        "select proname::text from pg_proc where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')
            and prosrc ~ 'error_tracking|error_access|error_metrics|error_rate|alert_' order by proname",
    )
    .fetch_all(&site.admin)
    .await
    .unwrap();
    assert_eq!(found, listed, "functions of the database and of the table");
    for words in &lines {
        let function = words[0];
        assert_eq!(words.len(), roles.len() + 1, "{words:?}");
        let arguments = match function {
            "acknowledge_incident" | "silence_incident" => {
                json!({"incident_id": world::id(0x400, 'A')})
            }
            "apply_alert_rules" => {
                json!({"project_id": project('A'), "managed_by": "nobody", "changes": []})
            }
            "comment_incident" => json!({"incident_id": world::id(0x400, 'A'), "note": "n"}),
            "expire_silence" => json!({"silence_id": world::id(0x400, 'A')}),
            "ignore_group" | "reopen_group" | "resolve_group" => {
                json!({"project_id": project('A'), "fingerprint": world::id(0x400, 'A')})
            }
            "error_counts" => json!({"unit": "day", "since": "2026-01-01", "until": "2026-01-02"}),
            "error_report" => json!({"events": []}),
            "error_role" => json!({"project_id": project('A')}),
            _ => json!({}),
        };
        for (role, expected) in roles.iter().zip(&words[1..]) {
            let token = token(&site, role);
            let answer = site.post(&format!("/rpc/{function}"), token.as_deref(), &arguments).await;
            let message = answer.body["message"].as_str().unwrap_or_default();
            let refused = message.starts_with("permission denied for function");
            assert!(!refused || matches!(answer.status, 401 | 403), "{answer:?}");
            let outcome = if refused { "x" } else { "yes" };
            assert_eq!(outcome, *expected, "{role} {function}: {answer:?}");
        }
    }
}

/// How many rows a table has.
async fn count(site: &RestSite, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&site.admin).await.unwrap()
}

/// A refusal for want of rights that leaves the tables as they were.
#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    let refused = matches!(answer.status, 401 | 403) && answer.body["code"] == "42501";
    assert!(refused, "{what}: {answer:?}");
}
