//! `POST /api/alert-rules/check`: what is wrong with a rule, before it is saved.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, Caller, FieldProblem, JsonBody, Problem, Role};
use crate::{
    model::{GroupField, Rule},
    notify::{
        examples,
        template::{self, Templates},
    },
};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(check))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = RuleCheck)]
struct Wish {
    /// Columns of `alert_rules`; those that are missing have the table's default.
    #[schema(value_type = Object)]
    rule: Value,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RuleChecked)]
struct Checked {
    /// What is wrong, as in `rule.window_seconds`; empty for a rule that can be saved.
    errors: Vec<FieldProblem>,
}

/// What is wrong with a rule, before it is saved.
///
/// Looks at every column that is evaluated, and tries the templates with a made-up message of each
/// kind. A rule with errors is answered 200 like one without. Needs the role viewer in the rule's
/// project, or globally where it has none.
#[utoipa::path(
    post,
    path = "/api/alert-rules/check",
    tag = "rules",
    request_body(content = Wish, example = json!({"rule": {"name": "Too many errors", "project_id": "00000000-0000-0000-0000-000000000000", "window_seconds": 300, "warning": 5, "group_by": ["source"]}})),
    responses((status = 200, description = "what is wrong with it, field by field", body = Checked))
)]
async fn check(
    State(_state): State<ApiState>,
    caller: Caller,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Checked>, Problem> {
    match project(&wish.rule) {
        Ok(project) => drop(caller.require(Role::Viewer, project).await?),
        // The column is refused below, and no project is asked about.
        Err(_) => drop(caller.role(None).await?),
    }
    Ok(Json(Checked { errors: problems(wish.rule) }))
}

fn project(rule: &Value) -> Result<Option<Uuid>, uuid::Error> {
    match rule.get("project_id") {
        None | Some(Value::Null) => Ok(None),
        Some(id) => id.as_str().unwrap_or_default().parse().map(Some),
    }
}

/// Everything that is wrong with the columns of a rule and with its templates.
fn problems(rule: Value) -> Vec<FieldProblem> {
    let mut problems = template_problems(&rule);
    let errors = Rule::from_columns(rule).err().unwrap_or_default();
    let column = |error: crate::model::RuleError| problem(error.field, error.problem);
    problems.splice(0..0, errors.into_iter().map(column));
    problems
}

fn template_problems(rule: &Value) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut text = |field| match rule.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            problems.push(problem(field, "must be a text"));
            None
        }
    };
    let templates = Templates { title: text("title_template"), body: text("body_template") };
    // Fields that cannot be read are reported as such, and a template cannot name them.
    let words = rule.get("group_by").and_then(Value::as_array).into_iter().flatten();
    let fields: Vec<GroupField> =
        words.filter_map(|word| word.as_str()?.parse().ok()).take(GroupField::ALL.len()).collect();
    let errors = template::check(templates, &examples(&fields));
    problems.extend(errors.into_iter().map(|error| problem(error.field, error.problem)));
    problems
}

fn problem(field: &str, problem: impl Into<String>) -> FieldProblem {
    FieldProblem::new(format!("rule.{field}"), problem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let fine = json!({
            "name": "r", "warning": 3, "group_by": ["source"],
            "title_template": "{{ rule.name }}: {{ group.source }}", "body_template": null,
        });
        for (changes, expected) in [
            (json!({}), vec![]),
            (json!({"group_by": []}), vec!["rule.title_template"]),
            (json!({"title_template": "{{ nothing }}"}), vec!["rule.title_template"]),
            (json!({"body_template": "{% if %}"}), vec!["rule.body_template"]),
            (json!({"body_template": 7}), vec!["rule.body_template"]),
            (
                json!({"window_seconds": 61, "warning": null, "body_template": "{{ x.y }}"}),
                vec!["rule.window_seconds", "rule.warning", "rule.body_template"],
            ),
            (json!({"project_id": "mine"}), vec!["rule.project_id"]),
        ] {
            let mut rule = fine.clone();
            rule.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let mut fields: Vec<String> = problems(rule).into_iter().map(|p| p.field).collect();
            let mut expected: Vec<&str> = expected;
            fields.sort_unstable();
            expected.sort_unstable();
            assert_eq!(fields, expected, "{changes}");
        }
        let whole: Vec<String> = problems(json!(7)).into_iter().map(|p| p.field).collect();
        assert!(whole.contains(&"rule.rule".to_owned()), "{whole:?}");
    }
}
