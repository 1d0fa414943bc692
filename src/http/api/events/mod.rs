//! `POST /api/error-events`: takes error events and stores those that are in order.
//! Nothing is masked or derived here: the insert trigger does that, whoever writes.
//! JSON comes in, the caller's own insert goes out, and what became of each event comes back.

mod read;

use axum::{
    Json,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::read::{NewEvent, NewEvents};
use super::{ApiState, Caller, FieldProblem, JsonBody, Problem, ProblemBody};

/// Events that one request may carry.
const MOST: usize = 1_000;
/// The longest body, in bytes.
const BODY: usize = 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    let report = OpenApiRouter::new().routes(routes!(report_error_events));
    report.layer(DefaultBodyLimit::max(BODY))
}

/// What became of the events of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Reported {
    /// The id of each event, in the order of the request; null for one that was refused.
    ids: Vec<Option<Uuid>>,
    /// How many were not there before; the others are repetitions of stored ones.
    new: u64,
    /// Why events were refused; absent where none was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// What `error_report` answers.
#[derive(Debug, Deserialize)]
struct Stored {
    new: u64,
    refused: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    index: usize,
    code: String,
    field: String,
    message: String,
}

/// Report error events.
///
/// One event or an array of up to 1,000, in at most 1 MiB. The caller's token decides for which
/// projects it may report. Events are recognised by their `error_id`, so the same request may be
/// repeated without harm; make the ids yourself (version 7) if you want to repeat. Those of a batch
/// that are in order are stored even where others are not.
#[utoipa::path(
    post,
    path = "/api/error-events",
    tag = "errors",
    request_body(content = NewEvents, content_type = "application/json"),
    responses(
        (status = 201, description = "All of them are stored.", body = Reported),
        (status = 207, description = "Some are stored; `errors` says why the others are not.", body = Reported),
        (status = 413, description = "More than 1 MiB.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON, or compressed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn report_error_events(
    caller: Caller,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Problem> {
    let (events, is_list) = match body {
        Value::Array(events) => (events, true),
        event => (vec![event], false),
    };
    if events.is_empty() {
        return Err(Problem::field("", "there is no event in the array"));
    }
    if events.len() > MOST {
        let detail = format!("{} events are more than the {MOST} of one request", events.len());
        return Err(Problem::field("", detail));
    }
    let mut outcome = Outcome { ids: vec![None; events.len()], ..Outcome::default() };
    let (mut places, mut rows) = (Vec::new(), Vec::new());
    for (place, event) in events.into_iter().enumerate() {
        match read::event(event) {
            Ok(row) => {
                places.push(place);
                rows.push(row);
            }
            Err(problems) => outcome.errors.extend(problems.into_iter().map(|p| p.at(place))),
        }
    }
    if !rows.is_empty() {
        outcome.store(&caller, &places, &rows).await?;
    }
    outcome.answer(is_list)
}

#[derive(Debug, Default)]
struct Outcome {
    ids: Vec<Option<Uuid>>,
    new: u64,
    errors: Vec<FieldProblem>,
    /// How many were refused for want of rights.
    forbidden: usize,
}

impl Outcome {
    async fn store(
        &mut self,
        caller: &Caller,
        places: &[usize],
        rows: &[NewEvent],
    ) -> Result<(), Problem> {
        let stored: Stored = caller.call("error_report", &json!({ "events": rows })).await?;
        self.new = stored.new;
        for (place, row) in places.iter().zip(rows) {
            if let Some(id) = self.ids.get_mut(*place) {
                *id = Some(row.error_id);
            }
        }
        for refusal in stored.refused {
            let Some(place) = places.get(refusal.index).copied() else { continue };
            if let Some(id) = self.ids.get_mut(place) {
                *id = None;
            }
            self.forbidden += usize::from(refusal.code == "42501");
            self.errors.push(refusal.problem().at(place));
        }
        self.errors.sort_by_key(|error| error.index);
        Ok(())
    }

    fn answer(mut self, is_list: bool) -> Result<Response, Problem> {
        if !is_list {
            for error in &mut self.errors {
                error.index = None;
            }
        }
        let Self { ids, new, errors, forbidden } = self;
        if ids.iter().any(Option::is_some) {
            let all = errors.is_empty();
            let status = if all { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
            return Ok((status, Json(Reported { ids, new, errors })).into_response());
        }
        if forbidden == ids.len() {
            let detail = "the token may not report errors of this project";
            return Err(Problem { errors, ..Problem::forbidden(detail) });
        }
        Err(Problem::fields(errors))
    }
}

impl Refusal {
    /// What the database said, as the caller can use it.
    fn problem(self) -> FieldProblem {
        if self.code == "42501" {
            return FieldProblem::new(
                "project_id",
                "the token may not report errors of this project",
            );
        }
        let prefix = format!("{}: ", self.field);
        let message = self.message.strip_prefix(&prefix).unwrap_or(&self.message);
        FieldProblem::new(self.field, message)
    }
}
