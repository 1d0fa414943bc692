//! Checks a channel's `postgres_changes` entries against the database, with the real server's
//! sentences for what it refuses.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgDatabaseError};

use super::{
    filter::{Filter, MAX_IN_VALUES, Op},
    hub::Subscription,
    params::ChangeParams,
};

/// Why a channel could not be subscribed; the text is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The parameters are wrong: said once, never tried again.
    Final(String),
    /// The database could not be asked: said, and tried again.
    Retry(String),
}

const PUBLISHED: &str = include_str!("sql/published_tables.sql");
const COLUMNS: &str = include_str!("sql/column_types_for_role.sql");

/// Resolves all entries, or none: one bad entry refuses its whole channel.
///
/// # Errors
/// The first [`Refusal`].
pub async fn resolve(
    pool: &PgPool,
    publication: &str,
    entries: &[Value],
    role: &str,
) -> Result<Vec<Subscription>, Refusal> {
    let params = entries.iter().map(ChangeParams::parse).collect::<Result<Vec<_>, _>>();
    let mut resolved = Vec::new();
    for params in params.map_err(Refusal::Final)? {
        let tables = match resolve_one(pool, publication, &params, role).await {
            Ok(tables) => tables,
            Err(Failure::Exception(exception)) => {
                return Err(Refusal::Final(format!(
                    "Unable to subscribe to changes with given parameters. An exception happened \
                     so please check your connect parameters: [{}]. Exception: {exception}",
                    params.log()
                )));
            }
            Err(Failure::Connection(error)) => {
                tracing::warn!(%error, "a subscription could not be checked");
                return Err(Refusal::Retry("Unable to connect to the project database".into()));
            }
        };
        if tables.is_empty() {
            return Err(Refusal::Final(format!(
                "Unable to subscribe to changes with given parameters. Please check Realtime is \
                 enabled for the given connect parameters: [{}]",
                params.log()
            )));
        }
        resolved.push(Subscription { params, tables });
    }
    Ok(resolved)
}

enum Failure {
    /// What the real server's database would raise.
    Exception(String),
    Connection(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let database =
            error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>());
        match database {
            Some(e) => Self::Exception(exception(e.code(), e.message())),
            None => Self::Connection(error),
        }
    }
}

async fn resolve_one(
    pool: &PgPool,
    publication: &str,
    params: &ChangeParams,
    role: &str,
) -> Result<Vec<u32>, Failure> {
    let tables: Vec<i64> = sqlx::query_scalar(PUBLISHED)
        .bind(publication)
        .bind(&params.schema)
        .bind(&params.table)
        .fetch_all(pool)
        .await?;
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let known: bool =
        sqlx::query_scalar("select exists (select 1 from pg_catalog.pg_roles where rolname = $1)")
            .bind(role)
            .fetch_one(pool)
            .await?;
    if !known {
        let message = format!("role {role:?} does not exist");
        return Err(Failure::Exception(exception("42704", &message)));
    }
    let raise = |message: String| Failure::Exception(exception("P0001", &message));
    for table in &tables {
        let rows = sqlx::query(COLUMNS).bind(table).bind(role).fetch_all(pool).await?;
        let columns = rows
            .iter()
            .map(|row| Ok((row.try_get("name")?, row.try_get("sql_name")?)))
            .collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
        for filter in &params.filters {
            let found = columns.iter().find(|(name, _)| *name == filter.column);
            let (_, kind) = found
                .ok_or_else(|| raise(format!("invalid column for filter {}", filter.column)))?;
            check_value(pool, filter, kind).await?;
        }
        for name in params.select.iter().flatten() {
            if !columns.iter().any(|(known, _)| known == name) {
                return Err(raise(format!("invalid column for select {name}")));
            }
        }
    }
    Ok(tables.into_iter().filter_map(|oid| u32::try_from(oid).ok()).collect())
}

/// A value that its column's type cannot hold is refused at once and not at the first change.
async fn check_value(pool: &PgPool, filter: &Filter, kind: &str) -> Result<(), Failure> {
    let sql = match filter.op {
        Op::In => format!(
            "select coalesce(cardinality($1::text::{kind}[]), 0) > {MAX_IN_VALUES} as too_many"
        ),
        Op::Like | Op::Ilike | Op::Match | Op::Imatch | Op::Is => return Ok(()),
        _ => format!("select $1::text::{kind} is null and false as too_many"),
    };
    let too_many: bool =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(&filter.value).fetch_one(pool).await?;
    if too_many {
        let message = format!("too many values for `in` filter. Maximum {MAX_IN_VALUES}");
        return Err(Failure::Exception(exception("P0001", &message)));
    }
    Ok(())
}

/// Prints a database error the way the real server's driver does.
fn exception(code: &str, message: &str) -> String {
    let name = match code {
        "P0001" => "raise_exception",
        "42704" => "undefined_object",
        "42501" => "insufficient_privilege",
        "22P02" => "invalid_text_representation",
        "22003" => "numeric_value_out_of_range",
        "22007" => "invalid_datetime_format",
        "22008" => "datetime_field_overflow",
        "42883" => "undefined_function",
        _ => "internal_error",
    };
    format!("ERROR {code} ({name}) {message}")
}
