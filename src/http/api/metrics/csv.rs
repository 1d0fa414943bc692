//! Answers as CSV (RFC 4180), which spreadsheets open: so what would be a formula there is made text.

use std::collections::VecDeque;

use axum::body::Body;
use futures_util::stream;

use super::{
    super::{Caller, Problem},
    cursor::Cursor,
    pages::{self, COLUMNS, EventRow},
    series::Series,
    wanted::{MOST, Wanted},
};

/// The events that match, as a body that is sent page by page while it is read.
///
/// # Errors
/// When already the first page cannot be read; a later failure breaks the answer off, so that what
/// came before is not taken for everything.
pub async fn events(caller: Caller, wanted: Wanted) -> Result<Body, Problem> {
    let mut export = Export { next: wanted.cursor, left: wanted.limit, caller, wanted };
    let mut first = VecDeque::from([format!("{COLUMNS}\r\n")]);
    first.extend(export.page().await?);
    Ok(Body::from_stream(stream::try_unfold((export, first), |(mut export, mut ready)| async {
        if ready.is_empty() {
            ready.extend(export.page().await?);
        }
        Ok::<_, Problem>(ready.pop_front().map(|text| (text, (export, ready))))
    })))
}

struct Export {
    caller: Caller,
    wanted: Wanted,
    next: Option<Cursor>,
    /// How many events may still come; all where none.
    left: Option<usize>,
}

impl Export {
    /// The next page as text; none behind the last one.
    async fn page(&mut self) -> Result<Option<String>, Problem> {
        let limit = self.left.unwrap_or(MOST).min(MOST);
        if limit == 0 {
            return Ok(None);
        }
        let read = pages::read(&self.caller, &self.wanted, limit, self.next.as_ref()).await;
        let (events, next) = read.inspect_err(|error| {
            tracing::warn!(%error, "a page of an export could not be read");
        })?;
        self.left = match (next, self.left) {
            (None, _) => Some(0),
            (Some(_), left) => left.map(|left| left.saturating_sub(events.len())),
        };
        self.next = next;
        let text: String = events.iter().map(row).collect();
        Ok((!text.is_empty()).then_some(text))
    }
}

fn row(event: &EventRow) -> String {
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    line(&[
        &event.error_id.to_string(),
        &event.timestamp.to_string(),
        &event.received_at.to_string(),
        &event.seq.to_string(),
        &event.source,
        &event.error_type,
        &event.severity,
        &id(event.project_id),
        &id(event.workflow_id),
        &event.fingerprint.to_string(),
        &event.message,
        &event.metadata.to_string(),
    ])
}

/// A series with one line a bucket.
pub fn series(series: &Series) -> String {
    let mut text = "at,count,low,medium,high\r\n".to_owned();
    for bucket in &series.buckets {
        text += &line(&[
            &bucket.at.to_string(),
            &bucket.count.to_string(),
            &bucket.low.to_string(),
            &bucket.medium.to_string(),
            &bucket.high.to_string(),
        ]);
    }
    text
}

fn line(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    cells.join(",") + "\r\n"
}

/// A cell that every reader takes for the same text; a formula gets an apostrophe before it
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("@cmd,x", "\"'@cmd,x\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
