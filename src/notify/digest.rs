//! One Slack message for many pieces of news that had to wait for their channel.

use serde_json::{Value, json};

use super::{
    message::NotificationFacts,
    slack::{escaped, link_target, section},
    text::one_line,
    view::View,
};

/// A section holds at most 3,000 characters; half of that keeps the whole within a screen or two.
const SECTION_MAX: usize = 1_500;
/// With 40 lines the whole stays below the 13,000 characters that Slack takes in practice.
const LINE_MAX: usize = 180;
/// Longer links are left out.
const LINK_MAX: usize = 120;

/// The digest of `news`, in order, ready to be posted as JSON.
#[must_use]
pub(super) fn render(news: &[&NotificationFacts]) -> Value {
    let title = title(news.len());
    let mut blocks = vec![json!({"type": "header", "text": {
        "type": "plain_text", "emoji": false, "text": title,
    }})];
    let mut text = String::new();
    for line in news.iter().map(|facts| line(facts)) {
        if !text.is_empty() && text.len() + line.len() >= SECTION_MAX {
            blocks.push(section(std::mem::take(&mut text)));
        }
        text.push_str(&line);
        text.push('\n');
    }
    blocks.push(section(text));
    let mut message = plain(news);
    if let Some(fields) = message.as_object_mut() {
        fields.insert("blocks".to_owned(), Value::Array(blocks));
    }
    message
}

/// The digest without blocks.
#[must_use]
pub(super) fn plain(news: &[&NotificationFacts]) -> Value {
    let heads = news.iter().map(|facts| {
        let view = View::of(facts);
        format!("{} {}", view.sign, view.headline)
    });
    let text = format!("{}: {}", title(news.len()), heads.collect::<Vec<_>>().join(" · "));
    json!({"text": escaped(&text, 3_000), "unfurl_links": false, "unfurl_media": false})
}

fn title(count: usize) -> String {
    format!("{count} alerts at once")
}

/// One piece of news: sign, headline, sentence, and a link to its incident or at least its id.
fn line(facts: &NotificationFacts) -> String {
    let view = View::of(facts);
    let what = format!("{}{} – {}", view.headline, group(facts), view.sentence);
    let what = escaped(&what, LINE_MAX);
    let link = view.link.as_deref().and_then(link_target).filter(|link| link.len() < LINK_MAX);
    let place = match (link, view.incident) {
        (Some(link), _) => format!(" (<{link}|open>)"),
        (None, Some(incident)) => format!(" ({incident})"),
        (None, None) => String::new(),
    };
    format!("{} {what}{place}", view.sign)
}

/// What tells incidents of one rule apart: the values of its group.
fn group(facts: &NotificationFacts) -> String {
    let fields = facts.incident.iter().flat_map(|incident| &incident.group);
    let values = fields.filter_map(|field| field.name.as_deref().or(field.value.as_deref()));
    let values: Vec<_> = values.map(|value| one_line(value, 40)).collect();
    if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        message::MessageKind,
        samples::{facts, hostile},
    };

    #[test]
    fn every_piece_of_news_has_its_line() {
        let (one, two) = (facts(MessageKind::Firing), facts(MessageKind::Resolved));
        let message = render(&[&one, &two]);
        let text = message["blocks"][1]["text"]["text"].as_str().unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let start = "🟠 Warning: Payments failing (stripe-sync v3, execution) – 25 errors in 5 min";
        assert!(lines[0].starts_with(start), "{text}");
        assert!(lines[1].starts_with("✅ Resolved: Payments failing"), "{text}");
        assert!(lines[1].ends_with("|open>)"), "{text}");
        let text = message["text"].as_str().unwrap_or_default();
        assert!(text.starts_with("2 alerts at once: 🟠 Warning: Payments failing · ✅"), "{text}");
    }

    #[test]
    fn a_full_digest_of_hostile_news_stays_within_slacks_limits() {
        let facts = hostile(MessageKind::Firing);
        let news = vec![&facts; crate::store::outbox::MERGED_MAX];
        let message = render(&news);
        let blocks = message["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50, "{}", blocks.len());
        let mut whole = 0;
        for block in blocks {
            let text = block["text"]["text"].as_str().expect("a text");
            assert!(text.encode_utf16().count() < 3_000);
            assert!(!text.contains("<!") && !text.contains("<@"), "{text}");
            whole += text.encode_utf16().count();
        }
        assert!(whole < 13_000, "{whole}");
    }
}
