//! Writes rules as a file, such that reading it gives the same rules.

use serde_json::{Map, Value};

use super::{
    fields::{FIELDS, Field, Kind},
    plan::same,
    read::Binding,
    span::render_span,
};
use crate::model::Level;

/// The file that says these rules; fields that have their default are left out.
#[must_use]
pub fn render<'a>(
    rules: impl IntoIterator<Item = (&'a Map<String, Value>, &'a [Binding])>,
) -> String {
    let mut text = "version: 1\nrules:".to_owned();
    let mut any = false;
    for (columns, channels) in rules {
        any = true;
        let mut lead = "\n  - ";
        for (field, value) in given(columns) {
            text += &format!("{lead}{}: {}", field.name, value_text(field.kind, value));
            lead = "\n    ";
        }
        if !channels.is_empty() {
            text += &format!("{lead}channels: {}", channels_text(channels));
        }
        text.push('\n');
    }
    if !any {
        text += " []\n";
    }
    text
}

/// The fields that differ from their default, with their values.
pub(super) fn given(
    columns: &Map<String, Value>,
) -> impl Iterator<Item = (&'static Field, &Value)> {
    FIELDS.iter().filter_map(|field| {
        let value = columns.get(field.column)?;
        // What everybody looks for first is written even where it is the default.
        let always = ["name", "metric", "window_seconds"].contains(&field.column);
        (always || !same(value, &field.default())).then_some((field, value))
    })
}

/// A value as a file says it.
pub(super) fn value_text(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Span, Value::Number(_)) => render_span(value.as_i64().unwrap_or(0)),
        (Kind::BurnWindows, Value::Array(pairs)) => {
            let pairs: Vec<String> = pairs.iter().map(pair_text).collect();
            format!("[{}]", pairs.join(", "))
        }
        (_, Value::Array(list)) => {
            let list: Vec<String> = list.iter().map(|value| value_text(kind, value)).collect();
            format!("[{}]", list.join(", "))
        }
        (_, Value::String(text)) => text_of(text),
        (_, value) => value.to_string(),
    }
}

/// Channels as a file says them.
pub(super) fn channels_text(channels: &[Binding]) -> String {
    let channels: Vec<String> = channels
        .iter()
        .map(|binding| match binding.min_level {
            Level::Warning => text_of(&binding.name),
            Level::Critical => format!("{{name: {}, min_level: critical}}", text_of(&binding.name)),
        })
        .collect();
    format!("[{}]", channels.join(", "))
}

fn pair_text(pair: &Value) -> String {
    let span = |key| render_span(pair.get(key).and_then(Value::as_i64).unwrap_or(0));
    let plain = |key| pair.get(key).map_or_else(String::new, |value| value_text(Kind::Text, value));
    format!(
        "{{long: {}, short: {}, factor: {}, level: {}}}",
        span("long_seconds"),
        span("short_seconds"),
        plain("factor"),
        plain("level")
    )
}

/// A text without quotation marks where YAML reads it as the same text, else with them: a text in
/// JSON's notation is one in YAML's.
fn text_of(text: &str) -> String {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-./()%".contains(c);
    let word = ["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if starts_well && !word && !text.ends_with(' ') && text.chars().all(plain) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rules_file::parse;

    #[test]
    fn only_what_is_not_the_default_is_written() {
        let text = "version: 1\nrules:\n  - name: \"404: not found\"\n    metric: ratio\n    \
            workflow_ids: []\n    window: 1h\n    warning: 5%\n    pending: 90s\n    \
            channels: [Ops, {name: Pager, min_level: critical}]\n";
        let rules = parse(text).expect("a good file");
        let written = render(rules.iter().map(|r| (&r.columns, r.channels.as_slice())));
        assert_eq!(
            written,
            "version: 1\nrules:\n  - name: \"404: not found\"\n    metric: ratio\n    window: 1h\n    \
             warning: 0.05\n    pending: 1m30s\n    \
             channels: [Ops, {name: Pager, min_level: critical}]\n"
        );
        assert_eq!(render([]), "version: 1\nrules: []\n");
        assert_eq!(parse(&render([])), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in "[ -~äß\u{2028}]{1,40}", text in "\\PC{1,60}", channel in "\\PC{1,40}",
            warning in 1_u32..1_000_000, pending in 0_i64..86_400, critical in any::<bool>(),
        ) {
            prop_assume!(!name.trim().is_empty());
            let columns = json!({
                "name": name, "message_contains": text, "description": text,
                "warning": f64::from(warning) / 64.0, "pending_seconds": pending,
                "group_by": ["project", "source"], "window_seconds": 60,
                "title_template": "{{ level|upper }}: {{ group.source }}",
                "body_template": format!("{{{{ value_text }}}}\n\n  {}\n", name.replace('{', "")),
            });
            let min_level = if critical { Level::Critical } else { Level::Warning };
            let channels = [Binding { line: 0, name: channel, min_level }];
            let columns = columns.as_object().cloned().unwrap_or_default();
            let file = render([(&columns, channels.as_slice())]);
            let read = parse(&file);
            prop_assert!(read.is_ok(), "{file}\n{read:?}");
            let read = read.unwrap_or_default().remove(0);
            for (column, value) in &columns {
                prop_assert!(same(&read.columns[column], value), "{column} in {file}");
            }
            prop_assert_eq!(&read.channels[0].name, &channels[0].name);
            prop_assert_eq!(read.channels[0].min_level, min_level);
        }
    }
}
