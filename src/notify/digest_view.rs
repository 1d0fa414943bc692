//! What a message shows that tells several pieces of news: what belongs together, named one by one.

use uuid::Uuid;

use super::{
    message::{MessageKind, NotificationFacts},
    sentence::{amount, headline},
    text::{one_line, thousands},
    view::sign,
};
use crate::model::Level;

/// The longest name of one group.
const NAME_MAX: usize = 80;

/// Several pieces of news as plain text, before any medium's escaping.
pub(super) struct DigestView {
    /// How many pieces of news there are, and of what kind.
    pub title: String,
    /// The same for a place with room for one line only: it names the rules.
    pub summary: String,
    /// News of one rule and kind together, in the order in which each first came.
    pub entries: Vec<Entry>,
}

/// What one rule has to tell of one kind.
pub(super) struct Entry {
    pub sign: &'static str,
    /// The kind of news and the rule, or the title that the rule itself has for all of it.
    pub headline: String,
    /// Which groups it is about, in order.
    pub items: Vec<Item>,
    key: Key,
}

/// One piece of news.
pub(super) struct Item {
    /// What tells it apart within the rule, with its value.
    pub name: String,
    /// The page to open.
    pub link: Option<String>,
}

type Key = (Option<Uuid>, MessageKind, Option<Level>);

impl DigestView {
    /// What `news` show.
    pub fn of(news: &[&NotificationFacts]) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for facts in news {
            let key = key(facts);
            let link = facts.link.clone().filter(|link| link.len() <= 2000);
            let item = Item { name: item_name(facts), link };
            match entries.iter_mut().find(|entry| entry.key == key) {
                Some(entry) => {
                    entry.items.push(item);
                    // A title of one group only does not stand for the others.
                    if facts.texts.title.as_ref() != Some(&entry.headline) {
                        entry.headline = headline(facts);
                    }
                }
                None => {
                    let own = facts.texts.title.clone();
                    let (sign, headline) = (sign(facts), own.unwrap_or_else(|| headline(facts)));
                    entries.push(Entry { sign, headline, items: vec![item], key });
                }
            }
        }
        let count = count(news);
        let title = match &*entries {
            [only] => format!("{} – {} groups", only.headline, thousands(to_u64(news.len()))),
            _ => count.clone(),
        };
        let heads: Vec<String> = entries.iter().map(Entry::head).collect();
        let summary = format!("{count}: {}", heads.join(" · "));
        Self { title, summary, entries }
    }
}

impl Entry {
    /// Sign, how many where there are several, kind and rule.
    pub fn head(&self) -> String {
        match self.items.len() {
            1 => format!("{} {}", self.sign, self.headline),
            many => format!("{} {} × {}", self.sign, thousands(to_u64(many)), self.headline),
        }
    }
}

/// `5 alerts at once`, or `5 alerts resolved`.
pub(super) fn count(news: &[&NotificationFacts]) -> String {
    let over = news.iter().all(|facts| facts.transition == MessageKind::Resolved);
    let what = if over { "resolved" } else { "at once" };
    format!("{} alerts {what}", thousands(to_u64(news.len())))
}

/// What tells incidents of one rule apart: the values of its group; empty where nothing does.
pub(super) fn group(facts: &NotificationFacts) -> String {
    let fields = facts.incident.iter().flat_map(|incident| &incident.group);
    let values = fields.filter_map(|field| field.name.as_deref().or(field.value.as_deref()));
    let values: Vec<_> = values.map(|value| one_line(value, 40)).collect();
    values.join(", ")
}

fn key(facts: &NotificationFacts) -> Key {
    let level = facts.incident.as_ref().map(|incident| incident.level);
    // How loud it was does not matter any more.
    let level = level.filter(|_| facts.transition != MessageKind::Resolved);
    (facts.rule_id(), facts.transition, level)
}

fn item_name(facts: &NotificationFacts) -> String {
    let Some(incident) = &facts.incident else { return headline(facts) };
    let project = incident.project.as_ref().and_then(|project| project.name.as_deref());
    let group = group(facts);
    let name = match (group.is_empty(), project) {
        (false, _) => group,
        (true, Some(project)) => one_line(project, NAME_MAX),
        (true, None) => incident.id.to_string(),
    };
    let metric = incident.rule.metric;
    let value = match facts.transition {
        MessageKind::Resolved => format!("peak {}", amount(metric, incident.peak)),
        _ => amount(metric, incident.value),
    };
    format!("{} ({value})", one_line(&name, NAME_MAX))
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::samples::facts;

    #[test]
    fn a_rule_s_own_title_stands_where_it_is_the_same_for_all() {
        let titled = |title: &str| {
            let mut facts = facts(MessageKind::Firing);
            facts.texts.title = Some(title.to_owned());
            facts
        };
        let heads = |titles: &[&str]| {
            let news: Vec<_> = titles.iter().map(|title| titled(title)).collect();
            let view = DigestView::of(&news.iter().collect::<Vec<_>>());
            view.entries.iter().map(|entry| entry.headline.clone()).collect::<Vec<_>>()
        };
        assert_eq!(heads(&["Call Ada"]), ["Call Ada"]);
        assert_eq!(heads(&["Call Ada", "Call Ada", "Call Ada"]), ["Call Ada"]);
        assert_eq!(
            heads(&["Ada's sync", "Bob's sync", "Ada's sync"]),
            ["Warning: Payments failing"]
        );
    }
}
