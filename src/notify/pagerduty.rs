//! PagerDuty's Events API v2: an alert that is triggered, acknowledged and resolved under one key.
//!
//! Limits are those of its reference: summary 1,024 characters, key 255, source required. A receiver
//! that has an open alert with the same key updates it, so that every retry is harmless.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    message::{IncidentFacts, MessageKind, NotificationFacts},
    outcome::{Answer, Outcome, REASON_MAX},
    retry_after,
    sentence::amount,
    text::{lines, one_line},
    trend,
    view::View,
};
use crate::{
    model::{Level, Timestamp},
    store::channels::Region,
};

/// Under which names keys of groups are made: UUIDv5 of this namespace.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x3a0d_5f1c_9e4b_4d6a_8c27_1b5e_f094_7d13);
const SUMMARY_MAX: usize = 1_000;
const FIELD_MAX: usize = 250;

/// Where events go.
#[must_use]
pub const fn address(region: Region) -> &'static str {
    match region {
        Region::Us => "https://events.pagerduty.com/v2/enqueue",
        Region::Eu => "https://events.eu.pagerduty.com/v2/enqueue",
    }
}

/// The events that tell `facts`, in order: one for most, none for what PagerDuty has no word for,
/// and two for a test, which is resolved as soon as it is seen.
///
/// `severities` are PagerDuty's words for warning and critical.
#[must_use]
pub fn events(
    facts: &NotificationFacts,
    id: Uuid,
    key: &str,
    severities: &[String; 2],
) -> Vec<Value> {
    let dedup_key = dedup_key(facts, id);
    let bare =
        |action: &str| json!({"routing_key": key, "event_action": action, "dedup_key": dedup_key});
    match facts.transition {
        MessageKind::Firing
        | MessageKind::Escalated
        | MessageKind::Reminder
        | MessageKind::Flapping => {
            vec![trigger(bare("trigger"), facts, severity(facts, severities))]
        }
        MessageKind::ChannelBroken => vec![trigger(bare("trigger"), facts, "warning")],
        MessageKind::Acknowledged => vec![bare("acknowledge")],
        MessageKind::Resolved => vec![bare("resolve")],
        MessageKind::Unacknowledged => Vec::new(),
        MessageKind::Test => vec![trigger(bare("trigger"), facts, "info"), bare("resolve")],
    }
}

/// What ties the events of an alert together: the rule and its group and not the time, so that an alert
/// whose end was lost is not opened a second time.
#[must_use]
pub fn dedup_key(facts: &NotificationFacts, id: Uuid) -> String {
    match (&facts.incident, &facts.broken_channel) {
        (_, Some(channel)) => format!("meshhook-errors/channel/{}", channel.id),
        (Some(incident), None) => {
            let group: Vec<_> =
                incident.group.iter().map(|fact| (fact.field.as_str(), &fact.value)).collect();
            let group = serde_json::to_string(&group).unwrap_or_default();
            let group = Uuid::new_v5(&KEY_NAMESPACE, group.as_bytes());
            format!("meshhook-errors/{}/{group}", incident.rule.id)
        }
        (None, None) => format!("meshhook-errors/test/{id}"),
    }
}

/// What an answer means: 202 is success, 429 and 5xx may pass, everything else needs a person.
#[must_use]
pub fn judged(answer: &Answer, now: Timestamp) -> Outcome {
    let json: Option<Value> = serde_json::from_str(&answer.body).ok();
    let said = json.as_ref().map_or_else(
        || answer.body.clone(),
        |json| {
            let words = ["/status", "/message", "/errors/0"];
            let words = words.iter().filter_map(|path| json.pointer(path).and_then(Value::as_str));
            words.collect::<Vec<_>>().join(": ")
        },
    );
    let reason = one_line(&format!("{} {}", answer.status, one_line(&said, 300)), REASON_MAX);
    match answer.status {
        200..=299 => {
            let key = json.as_ref().and_then(|json| json.get("dedup_key")).and_then(Value::as_str);
            Outcome::Sent { receipt: key.map(|key| one_line(key, 255)) }
        }
        408 | 425 | 429 | 500..=599 => {
            let after = answer.retry_after.as_deref();
            Outcome::Retry { after: after.and_then(|text| retry_after::parse(text, now)), reason }
        }
        _ => Outcome::Permanent { reason },
    }
}

fn severity<'a>(facts: &NotificationFacts, severities: &'a [String; 2]) -> &'a str {
    let [warning, critical] = severities;
    match facts.incident.as_ref().map(|incident| incident.level) {
        Some(Level::Critical) => critical,
        _ => warning,
    }
}

fn trigger(mut event: Value, facts: &NotificationFacts, severity: &str) -> Value {
    let view = View::of(facts);
    let mut payload = json!({
        "summary": one_line(&format!("{}: {}", view.headline, view.sentence), SUMMARY_MAX),
        "severity": severity,
        "source": "meshhook-errors",
        "timestamp": facts.at,
    });
    let mut add = |name: &str, value: Value| {
        if let Some(fields) = payload.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
    };
    if let Some(incident) = &facts.incident {
        let project = incident.project.as_ref();
        let project = project.map(|p| p.name.clone().unwrap_or_else(|| p.id.to_string()));
        add("source", json!(one_line(project.as_deref().unwrap_or("meshhook-errors"), FIELD_MAX)));
        add("component", json!(one_line(&incident.rule.name, FIELD_MAX)));
        add("class", json!(incident.rule.metric));
        let values = incident.group.iter().filter_map(|f| f.name.as_deref().or(f.value.as_deref()));
        let group: Vec<_> = values.collect();
        if !group.is_empty() {
            add("group", json!(one_line(&group.join(", "), FIELD_MAX)));
        }
        add("custom_details", details(incident, &view));
    }
    if let Some(fields) = event.as_object_mut() {
        fields.insert("payload".to_owned(), payload);
        fields.insert("client".to_owned(), json!("meshhook-errors"));
        if let Some(link) = &view.link {
            fields.insert("client_url".to_owned(), json!(link));
            fields.insert(
                "links".to_owned(),
                json!([{"href": link, "text": "Open in the dashboard"}]),
            );
        }
    }
    event
}

fn details(incident: &IncidentFacts, view: &View) -> Value {
    let metric = incident.rule.metric;
    let top: Vec<_> = view.top.iter().map(|(count, title)| format!("{count} × {title}")).collect();
    json!({
        "incident": incident.id,
        "level": incident.level,
        "value": amount(metric, incident.value),
        "threshold": amount(metric, incident.threshold),
        "peak": amount(metric, incident.peak),
        "since": incident.since,
        "description": lines(&incident.rule.description, 1000),
        "most frequent errors": top,
        "trend": trend::of(incident).map(|(bars, caption)| format!("{bars} {caption}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::samples::{facts, hostile};

    fn words() -> [String; 2] {
        ["warning".to_owned(), "error".to_owned()]
    }

    #[test]
    fn one_key_for_the_life_of_an_alert_whatever_its_incident() {
        let mut again = facts(MessageKind::Firing);
        if let Some(incident) = &mut again.incident {
            incident.id = Uuid::from_u128(99);
            incident.group[0].name = Some("renamed".into());
        }
        let key = |facts: &NotificationFacts| dedup_key(facts, Uuid::nil());
        let life = [MessageKind::Firing, MessageKind::Escalated, MessageKind::Resolved];
        assert!(life.iter().all(|kind| key(&facts(*kind)) == key(&again)));
        if let Some(incident) = &mut again.incident {
            incident.group[0].value = None;
        }
        assert_ne!(key(&facts(MessageKind::Firing)), key(&again), "another group");
        assert_ne!(key(&facts(MessageKind::ChannelBroken)), key(&facts(MessageKind::Firing)));
    }

    #[test]
    fn levels_become_the_configured_severities() {
        let events = events(&facts(MessageKind::Escalated), Uuid::nil(), "k", &words());
        assert_eq!(events[0]["payload"]["severity"], "error");
    }

    #[test]
    fn hostile_texts_stay_within_the_limits() {
        for kind in MessageKind::ALL {
            for event in events(&hostile(*kind), Uuid::nil(), "k", &words()) {
                assert!(event["dedup_key"].as_str().is_some_and(|key| key.len() <= 255));
                if event["event_action"] == "trigger" {
                    let summary = event["payload"]["summary"].as_str().unwrap_or_default();
                    assert!((1..=1_024).contains(&summary.chars().count()));
                    assert!(event.to_string().len() < 64 * 1024, "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn answers_mean_what_the_reference_says() {
        let cases =
            [(202, "sent"), (400, "permanent"), (403, "permanent"), (429, "retry"), (500, "retry")];
        for (status, expected) in cases {
            let body = r#"{"status":"invalid event","message":"Event object is invalid","errors":["why"]}"#;
            let answer = Answer { status, retry_after: None, body: body.to_owned() };
            let outcome = judged(&answer, Timestamp::default());
            assert_eq!(outcome.as_str(), expected, "{status}");
            if let Some(reason) = outcome.reason() {
                assert!(
                    reason.ends_with("invalid event: Event object is invalid: why"),
                    "{reason}"
                );
            }
        }
    }
}
