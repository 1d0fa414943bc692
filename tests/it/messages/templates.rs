//! A rule's own title and body: used, refused where that can be seen at once, and replaced where they
//! fail.

use meshhook_errors::model::TransitionKind as Kind;
use sqlx::AssertSqlSafe;

use crate::{notify::rig::Rig, support::eventually};

async fn set(rig: &Rig, title: Option<&str>, body: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update public.alert_rules set title_template = $2, body_template = $3 where rule_id = $1",
    )
    .bind(rig.rule)
    .bind(title)
    .bind(body)
    .execute(&rig.admin)
    .await
    .map(|_| ())
}

/// What the daemon found, once it has tried the templates.
async fn found(rig: &Rig) -> Option<String> {
    eventually("the templates are tried", async || {
        let row: (bool, Option<String>) = sqlx::query_as(
            "select templates_checked, template_error from public.alert_rules where rule_id = $1",
        )
        .bind(rig.rule)
        .fetch_one(&rig.admin)
        .await
        .expect("the rule");
        row.0.then_some(row.1)
    })
    .await
}

#[tokio::test]
async fn a_rules_own_words_reach_every_medium() {
    let rig = Rig::new().await;
    set(
        &rig,
        Some("{{ level|upper }} {{ rule.name }}"),
        Some("{{ sentence }}.\nCall {{ project or 'us' }}."),
    )
    .await
    .expect("taken");
    assert_eq!(found(&rig).await, None);
    let slack = rig.slack_channel("ops", &rig.slack).await;
    let mail = rig.mail_channel(&["ada@mesh.example"]).await;
    let hook = rig.hook_channel(&rig.hook.url("/alerts")).await;
    let incident = rig.incident().await;
    for channel in [slack, mail, hook] {
        let row = rig.notify(incident, channel, Kind::Firing).await;
        rig.until(row, "sent").await;
    }
    let text = rig.slack.requests()[0].json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(
        text.contains("WARNING Payments failing – 25 errors in 5 min (threshold 20)."),
        "{text}"
    );
    let body = rig.hook.requests()[0].json();
    assert_eq!(body["title"], "WARNING Payments failing");
    assert_eq!(body["body"], "25 errors in 5 min (threshold 20).\nCall us.");
    let letter = rig.mail.mails().remove(0);
    assert!(letter.data.contains("WARNING Payments failing"), "{}", letter.data);
    assert!(
        letter.header("subject").is_some_and(|s| s.contains("Payments failing")),
        "threads need it"
    );
}

#[tokio::test]
async fn a_template_that_fails_costs_nothing_but_itself() {
    let rig = Rig::new().await;
    set(
        &rig,
        Some("{{ rule.nam }}"),
        Some("{% for x in range(9999) %}{{ range(9999)|join }}{% endfor %}"),
    )
    .await
    .expect("the table cannot see it");
    let error = found(&rig).await.unwrap_or_default();
    assert!(error.contains("title_template: there is no rule.nam"), "{error}");
    assert!(error.contains("body_template: takes too long"), "{error}");

    let slack = rig.slack_channel("ops", &rig.slack).await;
    let row = rig.fire(slack).await;
    rig.until(row, "sent").await;
    let message = rig.slack.requests()[0].json().to_string();
    assert!(
        message.contains("Warning: Payments failing") && message.contains("25 errors in 5 min")
    );
    assert!(message.contains("the built-in text stands in its place"), "{message}");
    assert_eq!(found(&rig).await, Some(error), "it is still said");
    let touched: bool = sqlx::query_scalar(
        "select updated_at > created_at + interval '1 h' from public.alert_rules where rule_id = $1",
    )
    .bind(rig.rule)
    .fetch_one(&rig.admin)
    .await
    .expect("the rule");
    assert!(!touched);

    // Its author mends it.
    set(&rig, Some("{{ rule.name }}!"), None).await.expect("taken");
    assert_eq!(found(&rig).await, None);
    let row = rig.fire(slack).await;
    rig.until(row, "sent").await;
    let message = rig.slack.requests()[1].json().to_string();
    assert!(message.contains("Payments failing!") && !message.contains("built-in"), "{message}");
}

/// What a template does with one group only is noted when it happens.
#[tokio::test]
async fn a_failure_that_only_a_real_message_shows_is_noted_too() {
    let rig = Rig::new().await;
    set(&rig, Some("{{ 100 / (value - 25) }}"), None).await.expect("taken");
    // The example that templates are tried with has the same value as this message.
    sqlx::query("update public.alert_rules set templates_checked = true, template_error = null where rule_id = $1")
        .bind(rig.rule)
        .execute(&rig.admin)
        .await
        .expect("as if it had passed");
    let slack = rig.slack_channel("ops", &rig.slack).await;
    let row = rig.fire(slack).await;
    rig.until(row, "sent").await;
    eventually("the failure is noted", async || found(&rig).await).await;
}

#[tokio::test]
async fn what_cannot_be_a_template_is_refused_by_the_table() {
    let rig = Rig::idle().await;
    let long = "x".repeat(301);
    let cases = [
        (Some("{{ rule.name"), None, "title_template_must_close"),
        (Some("{% if level %}x"), None, ""),
        (Some("{% include 'x' %}"), None, "title_template_must_close"),
        (Some(""), None, "title_template_must_close"),
        (Some(&*long), None, "title_template_must_close"),
        (None, Some("{%- extends 'x' %}"), "body_template_must_close"),
        (None, Some("}} %}"), "body_template_must_close"),
        (None, Some("{{ includes }} {% if x %}{% endif %}"), ""),
    ];
    for (title, body, expected) in cases {
        let answer = set(&rig, title, body).await.map_err(|error| error.to_string());
        match (expected, answer) {
            ("", answer) => assert_eq!(answer, Ok(()), "{title:?} {body:?}"),
            (expected, answer) => {
                let error = answer.expect_err(expected);
                assert!(error.contains(expected), "{error}");
            }
        }
    }
    // Templates are of no concern to those who may only read.
    let grants: i64 = sqlx::query_scalar(AssertSqlSafe(
        "select count(*) from information_schema.column_privileges
          where table_name = 'alert_rules' and column_name in ('template_error', 'templates_checked')
            and grantee = 'authenticated' and privilege_type <> 'SELECT'",
    ))
    .fetch_one(&rig.admin)
    .await
    .expect("a count");
    assert_eq!(grants, 0);
}
