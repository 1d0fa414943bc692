//! Tries the words that a rule has of its own.

use serde_json::{Map, Value};

use crate::{
    model::GroupField,
    notify::{
        examples,
        template::{self, Templates},
    },
};

/// What is wrong with a rule's own words, tried with a made-up message of each kind.
pub(super) fn template_problems(
    columns: &Map<String, Value>,
    group_by: &[GroupField],
) -> Vec<(&'static str, String)> {
    let text = |field: &str| columns.get(field).and_then(Value::as_str);
    let templates = Templates { title: text("title_template"), body: text("body_template") };
    if templates.title.is_none() && templates.body.is_none() {
        return Vec::new();
    }
    let errors = template::check(templates, &examples(group_by));
    let mut problems: Vec<_> = errors.into_iter().map(|e| (e.field, e.problem)).collect();
    for (field, text) in [("title_template", templates.title), ("body_template", templates.body)] {
        if text == Some("") {
            problems.push((field, "must not be empty; leave it out for the built-in words".into()));
        }
    }
    problems
}
