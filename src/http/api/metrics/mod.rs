//! `GET /api/error-metrics`: error events newest first, or how many there were per minute, hour or day.
//! Nothing is read with the daemon's own rights: whatever is not the caller's to see is not there.
//! A query comes in, PostgREST's answers to the caller's own token go out as JSON or as a stream of CSV.

mod csv;
mod cursor;
mod pages;
mod series;
mod wanted;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{pages::EventRow, series::Series, wanted::Wanted};
use super::{ApiState, Caller, Problem, ProblemBody, QueryOf};
use crate::{model::Timestamp, rest::RestError};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_error_metrics))
}

/// The query as it stands in the address; [`Wanted`] is what it means.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// From this instant on, RFC 3339 with zone.
    #[param(format = DateTime, required = false, nullable = false)]
    from: Option<String>,
    /// Before this instant, RFC 3339 with zone.
    #[param(format = DateTime, required = false, nullable = false)]
    to: Option<String>,
    /// worker, webhook or system; several with commas.
    #[param(
        pattern = "^(worker|webhook|system)(,(worker|webhook|system))*$",
        required = false,
        nullable = false,
        example = "worker,webhook"
    )]
    source: Option<String>,
    /// A class, which stands for all of its details, or a whole type; several with commas.
    #[param(
        pattern = "^(system|execution|input)(\\.[a-z0-9_-]+)*(,(system|execution|input)(\\.[a-z0-9_-]+)*)*$",
        rename = "type",
        required = false,
        nullable = false,
        example = "execution,system.database"
    )]
    #[serde(rename = "type")]
    error_type: Option<String>,
    /// low, medium or high; several with commas.
    #[param(
        pattern = "^(low|medium|high)(,(low|medium|high))*$",
        required = false,
        nullable = false,
        example = "high"
    )]
    severity: Option<String>,
    /// The workflow's id; several with commas.
    #[param(
        pattern = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12})*$",
        required = false,
        nullable = false
    )]
    workflow: Option<String>,
    /// The project's id; several with commas.
    #[param(
        pattern = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12})*$",
        required = false,
        nullable = false
    )]
    project: Option<String>,
    /// The group's fingerprint; several with commas.
    #[param(
        pattern = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}(,[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12})*$",
        required = false,
        nullable = false
    )]
    fingerprint: Option<String>,
    /// What the message contains, without regard to case, in at most seven days: those before `to`, or
    /// before now, where `from` is missing.
    #[param(required = false, nullable = false, min_length = 1, max_length = 200)]
    text: Option<String>,
    /// At most so many events; 100 where absent. As CSV without a limit: all of them.
    #[param(value_type = Option<u32>, required = false, nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next_cursor` of the answer before.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
    /// minute, hour or day: how many events there were in each, instead of the events.
    #[param(pattern = "^(minute|hour|day)$", required = false, nullable = false, example = "hour")]
    group: Option<String>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorEvents)]
pub struct Page {
    /// Newest first, by timestamp.
    events: Vec<EventRow>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
    /// Where `text` was given without `from`: events from here on were looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    searched_from: Option<Timestamp>,
}

/// Either answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorMetrics)]
#[serde(untagged)]
pub enum Metrics {
    /// Without `group`.
    Events(Page),
    /// With `group`.
    Series(Series),
}

/// Read error events, or how many there were.
///
/// Newest first. What arrives meanwhile never moves what is on later pages: a cursor is a place
/// between two events and not a number of events to skip. As CSV (`Accept: text/csv`) all events that
/// match are streamed. With `group` the counts come from rollups, which are about a second behind,
/// and every minute, hour or day of the period is there, also those without errors. Together with
/// `text`, and with `fingerprint` per minute, the errors themselves are counted.
#[utoipa::path(
    get,
    path = "/api/error-metrics",
    tag = "errors",
    params(Asked),
    responses(
        (status = 200, description = "Events or counts, as JSON or CSV.", content((Metrics = "application/json"), (String = "text/csv"))),
        (status = 406, description = "Neither JSON nor CSV is accepted.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn read_error_metrics(
    caller: Caller,
    State(state): State<ApiState>,
    headers: HeaderMap,
    QueryOf(asked): QueryOf<Asked>,
) -> Result<Response, Problem> {
    let format = Format::of(&headers)?;
    let wanted = Wanted::read(&asked, state.clock.database_now())?;
    match (wanted.group, format) {
        (Some(unit), format) => {
            let series = series::read(&caller, &wanted, unit).await?;
            Ok(match format {
                Format::Json => Json(Metrics::Series(series)).into_response(),
                Format::Csv => as_csv("error-counts.csv", csv::series(&series).into_response()),
            })
        }
        (None, Format::Json) => {
            let limit = wanted.limit.unwrap_or(wanted::DEFAULT_LIMIT);
            let (events, next_cursor) =
                pages::read(&caller, &wanted, limit, wanted.cursor.as_ref()).await?;
            let next_cursor = next_cursor.map(|cursor| cursor.to_string());
            let searched_from = wanted.from.filter(|_| asked.from.is_none());
            let page = Page { events, next_cursor, searched_from };
            Ok(Json(Metrics::Events(page)).into_response())
        }
        (None, Format::Csv) => {
            // The first page is read before the answer begins, so that a refusal can still be told.
            let body = csv::events(caller, wanted).await?;
            Ok(as_csv("error-events.csv", body.into_response()))
        }
    }
}

/// What PostgREST said, or, where it was the time that ran out, what to ask for instead.
fn too_slow_or(error: RestError) -> Problem {
    if error.is_too_slow() {
        tracing::warn!(%error, "a query of the API took too long");
        return Problem::unavailable(
            "the database took longer over this than it may; ask for a shorter period, or only for some \
             projects, workflows or fingerprints",
        );
    }
    error.into()
}

fn as_csv(name: &'static str, mut response: Response) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    if let Ok(disposition) = disposition.parse() {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

impl Format {
    /// What the `Accept` header prefers (RFC 9110, 12.5.1); JSON where it does not say.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|range| !range.is_empty())
            .collect();
        if accept.is_empty() {
            return Ok(Self::Json);
        }
        let (json, csv) = (weight(&accept, "application", "json"), weight(&accept, "text", "csv"));
        match (json, csv) {
            (0, 0) => Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "there is application/json and text/csv, and the Accept header takes neither",
            )),
            (json, csv) if csv > json => Ok(Self::Csv),
            _ => Ok(Self::Json),
        }
    }
}

/// The weight in thousandths of the most specific range that covers a type.
fn weight(accept: &[&str], kind: &str, subtype: &str) -> u32 {
    let mut best = (0, 0);
    for range in accept {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specific = match name.split_once('/') {
            Some((a, b)) if a == kind && b == subtype => 3,
            Some((a, "*")) if a == kind => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let q = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
        // Between 0 and 1 by the standard; what is not is taken for the nearer end.
        let thousandths = (q.unwrap_or(1.0_f32).clamp(0.0, 1.0) * 1000.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000"
        )]
        let weight = thousandths as u32;
        if specific > best.0 {
            best = (specific, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_accept_prefers() {
        for (accept, expected) in [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; header=present", Some(Format::Csv)),
            ("text/csv;q=0.5, application/json", Some(Format::Json)),
            ("application/json;q=0.5, text/*", Some(Format::Csv)),
            ("text/html, */*;q=0.8", Some(Format::Json)),
            ("text/csv;q=0, */*", Some(Format::Json)),
            ("image/png", None),
            ("application/json;q=0", None),
        ] {
            let value = HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(Format::of(&headers).ok(), expected, "{accept:?}");
        }
    }
}
