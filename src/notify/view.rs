//! What a message shows, in order, before any medium's escaping: the part that all media share.

use super::{
    message::{GroupFact, IncidentFacts, MessageKind, MetricKind, NotificationFacts},
    sentence::{amount, duration, headline, sentence},
    text::{lines, one_line, thousands},
    trend,
};
use crate::model::{GroupField, Level, Timestamp};

/// A message's parts as plain text, already bounded and free of control characters.
pub struct View {
    /// A sign that can be told apart at a glance.
    pub sign: &'static str,
    /// Title.
    pub headline: String,
    /// The one sentence, or the first line of the rule's own body.
    pub sentence: String,
    /// What the rule's author wants done, or the rest of the rule's own body; may be empty.
    pub description: String,
    /// The course of the errors over the window as a row of bars, and what it is; none where it is
    /// not known.
    pub trend: Option<(String, String)>,
    /// Label and value.
    pub rows: Vec<(&'static str, String)>,
    /// Most frequent errors: how many, and what they say.
    pub top: Vec<(String, String)>,
    /// Ids of sample errors.
    pub samples: Vec<String>,
    /// The page to open.
    pub link: Option<String>,
    /// The incident's id, by which messages belong together.
    pub incident: Option<String>,
    /// What is wrong with the message itself, such as a template that failed.
    pub note: Option<String>,
}

impl View {
    /// What `facts` show.
    #[must_use]
    pub fn of(facts: &NotificationFacts) -> Self {
        let incident = facts.incident.as_ref();
        let evidence = incident.map(|incident| &incident.evidence);
        let (sentence, description) = words(facts);
        Self {
            sign: sign(facts),
            headline: facts.texts.title.clone().unwrap_or_else(|| headline(facts)),
            sentence,
            description,
            trend: incident.and_then(trend::of),
            rows: incident.map_or_else(Vec::new, |incident| rows(facts, incident)),
            top: evidence.map_or_else(Vec::new, |evidence| {
                let line = |group: &crate::model::TopGroup| {
                    let title = group.title.as_deref().map(|title| one_line(title, 200));
                    let title = title.filter(|title| !title.is_empty());
                    (thousands(group.count), title.unwrap_or_else(|| group.fingerprint.to_string()))
                };
                evidence.top_groups.iter().take(5).map(line).collect()
            }),
            samples: evidence.map_or_else(Vec::new, |evidence| {
                evidence.samples.iter().take(5).map(ToString::to_string).collect()
            }),
            link: facts.link.clone().filter(|link| link.len() <= 2000),
            incident: incident.map(|incident| incident.id.to_string()),
            note: facts.texts.note.clone(),
        }
    }
}

/// The first line in bold, and what follows it.
fn words(facts: &NotificationFacts) -> (String, String) {
    match &facts.texts.body {
        Some(body) => {
            let (first, rest) = body.split_once('\n').unwrap_or((body, ""));
            (first.trim().to_owned(), rest.trim().to_owned())
        }
        None => {
            let rule = facts.incident.as_ref().map(|incident| &incident.rule);
            let description = rule
                .filter(|rule| rule.metric != MetricKind::System)
                .map_or_else(String::new, |rule| lines(&rule.description, 1000));
            (sentence(facts), description)
        }
    }
}

pub(super) const fn sign(facts: &NotificationFacts) -> &'static str {
    match (facts.transition, &facts.incident) {
        (MessageKind::Test, _) | (_, None) => "🧪",
        (MessageKind::ChannelBroken, _) => "🔌",
        (MessageKind::Resolved, _) => "✅",
        (MessageKind::Acknowledged, _) => "👀",
        (_, Some(incident)) => match incident.level {
            Level::Warning => "🟠",
            Level::Critical => "🔴",
        },
    }
}

fn rows(facts: &NotificationFacts, incident: &IncidentFacts) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let by_project = incident.group.iter().any(|fact| fact.field == GroupField::Project);
    if let Some(project) = incident.project.as_ref().filter(|_| !by_project) {
        let name = project.name.as_deref().map(|name| one_line(name, 120));
        rows.push(("Project", name.unwrap_or_else(|| project.id.to_string())));
    }
    rows.extend(incident.group.iter().map(|fact| (label(fact.field), group_value(fact))));
    rows.push(("Since", instant(incident.since)));
    let lasted = duration(facts.at.since(incident.since));
    match facts.transition {
        MessageKind::Resolved => {
            rows.push(("Lasted", lasted));
            rows.push(("Peak", amount(incident.rule.metric, incident.peak)));
        }
        MessageKind::Escalated
        | MessageKind::Reminder
        | MessageKind::Flapping
        | MessageKind::Acknowledged
        | MessageKind::Unacknowledged => {
            rows.push(("Lasting", lasted));
            rows.push(("Peak", amount(incident.rule.metric, incident.peak)));
        }
        _ if incident.rule.metric == MetricKind::System => {}
        _ => rows.push(("Window", duration(incident.rule.counted_over()))),
    }
    if let Some(last_seen) = incident.evidence.last_seen {
        rows.push(("Last error", instant(last_seen)));
    }
    rows
}

const fn label(field: GroupField) -> &'static str {
    match field {
        GroupField::Project => "Project",
        GroupField::Workflow => "Workflow",
        GroupField::Source => "Source",
        GroupField::ErrorType => "Error type",
        GroupField::Severity => "Severity",
        GroupField::Fingerprint => "Error group",
    }
}

fn group_value(fact: &GroupFact) -> String {
    let text = fact.name.as_deref().or(fact.value.as_deref()).map(|text| one_line(text, 120));
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "none".to_owned())
}

/// An instant to the second, for people anywhere.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.to_chrono().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
