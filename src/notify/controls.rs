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

/// What there is to do about these news; nothing where it is over.
fn actions(kind: MessageKind) -> impl Iterator<Item = LinkAction> {
    let open =
        !matches!(kind, MessageKind::Resolved | MessageKind::ChannelBroken | MessageKind::Test);
    // Somebody has it in hand already, and a second one would only take it away from them.
    let taken = matches!(kind, MessageKind::Acknowledged);
    LinkAction::ALL
        .into_iter()
        .filter(move |action| open && !(taken && *action == LinkAction::Acknowledge))
}

/// Adds the buttons to a message for Slack, where it tells of something that goes on.
pub fn add_buttons(message: &mut Value, facts: &NotificationFacts) {
    let Some(incident) = &facts.incident else { return };
    let button = |action: LinkAction| {
        json!({
            "type": "button", "action_id": action.button(), "value": incident.id,
            "text": {"type": "plain_text", "text": action.label()},
        })
    };
    let actions: Vec<_> = actions(facts.transition).map(button).collect();
    if actions.is_empty() {
        return;
    }
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
    let Some((links, incident)) = links.zip(facts.incident.as_ref()) else { return Vec::new() };
    let of = |action: LinkAction| {
        (action.label(), links.address(incident.id, action, recipients, facts.at))
    };
    actions(facts.transition).map(of).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::samples::facts;

    /// The labels of the buttons under a message.
    fn labels(kind: MessageKind) -> Vec<String> {
        let mut message = crate::notify::slack::render(&facts(kind));
        add_buttons(&mut message, &facts(kind));
        let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
        let actions = blocks.iter().filter(|block| block["type"] == "actions");
        let buttons = actions.filter_map(|block| block["elements"].as_array()).flatten();
        buttons.filter_map(|button| button["text"]["text"].as_str().map(str::to_owned)).collect()
    }

    #[test]
    fn what_is_acknowledged_cannot_be_acknowledged_again() {
        let (acknowledge, silence) = ("Acknowledge".to_owned(), "Silence for 1 hour".to_owned());
        assert_eq!(labels(MessageKind::Firing), [acknowledge.clone(), silence.clone()]);
        assert_eq!(labels(MessageKind::Unacknowledged), [acknowledge, silence.clone()]);
        assert_eq!(labels(MessageKind::Acknowledged), [silence]);
        assert_eq!(labels(MessageKind::Resolved), [] as [String; 0]);
    }
}
