//! The `data` object of a change frame.

use std::fmt::Write;

use serde_json::Value;

use super::{
    catalog::{Access, Table},
    deliver::Change,
    params::Action,
    pgoutput::{Cell, Row},
};

/// Rows above this many bytes are cut down, as with the server's `poll_max_record_bytes`.
pub const MAX_RECORD_BYTES: usize = 1_048_576;
/// What is left of a row that is too large: values up to this many bytes.
const SMALL_VALUE_BYTES: usize = 64;

/// What is wrong with a change, as its `errors` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The role may not select the primary key.
    Unauthorized,
    /// The table has none.
    NoPrimaryKey,
    /// The row is over [`MAX_RECORD_BYTES`].
    TooLarge,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Self::Unauthorized => "Error 401: Unauthorized",
            Self::NoPrimaryKey => "Error 400: Bad Request, no primary key",
            Self::TooLarge => "Error 413: Payload Too Large",
        }
    }
}

/// Whether the change's values are over the limit.
#[must_use]
pub fn is_too_large(change: &Change) -> bool {
    let cells = change.old.iter().chain(&change.new).flatten();
    let size = |cell: &Cell| if let Cell::Text(text) = cell { text.len() } else { 4 };
    cells.map(size).sum::<usize>() > MAX_RECORD_BYTES
}

/// Writes the `data` object for one role and one selection of columns.
#[must_use]
pub fn data(
    change: &Change,
    access: &Access,
    select: Option<&[String]>,
    problem: Option<Problem>,
) -> String {
    let table = &change.table;
    let relation = &table.relation;
    let head = format!(
        r#""schema":{},"table":{},"type":"{}""#,
        quote(&relation.schema),
        quote(&relation.table),
        change.action.name(),
    );
    let errors = problem.map_or_else(|| "null".into(), |p| format!("[{}]", quote(p.text())));
    if matches!(problem, Some(Problem::Unauthorized | Problem::NoPrimaryKey)) {
        let old = if change.action == Action::Insert { "" } else { r#","old_record":{}"# };
        return format!(
            r#"{{{head},"columns":[],"record":{{}},"commit_timestamp":null,"errors":{errors}{old}}}"#
        );
    }
    let shown: Vec<usize> = (0..relation.columns.len())
        .filter(|at| {
            let Some(column) = relation.columns.get(*at) else { return false };
            let chosen = select.is_none_or(|names| names.contains(&column.name));
            access.columns.contains(&column.name) && (chosen || table.key.contains(at))
        })
        .collect();
    let small = problem == Some(Problem::TooLarge);
    let mut out = format!(
        r#"{{{head},"columns":{},"commit_timestamp":{},"errors":{errors}"#,
        columns(table, &shown),
        quote(&change.committed_at),
    );
    if let Some(new) = &change.new {
        let record = object(table, &shown, new, change.old.as_ref(), small);
        // Writing to a String cannot fail.
        let _ = write!(out, r#","record":{record}"#);
    }
    if change.action != Action::Insert {
        let old = change.old.as_ref().or(change.new.as_ref());
        // With row security, or without the full old row, the old record is the key alone.
        let whole = relation.identity == b'f' && !access.row_security && change.old.is_some();
        let of_old: Vec<usize> =
            shown.iter().copied().filter(|at| whole || table.key.contains(at)).collect();
        let record =
            old.map_or_else(|| "{}".into(), |old| object(table, &of_old, old, None, small));
        let _ = write!(out, r#","old_record":{record}"#);
    }
    out.push('}');
    out
}

fn columns(table: &Table, shown: &[usize]) -> String {
    let described = shown.iter().filter_map(|at| {
        let (column, kind) = (table.relation.columns.get(*at)?, table.columns.get(*at)?);
        Some(format!(r#"{{"name":{},"type":{}}}"#, quote(&column.name), quote(&kind.name)))
    });
    format!("[{}]", described.collect::<Vec<_>>().join(","))
}

/// Writes a row as an object. A value the log left out because an update did not touch it comes
/// from the old row, or is left out here too.
fn object(
    table: &Table,
    shown: &[usize],
    row: &Row,
    fallback: Option<&Row>,
    small_only: bool,
) -> String {
    let members = shown.iter().filter_map(|at| {
        let (column, kind) = (table.relation.columns.get(*at)?, table.columns.get(*at)?);
        let cell = match row.get(*at)? {
            Cell::Unchanged => fallback?.get(*at)?,
            cell => cell,
        };
        let json = match cell {
            Cell::Null => "null".to_owned(),
            Cell::Unchanged => return None,
            Cell::Text(text) => kind.kind.json(text),
        };
        let keep = !small_only || json.len() <= SMALL_VALUE_BYTES;
        keep.then(|| format!("{}:{json}", quote(&column.name)))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::realtime::{
        catalog::ColumnType,
        encode::Kind,
        pgoutput::{Column, Relation},
    };

    fn change(action: Action, old: Option<Row>, new: Option<Row>) -> Change {
        let column = |name: &str| Column { name: name.into(), type_oid: 0 };
        let relation = Relation {
            oid: 1,
            schema: "public".into(),
            table: "t".into(),
            identity: b'd',
            columns: vec![column("id"), column("body")],
        };
        let kind = |name: &str, kind| ColumnType { name: name.into(), sql_name: "".into(), kind };
        let columns = vec![kind("int8", Kind::Number), kind("text", Kind::Text)];
        let table = Table { relation: Arc::new(relation), columns, key: vec![0] };
        let committed_at = "2026-11-22T11:41:38.797Z".into();
        let table = Arc::new(table);
        Change { table, action, old, new, committed_at, transaction: 1, truncate: false }
    }

    fn text(value: &str) -> Cell {
        Cell::Text(value.into())
    }

    #[track_caller]
    fn check(change: &Change, select: Option<&[String]>, problem: Option<Problem>, want: &Value) {
        let access =
            Access { row_security: false, columns: vec!["id".to_owned(), "body".to_owned()] };
        let got: Value = serde_json::from_str(&data(change, &access, select, problem)).unwrap();
        for (key, want) in want.as_object().unwrap() {
            assert_eq!(got.get(key).unwrap_or(&json!("absent")), want, "{key}");
        }
    }

    #[test]
    fn each_verb_has_its_records() {
        let row = || vec![text("1"), text("x")];
        check(
            &change(Action::Insert, None, Some(row())),
            None,
            None,
            &json!({"record": {"id": 1, "body": "x"}, "old_record": "absent", "errors": null}),
        );
        check(
            &change(Action::Update, None, Some(row())),
            None,
            None,
            &json!({"record": {"id": 1, "body": "x"}, "old_record": {"id": 1}}),
        );
        check(
            &change(Action::Delete, Some(vec![text("1"), Cell::Null]), None),
            None,
            None,
            &json!({"record": "absent", "old_record": {"id": 1}}),
        );
        check(
            &change(Action::Update, None, Some(vec![text("1"), Cell::Unchanged])),
            None,
            None,
            &json!({"record": {"id": 1}}),
        );
    }

    #[test]
    fn problems_cut_the_record() {
        let row = vec![text("1"), text(&"x".repeat(100))];
        let insert = change(Action::Insert, None, Some(row));
        check(
            &insert,
            None,
            Some(Problem::TooLarge),
            &json!({"record": {"id": 1}, "errors": ["Error 413: Payload Too Large"]}),
        );
        check(
            &insert,
            None,
            Some(Problem::Unauthorized),
            &json!({"record": {}, "columns": [], "errors": ["Error 401: Unauthorized"]}),
        );
        let select = ["id".to_owned()];
        check(&insert, Some(&select), None, &json!({"record": {"id": 1}}));
    }
}
