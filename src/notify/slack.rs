//! Slack messages: Block Kit for an incoming webhook.
//!
//! Limits are those of docs.slack.dev: header 150 characters, section text 3,000, ten fields of
//! 2,000, and in practice about 13,000 in all; each is kept with room to spare.

use serde_json::{Value, json};

use super::{digest_view::group, message::NotificationFacts, view::View};

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 2_900;
const FIELD_MAX: usize = 300;
const FALLBACK_MAX: usize = 1_000;

/// The whole message, ready to be posted as JSON.
#[must_use]
pub fn render(facts: &NotificationFacts) -> Value {
    let view = View::of(facts);
    let mut blocks = vec![
        json!({"type": "header", "text": {
            "type": "plain_text", "emoji": false,
            "text": escaped(&format!("{} {}", view.sign, view.headline), HEADER_MAX),
        }}),
        section(format!("*{}*", escaped(&view.sentence, SECTION_MAX - 2))),
    ];
    if !view.description.is_empty() {
        blocks.push(section(escaped(&view.description, SECTION_MAX)));
    }
    if let Some(bars) = trend(&view) {
        blocks.push(section(bars));
    }
    if !view.rows.is_empty() {
        let field = |(label, value): &(&str, String)| {
            markdown(format!("*{label}*\n{}", escaped(value, FIELD_MAX)))
        };
        let fields: Vec<_> = view.rows.iter().take(10).map(field).collect();
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if !view.top.is_empty() {
        let line = |(count, title): &(String, String)| {
            format!("• {count} × {}", escaped(title, FIELD_MAX))
        };
        let top: Vec<_> = view.top.iter().map(line).collect();
        blocks.push(section(format!("*Most frequent errors*\n{}", top.join("\n"))));
    }
    if let Some(link) = view.link.as_deref().and_then(link_target) {
        blocks.push(section(format!("<{link}|Open in the dashboard>")));
    }
    if let Some(incident) = &view.incident {
        let mut text = format!("Incident {incident}");
        if let Some(sample) = view.samples.first() {
            text.push_str(&format!(" · newest error {sample}"));
        }
        blocks.push(json!({"type": "context", "elements": [markdown(text)]}));
    }
    if let Some(note) = &view.note {
        let text = format!("⚠ {}", escaped(note, FIELD_MAX));
        blocks.push(json!({"type": "context", "elements": [markdown(text)]}));
    }
    let mut message = plain(facts);
    if let Some(fields) = message.as_object_mut() {
        fields.insert("blocks".to_owned(), Value::Array(blocks));
    }
    message
}

/// A short message for the thread of an incident, whose first message says the rest.
#[must_use]
pub(super) fn reply(facts: &NotificationFacts) -> Value {
    let view = View::of(facts);
    let head = escaped(&view.headline, HEADER_MAX);
    let sentence = escaped(&view.sentence, SECTION_MAX - HEADER_MAX - FIELD_MAX - 20);
    // It may be shown in the channel without its thread.
    let group = group(facts);
    let group = if group.is_empty() { group } else { format!(" ({})", escaped(&group, FIELD_MAX)) };
    let mut blocks = vec![section(format!("{} *{head}*{group}\n{sentence}", view.sign))];
    if let Some(bars) = trend(&view) {
        blocks.push(section(bars));
    }
    let mut message = plain(facts);
    if let Some(fields) = message.as_object_mut() {
        fields.insert("blocks".to_owned(), Value::Array(blocks));
    }
    message
}

/// The bars in letters of one width, and what they are.
fn trend(view: &View) -> Option<String> {
    let (bars, caption) = view.trend.as_ref()?;
    Some(format!("`{bars}`  {}", escaped(caption, FIELD_MAX)))
}

/// The message without blocks: what a phone's lock screen shows, and the last resort when Slack
/// refuses the blocks.
#[must_use]
pub fn plain(facts: &NotificationFacts) -> Value {
    let view = View::of(facts);
    let text = format!("{} {} – {}", view.sign, view.headline, view.sentence);
    json!({"text": escaped(&text, FALLBACK_MAX), "unfurl_links": false, "unfurl_media": false})
}

pub(super) fn section(text: String) -> Value {
    json!({"type": "section", "text": markdown(text)})
}

/// `verbatim` keeps Slack from turning names, channels and addresses in error text into links.
fn markdown(text: String) -> Value {
    json!({"type": "mrkdwn", "verbatim": true, "text": text})
}

/// `text` in which nothing is markup or mentions anybody, at most `max` UTF-16 units long.
///
/// Slack asks for `&`, `<` and `>` as entities; without that `<!channel>` in an error message would
/// wake everybody. A joiner of no width disarms the bare words too, whatever the workspace's
/// settings for linking names are. The length is that of the escaped text, and no entity is cut.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let text = text.replace("@here", "@\u{2060}here");
    let text =
        text.replace("@channel", "@\u{2060}channel").replace("@everyone", "@\u{2060}everyone");
    let mut out = String::new();
    let mut units = 0;
    let mut buffer = [0; 4];
    for c in text.chars() {
        let piece: &str = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            c => c.encode_utf8(&mut buffer),
        };
        units += piece.encode_utf16().count();
        // One unit is kept for the mark of a cut.
        if units >= max {
            out.push('…');
            break;
        }
        out.push_str(piece);
    }
    out
}

/// An address that is safe between `<` and `|`; none where it is not an http address.
pub(super) fn link_target(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let text = url.as_str().replace('|', "%7C").replace('<', "%3C").replace('>', "%3E");
    Some(text.replace('&', "&amp;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup_or_a_mention() {
        assert_eq!(escaped("<!channel> & <@U1>", 100), "&lt;!channel&gt; &amp; &lt;@U1&gt;");
        assert_eq!(escaped("@here", 100), "@\u{2060}here");
    }

    #[test]
    fn a_cut_spares_entities_and_keeps_the_limit() {
        for max in 1..40 {
            let text = escaped(&"<&>😀".repeat(50), max);
            assert!(text.encode_utf16().count() <= max, "{max}: {text}");
            let rest = text.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
            assert!(!rest.contains('&'), "{max}: {text}");
        }
    }

    #[test]
    fn a_link_cannot_break_out() {
        assert_eq!(
            link_target("https://d.example/a|b>c?x=1&y=2").as_deref(),
            Some("https://d.example/a%7Cb%3Ec?x=1&amp;y=2")
        );
        assert_eq!(link_target("javascript:alert(1)"), None);
    }
}
