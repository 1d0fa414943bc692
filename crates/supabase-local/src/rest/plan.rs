//! From a request and the schema cache to one statement and how to answer with its result.

use super::{
    cache::{Cache, Table},
    error::ApiError,
    function,
    hint::{NAMES, nearest},
    payload::{Format, Payload},
    prefer::{Confirm, Return},
    query::{Logic, Operation},
    range::Range,
    request::{Action, ApiRequest, Target},
    sql::{Arguments, Conflict, Node, Returning, Root, Shape, Wrap, call, delete, insert, update},
};

/// What does not change from request to request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub max_rows: Option<u64>,
    pub safe_update: bool,
}

/// A statement to run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub sql: String,
    pub read_only: bool,
    pub kind: Confirm,
    /// A function that returns nothing answers 204.
    pub void: bool,
}

/// Plans any request.
pub(super) fn plan(request: &ApiRequest, cache: &Cache, limits: Limits) -> Result<Plan, ApiError> {
    let plan = match &request.target {
        Target::Function(name) => plan_call(request, cache, limits, name)?,
        Target::Table(name) => {
            let table = cache.table(&request.schema, name).ok_or_else(|| {
                let names = cache.tables.keys().filter(|(schema, _)| *schema == request.schema);
                let near = nearest(name, names.map(|(_, name)| name.as_str()), NAMES);
                ApiError::table_not_found(&request.schema, name, near.map(str::to_owned))
            })?;
            match request.action {
                Action::Insert => plan_insert(request, cache, table)?,
                Action::Update | Action::Delete => plan_change(request, cache, limits, table)?,
                Action::Upsert => return Err(refuse_put(request, table)),
                Action::Read | Action::Call { .. } => plan_read(request, cache, limits, table)?,
            }
        }
    };
    let preferences = &request.preferences;
    if preferences.is_strict() && !preferences.invalid.is_empty() {
        return Err(ApiError::new(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
        )
        .details(format!("Invalid preferences: {}", preferences.invalid.join(", "))));
    }
    Ok(plan)
}

fn plan_read(
    request: &ApiRequest,
    cache: &Cache,
    limits: Limits,
    table: &Table,
) -> Result<Plan, ApiError> {
    let node = Node::plan(&Root {
        cache,
        query: &request.query,
        schema: &table.schema,
        name: &table.name,
        table: Some(table),
        from_source: false,
        filtered: true,
        range: request.range,
        max_rows: limits.max_rows,
    })?;
    let count = counted(request).then(|| node.count()).transpose()?;
    let sql = Wrap {
        source: &node.select()?,
        count: count.as_deref(),
        select: "select * from pgrst_source",
        media: request.media,
        shape: Shape::Rows,
        with_body: !request.head,
        location: None,
    }
    .sql();
    Ok(Plan { sql, read_only: true, kind: Confirm::Read, void: false })
}

/// Planned and estimated counts are exact here, which is what an estimate would like to be.
fn counted(request: &ApiRequest) -> bool {
    request.preferences.count.is_some()
}

fn plan_insert(request: &ApiRequest, cache: &Cache, table: &Table) -> Result<Plan, ApiError> {
    let payload = payload(request)?;
    let written = Written::plan(request, cache, table)?;
    let conflict = request.preferences.resolution.map(|resolution| Conflict {
        resolution,
        columns: request.query.on_conflict.clone().unwrap_or_else(|| table.primary_key.clone()),
    });
    let defaults = request.preferences.missing_default == Some(true);
    let source = insert(table, &payload, defaults, conflict.as_ref(), &written.returning)?;
    let headers_only = request.preferences.returning == Some(Return::HeadersOnly);
    let location = headers_only.then_some(table.primary_key.as_slice());
    written.finish(request, &source, location, Confirm::Insert)
}

fn plan_change(
    request: &ApiRequest,
    cache: &Cache,
    limits: Limits,
    table: &Table,
) -> Result<Plan, ApiError> {
    if request.query.ranges.contains_key(&Vec::new()) {
        return Err(ApiError::unsupported("limit or offset on PATCH and DELETE"));
    }
    let filters = request.query.root_filters();
    let deleting = request.action == Action::Delete;
    if limits.safe_update && filters.is_empty() {
        let verb = if deleting { "DELETE" } else { "UPDATE" };
        return Err(ApiError::new(400, "21000", format!("{verb} requires a WHERE clause")));
    }
    let written = Written::plan(request, cache, table)?;
    if deleting {
        let source = delete(table, &filters, &written.returning)?;
        return written.finish(request, &source, None, Confirm::Delete);
    }
    let payload = payload(request)?;
    let defaults = request.preferences.missing_default == Some(true);
    let source = update(table, &payload, defaults, &filters, &written.returning)?;
    written.finish(request, &source, None, Confirm::Update)
}

/// What a write sends back.
struct Written {
    returning: Returning,
    select: String,
    with_body: bool,
}

impl Written {
    fn plan(request: &ApiRequest, cache: &Cache, table: &Table) -> Result<Self, ApiError> {
        match request.preferences.returning {
            Some(Return::Representation) => {
                let node = Node::plan(&Root {
                    cache,
                    query: &request.query,
                    schema: &table.schema,
                    name: &table.name,
                    table: Some(table),
                    from_source: true,
                    filtered: false,
                    range: Range::default(),
                    max_rows: None,
                })?;
                let returning = Returning::Columns(node.needed_columns());
                Ok(Self { returning, select: node.select()?, with_body: true })
            }
            other => {
                let returning = match other {
                    Some(Return::HeadersOnly) if request.action == Action::Insert => {
                        Returning::Columns(table.primary_key.clone())
                    }
                    _ => Returning::Nothing,
                };
                let select = "select * from pgrst_source".to_owned();
                Ok(Self { returning, select, with_body: false })
            }
        }
    }

    fn finish(
        &self,
        request: &ApiRequest,
        source: &str,
        location: Option<&[String]>,
        kind: Confirm,
    ) -> Result<Plan, ApiError> {
        let sql = Wrap {
            source,
            count: None,
            select: &self.select,
            media: request.media,
            shape: Shape::Rows,
            with_body: self.with_body,
            location,
        }
        .sql();
        Ok(Plan { sql, read_only: false, kind, void: false })
    }
}

fn payload(request: &ApiRequest) -> Result<Payload, ApiError> {
    let format = request.format.unwrap_or(Format::Json);
    Payload::parse(format, &request.body, request.query.columns.as_deref())
}

/// A PUT must name exactly one row by its key; the local server serves none that does.
fn refuse_put(request: &ApiRequest, table: &Table) -> ApiError {
    let mut named: Vec<&str> = Vec::new();
    let filters = request.query.root_filters();
    for filter in &filters {
        if let Logic::Filter(filter) = filter
            && !filter.test.negate
            && matches!(filter.test.operation, Operation::Compare { operator: "=", .. })
        {
            named.push(&filter.field.name);
        }
    }
    named.sort_unstable();
    let mut key: Vec<&str> = table.primary_key.iter().map(String::as_str).collect();
    key.sort_unstable();
    if named == key && filters.len() == key.len() && !key.is_empty() {
        ApiError::unsupported("PUT")
    } else {
        ApiError::new(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )
    }
}

fn plan_call(
    request: &ApiRequest,
    cache: &Cache,
    limits: Limits,
    name: &str,
) -> Result<Plan, ApiError> {
    let by_get = request.action == Action::Call { by_get: true };
    let payload = if by_get {
        Payload::from_pairs(request.query.arguments.iter().cloned())
    } else if request.body.is_empty() {
        Payload::from_pairs(std::iter::empty())
    } else {
        match request.format {
            Some(Format::Csv) => return Err(ApiError::unsupported("calling a function with CSV")),
            _ => payload(request)?,
        }
    };
    let format = if by_get { None } else { request.format };
    let (function, whole) = function::find(cache, &request.schema, name, &payload.keys, format)?;
    let arguments = match function.parameters.first() {
        Some(only) if whole => {
            let body = std::str::from_utf8(&request.body)
                .map_err(|_| ApiError::invalid_body("Empty or invalid json"))?;
            Arguments::Whole(body, only)
        }
        _ => {
            let given = |name: &String| payload.keys.contains(name);
            let parameters = function.parameters.iter().filter(|p| given(&p.name)).collect();
            Arguments::Named(&payload, parameters)
        }
    };
    let table = function.table.as_ref().and_then(|name| cache.tables.get(name));
    let (schema, name) = function
        .table
        .as_ref()
        .map_or((function.schema.as_str(), function.name.as_str()), |(s, n)| (s, n));
    let node = Node::plan(&Root {
        cache,
        query: &request.query,
        schema,
        name,
        table,
        from_source: true,
        filtered: true,
        range: request.range,
        max_rows: limits.max_rows,
    })?;
    let shape = match (function.returns_scalar(), function.returns_set) {
        (true, true) => Shape::Values,
        (true, false) => Shape::Value,
        (false, true) => Shape::Rows,
        (false, false) => Shape::Row,
    };
    let count = counted(request).then(|| node.count()).transpose()?;
    let sql = Wrap {
        source: &call(function, &arguments),
        count: count.as_deref(),
        select: &node.select()?,
        media: request.media,
        shape,
        with_body: !request.head,
        location: None,
    }
    .sql();
    let read_only = by_get || !function.volatile;
    Ok(Plan { sql, read_only, kind: Confirm::Call, void: function.returns_void })
}
