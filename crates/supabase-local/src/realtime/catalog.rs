//! What the delivery of changes must know from the system catalogs: keys, types, privileges.

use std::{collections::HashMap, sync::Arc};

use sqlx::{AssertSqlSafe, PgPool, Row};

use super::{encode::Kind, pgoutput};

/// A table whose changes are being delivered.
#[derive(Debug)]
pub struct Table {
    /// As the log described it.
    pub relation: Arc<pgoutput::Relation>,
    /// One for each column of the relation.
    pub columns: Vec<ColumnType>,
    /// Positions of the primary key's columns.
    pub key: Vec<usize>,
}

/// How a column's values are cast and written.
#[derive(Clone, Debug)]
pub struct ColumnType {
    /// `pg_type.typname`, as change frames name it.
    pub name: String,
    /// The quoted, schema-qualified name for casts.
    pub sql_name: String,
    /// How its values become JSON.
    pub kind: Kind,
}

/// What a role may see of a table at this moment.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Row security is enabled on the table.
    pub row_security: bool,
    /// Names of the columns the role may select.
    pub columns: Vec<String>,
}

const TYPES: &str = include_str!("sql/types_by_oid.sql");
const KEY: &str = include_str!("sql/primary_key_columns.sql");
const ACCESS: &str = include_str!("sql/role_access.sql");

/// Looks up the key and the types of a relation.
///
/// # Errors
/// When the database cannot be asked.
pub async fn describe(
    pool: &PgPool,
    relation: Arc<pgoutput::Relation>,
) -> Result<Table, sqlx::Error> {
    let key: Vec<String> = sqlx::query_scalar(KEY).bind(oid(relation.oid)).fetch_all(pool).await?;
    let oids: Vec<i64> = relation.columns.iter().map(|c| oid(c.type_oid)).collect();
    let rows = sqlx::query(TYPES).bind(&oids).fetch_all(pool).await?;
    let mut types = HashMap::new();
    for row in rows {
        let base: i64 = row.try_get("base_oid")?;
        let element: Option<i64> = row.try_get("element_oid")?;
        let kind = |oid: i64| Kind::of_base(u32::try_from(oid).unwrap_or_default());
        let delimiter: String = row.try_get("delimiter")?;
        let delimiter = delimiter.chars().next().unwrap_or(',');
        let described = ColumnType {
            name: row.try_get("name")?,
            sql_name: row.try_get("sql_name")?,
            kind: match element {
                Some(element) => Kind::Array(Box::new(kind(element)), delimiter),
                None => kind(base),
            },
        };
        types.insert(row.try_get::<i64, _>("oid")?, described);
    }
    // A type that has been dropped since the row was written can only be shown as text.
    let unknown =
        ColumnType { name: "unknown".into(), sql_name: "pg_catalog.text".into(), kind: Kind::Text };
    let columns = oids.iter().map(|oid| types.get(oid).unwrap_or(&unknown).clone()).collect();
    let position = |name: &String| relation.columns.iter().position(|c| c.name == *name);
    let key = key.iter().filter_map(position).collect();
    Ok(Table { relation, columns, key })
}

/// What `role` may see of a table now. A role that does not exist may see nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn access(pool: &PgPool, table: u32, role: &str) -> Result<Access, sqlx::Error> {
    let row = sqlx::query(ACCESS).bind(oid(table)).bind(role).fetch_optional(pool).await?;
    row.map_or_else(
        || Ok(Access::default()),
        |row| {
            Ok(Access {
                row_security: row.try_get("row_security")?,
                columns: row.try_get("columns")?,
            })
        },
    )
}

/// Which of the rows with these keys `role` sees under `claims`: indices into `keys`.
///
/// One query for all rows, in a transaction that takes the role exactly as PostgREST does.
///
/// # Errors
/// When the database refuses, for instance because a policy fails.
pub async fn visible(
    pool: &PgPool,
    table: &Table,
    role: &str,
    claims: &str,
    keys: &[Vec<&str>],
) -> Result<Vec<usize>, sqlx::Error> {
    let parts: Vec<(String, &str)> = table
        .key
        .iter()
        .filter_map(|at| Some((table.relation.columns.get(*at)?, table.columns.get(*at)?)))
        .map(|(column, kind)| (quote_ident(&column.name), kind.sql_name.as_str()))
        .collect();
    let arrays: Vec<String> = (1..=parts.len()).map(|n| format!("${n}::text[]")).collect();
    let names: Vec<String> = (1..=parts.len()).map(|n| format!("k{n}")).collect();
    let equal: Vec<String> = parts
        .iter()
        .zip(&names)
        .map(|((column, kind), name)| format!("t.{column} = k.{name}::{kind}"))
        .collect();
    let sql = format!(
        "select k.ord from unnest({}) with ordinality as k({}, ord) \
         where exists (select 1 from {}.{} t where {})",
        arrays.join(", "),
        names.join(", "),
        quote_ident(&table.relation.schema),
        quote_ident(&table.relation.table),
        equal.join(" and "),
    );
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), \
         set_config('statement_timeout', '5000', true)",
    )
    .bind(role)
    .bind(claims)
    .execute(&mut *transaction)
    .await?;
    let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql));
    for part in 0..parts.len() {
        let column: Vec<&str> =
            keys.iter().map(|key| key.get(part).copied().unwrap_or_default()).collect();
        query = query.bind(column);
    }
    let found = query.fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(found.into_iter().filter_map(|ord| usize::try_from(ord - 1).ok()).collect())
}

/// Binds an oid as bigint, which every oid fits.
#[must_use]
pub fn oid(oid: u32) -> i64 {
    i64::from(oid)
}

/// Quotes a name for SQL.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
