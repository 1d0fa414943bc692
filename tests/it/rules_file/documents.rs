//! The schema for editors and the examples of the manual.

use meshhook_errors::rules_file::{FIELDS, Kind, parse, schema};
use serde_json::{Value, json};

const PUBLISHED: &str = include_str!("../../../docs/schema/rules.schema.json");
const MANUAL: &str = include_str!("../../../docs/alerts.md");

/// The YAML blocks of the manual.
pub fn blocks() -> Vec<&'static str> {
    let pieces = MANUAL.split("```yaml\n").skip(1);
    pieces.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_published_schema_is_the_parsers() {
    let published: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    assert_eq!(published, schema(), "print it anew: meshhook-errors rules schema");
}

/// Whether the schema and the parser agree about one value of one field.
#[test]
fn schema_and_parser_agree_field_by_field() {
    let schema = schema();
    let properties = schema["$defs"]["rule"]["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), FIELDS.len() + 1, "and channels");
    for field in FIELDS {
        let property = &properties[field.name];
        let samples = [
            json!("worker"),
            json!("project"),
            json!("5m"),
            json!("x y"),
            json!(5),
            json!(0),
            json!(0.5),
            json!(true),
            json!(["worker"]),
            json!(["low"]),
            json!([1]),
            json!(null),
            json!("5%"),
            json!({"a": 1}),
            json!([{"long": "1h", "short": "5m", "factor": 2}]),
            json!([{"long": "1h", "wide": "5m"}]),
            json!("count"),
        ];
        for sample in samples {
            let mut rule = json!({ "name": "n", "warning": 1 });
            rule[field.name] = sample.clone();
            // JSON is YAML.
            let read = parse(&json!({ "rules": [rule] }).to_string());
            // Only what the parser says about the shape; whether the rule makes sense is another matter.
            let shape = |message: &str| {
                let signs = [
                    ", not ",
                    ", and this is",
                    "is not one of",
                    "is no percentage",
                    "is not a length",
                    "each must be",
                ];
                signs.iter().any(|sign| message.contains(sign))
            };
            let problems = read.err().into_iter().flatten();
            let mut of_field = problems.filter(|problem| problem.field == field.name);
            let refused = of_field.any(|problem| shape(&problem.message));
            // Numbers written as texts of a Kind::Ids field are checked by the rule itself.
            if field.kind == Kind::Ids || (field.name == "window" && sample == json!(0)) {
                continue;
            }
            assert_eq!(!refused, fits(property, &sample), "{}: {sample}", field.name);
        }
    }
}

/// As much of JSON Schema as the schema uses.
fn fits(schema: &Value, value: &Value) -> bool {
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let is = |kind: &str| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !kinds.is_empty() && !kinds.into_iter().any(is) {
        return false;
    }
    let listed = |name: &str| schema[name].as_array().cloned();
    let choice = listed("oneOf").is_none_or(|list| list.iter().any(|one| fits(one, value)));
    let word = listed("enum").is_none_or(|words| words.contains(value));
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    let items = value.as_array().is_none_or(|list| {
        schema.get("items").is_none_or(|item| list.iter().all(|value| fits(item, value)))
    });
    let members = value.as_object().is_none_or(|object| {
        let Some(properties) = schema["properties"].as_object() else { return true };
        object.iter().all(|(key, value)| properties.get(key).is_some_and(|p| fits(p, value)))
            && listed("required")
                .unwrap_or_default()
                .iter()
                .all(|key| key.as_str().is_some_and(|key| object.contains_key(key)))
    });
    // The patterns of this schema are those of lengths of time and percentages.
    let pattern = schema["pattern"].as_str().is_none_or(|pattern| {
        value.as_str().is_none_or(|text| match pattern.contains('%') {
            true => text.ends_with('%'),
            false => meshhook_errors::rules_file::parse_span(text).is_ok(),
        })
    });
    choice && word && constant && items && members && pattern
}

#[test]
fn every_example_of_the_manual_is_a_good_file() {
    let blocks = blocks();
    assert!(blocks.len() >= 5, "{} examples", blocks.len());
    for block in blocks {
        let rules = parse(block).unwrap_or_else(|problems| panic!("{problems:?} in\n{block}"));
        assert!(!rules.is_empty(), "{block}");
    }
}
