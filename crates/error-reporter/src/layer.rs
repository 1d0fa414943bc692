//! A `tracing` layer that captures `error!` events.

use std::{cell::Cell, error::Error, fmt};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context as LayerContext, Layer};

use crate::{Context, ErrorFacts, Reporter, shared::is_inside};

/// Targets below which the reporter itself works: an error there, reported, would cause the next.
const OWN: [&str; 6] = ["error_reporter", "reqwest", "hyper", "hyper_util", "h2", "rustls"];

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Captures every event of level `ERROR`.
///
/// A field that is an error (`error = &err as &dyn Error`) is classified as such; `workflow_id` and
/// `project_id` are taken as what they are; all other fields become metadata.
#[derive(Clone, Debug)]
pub struct ErrorLayer {
    reporter: Reporter,
}

impl ErrorLayer {
    /// A layer for `tracing_subscriber::registry().with(…)`.
    #[must_use]
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter }
    }
}

fn is_own(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    OWN.contains(&root)
}

impl<S: Subscriber> Layer<S> for ErrorLayer {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() != Level::ERROR || is_own(metadata.target()) || is_inside() {
            return;
        }
        // A `Debug` or `Display` of a field may log an error itself.
        let Some(_busy) = Busy::enter() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, facts, mut values } = fields;
        let id = |key: &str| values.get(key).and_then(Value::as_str).and_then(|id| id.parse().ok());
        let mut context = Context {
            workflow_id: id("workflow_id"),
            project_id: id("project_id"),
            ..Context::default()
        };
        values.insert("target".to_owned(), metadata.target().into());
        if let Some((file, line)) = metadata.file().zip(metadata.line()) {
            values.insert("location".to_owned(), format!("{file}:{line}").into());
        }
        context.metadata = values;
        // What the log line says groups better than what the library said, which stays in the facts.
        let facts = facts.unwrap_or_else(|| ErrorFacts::of_message("tracing", &message));
        context.message = (!message.is_empty() && message != facts.message)
            .then(|| format!("{message}: {}", facts.message))
            .filter(|_| facts.name != "tracing");
        self.reporter.capture_facts(facts, context);
    }
}

/// While it lives, this thread is inside of the layer; also a panic of a field's `Debug` ends that.
struct Busy;

impl Busy {
    fn enter() -> Option<Self> {
        (!BUSY.replace(true)).then_some(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    facts: Option<ErrorFacts>,
    values: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.values.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.add(field, text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let facts = ErrorFacts::of_dyn(value);
        self.add(field, facts.message.as_str());
        self.facts = Some(facts);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}
