//! What people can do from within a message: buttons in Slack, links in mail.

use serde_json::{Value, json};

use super::{
    links::{LinkAction, Links},
    message::{MessageKind, NotificationFacts},
};

/// Which controls messages have.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Whether Slack sends presses of buttons to the daemon.
    pub slack: bool,
    /// Makes the links in mail.
    pub links: Option<Links>,
}

impl LinkAction {
    /// The `action_id` of its button.
    #[must_use]
    pub const fn button(self) -> &'static str {
        match self {
            Self::Acknowledge => "errors_acknowledge",
            Self::Silence => "errors_silence_1h",
        }
    }
}

/// Whether there is something to do about these news.
const fn is_open(kind: MessageKind) -> bool {
    !matches!(kind, MessageKind::Resolved | MessageKind::ChannelBroken | MessageKind::Test)
}

/// Adds the buttons to a message for Slack, where it tells of something that goes on.
pub fn add_buttons(message: &mut Value, facts: &NotificationFacts) {
    let Some(incident) = facts.incident.as_ref().filter(|_| is_open(facts.transition)) else {
        return;
    };
    let button = |action: LinkAction| {
        json!({
            "type": "button", "action_id": action.button(), "value": incident.id,
            "text": {"type": "plain_text", "text": action.label()},
        })
    };
    let actions: Vec<_> = LinkAction::ALL.into_iter().map(button).collect();
    if let Some(blocks) = message.get_mut("blocks").and_then(Value::as_array_mut) {
        // Above the small print at the end.
        let place = blocks.len().saturating_sub(1);
        blocks.insert(place, json!({"type": "actions", "elements": actions}));
    }
}

/// The links of a mail: label and address; none where there is nothing to do.
#[must_use]
pub fn mail_links(
    links: Option<&Links>,
    facts: &NotificationFacts,
    recipients: &[String],
) -> Vec<(&'static str, String)> {
    let open = facts.incident.as_ref().filter(|_| is_open(facts.transition));
    let Some((links, incident)) = links.zip(open) else { return Vec::new() };
    let of = |action: LinkAction| {
        (action.label(), links.address(incident.id, action, recipients, facts.at))
    };
    LinkAction::ALL.into_iter().map(of).collect()
}

/// Puts links at the end of both bodies of a mail.
#[must_use]
pub fn with_links(
    (mut text, mut html): (String, String),
    links: &[(&'static str, String)],
) -> (String, String) {
    for (label, address) in links {
        text.push_str(&format!("\n{label}: {address}\n"));
    }
    if !links.is_empty() {
        let anchors: Vec<_> = links
            .iter()
            // An address consists of letters, digits and signs that mean nothing to html.
            .map(|(label, address)| format!("<a href=\"{address}\">{label}</a>"))
            .collect();
        let line = format!("<p style=\"margin:12px 0 0\">{}</p>\n", anchors.join(" · "));
        let place = html.rfind("</body>").unwrap_or(html.len());
        html.insert_str(place, &line);
    }
    (text, html)
}
