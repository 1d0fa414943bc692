//! How a log line is written as text: one line per event, in which no value can look like another field
//! or like another line, whatever people or servers have put into it.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// Writes the fields of events and spans: `message key=value key="value with blanks"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines;

impl<'writer> FormatFields<'writer> for Lines {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, separator: "", result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'a> {
    writer: Writer<'a>,
    separator: &'static str,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, value: &str) {
        let separator = std::mem::replace(&mut self.separator, " ");
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.result = self.result.and_then(|()| match name {
            "message" => write!(self.writer, "{separator}{}", one_line(value)),
            // Where a record of the crate `log` came from.
            _ if name.starts_with("log.") => Ok(()),
            _ => write!(self.writer, "{separator}{name}={value}"),
        });
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("message", value),
            name => self.put(name, &format!("{value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.put("message", &value),
            name if value.chars().all(is_plain) && !value.is_empty() => self.put(name, &value),
            name => self.put(name, &format!("{value:?}")),
        }
    }
}

/// Whether a character needs no quotation marks around the value that it is in.
fn is_plain(c: char) -> bool {
    !c.is_whitespace() && c != '=' && (c == '\'' || is_visible(c)) && !matches!(c, '"' | '\\')
}

/// Whether a character is shown as itself: no control character, none that changes the direction of
/// writing, and none that joins what stands before it.
fn is_visible(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// A text in which everything is shown that could move the cursor.
fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_visible(c) {
            shown.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", c.escape_debug());
        }
    }
    shown
}
