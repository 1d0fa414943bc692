//! Reads the cache from the database.

use sqlx::{PgPool, Row, postgres::PgRow, types::Json};

use super::{Cache, Function, Name, Table, relation};

const TABLES: &str = include_str!("../../../sql/rest_tables.sql");
const FOREIGN_KEYS: &str = include_str!("../../../sql/rest_foreign_keys.sql");
const FUNCTIONS: &str = include_str!("../../../sql/rest_functions.sql");

/// Reads everything that these schemas serve, as of one snapshot.
pub(super) async fn load(pool: &PgPool, schemas: &[String]) -> Result<Cache, sqlx::Error> {
    let mut transaction =
        pool.begin_with("begin isolation level repeatable read read only").await?;
    let tables =
        sqlx::query(TABLES).bind(schemas).persistent(false).fetch_all(&mut *transaction).await?;
    let keys = sqlx::query(FOREIGN_KEYS)
        .bind(schemas)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let functions =
        sqlx::query(FUNCTIONS).bind(schemas).persistent(false).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;

    let mut cache = Cache::default();
    for row in &tables {
        let table = table(row)?;
        cache.tables.insert((table.schema.clone(), table.name.clone()), table);
    }
    let keys = keys.iter().map(foreign_key).collect::<Result<Vec<_>, _>>()?;
    cache.relations = relation::derive(&cache, &keys);
    for row in &functions {
        let function = function(row)?;
        let name = (function.schema.clone(), function.name.clone());
        cache.functions.entry(name).or_default().push(function);
    }
    Ok(cache)
}

fn list(row: &PgRow, column: &str) -> Result<Vec<String>, sqlx::Error> {
    row.try_get::<Json<Vec<String>>, _>(column).map(|list| list.0)
}

fn name(row: &PgRow, schema: &str, name: &str) -> Result<Name, sqlx::Error> {
    Ok((row.try_get(schema)?, row.try_get(name)?))
}

fn table(row: &PgRow) -> Result<Table, sqlx::Error> {
    Ok(Table {
        schema: row.try_get("schema")?,
        name: row.try_get("name")?,
        view: row.try_get("view")?,
        columns: row.try_get::<Json<_>, _>("columns")?.0,
        primary_key: list(row, "primary_key")?,
    })
}

fn foreign_key(row: &PgRow) -> Result<relation::ForeignKey, sqlx::Error> {
    Ok(relation::ForeignKey {
        constraint: row.try_get("constraint")?,
        from: name(row, "from_schema", "from_table")?,
        from_columns: list(row, "from_columns")?,
        to: name(row, "to_schema", "to_table")?,
        to_columns: list(row, "to_columns")?,
        unique: row.try_get("unique")?,
    })
}

fn function(row: &PgRow) -> Result<Function, sqlx::Error> {
    let table: Option<String> = row.try_get("table_name")?;
    let table_schema: Option<String> = row.try_get("table_schema")?;
    Ok(Function {
        schema: row.try_get("schema")?,
        name: row.try_get("name")?,
        volatile: row.try_get("volatile")?,
        parameters: row.try_get::<Json<_>, _>("parameters")?.0,
        returns_set: row.try_get("returns_set")?,
        returns_void: row.try_get("returns_void")?,
        returns_composite: row.try_get("returns_composite")?,
        table: table_schema.zip(table),
    })
}
