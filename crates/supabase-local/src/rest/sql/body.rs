//! The outer statement: counts, the body as text, and what functions set for the response.

use super::{super::media::Media, SOURCE};

/// What one row of the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Shape {
    /// Rows of a table.
    Rows,
    /// A function's single row.
    Row,
    /// A function's single value.
    Value,
    /// A function's values.
    Values,
}

/// The parts of a whole statement.
#[derive(Clone, Debug)]
pub(in super::super) struct Wrap<'a> {
    /// Fills the common table expression.
    pub source: &'a str,
    /// Its rows are the total.
    pub count: Option<&'a str>,
    /// Reads from the common table expression.
    pub select: &'a str,
    pub media: Media,
    pub shape: Shape,
    /// Whether there is a body at all.
    pub with_body: bool,
    /// Columns that locate a single inserted row.
    pub location: Option<&'a [String]>,
}

impl Wrap<'_> {
    /// One row with seven texts: total, rows, body, location, headers, status, inserted.
    pub(in super::super) fn sql(&self) -> String {
        let (counted, total) = match self.count {
            Some(count) => (
                format!(", pgrst_source_count as ({count})"),
                "(select pg_catalog.count(*) from pgrst_source_count)::text",
            ),
            None => (String::new(), "null::text"),
        };
        let body = if self.with_body { self.body() } else { "''".to_owned() };
        let location = self.location.map_or("null::text".to_owned(), location);
        format!(
            "with {SOURCE} as ({}){counted} select {total} as total, \
             pg_catalog.count(_postgrest_t)::text as page, ({body})::text as body, \
             {location} as location, {} as headers, {} as status, {} as inserted \
             from ({}) _postgrest_t",
            self.source,
            setting("response.headers"),
            setting("response.status"),
            setting("pgrst.inserted"),
            self.select,
        )
    }

    fn body(&self) -> String {
        let aggregate = match self.shape {
            Shape::Rows | Shape::Row => "json_agg(_postgrest_t)",
            Shape::Value | Shape::Values => "json_agg(_postgrest_t.pgrst_scalar)",
        };
        let strip = |strip: bool, sql: &str| {
            if strip { format!("json_strip_nulls({sql})") } else { sql.to_owned() }
        };
        match (self.media, self.shape) {
            (Media::Csv, _) => csv(),
            (Media::Object { strip_nulls }, _)
            | (Media::Json { strip_nulls }, Shape::Row | Shape::Value) => {
                format!("coalesce({}->0, 'null')", strip(strip_nulls, aggregate))
            }
            (Media::Json { strip_nulls }, Shape::Rows | Shape::Values) => {
                format!("coalesce({}, '[]')", strip(strip_nulls, aggregate))
            }
        }
    }
}

/// A header line from the first row's columns, and rows as PostgreSQL writes them.
fn csv() -> String {
    format!(
        "(select coalesce(string_agg(a.k, ','), '') from (select json_object_keys(r)::text as k \
         from (select row_to_json(hh) as r from {SOURCE} as hh limit 1) s) a) || E'\\n' || \
         coalesce(string_agg(substring(_postgrest_t::text, 2, length(_postgrest_t::text) - 2), E'\\n'), '')"
    )
}

/// The key columns of the one row that was inserted, as a JSON array of `[column, filter]`.
fn location(columns: &[String]) -> String {
    let names: Vec<_> = columns.iter().map(|c| super::super::quote::literal(c)).collect();
    format!(
        "case when pg_catalog.count(_postgrest_t) = 1 then \
         (select json_agg(json_build_array(j.key, coalesce('eq.' || j.value, 'is.null')))::text \
         from (select row_to_json(d) as r from {SOURCE} as d limit 1) one \
         cross join json_each_text(one.r) j where j.key in ({})) end",
        if names.is_empty() { "null".to_owned() } else { names.join(", ") }
    )
}

/// A setting that a function may have made; empty is as good as not made.
fn setting(name: &str) -> String {
    format!("nullif(current_setting('{name}', true), '')")
}
