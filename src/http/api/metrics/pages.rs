//! Pages of events, read through PostgREST.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::{Caller, Problem},
    cursor::Cursor,
    too_slow_or,
    wanted::Wanted,
};
use crate::{
    model::{Timestamp, TypePattern},
    rest::{Forwarded, RestError, quote},
};

/// The columns of an event, in the order in which CSV has them.
pub const COLUMNS: &str = "error_id,timestamp,received_at,seq,source,error_type,severity,\
                           project_id,workflow_id,fingerprint,message,metadata";

/// An error event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ErrorEvent)]
pub struct EventRow {
    /// Its id.
    pub error_id: Uuid,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// When the database received it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Its number.
    pub seq: i64,
    /// worker, webhook or system.
    pub source: String,
    /// Class and detail.
    pub error_type: String,
    /// low, medium or high.
    pub severity: String,
    /// Its project; null for errors of the platform itself.
    pub project_id: Option<Uuid>,
    /// The workflow it happened in.
    pub workflow_id: Option<Uuid>,
    /// Errors with the same fingerprint form one group.
    pub fingerprint: Uuid,
    /// One masked line.
    pub message: String,
    /// The rest, masked.
    #[schema(value_type = Object)]
    pub metadata: Value,
}

/// Reads up to `limit` events behind `cursor`, and where the next page begins. Fewer than there are
/// come where so many would make too long an answer.
///
/// # Errors
/// As PostgREST answers the caller.
pub async fn read(
    caller: &Caller,
    wanted: &Wanted,
    limit: usize,
    cursor: Option<&Cursor>,
) -> Result<(Vec<EventRow>, Option<Cursor>), Problem> {
    let mut limit = limit;
    loop {
        let query = query(wanted, limit, cursor);
        let what = Forwarded { path: "error_metrics", query: &query, ..Forwarded::default() };
        let events: Vec<EventRow> = match caller.get(what).await {
            Ok(answer) => answer.json()?,
            // A thousand events with all the metadata they may have are too much; half may not be.
            Err(RestError::TooLong) if limit > 1 => {
                limit /= 2;
                continue;
            }
            Err(error) => return Err(too_slow_or(error)),
        };
        // A full page may be the last one; the next is then empty, which says so.
        let last = events.last().filter(|_| events.len() >= limit);
        let next = last.map(|event| Cursor { timestamp: event.timestamp, seq: event.seq });
        return Ok((events, next));
    }
}

fn query(wanted: &Wanted, limit: usize, cursor: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("select", COLUMNS.to_owned()),
        ("order", "timestamp.desc,seq.desc".to_owned()),
        ("limit", limit.to_string()),
    ];
    if let Some(from) = wanted.from {
        query.push(("timestamp", format!("gte.{from}")));
    }
    if let Some(to) = wanted.to {
        query.push(("timestamp", format!("lt.{to}")));
    }
    let mut one_of = |column: &'static str, values: Vec<String>| {
        if !values.is_empty() {
            query.push((column, format!("in.({})", values.join(","))));
        }
    };
    one_of("source", wanted.sources.iter().map(ToString::to_string).collect());
    one_of("severity", wanted.severities.iter().map(ToString::to_string).collect());
    one_of("workflow_id", wanted.workflows.iter().map(ToString::to_string).collect());
    one_of("project_id", wanted.projects.iter().map(ToString::to_string).collect());
    one_of("fingerprint", wanted.fingerprints.iter().map(ToString::to_string).collect());
    if let Some(text) = &wanted.text {
        query.push(("message", format!("imatch.{}", literally(text))));
    }
    if !wanted.types.is_empty() {
        let types = wanted.types.iter().map(|pattern| match pattern {
            TypePattern::Class(class) => {
                format!("error_type.eq.{class},error_type.like.{class}.*")
            }
            TypePattern::Exact(exact) => format!("error_type.eq.{}", quote(exact)),
        });
        query.push(("or", format!("({})", types.collect::<Vec<_>>().join(","))));
    }
    if let Some(Cursor { timestamp, seq }) = cursor {
        // The first condition says nothing that the second does not, but an index can begin at it.
        query.push(("timestamp", format!("lte.{timestamp}")));
        let at = quote(&timestamp.to_string());
        let or = format!("(timestamp.lt.{at},and(timestamp.eq.{at},seq.lt.{seq}))");
        query.push(("or", or));
    }
    query
}

/// A regular expression that matches exactly this text. (In PostgREST's `ilike` a star could not be
/// looked for: it stands for anything, and nothing can take that from it.)
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_what_postgrest_understands() {
        let wanted = Wanted {
            types: ["execution", "system.database"].map(TypePattern::parse).to_vec(),
            text: Some("50% *".to_owned()),
            ..Wanted::default()
        };
        let cursor = Cursor { timestamp: Timestamp::from_micros(1_500_000), seq: 7 };
        let query: Vec<String> = query(&wanted, 5, Some(&cursor))
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        insta::assert_snapshot!(query.join("\n"), @r#"
        select=error_id,timestamp,received_at,seq,source,error_type,severity,project_id,workflow_id,fingerprint,message,metadata
        order=timestamp.desc,seq.desc
        limit=5
        message=imatch.50\% \*
        or=(error_type.eq.execution,error_type.like.execution.*,error_type.eq."system.database")
        timestamp=lte.1970-01-01T00:00:01.500000Z
        or=(timestamp.lt."1970-01-01T00:00:01.500000Z",and(timestamp.eq."1970-01-01T00:00:01.500000Z",seq.lt.7))
        "#);
    }
}
