//! The COPY statement that reads a rule's history.
//!
//! COPY sends a row for about half of what a query's answer costs both sides, but takes no parameters, so
//! what a parameter would have held is written as a literal here: instants and ids by their own types,
//! texts escaped in a way that no setting of the server changes.

use uuid::Uuid;

use super::{Columns, Scope};
use crate::model::{Timestamp, TypePattern};

/// The first and the last instant that PostgreSQL reads in the form of RFC 3339: the years 1 to 9999.
const INSTANTS: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// The statement that reads `scope`, in order of `received_at` and `seq` where that is asked for.
pub(super) fn copy(scope: &Scope, ordered: bool) -> String {
    include_str!("../../../sql/backtest_events.sql")
        .replace("{columns}", &columns(scope.columns))
        .replace("{conditions}", &conditions(scope))
        .replace("{order}", if ordered { "order by m.received_at, m.seq" } else { "" })
}

fn columns(wanted: Columns) -> String {
    let mut list = vec!["m.received_at", "m.seq", "m.\"timestamp\""];
    // The order in which `Rows` reads them.
    for (wanted, column) in [
        (wanted.source, "m.source"),
        (wanted.error_type, "m.error_type"),
        (wanted.severity, "m.severity"),
        (wanted.project, "m.project_id"),
        (wanted.workflow, "m.workflow_id"),
        (wanted.fingerprint, "m.fingerprint"),
        (wanted.message, "m.message"),
    ] {
        if wanted {
            list.push(column);
        }
    }
    list.join(", ")
}

fn conditions(scope: &Scope) -> String {
    let (from, to) = (instant(scope.from), instant(scope.to));
    let mut all = vec![format!(
        "m.\"timestamp\" >= {from} and m.\"timestamp\" <= {to} and m.received_at <= {to}"
    )];
    let filter = &scope.filter;
    if let Some(project) = scope.project {
        all.push(format!("m.project_id = {}", id(&project)));
    }
    if !filter.sources.is_empty() {
        let words = filter.sources.iter().map(|source| text(source.as_str()));
        all.push(format!("m.source in ({})", list(words)));
    }
    if !filter.error_types.is_empty() {
        let types = filter.error_types.iter().map(|pattern| match pattern {
            TypePattern::Exact(exact) => format!("m.error_type = {}", text(exact)),
            TypePattern::Class(class) => {
                format!("split_part(m.error_type, '.', 1) = {}", text(class))
            }
        });
        all.push(format!("({})", types.collect::<Vec<_>>().join(" or ")));
    }
    if !filter.severities.is_empty() {
        let words = filter.severities.iter().map(|severity| text(severity.as_str()));
        all.push(format!("m.severity in ({})", list(words)));
    }
    if !filter.workflow_ids.is_empty() {
        all.push(format!("m.workflow_id in ({})", list(filter.workflow_ids.iter().map(id))));
    }
    all.join(" and ")
}

fn list(literals: impl Iterator<Item = String>) -> String {
    literals.collect::<Vec<_>>().join(", ")
}

fn instant(at: Timestamp) -> String {
    let at = Timestamp::from_micros(at.micros().clamp(INSTANTS.0, INSTANTS.1));
    format!("timestamptz '{at}'")
}

fn id(id: &Uuid) -> String {
    format!("uuid '{id}'")
}

/// A text in the form that knows escapes, which means the same whatever `standard_conforming_strings` says.
/// Without zero bytes, which no text of the database holds.
fn text(value: &str) -> String {
    let escaped = value.replace('\0', "").replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Filter, Severity, Source};

    #[test]
    fn only_what_is_asked_for_is_read() {
        let scope = Scope {
            from: Timestamp::from_secs(0),
            to: Timestamp::from_secs(60),
            project: None,
            filter: Filter::default(),
            columns: Columns::default(),
        };
        let sql = copy(&scope, false);
        assert!(sql.contains("select m.received_at, m.seq, m.\"timestamp\" from"), "{sql}");
        assert!(sql.contains("timestamptz '1970-01-01T00:01:00.000000Z'"), "{sql}");
        assert!(!sql.contains("order by") && !sql.contains("m.source"), "{sql}");
        let whole = Scope {
            project: Some(Uuid::nil()),
            filter: Filter {
                sources: vec![Source::Worker],
                error_types: vec![
                    TypePattern::parse("execution"),
                    TypePattern::parse("input.schema"),
                ],
                severities: vec![Severity::High],
                workflow_ids: vec![Uuid::nil()],
                message_contains: None,
            },
            columns: Columns { fingerprint: true, ..Columns::default() },
            ..scope
        };
        let sql = copy(&whole, true);
        for part in [
            "m.fingerprint from",
            "m.source in (E'worker')",
            "(split_part(m.error_type, '.', 1) = E'execution' or m.error_type = E'input.schema')",
            "m.severity in (E'high')",
            "m.workflow_id in (uuid '00000000-0000-0000-0000-000000000000')",
            "order by m.received_at, m.seq)",
        ] {
            assert!(sql.contains(part), "{part}: {sql}");
        }
    }

    #[test]
    fn no_text_ends_its_literal() {
        assert_eq!(text("it's"), "E'it''s'");
        assert_eq!(text("a\\' or true --"), "E'a\\\\'' or true --'");
        assert_eq!(text("a\0b"), "E'ab'");
    }

    #[test]
    fn an_instant_beyond_the_calendar_is_its_end() {
        assert_eq!(
            instant(Timestamp::from_micros(i64::MAX)),
            "timestamptz '9999-12-31T23:59:59.999999Z'"
        );
        assert_eq!(
            instant(Timestamp::from_micros(i64::MIN)),
            "timestamptz '0001-01-01T00:00:00.000000Z'"
        );
    }
}
