//! Makes requests from the document.

use std::collections::BTreeMap;

use rand::{Rng as _, rngs::StdRng};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Texts that have broken things elsewhere.
const ODD: [&str; 14] = [
    "",
    "null",
    "\0",
    "0",
    "-1",
    "99999999999999999999",
    "é☃\u{10ffff}",
    "a,b,,c",
    "';--",
    "(or.(a",
    "%00%",
    "*",
    "2026-02-30T00:00:00Z",
    "9999999999-01-01T00:00:00Z",
];

/// Makes values at random.
pub struct Maker<'a> {
    pub document: &'a Value,
    /// What members and parameters with these names may name, the caller's own first.
    pub ids: &'a BTreeMap<&'static str, Vec<Uuid>>,
    pub rng: StdRng,
    /// How likely each value is not as the document wants it.
    pub oddness: f64,
}

impl Maker<'_> {
    /// Whether something is to be odd now.
    pub fn odd_choice(&mut self) -> bool {
        self.rng.random_bool(self.oddness)
    }

    /// A query string for an operation, from its question mark on.
    pub fn query(&mut self, operation: &Value) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if self.rng.random_bool(0.75) {
                continue;
            }
            let name = parameter["name"].as_str().expect("a name");
            let example = &parameter["example"];
            let value = match example.as_str() {
                Some(example) if !self.rng.random_bool(self.oddness) => example.to_owned(),
                // A pattern without an example is that of ids.
                None if schema_has_pattern(parameter) && !self.rng.random_bool(self.oddness) => {
                    self.id(name).to_string()
                }
                _ => match self.value(&parameter["schema"], 0) {
                    Value::String(text) => text,
                    other => other.to_string(),
                },
            };
            pairs.append_pair(name, &value);
        }
        if self.rng.random_bool(self.oddness / 4.0) {
            pairs.append_pair("nobody-knows-me", "1");
        }
        format!("?{}", pairs.finish())
    }

    /// A body for an operation that takes one.
    pub fn body(&mut self, operation: &Value) -> Option<Vec<u8>> {
        let content = operation["requestBody"]["content"].as_object()?.values().next()?;
        let example = &content["example"];
        // Mostly like the example, which is more likely to mean something.
        let by_schema = example.is_null() || self.odd_choice();
        let made = match by_schema {
            true => self.value(&content["schema"], 0),
            false => self.like(&example.clone(), 0),
        };
        let mut body = match made {
            // Of a form; everything else is JSON.
            Value::String(text) if content["schema"]["type"] == "string" => text.into_bytes(),
            other => other.to_string().into_bytes(),
        };
        if self.rng.random_bool(self.oddness / 4.0) && !body.is_empty() {
            let place = self.rng.random_range(0..body.len());
            body[place] = self.rng.random();
        }
        Some(body)
    }

    /// Something like an example: with ids that there are, and here and there not quite like it.
    pub fn like(&mut self, example: &Value, depth: u32) -> Value {
        if self.odd_choice() {
            return self.odd(depth);
        }
        match example {
            Value::Array(items) => items.iter().map(|item| self.like(item, depth + 1)).collect(),
            Value::Object(members) => {
                let mut made = Map::new();
                for (name, member) in members {
                    if self.rng.random_bool(self.oddness / 4.0) {
                        continue;
                    }
                    let is_id = member.as_str().is_some_and(|text| Uuid::parse_str(text).is_ok());
                    let known = is_id && self.ids.contains_key(name.as_str());
                    let member =
                        if known { json!(self.id(name)) } else { self.like(member, depth + 1) };
                    made.insert(name.clone(), member);
                }
                self.surprise(&mut made, depth);
                made.into()
            }
            other => other.clone(),
        }
    }

    /// An id that a member or parameter of this name may name.
    fn id(&mut self, name: &str) -> Uuid {
        match self.ids.get(name) {
            Some(ids) if self.oddness == 0.0 => ids[0],
            Some(ids) if self.rng.random_bool(0.8) => ids[self.rng.random_range(0..ids.len())],
            _ => Uuid::from_u128(self.rng.random()),
        }
    }

    fn surprise(&mut self, object: &mut Map<String, Value>, depth: u32) {
        if self.rng.random_bool(self.oddness / 4.0) {
            object.insert("nobody_knows_me".to_owned(), self.odd(depth + 1));
        }
    }

    fn value(&mut self, schema: &Value, depth: u32) -> Value {
        if self.rng.random_bool(self.oddness) {
            return self.odd(depth);
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target =
                self.document.pointer(reference.trim_start_matches('#')).expect("a schema");
            return self.value(target, depth);
        }
        for several in ["oneOf", "enum"] {
            if let Some(choices) = schema[several].as_array() {
                let choice = choices[self.rng.random_range(0..choices.len())].clone();
                return if several == "enum" { choice } else { self.value(&choice, depth) };
            }
        }
        let kind = match &schema["type"] {
            Value::String(one) => one.as_str(),
            Value::Array(several) => {
                several[self.rng.random_range(0..several.len())].as_str().expect("a type")
            }
            _ => "null",
        };
        match kind {
            "string" => self.text(schema).into(),
            "integer" => self.rng.random_range(1..1_000).into(),
            "number" => self.rng.random_range(0.0..1e6).into(),
            "boolean" => self.rng.random::<bool>().into(),
            "array" => {
                let items = self.rng.random_range(1..4);
                (0..items).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            "object" => self.object(schema, depth),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: u32) -> Value {
        let mut object = Map::new();
        let Some(properties) = schema["properties"].as_object() else {
            return json!({"step": self.rng.random_range(0..10), "note": self.text(&Value::Null)});
        };
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in properties {
            let missing = if required.contains(&name.as_str()) { self.oddness / 4.0 } else { 0.5 };
            if !self.rng.random_bool(missing) {
                let value = match name.as_str() {
                    name if self.ids.contains_key(name) && !self.odd_choice() => {
                        json!(self.id(name))
                    }
                    // A period that is one.
                    "from" if !self.odd_choice() => json!("2026-10-01T00:00:00Z"),
                    "to" if !self.odd_choice() => json!("2026-10-03T00:00:00Z"),
                    _ => self.value(schema, depth + 1),
                };
                object.insert(name.clone(), value);
            }
        }
        self.surprise(&mut object, depth);
        object.into()
    }

    fn text(&mut self, schema: &Value) -> String {
        let example = schema["example"].as_str().or(schema["examples"][0].as_str());
        match (schema["format"].as_str(), example) {
            (Some("uuid"), _) => Uuid::from_u128(self.rng.random()).to_string(),
            (Some("date-time"), _) => {
                let (month, hour) = (self.rng.random_range(1..13), self.rng.random_range(0..24));
                format!("2026-{month:02}-11T{hour:02}:30:00.5Z")
            }
            (_, Some(example)) => example.to_owned(),
            _ => {
                let length = self.rng.random_range(1..40);
                (0..length).map(|_| char::from(self.rng.random_range(b' '..=b'~'))).collect()
            }
        }
    }

    fn odd(&mut self, depth: u32) -> Value {
        match self.rng.random_range(0..11) {
            0 => Value::Null,
            1 => json!(self.rng.random::<bool>()),
            2 => json!(self.rng.random::<i64>()),
            3 => json!(self.rng.random_range(-1e300..1e300)),
            4 => json!([]),
            5 => json!({}),
            6 if depth < 4 => json!({"deeper": [self.odd(depth + 1)]}),
            7 => json!("x".repeat(self.rng.random_range(1..3_000))),
            8 => json!(u64::MAX),
            _ => json!(ODD[self.rng.random_range(0..ODD.len())]),
        }
    }
}

fn schema_has_pattern(parameter: &Value) -> bool {
    parameter["schema"]["pattern"].is_string()
}
