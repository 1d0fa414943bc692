//! What stands in a log, whatever stood in the values.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::*;

/// What was logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` logs.
fn logged(format: LogFormat, work: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let lines = lines(format, false, move || writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Texts with which somebody might want to forge a line, a field, or what a terminal shows.
const HOSTILE: &[&str] = &[
    "x\n2026-11-29T00:00:00.000000Z ERROR forged line incident_id=7",
    "x\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
    "x incident_id=7 level=critical",
    "x\" incident_id=\"7",
    "\u{1b}[2K\u{1b}[1A\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{85}\u{2028}\u{2029}\u{b}\u{c}",
    "\u{202e}lacitirc=level\u{200f}",
    "{\"incident_id\":7}",
    "",
];

/// Logs a text in all ways in which values get into lines.
fn log_everywhere(text: &str) {
    let span = tracing::info_span!("request", request_id = %text, channel = text);
    span.in_scope(|| {
        tracing::warn!(error = %text, channel = text, group = ?Some(text), "what was said: {text}");
    });
}

/// The fields of a line, as a reader takes it apart who knows quotation marks.
fn fields(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('=') {
        let name = rest[..at].rsplit([' ', '{']).next().unwrap_or_default().to_owned();
        rest = &rest[at + 1..];
        let end = if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            end.expect("a closing quotation mark").0 + 1
        } else {
            rest.find([' ', '}']).unwrap_or(rest.len())
        };
        found.push((name, rest[..end].to_owned()));
        rest = &rest[end..];
    }
    found
}

#[test]
fn nothing_in_a_value_forges_a_line_of_text_or_a_field() {
    for text in HOSTILE {
        let log = logged(LogFormat::Text, || log_everywhere(text));
        assert_eq!(log.matches('\n').count(), 1, "{text:?} gave {log:?}");
        let line = log.trim_end_matches('\n');
        let hidden = line.chars().find(|c| c.is_control() || ('\u{200e}'..='\u{202e}').contains(c));
        assert_eq!(hidden, None, "{text:?} gave {log:?}");
        // The message is our own words; what follows it are the fields, and there are exactly these.
        let (head, tail) = line.split_once("what was said: ").unwrap();
        let behind = tail.find(" error=").unwrap_or_else(|| panic!("{line:?}"));
        let names: Vec<String> =
            fields(head).into_iter().chain(fields(&tail[behind..])).map(|(name, _)| name).collect();
        assert_eq!(names, ["request_id", "channel", "error", "channel", "group"], "{line:?}");
    }
}

#[test]
fn nothing_in_a_value_forges_a_line_of_json() {
    for text in HOSTILE {
        let log = logged(LogFormat::Json, || log_everywhere(text));
        assert_eq!(log.matches('\n').count(), 1, "{text:?} gave {log:?}");
        let line: Value = serde_json::from_str(&log).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], format!("what was said: {text}"));
        assert_eq!((&line["error"], &line["channel"]), (&Value::from(*text), &Value::from(*text)));
        assert_eq!(line["span"]["request_id"], *text);
        assert_eq!(line.get("incident_id"), None);
    }
}

#[test]
fn ordinary_values_are_written_plainly() {
    let log = logged(LogFormat::Text, || {
        let id = uuid::Uuid::from_u128(7);
        tracing::info_span!("request", request_id = %"a-1").in_scope(|| {
            tracing::info!(incident_id = %id, rule = "Ops Slack", value = 2.5, took = ?std::time::Duration::from_millis(20), at = %"2026-11-29T00:00:00Z", "incident firing: it's \"x\"");
        });
    });
    assert!(log.ends_with("INFO request{request_id=a-1}: incident firing: it's \"x\" incident_id=00000000-0000-0000-0000-000000000007 rule=\"Ops Slack\" value=2.5 took=20ms at=2026-11-29T00:00:00Z\n"), "{log}");
}
