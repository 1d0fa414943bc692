//! The response to a statement that succeeded.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use serde_json::Value;

use super::{
    error::ApiError,
    execute::Outcome,
    plan::Plan,
    prefer::{Confirm, Resolution, Return},
    range::{content_range, read_status},
    request::{ApiRequest, Target},
};

/// Builds the response.
pub(super) fn respond(
    request: &ApiRequest,
    plan: &Plan,
    outcome: Outcome,
) -> Result<Response, ApiError> {
    let mut answer = match plan.kind {
        Confirm::Read | Confirm::Call => read(request, plan, &outcome),
        Confirm::Insert => insert(request, &outcome),
        Confirm::Update | Confirm::Delete => change(request, plan.kind, &outcome),
    };
    if let Some(applied) = request.preferences.applied(plan.kind) {
        answer.header("preference-applied", &applied);
    }
    if answer.with_body {
        if !answer.headers.contains_key("content-type") {
            answer.header("content-type", request.media.content_type());
        }
        if request.profile_given {
            answer.header("content-profile", &request.schema);
        }
    }
    answer.override_by(&outcome)?;
    let body = match (answer.with_body && !request.head, answer.body) {
        (false, _) => String::new(),
        (true, Some(body)) => body,
        (true, None) => outcome.body,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = answer.headers;
    Ok(response)
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    with_body: bool,
    /// In place of the statement's.
    body: Option<String>,
}

impl Answer {
    fn new(status: u16, range: &str, with_body: bool) -> Self {
        let mut answer = Self { status, headers: HeaderMap::new(), with_body, body: None };
        answer.header("content-range", range);
        answer
    }

    fn header(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
    }

    /// Functions and triggers may set `response.status` and `response.headers`.
    fn override_by(&mut self, outcome: &Outcome) -> Result<(), ApiError> {
        if let Some(status) = &outcome.status {
            self.status = status
                .trim()
                .parse()
                .ok()
                .filter(|status| (100..600).contains(status))
                .ok_or_else(|| {
                ApiError::new(500, "PGRST112", "response.status guc must be a valid status code")
            })?;
        }
        let Some(headers) = &outcome.headers else { return Ok(()) };
        let bad = || {
            ApiError::new(
                500,
                "PGRST111",
                "response.headers guc must be a JSON array composed of objects with a single key and a string value",
            )
        };
        let list: Vec<serde_json::Map<String, Value>> =
            serde_json::from_str(headers).map_err(|_| bad())?;
        for entry in list {
            let mut pairs = entry.iter();
            let (Some((name, Value::String(value))), None) = (pairs.next(), pairs.next()) else {
                return Err(bad());
            };
            self.header(name, value);
        }
        Ok(())
    }
}

fn read(request: &ApiRequest, plan: &Plan, outcome: &Outcome) -> Answer {
    let offset = request.range.offset;
    let (status, range) = read_status(offset, outcome.page, outcome.total);
    if plan.void {
        return Answer::new(204, &range, false);
    }
    let mut answer = Answer::new(status, &range, true);
    if status == 416 {
        let total = outcome.total.unwrap_or(0);
        let error = ApiError::new(416, "PGRST103", "Requested range not satisfiable").details(
            format!("An offset of {offset} was requested, but there are only {total} rows."),
        );
        answer.body = Some(error.json());
        answer.header("content-type", "application/json; charset=utf-8");
    }
    if let (Confirm::Read, Target::Table(name)) = (plan.kind, &request.target) {
        let query = &request.query.canonical;
        let mark = if query.is_empty() { "" } else { "?" };
        answer.header("content-location", &format!("/{name}{mark}{query}"));
    }
    answer
}

fn insert(request: &ApiRequest, outcome: &Outcome) -> Answer {
    let preferences = &request.preferences;
    let merged = preferences.resolution == Some(Resolution::MergeDuplicates)
        && outcome.inserted.is_some_and(|inserted| inserted <= 0);
    let range = content_range(1, 0, preferences.count.as_ref().map(|_| outcome.page));
    let with_body = preferences.returning == Some(Return::Representation);
    let mut answer = Answer::new(if merged { 200 } else { 201 }, &range, with_body);
    if let (Target::Table(name), Some(pairs)) = (&request.target, location(outcome)) {
        answer.header("location", &format!("/{name}?{pairs}"));
    }
    answer
}

/// The query string that finds the inserted row again.
fn location(outcome: &Outcome) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_json::from_str(outcome.location.as_ref()?).ok()?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    Some(query.finish())
}

fn change(request: &ApiRequest, kind: Confirm, outcome: &Outcome) -> Answer {
    let total = request.preferences.count.as_ref().map(|_| outcome.page);
    let range = if kind == Confirm::Update {
        content_range(0, outcome.page.saturating_sub(1), total)
    } else {
        content_range(1, 0, total)
    };
    let with_body = request.preferences.returning == Some(Return::Representation);
    Answer::new(if with_body { 200 } else { 204 }, &range, with_body)
}
