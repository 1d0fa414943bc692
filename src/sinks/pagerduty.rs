//! PagerDuty's Events API v2 with one service: takes only events of the documented shape, and keeps an
//! alert for each key.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::DateTime;
use serde_json::{Value, json};

use super::http::{Answer, HttpSink};

const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagerDutyState {
    /// Somebody is being paged.
    Triggered,
    /// Somebody takes care of it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// The events of one key.
#[derive(Clone, Debug)]
pub struct PagerDutyAlert {
    /// Where it stands.
    pub state: PagerDutyState,
    /// How often it was opened anew.
    pub opened: u32,
    /// Severity of the last trigger.
    pub severity: String,
    /// Summary of the last trigger.
    pub summary: String,
}

type Alerts = BTreeMap<String, PagerDutyAlert>;

/// The receiver; it stops when it is dropped.
#[derive(Debug)]
pub struct PagerDutySink {
    http: HttpSink,
    alerts: Arc<Mutex<Alerts>>,
}

impl PagerDutySink {
    /// A service with this integration key.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(routing_key: &str) -> io::Result<Self> {
        let alerts: Arc<Mutex<Alerts>> = Arc::default();
        let (own, key) = (Arc::clone(&alerts), routing_key.to_owned());
        let http = HttpSink::answering(move |request| {
            match taken(&request.json(), &key, &mut lock(&own)) {
                Ok(dedup_key) => {
                    let body = json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key});
                    Answer::new(202, &body.to_string())
                }
                Err(error) => {
                    let body = json!({"status": "invalid event", "message": "Event object is invalid", "errors": [error]});
                    Answer::new(400, &body.to_string())
                }
            }
        })
        .await?;
        Ok(Self { http, alerts })
    }

    /// What takes the place of `https://events.pagerduty.com/v2/enqueue`.
    #[must_use]
    pub fn url(&self) -> String {
        self.http.url("/v2/enqueue")
    }

    /// The requests behind it, and scripts of answers such as 429.
    #[must_use]
    pub const fn http(&self) -> &HttpSink {
        &self.http
    }

    /// The alerts by their keys.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<String, PagerDutyAlert> {
        lock(&self.alerts).clone()
    }
}

fn lock(alerts: &Mutex<Alerts>) -> MutexGuard<'_, Alerts> {
    alerts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an event whose shape is that of the reference, and returns its key.
fn taken(event: &Value, routing_key: &str, alerts: &mut Alerts) -> Result<String, String> {
    let text =
        |object: &Value, name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let key = text(event, "routing_key").ok_or("'routing_key' is missing or blank")?;
    if key.len() != 32 {
        return Err("Length of 'routing_key' is incorrect (should be 32 characters)".to_owned());
    }
    if key != routing_key {
        return Err("Invalid routing key".to_owned());
    }
    let action = text(event, "event_action").ok_or("'event_action' is missing or blank")?;
    let dedup_key = text(event, "dedup_key").filter(|key| !key.is_empty() && key.len() <= 255);
    let dedup_key = dedup_key.ok_or("'dedup_key' is missing or has more than 255 characters")?;
    let known = [
        "routing_key",
        "event_action",
        "dedup_key",
        "payload",
        "client",
        "client_url",
        "links",
        "images",
    ];
    if let Some(other) =
        event.as_object().and_then(|e| e.keys().find(|k| !known.contains(&k.as_str())))
    {
        return Err(format!("'{other}' is not a field of an event"));
    }
    match action.as_str() {
        "trigger" => {
            let payload = event.get("payload").filter(|payload| payload.is_object());
            let (summary, severity) = payload_of(payload.ok_or("'payload' is missing or blank")?)?;
            for link in event.get("links").and_then(Value::as_array).into_iter().flatten() {
                text(link, "href").ok_or("'href' of a link is missing")?;
            }
            let alert = alerts.entry(dedup_key.clone()).or_insert_with(|| PagerDutyAlert {
                state: PagerDutyState::Resolved,
                opened: 0,
                severity: String::new(),
                summary: String::new(),
            });
            if alert.state == PagerDutyState::Resolved {
                alert.state = PagerDutyState::Triggered;
                alert.opened += 1;
            }
            (alert.summary, alert.severity) = (summary, severity);
        }
        "acknowledge" | "resolve" => {
            // An event for an alert that is not open is taken and has no effect.
            if let Some(alert) = alerts.get_mut(&dedup_key)
                && alert.state != PagerDutyState::Resolved
            {
                alert.state = if action == "resolve" {
                    PagerDutyState::Resolved
                } else {
                    PagerDutyState::Acknowledged
                };
            }
        }
        _ => return Err("'event_action' must be trigger, acknowledge or resolve".to_owned()),
    }
    Ok(dedup_key)
}

fn payload_of(payload: &Value) -> Result<(String, String), String> {
    let text = |name: &str| {
        let text = payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| format!("'{name}' is missing or blank"))
    };
    let (summary, severity) = (text("summary")?, text("severity")?);
    text("source")?;
    if summary.chars().count() > 1_024 {
        return Err("'summary' has more than 1024 characters".to_owned());
    }
    if !SEVERITIES.contains(&severity.as_str()) {
        return Err("'severity' must be critical, error, warning or info".to_owned());
    }
    if let Some(at) = payload.get("timestamp")
        && at.as_str().is_none_or(|at| DateTime::parse_from_rfc3339(at).is_err())
    {
        return Err("'timestamp' is not a date and time".to_owned());
    }
    if payload.get("custom_details").is_some_and(|details| !details.is_object()) {
        return Err("'custom_details' must be an object".to_owned());
    }
    Ok((summary, severity))
}
