//! Composes the mail of a notification: headers that thread and identify it, and both bodies.
//!
//! Message-ID, references and boundary depend on the notification alone, so that every retry is the
//! same mail and a receiver that has it already can drop the second copy.

use lettre::{
    Message,
    message::{
        Mailbox, MultiPart, MultiPartKind, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use uuid::Uuid;

use super::{
    controls, email_body,
    links::Links,
    message::{IncidentFacts, MessageKind, NotificationFacts},
    text::one_line,
    view::View,
};

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
    let mut builder = Message::builder()
        .from(letter.from.clone())
        .subject(subject(facts))
        .message_id(Some(message_id(letter, facts, domain)))
        .date(std::time::UNIX_EPOCH + crate::model::Span::from_micros(facts.at.micros()).to_std())
        .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(raw("List-Id", format!("<errors.{domain}>")));
    for recipient in letter.to {
        builder = builder.to(recipient.clone());
    }
    if let Some(reply_to) = letter.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(incident) = &facts.incident {
        let root = format!("<errors.{}@{domain}>", incident.id);
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    let recipients: Vec<String> = letter.to.iter().map(|to| to.email.to_string()).collect();
    let links = controls::mail_links(letter.links, facts, &recipients);
    let bodies = (email_body::text(&view), email_body::html(&view));
    let (text, html) = controls::with_links(bodies, &links);
    let part = |content_type, body| SinglePart::builder().header(content_type).body(body);
    let bodies = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(format!("errors-{}", letter.notification_id.simple()))
        // The last alternative is the one that programs prefer (RFC 2046, section 5.1.4).
        .singlepart(part(ContentType::TEXT_PLAIN, text))
        .singlepart(part(ContentType::TEXT_HTML, html));
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
