//! `POST /api/alert-rules/preview`: what a rule would have done, before it is saved.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, Caller, FieldProblem, JsonBody, Problem, ProblemBody, Role};
use crate::{
    backtest::{self, ChannelRef, Request, RunError},
    model::{Level, Rule, RuleError, Span, Timestamp},
    store::rule_rows,
};

/// How long a preview may take; whoever edits a rule does not wait longer.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest stretch of time.
const LONGEST: Span = Span::from_secs(92 * 86_400);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = RulePreview)]
struct Wish {
    /// Columns of `alert_rules`; those that are missing have the table's default.
    #[schema(value_type = Object)]
    rule: Value,
    /// Channels of the rule.
    #[serde(default)]
    channels: Vec<WishedChannel>,
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when; the present where this lies in the future.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Also suggest thresholds.
    #[serde(default)]
    suggest: bool,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = RulePreviewChannel)]
struct WishedChannel {
    channel_id: Uuid,
    /// warning or critical.
    #[serde(default = "warning")]
    #[schema(value_type = String)]
    min_level: Level,
}

const fn warning() -> Level {
    Level::Warning
}

/// What a rule would have done over stored history.
///
/// Incidents with start, end, level and peak; messages per channel; the value over time with the
/// thresholds. Needs the role viewer in the rule's project, or globally where it has none. The query
/// ends when the client goes away.
#[utoipa::path(
    post,
    path = "/api/alert-rules/preview",
    tag = "rules",
    request_body(content = Wish, example = json!({"rule": {"name": "Too many errors", "project_id": "00000000-0000-0000-0000-000000000000", "window_seconds": 300, "warning": 5, "group_by": ["source"]}, "channels": [], "from": "2026-10-01T00:00:00Z", "to": "2026-10-03T00:00:00Z"})),
    responses(
        (status = 200, description = "incidents, messages and the value over time", body = Value),
        (status = 503, description = "too many previews at once, or it took too long", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn preview(
    State(state): State<ApiState>,
    caller: Caller,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Value>, Problem> {
    let rule = Rule::from_columns(wish.rule).map_err(invalid)?;
    caller.require(Role::Viewer, rule.project_id).await?;
    if wish.to <= wish.from {
        return Err(Problem::field("to", "must be later than from"));
    }
    if wish.to.since(wish.from) > LONGEST {
        return Err(Problem::field("from", "must be at most 92 days before to"));
    }
    // The permit and the query both end with this future, which ends when the client goes away.
    let _turn = state.history_turn().await?;
    let work = async {
        let channels = channels(&state, &rule, &wish.channels).await?;
        let (from, to) = (wish.from, wish.to);
        let restraints = backtest::restraints(&state.db, &rule, (from, to), LIMIT).await?;
        let request = Request { rule, channels, restraints, from, to, suggest: wish.suggest };
        backtest::run(&state.db, &request, LIMIT).await.map_err(failed)
    };
    let report = tokio::time::timeout(LIMIT, work).await.map_err(|_| slow())??;
    serde_json::to_value(report).map(Json).map_err(|_| Problem::internal())
}

async fn channels(
    state: &ApiState,
    rule: &Rule,
    wished: &[WishedChannel],
) -> Result<Vec<ChannelRef>, Problem> {
    if wished.is_empty() {
        return Ok(Vec::new());
    }
    let known = rule_rows::channels_for(&state.db, rule.project_id, LIMIT).await?;
    let find = |(index, wish): (usize, &WishedChannel)| {
        let found = known.iter().find(|channel| channel.channel_id == wish.channel_id);
        let found = found.cloned().ok_or_else(|| {
            let message = "is no channel that rules of this project may tell";
            let field = FieldProblem::new("channels.channel_id", message).at(index);
            Problem::fields(vec![field])
        })?;
        Ok(ChannelRef { min_level: wish.min_level, ..ChannelRef::from(found) })
    };
    wished.iter().enumerate().map(find).collect()
}

/// What is wrong with a rule, field by field.
pub(super) fn invalid(errors: Vec<RuleError>) -> Problem {
    let fields = errors
        .into_iter()
        .map(|error| FieldProblem::new(format!("rule.{}", error.field), error.problem));
    Problem::fields(fields.collect())
}

/// A back-test without a result.
pub(super) fn failed(error: RunError) -> Problem {
    match error {
        RunError::Empty => Problem::field("from", error.to_string()),
        RunError::TooManyGroups => Problem::field("rule.group_by", error.to_string()),
        RunError::Store(crate::store::StoreError::TimedOut { .. }) => slow(),
        RunError::Store(error) => error.into(),
    }
}

fn slow() -> Problem {
    let detail = "this took too long; choose a shorter time, or a rule that counts less";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
