//! From a column's text form to the JSON the real server sends for it.
//!
//! Numbers keep every digit (they are written as they are, never through an f64), `jsonb` nests,
//! `bytea` is hex without its prefix, and a timestamp gets its `T` and a full offset.

use serde_json::Value;

/// How a type is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers, floats, numeric: bare; NaN and infinities become null.
    Number,
    /// `true` or `false`.
    Bool,
    /// `json` and `jsonb`: nested.
    Json,
    /// With a `T` between date and time.
    Timestamp,
    /// With a `T` and an offset of hours and minutes.
    TimestampTz,
    /// Hex digits.
    Bytea,
    /// `char(n)` and `bit(n)`: the real server cuts them to one character.
    OneCharacter,
    /// A JSON array of the element's kind.
    Array(Box<Kind>, char),
    /// Everything else, enums included: a JSON string.
    Text,
}

impl Kind {
    /// The kind of a base type of `pg_catalog`, by its oid (`pg_type.dat`).
    #[must_use]
    pub fn of_base(oid: u32) -> Self {
        match oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            20 | 21 | 23 | 700 | 701 | 1700 => Self::Number,
            114 | 3802 => Self::Json,
            1042 | 1560 => Self::OneCharacter,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            _ => Self::Text,
        }
    }

    /// The JSON text of a value's text form.
    #[must_use]
    pub fn json(&self, text: &str) -> String {
        match self {
            Self::Number if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() => {
                text.to_owned()
            }
            Self::Number => "null".into(),
            Self::Bool => (if text == "t" || text == "true" { "true" } else { "false" }).into(),
            Self::Json => text.to_owned(),
            Self::Timestamp => quote(&text.replacen(' ', "T", 1)),
            Self::TimestampTz => quote(&with_offset(text)),
            Self::Bytea => quote(text.strip_prefix("\\x").unwrap_or(text)),
            Self::OneCharacter => quote(&text.chars().take(1).collect::<String>()),
            Self::Array(element, delimiter) => {
                array(text, element, *delimiter).unwrap_or_else(|| quote(text))
            }
            Self::Text => quote(text),
        }
    }
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// Postgres writes whole-hour offsets as `+00`; JSON wants `+00:00`.
fn with_offset(text: &str) -> String {
    let mut out = text.replacen(' ', "T", 1);
    let offset = out.rfind(['+', '-']).map(|at| out.len() - at);
    if out.contains('T') && offset == Some(3) {
        out.push_str(":00");
    }
    out
}

/// Reads an array literal such as `{1,NULL,"a b",{…}}`; `None` when it is none.
fn array(text: &str, element: &Kind, delimiter: char) -> Option<String> {
    // A literal with unusual bounds starts with them: `[0:1]={…}`.
    let body = match text.strip_prefix('[') {
        Some(bounded) => bounded.split_once('=')?.1,
        None => text,
    };
    let mut letters = body.chars().peekable();
    let out = nested(&mut letters, element, delimiter)?;
    letters.next().is_none().then_some(out)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn nested(letters: &mut Letters<'_>, element: &Kind, delimiter: char) -> Option<String> {
    let mut items = Vec::new();
    letters.next_if_eq(&'{')?;
    if letters.next_if_eq(&'}').is_some() {
        return Some("[]".into());
    }
    loop {
        let item = match letters.peek()? {
            '{' => nested(letters, element, delimiter)?,
            '"' => element.json(&quoted(letters)?),
            _ => {
                let mut bare = String::new();
                while let Some(c) = letters.next_if(|c| *c != delimiter && *c != '}') {
                    bare.push(c);
                }
                if bare == "NULL" { "null".into() } else { element.json(&bare) }
            }
        };
        items.push(item);
        match letters.next()? {
            '}' => return Some(format!("[{}]", items.join(","))),
            c if c == delimiter => {}
            _ => return None,
        }
    }
}

fn quoted(letters: &mut Letters<'_>) -> Option<String> {
    letters.next_if_eq(&'"')?;
    let mut out = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(out),
            '\\' => out.push(letters.next()?),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_real_server_writes() {
        let ints = Kind::Array(Box::new(Kind::Number), ',');
        let texts = Kind::Array(Box::new(Kind::Text), ',');
        for (kind, text, want) in [
            (Kind::Number, "9223372036854775807", "9223372036854775807"),
            (Kind::Number, "12345678901234567890.123", "12345678901234567890.123"),
            (Kind::Number, "-1e-07", "-1e-07"),
            (Kind::Number, "NaN", "null"),
            (Kind::Number, "Infinity", "null"),
            (Kind::Bool, "t", "true"),
            (Kind::Json, r#"{"a": [1]}"#, r#"{"a": [1]}"#),
            (
                Kind::TimestampTz,
                "2026-11-22 11:24:03.476548+00",
                r#""2026-11-22T11:24:03.476548+00:00""#,
            ),
            (Kind::TimestampTz, "2026-11-22 11:24:03+05:30", r#""2026-11-22T11:24:03+05:30""#),
            (Kind::TimestampTz, "infinity", r#""infinity""#),
            (Kind::Timestamp, "2026-11-22 11:24:03", r#""2026-11-22T11:24:03""#),
            (Kind::Bytea, "\\xdead", r#""dead""#),
            (Kind::OneCharacter, "ab", r#""a""#),
            (Kind::Text, "a\"b", r#""a\"b""#),
            (ints.clone(), "{1,NULL,{2,3}}", "[1,null,[2,3]]"),
            (ints.clone(), "[0:1]={1,2}", "[1,2]"),
            (ints, "{}", "[]"),
            (texts.clone(), r#"{a,"b \"c\"","NULL",NULL}"#, r#"["a","b \"c\"","NULL",null]"#),
            (texts, "{a", r#""{a""#),
        ] {
            assert_eq!(kind.json(text), want, "{text}");
        }
    }
}
