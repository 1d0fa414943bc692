//! The body of a request: JSON, CSV or a form, and which columns it has.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::error::ApiError;

/// A body as JSON text, with the keys of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// What the database gets to read.
    pub json: String,
    /// An object and not an array of objects.
    pub single: bool,
    pub keys: BTreeSet<String>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
    Form,
}

impl Format {
    /// From the `Content-Type` header; without one it is JSON, as there.
    pub(super) fn of(content_type: Option<&str>) -> Result<Self, ApiError> {
        let Some(content_type) = content_type else { return Ok(Self::Json) };
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            ""
            | "*/*"
            | "application/json"
            | "application/vnd.pgrst.object+json"
            | "application/vnd.pgrst.array+json" => Ok(Self::Json),
            "text/csv" => Ok(Self::Csv),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(ApiError::invalid_body(format!("Content-Type not acceptable: {name}"))),
        }
    }
}

impl Payload {
    /// Reads a body. With `columns` given, keys are not compared, as there.
    pub(super) fn parse(
        format: Format,
        body: &[u8],
        columns: Option<&[String]>,
    ) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|_| ApiError::invalid_body("Empty or invalid json"))?;
        let mut payload = match format {
            Format::Json => Self::json(text, columns.is_some())?,
            Format::Csv => Self::csv(text)?,
            Format::Form => Self::form(body),
        };
        if let Some(columns) = columns {
            payload.keys = columns.iter().cloned().collect();
        }
        Ok(payload)
    }

    fn json(text: &str, any_keys: bool) -> Result<Self, ApiError> {
        let shape: Shape = serde_json::from_str(text)
            .map_err(|_| ApiError::invalid_body("Empty or invalid json"))?;
        let differing = || ApiError::invalid_body("All object keys must match");
        match shape {
            Shape::Object(keys) => Ok(Self { json: text.to_owned(), single: true, keys }),
            Shape::Array { keys, uniform } => {
                if !uniform && !any_keys {
                    return Err(differing());
                }
                let keys = keys.unwrap_or_default();
                Ok(Self { json: text.to_owned(), single: false, keys })
            }
            // The real server takes any other JSON for an empty list.
            Shape::Other => {
                Ok(Self { json: "[]".to_owned(), single: false, keys: BTreeSet::new() })
            }
        }
    }

    fn csv(text: &str) -> Result<Self, ApiError> {
        let mut rows = read_csv(text).into_iter();
        let header = rows.next().ok_or_else(|| ApiError::invalid_body("not enough input"))?;
        let mut objects = Vec::new();
        for row in rows {
            if row.len() != header.len() {
                return Err(ApiError::invalid_body("All lines must have same number of fields"));
            }
            let cells =
                header
                    .iter()
                    .cloned()
                    .zip(row.into_iter().map(|cell| {
                        if cell == "NULL" { Value::Null } else { Value::String(cell) }
                    }));
            objects.push(Value::Object(cells.collect::<Map<_, _>>()));
        }
        let keys = if objects.is_empty() { BTreeSet::new() } else { header.into_iter().collect() };
        Ok(Self { json: Value::Array(objects).to_string(), single: false, keys })
    }

    fn form(body: &[u8]) -> Self {
        Self::from_pairs(
            url::form_urlencoded::parse(body).map(|(k, v)| (k.into_owned(), v.into_owned())),
        )
    }

    /// An object of texts, which PostgreSQL turns into the types of columns or parameters.
    pub(super) fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let object: Map<String, Value> =
            pairs.map(|(key, value)| (key, Value::String(value))).collect();
        let keys = object.keys().cloned().collect();
        Self { json: Value::Object(object).to_string(), single: true, keys }
    }
}

/// Lines and fields of a CSV text (RFC 4180); empty lines are passed over.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut any) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => {
                quoted = true;
                any = true;
            }
            ',' if !quoted => {
                row.push(std::mem::take(&mut cell));
                any = true;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if any || !cell.is_empty() {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                any = false;
            }
            c => cell.push(c),
        }
    }
    if any || !cell.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// The outline of a JSON text: only keys are kept, because PostgreSQL reads the values itself.
#[derive(Debug)]
enum Shape {
    Object(BTreeSet<String>),
    /// The keys of the first object, and whether all entries are objects with the same.
    Array {
        keys: Option<BTreeSet<String>>,
        uniform: bool,
    },
    Other,
}

struct ShapeVisitor;

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            keys.insert(key);
        }
        Ok(Shape::Object(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let (mut first, mut uniform) = (None, true);
        while let Some(entry) = list.next_element::<Shape>()? {
            match (entry, &first) {
                (Shape::Object(keys), None) => first = Some(keys),
                (Shape::Object(keys), Some(known)) if keys == *known => {}
                _ => uniform = false,
            }
        }
        Ok(Shape::Array { keys: first, uniform })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, body: &str, expected: Result<(&str, &str), &str>) {
        let got = Payload::parse(format, body.as_bytes(), None);
        let got = got.map(|p| (p.json, p.keys.into_iter().collect::<Vec<_>>().join(",")));
        let expected = expected
            .map(|(json, keys)| (json.to_owned(), keys.to_owned()))
            .map_err(|message| ApiError::invalid_body(message.to_owned()));
        assert_eq!(got, expected, "{body}");
    }

    #[test]
    fn bodies_are_read() {
        let differ = Err("All object keys must match");
        let invalid = Err("Empty or invalid json");
        check(Format::Json, r#"{"a":1,"b":[{}]}"#, Ok((r#"{"a":1,"b":[{}]}"#, "a,b")));
        check(Format::Json, r#"[{"a":1},{"a":null}]"#, Ok((r#"[{"a":1},{"a":null}]"#, "a")));
        check(Format::Json, r#"[{"a":1},{"b":1}]"#, differ);
        check(Format::Json, r#"[{"a":1},5]"#, differ);
        check(Format::Json, "[]", Ok(("[]", "")));
        check(Format::Json, "5", Ok(("[]", "")));
        check(Format::Json, r#"{"n":1,"#, invalid);
        check(Format::Json, "", invalid);
        check(
            Format::Csv,
            "a,b\r\n1,\"x \"\"y\"\", z\"\n\nNULL,\n",
            Ok((r#"[{"a":"1","b":"x \"y\", z"},{"a":null,"b":""}]"#, "a,b")),
        );
        check(Format::Csv, "a,b\n1\n", Err("All lines must have same number of fields"));
        check(Format::Form, "a=1&b=x+y", Ok((r#"{"a":"1","b":"x y"}"#, "a,b")));
    }

    #[test]
    fn columns_replace_keys() {
        let columns = ["id".to_owned()];
        let body = br#"[{"id":1},{"other":2}]"#;
        let payload = Payload::parse(Format::Json, body, Some(&columns)).unwrap();
        assert_eq!(payload.keys.into_iter().collect::<Vec<_>>(), ["id"]);
    }
}
