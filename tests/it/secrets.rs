//! No planted secret survives anywhere: not in a stored row, a frame of Realtime, a notification, the
//! daemon's log, a group, or an answer of the API, whatever shape it has and wherever it stands.

mod plant;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::{Arc, Mutex};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use self::plant::{Planted, plant};
use crate::support::{eventually, process::Process, stack::Stack};

/// Events of each round; each of them has a secret in several places.
const EVENTS: usize = 30;

/// Every table of ours but those of channels' secrets, which are encrypted; whatever is added one day is
/// looked through as well.
const TABLES: &str = "select format('%I.%I', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and n.nspname in ('public', 'error_tracking') and c.relname <> 'channel_secrets'
   order by 1";

#[tokio::test]
async fn no_planted_secret_survives() {
    let stack = Stack::start().await;
    let project = stack.project("planted").await;
    let viewer = Uuid::new_v4();
    sqlx::query(
        "insert into public.error_access (project_id, user_id, role) values ($1, $2, 'viewer')",
    )
    .bind(project)
    .bind(viewer)
    .execute(&stack.admin)
    .await
    .unwrap();
    let token = stack.token("authenticated", &[("sub", viewer.to_string())], 3600);
    let mut channels = Vec::new();
    for kind in ["slack", "email", "webhook"] {
        channels.push(stack.channel(kind, kind).await);
    }
    let rule = json!({"project_id": project, "group_by": ["fingerprint"], "window_seconds": 3600, "warning": 1});
    stack.rule("Every group", rule, &channels).await;
    let mut variables = stack.variables();
    // The most that a daemon can be told to say of itself.
    variables.insert("LOG_FILTER".to_owned(), "debug,hyper=info,h2=info,rustls=info".to_owned());
    let daemon = Process::start(variables).await;
    daemon.until_role("leader").await;
    let frames = listen(&stack, &token).await;

    // The seeds are fixed, so that a failure can be repeated.
    let mut all: Vec<Planted> = Vec::new();
    for seed in 0..3 {
        let mut rng = StdRng::seed_from_u64(seed);
        let planted: Vec<Planted> =
            (0..EVENTS).map(|n| plant(&mut rng, seed, n, project)).collect();
        let half = planted.split_at(EVENTS / 2);
        let rows: Vec<Value> = half.0.iter().map(|planted| planted.event.clone()).collect();
        stack.reporter(Some(project)).insert_json(&rows).await.expect("the errors are taken");
        let rows: Vec<Value> = half.1.iter().map(|planted| planted.event.clone()).collect();
        let reporter = stack.token("error_reporter", &[("project_id", project.to_string())], 600);
        let sent = reqwest::Client::new()
            .post(format!("{}/api/error-events", daemon.url()))
            .bearer_auth(reporter)
            .json(&rows)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 201, "{}", sent.text().await.unwrap());
        all.extend(planted);
    }
    // What is refused is stored nowhere, and neither the answer nor a log repeats it.
    let mut rng = StdRng::seed_from_u64(3);
    let refused: Vec<Planted> = (0..EVENTS).map(|n| plant(&mut rng, 3, n, project)).collect();
    let mut answers = Vec::new();
    for (field, wrong) in [
        ("source", json!("cron")),
        ("project_id", json!(stack.project("another").await)),
        ("workflow_id", json!("none")),
        ("timestamp", json!("yesterday")),
    ] {
        let mut rows: Vec<Value> = refused.iter().map(|planted| planted.event.clone()).collect();
        rows.iter_mut().for_each(|row| row[field] = wrong.clone());
        let reporter = stack.token("error_reporter", &[("project_id", project.to_string())], 600);
        let sent = reqwest::Client::new()
            .post(format!("{}/api/error-events", daemon.url()))
            .bearer_auth(reporter)
            .json(&rows)
            .send()
            .await
            .unwrap();
        assert!(matches!(sent.status().as_u16(), 400 | 403), "{field}: {}", sent.status());
        answers.push(sent.text().await.unwrap());
    }

    let total = i64::try_from(all.len()).unwrap();
    eventually("all groups are counted", async || {
        let counted =
            stack.number("select coalesce(sum(count), 0)::bigint from public.error_groups").await;
        (counted == total).then_some(())
    })
    .await;
    let groups = stack.number("select count(*) from public.error_groups").await;
    eventually("every medium was told of every group", async || {
        let told = stack
            .number("select count(*) from public.alert_notifications where state = 'sent'")
            .await;
        (told >= 3 * groups && !stack.mail.mails().is_empty()).then_some(())
    })
    .await;
    eventually("the subscriber has seen every row", async || {
        let seen = frames.lock().unwrap().matches("\"INSERT\"").count();
        (i64::try_from(seen).unwrap() >= total).then_some(())
    })
    .await;

    let mut places = vec![("Realtime".to_owned(), frames.lock().unwrap().clone())];
    let mut tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&stack.admin).await.unwrap();
    for table in tables.drain(..) {
        let text = table_text(&stack.admin, &table).await;
        places.push((table, text));
    }
    for needed in ["public.error_metrics", "public.error_groups", "public.alert_notifications"] {
        let there = places.iter().any(|(place, text)| place == needed && !text.is_empty());
        assert!(there, "{needed} was not looked at, or is empty");
    }
    let http = [("Slack", &stack.slack), ("webhook", &stack.webhook)];
    for (name, sink) in http {
        let bodies: Vec<String> = sink.requests().iter().map(|request| request.text()).collect();
        assert!(!bodies.is_empty(), "{name} was told nothing");
        places.push((name.to_owned(), bodies.join("\n")));
    }
    places.push(("mail".to_owned(), format!("{:?}", stack.mail.mails())));
    places.push(("log".to_owned(), daemon.log()));
    places.push(("answers to what was refused".to_owned(), answers.join("\n")));
    for (path, accept) in [
        ("/api/error-metrics?limit=1000", "application/json"),
        ("/api/error-metrics", "text/csv"),
        ("/api/error-metrics?group=day", "application/json"),
        ("/metrics", "*/*"),
        ("/readyz", "*/*"),
    ] {
        let answer = reqwest::Client::new()
            .get(format!("{}{path}", daemon.url()))
            .bearer_auth(&token)
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        places.push((format!("{path} as {accept}"), answer.text().await.unwrap()));
    }
    let mut found = Vec::new();
    for (place, text) in &places {
        for planted in all.iter().chain(&refused) {
            for secret in planted.secrets.iter().filter(|secret| text.contains(secret.as_str())) {
                found.push(format!("{place}: {secret} of {}", planted.event));
            }
        }
    }
    assert!(found.is_empty(), "{} survive:\n{}", found.len(), found.join("\n"));
    // What must stay readable did, or nothing was looked at.
    let rows = &places.iter().find(|(place, _)| place == "public.error_metrics").unwrap().1;
    assert!(all.iter().all(|planted| rows.contains(&planted.harmless)));
}

async fn table_text(pool: &PgPool, table: &str) -> String {
    let sql = format!("select coalesce(string_agg(to_jsonb(t)::text, e'\\n'), '') from {table} t");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Subscribes as a dashboard does, to all rows that the token may see; collects frames.
async fn listen(stack: &Stack, token: &str) -> Arc<Mutex<String>> {
    let variables = stack.variables();
    let base = variables["SUPABASE_URL"].replacen("http", "ws", 1);
    let key = variables.get("SUPABASE_ANON_KEY").map_or(token, String::as_str);
    let url = format!("{base}/realtime/v1/websocket?apikey={key}&vsn=1.0.0");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
    let changes = [json!({"event": "INSERT", "schema": "public", "table": "error_metrics"})];
    let join = json!({"topic": "realtime:planted", "event": "phx_join", "ref": "1", "join_ref": "1",
        "payload": {"access_token": token, "config": {"postgres_changes": changes}}});
    socket.send(Message::text(join.to_string())).await.expect("a join");
    let frames = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&frames);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = socket.next().await {
            if let Message::Text(text) = frame {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&text);
                kept.push('\n');
            }
        }
    });
    eventually("the subscriber is subscribed", async || {
        frames.lock().unwrap().contains("Subscribed to PostgreSQL").then_some(())
    })
    .await;
    frames
}
