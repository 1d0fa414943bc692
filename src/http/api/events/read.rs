//! Reads an event field by field, so that everything wrong with it is told at once.

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::FieldProblem;
use crate::model::{Severity, Source, Timestamp, TypePattern};

/// The longest error type, in characters, as in the table.
const LONGEST_TYPE: usize = 128;
/// What the server sets itself.
const OURS: [&str; 3] = ["seq", "received_at", "fingerprint"];

/// An error event as a caller sends it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewErrorEvent)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    /// Made by the reporter, so that a repeated event is recognised; drawn by the server where absent.
    #[schema(required = false)]
    pub error_id: Uuid,
    /// When it happened, RFC 3339; when it was received where absent, in the future or before 2000.
    #[schema(value_type = Option<String>, format = DateTime)]
    timestamp: Option<Timestamp>,
    /// Which kind of component failed.
    #[schema(value_type = SourceWord)]
    source: Source,
    /// Class (system, execution or input), and detail behind a dot.
    #[schema(
        max_length = 128,
        pattern = "^(system|execution|input)(\\.[a-z0-9_-]+)*$",
        example = "execution.http_timeout"
    )]
    error_type: String,
    /// How bad it is; medium where absent.
    #[schema(value_type = Option<SeverityWord>)]
    severity: Option<Severity>,
    /// The workflow it happened in.
    workflow_id: Option<Uuid>,
    /// The project, where there is no workflow to tell it.
    project_id: Option<Uuid>,
    /// One line; taken from the metadata where absent.
    message: Option<String>,
    /// Whatever helps to understand the error; the database masks what is sensitive.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// One event, or several.
#[derive(Serialize, ToSchema)]
#[schema(as = NewErrorEvents)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes; events are read one by one, to tell all problems")]
pub enum NewEvents {
    /// One event.
    One(NewEvent),
    /// Several of them.
    Many(Batch),
}

/// Up to 1,000 events.
#[derive(Serialize, ToSchema)]
#[schema(as = NewErrorEventBatch, min_items = 1, max_items = 1000)]
pub struct Batch(Vec<NewEvent>);

/// The kind of component that failed.
#[derive(ToSchema)]
#[schema(as = Source, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes")]
pub enum SourceWord {
    /// A workflow step failed in a worker.
    Worker,
    /// An inbound webhook was refused or failed.
    Webhook,
    /// The platform itself failed.
    System,
}

/// How bad an error is.
#[derive(ToSchema)]
#[schema(as = Severity, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes")]
pub enum SeverityWord {
    /// Expected now and then.
    Low,
    /// Needs a look.
    Medium,
    /// Work was lost.
    High,
}

/// Reads one event.
///
/// # Errors
/// Everything that is wrong with it.
pub fn event(value: Value) -> Result<NewEvent, Vec<FieldProblem>> {
    let Value::Object(fields) = value else {
        return Err(vec![FieldProblem::new("", "must be an object with the fields of an event")]);
    };
    let mut reader = Reader { fields, problems: Vec::new() };
    let event = NewEvent {
        error_id: reader.id("error_id").unwrap_or_else(Uuid::now_v7),
        timestamp: reader.text("timestamp", instant),
        source: reader
            .required("source", |text| {
                text.parse().map_err(|_| "must be worker, webhook or system".to_owned())
            })
            .unwrap_or(Source::System),
        error_type: reader.required("error_type", error_type).unwrap_or_default(),
        severity: reader.text("severity", |text| {
            text.parse().map_err(|_| "must be low, medium or high".to_owned())
        }),
        workflow_id: reader.id("workflow_id"),
        project_id: reader.id("project_id"),
        message: reader.text("message", |text| Ok(without_nul(text))),
        metadata: reader.metadata(),
    };
    for name in reader.fields.keys().take(10) {
        let message = if OURS.contains(&name.as_str()) {
            "is set by the server; leave it out"
        } else {
            "there is no such field; put it into metadata"
        };
        let name: String = name.chars().take(100).collect();
        reader.problems.push(FieldProblem::new(name, message));
    }
    if reader.problems.is_empty() { Ok(event) } else { Err(reader.problems) }
}

struct Reader {
    fields: Map<String, Value>,
    problems: Vec<FieldProblem>,
}

impl Reader {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn text<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let read = match self.take(name)? {
            Value::String(text) => read(&text),
            _ => Err("must be text".to_owned()),
        };
        read.map_err(|message| self.problems.push(FieldProblem::new(name, message))).ok()
    }

    fn required<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.fields.get(name).is_none_or(Value::is_null) {
            self.fields.remove(name);
            self.problems.push(FieldProblem::new(name, "is missing"));
            return None;
        }
        self.text(name, read)
    }

    fn id(&mut self, name: &str) -> Option<Uuid> {
        self.text(name, |text| text.parse().map_err(|_| "must be a UUID".to_owned()))
    }

    fn metadata(&mut self) -> Option<Map<String, Value>> {
        match self.take("metadata")? {
            Value::Object(map) => Some(clean_map(map)),
            _ => {
                self.problems.push(FieldProblem::new("metadata", "must be an object"));
                None
            }
        }
    }
}

/// Years with four digits only: what chrono writes for others is not what Postgres reads.
fn instant(text: &str) -> Result<Timestamp, String> {
    let instant: Option<DateTime<Utc>> = text.parse().ok();
    match instant {
        Some(instant) if (1..=9999).contains(&instant.year()) => Ok(instant.into()),
        _ => Err("must be a time with its zone, as in 2026-01-31T12:00:00.000Z".to_owned()),
    }
}

fn error_type(text: &str) -> Result<String, String> {
    let detail = |part: &str| {
        let fit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        !part.is_empty() && part.bytes().all(fit)
    };
    let class = TypePattern::class_of(text);
    if !matches!(class, "system" | "execution" | "input") || !text.split('.').skip(1).all(detail) {
        return Err("must be system, execution or input, with details behind dots in a-z, 0-9, _ \
                    and -, as in execution.http_timeout"
            .to_owned());
    }
    if text.len() > LONGEST_TYPE {
        return Err(format!("must have at most {LONGEST_TYPE} characters"));
    }
    Ok(text.to_owned())
}

/// Postgres cannot store the character NUL, and an event should not be lost for it.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn clean_map(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().map(|(key, value)| (without_nul(&key), clean(value))).collect()
}

/// The depth is bounded: the parser refuses what is nested more than 128 levels deep.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
        Value::Object(map) => Value::Object(clean_map(map)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads an event of a worker with these fields, and names what is wrong with it.
    #[track_caller]
    fn check(fields: &Value, expected: &[&str]) {
        let mut whole = json!({"source": "worker", "error_type": "execution.test"});
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let got = event(whole).map_or_else(|problems| problems, |_| Vec::new());
        let got: Vec<&str> = got.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(got, expected, "{fields}");
    }

    #[test]
    fn each_wrong_field_is_named() {
        let long = format!("execution.{}", "x".repeat(118));
        let longer = format!("{long}x");
        for (fields, expected) in [
            (json!({}), &[][..]),
            (json!({"error_type": long}), &[]),
            (json!({"error_type": longer}), &["error_type"]),
            (json!({"error_type": "execution"}), &[]),
            (json!({"error_type": "execution."}), &["error_type"]),
            (json!({"error_type": "Execution.x"}), &["error_type"]),
            (json!({"error_type": "other.x"}), &["error_type"]),
            (json!({"source": "cron"}), &["source"]),
            (json!({"source": null, "error_type": 7}), &["source", "error_type"]),
            (json!({"severity": "critical"}), &["severity"]),
            (json!({"severity": null, "timestamp": null, "message": null}), &[]),
            (json!({"error_id": "7"}), &["error_id"]),
            (json!({"timestamp": "2026-01-31T12:00:00+01:00"}), &[]),
            (json!({"timestamp": "2026-01-31"}), &["timestamp"]),
            (json!({"timestamp": "+12026-01-31T12:00:00Z"}), &["timestamp"]),
            (json!({"metadata": []}), &["metadata"]),
            (json!({"workflow_id": 1, "project_id": "x"}), &["workflow_id", "project_id"]),
            (json!({"seq": 1, "extra": 2}), &["extra", "seq"]),
        ] {
            check(&fields, expected);
        }
        assert_eq!(event(json!("text")).unwrap_err()[0].field, "");
    }

    #[test]
    fn what_postgres_cannot_store_is_replaced() {
        let fields = json!({"source": "system", "error_type": "system", "message": "a\0b",
            "metadata": {"k\0": ["\0", {"x": "y\0"}]}});
        let read = event(fields).unwrap();
        assert_eq!(read.message.as_deref(), Some("a\u{fffd}b"));
        let expected = json!({"k\u{fffd}": ["\u{fffd}", {"x": "y\u{fffd}"}]});
        assert_eq!(Value::Object(read.metadata.unwrap()), expected);
    }
}
