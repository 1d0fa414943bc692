//! The two Phoenix serialisations as the server speaks them: 1.0.0 (objects) and 2.0.0 (arrays).

use serde_json::{Value, value::RawValue};

/// The wire format a socket asked for with `vsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `{"topic","event","payload","ref"}`.
    V1,
    /// `[join_ref, ref, topic, event, payload]`, plus binary broadcast frames.
    V2,
}

impl Version {
    /// Reads the `vsn` query parameter; without one Phoenix speaks 1.0.0, and `None` means that the
    /// handshake is refused with 403.
    #[must_use]
    pub fn negotiate(vsn: Option<&str>) -> Option<Self> {
        match vsn {
            None | Some("1.0.0") => Some(Self::V1),
            Some("2.0.0") => Some(Self::V2),
            Some(_) => None,
        }
    }
}

/// A message from a client. The references are kept as JSON because they are only echoed.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The reference of the join this message belongs to; null before a join.
    pub join_ref: Value,
    /// What a reply must repeat.
    pub reference: Value,
    /// Such as `realtime:room` or `phoenix`.
    pub topic: String,
    /// Such as `phx_join`.
    pub event: String,
    /// Any JSON.
    pub payload: Value,
}

/// Reads a text frame. `None` stands for what the real server drops silently: invalid JSON, or a
/// message without topic, event, payload or ref.
#[must_use]
pub fn decode(version: Version, text: &str) -> Option<Incoming> {
    let value: Value = serde_json::from_str(text).ok()?;
    match (version, value) {
        (Version::V1, Value::Object(mut map)) => Some(Incoming {
            join_ref: map.remove("join_ref").unwrap_or(Value::Null),
            reference: map.remove("ref")?,
            topic: owned_string(map.remove("topic")?)?,
            event: owned_string(map.remove("event")?)?,
            payload: map.remove("payload")?,
        }),
        (Version::V2, Value::Array(items)) => {
            let mut items = items.into_iter();
            Some(Incoming {
                join_ref: items.next()?,
                reference: items.next()?,
                topic: owned_string(items.next()?)?,
                event: owned_string(items.next()?)?,
                payload: items.next()?,
            })
        }
        _ => None,
    }
}

fn owned_string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Writes a message to a client. `payload` is finished JSON text, so that numbers beyond an f64
/// (bigint, numeric) reach the client digit by digit.
#[must_use]
pub fn encode(
    version: Version,
    join_ref: &Value,
    reference: &Value,
    topic: &str,
    event: &str,
    payload: &RawValue,
) -> String {
    let (topic, event) = (Value::from(topic), Value::from(event));
    let payload = payload.get();
    match version {
        Version::V1 => {
            format!(r#"{{"ref":{reference},"event":{event},"payload":{payload},"topic":{topic}}}"#)
        }
        Version::V2 => format!("[{join_ref},{reference},{topic},{event},{payload}]"),
    }
}

/// Turns a JSON value into finished text for [`encode`].
#[must_use]
pub fn raw(value: &Value) -> Box<RawValue> {
    // A `Value` always serialises to valid JSON; the fallback only keeps this total.
    RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_both_versions_and_drops_the_rest() {
        let v1 = r#"{"topic":"t","event":"e","payload":{"a":1},"ref":"2","join_ref":"1"}"#;
        let v2 = r#"["1","2","t","e",{"a":1}]"#;
        let want = Incoming {
            join_ref: json!("1"),
            reference: json!("2"),
            topic: "t".into(),
            event: "e".into(),
            payload: json!({"a":1}),
        };
        assert_eq!(decode(Version::V1, v1).as_ref(), Some(&want));
        assert_eq!(decode(Version::V2, v2).as_ref(), Some(&want));
        for bad in ["", "{", "[]", "[1,2,3,4]", r#"{"topic":"t"}"#, r#"["1","2",3,"e",{}]"#, "7"] {
            assert_eq!(decode(Version::V1, bad), None, "{bad}");
            assert_eq!(decode(Version::V2, bad), None, "{bad}");
        }
    }

    #[test]
    fn writes_both_versions() {
        let payload = raw(&json!({"status":"ok"}));
        let one = encode(Version::V1, &json!("1"), &json!("2"), "t\"", "e", &payload);
        assert_eq!(one, r#"{"ref":"2","event":"e","payload":{"status":"ok"},"topic":"t\""}"#);
        let two = encode(Version::V2, &Value::Null, &json!("2"), "t", "e", &payload);
        assert_eq!(two, r#"[null,"2","t","e",{"status":"ok"}]"#);
    }
}
