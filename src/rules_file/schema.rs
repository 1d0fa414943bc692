//! The JSON Schema of a file of rules, for editors; made from the same list of fields that reads it.

use serde_json::{Map, Value, json};

use super::fields::{FIELDS, Kind};

/// Lengths of time as [`parse_span`](super::parse_span) reads them; editors know no more than a pattern.
const SPAN: &str = "^(?=[0-9])([0-9]+ *d *)?([0-9]+ *h *)?([0-9]+ *m *)?([0-9]+ *s *)?$";

/// The JSON Schema (draft 2020-12) of a file of rules.
#[must_use]
pub fn schema() -> Value {
    let mut properties = Map::new();
    for field in FIELDS {
        let mut property = kind(field.kind);
        if let Some(object) = property.as_object_mut() {
            object.insert("description".to_owned(), json!(field.help));
        }
        properties.insert(field.name.to_owned(), property);
    }
    properties.insert(
        "channels".to_owned(),
        json!({
            "description": "Whom the rule tells: channels of the project, or of no project, by name.",
            "oneOf": [
                { "type": "string" },
                { "type": "null" },
                { "type": "array", "items": { "oneOf": [
                    { "type": "string" },
                    {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string" },
                            "min_level": { "enum": ["warning", "critical"] },
                        },
                        "required": ["name"],
                        "additionalProperties": false,
                    },
                ] } },
            ],
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Alert rules of meshhook-errors",
        "type": "object",
        "properties": {
            "version": { "const": 1 },
            "rules": { "type": "array", "items": { "$ref": "#/$defs/rule" } },
        },
        "required": ["rules"],
        "additionalProperties": false,
        "$defs": {
            "rule": {
                "type": "object",
                "properties": properties,
                "required": ["name"],
                "additionalProperties": false,
            },
        },
    })
}

fn kind(kind: Kind) -> Value {
    let one_or_many = |item: Value| json!({ "oneOf": [item, { "type": "array", "items": item }, { "type": "null" }] });
    match kind {
        Kind::Text => json!({ "type": ["string", "integer", "null"] }),
        Kind::Flag => json!({ "type": ["boolean", "null"] }),
        Kind::Whole => json!({ "type": ["integer", "null"] }),
        Kind::Number => json!({ "oneOf": [
            { "type": ["number", "null"] },
            { "type": "string", "pattern": "^ *[0-9]*\\.?[0-9]+ *%$" },
        ] }),
        Kind::Span => json!({ "oneOf": [
            { "type": "string", "pattern": SPAN },
            { "const": 0 },
            { "type": "null" },
        ] }),
        Kind::Word(words) => {
            let words: Vec<Value> =
                words.iter().map(|word| json!(word)).chain([Value::Null]).collect();
            json!({ "enum": words })
        }
        Kind::Words(words) => one_or_many(json!({ "enum": words })),
        Kind::Texts => one_or_many(json!({ "type": "string" })),
        Kind::Ids => one_or_many(json!({
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
        })),
        Kind::BurnWindows => json!({
            "type": ["array", "null"],
            "minItems": 1,
            "maxItems": 4,
            "items": {
                "type": "object",
                "properties": {
                    "long": { "type": "string", "pattern": SPAN },
                    "short": { "type": "string", "pattern": SPAN },
                    "factor": { "type": "number" },
                    "level": { "enum": ["warning", "critical"] },
                },
                "required": ["long", "short", "factor"],
                "additionalProperties": false,
            },
        }),
    }
}
