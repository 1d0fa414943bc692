//! A rule's own title and body: rendered within limits, and replaced by the built-in ones when they
//! fail.
//!
//! A template makes plain text. Each medium escapes it afterwards as it does all texts, so that nothing
//! in it, or in what it shows, can be markup or mention anybody.

use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};

use super::{
    message::NotificationFacts,
    sentence::{amount, duration, headline, sentence},
    text::{lines, one_line},
    trend,
    view::instant,
};
use crate::model::Span;

/// The longest template of a title, in characters; the table has the same limit.
pub const TITLE_MAX: usize = 300;
/// The longest template of a body, in characters; the table has the same limit.
pub const BODY_MAX: usize = 4_000;
/// The longest title that comes of it, in characters.
const TITLE_OUT: usize = 140;
/// The longest body that comes of it, in characters.
const BODY_OUT: usize = 2_500;
/// What a rendering may cost: instructions, and 64 bytes of text made or read for each.
const FUEL: u64 = 20_000;
/// How deep templates may nest.
const DEPTH: usize = 32;

/// What the rule's own templates say in place of the built-in texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The title.
    pub title: Option<String>,
    /// The body: its first line takes the place of the sentence, the rest that of the description.
    pub body: Option<String>,
    /// Why a built-in text stands there although the rule has a template.
    pub note: Option<String>,
}

/// The templates of a rule, as the table keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Templates<'a> {
    /// `alert_rules.title_template`.
    pub title: Option<&'a str>,
    /// `alert_rules.body_template`.
    pub body: Option<&'a str>,
}

/// Why a template cannot be used; names the column of `alert_rules`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct TemplateError {
    /// The offending column.
    pub field: &'static str,
    /// What is wrong with it, for the rule's author.
    pub problem: String,
}

/// The rule's own texts for `facts`, and what is wrong with its templates.
///
/// A template that fails costs only itself: the other one is still used.
#[must_use]
pub fn render(templates: Templates<'_>, facts: &NotificationFacts) -> (Texts, Vec<TemplateError>) {
    let mut texts = Texts::default();
    let mut errors = Vec::new();
    let given = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    if facts.incident.is_none() || !(given(templates.title) || given(templates.body)) {
        return (texts, errors);
    }
    let variables = variables(facts);
    let mut one = |field, source: Option<&str>, limit| {
        let source = source.filter(|source| !source.trim().is_empty())?;
        match rendered(field, source, limit, &variables) {
            Ok(text) => Some(text),
            Err(error) => {
                errors.push(error);
                None
            }
        }
    };
    texts.title = one("title_template", templates.title, TITLE_MAX)
        .map(|text| one_line(&text, TITLE_OUT))
        .filter(|text| !text.is_empty());
    texts.body = one("body_template", templates.body, BODY_MAX)
        .map(|text| lines(&text, BODY_OUT))
        .filter(|text| !text.is_empty());
    texts.note = errors.first().map(|error| {
        format!(
            "The rule's {}; the built-in text stands in its place",
            one_line(&error.to_string(), 200)
        )
    });
    (texts, errors)
}

/// Checks templates as they are written: their syntax, their limits, and that they know what they
/// name, for every kind of message that `samples` holds.
#[must_use]
pub fn check(templates: Templates<'_>, samples: &[NotificationFacts]) -> Vec<TemplateError> {
    let mut errors: Vec<TemplateError> = Vec::new();
    for facts in samples {
        for error in render(templates, facts).1 {
            if errors.iter().all(|known| known.field != error.field) {
                errors.push(error);
            }
        }
    }
    errors
}

fn rendered(
    field: &'static str,
    source: &str,
    limit: usize,
    variables: &Value,
) -> Result<String, TemplateError> {
    let fail = |problem: String| TemplateError { field, problem };
    if source.chars().count() > limit {
        return Err(fail(format!("must have at most {limit} characters")));
    }
    // There is no loader and no second template, so nothing can be included or imported.
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let template =
        environment.template_from_str(source).map_err(|error| fail(described(&error)))?;
    let context = minijinja::Value::from(minijinja::value::Serde(variables));
    template.render(context).map_err(|error| match error.kind() {
        ErrorKind::UndefinedError => {
            let used = template.undeclared_variables(true);
            let mut unknown: Vec<String> =
                used.into_iter().filter(|name| !is_known(name, variables)).collect();
            unknown.sort();
            let names = unknown.join(", ");
            let what = if names.is_empty() { "something".to_owned() } else { names };
            fail(one_line(&format!("there is no {what}{}", place(&error)), 300))
        }
        _ => fail(described(&error)),
    })
}

/// Whether `a.b.c` leads to something.
fn is_known(name: &str, variables: &Value) -> bool {
    let mut parts = name.split('.');
    parts.try_fold(variables, |value, part| value.get(part)).is_some()
}

fn place(error: &minijinja::Error) -> String {
    error.line().map_or_else(String::new, |line| format!(" in line {line}"))
}

fn described(error: &minijinja::Error) -> String {
    let place = place(error);
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "takes too long or makes too much text".to_owned(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    one_line(&format!("{what}{place}"), 300)
}

/// Everything a template can name; docs/channels.md lists it. All of it is always there.
fn variables(facts: &NotificationFacts) -> Value {
    let Some(incident) = &facts.incident else { return Value::Null };
    let metric = incident.rule.metric;
    let named = |fact: &super::message::GroupFact| {
        one_line(fact.name.as_deref().or(fact.value.as_deref()).unwrap_or("none"), 200)
    };
    let names: Vec<String> = incident.group.iter().map(named).collect();
    let group: serde_json::Map<String, Value> = incident
        .group
        .iter()
        .map(|fact| (fact.field.as_str().to_owned(), json!(named(fact))))
        .collect();
    let project = incident.project.as_ref();
    let project = project.map(|p| p.name.clone().unwrap_or_else(|| p.id.to_string()));
    let acknowledgement = facts.acknowledgement.clone().unwrap_or_default();
    let top: Vec<Value> = incident
        .evidence
        .top_groups
        .iter()
        .map(|group| {
            let title = group.title.as_deref().map(|title| one_line(title, 200));
            json!({
                "count": group.count,
                "title": title.unwrap_or_else(|| group.fingerprint.to_string()),
                "fingerprint": group.fingerprint,
            })
        })
        .collect();
    json!({
        "kind": facts.transition.as_str(),
        "title": headline(facts),
        "sentence": sentence(facts),
        "rule": {
            "id": incident.rule.id,
            "name": one_line(&incident.rule.name, 200),
            "description": lines(&incident.rule.description, 1000),
            "metric": metric,
            "window": duration(Span::from_secs(incident.rule.window_seconds)),
            "window_seconds": incident.rule.window_seconds,
        },
        "incident": incident.id,
        "project": project.map(|name| one_line(&name, 200)),
        "group_text": names.join(", "),
        "group": group,
        "level": incident.level,
        "value": incident.value,
        "value_text": amount(metric, incident.value),
        "threshold": incident.threshold,
        "threshold_text": amount(metric, incident.threshold),
        "peak": incident.peak,
        "peak_text": amount(metric, incident.peak),
        "since": instant(incident.since),
        "at": instant(facts.at),
        "lasted": duration(facts.at.since(incident.since)),
        "lasted_seconds": facts.at.since(incident.since).micros() / 1_000_000,
        "reminder": incident.reminder,
        "errors": incident.evidence.errors,
        "runs": incident.evidence.runs,
        "top": top,
        "samples": incident.evidence.samples,
        "trend": trend::of(incident).map(|(bars, _)| bars).unwrap_or_default(),
        "link": facts.link,
        "acknowledged_by": acknowledgement.by.map(|by| one_line(&by, 200)),
        "acknowledge_note": acknowledgement.note.map(|note| one_line(&note, 500)),
    })
}
