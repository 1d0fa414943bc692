//! Inserting, updating and deleting; one statement for any number of rows.

use super::{
    super::{
        cache::{Column, Table},
        error::ApiError,
        payload::Payload,
        prefer::Resolution,
        query::{Filter, Logic},
        quote::{literal, name, qualified},
    },
    column, condition,
};

/// What a write returns to the outer statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Returning {
    /// Only that a row was written, which needs no right to read.
    Nothing,
    Columns(Vec<String>),
}

/// What to do with rows that exist.
#[derive(Clone, Debug)]
pub(in super::super) struct Conflict {
    pub resolution: Resolution,
    /// The columns of the constraint; none means that nothing can conflict.
    pub columns: Vec<String>,
}

/// `insert … select … from json`.
pub(in super::super) fn insert(
    table: &Table,
    payload: &Payload,
    defaults: bool,
    conflict: Option<&Conflict>,
    returning: &Returning,
) -> Result<String, ApiError> {
    let columns = known(table, payload)?;
    let names = join(&columns, |column| name(&column.name));
    let target = qualified(&table.schema, &table.name);
    let list = if columns.is_empty() { String::new() } else { format!(" ({names})") };
    let values = join(&columns, |column| format!("pgrst_body.{}", name(&column.name)));
    let mut sql = format!(
        "insert into {target}{list} select {values} {}",
        read_payload(payload, &columns, defaults)
    );
    if let Some(conflict) = conflict.filter(|conflict| !conflict.columns.is_empty()) {
        let merge = conflict.resolution == Resolution::MergeDuplicates && !columns.is_empty();
        // A setting counts up for each row and down for each that turned into an update, because
        // reading a system column instead would need a right to select.
        if conflict.resolution == Resolution::MergeDuplicates {
            sql.push_str(&format!(" where {}", count_inserted("+ 1", "0")));
        }
        let on = conflict.columns.iter().map(|c| name(c)).collect::<Vec<_>>().join(", ");
        sql.push_str(&format!(" on conflict ({on})"));
        if merge {
            let set = join(&columns, |c| format!("{0} = excluded.{0}", name(&c.name)));
            sql.push_str(&format!(" do update set {set} where {}", count_inserted("- 1", "-1")));
        } else {
            sql.push_str(" do nothing");
        }
    }
    sql.push_str(&returned(&target, returning));
    Ok(sql)
}

/// `update … from json`.
pub(in super::super) fn update(
    table: &Table,
    payload: &Payload,
    defaults: bool,
    filters: &[&Logic],
    returning: &Returning,
) -> Result<String, ApiError> {
    let columns = known(table, payload)?;
    let target = qualified(&table.schema, &table.name);
    if columns.is_empty() {
        // Nothing to set is no statement in SQL; this one has the right columns and no rows.
        let list = match returning {
            Returning::Nothing => "null".to_owned(),
            Returning::Columns(columns) => list(&target, columns),
        };
        return Ok(format!("select {list} from {target} where false"));
    }
    let set = join(&columns, |c| format!("{0} = pgrst_body.{0}", name(&c.name)));
    Ok(format!(
        "update {target} set {set} {}{}{}",
        read_payload(payload, &columns, defaults),
        conditions(table, &target, filters)?,
        returned(&target, returning)
    ))
}

/// `delete`.
pub(in super::super) fn delete(
    table: &Table,
    filters: &[&Logic],
    returning: &Returning,
) -> Result<String, ApiError> {
    let target = qualified(&table.schema, &table.name);
    Ok(format!(
        "delete from {target}{}{}",
        conditions(table, &target, filters)?,
        returned(&target, returning)
    ))
}

/// The columns that the payload names, in its keys' order.
fn known<'a>(table: &'a Table, payload: &Payload) -> Result<Vec<&'a Column>, ApiError> {
    payload
        .keys
        .iter()
        .map(|key| table.column(key).ok_or_else(|| ApiError::column_not_found(&table.name, key)))
        .collect()
}

/// `from` a payload whose rows have the types of these columns.
fn read_payload(payload: &Payload, columns: &[&Column], defaults: bool) -> String {
    let typed: Vec<(&str, &str)> =
        columns.iter().map(|c| (c.name.as_str(), c.type_name.as_str())).collect();
    if !defaults {
        return super::call::read_json(payload, &typed, false);
    }
    let with_default = columns.iter().filter_map(|column| {
        // The expression comes from the catalogue, where the table's owner wrote it.
        let default = column.default.as_ref()?;
        Some(format!("{}, {default}", literal(&column.name)))
    });
    let defaults = format!("jsonb_build_object({})", with_default.collect::<Vec<_>>().join(", "));
    let merged = if payload.single {
        format!("select {defaults} || pgrst_payload.json_data as val")
    } else {
        format!(
            "select coalesce(jsonb_agg({defaults} || elem), '[]') as val \
             from jsonb_array_elements(pgrst_payload.json_data) elem"
        )
    };
    let rows =
        super::call::json_rows("jsonb", "pgrst_json_defs.val", payload.single, &typed, false);
    format!(
        "from (select {}::jsonb as json_data) pgrst_payload, lateral ({merged}) pgrst_json_defs, \
         lateral ({rows}) pgrst_body",
        literal(&payload.json)
    )
}

fn conditions(table: &Table, target: &str, filters: &[&Logic]) -> Result<String, ApiError> {
    let mut leaf = |filter: &Filter| {
        let field = condition::field(target, Some(table), &filter.field);
        Ok::<_, ApiError>(condition::test(&field, &filter.test))
    };
    let mut all = Vec::new();
    for filter in filters {
        all.push(condition::logic(filter, &mut leaf)?);
    }
    Ok(if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) })
}

fn count_inserted(step: &str, never: &str) -> String {
    format!(
        "set_config('pgrst.inserted', (coalesce(nullif(current_setting('pgrst.inserted', true), \
         '')::int, 0) {step})::text, true) <> '{never}'"
    )
}

fn returned(target: &str, returning: &Returning) -> String {
    match returning {
        Returning::Columns(columns) if !columns.is_empty() => {
            format!(" returning {}", list(target, columns))
        }
        _ => " returning 1".to_owned(),
    }
}

fn list(target: &str, columns: &[String]) -> String {
    columns.iter().map(|c| column(target, c)).collect::<Vec<_>>().join(", ")
}

fn join(columns: &[&Column], write: impl Fn(&Column) -> String) -> String {
    columns.iter().map(|column| write(column)).collect::<Vec<_>>().join(", ")
}
