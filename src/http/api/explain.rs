//! `GET /api/alert-rules/{id}/explain`: why a rule fires, or does not.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, Caller, PathOf, Problem, QueryOf, Role};
use crate::{
    backtest::{self, FindError, explain},
    model::{GroupKey, Timestamp},
};

/// How long each of its queries may take.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(explain_rule))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Question {
    /// The group, as JSON.
    #[param(example = "{\"source\":\"worker\"}")]
    group: Option<String>,
    /// The time; the present without it.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// Why a rule fires, or does not.
///
/// `text` is one paragraph; `facts` are what it is made of.
#[utoipa::path(
    get,
    path = "/api/alert-rules/{rule_id}/explain",
    tag = "rules",
    params(("rule_id" = Uuid, Path), Question),
    responses((status = 200, description = "a paragraph and its facts", body = Value))
)]
async fn explain_rule(
    State(state): State<ApiState>,
    caller: Caller,
    PathOf(rule_id): PathOf<Uuid>,
    QueryOf(question): QueryOf<Question>,
) -> Result<Json<Value>, Problem> {
    let group: Option<GroupKey> = question
        .group
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Problem::field("group", "must be JSON as in {\"source\":\"worker\"}"))?;
    let found = backtest::find(&state.db, &rule_id.to_string(), None, LIMIT).await;
    let found = found.map_err(|error| match error {
        FindError::Store(error) => error.into(),
        FindError::Invalid(errors) => super::preview::invalid(errors),
        FindError::None(_) | FindError::Several(..) => unknown(),
    })?;
    // Whoever may not see the rule is told the same as if there were none.
    match caller.role(found.rule.project_id).await? {
        Some(role) if role >= Role::Viewer => {}
        _ => return Err(unknown()),
    }
    let _turn = state.history_turn().await?;
    let facts = explain::gather(&state.db, &found, group, question.at, LIMIT).await;
    let facts = facts.map_err(super::preview::failed)?;
    Ok(Json(json!({ "text": explain::paragraph(&facts), "facts": facts })))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such rule, or you may not see it")
}
