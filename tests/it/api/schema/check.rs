//! Whether a value is what a schema of the document describes: as much of JSON Schema as it uses.

use serde_json::Value;

/// What is wrong with `value`, each with where it stands.
pub fn against(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let path = reference.strip_prefix('#').expect("a reference within the document");
        let target = document.pointer(path).unwrap_or_else(|| panic!("no {reference}"));
        return against(document, target, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| against(document, choice, value, at).is_empty();
        let fitting = choices.iter().filter(fits).count();
        return if fitting == 1 { vec![] } else { vec![format!("{at}: fits {fitting} of oneOf")] };
    }
    let mut wrong = Vec::new();
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
        wrong.push(format!("{at}: {value} is none of {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        wrong.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let Value::Object(fields) = value {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, field) in fields {
            match known.and_then(|known| known.get(name)) {
                Some(schema) => {
                    wrong.extend(against(document, schema, field, &format!("{at}.{name}")));
                }
                None if known.is_some() => wrong.push(format!("{at}.{name} is not described")),
                None => {}
            }
        }
    }
    if let Value::Array(items) = value {
        for (place, item) in items.iter().enumerate() {
            wrong.extend(against(document, &schema["items"], item, &format!("{at}[{place}]")));
        }
    }
    wrong
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("a type of no JSON: {name}"),
    }
}

#[test]
fn values_that_do_not_fit_are_found() {
    let document = serde_json::json!({"a": {"type": "object", "required": ["x"],
        "properties": {"x": {"type": ["string", "null"], "enum": ["y", null]}, "l": {"items": {"type": "integer"}}}}});
    let schema = serde_json::json!({"$ref": "#/a"});
    for (value, problems) in [
        (serde_json::json!({"x": "y", "l": [1]}), 0),
        (serde_json::json!({"x": null}), 0),
        (serde_json::json!({"x": "z"}), 1),
        (serde_json::json!({"x": 7, "l": ["a", 2]}), 3),
        (serde_json::json!({"z": 1}), 2),
        (serde_json::json!([]), 1),
    ] {
        assert_eq!(against(&document, &schema, &value, "$").len(), problems, "{value}");
    }
}
