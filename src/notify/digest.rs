//! One Slack message for many pieces of news: what one rule says of many groups at once, or what had
//! to wait for its channel.
//!
//! A few pieces of news have a line each. Many are named one after the other, and what there is no
//! room for is counted: nothing is left out without a word.

use serde_json::{Value, json};

use super::{
    digest_view::{DigestView, Entry, count, group},
    message::NotificationFacts,
    slack::{escaped, link_target, section},
    text::thousands,
    view::View,
};

/// A section holds at most 3,000 characters; half of that keeps the whole within a screen or two.
const SECTION_MAX: usize = 1_500;
/// Up to so many pieces of news have a line each.
const LINES_MAX: usize = 20;
/// With 20 lines the whole stays far below the 13,000 characters that Slack takes in practice.
const LINE_MAX: usize = 220;
/// Longer links are left out.
const LINK_MAX: usize = 120;
/// So many characters of names, in UTF-16 units.
const NAMES_MAX: usize = 10_500;
/// A digest has at most this many sections; Slack takes 50 blocks.
const SECTIONS_MAX: usize = 40;

/// The digest of `news`, in order, ready to be posted as JSON.
#[must_use]
pub(super) fn render(news: &[&NotificationFacts]) -> Value {
    let view = DigestView::of(news);
    let sign = view.entries.first().map_or("", |entry| entry.sign);
    let title = if view.entries.len() == 1 { format!("{sign} {}", view.title) } else { view.title };
    let mut blocks = vec![json!({"type": "header", "text": {
        "type": "plain_text", "emoji": false, "text": escaped(&title, 150),
    }})];
    if news.len() <= LINES_MAX {
        blocks.extend(lines(news));
    } else {
        blocks.extend(names(&view.entries));
        // There is no room for a link to each of them.
        if let Some(link) = all_incidents(news) {
            blocks.push(section(format!("<{link}|Open the incidents in the dashboard>")));
        }
    }
    let mut message = plain(news);
    if let Some(fields) = message.as_object_mut() {
        fields.insert("blocks".to_owned(), Value::Array(blocks));
    }
    message
}

/// The digest without blocks.
#[must_use]
pub(super) fn plain(news: &[&NotificationFacts]) -> Value {
    let text = if news.len() <= LINES_MAX {
        let heads = news.iter().map(|facts| {
            let view = View::of(facts);
            format!("{} {}", view.sign, view.headline)
        });
        format!("{}: {}", count(news), heads.collect::<Vec<_>>().join(" · "))
    } else {
        DigestView::of(news).summary
    };
    json!({"text": escaped(&text, 3_000), "unfurl_links": false, "unfurl_media": false})
}

fn lines(news: &[&NotificationFacts]) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut text = String::new();
    for line in news.iter().map(|facts| line(facts)) {
        if !text.is_empty() && text.len() + line.len() >= SECTION_MAX {
            blocks.push(section(std::mem::take(&mut text)));
        }
        text.push_str(&line);
        text.push('\n');
    }
    blocks.push(section(text));
    blocks
}

/// The page that lists incidents: what the page of each of them stands under.
fn all_incidents(news: &[&NotificationFacts]) -> Option<String> {
    let (facts, incident) =
        news.iter().find_map(|facts| Some((facts, facts.incident.as_ref()?)))?;
    let page = facts.link.as_deref()?.strip_suffix(&format!("/{}", incident.id))?;
    link_target(page).filter(|link| link.len() < 2 * LINK_MAX)
}

/// One piece of news: sign, headline, sentence, and a link to its incident or at least its id.
fn line(facts: &NotificationFacts) -> String {
    let view = View::of(facts);
    let group = group(facts);
    let group = if group.is_empty() { group } else { format!(" ({group})") };
    let what = escaped(&format!("{}{group} – {}", view.headline, view.sentence), LINE_MAX);
    let link = view.link.as_deref().and_then(link_target).filter(|link| link.len() < LINK_MAX);
    let place = match (link, view.incident) {
        (Some(link), _) => format!(" (<{link}|open>)"),
        (None, Some(incident)) => format!(" ({incident})"),
        (None, None) => String::new(),
    };
    format!("{} {what}{place}", view.sign)
}

/// What each rule says, with the names of its groups; the room is shared fairly.
fn names(entries: &[Entry]) -> Vec<Value> {
    let shown = entries.len().min(SECTIONS_MAX / 2);
    let mut room = NAMES_MAX;
    let mut blocks = Vec::new();
    for (index, entry) in entries.iter().take(shown).enumerate() {
        // What earlier entries leave over is for the later ones.
        let share = room / (shown - index).max(1);
        let (sections, used) = entry_sections(entry, share);
        room = room.saturating_sub(used);
        blocks.extend(sections);
    }
    let left = entries.iter().skip(shown).map(|entry| entry.items.len()).sum::<usize>();
    if left > 0 {
        let rules = entries.len() - shown;
        blocks.push(section(format!("and {left} more in {rules} other groups of alerts")));
    }
    blocks
}

fn entry_sections(entry: &Entry, share: usize) -> (Vec<Value>, usize) {
    let mut blocks = Vec::new();
    let mut text = format!("*{}*\n", escaped(&entry.head(), 300));
    let (mut used, mut named) = (0, 0);
    for item in &entry.items {
        let name = escaped(&item.name, 160);
        let length = name.encode_utf16().count() + 2;
        if used + length > share {
            break;
        }
        if named > 0 {
            text.push_str(", ");
        }
        // Twice the usual section: a long list of names is one thing.
        if text.encode_utf16().count() + length > 2 * SECTION_MAX - 200 {
            blocks.push(section(std::mem::take(&mut text)));
        }
        text.push_str(&name);
        (used, named) = (used + length, named + 1);
    }
    let rest = u64::try_from(entry.items.len() - named).unwrap_or(u64::MAX);
    if rest > 0 {
        let and = if named == 0 { "" } else { " and " };
        text.push_str(&format!("{and}{} more", thousands(rest)));
    }
    blocks.push(section(text));
    (blocks, used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        message::{GroupFact, MessageKind},
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

    fn of_group(name: &str, kind: MessageKind) -> NotificationFacts {
        let mut facts = facts(kind);
        if let Some(incident) = &mut facts.incident {
            let field = crate::model::GroupField::Workflow;
            let name = Some(name.to_owned());
            incident.group = vec![GroupFact { field, value: name.clone(), name }];
        }
        facts
    }

    fn all_texts(message: &Value) -> String {
        let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
        let texts = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn many_groups_of_one_rule_are_named_one_after_the_other() {
        let news: Vec<_> =
            (0..300).map(|n| of_group(&format!("flow-{n:03}"), MessageKind::Firing)).collect();
        let message = render(&news.iter().collect::<Vec<_>>());
        let text = all_texts(&message);
        assert!(text.starts_with("🟠 Warning: Payments failing – 300 groups\n"), "{text}");
        for n in 0..300 {
            assert_eq!(text.matches(&format!("flow-{n:03} (25)")).count(), 1, "{n}");
        }
        assert!(!text.contains("more"), "{text}");
        let page = "<https://mesh.example/errors/incidents|Open the incidents in the dashboard>";
        assert!(text.ends_with(page), "{text}");
        let summary = message["text"].as_str().unwrap_or_default();
        assert_eq!(summary, "300 alerts at once: 🟠 300 × Warning: Payments failing");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let name = "n".repeat(40);
        let mut news = vec![of_group(&name, MessageKind::Firing); 300];
        news.extend(vec![of_group(&name, MessageKind::Resolved); 100]);
        let text = all_texts(&render(&news.iter().collect::<Vec<_>>()));
        let named = text.matches(&name).count();
        let more: usize = text
            .split(" more")
            .filter_map(|part| part.rsplit(' ').next()?.replace(',', "").parse::<usize>().ok())
            .sum();
        assert!(named > 80 && named < 400, "{named}");
        assert_eq!(named + more, 400, "{text}");
    }

    #[test]
    fn a_full_digest_of_hostile_news_stays_within_slacks_limits() {
        let facts = hostile(MessageKind::Firing);
        for count in [LINES_MAX, LINES_MAX + 1, crate::store::outbox::MERGED_MAX] {
            let mut many = vec![facts.clone(); count];
            for (index, facts) in many.iter_mut().enumerate() {
                if let Some(incident) = facts.incident.as_mut().filter(|_| index % 3 == 0) {
                    incident.rule.id = uuid::Uuid::from_u128(index as u128);
                }
            }
            let message = render(&many.iter().collect::<Vec<_>>());
            let blocks = message["blocks"].as_array().expect("blocks");
            assert!(blocks.len() <= 50, "{}", blocks.len());
            let mut whole = 0;
            for block in blocks {
                let text = block["text"]["text"].as_str().expect("a text");
                assert!(text.encode_utf16().count() < 3_000);
                assert!(!text.contains("<!") && !text.contains("<@"), "{text}");
                whole += text.encode_utf16().count();
            }
            assert!(whole < 13_000 + 40 * 160, "{whole}");
        }
    }
}
