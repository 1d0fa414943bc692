//! Composes the mail of a notification: headers that thread and identify it, and both bodies.
//!
//! Message-ID, references and boundary depend on the notification alone, so that every retry is the
//! same mail and a receiver that has it already can drop the second copy.

use std::collections::BTreeSet;

use lettre::{
    Message,
    message::{
        Mailbox, MultiPart, MultiPartKind, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use uuid::Uuid;

use super::{
    controls,
    digest_view::{DigestView, count},
    email_body, email_digest,
    links::Links,
    message::{IncidentFacts, MessageKind, NotificationFacts},
    text::one_line,
    view::View,
};
use crate::model::Timestamp;

/// What a mail needs besides its facts.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Primary key of the notification.
    pub notification_id: Uuid,
    /// Primary key of the channel.
    pub channel_id: Uuid,
    /// Whom the mail is from.
    pub from: &'a Mailbox,
    /// Where answers go, where not to `from`.
    pub reply_to: Option<&'a Mailbox>,
    /// Everybody it goes to, shown to each of them.
    pub to: &'a [Mailbox],
    /// Makes the links by which they act.
    pub links: Option<&'a Links>,
}

/// The mail that tells `facts`.
///
/// # Errors
/// Where there is nobody to send it to.
pub fn compose(
    letter: Letter<'_>,
    facts: &NotificationFacts,
) -> Result<Message, lettre::error::Error> {
    let domain = letter.from.email.domain();
    let view = View::of(facts);
    let thread = facts.incident.as_ref();
    let thread = thread.map(|incident| format!("<errors.{}@{domain}>", incident.id));
    let recipients: Vec<String> = letter.to.iter().map(|to| to.email.to_string()).collect();
    let links = controls::mail_links(letter.links, facts, &recipients);
    let bodies = (email_body::text(&view), email_body::html(&view));
    let (text, html) = controls::with_links(bodies, &links);
    let parts = Parts {
        subject: subject(facts),
        message_id: message_id(letter, facts, domain),
        at: facts.at,
        thread,
        text,
        html,
    };
    assembled(letter, parts)
}

/// The mail that tells several pieces of news.
///
/// Its id depends on what it tells, so that a retry is the same mail. The digests of one rule form a
/// thread of their own; what incidents have to tell later stands in theirs.
///
/// # Errors
/// Where there is nobody to send it to.
pub fn compose_digest(
    letter: Letter<'_>,
    news: &[&NotificationFacts],
) -> Result<Message, lettre::error::Error> {
    let domain = letter.from.email.domain();
    let view = DigestView::of(news);
    let mut told = Vec::new();
    for facts in news {
        let incident = facts.incident.as_ref();
        let id = incident.map_or(Uuid::nil(), |incident| incident.id);
        told.extend_from_slice(id.as_bytes());
        told.extend_from_slice(facts.transition.as_str().as_bytes());
        told.extend_from_slice(&incident.map_or(0, |incident| incident.reminder).to_be_bytes());
    }
    let told = Uuid::new_v5(&Uuid::NAMESPACE_OID, &told);
    let rules: BTreeSet<_> = news.iter().filter_map(|facts| facts.rule_id()).collect();
    let name = news.iter().find_map(|facts| facts.incident.as_ref());
    let name = name.map_or("", |incident| &incident.rule.name);
    let (thread, about) = match rules.first() {
        Some(rule) if rules.len() == 1 => {
            (Some(format!("<errors.rule.{rule}@{domain}>")), one_line(name, 120))
        }
        _ => (None, format!("{} rules", rules.len())),
    };
    let parts = Parts {
        subject: format!("[errors] {}: {about}", count(news)),
        message_id: format!("<errors.digest.{told}.{}@{domain}>", letter.channel_id.simple()),
        at: news.last().map_or_else(Timestamp::default, |facts| facts.at),
        thread,
        text: email_digest::text(&view),
        html: email_digest::html(&view),
    };
    assembled(letter, parts)
}

/// What differs between mails.
struct Parts {
    subject: String,
    message_id: String,
    at: Timestamp,
    /// The root of the thread, which is never sent: a thread holds together although its first mail
    /// was lost.
    thread: Option<String>,
    text: String,
    html: String,
}

fn assembled(letter: Letter<'_>, parts: Parts) -> Result<Message, lettre::error::Error> {
    let domain = letter.from.email.domain();
    let mut builder = Message::builder()
        .from(letter.from.clone())
        .subject(parts.subject)
        .message_id(Some(parts.message_id))
        .date(std::time::UNIX_EPOCH + crate::model::Span::from_micros(parts.at.micros()).to_std())
        .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(raw("List-Id", format!("<errors.{domain}>")));
    for recipient in letter.to {
        builder = builder.to(recipient.clone());
    }
    if let Some(reply_to) = letter.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(root) = parts.thread {
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    let part = |content_type, body| SinglePart::builder().header(content_type).body(body);
    let bodies = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(format!("errors-{}", letter.notification_id.simple()))
        // The last alternative is the one that programs prefer (RFC 2046, section 5.1.4).
        .singlepart(part(ContentType::TEXT_PLAIN, parts.text))
        .singlepart(part(ContentType::TEXT_HTML, parts.html));
    builder.multipart(bodies)
}

/// The subject: the same for all mails of an incident, because programs that thread by subject need
/// it so; what changed stands first in the body.
fn subject(facts: &NotificationFacts) -> String {
    let Some(incident) = &facts.incident else {
        return "[errors] Test message".to_owned();
    };
    let reply = if facts.transition == MessageKind::Firing { "" } else { "Re: " };
    let scope = scope(incident);
    let scope = if scope.is_empty() { scope } else { format!(" ({scope})") };
    format!("{reply}[errors] {}{scope}", one_line(&incident.rule.name, 120))
}

/// Which part of the rule the incident is about.
fn scope(incident: &IncidentFacts) -> String {
    let project = incident.project.as_ref().and_then(|project| project.name.as_deref());
    let by_project =
        incident.group.iter().any(|fact| fact.field == crate::model::GroupField::Project);
    let values = incident
        .group
        .iter()
        .map(|fact| fact.name.as_deref().or(fact.value.as_deref()).unwrap_or("none"));
    let parts: Vec<_> = project.filter(|_| !by_project).into_iter().chain(values).collect();
    one_line(&parts.join(", "), 120)
}

/// `<errors.{incident}.{transition}.{n}.{channel}@domain>`; a message that can occur several times
/// for one incident, or that has none, is told apart by its own id.
fn message_id(letter: Letter<'_>, facts: &NotificationFacts, domain: &str) -> String {
    let kind = facts.transition.as_str();
    let channel = letter.channel_id.simple();
    match (&facts.incident, facts.transition) {
        (Some(incident), MessageKind::ChannelBroken) => {
            format!("<errors.{}.{kind}.{}.{channel}@{domain}>", incident.id, letter.notification_id)
        }
        (Some(incident), _) => {
            format!("<errors.{}.{kind}.{}.{channel}@{domain}>", incident.id, incident.reminder)
        }
        (None, _) => format!("<errors.{kind}.{}.{channel}@{domain}>", letter.notification_id),
    }
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
