//! Notifications for tests: an ordinary one of each kind, and one whose texts mean harm.

use uuid::Uuid;

use super::message::{
    Acknowledgement, BrokenChannel, GroupFact, IncidentFacts, MessageKind, MetricKind,
    NotificationFacts, ProjectFacts, RuleFacts,
};
use crate::model::{Evidence, GroupField, Level, Span, Timestamp, TopGroup};

/// 2026-11-22 14:00:05 UTC.
pub const SINCE: Timestamp = Timestamp::from_secs(1_795_356_005);

/// What a person would see of a failing payment workflow.
pub fn facts(kind: MessageKind) -> NotificationFacts {
    let test = NotificationFacts::test(SINCE, Some("https://mesh.example/"));
    if kind == MessageKind::Test {
        return test;
    }
    let at = match kind {
        MessageKind::Firing | MessageKind::ChannelBroken => SINCE + Span::from_secs(1),
        MessageKind::Acknowledged => SINCE + Span::from_secs(90),
        MessageKind::Unacknowledged => SINCE + Span::from_secs(180),
        MessageKind::Escalated => SINCE + Span::from_secs(240),
        MessageKind::Reminder => SINCE + Span::from_secs(4 * 3600),
        _ => SINCE + Span::from_secs(32 * 60 + 10),
    };
    let incident = incident(kind, MetricKind::Count);
    let link = Some(super::message::incident_link("https://mesh.example/", incident.id));
    let broken_channel = (kind == MessageKind::ChannelBroken).then(|| BrokenChannel {
        id: Uuid::from_u128(9),
        name: "ops on Slack".into(),
        kind: "slack".into(),
        reason: "404 no_service".into(),
    });
    let acknowledgement = (kind == MessageKind::Acknowledged)
        .then(|| Acknowledgement { by: Some("Rita".into()), note: Some("looking".into()) });
    NotificationFacts {
        transition: kind,
        at,
        incident: Some(incident),
        acknowledgement,
        broken_channel,
        link,
        ..test
    }
}

/// The incident behind [`facts`].
pub fn incident(kind: MessageKind, metric: MetricKind) -> IncidentFacts {
    let level = match kind {
        MessageKind::Escalated | MessageKind::Reminder => Level::Critical,
        _ => Level::Warning,
    };
    let (value, threshold) = match kind {
        MessageKind::Resolved => (4.0, 20.0),
        MessageKind::Escalated | MessageKind::Reminder => (1250.0, 100.0),
        _ => (25.0, 20.0),
    };
    let top = |id, count, title: &str| TopGroup {
        fingerprint: Uuid::from_u128(id),
        count,
        sample: Uuid::from_u128(id + 100),
        title: Some(title.into()),
    };
    IncidentFacts {
        id: Uuid::from_u128(0x1234),
        rule: RuleFacts {
            id: Uuid::from_u128(7),
            name: "Payments failing".into(),
            description: "Look at the provider's status page first.\nThen call Ada.".into(),
            metric,
            window_seconds: 300,
            longest_window_seconds: None,
        },
        project: Some(ProjectFacts { id: Uuid::from_u128(5), name: Some("Acme".into()) }),
        group: vec![
            GroupFact {
                field: GroupField::Workflow,
                value: Some(Uuid::from_u128(6).to_string()),
                name: Some("stripe-sync v3".into()),
            },
            GroupFact { field: GroupField::ErrorType, value: Some("execution".into()), name: None },
        ],
        level,
        value,
        threshold,
        peak: 1250.0,
        since: SINCE,
        fired_at: Some(SINCE + Span::from_secs(1)),
        reminder: u32::from(kind == MessageKind::Reminder),
        evidence: Evidence {
            errors: 25,
            runs: None,
            top_groups: vec![
                top(1, 18, "card declined: insufficient funds"),
                top(2, 7, "connect ECONNREFUSED 10.1.2.3:5432"),
            ],
            samples: vec![Uuid::from_u128(101), Uuid::from_u128(102)],
            first_seen: Some(SINCE - Span::from_secs(200)),
            last_seen: Some(SINCE),
            trend: [0; 22].into_iter().chain([1, 0, 2, 1, 3, 4, 6, 8]).collect(),
            detail: None,
        },
    }
}

/// Texts that try to mention everybody, to inject headers and markup, and to exceed every limit.
pub fn hostile(kind: MessageKind) -> NotificationFacts {
    let attack = "<!channel> <@U012> @here &amp; \"><script>alert('x')</script>\r\nBcc: all@evil.example\r\n\r\n.\r\nQUIT `*_~ \u{202e}gpj ";
    let long = format!("{attack}{}", "𝒜<&>\"".repeat(20_000));
    let mut facts = facts(kind);
    facts.link = Some("https://mesh.example/a|b>c?x=\"1\"&y=<2>".into());
    if let Some(acknowledgement) = &mut facts.acknowledgement {
        acknowledgement.by = Some(long.clone());
        acknowledgement.note = Some(long.clone());
    }
    if let Some(broken) = &mut facts.broken_channel {
        broken.name = long.clone();
        broken.reason = long.clone();
    }
    if let Some(incident) = &mut facts.incident {
        incident.rule.name = long.clone();
        incident.rule.description = long.clone();
        incident.project = Some(ProjectFacts { id: Uuid::from_u128(5), name: Some(long.clone()) });
        incident.group = GroupField::ALL
            .iter()
            .map(|field| GroupFact { field: *field, value: Some(long.clone()), name: None })
            .collect();
        let top = incident.evidence.top_groups.first().cloned();
        incident.evidence.top_groups = top
            .into_iter()
            .cycle()
            .take(50)
            .map(|group| TopGroup { title: Some(long.clone()), ..group })
            .collect();
        incident.evidence.samples = vec![Uuid::from_u128(101); 50];
        incident.value = f64::NAN;
    }
    facts
}
