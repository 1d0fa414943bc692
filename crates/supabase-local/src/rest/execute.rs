//! Running one statement as somebody.

use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgRow};

use super::{
    database_error::database_error,
    error::ApiError,
    media::Media,
    plan::Plan,
    prefer::Confirm,
    quote::{literal, name},
    request::{ApiRequest, Context},
};

/// As whom a request is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub role: String,
    /// The claims as JSON text.
    pub claims: String,
    /// Not the anonymous role.
    pub signed_in: bool,
}

/// What the statement answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub total: Option<i64>,
    pub page: i64,
    pub body: String,
    pub location: Option<String>,
    pub headers: Option<String>,
    pub status: Option<String>,
    pub inserted: Option<i64>,
}

/// Why a plan was not carried out.
enum Failure {
    Database(sqlx::Error),
    /// The statement ran, and its result is not what the request allows.
    Refused(ApiError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Runs a plan in a transaction of its own, which is undone when the answer is an error.
pub(super) async fn execute(
    pool: &PgPool,
    request: &ApiRequest,
    identity: &Identity,
    plan: &Plan,
) -> Result<Outcome, ApiError> {
    match run(pool, request, identity, plan).await {
        Ok(outcome) => Ok(outcome),
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Database(error)) => Err(database_error(error, identity.signed_in, pool).await),
    }
}

async fn run(
    pool: &PgPool,
    request: &ApiRequest,
    identity: &Identity,
    plan: &Plan,
) -> Result<Outcome, Failure> {
    let begin = if plan.read_only { "begin read only" } else { "begin" };
    let mut transaction = pool.begin_with(begin).await?;
    // Settings and statement go together: PostgreSQL runs them one after the other, so that rights
    // are checked for the role that the first has set.
    let sql = format!("{}; {}", settings(request, identity), plan.sql);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
    let outcome = outcome(rows.last().ok_or(sqlx::Error::RowNotFound)?)?;
    check(request, plan, &outcome).map_err(Failure::Refused)?;
    transaction.commit().await?;
    Ok(outcome)
}

/// What must hold for the transaction to stay.
fn check(request: &ApiRequest, plan: &Plan, outcome: &Outcome) -> Result<(), ApiError> {
    if matches!(request.media, Media::Object { .. }) && outcome.page != 1 && !plan.void {
        return Err(ApiError::not_singular(outcome.page));
    }
    let limited = matches!(plan.kind, Confirm::Update | Confirm::Delete);
    if let (true, true, Some(most)) =
        (limited, request.preferences.is_strict(), request.preferences.max_affected)
        && outcome.page > most
    {
        let message = "Query result exceeds max-affected preference constraint";
        return Err(ApiError::new(400, "PGRST124", message)
            .details(format!("The query affects {} rows", outcome.page)));
    }
    Ok(())
}

/// The role, the claims and what functions can read about the request, for this transaction only.
fn settings(request: &ApiRequest, identity: &Identity) -> String {
    let Context { method, path, headers, cookies } = &request.context;
    let search_path = [request.schema.as_str(), "public", "extensions"].map(name).join(", ");
    let headers = serde_json::Value::Object(headers.clone()).to_string();
    let cookies = serde_json::Value::Object(cookies.clone()).to_string();
    let list: Vec<String> = [
        ("search_path", search_path.as_str()),
        ("role", identity.role.as_str()),
        ("request.jwt.claims", identity.claims.as_str()),
        ("request.method", method.as_str()),
        ("request.path", path.as_str()),
        ("request.headers", headers.as_str()),
        ("request.cookies", cookies.as_str()),
    ]
    .into_iter()
    .map(|(setting, value)| format!("set_config({}, {}, true)", literal(setting), literal(value)))
    .collect();
    format!("select {}", list.join(", "))
}

fn outcome(row: &PgRow) -> Result<Outcome, sqlx::Error> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let number = |column: &str| Ok::<_, sqlx::Error>(text(column)?.and_then(|t| t.parse().ok()));
    Ok(Outcome {
        total: number("total")?,
        page: number("page")?.unwrap_or(0),
        body: text("body")?.unwrap_or_default(),
        location: text("location")?,
        headers: text("headers")?,
        status: text("status")?,
        inserted: number("inserted")?,
    })
}
