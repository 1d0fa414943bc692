//! An error event: as it was captured, and as it is sent and spooled.

use std::{
    panic::Location,
    sync::{Arc, LazyLock, atomic::AtomicU32},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::{NoContext, Timestamp, Uuid};

use crate::{
    Circumstances, Context, Defaults, Direction, ErrorFacts, classify, clock,
    facts::{MAX_TEXT, bounded, cut},
    masking, severity_of,
};

/// The longest message that is sent, in characters.
const MAX_MESSAGE: usize = 2000;
/// The largest metadata that is sent, in bytes of JSON.
const MAX_METADATA: usize = 32_768;
/// How much text of metadata is kept until it is masked, in bytes.
const MAX_KEPT: usize = 65_536;
/// How many values of metadata are kept.
const MAX_NODES: usize = 2000;

static HOST: LazyLock<String> = LazyLock::new(|| {
    hostname::get()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
});

/// The kind of component that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A worker that runs workflows.
    Worker,
    /// A handler of incoming requests.
    Webhook,
    /// Everything else.
    #[default]
    System,
}

/// How bad one error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A caller's own mistake.
    Low,
    /// A step failed that may be tried again.
    Medium,
    /// A run failed, or something is broken.
    High,
}

impl Severity {
    /// From the least severe.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word that the database knows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A captured error, not yet masked.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) id: Uuid,
    pub(crate) at: DateTime<Utc>,
    pub(crate) source: Source,
    pub(crate) error_type: String,
    pub(crate) severity: Severity,
    pub(crate) workflow_id: Option<Uuid>,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) message: String,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) facts: ErrorFacts,
    pub(crate) location: Option<&'static Location<'static>>,
    /// How many equal errors it stands for, where that is asked for.
    pub(crate) count: Option<Arc<AtomicU32>>,
    /// About how many bytes it keeps in memory.
    pub(crate) size: usize,
}

/// A masked row, ready to be sent and spooled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) id: Uuid,
    pub(crate) severity: Severity,
    /// The row as one line of JSON.
    pub(crate) line: Arc<str>,
}

/// Runs while the caller waits: it only classifies, and takes over what it is given.
pub(crate) fn capture(
    facts: ErrorFacts,
    context: Context,
    defaults: &Defaults,
    location: Option<&'static Location<'static>>,
) -> Captured {
    let now = clock::now();
    let source = context.source.unwrap_or(defaults.source);
    let circumstances = Circumstances {
        direction: context.direction.unwrap_or(match source {
            Source::Webhook => Direction::Inbound,
            Source::Worker | Source::System => Direction::Outbound,
        }),
        attempt: context.attempt,
        max_attempts: context.max_attempts,
        is_final: context.is_final,
    };
    let mut notes = Map::new();
    let (error_type, judged) = match context.error_type {
        Some(error_type) if is_error_type(&error_type) => {
            let severity = severity_of(&error_type, &circumstances);
            (error_type, severity)
        }
        wrong => {
            if let Some(wrong) = wrong {
                notes.insert("invalid_error_type".to_owned(), cut_to(&wrong, 200).into());
            }
            let classified = classify(&facts, &circumstances);
            (classified.error_type.to_owned(), classified.severity)
        }
    };
    let mut metadata = context.metadata;
    for (key, value) in &defaults.context {
        if !metadata.contains_key(key) {
            metadata.insert(key.clone(), value.clone());
        }
    }
    let mut budget = Budget { nodes: MAX_NODES, bytes: MAX_KEPT };
    budget.fields(&mut metadata, 0);
    let mut note = |key: &str, value: Option<u32>| {
        if let Some(value) = value {
            metadata.entry(key).or_insert_with(|| value.into());
        }
    };
    note("attempt", context.attempt);
    note("max_attempts", context.max_attempts);
    if !notes.is_empty() {
        metadata.insert("_tracker".to_owned(), notes.into());
    }
    let message = context.message.as_deref().filter(|text| !text.is_empty()).map(bounded);
    let message = message.unwrap_or_else(|| facts.message.clone());
    Captured {
        id: new_id(now),
        at: context.timestamp.filter(is_plausible).unwrap_or(now),
        source,
        error_type,
        severity: context.severity.unwrap_or(judged),
        workflow_id: context.workflow_id.or(defaults.workflow_id),
        project_id: context.project_id.or(defaults.project_id),
        size: 600 + budget.kept() + message.len() + facts.size(),
        message,
        metadata,
        facts,
        location,
        count: None,
    }
}

/// From 1970 to 2100: a `DateTime` can hold more than what Postgres and common sense call a time.
fn is_plausible(at: &DateTime<Utc>) -> bool {
    (1..4_102_444_800_000).contains(&at.timestamp_millis())
}

/// Version 7: made by the reporter, so that a repeated insert is recognised, and sorted by time.
fn new_id(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

/// `system`, `execution` or `input`, with details behind dots, at most 128 characters.
fn is_error_type(text: &str) -> bool {
    let mut parts = text.split('.');
    let class = parts.next();
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    text.len() <= 128 && matches!(class, Some("system" | "execution" | "input")) && parts.all(word)
}

fn cut_to(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// What metadata may still take: whatever a caller hands over, the queue stays within its bounds.
struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    fn fields(&mut self, fields: &mut Map<String, Value>, depth: usize) {
        let mut keep = 0;
        for (key, value) in fields.iter_mut() {
            if self.spent() {
                break;
            }
            keep += 1;
            self.bytes = self.bytes.saturating_sub(key.len() + 4);
            self.value(value, depth + 1);
        }
        if keep < fields.len() {
            let old = std::mem::take(fields);
            fields.extend(old.into_iter().take(keep));
            fields.insert("[cut]".to_owned(), true.into());
        }
    }

    fn value(&mut self, value: &mut Value, depth: usize) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.bytes = self.bytes.saturating_sub(8);
            }
            Value::String(text) => {
                let limit = MAX_TEXT.min(self.bytes.max(400));
                if text.len() > limit {
                    *text = format!("{}… [cut: {} bytes]", cut(text, limit), text.len());
                }
                self.bytes = self.bytes.saturating_sub(text.len() + 2);
            }
            Value::Array(_) | Value::Object(_) if depth >= 24 => {
                *value = "[cut: nested too deep]".into();
            }
            Value::Array(elements) => {
                let mut keep = 0;
                for element in elements.iter_mut() {
                    if self.spent() {
                        break;
                    }
                    keep += 1;
                    self.value(element, depth + 1);
                }
                let more = elements.len() - keep;
                elements.truncate(keep);
                if more > 0 {
                    elements.push(format!("[cut: {more} more]").into());
                }
            }
            Value::Object(fields) => self.fields(fields, depth),
        }
    }

    /// About how many bytes of memory were spent: each value takes a place besides its text.
    fn kept(&self) -> usize {
        (MAX_KEPT - self.bytes) + 64 * (MAX_NODES - self.nodes)
    }

    fn spent(&mut self) -> bool {
        self.nodes = self.nodes.saturating_sub(1);
        self.nodes == 0 || self.bytes == 0
    }
}

/// Runs in the background: masks, bounds and writes the row.
pub(crate) fn seal(event: Captured) -> Sealed {
    let count = event.final_count();
    let mut metadata = event.metadata;
    if count > 1 {
        metadata.insert("count".to_owned(), count.into());
    }
    let exception = exception_of(&event.facts, event.location);
    metadata.entry("exception").or_insert(exception);
    metadata
        .entry("process")
        .or_insert_with(|| json!({ "host": *HOST, "pid": std::process::id() }));
    let mut metadata = Value::Object(metadata);
    masking::mask_document(&mut metadata);
    let message = masking::mask_text(&event.message.replace('\0', "\u{fffd}"));
    let row = json!({
        "error_id": event.id,
        "timestamp": event.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "source": event.source,
        "error_type": event.error_type,
        "severity": event.severity,
        "workflow_id": event.workflow_id,
        "project_id": event.project_id,
        "message": cut_to(&message, MAX_MESSAGE),
        "metadata": bound(metadata),
    });
    Sealed { id: event.id, severity: event.severity, line: row.to_string().into() }
}

fn exception_of(facts: &ErrorFacts, location: Option<&Location<'_>>) -> Value {
    let ErrorFacts { name, code, status, causes, .. } = facts;
    let mut exception = Map::new();
    exception.insert("name".to_owned(), name.as_str().into());
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            exception.insert(key.to_owned(), value);
        }
    };
    add("code", code.as_deref().map(Value::from));
    add("status", status.map(Value::from));
    add("location", location.map(|place| place.to_string().into()));
    let causes = (!causes.is_empty()).then(|| serde_json::to_value(causes).unwrap_or_default());
    add("causes", causes);
    exception.into()
}

/// Masked metadata over 32 KiB as a summary of its first 40 keys, as the database would make it.
fn bound(metadata: Value) -> Value {
    let bytes = metadata.to_string().len();
    let Value::Object(fields) = metadata else { return metadata };
    if bytes <= MAX_METADATA {
        return Value::Object(fields);
    }
    let mut notes = fields.get("_tracker").and_then(Value::as_object).cloned().unwrap_or_default();
    notes.insert("cut_from_bytes".to_owned(), bytes.into());
    let mut keys: Vec<_> = fields.into_iter().collect();
    keys.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut summary: Map<String, Value> = keys
        .into_iter()
        .take(40)
        .map(|(key, value)| {
            let size = value.to_string().len();
            let value = match value {
                value if size <= 400 => value,
                Value::String(text) => format!("{}…", cut_to(&text, 400)).into(),
                _ => format!("[cut: {size} bytes]").into(),
            };
            (cut_to(&key, 100), value)
        })
        .collect();
    summary.insert("_tracker".to_owned(), notes.into());
    summary.into()
}
