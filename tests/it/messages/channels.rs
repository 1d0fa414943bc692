//! What a channel's configuration may hold.

use serde_json::{Value, json};

use crate::support::db::TestDb;

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_the_name_of_its_field() {
    let db = TestDb::new().await;
    let admin = db.admin().await;
    let pager = |more: Value| {
        let mut config = json!({"format": "pagerduty"});
        let fields = config.as_object_mut().expect("an object");
        fields.extend(more.as_object().cloned().unwrap_or_default());
        config
    };
    let cases = [
        ("slack", json!({}), ""),
        ("slack", json!({"channel": "C0123456789"}), ""),
        ("slack", json!({"channel": "#alerts"}), "config_channel_must_be_the_id"),
        ("slack", json!({"channel": 7}), "config_channel_must_be_the_id"),
        ("email", json!({"to": ["a@b.c"], "channel": "C0123"}), "config_channel_must_be_the_id"),
        ("slack", json!({"bot_token": "xoxb-1"}), "config_must_not_hold_secrets"),
        ("webhook", json!({"url": "https://a.example"}), ""),
        ("webhook", json!({"url": "https://a.example", "format": "standard"}), ""),
        ("webhook", json!({"format": "standard"}), "config_url_must_be_given"),
        ("webhook", json!({"url": "https://a.example", "format": "xml"}), "config_format_must_be"),
        ("slack", json!({"format": "pagerduty"}), "config_format_must_be"),
        ("webhook", pager(json!({})), ""),
        ("webhook", pager(json!({"region": "eu"})), ""),
        ("webhook", pager(json!({"region": "mars"})), "config_region_must_be"),
        ("webhook", pager(json!({"routing_key": "k"})), "config_must_not_hold_secrets"),
        // Whoever may edit a channel must not send its key elsewhere.
        ("webhook", pager(json!({"url": "https://evil.example"})), "config_url_must_be_given"),
        ("webhook", pager(json!({"severities": {"warning": "info"}})), ""),
        ("webhook", pager(json!({"severities": {"warning": "loud"}})), "config_severities_must"),
        ("webhook", pager(json!({"severities": {"page": "info"}})), "config_severities_must"),
        ("webhook", pager(json!({"severities": "info"})), "config_severities_must"),
    ];
    for (index, (kind, config, expected)) in cases.into_iter().enumerate() {
        let answer = sqlx::query(
            "insert into public.alert_channels (name, kind, config) values ($1, $2, $3)",
        )
        .bind(format!("channel {index}"))
        .bind(kind)
        .bind(&config)
        .execute(&admin)
        .await
        .map_err(|error| error.to_string());
        match (expected, answer) {
            ("", answer) => assert!(answer.is_ok(), "{kind} {config}: {answer:?}"),
            (expected, answer) => {
                let error = answer.err().unwrap_or_default();
                assert!(error.contains(expected), "{kind} {config}: {error}");
            }
        }
    }
}
