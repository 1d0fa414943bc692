//! Tries new templates soon after they were written, and notes what is wrong with one where its author
//! sees it.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    mandate::Leadership,
    message::{
        Acknowledgement, GroupFact, IncidentFacts, MessageKind, MetricKind, NotificationFacts,
        ProjectFacts, RuleFacts, VERSION,
    },
    template::{self, Templates, Texts},
};
use crate::{
    model::{Evidence, GroupField, Level, Span, Timestamp, TopGroup},
    store::{
        StoreError,
        templates::{RuleTemplates, TemplateBook},
    },
};

/// Between looks for new templates.
const EVERY: Duration = Duration::from_secs(1);

/// Tries new templates while this instance leads, until `cancel`.
pub(super) async fn run(
    book: TemplateBook,
    leadership: Arc<dyn Leadership>,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = sleep(EVERY) => {}
        }
        if leadership.mandate().is_none() {
            continue;
        }
        // The dispatcher says what keeps the database from answering.
        let Ok(unchecked) = book.unchecked().await else { continue };
        for templates in unchecked {
            let fields: Vec<GroupField> =
                templates.group_by.iter().filter_map(|word| word.parse().ok()).collect();
            let (title, body) =
                (templates.title_template.as_deref(), templates.body_template.as_deref());
            let errors = template::check(Templates { title, body }, &examples(&fields));
            let problem: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let problem = (!problem.is_empty()).then(|| problem.join("; "));
            note(&book, &templates, problem.as_deref()).await;
        }
    }
}

/// Notes that a template failed in a message, unless it is known to fail.
pub(super) async fn note_failure(book: &TemplateBook, templates: &RuleTemplates, problem: &str) {
    report(book.failed(templates, problem).await, templates, Some(problem));
}

/// Notes what came of trying templates; what is wrong is logged once.
async fn note(book: &TemplateBook, templates: &RuleTemplates, problem: Option<&str>) {
    report(book.checked(templates, problem).await, templates, problem);
}

fn report(news: Result<bool, StoreError>, templates: &RuleTemplates, problem: Option<&str>) {
    match (news, problem) {
        (Ok(true), Some(problem)) => {
            tracing::warn!(rule = %templates.rule_id, problem, "a rule's template cannot be used; its messages have the built-in text until it is changed");
        }
        (Ok(_), _) => {}
        (Err(error), _) => {
            tracing::warn!(%error, rule = %templates.rule_id, "what came of a rule's templates could not be noted");
        }
    }
}

/// A made-up message of each kind about a rule that groups by `fields`, to try templates with.
#[must_use]
pub fn examples(fields: &[GroupField]) -> Vec<NotificationFacts> {
    let since = Timestamp::from_secs(1_795_356_000);
    let kinds = MessageKind::ALL
        .iter()
        .filter(|kind| !matches!(kind, MessageKind::ChannelBroken | MessageKind::Test));
    kinds.map(|kind| example(*kind, fields, since)).collect()
}

fn example(kind: MessageKind, fields: &[GroupField], since: Timestamp) -> NotificationFacts {
    let value = |field: &GroupField| match field {
        GroupField::Source => "worker".to_owned(),
        GroupField::ErrorType => "execution.timeout".to_owned(),
        GroupField::Severity => "high".to_owned(),
        GroupField::Project | GroupField::Workflow | GroupField::Fingerprint => {
            Uuid::nil().to_string()
        }
    };
    let group = fields
        .iter()
        .map(|field| GroupFact { field: *field, value: Some(value(field)), name: None })
        .collect();
    let level = if kind == MessageKind::Escalated { Level::Critical } else { Level::Warning };
    let top = TopGroup {
        fingerprint: Uuid::nil(),
        count: 18,
        sample: Uuid::nil(),
        title: Some("connection refused".to_owned()),
    };
    let incident = IncidentFacts {
        id: Uuid::nil(),
        rule: RuleFacts {
            id: Uuid::nil(),
            name: "Example".to_owned(),
            description: "What to do.".to_owned(),
            metric: MetricKind::Count,
            window_seconds: 300,
            longest_window_seconds: None,
        },
        project: Some(ProjectFacts { id: Uuid::nil(), name: Some("Acme".to_owned()) }),
        group,
        level,
        value: 25.0,
        threshold: 20.0,
        peak: 40.0,
        since,
        fired_at: Some(since),
        reminder: u32::from(kind == MessageKind::Reminder),
        evidence: Evidence {
            errors: 25,
            top_groups: vec![top],
            samples: vec![Uuid::nil()],
            first_seen: Some(since),
            last_seen: Some(since),
            trend: (0..30).collect(),
            ..Evidence::default()
        },
    };
    let acknowledgement = (kind == MessageKind::Acknowledged)
        .then(|| Acknowledgement { by: Some("Ada".to_owned()), note: Some("looking".to_owned()) });
    NotificationFacts {
        version: VERSION,
        transition: kind,
        at: since + Span::from_secs(300),
        incident: Some(incident),
        acknowledgement,
        broken_channel: None,
        link: Some("https://meshhook.example.com/errors".to_owned()),
        texts: Texts::default(),
    }
}
